//! The helpers that drills make in namespaces of their own, an agent or a dead man: is their namespace there, may the runner make
//! them, and may their own account do what they are for?

use super::finding::Finding;
use super::rights::{self, Where};
use crate::faults::helper::Helper;
use crate::targets::cluster::{ClusterError, Reader, Right};

/// What an account is known to lack.
#[derive(Debug)]
enum Lack {
    /// These.
    Known(Vec<Right>),
    /// The cluster does not tell this runner.
    Untold,
}

/// Looks at each of them; `who` is the runner.
pub(super) async fn examine(reader: &Reader, who: Option<&str>, helpers: &[Helper]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for helper in helpers {
        let there = place(reader, helper).await;
        let is_there = there.is_fine();
        findings.push(there);
        // A Role cannot be pasted into a namespace that is not there.
        if is_there {
            findings.push(rights::owner(reader, who, helper).await);
            findings.push(account(helper, lack(reader, helper).await));
        }
    }
    findings
}

async fn place(reader: &Reader, helper: &Helper) -> Finding {
    let (subject, name) = (format!("namespace {}", helper.namespace), format!("place of the {}", helper.word));
    let help = format!("Somebody who may make namespaces applies {}.", helper.file);
    let found = match reader.namespace(&helper.namespace).await {
        Ok(Some(found)) if found.metadata.deletion_timestamp.is_none() => {
            return Finding::fine(&subject, &name, "there", "there");
        }
        Ok(Some(_)) => "being deleted".to_owned(),
        Ok(None) => "not there".to_owned(),
        Err(e) => e.to_string(),
    };
    Finding::against(&subject, &name, "there", found, help)
}

async fn lack(reader: &Reader, helper: &Helper) -> Result<Lack, ClusterError> {
    let mut missing = Vec::new();
    for right in helper.own {
        match reader.may_account(&helper.user(), &helper.at, *right).await? {
            Some(true) => {}
            Some(false) => missing.push(*right),
            None => return Ok(Lack::Untold),
        }
    }
    Ok(Lack::Known(missing))
}

/// What can be said of the helper's own account: nobody but who may ask for others is told what it may do.
fn account(helper: &Helper, lack: Result<Lack, ClusterError>) -> Finding {
    let Helper { word, at, own, own_file, .. } = helper;
    let user = helper.user();
    let (subject, name) = (format!("namespace {at}"), format!("rights of the {word}'s own account"));
    let expected = format!("{user} may {}", rights::words(own));
    let paste = |missing: &[Right]| {
        let rules: Vec<String> = rights::rules(missing).iter().map(rights::rule).collect();
        let role = format!("firedrill-{}-own-missing", word.replace(' ', "-"));
        rights::role(&role, Where::Namespace(at), &rules, &user)
    };
    match lack {
        Ok(Lack::Known(missing)) if missing.is_empty() => {
            Finding::fine(&subject, &name, expected, format!("all {}", own.len()))
        }
        Ok(Lack::Known(missing)) => {
            let help =
                format!("Grant it by {own_file}, or only what is missing, as somebody who may give rights there:");
            let found = format!("may not {}", rights::words(&missing));
            Finding::against(&subject, &name, expected, found, help).paste(paste(&missing))
        }
        Ok(Lack::Untold) => {
            let found = "cannot be told: the cluster tells this runner only of itself";
            let help = format!(
                "The {word} looks itself when a drill makes it, and without its rights no drill goes on. A doctor who may \
                 create subjectaccessreviews knows it now. It is granted by {own_file}, or:"
            );
            Finding::doubtful(&subject, &name, expected, found, help).paste(paste(own))
        }
        Err(e) => Finding::doubtful(&subject, &name, expected, e.to_string(), "See that the API is reachable."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;
    use serde_json::{Value, json};

    const OWN: &[Right] =
        &[Right::to("get", "coordination.k8s.io", "leases"), Right::to("patch", "apps", "deployments")];

    fn dead_man() -> Helper {
        Helper {
            word: "dead man",
            namespace: "apart".to_owned(),
            account: "him".to_owned(),
            owner: &[],
            file: "deploy/roles/dead-man.yaml",
            at: "shop".to_owned(),
            own: OWN,
            own_file: "deploy/roles/dead-man-target.yaml",
            meanwhile: &[],
        }
    }

    #[test]
    fn his_own_account_is_granted_what_is_pasted() {
        let helper = dead_man();
        let fine = account(&helper, Ok(Lack::Known(Vec::new())));
        assert_eq!((fine.mark, fine.paste), (Mark::Fine, None));
        for (lack, mark, verbs) in [
            (Lack::Known(vec![helper.own[1]]), Mark::Against, vec!["patch"]),
            (Lack::Untold, Mark::Doubtful, vec!["get", "patch"]),
        ] {
            let finding = account(&helper, Ok(lack));
            assert_eq!(finding.mark, mark, "{finding:?}");
            assert!(finding.help.as_ref().is_some_and(|h| h.contains(helper.own_file)), "{finding:?}");
            let pasted = finding.paste.unwrap();
            let (role, binding) = pasted.split_once("---\n").unwrap();
            let (role, binding): (Value, Value) =
                (serde_saphyr::from_str(role).unwrap(), serde_saphyr::from_str(binding).unwrap());
            assert_eq!(role["metadata"]["namespace"], "shop");
            let granted: Vec<&Value> = role["rules"].as_array().unwrap().iter().map(|r| &r["verbs"][0]).collect();
            assert_eq!(granted, verbs);
            let him = json!([{ "kind": "ServiceAccount", "name": "him", "namespace": "apart" }]);
            assert_eq!(binding["subjects"], him);
        }
    }
}
