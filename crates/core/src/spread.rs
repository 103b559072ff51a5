//! How a set of lengths is spread: percentiles by nearest rank, from raw samples.

use crate::time::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Median, 99th percentile and maximum of some lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// How many there were; at least one.
    pub count: u64,
    /// Half of them were at most this long.
    pub p50_ns: Nanos,
    /// 99 of 100 were at most this long.
    pub p99_ns: Nanos,
    /// The longest.
    pub max_ns: Nanos,
}

impl Spread {
    /// The spread of some lengths, or `None` when there are none.
    pub fn of(lengths: impl IntoIterator<Item = Nanos>) -> Option<Self> {
        let mut sorted: Vec<Nanos> = lengths.into_iter().collect();
        sorted.sort_unstable();
        let max_ns = *sorted.last()?;
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self { count: sorted.len() as u64, p50_ns: rank(50), p99_ns: rank(99), max_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let spread = Spread::of((1..=200).rev().map(Nanos)).unwrap();
        assert_eq!(spread, Spread { count: 200, p50_ns: Nanos(100), p99_ns: Nanos(198), max_ns: Nanos(200) });
        assert_eq!(Spread::of([Nanos(7)]).unwrap().p99_ns, Nanos(7));
        assert_eq!(Spread::of([]), None);
    }
}
