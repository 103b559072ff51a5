//! The known name that somebody probably meant.

/// How alike two words must be (0 to 1) to be offered: below, an offer misleads more often than it helps.
const ALIKE: f64 = 0.65;

/// The known name most like `word`: letter case, `_` for `-` and camelCase are looked through.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word = plain(word);
    known
        .into_iter()
        .map(|name| (likeness(&word, &plain(name)), name))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

fn likeness(word: &str, name: &str) -> f64 {
    let part_of = word.len().min(name.len()) >= 3 && (name.contains(word) || word.contains(name));
    let score = strsim::normalized_damerau_levenshtein(word, name);
    if part_of { score.max(0.7) } else { score }
}

fn plain(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    for c in word.chars().take(80) {
        match c {
            '_' | ' ' => plain.push('-'),
            c if c.is_ascii_uppercase() => {
                if plain.chars().last().is_some_and(|before| before.is_ascii_lowercase()) && !plain.ends_with('-') {
                    plain.push('-');
                }
                plain.push(c.to_ascii_lowercase());
            }
            c => plain.push(c),
        }
    }
    plain
}

/// Names for a sentence: "`a`, `b` or `c`". After sixteen it says how many more there are.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    listed(names, "or")
}

/// Names for a sentence: "`a`, `b` and `c`".
pub(crate) fn all_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    listed(names, "and")
}

fn listed<'a>(names: impl IntoIterator<Item = &'a str>, joint: &str) -> String {
    let mut names: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
    let more = names.len().saturating_sub(16);
    names.truncate(16);
    if more > 0 {
        return format!("{} and {more} more", names.join(", "));
    }
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} {joint} {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_looked_through() {
        let known = ["stable-for", "deadline", "expect"];
        for slip in ["stable_for", "stableFor", "stabel-for", "Stable-For", "stable"] {
            assert_eq!(nearest(slip, known), Some("stable-for".to_owned()), "{slip}");
        }
    }

    #[test]
    fn a_word_of_its_own_is_not_guessed_at() {
        assert_eq!(nearest("colour", ["stable-for", "deadline"]), None);
        assert_eq!(nearest("", ["stable-for"]), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(one_of([]), "nothing");
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
