//! The least of HTTP/1.1 that tells a correct answer from any other.

use super::conversation::Progress;

/// A GET.
#[derive(Debug, Clone)]
pub(super) struct HttpQuestion {
    /// The bytes of the request.
    pub(super) request: Vec<u8>,
    /// The only correct status.
    pub(super) status: u16,
    /// A text that a correct body holds.
    pub(super) contains: Vec<u8>,
}

impl HttpQuestion {
    pub(super) fn new(host: &str, path: &str, status: u16, contains: &str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: truth\r\n\r\n").into_bytes();
        Self { request, status, contains: contains.as_bytes().to_vec() }
    }

    /// Judges the bytes received since the request.
    pub(super) fn judge(&self, received: &[u8]) -> Progress {
        let Some(end) = find(received, b"\r\n\r\n") else { return Progress::Pending };
        let head = String::from_utf8_lossy(&received[..end]);
        let status = head.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
        let Some(status) = status else { return Progress::Wrong("not HTTP".to_owned()) };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        // These statuses have no body, others say how long theirs is.
        let length = if matches!(status, 204 | 304) { Some(0) } else { length };
        let Some(length) = length else { return Progress::Wrong("an answer of unknown length".to_owned()) };
        let body = &received[end + 4..];
        if body.len() < length {
            return Progress::Pending;
        }
        if status != self.status {
            return Progress::Wrong(format!("status {status}"));
        }
        if !self.contains.is_empty() && find(&body[..length], &self.contains).is_none() {
            return Progress::Wrong("wrong body".to_owned());
        }
        Progress::Correct
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(answer: &str) -> Progress {
        HttpQuestion::new("shop.example", "/v2/products", 200, "\"success\":true").judge(answer.as_bytes())
    }

    #[test]
    fn only_the_whole_right_answer_is_correct() {
        let right = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"success\":true}";
        assert_eq!(judge(right), Progress::Correct);
        assert_eq!(judge(&right[..right.len() - 1]), Progress::Pending);
        assert_eq!(judge("HTTP/1.1 200 OK\r\n"), Progress::Pending);
        assert!(matches!(judge("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), Progress::Wrong(_)));
        assert!(matches!(judge("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"), Progress::Wrong(_)));
        assert!(matches!(judge("junk\r\n\r\n"), Progress::Wrong(_)));
    }
}
