//! Many deployments at once: looked at together, journaled in one transaction, and as polite as the API server asks.

use crate::support::{files, left, runner::Runner, scene::LOOK_EVERY, scene::SOON, scene::Scene};
use firedrill::targets::cluster::USER_AGENT;
use firedrill_core::event::{Event, Record};
use firedrill_core::report::{ResidueState, Verdict};
use firedrill_core::sight::{DeploymentView, Sight, TargetView};
use firedrill_sandbox::audit::Entry;
use firedrill_sandbox::faults::{Fault, Rule, Selection};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// More than are looked at one by one.
const EXTRAS: usize = 40;
/// Puts a deployment into the target of these tests.
const MANY: &str = "many=yes";

/// An estate whose target is the storefront and [`EXTRAS`] deployments of pods without a process.
async fn crowded(scene: &Scene) {
    let api = scene.deployments();
    for number in 0..EXTRAS {
        let name = format!("extra-{number:02}");
        let labels = json!({ "app": name, "many": "yes" });
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "replicas": 1, "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{ "name": "paper", "image": "paper.example/none:1" }],
                } },
            }
        }))
        .unwrap();
        api.create(&PostParams::default(), &deployment).await.unwrap();
    }
    scene.patch("storefront", json!({ "metadata": { "labels": { "many": "yes" } } })).await;
    let names = "select: { names: [cart, checkout, storefront] }";
    let estate = std::fs::read_to_string(scene.path("estate.yaml")).unwrap();
    assert!(estate.contains(names), "{estate}");
    std::fs::write(scene.path("estate.yaml"), estate.replace(names, &format!("select: {{ selector: {MANY} }}")))
        .unwrap();
    let whole = async {
        while !api.list(&ListParams::default()).await.unwrap().iter().all(is_whole) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(SOON, whole).await.expect("every extra is ready");
}

fn is_whole(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas);
    deployment.status.as_ref().is_some_and(|s| s.ready_replicas == wanted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deployments_go_and_come_back_together() {
    let scene = Scene::start().await;
    crowded(&scene).await;
    let before = scene.counts().await;
    // In the middle of the injection, and in the middle of bringing back, the server has enough.
    let all = u32::try_from(EXTRAS + 1).unwrap();
    let patches = Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of("patch", "deployments") };
    let faults = scene.sandbox.cluster().faults();
    let busy =
        |skip| Rule { on: patches.clone(), skip, times: Some(3), fault: Fault::TooManyRequests { retry_after_s: 1 } };
    let rules = [faults.add(busy(all / 2)), faults.add(busy(all + all / 2))];
    let runner = Runner::new(&scene, "many");
    let experiment = files::scale_to_zero("1s", "storefront").replace(", waves: [[storefront], [cart, checkout]]", "");
    let report = runner.run(&scene.write(&experiment)).await.verdict(Verdict::Pass, 0);
    assert_eq!(rules.map(|rule| faults.struck(rule)), [3, 3]);
    faults.clear();
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert_eq!(scene.counts().await, before);
    assert_batched(&runner, EXTRAS + 1).await;
    let patches: Vec<Entry> =
        scene.changes().into_iter().filter(|e| e.resource == "deployments" && e.verb == "patch").collect();
    assert_polite(&patches);
    left::assert_nothing(&scene, &runner).await;
    scene.stop().await;
}

/// All intents are one record, and answers and looks share transactions.
async fn assert_batched(runner: &Runner, all: usize) {
    let journal = runner.journal().await;
    let row = journal.drills().await.unwrap().remove(0);
    let (records, _) = journal.records(&row.drill).await.unwrap();
    let intents: Vec<usize> = records
        .iter()
        .filter_map(|r| match &r.event {
            Event::Intended(intents) => Some(intents.len()),
            _ => None,
        })
        .collect();
    assert!(intents.contains(&all), "the fault's intents are one record: {intents:?}");
    // What is appended together has one stamp.
    let looked: Vec<u64> =
        records.iter().filter(|r| matches!(r.event, Event::Looked { .. })).map(|r| r.at.mono_ns.0).collect();
    assert_told_once(&records);
    let mut stamps = looked.clone();
    stamps.dedup();
    assert!(stamps.len() * 2 < looked.len(), "{} looks in {} transactions", looked.len(), stamps.len());
}

/// The target is written down whole once, and a deployment again only when it looks different.
fn assert_told_once(records: &[Record]) {
    let mut known: BTreeMap<String, DeploymentView> = BTreeMap::new();
    let (mut whole, mut changes) = (0, 0);
    for record in records {
        let told: Vec<&DeploymentView> = match &record.event {
            Event::Sighted(Sight { view: TargetView::Deployments(view), .. }) => {
                whole += 1;
                view.deployments.iter().map(AsRef::as_ref).collect()
            }
            Event::Changed(change) => {
                changes += 1;
                change.changed.iter().collect()
            }
            _ => continue,
        };
        for view in told {
            let before = known.insert(view.name.clone(), view.clone());
            assert_ne!(before.as_ref(), Some(view), "record {} tells again what had not changed", record.seq);
        }
    }
    assert!(whole == 1 && changes > 2, "{whole} whole looks and {changes} changes");
}

/// After a refusal that says when to come again, nothing is begun before then.
fn assert_polite(patches: &[Entry]) {
    let count = |e: &Entry| e.body.pointer("/spec/replicas").and_then(Value::as_i64);
    let refused: Vec<&Entry> = patches.iter().filter(|e| e.code == Some(429)).collect();
    assert_eq!(refused.len(), 6);
    for one in refused {
        let again = patches
            .iter()
            .filter(|e| e.name == one.name && e.code == Some(200) && count(e) == count(one))
            .find(|e| e.arrived_ns > one.arrived_ns)
            .unwrap_or_else(|| panic!("{} was never sent again", one.name));
        let waited = Duration::from_nanos(again.arrived_ns - one.arrived_ns);
        assert!(waited >= Duration::from_millis(990), "{} was sent again after {waited:?}", one.name);
    }
}
