//! The lab that is up, by its own kubectl.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The lab's kubectl, as its administrator or as somebody with a token.
#[derive(Clone, Debug)]
pub struct Kubectl {
    lab: PathBuf,
    token: Option<String>,
}

impl Kubectl {
    /// The lab that is up. Without one a test is passed over in one line, unless the lab is required.
    pub fn of_lab() -> Option<Self> {
        let lab = std::env::var_os("FIREDRILL_LAB_DIR").map_or_else(|| "/var/lib/firedrill-lab".into(), PathBuf::from);
        if lab.join("ready").exists() {
            return Some(Self { lab, token: None });
        }
        let why = format!("no lab is up in {}: make lab-up", lab.display());
        assert!(std::env::var_os("FIREDRILL_REQUIRE_LAB").is_none_or(|v| v.is_empty()), "{why}");
        eprintln!("skipped: {why}");
        None
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.lab.join("kubeconfig")
    }

    /// The same cluster, as whom the token is of.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Without arguments yet.
    fn program(&self) -> Command {
        let mut command = Command::new(self.lab.join("bin/kubectl"));
        // What it learns of the API would stay in the home directory otherwise.
        command.arg("--cache-dir").arg(self.lab.join("kubectl"));
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program();
        match &self.token {
            None => command.arg("--kubeconfig").arg(self.kubeconfig()),
            // The administrator's certificate would go before the token.
            Some(token) => {
                let server = self
                    .program()
                    .arg("--kubeconfig")
                    .arg(self.kubeconfig())
                    .args(["config", "view", "--minify", "--raw", "-o"])
                    .arg("jsonpath={.clusters[0].cluster.server}")
                    .output()
                    .unwrap();
                let server = String::from_utf8(server.stdout).unwrap();
                let authority = self.lab.join("keys/ca.crt");
                command.args(["--kubeconfig=/dev/null", "--server", &server, "--token", token]);
                command.arg("--certificate-authority").arg(authority)
            }
        };
        command.args(args);
        command
    }

    /// What a command says, with `input` given to it.
    fn told(&self, args: &[&str], input: &str) -> Said {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads nothing has closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub fn said(&self, args: &[&str]) -> Said {
        self.told(args, "")
    }

    /// The output of a command that must work.
    pub fn must(&self, args: &[&str]) -> String {
        let said = self.said(args);
        assert_eq!(said.code, Some(0), "kubectl {args:?}: {said:?}");
        said.stdout
    }

    /// One PATCH of an object, and nothing else: `kubectl patch` reads it first, which not everybody may.
    #[tokio::main(flavor = "current_thread")]
    pub async fn merge(&self, namespace: &str, [kind, name]: &[&str; 2], body: &Value) -> Said {
        let mut file = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        if let Some(token) = &self.token {
            let auth = AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() };
            file.auth_infos[0].auth_info = Some(auth);
        }
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        let resource = match *kind {
            "deployment" => ApiResource::erase::<Deployment>(&()),
            "lease" => ApiResource::erase::<Lease>(&()),
            _ => ApiResource::erase::<Pod>(&()),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(Client::try_from(config).unwrap(), namespace, &resource);
        let (code, stderr) = match api.patch(name, &PatchParams::default(), &Patch::Merge(body)).await {
            Ok(_) => (0, String::new()),
            Err(e) => (1, e.to_string()),
        };
        Said { code: Some(code), stdout: String::new(), stderr }
    }

    /// Whether the cluster would take a new object, which is not made.
    pub fn would_create(&self, manifest: &str) -> Said {
        self.told(&["create", "--dry-run=server", "-f", "-"], manifest)
    }

    pub fn apply(&self, manifest: &str) {
        let said = self.told(&["apply", "-f", "-"], manifest);
        assert_eq!(said.code, Some(0), "{manifest}\n{said:?}");
    }

    /// Waits until something of an object is so.
    pub fn wait(&self, namespace: &str, object: &str, until: &str) {
        self.must(&["-n", namespace, "wait", object, &format!("--for={until}"), "--timeout=180s"]);
    }

    /// Begins a command.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Makes firedrill's image with this program, and gives it to the node: once, for all tests of this process.
    pub fn give_image(&self, program: &Path) {
        static GIVEN: Mutex<bool> = Mutex::new(false);
        let mut given = GIVEN.lock().unwrap();
        if *given {
            return;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/lab/firedrill.sh");
        let output =
            Command::new("bash").arg(script).arg(program).env("FIREDRILL_LAB_DIR", &self.lab).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        *given = true;
    }

    /// A new directory on the node.
    pub fn new_volume(&self) -> PathBuf {
        let path = self.lab.join(format!("volume-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).unwrap();
        path
    }
}
