//! The doctor on an estate that is well, and on estates that each lack one thing: it says what, what to do, touches nothing,
//! and never prints a secret.

use crate::support::{files, runner::Runner, scene::Scene};
use firedrill::targets::cluster::{ALLOW_ANNOTATION, USER_AGENT};
use firedrill_sandbox::faults::{Fault, Rule, Selection};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What a run of the doctor said.
struct Said {
    code: Option<i32>,
    findings: Vec<Value>,
    text: String,
}

impl Said {
    /// What would keep a drill from beginning, as `subject: name`.
    fn against(&self) -> Vec<String> {
        let against = self.findings.iter().filter(|f| f["mark"] == "against");
        against.map(|f| format!("{}: {}", word(f, "subject"), word(f, "name"))).collect()
    }

    fn finding(&self, subject: &str, name: &str) -> &Value {
        let found = self.findings.iter().find(|f| f["subject"] == subject && f["name"] == name);
        found.unwrap_or_else(|| panic!("no `{name}` of `{subject}` in {}", self.text))
    }

    /// Only this is against a drill, and it is said what to do.
    fn only(&self, subject: &str, name: &str) -> &Value {
        assert_eq!((self.code, self.against()), (Some(5), vec![format!("{subject}: {name}")]), "{}", self.text);
        let finding = self.finding(subject, name);
        assert!(!word(finding, "help").is_empty(), "{finding}");
        finding
    }
}

fn word<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap_or_default()
}

/// An estate with its experiments, and a doctor who looks at them.
struct Ward<'a> {
    scene: &'a Scene,
    runner: Runner,
    estate: String,
    kill: PathBuf,
    scale: PathBuf,
    restore: PathBuf,
}

impl<'a> Ward<'a> {
    fn new(scene: &'a Scene) -> Self {
        Self {
            scene,
            runner: Runner::new(scene, "doctor"),
            estate: files::estate(scene.sandbox.facts()),
            kill: scene.write(&files::kill_primary("failover", "1s")),
            scale: scene.write(&files::scale_to_zero("1s", "storefront")),
            restore: scene.write(&files::restore("backups")),
        }
    }

