//! The cluster: does it answer, which version is it, whose is its clock, who are we to it, and do the namespaces allow what
//! the experiments do there?

use super::clock::Skew;
use super::finding::Finding;
use super::helpers;
use super::rights;
use super::scope::Scope;
use crate::guards::common;
use crate::guards::preflight::Preflight;
use crate::targets::cluster::{self, Cluster, ClusterError, Reader, ServerSaid};
use firedrill_core::time::Known;

const SUBJECT: &str = "cluster";
/// The oldest release that the client is tested against by those who make it.
const TESTED_FROM: (u32, u32) = (1, 33);
/// A `Date` is cut to the second.
const DATE_FUZZ_MS: i64 = 1_000;

/// What was seen, and eyes on the cluster when it answers.
pub(super) async fn examine(scope: &Scope) -> (Vec<Finding>, Option<Reader>) {
    let expected = "an API server that answers";
    let access = cluster::access(scope.estate.kubernetes.as_ref(), &scope.base);
    let unreachable = |e: &ClusterError| {
        let help = "See that the kubeconfig and its context are right and that this machine reaches the API server.";
        vec![Finding::against(SUBJECT, "Kubernetes API", expected, e.to_string(), help)]
    };
    let reader = match Cluster::connect(&access).await {
        Ok(cluster) => cluster.reader(),
        Err(e) => return (unreachable(&e), None),
    };
    let said = match reader.server().await {
        Ok(said) => said,
        Err(e) => return (unreachable(&e), None),
    };
    let mut findings = vec![version(&said), clock(&said)];
    let who = reader.who_am_i().await;
    findings.push(match &who {
        Ok(name) => Finding::fine(SUBJECT, "this runner", "known to the cluster", name.as_str()),
        Err(e) => {
            let help = "Roles below name the service account firedrill in namespace firedrill: check that it is yours.";
            Finding::doubtful(SUBJECT, "this runner", "known to the cluster", e.to_string(), help)
        }
    });
    let acts = scope.acts();
    for act in &acts {
        findings.extend(opt_in(&reader, &act.namespace, act.word).await);
    }
    let who = who.ok();
    findings.extend(rights::examine(&reader, who.as_deref(), &acts).await);
    findings.extend(rights::forwarding(&reader, who.as_deref(), &scope.forwarded()).await);
    findings.extend(helpers::examine(&reader, who.as_deref(), &scope.helpers()).await);
    (findings, Some(reader))
}

fn version(said: &ServerSaid) -> Finding {
    let (major, minor) = TESTED_FROM;
    let expected = format!("{major}.{minor} or later");
    let found = format!("{}, answered", said.version);
    match said.release {
        Some(release) if release >= TESTED_FROM => Finding::fine(SUBJECT, "Kubernetes API", expected, found),
        _ => {
            let help = "The client in firedrill is not tested against older releases. Rehearse on a cluster of this version first.";
            Finding::doubtful(SUBJECT, "Kubernetes API", expected, found, help)
        }
    }
}

fn clock(said: &ServerSaid) -> Finding {
    let date = said.date.as_deref().and_then(|d| jiff::fmt::rfc2822::parse(d).ok());
    let Some(date) = date else {
        let found = format!("cannot be told: its answers carry the date {:?}", said.date);
        return Finding::doubtful(SUBJECT, "clock", "that of this machine", found, "See the clocks yourself.");
    };
    Skew::of(date.timestamp(), DATE_FUZZ_MS, &said.asked).finding(SUBJECT, "the API server")
}

async fn opt_in(reader: &Reader, namespace: &str, word: &str) -> Vec<Finding> {
    let subject = format!("namespace {namespace}");
    let mut preflight = Preflight::default();
    match common::namespace(reader, &mut preflight, namespace, &[word]).await {
        Ok(_) => {
            let mut findings = of_preflight(&subject, preflight);
            for finding in findings.iter_mut().filter(|f| f.name == common::OPT_IN) {
                finding.name = format!("opt-in for {word}");
            }
            findings
        }
        Err(e) => {
            let help = "Without its opt-in nothing is done in it. See the rights below.";
            vec![Finding::against(
                &subject,
                &format!("opt-in for {word}"),
                "an annotation that names it",
                e.to_string(),
                help,
            )]
        }
    }
}

/// The checks of a guard; its help belongs to the first that does not hold.
fn of_preflight(subject: &str, preflight: Preflight) -> Vec<Finding> {
    let surveyed = preflight.end(None);
    let mut help = surveyed.plan.err().map(|refusal| refusal.help);
    let finding = |check: firedrill_core::event::Check| match check.ok {
        Known::Known(true) => Finding::fine(subject, &check.name, check.expected, check.found),
        _ => Finding::against(subject, &check.name, check.expected, check.found, help.take().unwrap_or_default()),
    };
    surveyed.checks.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    fn said(release: Option<(u32, u32)>, date: Option<&str>) -> ServerSaid {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        ServerSaid { version: "v1".to_owned(), release, date: date.map(str::to_owned), asked: now..=now }
    }

    #[test]
    fn an_older_release_is_doubted() {
        for (release, mark) in [
            (Some((1, 34)), Mark::Fine),
            (Some((1, 33)), Mark::Fine),
            (Some((1, 32)), Mark::Doubtful),
            (None, Mark::Doubtful),
        ] {
            assert_eq!(version(&said(release, None)).mark, mark, "{release:?}");
        }
    }

    #[test]
    fn the_date_of_an_answer_is_its_clock() {
        let at = |date| clock(&said(None, date)).mark;
        assert_eq!(at(Some("Sun, 22 Nov 2026 10:00:00 GMT")), Mark::Fine);
        assert_eq!(at(Some("Sun, 22 Nov 2026 10:01:00 GMT")), Mark::Doubtful);
        assert_eq!(at(Some("yesterday")), Mark::Doubtful);
        assert_eq!(at(None), Mark::Doubtful);
    }
}
