//! An agent is told to act, and to let go. Both are writes to its own pod, conditional on its version; both count only once
//! the agent itself has said that it did.

use super::{Hands, LooksLike, Trouble, refused, timed};
use crate::effects::agent_words::{ACT, AgentPhase, AgentState, END, EndedBy, ORDER_ANNOTATION};
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::cluster::{EPOCH_ANNOTATION, is_not_found};
use crate::targets::patroni;
use firedrill_core::effect::{Blow, Holding, ObjectRef, Part, Reply, Version, Victim};
use firedrill_core::plan::Fact;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long an agent may take to do what it was told.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

async fn order(hands: &Hands, agent: &ObjectRef, word: &str, version: &Version) -> Result<(), Trouble> {
    let api: Api<Pod> = hands.namespaced(&agent.namespace);
    let body = json!({
        "metadata": { "resourceVersion": version.0, "annotations": { ORDER_ANNOTATION: word } }
    });
    #[expect(clippy::disallowed_methods, reason = "the one write of this effect; its callers hold permits")]
    timed(async { api.patch(&agent.name, &PatchParams::default(), &Patch::Merge(&body)).await }).await.map(|_| ())
}

/// Waits until the agent says something that is wanted.
async fn answer(hands: &Hands, agent: &ObjectRef, wanted: impl Fn(&AgentState) -> bool) -> Result<AgentState, String> {
    let api: Api<Pod> = hands.namespaced(&agent.namespace);
    let began = Instant::now();
    let mut trouble = "it said nothing".to_owned();
    while began.elapsed() < ANSWER_TIMEOUT {
        match timed(async { api.get(&agent.name).await }).await {
            Ok(found) => match found.metadata.annotations.as_ref().and_then(AgentState::of) {
                Some(state) if wanted(&state) => return Ok(state),
                Some(state) => trouble = format!("it is {:?}", state.phase),
                None => {}
            },
            Err(e) => trouble = e.to_string(),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(format!("{agent} did not do as it was told within {} s: {trouble}", ANSWER_TIMEOUT.as_secs()))
}

pub(super) async fn apply(
    hands: &Hands,
    agent: &ObjectRef,
    victim: &Victim,
    blow: Blow,
    permit: InjectPermit,
) -> (Reply, Vec<Fact>) {
    if let Err(e) = order(hands, agent, ACT, permit.version()).await {
        return (refused(e), Vec::new());
    }
    let done = |s: &AgentState| s.struck_ns.is_some() || s.phase == AgentPhase::Over;
    match answer(hands, agent, done).await {
        Err(why) => (Reply::Unknown(why), Vec::new()),
        Ok(state) if !state.acted => (
            Reply::Rejected(state.trouble.unwrap_or_else(|| "the agent let go before it acted".to_owned())),
            Vec::new(),
        ),
        Ok(state) => (Reply::Applied, facts(&state, victim, blow)),
    }
}

fn facts(state: &AgentState, victim: &Victim, blow: Blow) -> Vec<Fact> {
    let what = if matches!(blow, Blow::Freeze { .. }) { "stopped" } else { "killed" };
    let took_ms = state.began_ns.zip(state.struck_ns).map(|(from, to)| to.since(from).as_ms_f64());
    let took = took_ms.map(|ms| format!(" within {ms:.1} ms")).unwrap_or_default();
    let whose = match victim.part {
        Part::All => format!("of {} in {}", victim.container, victim.pod.name),
        Part::Manager { .. } => {
            format!("of the failover manager in {}, and no other of {}", victim.pod.name, victim.container)
        }
    };
    let text = format!("all {} {whose}{took}", state.processes);
    vec![Fact::new(format!("processes {what}"), text, "the agent on the node, by its boot's clock")]
}

/// What the agent's pod says; where that is gone without having said that it let go, what the victim itself shows.
pub(super) async fn look(hands: &Hands, agent: &ObjectRef, victim: &Victim, blow: Blow) -> LooksLike {
    let api: Api<Pod> = hands.namespaced(&agent.namespace);
    let found = match timed(async { api.get(&agent.name).await }).await {
        Ok(found) => found,
        Err(Trouble::Api(e)) if is_not_found(&e) => return without_agent(hands, victim, blow).await,
        Err(e) => return Err(e.to_string()),
    };
    let version = Version(found.metadata.resource_version.unwrap_or_default());
    let annotations = found.metadata.annotations.unwrap_or_default();
    let ended = found.status.and_then(|s| s.phase).is_some_and(|p| matches!(p.as_str(), "Failed" | "Succeeded"));
    let holding = holding(&annotations);
    if holding == Holding::Ours && ended {
        return without_agent(hands, victim, blow).await;
    }
    Ok((holding, version))
}

fn holding(annotations: &BTreeMap<String, String>) -> Holding {
    let order = annotations.get(ORDER_ANNOTATION).map(String::as_str);
    match AgentState::of(annotations) {
        Some(AgentState { phase: AgentPhase::Over, acted: false, .. }) => Holding::Prior,
        Some(AgentState { phase: AgentPhase::Over, by: Some(EndedBy::Order), .. }) => Holding::Gone,
        Some(AgentState { phase: AgentPhase::Over, .. }) => Holding::ByDeadMan,
        Some(AgentState { phase: AgentPhase::Acting, .. }) => Holding::Ours,
        _ if order.is_some() => Holding::Ours,
        _ => Holding::Prior,
    }
}

/// Nobody kills any more once the agent is gone. What it had stopped is let go when it ends in order; that it did is
/// believed only when the victim shows it.
async fn without_agent(hands: &Hands, victim: &Victim, blow: Blow) -> LooksLike {
    let gone = Ok((Holding::Gone, Version::default()));
    if !matches!(blow, Blow::Freeze { .. }) {
        return gone;
    }
    // A server that is well says nothing of its manager; its manager's own answer does.
    if let Part::Manager { api } = &victim.part
        && patroni::answers(api).await.is_ok()
    {
        return gone;
    }
    let api: Api<Pod> = hands.namespaced(&victim.pod.namespace);
    let found = match timed(async { api.get(&victim.pod.name).await }).await {
        Ok(found) => found,
        Err(Trouble::Api(e)) if is_not_found(&e) => return gone,
        Err(e) => return Err(e.to_string()),
    };
    if found.metadata.uid != victim.pod.uid {
        return gone;
    }
    let probed = found.spec.as_ref().and_then(|s| s.containers.iter().find(|c| c.name == victim.container));
    let probed = probed.is_some_and(|c| c.readiness_probe.is_some());
    let status = found.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    let status = status.into_iter().find(|c| c.name == victim.container);
    let another = status.is_some_and(|c| c.container_id.as_ref() != Some(&victim.container_id));
    let answers = victim.part == Part::All && probed && status.is_some_and(|c| c.ready);
    if another || answers {
        return gone;
    }
    Err(format!(
        "its agent is gone and never said that it let go; see on the node whether a process of {} in {} is stopped (state T)",
        victim.container, victim.pod
    ))
}

/// Tells the agent to let go, and waits until it has.
pub(super) async fn undo(hands: &Hands, agent: &ObjectRef, seen: &Version, _: UndoPermit) -> Result<(), String> {
    order(hands, agent, END, seen).await.map_err(|e| e.to_string())?;
    answer(hands, agent, |s| s.phase == AgentPhase::Over).await.map(|_| ())
}

/// Moves the version of the agent's pod on, so that an order that an older runner may still send finds a conflict. The mark
/// that does it is taken off again at once.
pub(super) async fn touch(hands: &Hands, agent: &ObjectRef, epoch: u64) -> Result<(), String> {
    let api: Api<Pod> = hands.namespaced(&agent.namespace);
    for mark in [json!(format!("{}/{epoch}", hands.drill)), Value::Null] {
        let body = json!({ "metadata": { "annotations": { EPOCH_ANNOTATION: mark } } });
        #[expect(clippy::disallowed_methods, reason = "part of a take-over, whose record is durable")]
        let touched =
            timed(async { api.patch(&agent.name, &PatchParams::default(), &Patch::Merge(&body)).await }).await;
        match touched {
            Ok(_) => {}
            // Nobody is there to be told.
            Err(Trouble::Api(e)) if is_not_found(&e) => return Ok(()),
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::agent_words::STATE_ANNOTATION;

    fn said(order: Option<&str>, state: Option<AgentState>) -> Holding {
        let mut annotations = BTreeMap::new();
        annotations.extend(order.map(|o| (ORDER_ANNOTATION.to_owned(), o.to_owned())));
        annotations.extend(state.map(|s| (STATE_ANNOTATION.to_owned(), serde_json::to_string(&s).unwrap())));
        holding(&annotations)
    }

    #[test]
    fn what_agent_and_runner_said_tells_whose_it_is() {
        let state = AgentState::new;
        let over = |acted, by| AgentState { acted, by: Some(by), ..state(AgentPhase::Over) };
        assert_eq!(said(None, None), Holding::Prior);
        assert_eq!(said(None, Some(state(AgentPhase::Idle))), Holding::Prior);
        // An order that nobody has taken yet may still be taken.
        assert_eq!(said(Some(ACT), Some(state(AgentPhase::Idle))), Holding::Ours);
        assert_eq!(said(Some(END), Some(state(AgentPhase::Idle))), Holding::Ours);
        assert_eq!(said(Some(ACT), Some(state(AgentPhase::Acting))), Holding::Ours);
        assert_eq!(said(Some(END), Some(state(AgentPhase::Acting))), Holding::Ours);
        assert_eq!(said(Some(END), Some(over(false, EndedBy::Order))), Holding::Prior);
        assert_eq!(said(Some(END), Some(over(true, EndedBy::Order))), Holding::Gone);
        for by in [EndedBy::Timer, EndedBy::Signal, EndedBy::Restart] {
            assert_eq!(said(Some(ACT), Some(over(true, by))), Holding::ByDeadMan);
        }
    }
}
