//! The query of a request, decoded.

use super::status::ApiError;

/// Decoded `name=value` pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes a raw query. kube's client begins it with `&`.
    pub(crate) fn parse(raw: &str) -> Self {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self { pairs: pairs.collect() }
    }

    /// A value that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    /// Whether the request is only to be judged.
    pub(crate) fn dry_run(&self) -> bool {
        self.get("dryRun").is_some()
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let wrong = |_| ApiError::bad_request(format!("invalid value for query parameter {name}"));
        self.get(name).map(|value| value.parse().map_err(wrong)).transpose()
    }
}

/// Percent decoding, with `+` for a space.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn a_query_of_the_kube_client_is_read() {
        let query =
            Query::parse("&watch=true&labelSelector=app%3Dshop%2Ctier%20in%20%28a%2Cb%29&resourceVersion=&limit=5");
        assert!(query.is_on("watch"));
        assert_eq!(query.get("labelSelector"), Some("app=shop,tier in (a,b)"));
        assert_eq!(query.get("resourceVersion"), None);
        assert_eq!(query.number("limit"), Ok(Some(5)));
        assert_eq!(Query::parse("a=%").get("a"), Some("%"));
    }
}
