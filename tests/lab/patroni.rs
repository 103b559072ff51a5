//! Patroni's own settings, by its REST API: another value while a test needs it.

use crate::lab::Lab;
use std::process::Command;

/// Settings that are put back when this is dropped.
pub struct Setting {
    members: Vec<String>,
    before: String,
}

impl Setting {
    /// Sets what `patch` has, a JSON object, and later what `before` has.
    pub async fn new(lab: &Lab, patch: &str, before: &str) -> Self {
        let members = lab.members().await.into_iter().filter_map(|p| p.status?.pod_ip).collect();
        let this = Self { members, before: before.to_owned() };
        assert!(this.patch(patch), "{patch}");
        this
    }

    /// Any member that answers passes it on to all.
    fn patch(&self, body: &str) -> bool {
        let said = self.members.iter().map(|address| {
            Command::new("curl")
                .args([
                    "--silent",
                    "--show-error",
                    "--fail",
                    "--noproxy",
                    "*",
                    "--max-time",
                    "10",
                    "--output",
                    "/dev/null",
                ])
                .args(["--request", "PATCH", "--data", body])
                .arg(format!("http://{address}:8008/config"))
                .status()
        });
        let mut said = said.map(|status| status.unwrap().success());
        said.any(|done| done)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let back = self.patch(&self.before);
        assert!(back || std::thread::panicking(), "Patroni's settings could not be put back: {}", self.before);
    }
}
