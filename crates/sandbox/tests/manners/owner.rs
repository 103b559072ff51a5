//! A whole cluster in a process that is killed: no process, no port, no file is left.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use firedrill_sandbox::process::{descendants_of, start_ticks};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;

use crate::bench::{PATIENCE, PROGRAM, eventually, fresh_dir, is_ready, runs, script};

/// Killed also when the test fails.
struct Owner(Child);

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn sigkill_of_a_cluster_leaves_nothing() {
    let dir = fresh_dir("cluster-kill");
    let child = Command::new(PROGRAM).arg("cluster").arg(&dir).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut owner = Owner(child.expect("it starts"));
    let mut line = String::new();
    let output = owner.0.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("it says where its kubeconfig is");
    let kubeconfig = Kubeconfig::read_from(line.trim()).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a config");
    config.root_cert = Some(Vec::new());
    config.default_retry = false;
    let uri = config.cluster_url.clone();
    let address = format!("{}:{}", uri.host().expect("a host"), uri.port_u16().expect("a port"));
    let pods: Api<Pod> = Api::namespaced(kube::Client::try_from(config).expect("a client"), "default");
    let deaf = "trap '' TERM INT HUP; setsid sleep 1000 & while :; do sleep 0.01; done";
    for name in ["one", "two"] {
        let pod = serde_json::from_value(script(name, deaf)).expect("a pod");
        pods.create(&PostParams::default(), &pod).await.expect("made");
        let ready = await_condition(pods.clone(), name, |pod: Option<&Pod>| pod.is_some_and(is_ready));
        tokio::time::timeout(PATIENCE, ready).await.expect("in time").expect("ready");
    }
    let own = i32::try_from(owner.0.id()).expect("a pid");
    // The keeper, two pods, and the child of each in a session of its own.
    let sleeps = || descendants_of(own).iter().filter(|stat| stat.comm == "sleep" && stat.session == stat.pid).count();
    eventually("both pods have their child", || sleeps() >= 2);
    let known: Vec<_> = descendants_of(own).iter().map(|stat| (stat.pid, start_ticks(stat.pid))).collect();
    TcpStream::connect(&address).expect("the API listens");
    owner.0.kill().expect("SIGKILL");
    owner.0.wait().expect("reaped");
    eventually("every process has ended", || known.iter().all(|&(pid, started)| !runs(pid, started)));
    eventually("the directory is gone", || !dir.exists());
    assert!(TcpStream::connect(&address).is_err(), "the port is free");
}
