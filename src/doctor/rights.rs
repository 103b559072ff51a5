//! What the runner may do, by the cluster's own answer, and the Role that grants what is missing, to paste.

use super::finding::Finding;
use super::scope::Act;
use crate::faults::helper::Helper;
use crate::guards::common::{CLUSTER_RIGHTS, LOCK_RIGHTS};
use crate::targets::cluster::{ClusterError, Reader, Right};
use crate::targets::route::FORWARD_RIGHTS;
use std::fmt::Write as _;

/// Whom the shipped installation runs as.
const SHIPPED: &str = "system:serviceaccount:firedrill:firedrill";

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where<'a> {
    /// In one namespace.
    Namespace(&'a str),
    /// For objects that are in none.
    Cluster,
}

/// Asks for every right that the faults need in the namespaces they act in, and for what preflight reads of the cluster.
pub(super) async fn examine(reader: &Reader, who: Option<&str>, acts: &[Act]) -> Vec<Finding> {
    let who = who.unwrap_or(SHIPPED);
    let mut findings = Vec::new();
    for Act { word, namespace, rights } in acts {
        let wanted = [rights, LOCK_RIGHTS].concat();
        let missing = missing(reader, namespace, &wanted).await;
        findings.push(finding(&format!("rights of {word}"), Where::Namespace(namespace), word, &wanted, missing, who));
    }
    if !acts.is_empty() {
        let missing = missing(reader, "", CLUSTER_RIGHTS).await;
        findings.push(finding("rights of preflight", Where::Cluster, "preflight", CLUSTER_RIGHTS, missing, who));
    }
    findings
}

/// Asks for what a port-forward needs, in each namespace that is reached by one.
pub(super) async fn forwarding(reader: &Reader, who: Option<&str>, namespaces: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for namespace in namespaces {
        let missing = missing(reader, namespace, FORWARD_RIGHTS).await;
        let (name, place) = ("rights of port-forward", Where::Namespace(namespace));
        findings.push(finding(name, place, "port-forward", FORWARD_RIGHTS, missing, who.unwrap_or(SHIPPED)));
    }
    findings
}

/// Asks for what the runner needs to have a helper.
pub(super) async fn owner(reader: &Reader, who: Option<&str>, helper: &Helper) -> Finding {
    let missing = missing(reader, &helper.namespace, helper.owner).await;
    let (name, place) = (format!("rights to have the {}", helper.word), Where::Namespace(&helper.namespace));
    finding(&name, place, &helper.word.replace(' ', "-"), helper.owner, missing, who.unwrap_or(SHIPPED))
}

async fn missing(reader: &Reader, namespace: &str, wanted: &[Right]) -> Result<Vec<Right>, ClusterError> {
    let mut missing = Vec::new();
    for right in wanted {
        if !reader.may(namespace, *right).await? {
            missing.push(*right);
        }
    }
    Ok(missing)
}

fn finding(
    name: &str,
    place: Where<'_>,
    word: &str,
    wanted: &[Right],
    missing: Result<Vec<Right>, ClusterError>,
    who: &str,
) -> Finding {
    let subject = match place {
        Where::Namespace(namespace) => format!("namespace {namespace}"),
        Where::Cluster => "cluster".to_owned(),
    };
    let expected = words(wanted);
    match missing {
        Ok(missing) if missing.is_empty() => Finding::fine(&subject, name, expected, format!("all {}", wanted.len())),
        Ok(missing) => {
            let help = format!(
                "Grant {word} whole by deploy/roles, or only what is missing, as somebody who may give rights there:"
            );
            let rules: Vec<String> = rules(&missing).iter().map(rule).collect();
            let paste = role(&format!("firedrill-{word}-missing"), place, &rules, who);
            Finding::against(&subject, name, expected, format!("may not {}", words(&missing)), help).paste(paste)
        }
        Err(e) => Finding::against(&subject, name, expected, e.to_string(), "See that the API is reachable."),
    }
}

