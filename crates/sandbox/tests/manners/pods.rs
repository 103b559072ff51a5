//! Pods as processes: their surroundings, their restarts, their end.

use std::time::{Duration, Instant};

use firedrill_sandbox::process::{ProcStat, start_ticks};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::bench::{Stand, container, in_time, is_ready, pid, runs, script, written};

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("it runs");
}

#[tokio::test]
async fn a_pod_is_a_process_that_knows_who_it_is() {
    let stand = Stand::new("pod-self").await;
    let mut manifest = script("one", "echo $POD_NAME $POD_NAMESPACE $POD_UID $POD_IP $GREETING; pwd; exec sleep 1000");
    manifest["spec"]["containers"][0]["env"] = json!([
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "GREETING", "value": "I-am-$(NAME)"},
    ]);
    stand.make::<Pod>(manifest).await;
    let pod = stand.until("one", is_ready).await;
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).expect("an address");
    let [a, b, c] = stand.cluster.network();
    assert!(ip.starts_with(&format!("{a}.{b}.{c}.")), "{ip}");
    in_time("the process has spoken", || {
        std::fs::read_to_string(stand.keeper.dir().join("logs/default_one_main.log"))
            .is_ok_and(|log| log.lines().count() == 2)
    })
    .await;
    let uid = pod.uid().expect("a uid");
    let expected = format!("one default {uid} {ip} I-am-one\n{}\n", stand.pod_dir(&pod).display());
    assert_eq!(stand.log("one").await, expected);
    let stat = ProcStat::of(pid(&pod)).expect("it runs");
    assert_eq!((stat.ppid, stat.session), (stand.keeper.pid(), stat.pid));
    stand.leave().await;
}

#[tokio::test]
async fn a_deleted_pod_may_finish_within_its_grace() {
    let stand = Stand::new("pod-grace").await;
    let polite = "trap 'echo bye; exit 0' TERM; echo up >up; while :; do sleep 0.01; done";
    let pod: Pod = stand.make(script("one", polite)).await;
    stand.until("one", is_ready).await;
    written(&stand.pod_dir(&pod).join("up")).await;
    let begun = Instant::now();
    stand.api::<Pod>().delete("one", &DeleteParams::default()).await.expect("deleted");
    stand.until_gone::<Pod>("one").await;
    assert!(begun.elapsed() < Duration::from_secs(25), "it did not wait for the end of the grace of 30 s");
    let log = std::fs::read_to_string(stand.keeper.dir().join("logs/default_one_main.log")).expect("a log");
    assert_eq!(log, "bye\n");
    assert!(!stand.pod_dir(&pod).exists());
    stand.leave().await;
}

#[tokio::test]
async fn a_pod_deaf_to_sigterm_is_killed_at_the_end_of_its_grace_and_its_children_with_it() {
    let stand = Stand::new("pod-deaf").await;
    let mut manifest = script("one", "trap '' TERM; setsid sleep 1000 & echo $! >child; while :; do sleep 0.01; done");
    manifest["spec"]["terminationGracePeriodSeconds"] = json!(3);
    stand.make::<Pod>(manifest).await;
    let pod = stand.until("one", is_ready).await;
    let child = written(&stand.pod_dir(&pod).join("child")).await.trim().parse().expect("a pid");
    let both = [pid(&pod), child].map(|pid| (pid, start_ticks(pid)));
    let begun = Instant::now();
    stand.api::<Pod>().delete("one", &DeleteParams::default()).await.expect("deleted");
    let going = stand.until("one", |pod: &Pod| pod.metadata.deletion_timestamp.is_some()).await;
    assert!(runs(both[0].0, both[0].1), "{going:?}");
    stand.until_gone::<Pod>("one").await;
    assert!(begun.elapsed() >= Duration::from_secs(3), "the grace was given: {:?}", begun.elapsed());
    assert!(both.iter().all(|&(pid, started)| !runs(pid, started)), "gone before the object is");
    stand.leave().await;
}

#[tokio::test]
async fn a_pod_deleted_by_force_is_gone_at_once_and_its_process_soon() {
    let stand = Stand::new("pod-force").await;
    stand.make::<Pod>(script("one", "trap '' TERM; echo up >up; while :; do sleep 0.01; done")).await;
    let pod = stand.until("one", is_ready).await;
    written(&stand.pod_dir(&pod).join("up")).await;
    let process = (pid(&pod), start_ticks(pid(&pod)));
    stand.api::<Pod>().delete("one", &DeleteParams::default().grace_period(0)).await.expect("deleted");
    assert!(stand.api::<Pod>().get_opt("one").await.expect("an answer").is_none());
    assert!(runs(process.0, process.1), "the process has the least grace that there is");
    in_time("the process has ended", || !runs(process.0, process.1)).await;
    stand.leave().await;
}

#[tokio::test]
async fn a_container_that_dies_is_restarted_in_place() {
    let stand = Stand::new("pod-restart").await;
    stand.make::<Pod>(script("one", "exec sleep 1000")).await;
    let first = stand.until("one", is_ready).await;
    kill(pid(&first));
    let second = stand.until("one", |pod: &Pod| container(pod).restart_count == 1 && is_ready(pod)).await;
    assert_eq!(second.uid(), first.uid(), "the same pod");
    assert_eq!(
        second.status.as_ref().and_then(|status| status.pod_ip.clone()),
        first.status.and_then(|status| status.pod_ip)
    );
    assert_ne!(
        container(&second).container_id,
        container(&second).last_state.and_then(|last| last.terminated?.container_id)
    );
    let last = container(&second).last_state.and_then(|last| last.terminated).expect("the end of the first");
    assert_eq!((last.exit_code, last.signal, last.reason.as_deref()), (137, Some(9), Some("Error")));
    stand.leave().await;
}

