//! Horizontal autoscalers, without metrics: they keep to their bounds, and rest while their target is at zero.

use serde_json::{Value, json};

use super::condition::set_condition;
use super::driver::Controller;
use crate::api::{Change, Inner, Key, Kind, meta};

/// The controller of autoscalers.
pub(super) struct Autoscalers;

impl Controller for Autoscalers {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::HorizontalPodAutoscaler, Kind::Deployment, Kind::StatefulSet]
    }

    fn concerned(&mut self, kind: Kind, change: &Change, inner: &Inner) -> Vec<Key> {
        if kind == Kind::HorizontalPodAutoscaler {
            return vec![Key::of(kind, &change.object)];
        }
        let target = Key::of(kind, &change.object);
        inner
            .range(Kind::HorizontalPodAutoscaler, Some(&target.namespace))
            .filter(|scaler| target_of(scaler).as_ref() == Some(&target))
            .map(|scaler| Key::of(Kind::HorizontalPodAutoscaler, scaler))
            .collect()
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(scaler) = inner.get(key).filter(|scaler| !meta::is_deleting(scaler)) else { return };
        let mut told = Value::clone(&scaler);
        let target = target_of(&scaler).and_then(|key| Some((inner.get(&key)?, key)));
        let Some((target, target_key)) = target else {
            let message = "the HPA controller was unable to get the target's current scale";
            set_condition(&mut told, "AbleToScale", "False", "FailedGetScale", message);
            inner.put(key, told);
            return;
        };
        let current = meta::number(&target, "/spec/replicas").unwrap_or(0);
        let least = meta::number(&scaler, "/spec/minReplicas").unwrap_or(1);
        let most = meta::number(&scaler, "/spec/maxReplicas").unwrap_or(least).max(least);
        set_condition(&mut told, "AbleToScale", "True", "SucceededGetScale", "");
        let desired = if current == 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            set_condition(&mut told, "ScalingActive", "False", "ScalingDisabled", message);
            0
        } else {
            set_condition(&mut told, "ScalingActive", "True", "ValidMetricFound", "");
            current.clamp(least, most)
        };
        told["status"]["currentReplicas"] = json!(meta::number(&target, "/status/replicas").unwrap_or(0));
        told["status"]["desiredReplicas"] = json!(desired);
        inner.put(key, told);
        if desired != current {
            let mut target = Value::clone(&target);
            target["spec"]["replicas"] = json!(desired);
            inner.put(&target_key, target);
        }
    }
}

fn target_of(scaler: &Value) -> Option<Key> {
    let target = scaler.pointer("/spec/scaleTargetRef")?;
    let kind = Kind::by_reference(meta::text(target, "/apiVersion"), meta::text(target, "/kind"))?;
    Some(Key::new(kind, meta::namespace(scaler), meta::text(target, "/name")))
}
