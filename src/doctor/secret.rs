//! Secrets: can each that a target refers to be read? What it holds is never said.

use super::finding::Finding;
use super::rights::{self, Where};
use super::scope::Scope;
use crate::spec::estate::{StagingTarget, Target};
use crate::spec::scalar::{Name, SecretRef};
use crate::targets::cluster::{ClusterError, Reader, is_forbidden};
use crate::targets::secrets::{self, SecretError};
use crate::targets::staging::Login;
use secrecy::SecretString;

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// A connection URL.
    Url,
    /// A key.
    Key,
}

/// What was found, and the connection URLs of the `postgres` targets that could be read.
pub(super) async fn examine(scope: &Scope, reader: Option<&Reader>) -> (Vec<Finding>, Vec<(Name, SecretString)>) {
    let (mut findings, mut urls) = (Vec::new(), Vec::new());
    for (name, target) in scope.targets() {
        for (what, reference, usage) in references(target) {
            let subject = format!("target {name}");
            let read = secrets::resolve(reference, &scope.base, reader).await;
            if let (Ok(url), Target::Postgres(_)) = (&read, target) {
                urls.push((name.clone(), url.clone()));
            }
            findings.push(match read {
                Ok(secret) => found(&subject, what, reference, usage, &secret),
                Err(e) => missing(&subject, what, reference, &e, reader).await,
            });
        }
    }
    (findings, urls)
}

fn references(target: &Target) -> Vec<(&'static str, &SecretRef, Use)> {
    match target {
        Target::Postgres(postgres) => vec![("secret `url`", &postgres.url, Use::Url)],
        Target::Backups(backups) => {
            let access = backups.s3.access_key.as_ref().map(|r| ("secret `access-key`", r, Use::Key));
            let secret = backups.s3.secret_key.as_ref().map(|r| ("secret `secret-key`", r, Use::Key));
            access.into_iter().chain(secret).collect()
        }
        Target::Staging(StagingTarget::Server(server)) => vec![("secret `url`", &server.url, Use::Url)],
        Target::Staging(StagingTarget::Scratch(_)) | Target::Deployments(_) => Vec::new(),
    }
}

fn place(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(name) => format!("the environment variable {name}"),
        SecretRef::File(path) => format!("the file {path}"),
        SecretRef::Secret(name) => format!("the Kubernetes Secret {name}"),
    }
}

fn found(subject: &str, what: &str, reference: &SecretRef, usage: Use, secret: &SecretString) -> Finding {
    let expected = "can be read";
    let read = format!("read from {}", place(reference));
    match usage {
        Use::Key => Finding::fine(subject, what, expected, read),
        Use::Url => match Login::parse(secret) {
            Ok(login) => Finding::fine(subject, what, expected, format!("{read}: {} at {}", login.user, login.place)),
            Err(why) => Finding::against(subject, what, expected, format!("{read}: {why}"), "Correct the URL there."),
        },
    }
}

async fn missing(
    subject: &str,
    what: &str,
    reference: &SecretRef,
    why: &SecretError,
    reader: Option<&Reader>,
) -> Finding {
    let (found, help) = match why {
        SecretError::NoCluster(named) => (
            format!("{named} could not be asked for, since the cluster does not answer"),
            "See what is said of the cluster.",
        ),
        other => (other.to_string(), "Mend the reference in the estate, or what it refers to."),
    };
    let finding = Finding::against(subject, what, "can be read", found, help);
    let (SecretRef::Secret(named), Some(reader)) = (reference, reader) else { return finding };
    let object = named.split_once('#').map_or(named.as_str(), |(object, _)| object);
    match (why, object.split_once('/')) {
        (SecretError::Cluster(ClusterError::Api { source, .. }), Some((namespace, name))) if is_forbidden(source) => {
            let who = reader.who_am_i().await.unwrap_or_default();
            let rules = [rights::secret_rule(name)];
            let paste = rights::role(&format!("firedrill-secret-{name}"), Where::Namespace(namespace), &rules, &who);
            let help = "Let the runner read this one Secret, as somebody who may give rights there:".to_owned();
            Finding { help: Some(help), ..finding }.paste(paste)
        }
        _ => finding,
    }
}
