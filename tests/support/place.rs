//! A directory of a test's own, removed with it.

use std::path::{Path, PathBuf};

/// Under the system's temporary directory: PostgreSQL runs as another user there when we are root, and must get through.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("firedrill-drills-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
