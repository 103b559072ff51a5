//! The lab as a test sees it: its client, its keys, the files of drills on it, and the estate put right between two tests.

use crate::place::Place;
use crate::runner::{LOOK_EVERY, PROGRAM, SOON};
use firedrill::targets::cluster::{ALLOW_ANNOTATION, DRILL_ANNOTATION, REPLICAS_ANNOTATION};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

/// The namespaces that `deploy/roles` ships, of which there is one each in a cluster: for one test at a time.
pub static SHIPPED: Mutex<()> = Mutex::const_new(());

/// What of the lab a test drills. Tests of different parts run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The database cluster `orders` in the shop, its backups, and staging.
    Orders,
    /// The web deployments of the shop.
    Web,
    /// A namespace of the test's own. It is only counted, so that the machine is not given more than it can bear.
    Apart,
    /// All of it: the cluster itself is disturbed.
    Everything,
}

impl Part {
    /// Takes its turn: one test for each part, and in one order, so that nobody waits for whoever waits for them.
    async fn turn(self) -> Vec<MutexGuard<'static, ()>> {
        static TURNS: [(Part, Mutex<()>); 3] = [
            (Part::Orders, Mutex::const_new(())),
            (Part::Web, Mutex::const_new(())),
            (Part::Apart, Mutex::const_new(())),
        ];
        let mut turn = Vec::new();
        for (_, mutex) in TURNS.iter().filter(|(part, _)| self.holds(*part)) {
            turn.push(mutex.lock().await);
        }
        turn
    }

    fn holds(self, part: Self) -> bool {
        self == part || self == Self::Everything
    }

    /// Whether a lock in the shop is of a drill on this part: a database's is named by its system identifier, a number.
    fn locks(self, lease: &str) -> bool {
        let Some(of) = lease.strip_prefix("firedrill-") else { return false };
        let database = of.bytes().all(|b| b.is_ascii_digit());
        self.holds(if database { Self::Orders } else { Self::Web })
    }
}

/// Where the shop runs.
pub const SHOP: &str = "shop";
/// What may be done in the shop and in staging.
const ALLOWED: &str = "kill-primary,kill-primary/crash,kill-primary/freeze,kill-manager,scale-to-zero,restore-backup";
/// Where restores go.
pub const STAGING: &str = "staging";

/// The lab, as the test of one part has it.
pub struct Lab {
    pub client: Client,
    place: Place,
    directory: PathBuf,
    part: Part,
    _turn: Vec<MutexGuard<'static, ()>>,
}

impl AsRef<Path> for Lab {
    fn as_ref(&self) -> &Path {
        self.place.path()
    }
}

impl Lab {
    /// The lab that is up, the part of it whole, with drills allowed in the shop and in staging where they are of it.
    pub async fn enter(part: Part) -> Self {
        let turn = part.turn().await;
        let directory: PathBuf =
            std::env::var_os("FIREDRILL_LAB_DIR").map_or("/var/lib/firedrill-lab".into(), Into::into);
        let kubeconfig = Kubeconfig::read_from(directory.join("kubeconfig"))
            .unwrap_or_else(|e| panic!("the lab is not up ({e}); `make lab-test` brings it up"));
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        config.default_retry = false;
        let lab = Self { client: Client::try_from(config).unwrap(), place: Place::new(), directory, part, _turn: turn };
        if part != Part::Apart {
            for namespace in [SHOP, STAGING] {
                lab.allow(namespace, Some(ALLOWED)).await;
            }
        }
        std::fs::write(lab.path("estate.yaml"), lab.estate().await).unwrap();
        lab.put_right().await;
        lab.until_whole().await;
        lab
    }

