//! What a runner and its agent on a node say to each other: two annotations of the agent's own pod. The API keeps them in
//! order, so an order can be conditional on a version, and anybody can read what was asked for and what was done.

use firedrill_core::time::Mono;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the runner asks for: [`ACT`] or [`END`].
pub(crate) const ORDER_ANNOTATION: &str = "firedrill.dev/agent-order";
/// What the agent says of itself: an [`AgentState`] as JSON.
pub(crate) const STATE_ANNOTATION: &str = "firedrill.dev/agent-state";
/// Do it, once.
pub(crate) const ACT: &str = "act";
/// Let go, and do nothing any more.
pub(crate) const END: &str = "end";

/// Where an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AgentPhase {
    /// It sees its victim and waits.
    Idle,
    /// It does not see its victim, or may not act on it.
    Blind,
    /// It is about to act, or holds its victim.
    Acting,
    /// It holds nobody, and will do nothing any more.
    Over,
}

/// Why an agent let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EndedBy {
    /// It was told to, or had nothing to hold.
    Order,
    /// Its time was over.
    Timer,
    /// It was ended itself.
    Signal,
    /// It had died, and was started again.
    Restart,
}

/// What an agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AgentState {
    /// Where it is.
    pub(crate) phase: AgentPhase,
    /// Whether any process was killed or stopped.
    pub(crate) acted: bool,
    /// Why it let go, once it has.
    pub(crate) by: Option<EndedBy>,
    /// How many processes the victim had at the blow; before it, how many are seen.
    pub(crate) processes: usize,
    /// How many were killed in all, those that were started in their place included.
    pub(crate) kills: usize,
    /// By the boot's clock of the node: when the blow began, when the last process was hit, when the victim was let go.
    pub(crate) began_ns: Option<Mono>,
    /// See `began_ns`.
    pub(crate) struck_ns: Option<Mono>,
    /// See `began_ns`.
    pub(crate) ended_ns: Option<Mono>,
    /// What did not go as it should.
    pub(crate) trouble: Option<String>,
}

impl AgentState {
    /// Of an agent that has done nothing.
    pub(crate) fn new(phase: AgentPhase) -> Self {
        Self {
            phase,
            acted: false,
            by: None,
            processes: 0,
            kills: 0,
            began_ns: None,
            struck_ns: None,
            ended_ns: None,
            trouble: None,
        }
    }

    /// What a pod's annotations say, if they say anything.
    pub(crate) fn of(annotations: &BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(annotations.get(STATE_ANNOTATION)?).ok()
    }
}
