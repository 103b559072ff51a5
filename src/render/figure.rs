//! Figures in words. An interval is rounded outwards, so that what is printed is never narrower than what is known.

use super::text::clean;
use firedrill_core::report::{Bracket, Clock, Moment};
use firedrill_core::time::{Interval, Known, Nanos};

const MS: f64 = 1e6;
const S: f64 = 1e9;

/// Where rounding goes.
#[derive(Clone, Copy)]
enum Rounding {
    Down,
    Nearest,
    Up,
}

impl Rounding {
    /// `value` to `decimals` places. What is within a millionth of a step counts as on it, so that binary
    /// fractions do not push a bound one step out.
    fn apply(self, value: f64, decimals: usize) -> f64 {
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

/// A whole number with separators: `1,734`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
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
fn compound(seconds: f64, rounding: Rounding) -> String {
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

fn trimmed(value: f64, decimals: usize) -> String {
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

/// A lower bound, rounded down.
fn floor(length: Nanos) -> String {
    let seconds = length.as_secs_f64();
    match length.0 {
        0 => "0 s".to_owned(),
        1..1_000_000_000 => format!("{} ms", trimmed(Rounding::Down.apply(length.as_ms_f64(), 1), 1)),
        1_000_000_000..120_000_000_000 => format!("{} s", trimmed(Rounding::Down.apply(seconds, 2), 2)),
        _ => compound(seconds, Rounding::Down),
    }
}

/// An interval that may not be known: its words, or `not known`.
pub fn known_interval(of: &Known<Interval>) -> String {
    of.known().map_or_else(|| "not known".to_owned(), |i| interval(*i))
}

/// The distance of a point from the origin, signed: `+1.86 s`, `−10.00 s`, `+2 min 5 s`.
pub fn offset(at: Moment, origin: Moment) -> String {
    signed(at.offset_ns(origin) as f64 / S, 2, Rounding::Nearest)
}

/// The same with milliseconds, for tables: a point, or its bounds when they differ by a millisecond or more.
pub fn offset_of(at: Bracket, origin: Moment) -> String {
    let earliest = at.earliest_ns.offset_ns(origin);
    let latest = at.latest_ns.offset_ns(origin);
    if latest - earliest < 1_000_000 {
        return signed(earliest as f64 / S, 3, Rounding::Nearest);
    }
    let low = signed(earliest as f64 / S, 3, Rounding::Down);
    let high = signed(latest as f64 / S, 3, Rounding::Up);
    format!("{} to {high}", low.strip_suffix(" s").unwrap_or(&low))
}

fn signed(seconds: f64, decimals: usize, rounding: Rounding) -> String {
    let rounded = rounding.apply(seconds, decimals);
    let sign = if rounded < 0.0 {
        "−"
    } else if rounded > 0.0 {
        "+"
    } else {
        ""
    };
    let size = rounded.abs();
    // Before the origin, down is further away.
    let away = match rounding {
        Rounding::Down if rounded < 0.0 => Rounding::Up,
        Rounding::Up if rounded < 0.0 => Rounding::Down,
        other => other,
    };
    if size >= 600.0 { format!("{sign}{}", compound(size, away)) } else { format!("{sign}{size:.decimals$} s") }
}

/// A point as UTC time of day, to the millisecond.
pub fn utc_time(clock: &Clock, at: Moment) -> String {
    clock.utc(at).strftime("%H:%M:%S%.3f").to_string()
}

/// A point as a full date, in UTC and, if the report names one, in its zone.
pub fn date(clock: &Clock, at: Moment) -> String {
    let utc = clock.utc(at);
    let zoned = clock.zone.as_ref().and_then(|zone| {
        let offset = jiff::tz::Offset::from_seconds(zone.offset_s).ok()?;
        let local = offset.to_datetime(utc);
        let city = clean(&zone.name.rsplit('/').next().unwrap_or(&zone.name).replace('_', " "));
        Some(format!("{} {city} ({} UTC)", local.strftime("%-d %b %Y %H:%M:%S"), utc.strftime("%H:%M:%S")))
    });
    zoned.unwrap_or_else(|| format!("{} UTC", utc.strftime("%-d %b %Y %H:%M:%S")))
}

/// A size in bytes: `364 MB`.
pub fn bytes(size: u64) -> String {
    let mut value = size as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return format!("{} {unit}", trimmed(value, usize::from(value < 9.95 && unit != "B")));
        }
        value /= 1_000.0;
    }
    format!("{} TB", trimmed(value, 1))
}

/// Bytes over time: `182 MB/s`; `None` when no time passed.
pub fn throughput(size: u64, length: Nanos) -> Option<String> {
    (length.0 > 0).then(|| {
        let per_second = size as f64 / length.as_secs_f64();
        format!("{}/s", bytes(format!("{per_second:.0}").parse().unwrap_or(u64::MAX)))
    })
}

/// The same figure with its units tied to its numbers, for text that is folded by somebody else.
pub fn unbroken(figure: &str) -> String {
    let mut out = String::with_capacity(figure.len());
    for (n, token) in figure.split(' ').enumerate() {
        let unit = matches!(token, "ns" | "µs" | "ms" | "s" | "min" | "h" | "d" | "B" | "kB" | "MB" | "GB" | "TB");
        if n > 0 {
            out.push(if unit { '\u{a0}' } else { ' ' });
        }
        out.push_str(token);
    }
    out
}

/// A long hash, as `9f31b2c4…0ec2`.
pub fn short_hash(hash: &str) -> String {
    let chars: Vec<char> = hash.chars().collect();
    if chars.len() <= 16 {
        return hash.to_owned();
    }
    let head: String = chars[..8].iter().collect();
    let tail: String = chars[chars.len() - 4..].iter().collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::time::{Mono, Stamp};
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

    #[test]
    fn offsets_are_signed_and_bounded_when_the_bounds_matter() {
        let origin = Moment::from_ms(20_000);
        assert_eq!(offset(Moment::from_ms(21_860), origin), "+1.86 s");
        assert_eq!(offset(Moment::from_ms(10_000), origin), "−10.00 s");
        assert_eq!(offset(origin, origin), "0.00 s");
        assert_eq!(offset(Moment::from_ms(720_000), origin), "+11 min 40 s");
        assert_eq!(
            offset_of(Bracket::new(Moment(22_230_400_000), Moment(22_240_000_000)), origin),
            "+2.230 to +2.240 s"
        );
        assert_eq!(offset_of(Bracket::exact(Moment(20_309_000_000)), origin), "+0.309 s");
    }

    #[test]
    fn sizes_counts_and_hashes_are_short() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(unbroken("2 min 5 s to 2 min 8 s"), "2\u{a0}min 5\u{a0}s to 2\u{a0}min 8\u{a0}s");
        assert_eq!(
            [bytes(999), bytes(1_500), bytes(364_000_000), bytes(999_600_000)].join(" "),
            "999 B 1.5 kB 364 MB 1 GB"
        );
        assert_eq!(throughput(364_000_000, Nanos::from_secs(2)).as_deref(), Some("182 MB/s"));
        assert_eq!(throughput(1, Nanos::ZERO), None);
        assert_eq!(short_hash("9f31b2c40000000000000ec2"), "9f31b2c4…0ec2");
    }

    #[test]
    fn a_date_is_told_in_the_zone_of_the_report_and_in_utc() {
        let opened = Stamp { boot: "b".into(), mono_ns: Mono(0), wall_ns: 1_795_237_203_000_000_000 };
        let mut clock = Clock::new(opened, Moment(0));
        assert_eq!(date(&clock, Moment(0)), "21 Nov 2026 05:00:03 UTC");
        clock.zone = Some(firedrill_core::report::Zone { name: "Asia/Tashkent".into(), offset_s: 18_000 });
        assert_eq!(date(&clock, Moment(0)), "21 Nov 2026 10:00:03 Tashkent (05:00:03 UTC)");
    }
}
