//! The guards that every fault on a cluster shares: opt-in of the namespace, window, permissions, the lock, the runner's
//! own place.

use crate::guards::preflight::Preflight;
use crate::guards::reach;
use crate::halt::Halt;
use crate::targets::cluster::{ALLOW_ANNOTATION, ClusterError, HALT_ANNOTATION, Reader, Right};
use crate::targets::scene::Scene;
use firedrill_core::effect::{Kind, ObjectRef};
use firedrill_core::event::Refusal;
use firedrill_core::time::Known;
use k8s_openapi::api::core::v1::Namespace;

/// What the check of a namespace's own annotation is called.
pub const OPT_IN: &str = "opt-in of the namespace";

/// The name of the lock's Lease for a key.
pub fn lock_name(key: &str) -> String {
    let safe: String = key.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("firedrill-{}", safe.to_ascii_lowercase())
}

/// A refusal for a cluster that cannot be asked.
pub fn unseen(error: &ClusterError) -> Refusal {
    Refusal::new(error.to_string(), "Nothing is done to a target that cannot be seen. See that the API is reachable.")
}

/// The time must be right: no halt stands, and now is within the window of the estate and outside of its blackouts.
pub fn times(scene: &Scene, preflight: &mut Preflight, now: jiff::Timestamp) {
    halt(scene, preflight);
    window(scene, preflight, now);
    blackouts(scene, preflight, now);
}

fn halt(scene: &Scene, preflight: &mut Preflight) {
    let file = Halt::file(&scene.state_dir);
    let (found, ok) = match Halt::read(&scene.state_dir) {
        Ok(None) => ("nothing halts".to_owned(), Known::Known(true)),
        Ok(Some(halt)) => (halt.words(), Known::Known(false)),
        Err(e) => (e.to_string(), Known::Unknown(format!("{}: {e}", file.display()))),
    };
    preflight.require("halt", "none", found, ok, "Lift it when it is time to: firedrill resume.");
}

fn window(scene: &Scene, preflight: &mut Preflight, now: jiff::Timestamp) {
    let Some(text) = &scene.loaded.estate.window else { return };
    let ok = match text.parse::<firedrill_core::window::Window>() {
        Ok(window) => Known::Known(window.contains(now)),
        Err(e) => Known::Unknown(e.to_string()),
    };
    let help = format!("Wait for the window, or change it in {}.", scene.place("window"));
    preflight.require("window of the estate", text, now.to_string(), ok, help);
}

fn blackouts(scene: &Scene, preflight: &mut Preflight, now: jiff::Timestamp) {
    let Ok(blackouts) = scene.loaded.estate.blackouts() else { return };
    for blackout in blackouts {
        let help = format!("Wait until {}, or change it in {}.", blackout.until(), scene.place("blackouts"));
        let ok = Known::Known(!blackout.contains(now));
        preflight.require("blackout of the estate", format!("not in {blackout}"), now.to_string(), ok, help);
    }
}

/// The namespace must be there, not be going away, and allow the fault by its own annotation, whatever the files say.
/// Its UID, when it is there.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn namespace(
    reader: &Reader,
    preflight: &mut Preflight,
    name: &str,
    wanted: &[&str],
) -> Result<Option<String>, ClusterError> {
    let found: Option<Namespace> = reader.namespace(name).await?;
    let Some(found) = found else {
        preflight.require("namespace", name, "not there", Known::Known(false), "See the estate's targets.");
        return Ok(None);
    };
    let leaving = found.metadata.deletion_timestamp.is_some();
    let halted = found.metadata.annotations.as_ref().and_then(|a| a.get(HALT_ANNOTATION));
    let shown = halted.cloned().unwrap_or_else(|| "no annotation".to_owned());
    let help = format!("Who halted the namespace lifts it: kubectl annotate namespace {name} {HALT_ANNOTATION}-");
    preflight.require("halt of the namespace", "none", shown, Known::Known(halted.is_none()), help);
    let state = if leaving { "being deleted" } else { "there" };
    preflight.require("namespace", "there", state, Known::Known(!leaving), "Wait, or choose another target.");
    let allow = found.metadata.annotations.as_ref().and_then(|a| a.get(ALLOW_ANNOTATION)).cloned();
    let words: Vec<&str> = allow.as_deref().unwrap_or_default().split(',').map(str::trim).collect();
    let shown = allow.clone().unwrap_or_else(|| "no annotation".to_owned());
    let missing: Vec<&str> = wanted.iter().filter(|w| !words.contains(w)).copied().collect();
    let complete = words.iter().filter(|w| !w.is_empty()).chain(&missing).copied().collect::<Vec<_>>().join(",");
    let overwrite = if allow.is_some() { " --overwrite" } else { "" };
    let help = format!(
        "Who owns the namespace allows it: kubectl annotate{overwrite} namespace {name} {ALLOW_ANNOTATION}={complete}"
    );
    let ok = Known::Known(missing.is_empty());
    preflight.require(OPT_IN, wanted.join(", "), shown, ok, help);
    Ok(found.metadata.uid)
}

