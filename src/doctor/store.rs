//! Backups: is the bucket listed, is there a backup to restore, and are PostgreSQL's programs here new enough for it, with
//! room for the copy?

use super::disk::{self, Need, size};
use super::finding::Finding;
use crate::faults::restore_backup::RestoreBackup;
use crate::scratch::account::Account;
use crate::scratch::binaries::{Binaries, major_of};
use crate::spec::estate::StagingTarget;
use crate::targets::backups::BackupStore;
use crate::targets::scene::Scene;
use crate::works::restore::archive::{HEAD_BYTES_MAX, read_head};
use crate::works::restore::find::{FindPlan, find};

/// A custom-format dump is compressed, and beside the copy there are its indexes: as experience has it, several times the
/// dump.
const COPY_TIMES: u64 = 4;

/// What is known of the backup that would be restored.
struct Backup {
    size_bytes: u64,
    /// The major version of PostgreSQL that can read it.
    major: Option<u32>,
}

pub(super) async fn examine(restore: &RestoreBackup, scene: &Scene) -> Vec<Finding> {
    let (seen, backup) = bucket(restore, scene).await;
    let mut findings = vec![seen];
    match restore.staging(scene) {
        Ok(StagingTarget::Scratch(scratch)) => {
            let named = scratch.binaries.as_ref().map(|b| scene.base.join(b));
            findings.push(programs(named.as_deref(), backup.as_ref().and_then(|b| b.major)));
            findings.push(account());
            if let Ok(parent) = restore.scratch_parent(scene) {
                let subject = format!("target {}", restore.into);
                let least_bytes = backup.as_ref().map_or(0, |b| b.size_bytes);
                let need = Need { least_bytes, ample_bytes: least_bytes.saturating_mul(COPY_TIMES).max(1 << 30) };
                findings.push(disk::writable(&subject, "where a scratch is made", &parent, need));
            }
        }
        // `pg_restore` alone is needed, of whatever is there.
        Ok(StagingTarget::Server(_)) => findings.push(programs(None, backup.and_then(|b| b.major))),
        Err(refusal) => findings.push(Finding::against("files", "staging", "a target", refusal.why, refusal.help)),
    }
    findings
}

async fn bucket(restore: &RestoreBackup, scene: &Scene) -> (Finding, Option<Backup>) {
    let subject = format!("target {}", restore.from);
    let (name, expected) = ("bucket", "can be listed, and holds a backup");
    let access = match restore.access(scene).await {
        Ok(access) => access,
        Err(refusal) => return (Finding::against(&subject, name, expected, refusal.why, refusal.help), None),
    };
    let store = BackupStore::open(access).await;
    // One header is enough: the worst case over all of them is for a drill to work out.
    let plan = FindPlan { headers_max: 1, ..restore.find_plan(crate::clock::stamp().wall_ns) };
    let found = match find(&store, &plan).await {
        Ok(found) => found,
        Err(e) if e.is_proof() => {
            let help = "The bucket is reached; a drill of it would FAIL. See why there is no backup.";
            return (Finding::doubtful(&subject, name, expected, e.to_string(), help), None);
        }
        Err(e) => {
            let help = "See that bucket, endpoint and credentials are right, and that they may list and read.";
            return (Finding::against(&subject, name, expected, e.to_string(), help), None);
        }
    };
    let object = &found.object;
    let head = store.head_bytes(&object.key, HEAD_BYTES_MAX).await.map_err(|e| e.to_string());
    let head = head.and_then(|bytes| read_head(&bytes, object.size_bytes).map_err(|e| e.to_string()));
    let of = match &head {
        Ok(head) => format!("of PostgreSQL {}", head.server_version),
        Err(why) => why.clone(),
    };
    let told = format!("{} ({}, {of}), {}", object.key, size(object.size_bytes), found.chosen_by);
    let backup = Backup {
        size_bytes: object.size_bytes,
        major: head.as_ref().ok().and_then(|h| major_of(&h.server_version).max(major_of(&h.dump_version))),
    };
    let finding = if head.is_ok() {
        Finding::fine(&subject, name, expected, told)
    } else {
        let help = "The bucket is reached; a drill of this backup would FAIL. See what it really holds.";
        Finding::doubtful(&subject, name, expected, told, help)
    };
    (finding, Some(backup))
}

fn programs(named: Option<&std::path::Path>, major: Option<u32>) -> Finding {
    let (subject, name) = ("this machine", "PostgreSQL's programs");
    let expected = match major {
        Some(major) => format!("initdb, postgres and pg_restore of version {major} or later"),
        None => "initdb, postgres and pg_restore".to_owned(),
    };
    match Binaries::find(named, major) {
        Ok(found) => {
            Finding::fine(subject, name, expected, format!("{} in {}", found.version, found.directory.display()))
        }
        Err(e) => {
            let help = "Install PostgreSQL of the backup's major version, or name `binaries` in the estate.";
            Finding::against(subject, name, expected, e.to_string(), help)
        }
    }
}

/// PostgreSQL refuses root.
fn account() -> Finding {
    let (subject, name, expected) = ("this machine", "account for PostgreSQL", "not root");
    match Account::choose() {
        Ok(Account::Own) => Finding::fine(subject, name, expected, "this runner's own"),
        Ok(Account::Dropped { name: whom, .. }) => Finding::fine(subject, name, expected, whom),
        Err(e) => Finding::against(subject, name, expected, e.to_string(), "Run firedrill as an ordinary user."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    #[test]
    fn programs_must_be_as_new_as_the_dump() {
        assert_eq!(programs(None, Some(9)).mark, Mark::Fine);
        let old = programs(None, Some(99));
        assert_eq!(old.mark, Mark::Against);
        assert!(old.found.contains("99"), "{old:?}");
        assert_eq!(programs(Some(std::path::Path::new("/proc/self")), None).mark, Mark::Against);
    }
}
