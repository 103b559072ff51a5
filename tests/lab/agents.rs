//! Agents on the lab's node: what `deploy/roles` ships for them, in a namespace of the test's own, and firedrill's image.

use crate::install::kubectl::Kubectl;
use crate::lab::Lab;
use crate::runner::{LOOK_EVERY, PROGRAM, SOON};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use std::path::Path;

/// A namespace where drills may make agents, taken away again however the test ends.
pub struct Agents {
    kubectl: Kubectl,
    namespace: String,
}

impl Drop for Agents {
    fn drop(&mut self) {
        drop(self.kubectl.said(&["delete", "namespace", &self.namespace, "--wait=false"]));
    }
}

impl Agents {
    /// Makes it, and names it in the test's estate; beside the probe through the Service, that gets one which holds on to the
    /// member that is lost.
    pub fn enter(lab: &Lab) -> Self {
        let kubectl = Kubectl::of_lab().expect("the lab is up");
        kubectl.give_image(Path::new(PROGRAM));
        let namespace = format!("fd-agents-{}", &uuid::Uuid::now_v7().simple().to_string()[20..]);
        let role = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/roles/kill-primary-agent.yaml");
        kubectl.apply(&std::fs::read_to_string(role).unwrap().replace("firedrill-agents", &namespace));
        let agent = format!(
            "url: {{ file: url }}, agent: {{ image: \"docker.io/firedrill-lab/firedrill:1\", namespace: {namespace}, \
             service-account: firedrill-agent }} }}"
        );
        let path = lab.path("estate.yaml");
        let estate = std::fs::read_to_string(&path).unwrap();
        let with = estate.replace("url: { file: url } }", &agent).replace(
            "\nprobes:\n",
            "\nprobes:\n  orders-held: { ledger: { target: orders-db, at: member, every: 20ms, fresh-every: 1s, timeout: 60s } }\n",
        );
        assert!(with.contains(&agent) && with.contains("orders-held"), "{estate}");
        std::fs::write(path, with).unwrap();
        Self { kubectl, namespace }
    }

    /// The agents that are there.
    pub async fn pods(&self, lab: &Lab) -> Vec<Pod> {
        lab.api::<Pod>(&self.namespace).list(&ListParams::default()).await.unwrap().items
    }

    /// Waits until the one agent that is there says that its time was over, and that it let go.
    pub async fn until_its_time_is_over(&self, lab: &Lab) {
        let waiting = async {
            loop {
                let pods = self.pods(lab).await;
                let [agent] = &pods[..] else { panic!("{} agents are there", pods.len()) };
                let state = agent.annotations().get("firedrill.dev/agent-state").cloned().unwrap_or_default();
                if state.contains("\"phase\":\"over\"") {
                    assert!(state.contains("\"by\":\"timer\""), "{state}");
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(SOON, waiting).await.expect("its time is over");
    }
}
