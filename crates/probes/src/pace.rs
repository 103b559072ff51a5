//! How often a probe asks, and how long it waits: the same for every kind.

use crate::scalar::Span;
use firedrill_core::sample::View;

/// The rates and the timeout of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The period of the kept view; of the only view where [`Pace::views`] has one.
    pub every: Span,
    /// The period of the fresh view; `None` when the probe has no second one.
    pub fresh_every: Option<Span>,
    /// How long an answer may take.
    pub timeout: Span,
    /// Which views the probe has.
    pub views: Views,
}

/// Which views a probe has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// A kept view, and a fresh one where it has a period.
    KeptAndFresh,
    /// Only new connections: a kept one would prove nothing.
    FreshOnly,
}

impl Pace {
    /// Each view of the probe and its period.
    pub fn streams(&self) -> Vec<(View, Span)> {
        match self.views {
            Views::FreshOnly => vec![(View::Fresh, self.every)],
            Views::KeptAndFresh => {
                let fresh = self.fresh_every.map(|every| (View::Fresh, every));
                std::iter::once((View::Kept, self.every)).chain(fresh).collect()
            }
        }
    }
}

/// The kept view's period where a file names none.
pub const EVERY: Span = Span::ms(50);
/// The fresh view's period where a file names none: a login is dear, so it is slower than the kept view.
pub const FRESH_EVERY: Span = Span::ms(100);
/// The timeout where a file names none.
pub const TIMEOUT: Span = Span::ms(500);
