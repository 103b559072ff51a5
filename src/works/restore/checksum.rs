//! One pass over the fetched bytes: our own SHA-256, and beside it whichever checksum the store keeps.

use aws_smithy_checksums::{Checksum, ChecksumAlgorithm};
use firedrill_core::restore::{Coverage, StoredChecksum};
use firedrill_core::time::Known;
use md5::{Digest as _, Md5};
use sha2::Sha256;

enum Second {
    None(String),
    Smithy { hash: Box<dyn Checksum>, expected: StoredChecksum },
    Md5 { hash: Box<Md5>, expected: StoredChecksum },
}

/// Hashes bytes in order.
pub struct Hashing {
    sha256: Sha256,
    second: Second,
}

/// What the hashes came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Whether the store's checksum is equal to ours of the same algorithm.
    pub matches: Known<bool>,
    /// In words.
    pub note: String,
}

impl Hashing {
    /// Ready for the first byte. `stored` is what the store keeps.
    pub fn new(stored: &Known<StoredChecksum>) -> Self {
        let second = match stored {
            Known::Unknown(why) => Second::None(why.clone()),
            Known::Known(stored) if stored.covers == Coverage::Composite => Second::None(format!(
                "the store's {} `{}` is COMPOSITE, over the checksums of its parts: not comparable with the whole file",
                stored.algorithm, stored.value
            )),
            Known::Known(stored) if stored.algorithm == "MD5" => {
                Second::Md5 { hash: Box::new(Md5::new()), expected: stored.clone() }
            }
            Known::Known(stored) => match stored.algorithm.parse::<ChecksumAlgorithm>() {
                Ok(algorithm) => Second::Smithy { hash: algorithm.into_impl(), expected: stored.clone() },
                Err(_) => Second::None(format!("the store's checksum {} is not known here", stored.algorithm)),
            },
        };
        Self { sha256: Sha256::default(), second }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.sha256, bytes);
        match &mut self.second {
            Second::None(_) => {}
            Second::Smithy { hash, .. } => hash.update(bytes),
            Second::Md5 { hash, .. } => hash.update(bytes),
        }
    }

    /// After the last byte.
    pub fn finish(self) -> Hashed {
        let sha256 = hex(&sha2::Digest::finalize(self.sha256));
        let (ours, expected) = match self.second {
            Second::None(why) => return Hashed { sha256, matches: Known::Unknown(why.clone()), note: why },
            Second::Smithy { hash, expected } => (base64(&hash.finalize()), expected),
            Second::Md5 { hash, expected } => (hex(&hash.finalize()), expected),
        };
        let equal = ours == expected.value;
        let note = if equal {
            format!("{} of the whole object: equal", expected.algorithm)
        } else {
            format!(
                "the bytes are not those that were uploaded: their {} is {ours}, and the store keeps {}",
                expected.algorithm, expected.value
            )
        };
        Hashed { sha256, matches: Known::Known(equal), note }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().enumerate().fold(0_u32, |w, (i, b)| w | u32::from(*b) << (16 - 8 * i));
        for place in 0..4 {
            let letter = ALPHABET[usize::try_from(word >> (18 - 6 * place) & 63).unwrap_or(0)];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(algorithm: &str, value: &str) -> Known<StoredChecksum> {
        Known::Known(StoredChecksum {
            algorithm: algorithm.to_owned(),
            value: value.to_owned(),
            covers: Coverage::FullObject,
        })
    }

    /// The published check values of each algorithm over `123456789`.
    #[test]
    fn every_algorithm_agrees_with_its_check_value() {
        for (algorithm, value) in [
            ("CRC32", "y/Q5Jg=="),
            ("CRC32C", "4waSgw=="),
            ("CRC64NVME", "rosUhgp5mIg="),
            ("SHA1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
            ("SHA256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
            ("MD5", "25f9e794323b453885f5181f1b624d0b"),
        ] {
            let mut hashing = Hashing::new(&stored(algorithm, value));
            hashing.update(b"1234");
            hashing.update(b"56789");
            let hashed = hashing.finish();
            assert_eq!(hashed.matches, Known::Known(true), "{algorithm}: {}", hashed.note);
            assert_eq!(hashed.sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
        }
    }

    #[test]
    fn another_value_is_named() {
        let mut hashing = Hashing::new(&stored("CRC32", "y/Q5Jg=="));
        hashing.update(b"123456788");
        let hashed = hashing.finish();
        assert_eq!(hashed.matches, Known::Known(false));
        assert!(hashed.note.contains("the store keeps y/Q5Jg=="), "{}", hashed.note);
    }

    #[test]
    fn a_composite_checksum_is_not_compared() {
        let composite = StoredChecksum {
            algorithm: "CRC32".to_owned(),
            value: "y/Q5Jg==-3".to_owned(),
            covers: Coverage::Composite,
        };
        let hashed = Hashing::new(&Known::Known(composite)).finish();
        assert!(matches!(hashed.matches, Known::Unknown(why) if why.contains("COMPOSITE")));
    }
}
