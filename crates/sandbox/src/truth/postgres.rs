//! The least of PostgreSQL's protocol that commits one UPDATE: startup, a password in clear, a simple query.

use super::conversation::Progress;

/// Protocol version 3.0.
const VERSION: i32 = 3 << 16;

/// A write to the row of one slot.
#[derive(Debug, Clone)]
pub(super) struct PostgresQuestion {
    /// The startup message.
    pub(super) startup: Vec<u8>,
    /// The query message.
    pub(super) query: Vec<u8>,
    password: Vec<u8>,
}

impl PostgresQuestion {
    pub(super) fn new(database: &str, role: &str, password: &str, slot: usize) -> Self {
        let mut body = VERSION.to_be_bytes().to_vec();
        for text in ["user", role, "database", database, "application_name", "truth"] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        let mut startup = length_of(&body);
        startup.extend_from_slice(&body);
        let query = format!("UPDATE truth.beat SET beats = beats + 1 WHERE slot = {slot}");
        Self { startup, query: message(b'Q', &query), password: message(b'p', password) }
    }

    /// Judges the bytes received since the last thing sent.
    pub(super) fn judge(&self, received: &[u8]) -> Progress {
        let mut rest = received;
        let mut updated = false;
        while let [kind, length @ ..] = rest
            && let Some((length, _)) = length.split_first_chunk::<4>()
        {
            let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
            let (Some(body), Some(next)) = (rest.get(5..=length), rest.get(length + 1..)) else {
                return Progress::Pending;
            };
            match kind {
                b'R' if body.starts_with(&3_i32.to_be_bytes()) => return Progress::Reply(self.password.clone()),
                b'R' if !body.starts_with(&0_i32.to_be_bytes()) => {
                    return Progress::Wrong("a login method other than a password".to_owned());
                }
                b'E' => return Progress::Wrong(error_text(body)),
                b'C' if body.starts_with(b"UPDATE 1") => updated = true,
                b'C' => return Progress::Wrong("nothing was updated".to_owned()),
                // Ready: after the login the question is sent, after the question it is answered.
                b'Z' if updated => return Progress::Correct,
                b'Z' => return Progress::Reply(self.query.clone()),
                _ => {}
            }
            rest = next;
        }
        Progress::Pending
    }
}

fn length_of(body: &[u8]) -> Vec<u8> {
    i32::try_from(body.len() + 4).unwrap_or(i32::MAX).to_be_bytes().to_vec()
}

fn message(kind: u8, text: &str) -> Vec<u8> {
    let mut body = text.as_bytes().to_vec();
    body.push(0);
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&length_of(&body));
    bytes.extend_from_slice(&body);
    bytes
}

/// The fields of an error: `C` is its SQLSTATE, `M` its text.
fn error_text(body: &[u8]) -> String {
    let field = |wanted: u8| {
        body.split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&wanted))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
            .unwrap_or_default()
    };
    format!("{} {}", field(b'C'), field(b'M'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> PostgresQuestion {
        PostgresQuestion::new("shop", "truth", "secret", 3)
    }

    fn said(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&length_of(body));
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_login_asks_for_the_password_and_then_the_query_is_sent() {
        let question = question();
        assert_eq!(question.judge(&said(b'R', &3_i32.to_be_bytes())), Progress::Reply(message(b'p', "secret")));
        let ready = [said(b'R', &0_i32.to_be_bytes()), said(b'S', b"a\0b\0"), said(b'Z', b"I")].concat();
        assert_eq!(question.judge(&ready), Progress::Reply(question.query.clone()));
    }

    #[test]
    fn only_a_committed_update_is_correct_and_a_message_cut_short_is_awaited() {
        let answer = [said(b'C', b"UPDATE 1\0"), said(b'Z', b"I")].concat();
        assert_eq!(question().judge(&answer), Progress::Correct);
        for end in 0..answer.len() {
            assert_eq!(question().judge(&answer[..end]), Progress::Pending, "{end}");
        }
        assert!(matches!(question().judge(&said(b'C', b"UPDATE 0\0")), Progress::Wrong(_)));
        let refused = said(b'E', b"SERROR\0C25006\0Mread-only\0\0");
        assert_eq!(question().judge(&refused), Progress::Wrong("25006 read-only".to_owned()));
    }
}
