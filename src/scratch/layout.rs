//! What lies where in a scratch directory, and the marker that says whose it is.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The port in the socket's name. Nothing listens on TCP.
pub const PORT: u16 = 5432;
/// A socket's path has at most 107 bytes on Linux; `/s/.s.PGSQL.5432.lock` comes behind the directory.
const SOCKET_PARENT_BYTES_MAX: usize = 80;

/// The places of one scratch. The directory is chosen, and recorded, before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    directory: PathBuf,
}

/// Says whose a directory is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The drill it was made for.
    pub drill: String,
    /// The directory itself: a copy of a scratch somewhere else is nobody's.
    pub directory: PathBuf,
}

impl Layout {
    /// The layout of a directory, which must be absolute.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the directory is put together before it gets its name, so that it never exists without its marker.
    pub fn making(&self) -> PathBuf {
        let mut name = self.directory.file_name().unwrap_or_default().to_owned();
        name.push(".making");
        self.directory.with_file_name(name)
    }

    /// The marker.
    pub fn marker(&self) -> PathBuf {
        self.directory.join("firedrill-scratch.json")
    }

    /// Who the keeper is.
    pub fn keeper(&self) -> PathBuf {
        self.directory.join("keeper.json")
    }

    /// PostgreSQL's data.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What the server says.
    pub fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// For what is fetched, and for programs to run in.
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// The directory of the server's socket. Under a directory with a long name it lies in `/tmp`, named after a hash of
    /// the directory, so that it is known without reading anything.
    pub fn socket_directory(&self) -> PathBuf {
        if self.directory.as_os_str().len() <= SOCKET_PARENT_BYTES_MAX {
            return self.directory.join("s");
        }
        let hash = Sha256::digest(self.directory.as_os_str().as_encoded_bytes());
        let short = hash.iter().take(8).fold(0_u64, |short, byte| short << 8 | u64::from(*byte));
        PathBuf::from(format!("/tmp/firedrill-{short:016x}"))
    }

    /// Makes the directory with its marker in one step: put together beside it, made durable, then renamed.
    ///
    /// # Errors
    /// When it exists already, or what the system said.
    pub fn make(&self, drill: &str) -> io::Result<()> {
        if self.directory.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the directory is there already"));
        }
        let making = self.making();
        fs::DirBuilder::new().mode(0o711).create(&making)?;
        // The umask may have taken more: the server's account has to pass through.
        fs::set_permissions(&making, fs::Permissions::from_mode(0o711))?;
        let marker = Marker { drill: drill.to_owned(), directory: self.directory.clone() };
        let name = self.marker().file_name().unwrap_or_default().to_owned();
        write_durably(&making.join(name), &serde_json::to_vec(&marker)?)?;
        fs::rename(&making, &self.directory)?;
        if let Some(parent) = self.directory.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    /// Reads the marker; `None` when there is none that can be read.
    pub fn read_marker(&self) -> Option<Marker> {
        serde_json::from_slice(&fs::read(self.marker()).ok()?).ok()
    }
}

/// Writes a new file that only its owner reads, and waits until it is on the disk.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_directory_has_a_short_socket_of_its_own() {
        let short = Layout::new("/var/lib/firedrill/scratch-1");
        assert_eq!(short.socket_directory(), Path::new("/var/lib/firedrill/scratch-1/s"));
        let long = |letter: &str| Layout::new(format!("/var/{}/x", letter.repeat(100))).socket_directory();
        assert!(long("a").as_os_str().len() < 60);
        assert_ne!(long("a"), long("b"));
    }
}
