//! Reaching a database of the lab from outside the cluster, through the API's port-forward: the same is found as at the pods'
//! own addresses, a door follows its Service, and an API that is away is no outage.

use crate::lab::{Lab, Part, SHOP};
use crate::runner::Runner;
use firedrill::probes::ProbeSpec;
use firedrill::probes::config::ProbeConfig;
use firedrill::probes::set::ProbeSet;
use firedrill::spec::estate::{Estate, PostgresTarget, Target};
use firedrill::spec::load::parse_estate;
use firedrill::spec::scalar::{Name, SecretRef};
use firedrill::targets::cluster::{Access, Cluster, Reader};
use firedrill::targets::postgres::{PostgresEyes, close};
use firedrill::targets::route::Route;
use firedrill::targets::secrets::{SecretError, resolve};
use firedrill_core::report::ResidueState;
use firedrill_core::sample::{Outcome, Sample};
use firedrill_core::sight::{PostgresView, TargetView};
use firedrill_core::time::Known;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{DeleteParams, PostParams};
use kube::config::Kubeconfig;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Far more than anything here takes.
const SOON: Duration = Duration::from_mins(1);

fn kubeconfig() -> PathBuf {
    let lab: PathBuf = std::env::var_os("FIREDRILL_LAB_DIR").map_or("/var/lib/firedrill-lab".into(), Into::into);
    lab.join("kubeconfig")
}

async fn reader(kubeconfig: &Path) -> Reader {
    let access = Access { kubeconfig: Some(kubeconfig.to_owned()), context: None };
    Cluster::connect(&access).await.unwrap().reader()
}

