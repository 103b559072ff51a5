//! The doctor: is everything there that the drills of some experiments need? It reads, changes nothing, goes on past what it
//! finds, and says of each thing what was found, what is needed and what to do.

mod clock;
mod cluster;
mod database;
mod disk;
mod finding;
mod helpers;
mod machine;
mod rights;
mod scope;
mod secret;
mod staging;
mod store;

pub use finding::{Finding, Mark};
pub use scope::{Named, Scope};

use crate::spec::estate::Target;
use crate::spec::scalar::Name;
use crate::targets::cluster::Reader;
use crate::targets::route::Route;
use crate::targets::scene::Scene;
use secrecy::SecretString;
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
    let (seen, routes) = routes(scope, reader.as_ref(), urls).await;
    findings.extend(seen);
    let urls: Vec<_> = routes.iter().map(|(name, route)| (name.clone(), route.url.clone())).collect();
    findings.extend(database::examine(scope, reader.as_ref(), &urls).await);
    for loaded in &scope.experiments {
        let scene = Scene {
            loaded: Arc::clone(loaded),
            base: scope.base.clone(),
            reader: reader.clone(),
            routes: Arc::clone(&routes),
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

/// The ways to the databases, as drills go them.
async fn routes(
    scope: &Scope,
    reader: Option<&Reader>,
    urls: Vec<(Name, SecretString)>,
) -> (Vec<Finding>, Arc<HashMap<Name, Route>>) {
    let (mut findings, mut routes) = (Vec::new(), HashMap::new());
    for (name, url) in urls {
        let Some(Target::Postgres(target)) = scope.estate.targets.get(&name) else { continue };
        match Route::to(target, url, reader).await {
            Ok(route) => drop(routes.insert(name, route)),
            Err(why) => {
                let help = "Correct the target's `url` or `reach` in the estate, or what they need in the cluster.";
                let subject = format!("target {name}");
                findings.push(Finding::against(&subject, "way to it", "there is one", why.to_string(), help));
            }
        }
    }
    (findings, Arc::new(routes))
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