/// What the lock at the target needs in its namespace.
pub const LOCK_RIGHTS: &[Right] = &[
    Right::to("get", "coordination.k8s.io", "leases"),
    Right::to("create", "coordination.k8s.io", "leases"),
    Right::to("delete", "coordination.k8s.io", "leases"),
];

/// What preflight reads of the whole cluster: the namespaces of targets with their opt-in, admission webhooks, and whether
/// they are served.
pub const CLUSTER_RIGHTS: &[Right] = &[
    Right::to("get", "", "namespaces"),
    Right::to("list", "admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    Right::to("list", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    Right::to("list", "discovery.k8s.io", "endpointslices"),
];

/// What every fault on a cluster asks first: the window, the namespace with its opt-in, and the fault's own rights and those
/// of the lock in that namespace. The namespace's UID; `None` when something refuses already.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn admit(
    scene: &Scene,
    preflight: &mut Preflight,
    (name, words): (&str, &[&str]),
    rights: &[Right],
) -> Result<Option<String>, Refusal> {
    let reader = scene.reader()?;
    let unseen = |e: ClusterError| unseen(&e);
    times(scene, preflight, jiff::Timestamp::now());
    let uid = namespace(reader, preflight, name, words).await.map_err(unseen)?;
    if preflight.refused() {
        return Ok(None);
    }
    permissions(reader, preflight, name, &[rights, LOCK_RIGHTS].concat()).await.map_err(unseen)?;
    reach::port_forward(scene, reader, preflight).await.map_err(unseen)?;
    Ok(uid)
}

/// The runner must be allowed to do what the plan does, and to undo it.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn permissions(
    reader: &Reader,
    preflight: &mut Preflight,
    namespace: &str,
    wanted: &[Right],
) -> Result<(), ClusterError> {
    let mut missing = Vec::new();
    for right in wanted {
        if !reader.may(namespace, *right).await? {
            missing.push(format!("{} {} in {namespace}", right.verb, right.resource));
        }
    }
    let found =
        if missing.is_empty() { format!("all {}", wanted.len()) } else { format!("may not {}", missing.join(", ")) };
    let help =
        "Grant the Role of this fault from deploy/roles to the runner's service account, in this namespace only.";
    preflight.require("permissions", "those of the plan and its undo", found, Known::Known(missing.is_empty()), help);
    Ok(())
}

/// Nobody may hold the lock at the target.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn lock(reader: &Reader, preflight: &mut Preflight, lease: &ObjectRef) -> Result<(), ClusterError> {
    let found = reader.lease(&lease.namespace, &lease.name).await?;
    let free = found.is_none();
    let shown = found.map_or_else(
        || "free".to_owned(),
        |l| {
            let by = l.spec.and_then(|s| s.holder_identity).unwrap_or_default();
            let runner = l.metadata.annotations.and_then(|mut a| a.remove("firedrill.dev/runner")).unwrap_or_default();
            format!("held by {by}, run by {runner}")
        },
    );
    let help = "Wait for that drill. If its runner died, run `firedrill undo` where it ran; if its host is lost, see runbooks/residue.md.";
    preflight.require("lock at the target", "free", shown, Known::Known(free), help);
    Ok(())
}

/// The Lease that is the lock for a key in a namespace.
pub fn lock_lease(namespace: &str, key: &str) -> ObjectRef {
    ObjectRef { kind: Kind::Lease, namespace: namespace.to_owned(), name: lock_name(key), uid: None }
}

/// What the runner's own pod is called, if it runs in one of this namespace. A laptop may be called so by chance.
pub fn own_pod(namespace: &str) -> Option<String> {
    let own_namespace = std::env::var("POD_NAMESPACE").ok();
    let own_name = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).ok();
    own_name.filter(|_| own_namespace.as_deref().is_none_or(|own| own == namespace))
}

/// The runner itself must not be among the pods that go.
pub fn self_exclusion(preflight: &mut Preflight, namespace: &str, doomed: &[String]) {
    let hit = own_pod(namespace).filter(|own| doomed.contains(own));
    let found = hit.clone().map_or_else(|| "not among them".to_owned(), |own| format!("{own} is this runner"));
    preflight.require(
        "the runner's own pod",
        "not among what goes",
        found,
        Known::Known(hit.is_none()),
        "Run firedrill in another namespace, or exclude its own workload from the target.",
    );
}
