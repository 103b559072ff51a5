//! What the installation needs of a directory of a test's own: paths as arguments, files, copies of shipped directories.

use crate::place::Place;
use std::path::Path;

impl Place {
    /// A path in it, as an argument.
    pub fn shown(&self, path: &str) -> String {
        self.path().join(path).display().to_string()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
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