async fn client() -> Client {
    let config = Kubeconfig::read_from(kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn estate(reach: &str) -> Estate {
    let text = format!(
        "environment: lab\nallow: []\ntargets:\n  db:\n    postgres: {{ patroni: {{ namespace: shop, cluster: orders }}, \
         url: {{ secret: shop/orders-shop }}, reach: {reach} }}\nprobes:\n  \
         read: {{ sql: {{ target: db, query: select 1, every: 100ms, fresh-every: 300ms, timeout: 1s }} }}\n"
    );
    parse_estate("estate.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}")).value
}

fn target(reach: &str) -> PostgresTarget {
    let Some(Target::Postgres(target)) = estate(reach).targets.into_values().next() else { panic!("no database") };
    target
}

async fn url(reader: &Reader) -> SecretString {
    resolve(&target("direct").url, Path::new("."), Some(reader)).await.unwrap()
}

async fn look(reader: &Reader, reach: &str) -> PostgresView {
    let mut eyes = PostgresEyes::new("db", &target(reach), reader.clone(), url(reader).await);
    // Twice: the second goes over what the first left open.
    eyes.look().await.unwrap();
    let sight = eyes.look().await.unwrap();
    close(eyes).await;
    let TargetView::Postgres(view) = sight.view else { panic!("no database") };
    view
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_and_port_forward_find_the_same() {
    let _whole = Lab::enter(Part::Orders).await;
    let reader = reader(&kubeconfig()).await;
    let (direct, forwarded) = (look(&reader, "direct").await, look(&reader, "port-forward").await);
    let primary = direct.primary().expect("the lab is whole").0.pod.clone();
    let view = |view: PostgresView| TargetView::Postgres(view);
    assert!(view(direct.clone()).same_but_for_positions(&view(forwarded.clone())), "{direct:#?}\n{forwarded:#?}");

    // Through the Service: the primary, with the timeline that it tells directly.
    let route = Route::to(&target("port-forward"), url(&reader).await, Some(&reader)).await.unwrap();
    let mut session = PgConnection::connect(route.url.expose_secret()).await.unwrap();
    let recovering: bool = sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut session).await.unwrap();
    assert!(!recovering);
    let named = url(&reader).await;
    assert_eq!(route.named.expose_secret(), named.expose_secret());
    assert!(!format!("{route:?}").contains(named.expose_secret()));
    drop(route);
    let cut = sqlx::query("select 1").execute(&mut session).await;
    assert!(cut.is_err(), "{primary}: a door takes its connections with it");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_told_without_its_value() {
    let reader = reader(&kubeconfig()).await;
    let of = |text: &str| SecretRef::Secret(text.to_owned());
    let read = async |text: &str| resolve(&of(text), Path::new("."), Some(&reader)).await;
    assert!(read("shop/orders-shop").await.is_ok());
    for (wrong, why) in [
        ("fd-find-nowhere/orders-shop", "is not there"),
        ("shop/orders-shop#password", "has no key `password`"),
        ("shop/no-such-secret", "has no key `url`, or is not there"),
    ] {
        let error = read(wrong).await.unwrap_err();
        assert!(matches!(error, SecretError::Missing { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// What a gate does with the bytes between a client and the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Connections are cut, and new ones too.
    Cut,
    /// Nothing gets through, and nothing ends.
    Frozen,
}

/// A way to the lab's API that a test can close; the kubeconfig that leads through it.
async fn gate() -> (watch::Sender<Gate>, PathBuf) {
    let mut config = Kubeconfig::read_from(kubeconfig()).unwrap();
    let cluster = config.clusters[0].cluster.as_mut().unwrap();
    let server = cluster.server.take().unwrap();
    let api = server.trim_start_matches("https://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    cluster.server = Some(format!("https://{}", listener.local_addr().unwrap()));
    cluster.tls_server_name = Some(api.rsplit_once(':').unwrap().0.to_owned());
    let path = std::env::temp_dir().join(format!("firedrill-gate-{}.kubeconfig", uuid::Uuid::now_v7()));
    std::fs::write(&path, serde_json::to_string(&config).unwrap()).unwrap();
    let (mode, seen) = watch::channel(Gate::Open);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            if *seen.borrow() != Gate::Cut {
                tokio::spawn(relay(client, TcpStream::connect(api.clone()).await.unwrap(), seen.clone()));
            }
        }
    });
    (mode, path)
}

async fn relay(mut client: TcpStream, mut api: TcpStream, mut mode: watch::Receiver<Gate>) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let open = *mode.borrow_and_update() == Gate::Open;
        tokio::select! {
            changed = mode.changed() => {
                if changed.is_err() || *mode.borrow() == Gate::Cut {
                    return;
                }
            }
            read = client.read(&mut up), if open => match read {
                Ok(n @ 1..) => if api.write_all(&up[..n]).await.is_err() { return },
                _ => return,
            },
            read = api.read(&mut down), if open => match read {
                Ok(n @ 1..) => if client.write_all(&down[..n]).await.is_err() { return },
                _ => return,
            },
        }
    }
}

/// Samples a target's database until `enough` says so of all samples of the kept and the fresh view.
async fn sampled(route: &Route, mut enough: impl AsyncFnMut(&[Sample]) -> bool) -> Vec<Sample> {
    let estate = estate("port-forward");
    let (name, spec): (&Name, &ProbeSpec) = estate.probes.iter().next().unwrap();
    let url_of = |_: &Name| Some(route.url.clone());
    let mut config = ProbeConfig::resolve(name, spec, url_of, uuid::Uuid::now_v7(), 0).unwrap();
    config.detour = route.detour();
    let (set, mut batches) = ProbeSet::start(&[config]).unwrap();
    let mut samples = Vec::new();
    let sampling = async {
        while !enough(&samples).await {
            samples.extend(batches.recv().await.unwrap().samples);
        }
    };
    tokio::time::timeout(2 * SOON, sampling).await.expect("what is awaited comes");
    let finished = set.stop().await;
    let last = &finished[0].summary;
    assert!(!samples.is_empty(), "{last:?}");
    samples
}

fn count(samples: &[Sample], of: impl Fn(Outcome) -> bool) -> usize {
    samples.iter().filter(|s| of(s.outcome)).count()
}

fn well(samples: &[Sample]) -> bool {
    samples.len() >= 20 && samples[samples.len() - 20..].iter().all(|s| matches!(s.outcome, Outcome::Ok { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_away_is_no_outage() {
    let _whole = Lab::enter(Part::Orders).await;
    let (gate, path) = gate().await;
    let reader = reader(&path).await;
    let route = Route::to(&target("port-forward"), url(&reader).await, Some(&reader)).await.unwrap();
    let unknown = |samples: &[Sample]| count(samples, |o| o == Outcome::Unknown);
    let mut closing = [Gate::Cut, Gate::Frozen].into_iter();
    let mut known = 0;
    let mut closed_at = Vec::new();
    let samples = sampled(&route, async |samples| {
        let closed = *gate.borrow() != Gate::Open;
        if closed && unknown(samples) >= known + 20 {
            gate.send_replace(Gate::Open);
            closed_at.push(firedrill::clock::now());
        } else if !closed && well(samples) {
            known = unknown(samples);
            match closing.next() {
                Some(next) => {
                    closed_at.push(firedrill::clock::now());
                    gate.send_replace(next);
                }
                None => return true,
            }
        }
        false
    })
    .await;
    std::fs::remove_file(path).unwrap();
    // A machine that is busy may be late at other times.
    let meanwhile = |s: &&Sample| closed_at.chunks(2).any(|at| s.done_ns >= at[0] && s.sent_ns <= at[1]);
    let failed: Vec<&Sample> =
        samples.iter().filter(|s| matches!(s.outcome, Outcome::Failed(_))).filter(meanwhile).collect();
    assert!(failed.is_empty(), "told as the service's: {failed:?}, closed {closed_at:?}");
    assert_eq!(closed_at.len(), 4);
    assert!(unknown(&samples) >= 40);
}

/// A namespace of a test's own, with a pod that is ready and takes no connection, behind a Service.
async fn nobody_listens(client: &Client) -> String {
    let name = format!("fd-find-{}", &uuid::Uuid::now_v7().simple().to_string()[20..]);
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let shop: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let image = shop.get("orders-0").await.unwrap().spec.unwrap().containers[0].image.clone();
    let pod = json!({ "metadata": { "name": "mute", "labels": { "app": "mute" } },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "mute", "image": image,
            "imagePullPolicy": "Never", "command": ["sleep", "1000"] }] } });
    let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
    let pod: Pod = serde_json::from_value(pod).unwrap();
    // The namespace's own service account comes a moment after it.
    let made = async {
        while let Err(e) = pods.create(&PostParams::default(), &pod).await {
            assert!(e.to_string().contains("serviceaccount"), "{e}");
        }
    };
    tokio::time::timeout(SOON, made).await.unwrap();
    let service = json!({ "metadata": { "name": "mute" },
        "spec": { "selector": { "app": "mute" }, "ports": [{ "port": 5432 }] } });
    let service: Service = serde_json::from_value(service).unwrap();
    Api::<Service>::namespaced(client.clone(), &name).create(&PostParams::default(), &service).await.unwrap();
    tokio::time::timeout(SOON, await_condition(pods, "mute", conditions::is_pod_running())).await.unwrap().unwrap();
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_refuses_is_an_outage() {
    let client = client().await;
    let namespace = nobody_listens(&client).await;
    let reader = reader(&kubeconfig()).await;
    let url = SecretString::from(format!("postgres://a:b@mute.{namespace}.svc:5432/c"));
    let route = Route::to(&target("port-forward"), url, Some(&reader)).await.unwrap();
    let failed = |samples: &[Sample]| count(samples, |o| matches!(o, Outcome::Failed(_)));
    // Until it is an endpoint nobody is there; afterwards it refuses; and both are the service's. On a machine that is busy
    // some channels take so long to open that nothing is said of the service.
    let samples = sampled(&route, async |samples| failed(samples) >= 40).await;
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete(&namespace, &DeleteParams::default()).await.unwrap();
    assert_eq!(count(&samples, |o| matches!(o, Outcome::Ok { .. })), 0);
}

/// Nothing of the shop is reached but through the API: members, Service and ledger, before, during and after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_drill_from_outside_sees_the_role_move_and_counts_what_was_acknowledged() {
    let lab = Lab::enter(Part::Orders).await;
    let path = lab.path("estate.yaml");
    let estate = std::fs::read_to_string(&path).unwrap();
    let outside = estate
        .replace("url: { file: url }", "url: { secret: shop/orders-shop }, reach: port-forward")
        .replace("fresh-every: 200ms", "fresh-every: 500ms");
    assert!(outside.contains("port-forward") && outside.contains("fresh-every: 500ms"), "{outside}");
    std::fs::write(path, outside).unwrap();
    let body = "objectives: { rto: 20s, rpo: 0s }
probes: [orders-write]
method:
  - kill-primary: { target: orders-db, by: delete-pod, grace: 5s }
baseline: { for: 6s, tolerate: 5 }
recover: { expect: promotion, stable-for: 2s, deadline: 30s }
";
    let file = lab.write("from-outside", body);
    let before = lab.primary().await.unwrap();
    let shown = lab.plan(&file).await;
    let delete = format!("delete pod {SHOP}/{} (uid {})", before.name_any(), before.uid().unwrap());
    for change in ["hold lease shop/firedrill-", &delete, "the ledger table of orders-db"] {
        assert!(shown.contains(change), "{change}: {shown}");
    }

    let ended = Runner::new(&lab, "outside").run(&file).await;
    let report = ended.report();
    // A request that the API could not carry in time is nobody's outage, and leaves a doubt about the measure alone.
    assert!(matches!(ended.code(), Some(0 | 3)), "{:#?}\n{}", report.judgement, ended.stderr);
    let found = report.exercised.found.known().map(String::as_str);
    assert!(matches!(found, Some("failover" | "hand-over")), "{:?}", report.exercised);
    let after = lab.primary().await.expect("one primary");
    assert_ne!(before.name_any(), after.name_any());
    let primary = report.topologies[0].after.iter().find(|m| m.role == "primary").map(|m| m.name.clone());
    assert_eq!(primary, Some(after.name_any()), "{:?}", report.topologies);
    let Known::Known(loss) = &report.loss else { panic!("the ledger was not read back: {:?}", report.loss) };
    assert!(loss.acknowledged() > 20 && loss.lost() == 0, "{loss:?}");
    assert_eq!(report.residue.state, ResidueState::Clean);
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}
