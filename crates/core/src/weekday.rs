//! Sets of days of the week, as crontab lines and windows name them.

use jiff::civil::Weekday;

/// Some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days([bool; 7]);

impl Days {
    /// All seven.
    pub(crate) const ALL: Self = Self([true; 7]);

    /// Whether a day is among them.
    pub(crate) fn contains(self, day: Weekday) -> bool {
        self.0[place(day)]
    }

    /// Reads `*`, `Mon`, `Mon,Wed`, `Mon-Fri`, `Sat-Mon` (over the end of the week), `1-5/2`, `*/2`; numbers as crontab
    /// counts them, 0 and 7 for Sunday.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut days = Self([false; 7]);
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, step.parse().ok().filter(|s| (1..=7).contains(s))?),
                None => (part, 1_usize),
            };
            let (first, count) = match (range, range.split_once('-')) {
                ("*" | "?", _) => (0, 7),
                (_, Some((first, last))) => {
                    let (from, until) = (place(parse_day(first)?), place(parse_day(last)?));
                    // `1-7` and `0-6` are whole weeks; `Sun-Sun` is one day.
                    let length = if last == "7" && first != "7" { 7 - from } else { (until + 7 - from) % 7 };
                    (from, length.min(6) + 1)
                }
                (_, None) if part.contains('/') => return None,
                (one, None) => (place(parse_day(one)?), 1),
            };
            for day in (first..first + count).step_by(step) {
                days.0[day % 7] = true;
            }
        }
        Some(days)
    }
}

/// From 0 for Sunday.
fn place(day: Weekday) -> usize {
    usize::try_from(day.to_sunday_zero_offset()).unwrap_or(0)
}

/// Reads a day: `Tue`, `tuesday`, `2`; 0 and 7 are Sunday.
pub(crate) fn parse_day(text: &str) -> Option<Weekday> {
    if let Ok(number) = text.parse::<i8>() {
        return (0..=7).contains(&number).then(|| Weekday::from_sunday_zero_offset(number % 7).ok()).flatten();
    }
    let lower = text.to_ascii_lowercase();
    let names = [
        ("sunday", Weekday::Sunday),
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
    ];
    names.into_iter().find(|(name, _)| lower == *name || lower == name[..3]).map(|(_, day)| day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Option<String> {
        let days = Days::parse(text)?;
        Some(days.0.iter().zip("SMTWtFs".chars()).filter(|(on, _)| **on).map(|(_, c)| c).collect())
    }

    #[test]
    fn days_are_read_as_crontab_reads_them() {
        for (text, expected) in [
            ("*", "SMTWtFs"),
            ("0", "S"),
            ("7", "S"),
            ("1-5", "MTWtF"),
            ("Mon-Fri", "MTWtF"),
            ("5-7", "StFs".replace('t', "").as_str()),
            ("0-7", "SMTWtFs"),
            ("1-7", "SMTWtFs"),
            ("Sat-Mon", "SMs"),
            ("fri-sun", "SFs"),
            ("Mon,wednesday,6", "MWs"),
            ("*/2", "STts"),
            ("1-5/2", "MWF"),
            ("Sun-Sun", "S"),
        ] {
            assert_eq!(set(text).as_deref(), Some(expected), "{text}");
        }
        for wrong in ["", "8", "-1", "Mo", "Mon-", "-Fri", "Mon/2", "*/0", "*/8", "Mon--Fri", "L", "Mon,"] {
            assert_eq!(set(wrong), None, "{wrong}");
        }
    }
}
