//! Keeps secrets that stand in a file where only references belong out of every message and snippet.

use std::ops::Range;

/// Keys whose value is a secret wherever they stand.
const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "pgpassword",
    "passphrase",
    "token",
    "api-key",
    "apikey",
    "secret-key",
    "secretkey",
    "access-key",
    "accesskey",
    "secret-access-key",
    "aws-secret-access-key",
    "aws-access-key-id",
    "private-key",
    "client-secret",
];

/// Whether a key names a secret, however its words are joined.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let plain = key.to_ascii_lowercase().replace('_', "-");
    SECRET_KEYS.contains(&plain.as_str())
}

/// The text with every secret in it replaced by as many asterisks as it has bytes, so that places stay the same. Found
/// are passwords inside URLs, values of keys that name a secret, and `known`: what the reader of the structure knows
/// to be one. Rather too much is hidden than too little.
pub(crate) fn mask(text: &str, known: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let ranges = known.iter().cloned().chain(url_passwords(text)).chain(key_values(text));
    for range in ranges {
        if let Some(part) = bytes.get_mut(range) {
            part.iter_mut().filter(|b| !matches!(b, b'\n' | b'\r')).for_each(|b| *b = b'*');
        }
    }
    // Ranges begin and end at characters, so this holds; otherwise everything is hidden.
    without_control(String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len())))
}

/// The text with control characters replaced, byte for byte: a file must not be able to steer the terminal that shows it.
/// A carriage return alone ends a line in YAML, so it becomes what ends a line on a terminal.
fn without_control(text: String) -> String {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(steers) {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => clean.push(' '),
            '\r' => clean.push('\n'),
            c if steers(c) => clean.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => clean.push(c),
        }
    }
    clean
}

/// Whether the text holds a URL with a password in it: `scheme://user:password@host`.
pub(crate) fn has_url_password(text: &str) -> bool {
    url_passwords(text).next().is_some()
}

fn url_passwords(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.match_indices("://").filter_map(move |(at, _)| {
        let start = at + 3;
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(rest.len());
        let authority = &rest[..end];
        let host = authority.rfind('@')?;
        let colon = authority[..host].find(':')?;
        // `host:8080/path?mail=a@b` has an @ too, but behind a path and behind a port that is a number.
        let secret = &authority[colon + 1..host];
        let port =
            secret.split_once(['/', '?']).is_some_and(|(p, _)| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        (!port && !secret.is_empty()).then_some(start + colon + 1..start + host)
    })
}

fn key_values(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices([':', '=']) {
        let before = text[..at].trim_end_matches([' ', '\t']).trim_end_matches(['"', '\'']);
        let from = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).map_or(0, |i| i + 1);
        let from = if before.is_char_boundary(from) { from } else { continue };
        if !is_secret_key(&before[from..]) {
            continue;
        }
        let rest = &text[at + 1..];
        let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        let value = line.trim_start();
        let start = at + 1 + (line.len() - value.len());
        if value.is_empty() || value.starts_with(['{', '|', '>', '/', '&', '*', '#']) {
            continue;
        }
        let len = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].find(quote).map_or(value.len(), |i| i + 1),
            _ if text.as_bytes()[at] == b'=' => {
                value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ';')).unwrap_or(value.len())
            }
            _ => value.find([',', '}']).unwrap_or(value.len()),
        };
        found.push(start..start + len);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        mask(text, &[])
    }

    #[test]
    fn a_password_in_a_url_is_hidden_and_the_rest_stays() {
        assert_eq!(
            masked("url: \"postgres://app:hunter2@db.example:5432/x\""),
            "url: \"postgres://app:*******@db.example:5432/x\""
        );
        assert_eq!(masked("postgres://app:p@ss/w:rd@db/x"), "postgres://app:*********@db/x");
        assert_eq!(masked("https://shop.example:8080/v2?mail=a@b"), "https://shop.example:8080/v2?mail=a@b");
    }

    #[test]
    fn the_value_of_a_key_that_names_a_secret_is_hidden() {
        assert_eq!(masked("secret_key: abc\nb: 1"), "secret_key: ***\nb: 1");
        assert_eq!(masked("{ password: abc, b: 1 }"), "{ password: ***, b: 1 }");
        assert_eq!(masked("dsn: host=db password=abc user=x"), "dsn: host=db password=*** user=x");
        assert_eq!(masked("token: \"a, b\""), "token: *****\"");
    }

    #[test]
    fn a_reference_is_no_secret() {
        for text in ["secret-key: { env: KEY }", "url: { secret: firedrill/orders }", "é: x", "password:\n  env: X"] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn hiding_keeps_places_whatever_the_text_is() {
        for text in ["password: é€𝄞", "x://a:é@h", "\u{feff}token=é", "é=1", "://:@", "password:", "\u{1b}[31m\u{85}"]
        {
            assert_eq!(masked(text).len(), text.len(), "{text}");
        }
    }
}
