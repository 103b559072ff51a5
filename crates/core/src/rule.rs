//! The rules of a drill that the simulation weakens, one at a time, to prove that it would notice. A production build has
//! no such switch: [`weakened`] is then the constant `false`.

/// A rule that can be weakened. Each one names what goes wrong without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Only what was confirmed would be owed, and not what may have happened.
    OweTheUnconfirmed,
    /// A take-over would go on injecting.
    TakeOverOnlyUndoes,
    /// A take-over would not wait for the fence.
    TakeOverFences,
    /// An answer that was lost would not be fenced before its object is believed.
    LostAnswersFence,
    /// A step would be looked at while its own request is under way.
    AwaitInFlight,
    /// Somebody else's value would be overwritten.
    LeaveOthersValues,
    /// The lock would be let go while something else is owed.
    LockGoesLast,
    /// What was armed would be put away while the fault is there.
    ArmedAfterInjected,
    /// All waves would be put back at once.
    WavesInOrder,
    /// The drill would be closed with something owed.
    CloseOnlyClean,
    /// A conflict would be tried again after undoing began.
    NoIntentWhileUndoing,
    /// An injection would not wait for the baseline.
    BaselineFirst,
    /// The ledger would be read while probes still write into it.
    ReadAfterProbing,
    /// A held fault would be let go at once.
    HoldAtLeast,
    /// What keeps an old primary down would be let go before another has taken over.
    KeepDownUntilPromoted,
    /// A service that looks whole while the fault is held would count as back.
    BackOnlyAfterwards,
    /// A look from before the undo would count as readiness.
    FreshSights,
    /// A stable run from before redundancy was back would end the measuring.
    StableAtTheEnd,
    /// A take-over would measure again what was measured to its end.
    MeasureOnce,
    /// A step that cannot be undone would be tried for ever.
    GiveUpHopeless,
    /// An abort or a guard would not stop an intent that is being made.
    StoppedMeansStopped,
    /// Clocks of two boots would be compared.
    BootsDiffer,
    /// A step that was seen applied, and put back, would be called never applied.
    RememberOurs,
}

#[cfg(any(test, feature = "simulate"))]
mod switch {
    use super::Rule;
    use std::cell::Cell;

    thread_local! {
        static WEAKENED: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    /// Weakens one rule on this thread, or none.
    pub fn weaken(rule: Option<Rule>) {
        WEAKENED.with(|cell| cell.set(rule));
    }

    pub(crate) fn weakened(rule: Rule) -> bool {
        WEAKENED.with(|cell| cell.get() == Some(rule))
    }
}

#[cfg(any(test, feature = "simulate"))]
pub use switch::weaken;
#[cfg(any(test, feature = "simulate"))]
pub(crate) use switch::weakened;

#[cfg(not(any(test, feature = "simulate")))]
pub(crate) const fn weakened(_: Rule) -> bool {
    false
}
