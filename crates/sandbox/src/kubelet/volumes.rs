//! Volumes as directories. There are no mounts: each path is told in the environment, `VOLUME_` and the volume's name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::environment::content;
use crate::api::{Key, Kind, Store, meta};
use crate::process::Identity;

/// Where volumes lie.
pub(super) struct Places<'a> {
    /// The pod's own directory; what is there goes with the pod.
    pub(super) pod: &'a Path,
    /// The directory of claims; what is there stays.
    pub(super) claims: &'a Path,
}

/// Makes a pod's volumes; the answer goes into its environment.
pub(super) fn make(
    store: &Store,
    pod: &Value,
    places: &Places<'_>,
    identity: Option<Identity>,
) -> io::Result<BTreeMap<String, String>> {
    let mut told = BTreeMap::new();
    for volume in meta::items(pod, "/spec/volumes") {
        let name = meta::text(volume, "/name");
        let path = match volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str) {
            Some(claim) => places.claims.join(meta::namespace(pod)).join(claim),
            None => places.pod.join("volumes").join(name),
        };
        make_dir(&path, identity)?;
        for (kind, pointer) in [(Kind::Secret, "/secret/secretName"), (Kind::ConfigMap, "/configMap/name")] {
            let source = meta::text(volume, pointer);
            if !source.is_empty() {
                let object = store.get(&Key::new(kind, meta::namespace(pod), source)).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, format!("{} \"{source}\" not found", kind.name()))
                })?;
                write_files(&path, &content(kind, &object), identity)?;
            }
        }
        let variable = format!("VOLUME_{}", name.to_uppercase().replace(['-', '.'], "_"));
        told.insert(variable, path.display().to_string());
    }
    Ok(told)
}

/// A directory that the pod's user owns and others only pass through.
pub(super) fn make_dir(path: &Path, identity: Option<Identity>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(parent)?;
    }
    match fs::DirBuilder::new().mode(0o711).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    own(path, identity)
}

fn write_files(dir: &Path, content: &BTreeMap<String, Vec<u8>>, identity: Option<Identity>) -> io::Result<()> {
    for (name, bytes) in content {
        let path: PathBuf = dir.join(name);
        let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        io::Write::write_all(&mut file, bytes)?;
        own(&path, identity)?;
    }
    Ok(())
}

fn own(path: &Path, identity: Option<Identity>) -> io::Result<()> {
    match identity {
        Some(identity) => chown(path, Some(identity.uid), Some(identity.gid)),
        None => Ok(()),
    }
}
