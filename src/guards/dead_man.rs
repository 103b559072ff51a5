//! The dead man: outside the blast radius, and one that the runner may set up and take away.

use crate::guards::preflight::Preflight;
use crate::targets::cluster::{ClusterError, Reader, Right};
use crate::targets::scene::Scene;
use firedrill_core::time::Known;

/// What the runner needs in the namespace of the dead man.
pub const RIGHTS: &[Right] =
    &[Right::to("get", "batch", "jobs"), Right::to("create", "batch", "jobs"), Right::to("delete", "batch", "jobs")];

/// What the runner needs in the namespace of the target, besides the lock itself: to renew it.
pub const RENEWAL: Right = Right::to("patch", "coordination.k8s.io", "leases");

/// Writes down who brings the deployments back when this runner is lost for good, and refuses a dead man that would go with
/// the target, or that cannot be set up.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn check(scene: &Scene, preflight: &mut Preflight, target: &str) -> Result<(), ClusterError> {
    let Some(estate) = &scene.loaded.estate.dead_man else {
        let nobody = "nobody: the estate has no `dead-man`, so a person does, by the marks on the deployments";
        preflight.note("who brings them back if this runner is lost for good", "said", nobody);
        return Ok(());
    };
    let own = estate.namespace.as_str();
    preflight.require(
        "the dead man's namespace",
        "not the target's",
        own,
        Known::Known(own != target),
        "It must not go with what it is to bring back. Give it a namespace of its own in the estate's `dead-man`.",
    );
    let Ok(reader) = scene.reader() else { return Ok(()) };
    let mut missing = missing(reader, own, RIGHTS).await?;
    missing.extend(self::missing(reader, target, &[RENEWAL]).await?);
    let found = if missing.is_empty() { "all".to_owned() } else { format!("may not {}", missing.join(", ")) };
    preflight.require(
        "permissions for the dead man",
        "set it up, take it away, renew what it watches",
        found,
        Known::Known(missing.is_empty()),
        "Apply deploy/roles/dead-man.yaml, for his namespace, and grant the Role of this fault in the target's.",
    );
    Ok(())
}

async fn missing(reader: &Reader, namespace: &str, rights: &[Right]) -> Result<Vec<String>, ClusterError> {
    let mut missing = Vec::new();
    for right in rights {
        if !reader.may(namespace, *right).await? {
            missing.push(format!("{} {} in {namespace}", right.verb, right.resource));
        }
    }
    Ok(missing)
}