#[tokio::test]
async fn restarts_come_ever_more_slowly() {
    let stand = Stand::new("pod-backoff").await;
    let pod: Pod = stand.make(script("one", "date +%s%N >>starts; exit 3")).await;
    let waiting = |pod: &Pod| {
        let reason = container(pod).state.and_then(|state| state.waiting?.reason);
        container(pod).restart_count >= 5 && reason.as_deref() == Some("CrashLoopBackOff")
    };
    let seen = stand.until("one", waiting).await;
    assert_eq!(container(&seen).last_state.and_then(|last| last.terminated).map(|last| last.exit_code), Some(3));
    let starts = std::fs::read_to_string(stand.pod_dir(&pod).join("starts")).expect("starts");
    let at: Vec<u64> = starts.lines().map(|line| line.parse().expect("nanoseconds")).collect();
    let pauses: Vec<u64> = at.windows(2).map(|two| (two[1] - two[0]) / 1_000_000).collect();
    // 0, 20, 40, 80 ms at least.
    for (pause, least) in pauses.iter().zip([0, 20, 40, 80]) {
        assert!(*pause >= least, "{pauses:?}");
    }
    stand.leave().await;
}

#[tokio::test]
async fn the_restart_policy_decides_what_an_end_means() {
    let stand = Stand::new("pod-policy").await;
    for (name, command, policy, phase) in [
        ("done", "exit 0", "Never", "Succeeded"),
        ("broken", "exit 4", "Never", "Failed"),
        ("retried", "[ -e once ] || { : >once; exit 1; }", "OnFailure", "Succeeded"),
    ] {
        let mut manifest = script(name, command);
        manifest["spec"]["restartPolicy"] = json!(policy);
        stand.make::<Pod>(manifest).await;
        let ended = stand
            .until(name, |pod: &Pod| {
                let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
                ["Succeeded", "Failed"].contains(&phase.unwrap_or_default().as_str())
            })
            .await;
        assert_eq!(ended.status.as_ref().and_then(|status| status.phase.as_deref()), Some(phase), "{name}");
        assert_eq!(container(&ended).restart_count, i32::from(name == "retried"), "{name}");
    }
    stand.leave().await;
}

#[tokio::test]
async fn a_pod_waits_for_the_secret_that_it_names() {
    let stand = Stand::new("pod-secret").await;
    let mut manifest = script("one", "echo $PASSWORD; exec sleep 1000");
    manifest["spec"]["containers"][0]["env"] =
        json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}}]);
    stand.make::<Pod>(manifest).await;
    let waiting = |pod: &Pod| container(pod).state.and_then(|state| state.waiting).and_then(|waiting| waiting.message);
    let seen = stand.until("one", |pod: &Pod| waiting(pod).is_some()).await;
    assert_eq!(waiting(&seen).as_deref(), Some("Secret \"login\" has no key \"password\""));
    stand.make::<Secret>(json!({"metadata": {"name": "login"}, "stringData": {"password": "open sesame"}})).await;
    stand.until("one", is_ready).await;
    let log = stand.keeper.dir().join("logs/default_one_main.log");
    assert_eq!(written(&log).await, "open sesame\n");
    stand.leave().await;
}

#[tokio::test]
async fn a_pod_runs_as_the_user_that_it_names() {
    let stand = Stand::new("pod-user").await;
    let own = rustix::process::geteuid();
    let uid = if own.is_root() { 65_534 } else { own.as_raw() };
    let mut manifest = script("one", "id -u >who; exec sleep 1000");
    manifest["spec"]["securityContext"] =
        json!({"runAsUser": uid, "runAsGroup": rustix::process::getegid().as_raw().max(1)});
    let pod: Pod = stand.make(manifest).await;
    assert_eq!(written(&stand.pod_dir(&pod).join("who")).await.trim(), uid.to_string());
    stand.leave().await;
}

#[tokio::test]
async fn at_zero_replicas_no_process_is_left() {
    let stand = Stand::new("pod-zero").await;
    let mut template = script("web", "exec sleep 1000");
    template["spec"]["terminationGracePeriodSeconds"] = json!(2);
    stand
        .make::<Deployment>(json!({
            "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": template["spec"],
            }},
        }))
        .await;
    let ready =
        |count: Option<i32>| move |one: &Deployment| one.status.clone().unwrap_or_default().ready_replicas == count;
    stand.until("web", ready(Some(3))).await;
    let pods = stand.api::<Pod>().list(&kube::api::ListParams::default()).await.expect("a list").items;
    let processes: Vec<_> = pods.iter().map(|pod| (pid(pod), start_ticks(pid(pod)))).collect();
    assert_eq!(processes.iter().filter(|(pid, started)| runs(*pid, *started)).count(), 3);
    let patch = Patch::Merge(json!({"spec": {"replicas": 0}}));
    stand.api::<Deployment>().patch("web", &PatchParams::default(), &patch).await.expect("scaled");
    for pod in pods {
        stand.until_gone::<Pod>(&pod.name_any()).await;
    }
    assert!(processes.iter().all(|&(pid, started)| !runs(pid, started)));
    stand.leave().await;
}
