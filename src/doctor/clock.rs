//! How far another machine's clock is from this one's, as an interval: windows, schedules and the times in reports go by
//! this machine's clock. No figure of a drill does; those are monotonic.

use super::finding::Finding;
use jiff::Timestamp;
use std::ops::RangeInclusive;

/// Beyond this nobody would call two clocks the same.
const APART_MS: i64 = 2_000;

/// The other clock minus this one, in milliseconds: between these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skew {
    least_ms: i64,
    most_ms: i64,
}

impl Skew {
    /// The other clock showed a time from `shown` to `fuzz_ms` later, at some moment of `asked`.
    pub(super) fn of(shown: Timestamp, fuzz_ms: i64, asked: &RangeInclusive<Timestamp>) -> Self {
        let ms = |t: Timestamp| t.as_millisecond();
        Self { least_ms: ms(shown) - ms(*asked.end()), most_ms: ms(shown) + fuzz_ms - ms(*asked.start()) }
    }

    /// As a finding about the clock of `whose`.
    pub(super) fn finding(self, subject: &str, whose: &str) -> Finding {
        let expected = format!("within {} s of this machine's", APART_MS / 1000);
        let seconds = |ms: i64| {
            let tenths = ms.abs().div_euclid(100);
            format!("{}{}.{}", if ms < 0 { "−" } else { "+" }, tenths / 10, tenths % 10)
        };
        let found = format!("{} to {} s from this machine's", seconds(self.least_ms), seconds(self.most_ms));
        if self.least_ms <= APART_MS && self.most_ms >= -APART_MS {
            return Finding::fine(subject, "clock", expected, found);
        }
        let help = format!(
            "Set this machine's clock or that of {whose} by NTP: windows, schedules and the times in reports go by this \
             machine's. Measured durations do not."
        );
        Finding::doubtful(subject, "clock", expected, found, help)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_clock_that_may_be_right_is_right_and_one_that_cannot_be_is_doubted() {
        for (shown_ms, fuzz_ms, asked_ms, mark) in [
            (0, 1_000, 400..=410, Mark::Fine),
            (-2_900, 1_000, 0..=0, Mark::Fine),
            (-3_100, 1_000, 0..=0, Mark::Doubtful),
            (2_500, 0, 0..=400, Mark::Doubtful),
            // A slow answer leaves room for doubt, and none to accuse.
            (2_500, 0, 0..=600, Mark::Fine),
        ] {
            let skew = Skew::of(at(shown_ms), fuzz_ms, &(at(*asked_ms.start())..=at(*asked_ms.end())));
            assert_eq!(skew.finding("cluster", "the API server").mark, mark, "{shown_ms} {fuzz_ms} {skew:?}");
        }
    }

    #[test]
    fn both_ends_are_said() {
        let skew = Skew::of(at(-3_000), 1_000, &(at(0)..=at(250)));
        assert_eq!(skew.finding("cluster", "it").found, "−3.2 to −2.0 s from this machine's");
    }
}