    /// The doctor's findings on experiments, with an estate in which `from` was replaced.
    async fn asked(&self, from: &str, to: &str, experiments: &[&PathBuf]) -> Said {
        assert!(self.estate.contains(from), "{from} is not in {}", self.estate);
        let estate = self.scene.write(&self.estate.replace(from, to));
        let mut command = self.runner.command(&[&"doctor", &"--estate", &estate]);
        command.args(experiments);
        let ended = self.runner.ended(command).await;
        for file in self.scene.sandbox.facts().database.url_files.values() {
            let url = std::fs::read_to_string(file).unwrap();
            let password = url.split(':').nth(2).and_then(|rest| rest.split('@').next()).unwrap();
            assert!(password.len() > 8, "the sandbox's URLs have passwords");
            assert!(!ended.stdout.contains(password) && !ended.stderr.contains(password), "{ended:?}");
        }
        let said: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
        assert_eq!(said["format"], "firedrill.doctor/1");
        assert_eq!(said["sound"].as_bool(), Some(ended.code() == Some(0)));
        Said { code: ended.code(), findings: said["findings"].as_array().unwrap().clone(), text: ended.stdout }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_what_a_drill_lacks_and_touches_nothing() {
    let scene = Scene::start().await;
    let ward = Ward::new(&scene);
    an_estate_that_is_well(&ward).await;
    files_that_are_wrong(&ward).await;
    a_right_that_is_missing(&ward).await;
    a_helper_without_a_place(&ward).await;
    a_port_forward_that_is_not_allowed(&ward).await;
    secrets_that_cannot_be_read(&ward).await;
    logins_that_may_too_little(&ward).await;
    backups_that_cannot_be_restored(&ward).await;
    a_staging_that_is_production(&ward).await;
    places_that_cannot_be_written(&ward).await;
    a_cluster_that_does_not_answer(&ward).await;
    assert!(scene.changes().is_empty(), "{:?}", scene.changes());
    assert!(!ward.runner.state().exists(), "the state directory was made");
    a_dead_man_with_a_place_and_no_rights(&ward).await;
    a_namespace_that_does_not_allow_it(&ward).await;
    scene.stop().await;
}

async fn an_estate_that_is_well(ward: &Ward<'_>) {
    let said = ward.asked("", "", &[&ward.kill, &ward.scale, &ward.restore]).await;
    assert_eq!((said.code, said.against()), (Some(0), Vec::new()), "{}", said.text);
    let namespace = format!("namespace {}", ward.scene.namespace());
    for (subject, name) in [
        ("cluster", "Kubernetes API"),
        ("cluster", "clock"),
        ("cluster", "rights of preflight"),
        (namespace.as_str(), "rights of kill-primary"),
        (namespace.as_str(), "rights of scale-to-zero"),
        ("target orders-db", "secret `url`"),
        ("target orders-db", "database"),
        ("target orders-db", "clock"),
        ("target orders-db", "members"),
        ("target orders-db", "ledger"),
        ("target orders-db", "state of replication"),
        ("target backups", "bucket"),
        ("target scratch", "where a scratch is made"),
        ("this machine", "PostgreSQL's programs"),
        ("this machine", "state directory"),
    ] {
        assert_ne!(said.finding(subject, name)["mark"], "against");
    }
    assert_eq!(said.finding("cluster", "this runner")["found"], "sandbox");
    let bucket = said.finding("target backups", "bucket");
    assert!(word(bucket, "found").contains("of PostgreSQL 15"), "{bucket}");
}

async fn files_that_are_wrong(ward: &Ward<'_>) {
    let broken = ward.scene.write("experiment: broken\n");
    let said = ward.asked("", "", &[&ward.kill, &broken]).await;
    assert_eq!((said.code, said.findings.len()), (Some(2), 0), "{}", said.text);
    assert!(said.text.contains("experiment-") && said.text.contains("\"line\""), "{}", said.text);
    let unfit = ward.asked("allow: [kill-primary, ", "allow: [", &[&ward.kill]).await;
    assert_eq!(unfit.code, Some(2), "{}", unfit.text);
}

async fn a_right_that_is_missing(ward: &Ward<'_>) {
    let on = Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of("patch", "deployments") };
    let forbidden = ward.scene.sandbox.cluster().faults().add(Rule::always(on, Fault::Forbidden));
    let said = ward.asked("", "", &[&ward.scale, &ward.kill]).await;
    ward.scene.sandbox.cluster().faults().remove(forbidden);
    let namespace = format!("namespace {}", ward.scene.namespace());
    let finding = said.only(&namespace, "rights of scale-to-zero");
    assert_eq!(finding["found"], "may not patch deployments");
    let (role, binding) = word(finding, "paste").split_once("---\n").unwrap();
    let role: Value = serde_saphyr::from_str(role).unwrap();
    assert_eq!(role["metadata"]["namespace"], ward.scene.namespace());
    assert_eq!(role["rules"], json!([{ "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"] }]));
    assert!(binding.contains("kind: User") && binding.contains("\"sandbox\""), "{binding}");
}

const DEAD_MAN: &str =
    "dead-man: { namespace: apart, image: \"registry.example/firedrill:1\", service-account: him }\nguards:";

async fn a_helper_without_a_place(ward: &Ward<'_>) {
    let said = ward.asked("guards:", DEAD_MAN, &[&ward.scale]).await;
    let finding = said.only("namespace apart", "place of the dead man");
    assert_eq!((word(finding, "found"), &finding["paste"]), ("not there", &Value::Null));
    assert!(word(finding, "help").contains("deploy/roles/dead-man.yaml"), "{finding}");
    let kill = ward.scene.write(&files::kill_primary_by("freeze", "failover", "1s"));
    let said = ward.asked("", "", &[&kill]).await;
    let place = said.finding("namespace agents", "place of the agent");
    assert!(word(place, "help").contains("deploy/roles/kill-primary-agent.yaml"), "{place}");
}

async fn a_port_forward_that_is_not_allowed(ward: &Ward<'_>) {
    let mut on = Selection::of("create", "pods");
    on.subresource = Some("portforward".to_owned());
    on.user_agent = Some(USER_AGENT.to_owned());
    let forbidden = ward.scene.sandbox.cluster().faults().add(Rule::always(on, Fault::Forbidden));
    let said = ward.asked("port:", "reach: port-forward\n      port:", &[&ward.kill]).await;
    ward.scene.sandbox.cluster().faults().remove(forbidden);
    let namespace = format!("namespace {}", ward.scene.namespace());
    let finding = said.finding(&namespace, "rights of port-forward");
    assert_eq!((word(finding, "mark"), word(finding, "found")), ("against", "may not create pods/portforward"));
    assert!(word(finding, "paste").contains("pods/portforward"), "{finding}");
}

