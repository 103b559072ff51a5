//! The directories of a sandbox. Everything it makes lies under one of them.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::account::RunAs;

/// Paths under one sandbox's directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout under `root`; makes nothing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The sandbox's directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Data directories that outlive their pods, one for each ordinal of a StatefulSet.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Passwords, one a file.
    pub fn credentials(&self) -> PathBuf {
        self.root.join("credentials")
    }

    /// Switches that tests turn, and their acknowledgements.
    pub fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    /// What the S3 server serves.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Logs of programs that are not pods.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Where restores may make ephemeral servers; owned by the unprivileged account.
    pub fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// What the truth process reads and writes.
    pub fn truth(&self) -> PathBuf {
        self.root.join("truth")
    }

    /// Dumps before they are uploaded.
    pub fn dumps(&self) -> PathBuf {
        self.root.join("dumps")
    }

    /// Makes every directory. Those that the unprivileged account must pass through can be passed through.
    pub fn create(&self, run_as: RunAs) -> io::Result<()> {
        fs::create_dir_all(&self.root)?;
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o711))?;
        for (path, mode) in [
            (self.volumes(), 0o711),
            (self.credentials(), 0o700),
            (self.control(), 0o711),
            (self.store(), 0o700),
            (self.logs(), 0o711),
            (self.staging(), 0o755),
            (self.dumps(), 0o700),
            (self.truth(), 0o700),
        ] {
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        run_as.own(&self.staging())?;
        self.check_passable(run_as)
    }

    /// PostgreSQL runs as another account when we are root: every directory above ours must let it through.
    fn check_passable(&self, run_as: RunAs) -> io::Result<()> {
        let RunAs::Dropped(_) = run_as else { return Ok(()) };
        let root = fs::canonicalize(&self.root)?;
        for above in root.ancestors() {
            if fs::metadata(above)?.permissions().mode() & 0o001 == 0 {
                return Err(io::Error::other(format!(
                    "{} lets no other account through (mode has no o+x), but PostgreSQL must run there as an \
                     unprivileged account; choose a directory such as one under /tmp or /var/tmp",
                    above.display()
                )));
            }
        }
        Ok(())
    }
}
