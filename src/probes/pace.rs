//! How often a probe asks, and how long it waits: the same for every kind.

use crate::spec::scalar::Span;

/// The rates and the timeout of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The period of the kept view.
    pub every: Span,
    /// The period of the fresh view; `None` when the probe has none.
    pub fresh_every: Option<Span>,
    /// How long an answer may take.
    pub timeout: Span,
}

/// The kept view's period where a file names none.
pub const EVERY: Span = Span::ms(50);
/// The fresh view's period where a file names none: a login is dear, so it is slower than the kept view.
pub const FRESH_EVERY: Span = Span::ms(100);
/// The timeout where a file names none.
pub const TIMEOUT: Span = Span::ms(500);
