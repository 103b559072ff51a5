//! Staging: every guard of a restore into a server that is there already, as the restore itself asks them.

use super::finding::Finding;
use crate::faults::restore_backup::RestoreBackup;
use crate::guards::staging;
use crate::spec::estate::StagingTarget;
use crate::targets::scene::Scene;
use firedrill_core::time::Known;

pub(super) async fn examine(restore: &RestoreBackup, scene: &Scene) -> Vec<Finding> {
    let Ok(StagingTarget::Server(server)) = restore.staging(scene) else { return Vec::new() };
    let subject = format!("target {}", restore.into);
    let server = match restore.server(scene, server).await {
        Ok(server) => server,
        // Its secret has a finding of its own.
        Err(refusal) => {
            return vec![Finding::against(&subject, "guards of a restore", "all agree", refusal.why, refusal.help)];
        }
    };
    let help = "Every guard of a restore must agree; each alone refuses.";
    let finding = |check: firedrill_core::restore::Check| {
        let found = match &check.found {
            Known::Known(found) => found.clone(),
            Known::Unknown(why) => format!("cannot be told: {why}"),
        };
        match check.ok {
            Known::Known(true) => Finding::fine(&subject, &check.name, check.expected, found),
            _ => Finding::against(&subject, &check.name, check.expected, found, help),
        }
    };
    staging::survey(&server).await.into_iter().map(finding).collect()
}
