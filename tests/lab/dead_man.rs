//! A runner that is lost for good, on a real cluster: the dead man is a Job of this program's own image, under the account and the
//! Roles that are shipped, and brings everything back when the lease lapses.

use crate::install::kubectl::Kubectl;
use crate::lab::{Lab, Part, SHIPPED, SHOP};
use crate::runner::{LOOK_EVERY, PROGRAM, Runner, SOON};
use firedrill::targets::cluster::DEAD_MAN_ANNOTATION;
use firedrill_core::event::Event;
use firedrill_core::report::{ResidueState, UndoOutcome};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// The namespace of deploy/roles/dead-man.yaml.
const HIS: &str = "firedrill-dead-man";
/// As short as an estate may have it.
const AFTER: Duration = Duration::from_secs(5);

/// The shipped files, applied as they are, and taken away again however the test ends.
struct Shipped(Kubectl);

impl Shipped {
    fn apply() -> Self {
        let shipped = Self(Kubectl::of_lab().expect("the lab is up"));
        shipped.0.give_image(Path::new(PROGRAM));
        shipped.0.must(&["apply", "-f", &file("dead-man")]);
        shipped
    }

    /// Lets him act in the shop.
    fn grant(&self) {
        self.0.must(&["-n", SHOP, "apply", "-f", &file("dead-man-target")]);
    }
}

impl Drop for Shipped {
    fn drop(&mut self) {
        drop(self.0.said(&["-n", SHOP, "delete", "-f", &file("dead-man-target"), "--ignore-not-found"]));
        drop(self.0.said(&["delete", "-f", &file("dead-man"), "--ignore-not-found"]));
    }
}

