//! Evictions: a deletion that asks the disruption budgets first.

use serde_json::{Value, json};

use super::delete::{DeleteOptions, check_preconditions, delete};
use super::kinds::Kind;
use super::meta;
use super::options::Query;
use super::selector::LabelSelector;
use super::status::ApiError;
use super::store::{Inner, Key};

/// How long to wait when a budget has not been looked at since it changed.
const BUDGET_PENDING_RETRY_S: u32 = 10;

/// Evicts a pod.
pub(crate) fn evict(inner: &mut Inner, key: &Key, body: &Value, query: &Query) -> Result<(), ApiError> {
    let named = meta::name(body);
    if !named.is_empty() && named != key.name {
        let message = format!("name in URL does not match name in Eviction object: \"{}\" != \"{named}\"", key.name);
        return Err(ApiError::bad_request(message));
    }
    let pod = inner.get(key).ok_or_else(|| ApiError::not_found(Kind::Pod, &key.name))?;
    // The field is camel case; what is misspelt is not a precondition, here as upstream.
    let options = DeleteOptions::read(body.get("deleteOptions").unwrap_or(&Value::Null), query)?;
    check_preconditions(key, &pod, &options)?;
    let disrupts =
        !["Succeeded", "Failed", "Pending"].contains(&meta::text(&pod, "/status/phase")) && !meta::is_deleting(&pod);
    if disrupts && let Some(budget) = budget_of(inner, &pod)? {
        spend(inner, &budget, &key.name, options.dry_run)?;
    }
    delete(inner, key, &options).map(|_| ())
}

/// The one budget that counts this pod.
fn budget_of(inner: &Inner, pod: &Value) -> Result<Option<Key>, ApiError> {
    let mut found = inner
        .range(Kind::PodDisruptionBudget, Some(meta::namespace(pod)))
        .filter(|budget| LabelSelector::of(budget.pointer("/spec/selector").unwrap_or(&Value::Null)).matches(pod))
        .map(|budget| Key::of(Kind::PodDisruptionBudget, budget));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(ApiError::internal(
            "this pod has more than one PodDisruptionBudget, which the eviction subresource does not support",
        )),
        (first, None) => Ok(first),
    }
}

/// Takes one disruption out of a budget, or says why there is none.
fn spend(inner: &mut Inner, key: &Key, pod: &str, dry_run: bool) -> Result<(), ApiError> {
    let Some(budget) = inner.get(key) else { return Ok(()) };
    let generation = meta::number(&budget, "/metadata/generation").unwrap_or(0);
    let cause = if meta::number(&budget, "/status/observedGeneration").unwrap_or(0) < generation {
        let message = format!("The disruption budget {} is still being processed by the server.", key.name);
        Some((message, Some(BUDGET_PENDING_RETRY_S)))
    } else if meta::number(&budget, "/status/disruptionsAllowed").unwrap_or(0) <= 0 {
        let desired = meta::number(&budget, "/status/desiredHealthy").unwrap_or(0);
        let healthy = meta::number(&budget, "/status/currentHealthy").unwrap_or(0);
        let message =
            format!("The disruption budget {} needs {desired} healthy pods and has {healthy} currently", key.name);
        Some((message, None))
    } else {
        None
    };
    if let Some((message, retry_after_s)) = cause {
        let mut refused = ApiError::too_many_requests(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            retry_after_s,
        );
        let details = refused.details.get_or_insert_with(|| json!({}));
        details["causes"] = json!([{"reason": "DisruptionBudget", "message": message}]);
        return Err(refused);
    }
    if !dry_run {
        let mut budget = Value::clone(&budget);
        let allowed = meta::number(&budget, "/status/disruptionsAllowed").unwrap_or(0);
        budget["status"]["disruptionsAllowed"] = json!(allowed - 1);
        budget["status"]["disruptedPods"][pod] = json!(meta::now());
        inner.put(key, budget);
    }
    Ok(())
}
