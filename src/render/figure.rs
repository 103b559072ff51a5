//! Figures in words. An interval is rounded outwards, so that what is printed is never narrower than what is known.

use super::text::clean;
use firedrill_core::figure::{Rounding, compound, trimmed};
pub use firedrill_core::figure::{duration, interval};
use firedrill_core::report::{Bracket, Clock, Moment};
use firedrill_core::time::{Interval, Known, Nanos};

const S: f64 = 1e9;

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
