//! The doctor: is everything there that the drills of some experiments need? It reads, changes nothing, goes on past what it
//! finds, and says of each thing what was found, what is needed and what to do.

mod clock;
mod cluster;
mod database;
mod disk;
mod finding;
mod machine;
mod rights;
mod scope;
mod secret;
mod staging;
mod store;

pub use finding::{Finding, Mark};
pub use scope::{Named, Scope};

use crate::targets::scene::Scene;
use std::collections::HashMap;
use std::sync::Arc;

/// Looks at everything that the drills in `scope` need.
pub async fn examine(scope: &Scope) -> Vec<Finding> {
    let mut findings = machine::examine(scope);
    let reader = if scope.needs_cluster() {
        let (seen, reader) = cluster::examine(scope).await;
        findings.extend(seen);
        reader
    } else {
        None
    };
    let (seen, urls) = secret::examine(scope, reader.as_ref()).await;
    findings.extend(seen);
    findings.extend(database::examine(scope, reader.as_ref(), &urls).await);
    let urls = Arc::new(urls.into_iter().collect::<HashMap<_, _>>());
    for loaded in &scope.experiments {
        let scene = Scene {
            loaded: Arc::clone(loaded),
            base: scope.base.clone(),
            reader: reader.clone(),
            urls: Arc::clone(&urls),
            drill: "doctor".to_owned(),
            state_dir: scope.state_dir.clone(),
        };
        for restore in scope::restores(loaded) {
            findings.extend(store::examine(restore, &scene).await);
            findings.extend(staging::examine(restore, &scene).await);
        }
    }
    by_subject(findings)
}

/// What is said of one thing stands together, where it was first spoken of.
fn by_subject(findings: Vec<Finding>) -> Vec<Finding> {
    let mut grouped: Vec<Vec<Finding>> = Vec::new();
    for finding in findings {
        match grouped.iter_mut().find(|group| group.iter().any(|f| f.subject == finding.subject)) {
            // Two experiments may share a store.
            Some(group) if group.contains(&finding) => {}
            Some(group) => group.push(finding),
            None => grouped.push(vec![finding]),
        }
    }
    grouped.into_iter().flatten().collect()
}
