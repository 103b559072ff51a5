//! What is left after a drill: nothing, anywhere it could have been.

use super::runner::Runner;
use super::scene::Scene;
use kube::Api;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use sqlx::Connection as _;

/// Every kind that firedrill could have written to, or that follows from what it wrote to.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "Namespace", "namespaces"),
    ("", "Pod", "pods"),
    ("", "Service", "services"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("apps", "StatefulSet", "statefulsets"),
    ("coordination.k8s.io", "Lease", "leases"),
];

/// What is there and should not be, in words.
async fn left(scene: &Scene) -> Vec<String> {
    let mut left = Vec::new();
    for (group, kind, plural) in KINDS {
        let version = "v1";
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let resource = ApiResource {
            group: (*group).to_owned(),
            version: version.to_owned(),
            api_version,
            kind: (*kind).to_owned(),
            plural: (*plural).to_owned(),
        };
        let api: Api<DynamicObject> = Api::all_with(scene.client(), &resource);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let name = object.metadata.name.unwrap_or_default();
            if *kind == "Lease" && name.starts_with("firedrill") {
                left.push(format!("Lease {name}"));
            }
            let marks = object.metadata.annotations.unwrap_or_default();
            let ours = marks.into_iter().filter(|(k, _)| k.starts_with("firedrill.dev/") && k != "firedrill.dev/allow");
            left.extend(ours.map(|(key, value)| format!("annotation {key}={value} on {kind} {name}")));
        }
    }
    let mut database = scene.database().await.expect("a primary");
    let schemas = "select nspname::text from pg_namespace where nspname like 'firedrill%'";
    let schemas: Vec<String> = sqlx::query_scalar(schemas).fetch_all(&mut database).await.unwrap();
    database.close().await.unwrap();
    left.extend(schemas.into_iter().map(|s| format!("schema {s}")));
    let staging = std::fs::read_dir(&scene.sandbox.facts().staging).unwrap();
    left.extend(staging.map(|entry| format!("staging {}", entry.unwrap().path().display())));
    left
}

/// Nothing is left, no drill is open, and every drill has its report.
pub async fn assert_nothing(scene: &Scene, runner: &Runner) {
    assert_eq!(left(scene).await, Vec::<String>::new());
    let status = runner.status().await;
    assert_eq!(status.code(), Some(0), "{status:?}");
    let journal = runner.journal().await;
    for row in journal.drills().await.unwrap() {
        assert!(row.closed, "{row:?}");
        assert!(journal.report(&row.drill).await.unwrap().is_some(), "no report of {row:?}");
    }
}
