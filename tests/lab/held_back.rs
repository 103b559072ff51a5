//! A standby that is held back: nothing that the primary's server sends arrives there any more, until it is let go.

use k8s_openapi::api::core::v1::Pod;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The network of the standby's pod, with a rule of the test's own.
pub struct HeldBack {
    process: u32,
}

impl HeldBack {
    pub fn new(standby: &Pod, primary: &Pod) -> Self {
        let address = primary.status.as_ref().and_then(|s| s.pod_ip.clone()).unwrap();
        let this = Self { process: process_of(standby.metadata.uid.as_ref().unwrap()) };
        let rule = format!(
            "table ip fd_held_back {{ chain arriving {{ type filter hook input priority 0; \
             ip saddr {address} tcp sport 5432 drop; }}; }}\n"
        );
        assert!(this.nft(&rule), "{rule}");
        this
    }

    fn nft(&self, commands: &str) -> bool {
        let network = format!("--net=/proc/{}/ns/net", self.process);
        let child = Command::new("nsenter").args([&network, "nft", "-f", "-"]).stdin(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
        child.wait().unwrap().success()
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        // With the pod its network is gone, and the rule too.
        if std::path::Path::new(&format!("/proc/{}", self.process)).exists() {
            self.nft("delete table ip fd_held_back\n");
        }
    }
}

/// A process of a pod, on the node.
fn process_of(uid: &str) -> u32 {
    let pods = [format!("pod{uid}"), format!("pod{}", uid.replace('-', "_"))];
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut numbers = processes.filter_map(|p| p.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let of_pod = |number: &u32| {
        let cgroups = std::fs::read_to_string(format!("/proc/{number}/cgroup")).unwrap_or_default();
        pods.iter().any(|pod| cgroups.contains(pod))
    };
    numbers.find(of_pod).expect("the lab's node is this machine")
}