async fn a_dead_man_with_a_place_and_no_rights(ward: &Ward<'_>) {
    let namespaces: Api<Namespace> = Api::all(ward.scene.client());
    let apart: Namespace = serde_json::from_value(json!({ "metadata": { "name": "apart" } })).unwrap();
    namespaces.create(&PostParams::default(), &apart).await.unwrap();
    let on = Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of("create", "jobs") };
    let forbidden = ward.scene.sandbox.cluster().faults().add(Rule::always(on, Fault::Forbidden));
    let said = ward.asked("guards:", DEAD_MAN, &[&ward.scale]).await;
    ward.scene.sandbox.cluster().faults().remove(forbidden);
    let finding = said.only("namespace apart", "rights to have the dead man");
    assert_eq!(finding["found"], "may not create jobs");
    assert!(word(finding, "paste").contains("namespace: apart"), "{finding}");
    // Whether he himself may, the sandbox tells nobody.
    let namespace = format!("namespace {}", ward.scene.namespace());
    let his = said.finding(&namespace, "rights of the dead man's own account");
    assert_eq!(his["mark"], "doubtful");
    assert!(word(his, "paste").contains("kind: ServiceAccount, name: him, namespace: apart"), "{his}");
    // What the lock needs for him.
    let on = Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of("patch", "leases") };
    let forbidden = ward.scene.sandbox.cluster().faults().add(Rule::always(on, Fault::Forbidden));
    let said = ward.asked("guards:", DEAD_MAN, &[&ward.scale]).await;
    ward.scene.sandbox.cluster().faults().remove(forbidden);
    assert_eq!(said.only(&namespace, "rights of scale-to-zero")["found"], "may not patch leases");
}

async fn secrets_that_cannot_be_read(ward: &Ward<'_>) {
    let reference =
        format!("secret: {}/{}", ward.scene.namespace(), ward.scene.sandbox.facts().database.secrets["firedrill"]);
    for (instead, why) in [
        ("secret: shop/no-such-secret", "no-such-secret"),
        ("env: FIREDRILL_TEST_NOT_SET", "FIREDRILL_TEST_NOT_SET"),
        ("file: /proc/no-such-file", "/proc/no-such-file"),
    ] {
        let said = ward.asked(&reference, instead, &[&ward.kill]).await;
        let finding = said.only("target orders-db", "secret `url`");
        assert!(word(finding, "found").contains(why), "{finding}");
    }
    let on = Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of("get", "secrets") };
    let forbidden = ward.scene.sandbox.cluster().faults().add(Rule::always(on, Fault::Forbidden));
    let said = ward.asked("", "", &[&ward.kill]).await;
    ward.scene.sandbox.cluster().faults().remove(forbidden);
    let finding = said.only("target orders-db", "secret `url`");
    assert!(word(finding, "paste").contains("resourceNames: ["), "{finding}");
}

async fn logins_that_may_too_little(ward: &Ward<'_>) {
    let facts = ward.scene.sandbox.facts();
    let reference = |role: &str| format!("secret: {}/{}", ward.scene.namespace(), facts.database.secrets[role]);
    let said = ward.asked(&reference("firedrill"), &reference("storefront"), &[&ward.kill]).await;
    assert_eq!(said.code, Some(5), "{}", said.text);
    let insight = said.finding("target orders-db", "state of replication");
    assert_eq!((word(insight, "mark"), word(insight, "paste")), ("against", "grant pg_monitor to \"storefront\";\n"));
    // A login of nobody.
    let url = std::fs::read_to_string(&facts.database.url_files["firedrill"]).unwrap().replace("firedrill:", "nobody:");
    let stranger = ward.scene.write(&url);
    let said = ward.asked(&reference("firedrill"), &format!("file: \"{}\"", stranger.display()), &[&ward.kill]).await;
    assert!(said.against().contains(&"target orders-db: database".to_owned()), "{}", said.text);
    assert!(said.against().contains(&"target orders-db: members".to_owned()), "{}", said.text);
}

