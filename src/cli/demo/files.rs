//! The demo's files: the estate as it really is, and the experiments as they lie beside this file.

use super::DemoError;
use firedrill_sandbox::Facts;
use std::path::{Path, PathBuf};

/// The experiments, in the order in which they are run.
const EXPERIMENTS: &[(&str, &str)] = &[
    ("orders-primary-loss", include_str!("experiments/orders-primary-loss.yaml")),
    ("web-scale-to-zero", include_str!("experiments/web-scale-to-zero.yaml")),
    ("orders-backup-restore", include_str!("experiments/orders-backup-restore.yaml")),
    ("orders-backup-cut", include_str!("experiments/orders-backup-cut.yaml")),
];

/// The pages that the experiments link to.
const RUNBOOKS: &[(&str, &str)] = &[
    ("postgresql-failover.md", include_str!("../../../runbooks/postgresql-failover.md")),
    ("bring-deployments-back.md", include_str!("../../../runbooks/bring-deployments-back.md")),
    ("suspect-backup.md", include_str!("../../../runbooks/suspect-backup.md")),
    ("residue.md", include_str!("../../../runbooks/residue.md")),
];

/// Where the demo's files were put.
#[derive(Clone, Debug)]
pub(super) struct Files {
    experiments: PathBuf,
    /// The estate.
    pub(super) estate: PathBuf,
}

impl Files {
    /// The file of an experiment.
    pub(super) fn experiment(&self, name: &str) -> PathBuf {
        self.experiments.join(format!("{name}.yaml"))
    }
}

/// Takes away what an earlier demo left in the same place: its reports, and its journal, whose estate is gone with all that
/// its drills could still owe. Nothing else in the directory is touched.
pub(super) fn clear(out_dir: &Path) -> Result<(), DemoError> {
    let of_demo = EXPERIMENTS.iter().map(|(name, _)| out_dir.join(name)).filter(|d| d.join("report.json").exists());
    let journal = Some(out_dir.join("state")).filter(|d| d.join("journal.sqlite").exists());
    for dir in of_demo.chain(journal) {
        std::fs::remove_dir_all(&dir).map_err(|source| DemoError::File { path: dir.clone(), source })?;
    }
    Ok(())
}

/// Writes everything a person needs to run these drills again by hand, while the sandbox lives.
pub(super) fn write(out_dir: &Path, facts: &Facts, cut_prefix: &str) -> Result<Files, DemoError> {
    let experiments = out_dir.join("experiments/demo");
    let runbooks = out_dir.join("runbooks");
    for (name, text) in EXPERIMENTS {
        put(&experiments.join(format!("{name}.yaml")), text)?;
    }
    for (name, text) in RUNBOOKS {
        put(&runbooks.join(name), text)?;
    }
    let estate = experiments.join("estates/sandbox.yaml");
    put(&estate, &estate_text(facts, cut_prefix))?;
    Ok(Files { experiments, estate })
}

fn put(path: &Path, text: &str) -> Result<(), DemoError> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    made.map_err(|source| DemoError::File { path: path.to_owned(), source })
}

fn estate_text(facts: &Facts, cut_prefix: &str) -> String {
    let namespace = &facts.namespace;
    let database = &facts.database;
    let store = &facts.store;
    let secret = database.secrets.get("firedrill").cloned().unwrap_or_default();
    let names: Vec<&str> = facts.deployments.keys().map(String::as_str).collect();
    let s3 = |prefix: &str| {
        format!(
            "{{ bucket: {}, prefix: {prefix}, region: {}, endpoint: \"{}\", access-key: {{ file: \"{}\" }}, secret-key: {{ file: \"{}\" }} }}",
            store.bucket,
            store.region,
            store.endpoint,
            store.access_key_file.display(),
            store.secret_key_file.display()
        )
    };
    format!(
        "# Written by the demo for the sandbox it started; it is gone when the demo is over.
environment: sandbox
allow: [kill-primary, scale-to-zero, restore-backup]
kubernetes: {{ kubeconfig: \"{kubeconfig}\" }}
targets:
  orders-db:
    postgres:
      namespace: {namespace}
      members: app={set}
      primary: role=primary
      leader-lock: {{ lease: postgresql-leader }}
      url: {{ secret: {namespace}/{secret} }}
      port: {port}
  web:
    deployments: {{ namespace: {namespace}, select: {{ names: [{names}] }} }}
  orders-backups:
    backups: {{ s3: {whole}, of: orders-db }}
  cut-backups:
    backups: {{ s3: {cut}, of: orders-db }}
  scratch:
    staging: {{ scratch: {{ directory: \"{staging}\", binaries: \"{programs}\" }} }}
probes:
  orders-write: {{ ledger: {{ target: orders-db, every: 20ms, timeout: 1s }} }}
  storefront: {{ http: {{ url: \"{shop}/v2/products?limit=10\", every: 20ms, timeout: 1s }} }}
guards: {{ cool-down: 0s }}
",
        kubeconfig = facts.kubeconfig.display(),
        set = database.stateful_set,
        port = database.port,
        names = names.join(", "),
        whole = s3(&store.prefix),
        cut = s3(cut_prefix),
        staging = facts.staging.display(),
        programs = database.programs.display(),
        shop = facts.storefront_url,
    )
}
