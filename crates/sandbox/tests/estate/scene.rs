//! A whole sandbox for one test at a time: two cores do not carry several.

use std::collections::BTreeSet;

use firedrill_sandbox::{
    Options, Sandbox,
    estate::postgres::switches::{Manner, Replication, Standby, Switches},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    task::JoinHandle,
};

use crate::place::{PROGRAM, Place, SOON};

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    place: Place,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) const DEMO: Switches =
    Switches { manner: Manner::Failover, replication: Replication::Sync, standby: Standby::Follow };

impl Scene {
    pub(crate) async fn start(name: &str, switches: Switches) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let place = Place::new(name);
        let mut options = Options::new(place.path().join("sandbox"), PROGRAM).annotate("drills.example/allow", "all");
        options.switches = switches;
        options.truth_file = Some(place.path().join("truth.jsonl"));
        let sandbox = Sandbox::start(options).await.unwrap();
        Self { sandbox, place, _turn: turn }
    }

    /// Ends it, verified; what it leaves is the truth's file, in the place that is returned.
    pub(crate) async fn stop(self) -> Place {
        let dir = self.sandbox.dir().to_owned();
        self.sandbox.stop().await.unwrap();
        assert!(!dir.exists());
        self.place
    }

    /// Lets it go without stopping it.
    pub(crate) fn drop_sandbox(self) -> Place {
        drop(self.sandbox);
        self.place
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.sandbox.cluster().client().unwrap(), &self.sandbox.facts().namespace)
    }

    /// The one pod labelled as primary that is not being deleted.
    pub(crate) async fn primary_pod(&self) -> Pod {
        let params = ListParams::default().labels("app=postgresql,role=primary");
        let mut pods = self.pods().list(&params).await.unwrap().items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        assert_eq!(pods.len(), 1, "{pods:?}");
        pods.remove(0)
    }

    pub(crate) async fn delete(&self, pod: &Pod) {
        let uid = pod.metadata.uid.clone();
        let params = DeleteParams {
            preconditions: Some(kube::api::Preconditions { uid, resource_version: None }),
            ..DeleteParams::default()
        };
        self.pods().delete(pod.metadata.name.as_ref().unwrap(), &params).await.unwrap();
    }

    /// A session of the superuser through the Service that takes writes.
    pub(crate) async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    pub(crate) fn url(&self) -> String {
        std::fs::read_to_string(&self.sandbox.facts().database.url_files["postgres"]).unwrap()
    }

    pub(crate) async fn timeline(&self) -> String {
        sqlx::query_scalar("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)")
            .fetch_one(&mut self.database().await)
            .await
            .unwrap()
    }
}

/// Writes numbers one after the other through the Service, and remembers which were acknowledged.
pub(crate) struct Writer {
    acknowledged: watch::Receiver<BTreeSet<i64>>,
    task: JoinHandle<()>,
}

impl Writer {
    pub(crate) async fn start(scene: &Scene) -> Self {
        sqlx::raw_sql("CREATE TABLE ledger (id bigint PRIMARY KEY)")
            .execute(&mut scene.database().await)
            .await
            .unwrap();
        let url = scene.url();
        let (sender, acknowledged) = watch::channel(BTreeSet::new());
        let task = tokio::spawn(async move {
            let mut connection = None;
            for id in 0_i64.. {
                if connection.is_none() {
                    connection = PgConnection::connect(&url).await.ok();
                }
                let Some(open) = connection.as_mut() else {
                    tokio::task::yield_now().await;
                    continue;
                };
                match sqlx::query("INSERT INTO ledger VALUES ($1)").bind(id).execute(open).await {
                    Ok(_) => {
                        sender.send_modify(|all| {
                            all.insert(id);
                        });
                    }
                    // Unknown: it may have been committed.
                    Err(_) => connection = None,
                }
            }
        });
        Self { acknowledged, task }
    }

    /// Waits until `more` further writes were acknowledged.
    pub(crate) async fn await_more(&mut self, more: usize) {
        let wanted = self.acknowledged.borrow().len() + more;
        tokio::time::timeout(SOON, self.acknowledged.wait_for(|all| all.len() >= wanted))
            .await
            .expect("writes")
            .unwrap();
    }

    pub(crate) fn acknowledged(&self) -> BTreeSet<i64> {
        self.acknowledged.borrow().clone()
    }

    /// Stops writing; acknowledged writes that are not there now.
    pub(crate) async fn lost(self, scene: &Scene) -> BTreeSet<i64> {
        self.task.abort();
        let _ = self.task.await;
        let found: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM ledger").fetch_all(&mut scene.database().await).await.unwrap();
        let found: BTreeSet<i64> = found.into_iter().collect();
        self.acknowledged.borrow().difference(&found).copied().collect()
    }
}