    /// Takes away what the drills of a test that failed have left on this part: theirs ended with it, and the next test is to
    /// fail for reasons of its own.
    async fn put_right(&self) {
        for namespace in [SHOP, STAGING] {
            let leases = self.api::<Lease>(namespace);
            for lease in leases.list(&ListParams::default()).await.unwrap() {
                let name = lease.name_any();
                if self.part.locks(&name) {
                    eprintln!("{namespace} still had the lock {name}");
                    leases.delete(&name, &DeleteParams::default()).await.unwrap();
                }
            }
        }
        let deployments = self.api::<Deployment>(SHOP);
        for left in deployments.list(&ListParams::default()).await.unwrap() {
            let captured = left.annotations().get(REPLICAS_ANNOTATION).map(|count| count.parse::<i32>().unwrap());
            if let Some(captured) = captured.filter(|_| self.part.holds(Part::Web)) {
                let marks = json!({ DRILL_ANNOTATION: null, REPLICAS_ANNOTATION: null });
                let back = json!({ "metadata": { "annotations": marks }, "spec": { "replicas": captured } });
                eprintln!("{} was still at zero", left.name_any());
                deployments.patch(&left.name_any(), &PatchParams::default(), &Patch::Merge(back)).await.unwrap();
            }
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Where the test's own backups are in the bucket: those of an earlier one would make the time between backups long.
    pub fn prefix(&self) -> String {
        self.place.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Where the lab's own files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes an experiment, and says where.
    pub fn write(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(&format!("{name}.yaml"));
        let head = format!("experiment: {name}\ntitle: A drill in the lab\nowner: tests@ultramarket.example\n");
        std::fs::write(&path, head + body).unwrap();
        path
    }

    /// What a person is shown that a drill would change.
    pub async fn plan(&self, experiment: &Path) -> String {
        let mut command = tokio::process::Command::new(PROGRAM);
        command.arg("plan").arg(experiment).arg("--estate").arg(self.path("estate.yaml"));
        let ended = command.arg("--state").arg(self.path("plan-state")).output().await.unwrap();
        let shown = String::from_utf8(ended.stdout).unwrap();
        assert!(ended.status.success(), "{shown}{}", String::from_utf8_lossy(&ended.stderr));
        assert!(shown.ends_with(" nothing was touched\n"), "{shown}");
        shown
    }

    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Puts the opt-in on a namespace, or takes it away.
    pub async fn allow(&self, namespace: &str, words: Option<&str>) {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { ALLOW_ANNOTATION: words } } }));
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.patch(namespace, &PatchParams::default(), &patch).await.unwrap();
    }

    /// The address of a Service, which answers on the node too.
    pub async fn address(&self, namespace: &str, service: &str) -> String {
        self.api::<Service>(namespace).get(service).await.unwrap().spec.unwrap().cluster_ip.unwrap()
    }

    fn key(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join("keys").join(name)).unwrap().trim().to_owned()
    }

    /// The URL of the shop's database for its application, by way of the Service.
    pub async fn shop_url(&self) -> String {
        let address = self.address(SHOP, "orders").await;
        format!("postgres://shop:{}@{address}:5432/shop", self.key("postgres-shop"))
    }

    /// The URL of the superuser on one member, or wherever the address leads.
    pub fn superuser_url(&self, address: &str, database: &str) -> String {
        format!("postgres://postgres:{}@{address}:5432/{database}", self.key("postgres-superuser"))
    }

    /// The S3 server's keys: id and secret.
    pub fn s3_keys(&self) -> (String, String) {
        let text = self.key("s3.env");
        let of = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap().to_owned();
        (of("AWS_ACCESS_KEY_ID="), of("AWS_SECRET_ACCESS_KEY="))
    }

    /// An estate file. Secrets are in files of the test's own.
    async fn estate(&self) -> String {
        let (id, secret) = self.s3_keys();
        for (name, text) in [("url", &self.shop_url().await), ("s3-id", &id), ("s3-secret", &secret)] {
            std::fs::write(self.path(name), text).unwrap();
        }
        format!(
            "environment: lab
allow: [kill-primary, kill-manager, scale-to-zero, restore-backup]
kubernetes: {{ kubeconfig: \"{kubeconfig}\" }}
targets:
  orders-db:
    postgres: {{ patroni: {{ namespace: {SHOP}, cluster: orders }}, url: {{ file: url }} }}
  web:
    deployments: {{ namespace: {SHOP}, select: {{ names: [storefront, cart, checkout] }} }}
  backups:
    backups:
      s3: {{ bucket: backups, prefix: {prefix}/, endpoint: \"http://10.244.0.1:7070\", access-key: {{ file: s3-id }}, secret-key: {{ file: s3-secret }} }}
      of: orders-db
  scratch:
    staging: {{ scratch: {{ directory: \"{scratch}\" }} }}
probes:
  orders-write: {{ ledger: {{ target: orders-db, every: 50ms, fresh-every: 200ms, timeout: 1s }} }}
  storefront: {{ http: {{ url: \"http://{storefront}/\", every: 50ms }} }}
guards: {{ cool-down: 0s }}
",
            prefix = self.prefix(),
            kubeconfig = self.directory.join("kubeconfig").display(),
            scratch = self.path("scratch").display(),
            storefront = self.address(SHOP, "storefront").await,
        )
    }

    /// The counts that the shop's deployments ask for.
    pub async fn counts(&self) -> BTreeMap<String, i32> {
        let listed = self.api::<Deployment>(SHOP).list(&ListParams::default()).await.unwrap();
        listed.into_iter().map(|d| (d.name_any(), d.spec.unwrap().replicas.unwrap())).collect()
    }

    /// The pods of the cluster `orders`.
    pub async fn members(&self) -> Vec<Pod> {
        self.api::<Pod>(SHOP).list(&ListParams::default().labels("cluster-name=orders")).await.unwrap().items
    }

    /// The one pod that Patroni calls the leader; `None` while there is none, or several.
    pub async fn primary(&self) -> Option<Pod> {
        let role = |p: &Pod| p.labels().get("role").is_some_and(|r| r == "master" || r == "primary");
        let mut primaries: Vec<Pod> = self.members().await.into_iter().filter(role).collect();
        if primaries.len() == 1 { primaries.pop() } else { None }
    }

    /// Whether the part is as `make lab-up` leaves it: a primary with a standby that streams, all web pods ready.
    async fn whole(&self) -> bool {
        (!self.part.holds(Part::Web) || self.web_whole().await)
            && (!self.part.holds(Part::Orders) || self.orders_whole().await)
    }

    async fn web_whole(&self) -> bool {
        let deployments = self.api::<Deployment>(SHOP).list(&ListParams::default()).await.unwrap();
        let ready =
            |d: &Deployment| d.status.as_ref().and_then(|s| s.ready_replicas) == d.spec.as_ref().unwrap().replicas;
        deployments.iter().all(ready) && self.storefront_answers().await
    }

    /// Whether users reach it: the way of its Service may lead to pods that are gone for a moment after others are ready.
    async fn storefront_answers(&self) -> bool {
        let address = format!("{}:80", self.address(SHOP, "storefront").await);
        for _ in 0..12 {
            let connected = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(&address)).await;
            if !matches!(connected, Ok(Ok(_))) {
                return false;
            }
        }
        true
    }

    async fn orders_whole(&self) -> bool {
        let ready = |p: &Pod| {
            let conditions = p.status.iter().filter_map(|s| s.conditions.as_ref()).flatten();
            p.metadata.deletion_timestamp.is_none()
                && conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
        };
        let members = self.members().await;
        if members.len() != 2 || !members.iter().all(ready) {
            return false;
        }
        let Some(address) = self.primary().await.and_then(|p| p.status?.pod_ip) else { return false };
        let streaming = async {
            let mut session = PgConnection::connect(&self.superuser_url(&address, "postgres")).await?;
            let sql = "select count(*) from pg_stat_replication where state = 'streaming'";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut session).await
        };
        matches!(tokio::time::timeout(SOON, streaming).await, Ok(Ok(1)))
    }

    /// Waits until what an earlier drill took has come back.
    pub async fn until_whole(&self) {
        let waiting = async {
            while !self.whole().await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(2 * SOON, waiting).await.expect("the shop comes back as `make lab-up` left it");
    }

    /// Nothing of any drill on this part is left: no lock, no mark.
    pub async fn assert_nothing_left(&self) {
        for namespace in [SHOP, STAGING] {
            let leases = self.api::<Lease>(namespace).list(&ListParams::default()).await.unwrap();
            let locks: Vec<String> =
                leases.iter().map(kube::ResourceExt::name_any).filter(|name| self.part.locks(name)).collect();
            assert!(locks.is_empty(), "{namespace} has locks: {locks:?}");
        }
        if !self.part.holds(Part::Web) {
            return;
        }
        let deployments = self.api::<Deployment>(SHOP).list(&ListParams::default()).await.unwrap();
        let marked: Vec<String> = deployments
            .iter()
            .filter(|d| d.annotations().contains_key(DRILL_ANNOTATION))
            .map(kube::ResourceExt::name_any)
            .collect();
        assert!(marked.is_empty(), "deployments carry a drill's mark: {marked:?}");
    }
}

#[test]
fn a_lock_is_of_the_part_whose_drill_holds_it() {
    for (lease, part) in [
        ("firedrill-7712883250820670350", Part::Orders),
        ("firedrill-web-01a21dc1-d305-71aa-8c87-e7d178a40e50", Part::Web),
    ] {
        for other in [Part::Orders, Part::Web, Part::Apart] {
            assert_eq!(other.locks(lease), other == part, "{lease} of {other:?}");
        }
        assert!(Part::Everything.locks(lease));
    }
    assert!(!Part::Everything.locks("orders-leader"));
}