fn file(name: &str) -> String {
    format!("{}/deploy/roles/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

fn experiment(hold: &str) -> String {
    format!(
        "objectives: {{ rto: 60s }}
probes: [storefront]
method:
  - scale-to-zero: {{ target: web, hold: {hold} }}
baseline: {{ for: 1s }}
recover: {{ stable-for: 1s, deadline: 5m }}
"
    )
}

/// An estate with a dead man.
fn with_dead_man(lab: &Lab) {
    let path = lab.path("estate.yaml");
    let estate = std::fs::read_to_string(&path).unwrap();
    let dead_man = format!(
        "dead-man: {{ namespace: {HIS}, image: \"docker.io/firedrill-lab/firedrill:1\", service-account: firedrill-dead-man, after: {}s }}\n",
        AFTER.as_secs()
    );
    std::fs::write(path, estate + &dead_man).unwrap();
}

/// What the doctor says of the dead man's own account, to somebody who may ask for others.
async fn his_rights(lab: &Lab, runner: &Runner, experiment: &Path) -> Value {
    let ended = runner.ended(runner.command(&[&"doctor", &experiment, &"--estate", &lab.path("estate.yaml")])).await;
    let said: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
    let findings = said["findings"].as_array().unwrap();
    let his = findings.iter().find(|f| f["name"] == "rights of the dead man's own account");
    his.unwrap_or_else(|| panic!("{said:#}")).clone()
}

async fn jobs(lab: &Lab) -> Vec<Job> {
    let jobs: Api<Job> = lab.api(HIS);
    jobs.list(&ListParams::default()).await.unwrap().items
}

async fn marks(lab: &Lab) -> BTreeMap<String, Vec<(String, String)>> {
    let deployments: Api<Deployment> = lab.api(SHOP);
    let ours = |d: &Deployment| {
        let marks = d.annotations().iter().filter(|(key, _)| key.starts_with("firedrill.dev/"));
        marks.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    deployments.list(&ListParams::default()).await.unwrap().iter().map(|d| (d.name_any(), ours(d))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_runner_lost_for_good_left_at_zero_is_brought_back_by_a_job_of_its_own() {
    let _shipped_turn = SHIPPED.lock().await;
    let lab = Lab::enter(Part::Web).await;
    let shipped = Shipped::apply();
    with_dead_man(&lab);
    let runner = Runner::new(&lab, "lost");
    let counts = lab.counts().await;
    let file = lab.write("web-to-zero", &experiment("1m"));
    let lacking = his_rights(&lab, &runner, &file).await;
    assert_eq!(lacking["mark"], "against", "{lacking}");
    let paste = lacking["paste"].as_str().unwrap();
    assert!(paste.contains("leases") && paste.contains("kind: ServiceAccount, name: firedrill-dead-man"), "{paste}");
    shipped.grant();
    assert_eq!(his_rights(&lab, &runner, &file).await["mark"], "fine");
    let shown = lab.plan(&file).await;
    let each = counts.iter().map(|(name, was)| format!("scale deployment {SHOP}/{name} from {was} to 0\n"));
    for change in each.chain(["hold lease ".to_owned(), format!("set up job {HIS}/firedrill-dead-man-")]) {
        assert!(shown.contains(&change), "{change}: {shown}");
    }
    assert!(jobs(&lab).await.is_empty(), "a plan makes nothing");

    let mut drill = runner.start(runner.drill(&file));
    // Until he has come up nothing is armed.
    drill.until(|e| *e == Event::BaselineHeld).await;
    drill.until(|e| *e == Event::LossSeen).await;
    let id = runner.journal().await.drills().await.unwrap().remove(0).drill;
    // It holds for longer than the lease may stand still, and is renewed: nothing comes back.
    let held = Instant::now();
    while held.elapsed() < AFTER + AFTER / 2 {
        tokio::time::sleep(LOOK_EVERY).await;
        assert!(lab.counts().await.values().all(|count| *count == 0), "he did not wait for the lease to lapse");
    }
    drill.signal(Signal::KILL);
    let lost = Instant::now();
    drop(drill.ended().await);
    let back = async {
        while lab.counts().await != counts {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(AFTER + SOON, back).await.expect("the dead man brings them back");
    let after = lost.elapsed();
    eprintln!("back {after:.1?} after the runner was lost, with `after: {AFTER:?}`");
    // What he last saw renewed may be a quarter of it old, and he looks ten times in it.
    assert!(after > AFTER / 2, "{after:?}");
    let his = [(DEAD_MAN_ANNOTATION.to_owned(), id.clone())];
    assert!(marks(&lab).await.values().all(|marks| *marks == his), "{:?}", marks(&lab).await);

    // A runner that comes back after all says who it was, and leaves nothing.
    lab.until_whole().await;
    let undone = runner.undo().await;
    assert_eq!(undone.code(), Some(0), "{undone:?}");
    let report = undone.report();
    assert_eq!(report.residue.state, ResidueState::Clean, "{:#?}", report.residue);
    let by_him = UndoOutcome::Reverted("a dead-man agent".to_owned());
    for name in counts.keys() {
        let line = report.residue.effects.iter().find(|e| e.object.ends_with(&format!("/{name}"))).unwrap();
        assert_eq!(line.outcome, by_him, "{name}: {:#?}", report.residue);
    }
    assert_eq!(lab.counts().await, counts, "and nothing is written once more");
    nothing_is_left(&lab).await;

    // A drill that ends well takes him away.
    let runner = Runner::new(&lab, "well");
    let mut drill = runner.start(runner.drill(&lab.write("web-to-zero", &experiment("1s"))));
    drill.until(|e| *e == Event::BaselineHeld).await;
    drill.until(|e| *e == Event::LossSeen).await;
    assert_eq!(jobs(&lab).await.len(), 1, "he watches");
    let ended = drill.ended().await;
    assert_eq!(ended.report().residue.state, ResidueState::Clean, "{:#?}", ended.report().residue);
    assert!(matches!(ended.code(), Some(0 | 3)), "{:#?}", ended.report().judgement);
    assert_eq!(lab.counts().await, counts);
    nothing_is_left(&lab).await;
}

/// No mark, no lock, no Job, and no pod of it but one that is ending.
async fn nothing_is_left(lab: &Lab) {
    assert!(marks(lab).await.values().all(Vec::is_empty), "{:?}", marks(lab).await);
    lab.assert_nothing_left().await;
    let left = async {
        while !jobs(lab).await.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(SOON, left).await.expect("his Job goes");
}
