//! Words from outside, made safe to show: a name may hold control characters, bidirectional overrides, or a novel.

/// What stands for a character that must not be shown.
const REPLACEMENT: char = '\u{fffd}';

/// The text with everything invisible made visible or harmless: line breaks and tabs become spaces; other control
/// characters (an escape sequence would repaint a terminal), bidirectional controls (they make a line read
/// otherwise than it is) and what XML 1.0 forbids become U+FFFD.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() || is_bidi_control(c) || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{feff}') => {
                REPLACEMENT
            }
            c => c,
        })
        .collect()
}

/// Unicode's explicit directional formatting characters.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// No label is longer, in characters.
const SHOWN_CHARS_MAX: usize = 300;

/// The weight of a text's face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Ordinary.
    Regular,
    /// Bold.
    Bold,
}

/// An upper estimate of the width of a text in a sans-serif face of `size` pixels. It is made for a wide face
/// (`DejaVu Sans`), so that a label that fits by it fits in the reader's face too.
pub fn width_px(text: &str, size: f64, weight: Weight) -> f64 {
    let ems: f64 = text.chars().map(em).sum();
    let factor = match weight {
        Weight::Regular => 1.0,
        Weight::Bold => 1.13,
    };
    ems * factor * size
}

fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' => 0.31,
        ' ' | '.' | ',' | ':' | ';' | 'I' | 'f' | 't' | '/' | '(' | ')' | '[' | ']' | '-' | '!' => 0.42,
        'r' | 's' | 'c' | 'z' | '"' => 0.55,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '—' | '→' => 1.03,
        'A'..='Z' => 0.79,
        c if c.is_ascii() => 0.66,
        '\u{300}'..='\u{36f}' => 0.0,
        '±' | '−' | '+' | '×' | '≤' | '≥' => 0.86,
        c if (c as u32) < 0x250 => 0.72,
        _ => 1.1,
    }
}

/// The text, shortened with an ellipsis until it fits `room` pixels. Nothing at all when not even one character
/// with the ellipsis fits.
pub fn fit(text: &str, room: f64, size: f64, weight: Weight) -> String {
    if width_px(text, size, weight) <= room {
        return text.to_owned();
    }
    // No room holds more; what comes behind would only be measured again and again.
    let mut shortened: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    while shortened.pop().is_some() {
        let candidate = format!("{}…", shortened.trim_end());
        if !shortened.is_empty() && width_px(&candidate, size, weight) <= room {
            return candidate;
        }
    }
    String::new()
}

/// A word with its first letter in upper case.
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// `1 write`, `2 writes`: a count with its noun.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", super::figure::count(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repaints_a_terminal_or_turns_a_line_around_is_made_visible() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{202e}d\u{0}\u{fffe}"), "a\u{fffd}[2Jb c\u{fffd}d\u{fffd}\u{fffd}");
        assert_eq!(clean("заказы → שלום"), "заказы → שלום");
    }

    #[test]
    fn a_text_is_shortened_only_as_far_as_needed() {
        assert_eq!(fit("promoted", 200.0, 12.0, Weight::Regular), "promoted");
        let short = fit("promoted to primary by the failover manager", 90.0, 12.0, Weight::Regular);
        assert!(short.ends_with('…') && short.starts_with("promoted"), "{short}");
        assert!(width_px(&short, 12.0, Weight::Regular) <= 90.0);
        assert_eq!(fit("promoted", 3.0, 12.0, Weight::Regular), "");
    }

    #[test]
    fn the_estimate_is_an_upper_bound_in_a_wide_face() {
        // Advance widths of DejaVu Sans at 12 px, read from the face itself.
        for (text, real_px) in [("promoted", 55.3), ("+1.86 s", 44.7), ("orders-write", 74.2), ("WWW mmm", 71.5)] {
            assert!(width_px(text, 12.0, Weight::Regular) >= real_px, "{text}");
        }
    }
}
