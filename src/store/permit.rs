//! Permission to change the world. An effect takes one and consumes it, so that an effect before its record, or twice
//! on one record, does not compile.

use firedrill_core::effect::{StepId, Version};

/// Permission to perform one step, once. Only the durable append of the step's intent makes it.
#[derive(Debug)]
pub struct InjectPermit {
    step: StepId,
    version: Version,
}

impl InjectPermit {
    pub(super) fn of_durable_intent(step: StepId, version: Version) -> Self {
        Self { step, version }
    }

    /// One without a journal, to hold an effect against a server.
    #[cfg(test)]
    pub(crate) fn for_a_test() -> Self {
        Self { step: StepId(0), version: Version::default() }
    }

    /// The step it is for.
    pub fn step(&self) -> StepId {
        self.step
    }

    /// The version that the effect is conditional on, as recorded.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

/// Permission to put one step back. It also comes from a replayed record, so that a journal that cannot be written any
/// more never keeps a fault in place.
#[derive(Debug)]
pub struct UndoPermit {
    step: StepId,
}

impl UndoPermit {
    /// From a step that the drill's records say is owed.
    pub fn of_owed(drill: &firedrill_core::drill::Drill, step: StepId) -> Option<Self> {
        drill.owed(step).then_some(Self { step })
    }

    /// From a step of a closed drill that was settled as never applied: a request of its dead runner may have landed
    /// later. Creating cannot be made conditional on a version, so this is looked at again.
    pub fn of_late_arrival(drill: &firedrill_core::drill::Drill, step: StepId) -> Option<Self> {
        let never = matches!(drill.outcome(step), Some(firedrill_core::effect::Undone::NeverApplied));
        (drill.closed && drill.took_over.is_some() && never).then_some(Self { step })
    }

    /// The step it is for.
    pub fn step(&self) -> StepId {
        self.step
    }
}
