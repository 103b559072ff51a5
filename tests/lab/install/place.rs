//! A directory of a test's own, removed with it.

use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("firedrill-lab-test-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    /// A path in it, as an argument.
    pub fn shown(&self, path: &str) -> String {
        self.0.join(path).display().to_string()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Copies a directory into it.
    pub fn copy(&self, from: &Path, to: &str) {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = format!("{to}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                self.copy(&entry.path(), &to);
            } else {
                self.write(&to, &std::fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
