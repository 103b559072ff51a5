//! What the dead man does: it watches a drill's Lease, and when that was not renewed for long enough, brings back each
//! Deployment that still carries the drill's mark at zero, to the count that stands beside the mark.
//!
//! It has no journal and no permit: the mark on the object itself is the record, and every write is conditional on the
//! version that carried it. What has no mark of this drill, or another count than zero, is left alone.

use super::super::lock::holder;
use super::super::pace::Pace;
use super::super::{Trouble, timed};
use crate::targets::cluster::{
    Cluster, DEAD_MAN_ANNOTATION, DRILL_ANNOTATION, EPOCH_ANNOTATION, PAGE, REPLICAS_ANNOTATION, is_not_found,
};
use crate::targets::deployments::wanted_replicas;
use crate::targets::helpers;
use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// How many writes are under way at once, at most.
const WRITES_MAX: usize = 32;

/// What it watches, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The namespace of the drill's target.
    pub namespace: String,
    /// The Lease that is the drill's lock.
    pub lease: String,
    /// The drill.
    pub drill: String,
    /// How long the Lease may go without being renewed.
    pub after: Duration,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The drill let its Lease go, or never took it: there is nothing to watch.
    Released,
    /// The Lease lapsed, and this many Deployments were brought back.
    BroughtBack(usize),
}

/// What a look at the Lease shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sign {
    /// It is the drill's; its version.
    Held(String),
    /// It is not there, or somebody else's.
    NotHeld,
}

/// How long the Lease has been seen to stand still. Only time between two looks that both showed it unchanged counts: who
/// could not look does not know whether anybody else could write.
#[derive(Debug, Default)]
struct Standstill {
    last: Option<(String, Instant)>,
    stood: Duration,
}

impl Standstill {
    /// A look showed this version; for how long it has not changed.
    fn saw(&mut self, version: &str, now: Instant) -> Duration {
        match &self.last {
            Some((known, at)) if known == version => self.stood += now.saturating_duration_since(*at),
            Some((known, _)) if known != version => self.stood = Duration::ZERO,
            _ => {}
        }
        self.last = Some((version.to_owned(), now));
        self.stood
    }

    /// A look failed: what follows is measured from the next one that does not.
    fn blind(&mut self, now: Instant) {
        if let Some((_, at)) = &mut self.last {
            *at = now;
        }
    }
}

/// The dead man at work.
#[derive(Debug)]
pub struct DeadMan {
    cluster: Cluster,
    watched: Watched,
    pace: Pace,
}

