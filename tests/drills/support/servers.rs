//! A cluster whose pods are real PostgreSQL servers, labelled as a test wants them: the sandbox's API and kubelet without its
//! estate.

use super::place::Place;
use super::scene::{LOOK_EVERY, PROGRAM, SOON, turn};
use firedrill::scratch::account::Account;
use firedrill::scratch::binaries::Binaries;
use firedrill::spec::estate::{PostgresTarget, Target};
use firedrill::spec::load::parse_estate;
use firedrill::targets::cluster::{ALLOW_ANNOTATION, Access, Cluster as Reached, Reader};
use firedrill::targets::postgres::{PostgresEyes, close};
use firedrill_core::drill::Surveyed;
use firedrill_core::sight::{PostgresView, TargetView};
use firedrill_sandbox::cluster::{Cluster, ClusterOptions};
use firedrill_sandbox::process::{Keeper, KeeperOptions};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use std::collections::BTreeMap;
use tokio::sync::MutexGuard;

/// The database that every server has, and its superuser without a password.
const URL: &str = "postgres://postgres@db:5432/postgres";
/// The namespace of everything.
pub const NAMESPACE: &str = "default";

pub struct Servers {
    keeper: Keeper,
    cluster: Cluster,
    place: Place,
    _turn: MutexGuard<'static, ()>,
}

impl Servers {
    /// A cluster without pods, whose namespace allows `kill-primary`.
    pub async fn start() -> Self {
        let turn = turn().await;
        let place = Place::new();
        let options = KeeperOptions { dir: place.path().join("keeper"), program: PROGRAM.into() };
        let keeper = Keeper::start(options).await.unwrap();
        let cluster = Cluster::start(keeper.clone(), ClusterOptions::default()).await.unwrap();
        std::fs::write(place.path().join("url"), URL).unwrap();
        let servers = Self { keeper, cluster, place, _turn: turn };
        let api: Api<Namespace> = Api::all(servers.client());
        let allow = Patch::Merge(json!({ "metadata": { "annotations": { ALLOW_ANNOTATION: "kill-primary" } } }));
        api.patch(NAMESPACE, &PatchParams::default(), &allow).await.unwrap();
        servers
    }

    pub async fn stop(self) {
        self.cluster.stop().await;
        self.keeper.stop().await.unwrap();
    }

