//! Lengths of time and intervals in words. An interval is rounded outwards, so that what is printed is never narrower
//! than what is known.

use crate::time::{Interval, Nanos};

const MS: f64 = 1e6;
const S: f64 = 1e9;

/// Where rounding goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the next step below.
    Down,
    /// To the nearest step.
    Nearest,
    /// To the next step above.
    Up,
}

impl Rounding {
    /// `value` to `decimals` places. What is within a millionth of a step counts as on it, so that binary
    /// fractions do not push a bound one step out.
    pub fn apply(self, value: f64, decimals: usize) -> f64 {
        let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or(0));
        let scaled = value * scale;
        let near = scaled.round();
        let on_step = (scaled - near).abs() < 1e-6;
        let rounded = match self {
            _ if on_step => near,
            Self::Down => scaled.floor(),
            Self::Nearest => near,
            Self::Up => scaled.ceil(),
        };
        rounded / scale
    }
}

/// A length of time as people say it: `3.1 ms`, `1.911 s`, `2 min 5 s`, `8 d 4 h`.
pub fn duration(length: Nanos) -> String {
    let ns = length.0 as f64;
    match length.0 {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{ns:.0} ns"),
        1_000..999_500 => format!("{:.0} µs", ns / 1e3),
        999_500..9_950_000 => format!("{} ms", trimmed(ns / MS, 1)),
        9_950_000..999_500_000 => format!("{:.0} ms", ns / MS),
        999_500_000..9_999_500_000 => format!("{} s", trimmed(ns / S, 3)),
        9_999_500_000..119_950_000_000 => format!("{} s", trimmed(ns / S, 1)),
        _ => compound(ns / S, Rounding::Nearest),
    }
}

/// From two minutes on: the two largest units that are not zero, rounded to the smaller of them.
pub fn compound(seconds: f64, rounding: Rounding) -> String {
    let grain = match seconds {
        ..7_200.0 => 1.0,
        ..172_800.0 => 60.0,
        _ => 3_600.0,
    };
    let rounded = rounding.apply(seconds / grain, 0) * grain;
    let whole = format!("{rounded:.0}").parse::<u64>().unwrap_or(u64::MAX);
    let (large, large_unit, small, small_unit) = match whole {
        0..7_200 => (whole / 60, "min", whole % 60, "s"),
        7_200..172_800 => (whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => (whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    };
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

/// A number without the zeros behind its decimals.
pub fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// An interval: `1.90 to 1.92 s`, `at least 5 min`, `0 s`.
pub fn interval(of: Interval) -> String {
    let Some(upper) = of.upper_ns else {
        return format!("at least {}", floor(of.lower_ns));
    };
    if upper == of.lower_ns {
        return duration(upper);
    }
    let (lower_ns, upper_ns) = (of.lower_ns.0 as f64, upper.0 as f64);
    let width_ns = upper_ns - lower_ns;
    if upper.0 >= 120_000_000_000 {
        let low = compound(lower_ns / S, Rounding::Down);
        let high = compound(upper_ns / S, Rounding::Up);
        return if low == high { low } else { format!("{low} to {high}") };
    }
    let (unit, unit_ns, base) = if upper.0 < 1_000_000_000 {
        ("ms", MS, 0)
    } else if upper.0 < 10_000_000_000 {
        ("s", S, 2)
    } else {
        ("s", S, 1)
    };
    let mut decimals = base;
    while decimals < 3 && width_ns / unit_ns * 10_f64.powi(i32::try_from(decimals).unwrap_or(0)) < 1.0 {
        decimals += 1;
    }
    let low = Rounding::Down.apply(lower_ns / unit_ns, decimals);
    let high = Rounding::Up.apply(upper_ns / unit_ns, decimals);
    if lower_ns == 0.0 {
        format!("0 to {high:.decimals$} {unit}")
    } else {
        format!("{low:.decimals$} to {high:.decimals$} {unit}")
    }
}

/// A lower bound, rounded down: what lasted for at least that.
pub fn floor(length: Nanos) -> String {
    let seconds = length.as_secs_f64();
    match length.0 {
        0 => "0 s".to_owned(),
        1..1_000_000_000 => format!("{} ms", trimmed(Rounding::Down.apply(length.as_ms_f64(), 1), 1)),
        1_000_000_000..120_000_000_000 => format!("{} s", trimmed(Rounding::Down.apply(seconds, 2), 2)),
        _ => compound(seconds, Rounding::Down),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ns(seconds: f64) -> Nanos {
        Nanos(format!("{:.0}", seconds * 1e9).parse().expect("a length"))
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let said: Vec<String> = [
            0.0, 0.000_85, 0.003_1, 0.31, 1.911, 1.5, 14.9, 30.0, 59.97, 119.97, 125.0, 300.0, 7_199.9, 12_000.0,
            705_600.0,
        ]
        .map(|s| duration(ns(s)))
        .to_vec();
        insta::assert_snapshot!(said.join(" | "), @"0 s | 850 µs | 3.1 ms | 310 ms | 1.911 s | 1.5 s | 14.9 s | 30 s | 60 s | 2 min | 2 min 5 s | 5 min | 2 h | 3 h 20 min | 8 d 4 h");
    }

    #[test]
    fn intervals_are_rounded_outwards_in_one_unit() {
        let said: Vec<String> = [
            (1.8987, 1.9123),
            (0.012, 0.0194),
            (14.82, 14.9),
            (1.91, 1.91),
            (0.0, 0.0102),
            (125.2, 127.9),
            (29.996, 30.004),
        ]
        .map(|(a, b)| interval(Interval::new(ns(a), Some(ns(b)))))
        .to_vec();
        insta::assert_snapshot!(said.join(" | "), @"1.89 to 1.92 s | 12 to 20 ms | 14.82 to 14.90 s | 1.91 s | 0 to 11 ms | 2 min 5 s to 2 min 8 s | 29.996 to 30.004 s");
        assert_eq!(interval(Interval::new(ns(300.7), None)), "at least 5 min");
        assert_eq!(interval(Interval::ZERO), "0 s");
        let long = interval(Interval::new(ns(7_290.5), Some(ns(7_965.2))));
        assert_eq!(long, "2 h 1 min to 2 h 13 min");
        assert_eq!(interval(Interval::new(ns(180_100.0), Some(ns(180_200.0)))), "2 d 2 h to 2 d 3 h");
    }

    proptest! {
        #[test]
        fn a_printed_interval_in_seconds_holds_the_measured_one(lower in 1_000_000_000_u64..119_000_000_000, width in 1_u64..900_000_000) {
            let printed = interval(Interval::new(Nanos(lower), Some(Nanos(lower + width))));
            let (low, high) = printed.strip_suffix(" s").and_then(|p| p.split_once(" to ")).expect("two bounds in seconds");
            prop_assert!(low.parse::<f64>().expect("a number") <= lower as f64 / 1e9 + 1e-8, "{}", printed);
            prop_assert!(high.parse::<f64>().expect("a number") >= (lower + width) as f64 / 1e9 - 1e-8, "{}", printed);
        }
    }
}