impl DeadMan {
    /// One that watches.
    pub fn new(cluster: Cluster, watched: Watched) -> Self {
        Self { cluster, watched, pace: Pace::default() }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.cluster.client(), &self.watched.namespace)
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.cluster.client(), &self.watched.namespace)
    }

    /// Whether it may do all that it would have to do, and can see what it has to see.
    ///
    /// # Errors
    /// What is missing, in a sentence.
    pub async fn fit(&self) -> Result<(), String> {
        let namespace = &self.watched.namespace;
        for right in helpers::DEAD_MAN {
            if !self.cluster.reader().may(namespace, *right).await.map_err(|e| e.to_string())? {
                return Err(format!(
                    "this service account may not {} {} in {namespace}: grant it deploy/roles/dead-man-target.yaml there",
                    right.verb, right.resource
                ));
            }
        }
        self.sign().await.map(|_| ())
    }

    async fn sign(&self) -> Result<Sign, String> {
        let api = self.leases();
        match timed(api.get(&self.watched.lease)).await {
            Ok(found) => {
                let by = found.spec.and_then(|s| s.holder_identity).unwrap_or_default();
                let held = by == holder(&self.watched.drill);
                let version = found.metadata.resource_version.unwrap_or_default();
                Ok(if held { Sign::Held(version) } else { Sign::NotHeld })
            }
            Err(Trouble::Api(e)) if is_not_found(&e) => Ok(Sign::NotHeld),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Watches until the drill lets its Lease go, or until everything is back after the Lease lapsed.
    pub async fn stand(&self) -> Ended {
        let every = (self.watched.after / 10).clamp(Duration::from_millis(100), Duration::from_secs(5));
        let mut still = Standstill::default();
        let began = Instant::now();
        let (mut held, mut brought_back, mut quiet_since) = (false, 0, None);
        loop {
            let sign = self.sign().await;
            let now = Instant::now();
            match sign {
                Ok(Sign::Held(version)) => {
                    held = true;
                    if still.saw(&version, now) < self.watched.after {
                        quiet_since = None;
                    } else {
                        let (back, left) = self.bring_back().await;
                        brought_back += back;
                        quiet_since = if back + left > 0 { None } else { quiet_since.or(Some(now)) };
                    }
                }
                // It is made at the same time as the Lease: that may come later.
                Ok(Sign::NotHeld) if held || now.duration_since(began) > self.watched.after => {
                    return if brought_back > 0 { Ended::BroughtBack(brought_back) } else { Ended::Released };
                }
                Ok(Sign::NotHeld) => {}
                Err(why) => {
                    tracing::warn!(why, "the Lease could not be looked at");
                    still.blind(now);
                }
            }
            // What its runner may still have had on its way has come by then, too.
            let quiet = quiet_since.is_some_and(|since| now.duration_since(since) >= self.watched.after);
            if brought_back > 0 && quiet {
                return Ended::BroughtBack(brought_back);
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Brings back what carries the mark at zero: how many it was, and how many could not be brought back now.
    async fn bring_back(&self) -> (usize, usize) {
        let marked = match self.marked().await {
            Ok(marked) => marked,
            Err(why) => {
                tracing::warn!(why, "the deployments could not be looked at");
                return (0, 1);
            }
        };
        let written = futures_util::stream::iter(marked).map(|(name, was, uid, version)| async move {
            let body = json!({
                "metadata": { "uid": uid, "resourceVersion": version, "annotations": {
                    DRILL_ANNOTATION: null, REPLICAS_ANNOTATION: null, EPOCH_ANNOTATION: null,
                    DEAD_MAN_ANNOTATION: self.watched.drill } },
                "spec": { "replicas": was }
            });
            let (api, params, patch) = (self.deployments(), PatchParams::default(), Patch::Merge(body));
            #[expect(clippy::disallowed_methods, reason = "the mark on the object itself is the record")]
            let done = self.pace.send(|| api.patch(&name, &params, &patch)).await;
            match done {
                Ok(_) => true,
                Err(why) => {
                    tracing::warn!(%why, name, "could not be brought back; it is tried again");
                    false
                }
            }
        });
        let done: Vec<bool> = written.buffer_unordered(WRITES_MAX).collect().await;
        let back = done.iter().filter(|done| **done).count();
        (back, done.len() - back)
    }

    /// What carries the drill's mark at zero: name, captured count, UID, version.
    async fn marked(&self) -> Result<Vec<(String, i32, Option<String>, Option<String>)>, String> {
        let api = self.deployments();
        let mut marked = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let some = self.pace.send(|| api.list(&params)).await.map_err(|e| e.to_string())?;
            for found in some.items {
                let mark = |key: &str| found.metadata.annotations.as_ref().and_then(|a| a.get(key));
                let ours = mark(DRILL_ANNOTATION) == Some(&self.watched.drill) && wanted_replicas(&found) == 0;
                let was = mark(REPLICAS_ANNOTATION).and_then(|text| text.parse().ok()).filter(|was| *was > 0);
                if let (true, Some(was)) = (ours, was) {
                    let meta = found.metadata;
                    marked.push((meta.name.unwrap_or_default(), was, meta.uid, meta.resource_version));
                }
            }
            match some.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(marked),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_between_looks_that_show_no_change_counts() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut still = Standstill::default();
        assert_eq!(still.saw("1", at(0)), Duration::ZERO);
        assert_eq!(still.saw("1", at(5)), Duration::from_secs(5));
        assert_eq!(still.saw("2", at(6)), Duration::ZERO, "it was renewed");
        assert_eq!(still.saw("2", at(8)), Duration::from_secs(2));
        // For a minute nobody could look, so nobody knows that nobody renewed.
        still.blind(at(10));
        still.blind(at(68));
        assert_eq!(still.saw("2", at(70)), Duration::from_secs(4));
        assert_eq!(still.saw("3", at(71)), Duration::ZERO);
    }
}