/// The rights in words.
pub(super) fn words(rights: &[Right]) -> String {
    rules(rights).iter().map(|(_, r, v)| format!("{} {r}", v.join(", "))).collect::<Vec<_>>().join("; ")
}

/// The rights by group and resource, in their order of first mention.
pub(super) fn rules(rights: &[Right]) -> Vec<(&str, &str, Vec<&str>)> {
    let mut rules: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for right in rights {
        match rules.iter_mut().find(|(group, resource, _)| (*group, *resource) == (right.group, right.resource)) {
            Some((_, _, verbs)) if verbs.contains(&right.verb) => {}
            Some((_, _, verbs)) => verbs.push(right.verb),
            None => rules.push((right.group, right.resource, vec![right.verb])),
        }
    }
    rules
}

pub(super) fn rule((group, resource, verbs): &(&str, &str, Vec<&str>)) -> String {
    format!("{{ apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [{}] }}", verbs.join(", "))
}

/// The right to read one Secret.
pub(super) fn secret_rule(name: &str) -> String {
    format!("{{ apiGroups: [\"\"], resources: [\"secrets\"], resourceNames: [\"{name}\"], verbs: [get] }}")
}

/// A Role, or one of the whole cluster, and its binding to `who`.
pub(super) fn role(name: &str, place: Where<'_>, rules: &[String], who: &str) -> String {
    let (kind, namespace) = match place {
        Where::Namespace(namespace) => ("Role", format!(", namespace: {namespace}")),
        Where::Cluster => ("ClusterRole", String::new()),
    };
    let mut text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{ name: {name}{namespace} }}\nrules:\n"
    );
    for rule in rules {
        let _ = writeln!(text, "  - {rule}");
    }
    let _ = write!(
        text,
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\nmetadata: {{ name: {name}{namespace} }}\n\
         roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name} }}\nsubjects:\n  - {}\n",
        subject(who)
    );
    text
}

fn subject(who: &str) -> String {
    let who = if who.is_empty() { SHIPPED } else { who };
    let account = who.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => format!("{{ kind: ServiceAccount, name: {name}, namespace: {namespace} }}"),
        // As JSON, since a user's name may hold anything.
        None => {
            format!("{{ kind: User, apiGroup: rbac.authorization.k8s.io, name: {} }}", serde_json::Value::from(who))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn parsed(text: &str) -> (Value, Value) {
        let (role, binding) = text.split_once("---\n").unwrap();
        (serde_saphyr::from_str(role).unwrap(), serde_saphyr::from_str(binding).unwrap())
    }

    #[test]
    fn what_is_missing_is_granted_by_what_is_pasted() {
        let missing = vec![
            Right::to("patch", "apps", "deployments"),
            Right::to("get", "", "pods"),
            Right::to("list", "apps", "deployments"),
        ];
        let finding =
            finding("rights", Where::Namespace("shop"), "scale-to-zero", &missing.clone(), Ok(missing), SHIPPED);
        assert_eq!(finding.found, "may not patch, list deployments; get pods");
        let (role, binding) = parsed(&finding.paste.unwrap());
        assert_eq!(role["metadata"]["namespace"], "shop");
        assert_eq!(
            role["rules"],
            serde_json::json!([
                { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch", "list"] },
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] },
            ])
        );
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        assert_eq!(binding["subjects"][0]["kind"], "ServiceAccount");
        assert_eq!(binding["subjects"][0]["namespace"], "firedrill");
    }

    #[test]
    fn a_persons_name_is_quoted() {
        let text = role("firedrill-x", Where::Cluster, &[secret_rule("db")], "o: \"dd, {name}");
        let (role, binding) = parsed(&text);
        assert_eq!(role["kind"], "ClusterRole");
        assert_eq!(role["rules"][0]["resourceNames"][0], "db");
        assert_eq!(binding["subjects"][0]["name"], "o: \"dd, {name}");
    }
}
