//! Colours, for light and dark, with their contrast kept by a test (WCAG 2.2: 4.5 for text, 3 for graphics).

use std::fmt::Write as _;

/// One colour scheme. Each field is `#rrggbb`.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    /// The page.
    pub page: &'static str,
    /// Text.
    pub ink: &'static str,
    /// Text of less weight.
    pub muted: &'static str,
    /// Hairlines; decoration only.
    pub line: &'static str,
    /// Cards and quiet phases.
    pub card: &'static str,
    /// PASS and its ground.
    pub pass: (&'static str, &'static str),
    /// FAIL and its ground.
    pub fail: (&'static str, &'static str),
    /// INCONCLUSIVE and its ground.
    pub open: (&'static str, &'static str),
    /// ABORTED and its ground.
    pub stopped: (&'static str, &'static str),
    /// REFUSED and its ground.
    pub refused: (&'static str, &'static str),
    /// Measured bands and latency.
    pub accent: &'static str,
    /// Up.
    pub up: &'static str,
    /// Down.
    pub down: &'static str,
    /// Nobody asked.
    pub unknown: &'static str,
}

/// On white.
pub const LIGHT: Scheme = Scheme {
    page: "#ffffff",
    ink: "#1a1f25",
    muted: "#545e69",
    line: "#d7dde4",
    card: "#f5f7f9",
    pass: ("#0b6b42", "#e4f5ec"),
    fail: ("#ab1f14", "#fdecea"),
    open: ("#7d4f00", "#fff4d8"),
    stopped: ("#8a2f6f", "#fbebf6"),
    refused: ("#3a4b8c", "#ebeefa"),
    accent: "#2457c5",
    up: "#38936a",
    down: "#cf3527",
    unknown: "#6f757e",
};

/// On near black.
pub const DARK: Scheme = Scheme {
    page: "#0f1317",
    ink: "#e8ecf0",
    muted: "#a3aeb9",
    line: "#2d353e",
    card: "#171d23",
    pass: ("#63d69d", "#11291d"),
    fail: ("#ff9083", "#371512"),
    open: ("#f1c969", "#33290b"),
    stopped: ("#f09ad4", "#331427"),
    refused: ("#a9b8ff", "#1a2140"),
    accent: "#8fb2ff",
    up: "#3f9f70",
    down: "#ff6a57",
    unknown: "#8b949e",
};

impl Scheme {
    /// The scheme as CSS custom properties.
    pub fn css(&self) -> String {
        let Self { page, ink, muted, line, card, pass, fail, open, stopped, refused, accent, up, down, unknown } = self;
        let mut css = String::new();
        for (name, value) in [
            ("page", page),
            ("ink", ink),
            ("muted", muted),
            ("line", line),
            ("card", card),
            ("accent", accent),
            ("up", up),
            ("down", down),
            ("unknown", unknown),
        ] {
            let _ = write!(css, "--{name}:{value};");
        }
        for (name, (colour, ground)) in
            [("pass", pass), ("fail", fail), ("open", open), ("stopped", stopped), ("refused", refused)]
        {
            let _ = write!(css, "--{name}:{colour};--{name}-ground:{ground};");
        }
        css
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("two hex digits")) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn the_measure_of_contrast_is_the_standard_one() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.01);
        assert!((contrast("#777777", "#ffffff") - 4.48).abs() < 0.01);
    }

    #[test]
    fn text_and_graphics_stand_out_from_every_ground_they_are_drawn_on() {
        for (name, s) in [("light", LIGHT), ("dark", DARK)] {
            let verdicts = [s.pass, s.fail, s.open, s.stopped, s.refused];
            let mut text = vec![];
            for ground in [s.page, s.card].into_iter().chain(verdicts.map(|(_, ground)| ground)) {
                text.push((s.ink, ground));
                text.push((s.muted, ground));
            }
            for (colour, ground) in verdicts {
                text.extend([(colour, ground), (colour, s.page), (colour, s.card)]);
            }
            for (colour, ground) in text {
                let found = contrast(colour, ground);
                assert!(found >= 4.5, "{name}: text {colour} on {ground} has {found:.2}");
            }
            for colour in [s.up, s.down, s.unknown, s.accent] {
                for ground in [s.page, s.card, s.fail.1] {
                    let found = contrast(colour, ground);
                    assert!(found >= 3.0, "{name}: graphic {colour} on {ground} has {found:.2}");
                }
            }
        }
    }
}
