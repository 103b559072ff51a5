//! The guard of `reach: port-forward`: every database that is reached through the API must be allowed to be.

use crate::guards::preflight::Preflight;
use crate::spec::estate::{Reach, Target};
use crate::targets::cluster::{ClusterError, Reader};
use crate::targets::route::FORWARD_RIGHTS;
use crate::targets::scene::Scene;
use firedrill_core::time::Known;

/// The runner must be allowed to forward to the pods of the targets that are reached so.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn port_forward(scene: &Scene, reader: &Reader, preflight: &mut Preflight) -> Result<(), ClusterError> {
    let mut forwarded: Vec<(&str, &str)> = scene
        .routes
        .keys()
        .filter_map(|name| match scene.loaded.estate.targets.get(name) {
            Some(Target::Postgres(db)) if db.reach == Reach::PortForward => {
                Some((name.as_str(), db.namespace.as_str()))
            }
            _ => None,
        })
        .collect();
    forwarded.sort_unstable();
    for (target, namespace) in forwarded {
        let mut missing = Vec::new();
        for right in FORWARD_RIGHTS {
            if !reader.may(namespace, *right).await? {
                missing.push(format!("{} {} in {namespace}", right.verb, right.resource));
            }
        }
        let found = if missing.is_empty() {
            format!("all {}", FORWARD_RIGHTS.len())
        } else {
            format!("may not {}", missing.join(", "))
        };
        preflight.require(
            &format!("reach of {target}"),
            "what a port-forward needs",
            found,
            Known::Known(missing.is_empty()),
            "Grant deploy/roles/port-forward.yaml to the runner in this namespace, or run it inside the cluster.",
        );
    }
    Ok(())
}
