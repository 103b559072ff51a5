//! A real PostgreSQL that is killed: the shared memory that it holds as a lock does not stay behind.

use std::path::Path;

use firedrill_sandbox::process::release_segments;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::bench::{Stand, in_time, pid, script};

const START: &str = "PATH=/usr/lib/postgresql/15/bin:$PATH; initdb -D data -A trust -N >/dev/null && \
                     exec postgres -D data -k '' -c listen_addresses=$POD_IP -c fsync=off";

/// The account that runs PostgreSQL: never root.
fn account() -> (u32, u32) {
    let own = rustix::process::geteuid();
    if !own.is_root() {
        return (own.as_raw(), rustix::process::getegid().as_raw());
    }
    let accounts = std::fs::read_to_string("/etc/passwd").expect("accounts");
    let line = accounts.lines().find(|line| line.starts_with("postgres:")).expect("PostgreSQL is installed");
    let mut ids = line.split(':').skip(2).map(|id| id.parse().expect("a number"));
    (ids.next().expect("a uid"), ids.next().expect("a gid"))
}

/// The id of the segment that a running postmaster names.
fn segment(data: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let ready = text.lines().nth(7)?.starts_with("ready");
    let id = text.lines().nth(6)?.split_whitespace().nth(1)?.to_owned();
    ready.then_some(id)
}

fn exists(id: &str) -> bool {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").expect("the kernel's table");
    table.lines().skip(1).any(|line| line.split_whitespace().nth(1) == Some(id))
}

async fn database(stand: &Stand) -> (Pod, String) {
    let (uid, gid) = account();
    let mut manifest = script("db", START);
    manifest["spec"]["restartPolicy"] = json!("Never");
    manifest["spec"]["securityContext"] = json!({"runAsUser": uid, "runAsGroup": gid});
    let pod: Pod = stand.make(manifest).await;
    let data = stand.pod_dir(&pod).join("data");
    in_time("PostgreSQL accepts connections", || segment(&data).is_some()).await;
    let id = segment(&data).expect("just seen");
    assert!(exists(&id), "a postmaster holds its segment");
    (stand.api::<Pod>().get("db").await.expect("there"), id)
}

#[tokio::test]
async fn a_deleted_pod_takes_the_segment_of_its_killed_postmaster_along() {
    let stand = Stand::new("shm-pod").await;
    let (pod, id) = database(&stand).await;
    kill_process(Pid::from_raw(pid(&pod)).expect("a pid"), Signal::KILL).expect("it runs");
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
    stand.until("db", |pod: &Pod| phase(pod).as_deref() == Some("Failed")).await;
    assert!(exists(&id), "SIGKILL leaves it");
    stand.api::<Pod>().delete("db", &DeleteParams::default()).await.expect("deleted");
    in_time("the segment is gone", || !exists(&id)).await;
    stand.leave().await;
}

#[tokio::test]
async fn the_end_of_a_sandbox_takes_the_segment_of_a_running_postmaster_along() {
    let stand = Stand::new("shm-end").await;
    let (_, id) = database(&stand).await;
    let released = release_segments(stand.keeper.dir()).expect("looked at");
    assert!(released == 0 && exists(&id), "what is attached is left alone");
    let Stand { keeper, cluster, .. } = stand;
    // Without the cluster's own stop: as when the owner dies.
    keeper.clone().stop().await.expect("nothing is left");
    assert!(!exists(&id));
    cluster.stop().await;
}