    fn client(&self) -> Client {
        self.cluster.client().unwrap()
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), NAMESPACE)
    }

    pub fn pods(&self) -> Api<Pod> {
        self.api()
    }

    pub async fn reader(&self) -> Reader {
        let access = Access { kubeconfig: Some(self.cluster.kubeconfig().to_owned()), context: None };
        Reached::connect(&access).await.unwrap().reader()
    }

    /// A pod that runs a shell script; its address, once it runs.
    pub async fn pod(&self, name: &str, script: &str) -> String {
        let mut pod = json!({
            "metadata": { "name": name },
            "spec": { "terminationGracePeriodSeconds": 1,
                "containers": [{ "name": "main", "image": "none", "command": ["sh", "-c", script] }] },
        });
        if let Account::Dropped { uid, gid, .. } = Account::choose().unwrap() {
            pod["spec"]["securityContext"] = json!({ "runAsUser": uid, "runAsGroup": gid });
        }
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let runs = |pod: Option<&Pod>| {
            let status = pod.and_then(|p| p.status.as_ref());
            status.is_some_and(|s| s.pod_ip.is_some() && s.phase.as_deref() == Some("Running"))
        };
        let pod = tokio::time::timeout(SOON, await_condition(self.pods(), name, runs)).await.unwrap().unwrap();
        pod.unwrap().status.unwrap().pod_ip.unwrap()
    }

    /// A server with a database of its own.
    pub async fn primary(&self, name: &str) -> String {
        let bin = Binaries::find(None, None).unwrap().directory;
        let bin = bin.display();
        let script = format!(
            "{bin}/initdb -D data -U postgres -A trust -N >/dev/null && exec {bin}/postgres -D data -k '' \
             -c listen_addresses=$POD_IP -c fsync=off"
        );
        let address = self.pod(name, &script).await;
        self.session(&address).await;
        address
    }

    /// A standby of the server at `of`, streaming.
    pub async fn standby(&self, name: &str, of: &str) -> String {
        let bin = Binaries::find(None, None).unwrap().directory;
        let bin = bin.display();
        let script = format!(
            "{bin}/pg_basebackup -h {of} -U postgres -D data -R -X stream -c fast && exec {bin}/postgres -D data -k '' \
             -c listen_addresses=$POD_IP -c fsync=off -c cluster_name={name}"
        );
        let address = self.pod(name, &script).await;
        self.session(&address).await;
        self.until(of, "select exists (select from pg_stat_replication where state = 'streaming')").await;
        address
    }

    /// A session of the superuser, once the server takes it.
    pub async fn session(&self, address: &str) -> PgConnection {
        let url = format!("postgres://postgres@{address}:5432/postgres");
        let connected = async {
            loop {
                match PgConnection::connect(&url).await {
                    Ok(session) => return session,
                    Err(_) => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        };
        tokio::time::timeout(SOON, connected).await.unwrap_or_else(|_| panic!("no server at {address}"))
    }

    pub async fn execute(&self, address: &str, sql: &str) {
        self.session(address).await.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    /// The same in another database of that server.
    pub async fn execute_in(&self, address: &str, database: &str, sql: &str) {
        self.session(address).await;
        let url = format!("postgres://postgres@{address}:5432/{database}");
        let mut session = PgConnection::connect(&url).await.unwrap();
        session.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    /// Waits until every standby of a server has replayed all that it has written.
    pub async fn until_standbys_have_all(&self, address: &str) {
        let all = "select bool_and(replay_lsn >= pg_current_wal_flush_lsn()) from pg_stat_replication";
        self.until(address, all).await;
    }

    /// Waits until a query answers true.
    pub async fn until(&self, address: &str, sql: &str) {
        let mut session = self.session(address).await;
        let holds = async {
            while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(sql.to_owned())).fetch_one(&mut session).await.unwrap() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(SOON, holds).await.unwrap_or_else(|_| panic!("never true: {sql}"));
    }

    /// Gives a pod these labels and no others.
    pub async fn label(&self, pod: &str, labels: &[(&str, &str)]) {
        let present = self.pods().get(pod).await.unwrap().metadata.labels.unwrap_or_default();
        let mut wanted: BTreeMap<&str, Value> = present.keys().map(|key| (key.as_str(), Value::Null)).collect();
        wanted.extend(labels.iter().map(|(key, value)| (*key, json!(value))));
        let patch = Patch::Merge(json!({ "metadata": { "labels": wanted } }));
        self.pods().patch(pod, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn delete(&self, pod: &str) {
        self.pods().delete(pod, &DeleteParams::default().grace_period(0)).await.unwrap();
        let gone = await_condition(self.pods(), pod, |pod: Option<&Pod>| pod.is_none());
        tokio::time::timeout(SOON, gone).await.unwrap().unwrap();
    }

    /// An estate whose target `db` is found as `how` says, with `guards` as they are written.
    fn estate(&self, how: &str, guards: &str) -> String {
        format!(
            "environment: servers\nallow: [kill-primary]\nkubernetes: {{ kubeconfig: \"{}\" }}\ntargets:\n  db:\n    \
             postgres: {{ {how}, url: {{ file: \"{}\" }} }}\nprobes:\n  writes: {{ ledger: {{ target: db }} }}\n\
             guards: {{ {guards} }}\n",
            self.cluster.kubeconfig().display(),
            self.place.path().join("url").display(),
        )
    }

    /// A target that is found as `how` says.
    pub fn target(&self, how: &str) -> PostgresTarget {
        let text = self.estate(how, "cool-down: 0s");
        let estate = parse_estate("estate.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}")).value;
        let Some(Target::Postgres(target)) = estate.targets.into_values().next() else { panic!("no database") };
        target
    }

    /// Eyes on the target that is found as `how` says.
    pub async fn eyes(&self, how: &str) -> PostgresEyes {
        PostgresEyes::new("db", &self.target(how), self.reader().await, URL.to_owned().into())
    }

    /// One look at the target that is found as `how` says.
    pub async fn look(&self, how: &str) -> PostgresView {
        let mut eyes = self.eyes(how).await;
        let view = look_with(&mut eyes).await;
        close(eyes).await;
        view
    }

    /// The preflight of `kill-primary` at the target that is found as `how` says.
    pub async fn survey(&self, how: &str, guards: &str) -> Surveyed {
        let (estate, experiment) = (self.place.path().join("estate.yaml"), self.place.path().join("kill.yaml"));
        std::fs::write(&estate, self.estate(how, &format!("cool-down: 0s, {guards}"))).unwrap();
        let text = "experiment: kill\ntitle: A drill of the tests\nowner: tests@ultramarket.example\n\
                    objectives: { rto: 30s, rpo: 0s }\nprobes: [writes]\nmethod:\n  - kill-primary: { target: db }\n";
        std::fs::write(&experiment, text).unwrap();
        let state = self.place.path().join("state");
        let prepared = {
            let order = firedrill::runner::Order::read(&experiment, &estate).unwrap();
            let by = firedrill_core::report::Trigger::Hand("by a test".to_owned());
            firedrill::runner::prepare(order, firedrill::runner::new_drill(), by, &state).await.unwrap()
        };
        prepared.fault().survey(&prepared.scene).await
    }

    /// Why `kill-primary` is refused.
    pub async fn refused(&self, how: &str, guards: &str) -> String {
        match self.survey(how, guards).await.plan {
            Err(refusal) => refusal.why,
            Ok(plan) => panic!("not refused: {plan:?}"),
        }
    }
}

/// One look more.
pub async fn look_with(eyes: &mut PostgresEyes) -> PostgresView {
    let TargetView::Postgres(view) = eyes.look().await.unwrap().view else { panic!("no database") };
    view
}
