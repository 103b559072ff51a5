//! The hash chain over a journal's records: each link covers the one before it, so that a record that was changed, left
//! out or cut off at the end is found.
//!
//! A chain proves order and wholeness up to its *head*. Who can rewrite everything can rewrite the chain too; the head
//! in a filed report is what they cannot reach.

use crate::digest::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What precedes the first record.
pub const GENESIS: Digest = Digest([0; 32]);

/// Separates these digests from any other use of SHA-256 over the same bytes.
const DOMAIN: &[u8] = b"firedrill journal record v1";

/// A record's place in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// The record's number, from 0, without gaps.
    pub seq: u64,
    /// The digest of the link before, or [`GENESIS`].
    pub prev: Digest,
    /// Over the number, `prev` and the record's canonical bytes.
    pub digest: Digest,
}

impl Link {
    /// The link of the first record.
    pub fn first(bytes: &[u8]) -> Self {
        Self::make(0, GENESIS, bytes)
    }

    /// The link of the record that follows.
    #[must_use]
    pub fn next(&self, bytes: &[u8]) -> Self {
        Self::make(self.seq + 1, self.digest, bytes)
    }

    fn make(seq: u64, prev: Digest, bytes: &[u8]) -> Self {
        let digest = Digest::of_parts(&[DOMAIN, &seq.to_be_bytes(), &prev.0, bytes]);
        Self { seq, prev, digest }
    }
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// A record does not have the digest its link says.
    #[error("record {seq} was changed after it had been written")]
    Changed {
        /// Its number.
        seq: u64,
    },
    /// Records are not there, or in another order.
    #[error("record {expected} is missing: record {found} stands in its place")]
    Missing {
        /// The number that should be next.
        expected: u64,
        /// The number that is.
        found: u64,
    },
    /// A record follows another than the one before it.
    #[error("record {seq} does not follow the record before it: one of them was replaced")]
    Replaced {
        /// Its number.
        seq: u64,
    },
    /// The newest records are not there.
    #[error("the journal was cut: it holds {found} records, its sealed head stands behind {expected}")]
    Cut {
        /// How many there should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
}

/// Checks a whole chain. `head` is the last link as it is known from elsewhere (a seal, a filed report); without it
/// nobody can tell whether the end was cut. Returns the last link, or `None` for no records.
///
/// # Errors
/// The first thing that is wrong, in the order of the records.
pub fn verify<'a>(
    records: impl IntoIterator<Item = (Link, &'a [u8])>,
    head: Option<&Link>,
) -> Result<Option<Link>, Broken> {
    let mut last: Option<Link> = None;
    for (link, bytes) in records {
        let expected = last.map_or(0, |l| l.seq + 1);
        if link.seq != expected {
            return Err(Broken::Missing { expected, found: link.seq });
        }
        if link.prev != last.map_or(GENESIS, |l| l.digest) {
            return Err(Broken::Replaced { seq: link.seq });
        }
        if Link::make(link.seq, link.prev, bytes) != link {
            return Err(Broken::Changed { seq: link.seq });
        }
        if head.is_some_and(|h| h.seq == link.seq && h.digest != link.digest) {
            return Err(Broken::Replaced { seq: link.seq });
        }
        last = Some(link);
    }
    if let Some(head) = head {
        let found = last.map_or(0, |l| l.seq + 1);
        if found <= head.seq {
            return Err(Broken::Cut { expected: head.seq + 1, found });
        }
    }
    Ok(last)
}

/// The bytes that are chained: JSON with the keys of every object in ascending order and no white space.
///
/// # Errors
/// When the value cannot be JSON (a map whose keys are no texts): a bug of its type.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    fn sorted(value: Value) -> Value {
        match value {
            Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
            Value::Object(map) => {
                // Sorted here, whatever order the map of this build of serde_json keeps.
                let mut entries: Vec<(String, Value)> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(entries.into_iter().collect())
            }
            scalar => scalar,
        }
    }
    serde_json::to_vec(&sorted(serde_json::to_value(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chained(texts: &[String]) -> Vec<(Link, Vec<u8>)> {
        let mut records: Vec<(Link, Vec<u8>)> = Vec::new();
        for text in texts {
            let bytes = text.clone().into_bytes();
            let link = records.last().map_or_else(|| Link::first(&bytes), |(last, _)| last.next(&bytes));
            records.push((link, bytes));
        }
        records
    }

    fn check(records: &[(Link, Vec<u8>)], head: Option<&Link>) -> Result<Option<Link>, Broken> {
        verify(records.iter().map(|(link, bytes)| (*link, bytes.as_slice())), head)
    }

    #[test]
    fn canonical_bytes_do_not_depend_on_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"b":[{"y":1,"x":2}],"a":null}"#).unwrap();
        assert_eq!(canonical(&one).unwrap(), br#"{"a":null,"b":[{"x":2,"y":1}]}"#);
    }

    proptest! {
        #[test]
        fn a_whole_chain_verifies_and_any_tampering_is_found(
            texts in prop::collection::vec("[a-z]{0,6}", 1..12), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let records = chained(&texts);
            let head = records.last().unwrap().0;
            prop_assert_eq!(check(&records, Some(&head)), Ok(Some(head)));
            let at = at.index(records.len());
            let seq = at as u64;

            let mut changed = records.clone();
            changed[at].1.push(byte);
            prop_assert_eq!(check(&changed, Some(&head)), Err(Broken::Changed { seq }));

            let mut missing = records.clone();
            missing.remove(at);
            let count = records.len() as u64;
            let expected = if seq + 1 == count {
                Broken::Cut { expected: count, found: seq }
            } else {
                Broken::Missing { expected: seq, found: seq + 1 }
            };
            prop_assert_eq!(check(&missing, Some(&head)), Err(expected));

            // Rewritten with proper links from there on: the head known from elsewhere tells.
            let mut texts = texts.clone();
            texts[at].push('!');
            let rewritten = chained(&texts);
            prop_assert_eq!(check(&rewritten, Some(&head)), Err(Broken::Replaced { seq: head.seq }));

            // Spliced: the rest of another chain.
            let mut spliced = records.clone();
            spliced[at] = rewritten[at].clone();
            if at + 1 < spliced.len() {
                prop_assert_eq!(check(&spliced, None), Err(Broken::Replaced { seq: seq + 1 }));
            }
        }
    }

    #[test]
    fn an_empty_journal_is_cut_when_a_head_is_known() {
        let head = Link::first(b"opened");
        assert_eq!(check(&[], Some(&head)), Err(Broken::Cut { expected: 1, found: 0 }));
        assert_eq!(check(&[], None), Ok(None));
    }
}
