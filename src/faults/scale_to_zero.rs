//! `scale-to-zero`: deployments lose all their replicas, are held there, and are brought back in waves.

use crate::faults::arming::{self, RANK_FAULT};
use crate::faults::helper::Helper;
use crate::faults::{Fault, Reach};
use crate::guards::preflight::Preflight;
use crate::guards::{common, dead_man, managers, webhooks};
use crate::spec::estate::{DeploymentsTarget, Estate, Selection, Target};
use crate::spec::scalar::{Name, Span};
use crate::targets::cluster::{ClusterError, DRILL_ANNOTATION, Right};
use crate::targets::deployments::{selected, view};
use crate::targets::helpers;
use crate::targets::scene::Scene;
use firedrill_core::drill::Landing;
use firedrill_core::effect::{Effect, Kind, ObjectRef, StepId};
use firedrill_core::event::Refusal;
use firedrill_core::plan::{Fact, Heal, Plan, Stage, Step};
use firedrill_core::sight::{DeploymentView, Sight, TargetView};
use firedrill_core::time::{Known, Mono};
use k8s_openapi::api::apps::v1::Deployment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Scales deployments to zero and brings them back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScaleToZero {
    /// A `deployments` target.
    pub target: Name,
    /// How long they stay at zero, counted from when the loss was *seen*: no ready endpoint, probes down.
    #[serde(default = "default_hold")]
    pub hold: Span,
    /// The order in which they return: each wave once the one before it is ready. Those not named come last, together.
    #[serde(default)]
    pub waves: Vec<Vec<Name>>,
}

fn default_hold() -> Span {
    Span::secs(10)
}

impl ScaleToZero {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str =
        "scale-to-zero: { target: web, hold: 10s, waves: [[storefront], [cart, checkout]] }";
}

impl Fault for ScaleToZero {
    const REACH: Reach = Reach::Cluster;
    const RIGHTS: &'static [Right] = &[
        Right::to("get", "apps", "deployments"),
        Right::to("list", "apps", "deployments"),
        Right::to("patch", "apps", "deployments"),
        Right::to("get", "", "pods"),
        Right::to("list", "", "pods"),
        Right::to("list", "autoscaling", "horizontalpodautoscalers"),
        Right::to("list", "keda.sh", "scaledobjects"),
    ];

    fn targets(&self) -> Vec<&Name> {
        vec![&self.target]
    }

    fn helpers(&self, estate: &Estate) -> Vec<Helper> {
        let (Some(place), Some(Target::Deployments(target))) = (&estate.dead_man, estate.targets.get(&self.target))
        else {
            return Vec::new();
        };
        vec![Helper {
            word: "dead man",
            namespace: place.namespace.to_string(),
            account: place.service_account.to_string(),
            owner: dead_man::RIGHTS,
            file: "deploy/roles/dead-man.yaml",
            at: target.namespace.to_string(),
            own: helpers::DEAD_MAN,
            own_file: "deploy/roles/dead-man-target.yaml",
            meanwhile: &[dead_man::RENEWAL],
        }]
    }

    async fn look_around(&self, scene: &Scene, preflight: &mut Preflight) -> Result<Option<Plan>, Refusal> {
        let reader = scene.reader()?;
        let target = scene.deployments(&self.target)?;
        let namespace = target.namespace.as_str();
        let unseen = |e: ClusterError| common::unseen(&e);
        let admitted = common::admit(scene, preflight, (namespace, &["scale-to-zero"]), Self::RIGHTS).await?;
        let Some(uid) = admitted else { return Ok(None) };
        let found = selected(reader, target).await.map_err(unseen)?;
        fit(target, &found, preflight);
        managers::detect(reader, preflight, namespace, &found).await.map_err(unseen)?;
        webhooks::check(reader, preflight, namespace).await.map_err(unseen)?;
        // Of all the pods that go only the runner's own matters: it alone is asked for, however many there are.
        let own = common::own_pod(namespace).filter(|own| found.iter().any(|d| belongs(own, d)));
        let doomed = match own {
            Some(own) => reader.pod(namespace, &own).await.map_err(unseen)?.map(|_| own),
            None => None,
        };
        let doomed: Vec<String> = doomed.into_iter().collect();
        common::self_exclusion(preflight, namespace, &doomed);
        dead_man::check(scene, preflight, namespace).await.map_err(unseen)?;
        let lease = common::lock_lease(namespace, &format!("{}-{uid}", self.target));
        common::lock(reader, preflight, &lease).await.map_err(unseen)?;
        if preflight.refused() {
            return Ok(None);
        }
        Ok(Some(self.plan(scene, target, &found, (lease, uid))))
    }

    /// All of them have no pod left. Afterwards, a count that is not ours any more was put back by somebody.
    fn landed(&self, plan: &Plan, injected: Mono, seen: &[Sight]) -> Landing {
        let names: HashSet<&str> = scaled(plan).map(|o| o.name.as_str()).collect();
        let mut landed = None;
        // A count above zero after it was seen at zero, or after a later look than the writes, was set by somebody else.
        let mut seen_zero: HashSet<&str> = HashSet::new();
        for sight in seen {
            let TargetView::Deployments(view) = &sight.view else { continue };
            let mut down = 0;
            for d in view.deployments.iter().filter(|d| names.contains(d.name.as_str())) {
                if d.replicas == 0 {
                    seen_zero.insert(&d.name);
                } else if seen_zero.contains(d.name.as_str()) || sight.from_ns >= injected {
                    let by = format!("somebody who set {} to {}", d.name, d.replicas);
                    return Landing::Undone { by };
                }
                down += usize::from(d.down());
            }
            if landed.is_none() && down == names.len() {
                landed = Some(sight.to_ns);
            }
        }
        match landed {
            Some(at) => Landing::Landed { at, evidence: format!("{} deployments without a pod", names.len()) },
            None => Landing::NotYet,
        }
    }
}

