//! An agent on a node: a pod that sees the node's processes, may signal them, and does nothing until it is told to.

use super::{Hands, LooksLike, Trouble, refused, timed};
use crate::effects::agent_words::{AgentPhase, AgentState};
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::cluster::{DRILL_ANNOTATION, is_not_found};
use firedrill_core::effect::{Agent, Blow, Holding, Part, Reply, Version};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long an agent may take from its making until it says that it sees its victim: an image may have to be fetched.
const READY_TIMEOUT: Duration = Duration::from_secs(45);
/// How long an agent may take to end: it lets its victim go first.
const END_TIMEOUT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Makes the pod, and waits until it is idle. A pod that does not come to that is there all the same, and is owed.
pub(super) async fn apply(hands: &Hands, agent: &Agent, _permit: InjectPermit) -> Reply {
    let api: Api<Pod> = hands.namespaced(&agent.pod.namespace);
    let pod: Pod = match serde_json::from_value(manifest(hands, agent)) {
        Ok(pod) => pod,
        Err(e) => return Reply::Rejected(e.to_string()),
    };
    #[expect(clippy::disallowed_methods, reason = "an effect, with its permit")]
    if let Err(e) = timed(async { api.create(&PostParams::default(), &pod).await }).await {
        return match refused(e) {
            // Its name is this drill's alone: what is there is not ours to use.
            Reply::Conflict(why) => Reply::Rejected(why),
            other => other,
        };
    }
    let began = Instant::now();
    loop {
        let trouble = match timed(async { api.get(&agent.pod.name).await }).await {
            Ok(found) => match readiness(&found) {
                Readiness::Idle => return Reply::Applied,
                Readiness::Never(why) => return Reply::Unknown(why),
                Readiness::NotYet(why) => why,
            },
            Err(e) => e.to_string(),
        };
        if began.elapsed() > READY_TIMEOUT {
            return Reply::Unknown(format!(
                "{} was not ready within {} s: {trouble}",
                agent.pod,
                READY_TIMEOUT.as_secs()
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether an agent can be told to act.
enum Readiness {
    Idle,
    NotYet(String),
    Never(String),
}

fn readiness(pod: &Pod) -> Readiness {
    let state = pod.metadata.annotations.as_ref().and_then(AgentState::of);
    match state {
        Some(AgentState { phase: AgentPhase::Idle, .. }) => return Readiness::Idle,
        Some(state) => {
            let why = state.trouble.unwrap_or_else(|| format!("it is {:?} and not idle", state.phase));
            return Readiness::Never(format!("the agent cannot act: {why}"));
        }
        None => {}
    }
    let Some(status) = &pod.status else { return Readiness::NotYet("the kubelet has not seen it".to_owned()) };
    let phase = status.phase.clone().unwrap_or_default();
    let waiting = status.container_statuses.iter().flatten().find_map(|c| c.state.as_ref()?.waiting.clone());
    let (reason, message) =
        waiting.map(|w| (w.reason.unwrap_or_default(), w.message.unwrap_or_default())).unwrap_or_default();
    let said = format!("{phase} {reason} {message}").trim().to_owned();
    let hopeless = ["ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"];
    if matches!(phase.as_str(), "Failed" | "Succeeded") || hopeless.contains(&reason.as_str()) {
        let why = status.message.clone().unwrap_or(said);
        return Readiness::Never(format!("the agent's pod does not run: {why}"));
    }
    Readiness::NotYet(said)
}

/// The pod. It needs the node's process numbers and one capability, and nothing else of the node: no privileges beyond, no
/// volumes, no host network.
fn manifest(hands: &Hands, agent: &Agent) -> Value {
    let victim = &agent.victim;
    let (blow, at_most_ns) = match agent.blow {
        Blow::Crash => ("crash", 0),
        Blow::HoldDown { at_most_ns } => ("hold-down", at_most_ns.0),
        Blow::Freeze { for_ns } => ("freeze", for_ns.0),
    };
    let part = match victim.part {
        Part::All => "all",
        Part::Manager { .. } => "manager",
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": agent.pod.name, "namespace": agent.pod.namespace,
            "labels": { "app.kubernetes.io/managed-by": "firedrill", "app.kubernetes.io/component": "node-agent" },
            "annotations": { DRILL_ANNOTATION: hands.drill, "firedrill.dev/runner": hands.runner,
                "firedrill.dev/experiment": hands.experiment }
        },
        "spec": {
            "nodeName": agent.node, "hostPID": true, "serviceAccountName": agent.service_account,
            // One that died lets its victim go when it is started again.
            "restartPolicy": "OnFailure",
            "terminationGracePeriodSeconds": 10, "activeDeadlineSeconds": agent.lifetime_s,
            "enableServiceLinks": false,
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{
                "name": "agent", "image": agent.image, "imagePullPolicy": "IfNotPresent",
                "command": ["firedrill", "node-agent"],
                "args": [
                    "--namespace", agent.pod.namespace, "--pod", agent.pod.name,
                    "--victim-uid", victim.uid(), "--container-id", victim.container_id,
                    "--part", part, "--blow", blow, "--at-most-ns", at_most_ns.to_string()
                ],
                // No processor time is asked for: on a node that has promised all of its own, the pod would be rejected.
                "resources": { "requests": { "cpu": "0", "memory": "16Mi" }, "limits": { "memory": "128Mi" } },
                "securityContext": {
                    "runAsUser": 0, "runAsNonRoot": false, "readOnlyRootFilesystem": true,
                    "allowPrivilegeEscalation": false, "seccompProfile": { "type": "RuntimeDefault" },
                    // A profile would keep it from signalling containers that run under another one.
                    "appArmorProfile": { "type": "Unconfined" },
                    "capabilities": { "drop": ["ALL"], "add": ["KILL"] }
                }
            }]
        }
    })
}

pub(super) async fn look(hands: &Hands, agent: &Agent) -> LooksLike {
    let api: Api<Pod> = hands.namespaced(&agent.pod.namespace);
    let found = match timed(async { api.get(&agent.pod.name).await }).await {
        Ok(found) => found.metadata,
        Err(Trouble::Api(e)) if is_not_found(&e) => return Ok((Holding::Gone, Version::default())),
        Err(e) => return Err(e.to_string()),
    };
    let drill = found.annotations.as_ref().and_then(|a| a.get(DRILL_ANNOTATION)).cloned();
    let holding = match drill {
        Some(drill) if drill == hands.drill => Holding::Ours,
        Some(drill) => Holding::Other(format!("marked by drill {drill}")),
        None => Holding::Other("a pod of this name that no drill made".to_owned()),
    };
    // What it says of itself moves its version on, so it is deleted on condition of what it is.
    Ok((holding, Version(found.uid.unwrap_or_default())))
}

/// Deletes the pod, and waits until it is gone: while it ends it may still be letting its victim go.
pub(super) async fn undo(hands: &Hands, agent: &Agent, seen: &Version, _permit: UndoPermit) -> Result<(), String> {
    let api: Api<Pod> = hands.namespaced(&agent.pod.namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(seen.0.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    #[expect(clippy::disallowed_methods, reason = "an undo, with its permit")]
    match timed(async { api.delete(&agent.pod.name, &params).await }).await {
        Ok(_) => {}
        Err(Trouble::Api(e)) if is_not_found(&e) => return Ok(()),
        Err(e) => return Err(e.to_string()),
    }
    let began = Instant::now();
    while began.elapsed() < END_TIMEOUT {
        match timed(async { api.get(&agent.pod.name).await }).await {
            Err(Trouble::Api(e)) if is_not_found(&e) => return Ok(()),
            Ok(found) if found.metadata.uid.as_deref() != Some(seen.0.as_str()) => return Ok(()),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    Err(format!("it is being deleted, and is still there after {} s", END_TIMEOUT.as_secs()))
}
