//! What the status of Deployments does not tell: pods that are still going after nobody counts them any more, and what keeps
//! pods from being ready.

use crate::targets::cluster::{ClusterError, Reader};
use firedrill_core::sight::DeploymentView;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{ParseExpressionError, Selector, SelectorExt as _};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// How long pods may take to be ready before anybody asks what keeps them.
const PATIENCE: Duration = Duration::from_secs(3);
/// From one such question to the next.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// For how many Deployments it is asked at once, and of how many pods of each.
const ASKED_MAX: usize = 3;
const PODS_MAX: u32 = 10;
/// How much of what the cluster says is kept, characters.
const WORDS_MAX: usize = 400;

/// A Deployment as its status has it, and the selector of its pods.
pub(super) type Counted = (DeploymentView, LabelSelector);

/// What is known of the pods behind Deployments from one look to the next.
#[derive(Debug, Default)]
pub(super) struct PodsBehind {
    /// Whether, since all counts are at zero, every pod was seen to be gone.
    gone: bool,
    /// Since when some pods are awaited.
    awaited_since: Option<Instant>,
    asked: Option<Instant>,
    /// By Deployment, what kept its pods when it was asked last.
    troubles: BTreeMap<String, String>,
}

impl PodsBehind {
    /// Completes what was counted.
    ///
    /// # Errors
    /// When pods that may still be going cannot be listed. What keeps others is only told where it can be.
    pub(super) async fn complete(
        &mut self,
        reader: &Reader,
        namespace: &str,
        counted: &mut [Counted],
    ) -> Result<(), ClusterError> {
        self.still_going(reader, namespace, counted).await?;
        self.what_keeps_them(reader, namespace, counted).await;
        Ok(())
    }

    /// A pod that is being deleted is in no status any more, and is there as long as its grace or a finalizer keeps it. One
    /// that failed long ago, and that nobody deletes, is in no status either, and takes no part in anything.
    async fn still_going(
        &mut self,
        reader: &Reader,
        namespace: &str,
        counted: &mut [Counted],
    ) -> Result<(), ClusterError> {
        if counted.is_empty() || !counted.iter().all(|(d, _)| d.down()) {
            self.gone = false;
        } else if !self.gone {
            let mut going = vec![0; counted.len()];
            let selectors = Selectors::new(counted.iter().map(|(_, s)| s));
            let take = |labels: &BTreeMap<String, String>| selectors.matching(labels, |at| going[at] += 1);
            reader.each_going_pod(namespace, take).await?;
            self.gone = going.iter().all(|count| *count == 0);
            for ((deployment, _), count) in counted.iter_mut().zip(going) {
                deployment.existing = count;
            }
        }
        Ok(())
    }

    async fn what_keeps_them(&mut self, reader: &Reader, namespace: &str, counted: &mut [Counted]) {
        let awaited = |d: &DeploymentView| d.replicas > 0 && d.observed && !d.up();
        if !counted.iter().any(|(d, _)| awaited(d)) {
            *self = Self { gone: self.gone, ..Self::default() };
            return;
        }
        let now = Instant::now();
        let since = *self.awaited_since.get_or_insert(now);
        let due = self.asked.is_none_or(|asked| now >= asked + ASK_EVERY);
        if now >= since + PATIENCE && due {
            self.asked = Some(now);
            self.troubles.clear();
            for (deployment, of) in counted.iter().filter(|(d, _)| awaited(d) && d.trouble.is_none()).take(ASKED_MAX) {
                let Ok(selector) = selector(of) else { continue };
                match reader.few_pods(namespace, &selector.to_string(), PODS_MAX).await {
                    Ok(pods) => {
                        let trouble = pods.iter().find_map(trouble);
                        self.troubles.extend(trouble.map(|trouble| (deployment.name.clone(), trouble)));
                    }
                    Err(why) => tracing::debug!(%why, "what keeps pods is not known; it is asked again"),
                }
            }
        }
        for (deployment, _) in counted.iter_mut().filter(|(d, _)| awaited(d) && d.trouble.is_none()) {
            deployment.trouble = self.troubles.get(&deployment.name).cloned();
        }
    }
}

/// Many selectors, each asked only of pods that have the label by which it differs most from the others: thousands of pods
/// against hundreds of selectors would be work of its own otherwise.
struct Selectors<'a> {
    by_label: HashMap<(&'a str, &'a str), Vec<(usize, Selector)>>,
    /// Those that name no label with its value.
    of_all: Vec<(usize, Selector)>,
}