fn scaled(plan: &Plan) -> impl Iterator<Item = &ObjectRef> {
    plan.steps.iter().filter_map(|s| match &s.effect {
        Effect::Scale { object, .. } => Some(object),
        _ => None,
    })
}

impl ScaleToZero {
    fn plan(&self, scene: &Scene, target: &DeploymentsTarget, found: &[Deployment], lock: (ObjectRef, String)) -> Plan {
        let dead_man = arming::dead_man(scene, &lock.0);
        let mut steps = arming::steps(scene, Some(lock));
        steps.extend(dead_man);
        let mut ids: Vec<(String, StepId)> = Vec::new();
        for deployment in found {
            let now = view(deployment);
            ids.push((now.name.clone(), StepId(u16::try_from(steps.len()).unwrap_or(u16::MAX))));
            let object = ObjectRef {
                kind: Kind::Deployment,
                namespace: target.namespace.to_string(),
                name: now.name,
                uid: Some(now.uid),
            };
            steps.push(Step {
                stage: Stage::Inject,
                rank: RANK_FAULT,
                effect: Effect::Scale { object, was: now.replicas, put: 0 },
            });
        }
        let total: i32 = found.iter().map(|d| view(d).replicas).sum();
        Plan {
            fault: "scale-to-zero".to_owned(),
            steps,
            heal: Heal::Undo { waves: self.in_waves(&ids), hold_ns: self.hold.0 },
            watch: vec![self.target.to_string()],
            members: 0,
            ledger: arming::ledgered(scene),
            facts: vec![
                Fact::new("deployments", found.len().to_string(), "apps/v1"),
                Fact::new("replicas taken away", total.to_string(), "spec.replicas"),
            ],
            untouched: vec![format!("anything outside namespace {}", target.namespace)],
        }
    }

    /// The declared waves, and all that they do not name as a last one.
    fn in_waves(&self, ids: &[(String, StepId)]) -> Vec<Vec<StepId>> {
        let of = |name: &Name| ids.iter().find(|(n, _)| n == name.as_str()).map(|(_, id)| *id);
        let mut waves: Vec<Vec<StepId>> = self.waves.iter().map(|w| w.iter().filter_map(of).collect()).collect();
        let rest = ids.iter().map(|(_, id)| *id).filter(|id| !waves.iter().flatten().any(|w| w == id)).collect();
        waves.push(rest);
        waves.retain(|w| !w.is_empty());
        waves
    }
}

/// Whether a pod's name is of a Deployment: `name-<template hash>-<suffix>`.
fn belongs(pod: &str, deployment: &Deployment) -> bool {
    let Some(name) = deployment.metadata.name.as_deref() else { return false };
    pod.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| rest.split('-').count() <= 2)
}

/// What was found must be what was named, whole, running, and nobody else's drill.
fn fit(target: &DeploymentsTarget, found: &[Deployment], preflight: &mut Preflight) {
    let views: Vec<DeploymentView> = found.iter().map(view).collect();
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    if let Selection::Names(names) = &target.select {
        let missing: Vec<&str> =
            names.iter().map(Name::as_str).filter(|n| !views.iter().any(|v| v.name == *n)).collect();
        let ok = Known::Known(missing.is_empty());
        preflight.require("deployments missing", "none", list(missing), ok, "Correct the names in the estate.");
    }
    preflight.require(
        "deployments found",
        "at least one",
        views.len().to_string(),
        Known::Known(!views.is_empty()),
        "Correct the selection in the estate.",
    );
    let of = |f: &dyn Fn(&DeploymentView) -> bool| -> Vec<&str> {
        views.iter().filter(|v| f(v)).map(|v| v.name.as_str()).collect()
    };
    let zero = of(&|v| v.replicas == 0);
    let ok = Known::Known(zero.is_empty());
    preflight.require(
        "deployments at zero already",
        "none",
        list(zero),
        ok,
        "0 is never stored as the original count. Scale them up first, or leave them out.",
    );
    let unready = of(&|v| v.replicas > 0 && !v.up());
    let ok = Known::Known(unready.is_empty());
    preflight.require(
        "deployments that are not whole",
        "none",
        list(unready),
        ok,
        "Wait until all their replicas are ready.",
    );
    let marked = of(&|v| v.drill.is_some());
    let ok = Known::Known(marked.is_empty());
    preflight.require(
        &format!("deployments that carry {DRILL_ANNOTATION}"),
        "none",
        list(marked),
        ok,
        "Another drill left its mark there. Run `firedrill undo` where it ran; see runbooks/residue.md.",
    );
}
