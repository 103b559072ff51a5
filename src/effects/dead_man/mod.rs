//! The dead man: a Job outside the blast radius that brings deployments back when the runner's lease lapses, so that a
//! runner lost for good leaves nothing at zero. This is how it is set up, and taken away again; [`watch`] is what it does.

pub mod watch;

use super::{Hands, LooksLike, Trouble, refused};
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::cluster::{DRILL_ANNOTATION, is_not_found};
use firedrill_core::effect::{Holding, ObjectRef, Post, Reply, Version};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use serde_json::{Value, json};
use std::time::Duration;

/// How long it may take to come up: an image has to be pulled.
const UP_WITHIN: Duration = Duration::from_mins(1);
/// From one look at the Job to the next while it comes up.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The port that it opens, for the kubelet, once it has seen all that it needs to see.
const PORT: u16 = 7411;
/// How long it stands at most: longer than any drill.
const STANDS_S: u32 = 24 * 3600;
/// How long its Job is kept when it has ended by itself, for its log.
const KEPT_S: u32 = 3600;

/// Sets it up, and waits until it watches: before that nothing is armed.
pub(super) async fn apply(hands: &Hands, job: &ObjectRef, post: &Post, _permit: InjectPermit) -> Reply {
    let body: Job = match serde_json::from_value(manifest(hands, job, post)) {
        Ok(body) => body,
        Err(e) => return Reply::Rejected(e.to_string()),
    };
    let api: Api<Job> = hands.namespaced(&job.namespace);
    let params = PostParams::default();
    #[expect(clippy::disallowed_methods, reason = "an effect, with its permit")]
    if let Err(trouble) = hands.pace.send(|| api.create(&params, &body)).await {
        return refused(trouble);
    }
    let until = tokio::time::Instant::now() + UP_WITHIN;
    let mut last = "nothing was heard of it".to_owned();
    while tokio::time::Instant::now() < until {
        match hands.pace.send(|| api.get(&job.name)).await {
            Ok(found) => {
                let status = found.status.unwrap_or_default();
                if status.ready.unwrap_or(0) > 0 {
                    return Reply::Applied;
                }
                last =
                    format!("of its pods {} run and {} failed", status.active.unwrap_or(0), status.failed.unwrap_or(0));
            }
            Err(e) => last = e.to_string(),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Reply::Unknown(format!(
        "the dead man did not say within {} s that it watches ({last}): see `kubectl -n {} describe job {}`",
        UP_WITHIN.as_secs(),
        job.namespace,
        job.name
    ))
}

fn manifest(hands: &Hands, job: &ObjectRef, post: &Post) -> Value {
    let labels = json!({ "app.kubernetes.io/managed-by": "firedrill", "app.kubernetes.io/component": "dead-man" });
    let args = [
        "dead-man".to_owned(),
        format!("--namespace={}", post.namespace),
        format!("--lease={}", post.lease),
        format!("--drill={}", hands.drill),
        format!("--after={}s", post.after_s),
        format!("--port={PORT}"),
    ];
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": job.name, "namespace": job.namespace, "labels": labels,
            "annotations": { DRILL_ANNOTATION: hands.drill, "firedrill.dev/experiment": hands.experiment,
                "firedrill.dev/runner": hands.runner },
        },
        "spec": {
            "backoffLimit": 1000, "activeDeadlineSeconds": STANDS_S, "ttlSecondsAfterFinished": KEPT_S,
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "serviceAccountName": post.service_account,
                    "automountServiceAccountToken": true,
                    "restartPolicy": "OnFailure",
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": { "runAsNonRoot": true, "runAsUser": 65532,
                        "seccompProfile": { "type": "RuntimeDefault" } },
                    "containers": [{
                        "name": "dead-man", "image": post.image, "args": args,
                        "startupProbe": { "tcpSocket": { "port": PORT }, "periodSeconds": 1, "failureThreshold": 60 },
                        "resources": { "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "128Mi" } },
                        "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] } },
                    }],
                },
            },
        },
    })
}

pub(super) async fn look(hands: &Hands, job: &ObjectRef) -> LooksLike {
    let api: Api<Job> = hands.namespaced(&job.namespace);
    let found = match hands.pace.send(|| api.get(&job.name)).await {
        Ok(found) => found.metadata,
        Err(Trouble::Api(e)) if is_not_found(&e) => return Ok((Holding::Gone, Version::default())),
        Err(e) => return Err(e.to_string()),
    };
    let version = Version(found.resource_version.unwrap_or_default());
    let mark = found.annotations.and_then(|mut a| a.remove(DRILL_ANNOTATION));
    let holding = if mark.as_ref() == Some(&hands.drill) {
        Holding::Ours
    } else {
        Holding::Other(format!("a Job of drill {}", mark.unwrap_or_else(|| "unknown".to_owned())))
    };
    Ok((holding, version))
}

/// Takes it away, with its pod.
pub(super) async fn undo(hands: &Hands, job: &ObjectRef, _permit: UndoPermit) -> Result<(), String> {
    let api: Api<Job> = hands.namespaced(&job.namespace);
    let uid = match hands.pace.send(|| api.get(&job.name)).await {
        Ok(found) => found.metadata.uid,
        Err(Trouble::Api(e)) if is_not_found(&e) => return Ok(()),
        Err(e) => return Err(e.to_string()),
    };
    // Its name holds the drill's id and its mark was seen; a Job's version moves with every state of its pod.
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid, resource_version: None }),
        ..DeleteParams::default()
    };
    #[expect(clippy::disallowed_methods, reason = "an undo, with its permit")]
    match hands.pace.send(|| api.delete(&job.name, &params)).await {
        Ok(_) => Ok(()),
        Err(Trouble::Api(e)) if is_not_found(&e) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}