impl<'a> Selectors<'a> {
    fn new(all: impl Iterator<Item = &'a LabelSelector> + Clone) -> Self {
        let labels = |s: &'a LabelSelector| s.match_labels.iter().flatten().map(|(k, v)| (k.as_str(), v.as_str()));
        let mut shared: HashMap<(&str, &str), usize> = HashMap::new();
        all.clone().flat_map(labels).for_each(|label| *shared.entry(label).or_default() += 1);
        let mut this = Self { by_label: HashMap::new(), of_all: Vec::new() };
        for (at, of) in all.enumerate() {
            let Ok(selector) = selector(of) else { continue };
            let rarest = labels(of).min_by_key(|label| shared[label]);
            rarest.map_or(&mut this.of_all, |label| this.by_label.entry(label).or_default()).push((at, selector));
        }
        this
    }

    /// Tells the place of each selector that matches these labels.
    fn matching(&self, labels: &BTreeMap<String, String>, tell: impl FnMut(usize)) {
        let named = labels.iter().filter_map(|(k, v)| self.by_label.get(&(k.as_str(), v.as_str()))).flatten();
        named.chain(&self.of_all).filter(|(_, selector)| selector.matches(labels)).map(|(at, _)| *at).for_each(tell);
    }
}

fn selector(of: &LabelSelector) -> Result<Selector, ParseExpressionError> {
    of.clone().try_into()
}

/// What keeps a pod from being ready, when it says so: that it fits nowhere, or what one of its containers waits for.
fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref().filter(|_| pod.metadata.deletion_timestamp.is_none())?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let unscheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(why) = unscheduled {
        return Some(words(name, why.reason.as_deref(), why.message.as_deref()));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let mut waiting = containers.filter_map(|c| c.state.as_ref()?.waiting.as_ref());
    // These two say only that it has not begun yet.
    let begun = |reason: &str| !matches!(reason, "ContainerCreating" | "PodInitializing");
    let why = waiting.find(|w| w.reason.as_deref().is_some_and(begun))?;
    Some(words(name, why.reason.as_deref(), why.message.as_deref()))
}

/// `name: reason: message`, as far as each is known and not beyond what a report can bear.
pub(super) fn words(name: &str, reason: Option<&str>, message: Option<&str>) -> String {
    let all: Vec<&str> = [Some(name), reason, message].into_iter().flatten().filter(|s| !s.is_empty()).collect();
    let all = all.join(": ");
    match all.char_indices().nth(WORDS_MAX) {
        Some((at, _)) => format!("{}…", &all[..at]),
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(status: &Value) -> Option<String> {
        let pod = json!({ "metadata": { "name": "web-1" }, "status": status });
        trouble(&serde_json::from_value(pod).unwrap())
    }

    fn waiting(reason: &str, message: &str) -> Value {
        let state = json!({ "waiting": { "reason": reason, "message": message } });
        json!({ "containerStatuses": [{ "name": "web", "image": "web:2", "imageID": "", "ready": false,
            "restartCount": 0, "state": state }] })
    }

    #[test]
    fn a_selector_matches_the_same_pods_among_others_as_alone() {
        let of = |text: Value| serde_json::from_value::<LabelSelector>(text).unwrap();
        let one_of = json!([{ "key": "app", "operator": "In", "values": ["cart", "web"] }]);
        let selectors = [
            of(json!({ "matchLabels": { "app": "web", "part": "shop" } })),
            of(json!({ "matchLabels": { "app": "cart", "part": "shop" } })),
            of(
                json!({ "matchLabels": { "app": "web" }, "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }),
            ),
            of(json!({ "matchExpressions": one_of })),
            of(json!({})),
        ];
        let among = Selectors::new(selectors.iter());
        for part in ["shop", "bank", ""] {
            for app in ["web", "cart", "stock", ""] {
                for tier in ["front", ""] {
                    let pairs = [("part", part), ("app", app), ("tier", tier)];
                    let labels =
                        pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (String::from(*k), String::from(*v)));
                    let labels: BTreeMap<String, String> = labels.collect();
                    let alone = (0..selectors.len()).filter(|at| selector(&selectors[*at]).unwrap().matches(&labels));
                    let mut told = Vec::new();
                    among.matching(&labels, |at| told.push(at));
                    told.sort_unstable();
                    assert_eq!(told, alone.collect::<Vec<_>>(), "{labels:?}");
                }
            }
        }
    }

    #[test]
    fn a_pod_says_what_keeps_it_and_nothing_while_it_only_begins() {
        let pull = of(&waiting("ImagePullBackOff", "Back-off pulling image"));
        assert_eq!(pull.as_deref(), Some("web-1: ImagePullBackOff: Back-off pulling image"));
        assert_eq!(of(&waiting("ContainerCreating", "")), None);
        assert_eq!(of(&json!({})), None);
        let nowhere = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available" }] });
        assert_eq!(of(&nowhere).as_deref(), Some("web-1: Unschedulable: 0/1 nodes are available"));
        let long = of(&waiting("ErrImagePull", &"ä".repeat(WORDS_MAX))).unwrap();
        assert_eq!(long.chars().count(), WORDS_MAX + 1, "{long}");
    }
}