async fn backups_that_cannot_be_restored(ward: &Ward<'_>) {
    let store = &ward.scene.sandbox.facts().store;
    let bucket = format!("bucket: {}", store.bucket);
    let said = ward.asked(&bucket, "bucket: no-such-bucket", &[&ward.restore]).await;
    said.only("target backups", "bucket");
    // An empty prefix is what a drill would FAIL for, so nothing is refused.
    let said = ward.asked(&format!("prefix: {},", store.prefix), "prefix: nothing-here/,", &[&ward.restore]).await;
    assert_eq!(
        (said.code, word(said.finding("target backups", "bucket"), "mark")),
        (Some(0), "doubtful"),
        "{}",
        said.text
    );
    let programs = format!("binaries: \"{}\"", ward.scene.sandbox.facts().database.programs.display());
    let said = ward.asked(&programs, "binaries: /proc/self", &[&ward.restore]).await;
    said.only("this machine", "PostgreSQL's programs");
}

async fn a_staging_that_is_production(ward: &Ward<'_>) {
    let facts = ward.scene.sandbox.facts();
    // The same place by another reference: what a look at the files alone cannot see.
    let url = format!("{{ file: \"{}\" }}", facts.database.url_files["firedrill"].display());
    let scratch = format!(
        "scratch: {{ directory: \"{}\", binaries: \"{}\" }}",
        facts.staging.display(),
        facts.database.programs.display()
    );
    let said = ward.asked(&scratch, &format!("server: {{ url: {url}, marker: drills }}"), &[&ward.restore]).await;
    let against = said.against();
    for guard in
        ["credentials differ from production's", "staging marker", "staging is empty", "another server than the source"]
    {
        assert!(against.contains(&format!("target scratch: {guard}")), "{guard}: {}", said.text);
    }
}

async fn places_that_cannot_be_written(ward: &Ward<'_>) {
    let estate = format!("{}file: [{{ directory: /proc/reports }}]\n", ward.estate);
    let estate = ward.scene.write(&estate);
    let mut command = tokio::process::Command::new(crate::support::scene::PROGRAM);
    command.args(["doctor", "--json", "--state", "/proc/firedrill", "--estate"]).arg(estate).arg(&ward.scale);
    let output = command.output().await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = said.to_string();
    let said = Said { code: output.status.code(), findings: said["findings"].as_array().unwrap().clone(), text };
    assert_eq!(said.code, Some(5));
    assert_eq!(
        said.against(),
        ["this machine: state directory", "this machine: directory of reports"],
        "{}",
        said.text
    );
}

async fn a_cluster_that_does_not_answer(ward: &Ward<'_>) {
    // A port that was free a moment ago, and that nobody was told of.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let kubeconfig = std::fs::read_to_string(&ward.scene.sandbox.facts().kubeconfig).unwrap();
    let server = kubeconfig.split("http://").nth(1).unwrap().split(['"', '\n', '/', ' ']).next().unwrap().to_owned();
    let elsewhere = ward.scene.write(&kubeconfig.replace(&server, &free.to_string()));
    let path = ward.scene.sandbox.facts().kubeconfig.display().to_string();
    let said = ward.asked(&path, &elsewhere.display().to_string(), &[&ward.scale]).await;
    said.only("cluster", "Kubernetes API");
    let said = ward.asked(&path, &elsewhere.display().to_string(), &[&ward.kill]).await;
    let secret = said.finding("target orders-db", "secret `url`");
    assert!(word(secret, "found").contains("the cluster does not answer"), "{secret}");
}

async fn a_namespace_that_does_not_allow_it(ward: &Ward<'_>) {
    let api: Api<Namespace> = Api::all(ward.scene.client());
    let only_kill = Patch::Merge(json!({ "metadata": { "annotations": { ALLOW_ANNOTATION: "kill-primary" } } }));
    #[expect(clippy::disallowed_methods, reason = "who owns the namespace, not firedrill")]
    api.patch(ward.scene.namespace(), &PatchParams::default(), &only_kill).await.unwrap();
    let said = ward.asked("", "", &[&ward.kill, &ward.scale]).await;
    let finding = said.only(&format!("namespace {}", ward.scene.namespace()), "opt-in for scale-to-zero");
    assert!(word(finding, "help").contains("=kill-primary,scale-to-zero"), "{finding}");
}
