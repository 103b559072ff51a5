//! Disruption budgets: how many healthy pods there are, how many there must be, how many may go.

use serde_json::{Value, json};

use super::condition::{has_ended, is_ready, set_condition};
use super::driver::Controller;
use crate::api::selector::LabelSelector;
use crate::api::{Change, Inner, Key, Kind, meta};

/// The controller of disruption budgets.
pub(super) struct Budgets;

impl Controller for Budgets {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::PodDisruptionBudget, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change, inner: &Inner) -> Vec<Key> {
        if kind == Kind::PodDisruptionBudget {
            return vec![Key::of(kind, &change.object)];
        }
        inner
            .range(Kind::PodDisruptionBudget, Some(meta::namespace(&change.object)))
            .map(|budget| Key::of(Kind::PodDisruptionBudget, budget))
            .collect()
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(budget) = inner.get(key) else { return };
        let selector = LabelSelector::of(budget.pointer("/spec/selector").unwrap_or(&Value::Null));
        let pods: Vec<_> = inner
            .range(Kind::Pod, Some(&key.namespace))
            .filter(|pod| selector.matches(pod) && !has_ended(pod))
            .collect();
        let expected = pods.iter().filter(|pod| !meta::is_deleting(pod)).count();
        let healthy = pods.iter().filter(|pod| is_ready(pod)).count();
        let present: Vec<String> =
            pods.iter().filter(|pod| !meta::is_deleting(pod)).map(|pod| meta::name(pod).to_owned()).collect();
        let desired = desired(&budget, expected);
        let allowed = if expected == 0 { 0 } else { healthy.saturating_sub(desired) };
        let mut budget = Value::clone(&budget);
        let generation = budget["metadata"]["generation"].clone();
        // Evicted pods count as gone until they are.
        let disrupted: serde_json::Map<String, Value> = budget
            .pointer("/status/disruptedPods")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(pod, _)| present.contains(pod))
            .map(|(pod, since)| (pod.clone(), since.clone()))
            .collect();
        let allowed = allowed.saturating_sub(disrupted.len());
        let conditions = budget.pointer("/status/conditions").cloned().unwrap_or_else(|| json!([]));
        budget["status"] = json!({
            "observedGeneration": generation, "expectedPods": expected, "currentHealthy": healthy,
            "desiredHealthy": desired, "disruptionsAllowed": allowed, "conditions": conditions,
        });
        if !disrupted.is_empty() {
            budget["status"]["disruptedPods"] = Value::Object(disrupted);
        }
        let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
        set_condition(&mut budget, "DisruptionAllowed", status, reason, "");
        inner.put(key, budget);
    }
}

/// How many pods must stay healthy. Percentages are of the expected pods, rounded up.
fn desired(budget: &Value, expected: usize) -> usize {
    if let Some(least) = budget.pointer("/spec/minAvailable") {
        return share(least, expected);
    }
    match budget.pointer("/spec/maxUnavailable") {
        Some(most) => expected.saturating_sub(share(most, expected)),
        None => expected.saturating_sub(1),
    }
}

fn share(told: &Value, of: usize) -> usize {
    match told {
        Value::String(text) => {
            let percent: usize = text.trim_end_matches('%').parse().unwrap_or(0);
            (percent * of).div_ceil(100)
        }
        other => other.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::desired;

    #[test]
    fn counts_and_percentages_are_read_as_upstream_reads_them() {
        assert_eq!(desired(&json!({"spec": {"minAvailable": 2}}), 5), 2);
        assert_eq!(desired(&json!({"spec": {"minAvailable": "50%"}}), 5), 3);
        assert_eq!(desired(&json!({"spec": {"maxUnavailable": 1}}), 3), 2);
        assert_eq!(desired(&json!({"spec": {"maxUnavailable": "30%"}}), 7), 4);
        assert_eq!(desired(&json!({"spec": {"maxUnavailable": 9}}), 3), 0);
    }
}
