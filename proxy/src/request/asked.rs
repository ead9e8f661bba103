//! What a head said that is refused, as far as it can be told: for its record only, never for a decision.

use super::Request;
use crate::fields::{FieldName, Fields};
use crate::record::Version;
use http::request::Parts;
use std::ops::Range;

/// Bytes of each part that are kept.
const KEPT: usize = 64;

/// The parts of a head that a record names; empty: not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) version: Version,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
}

impl Asked {
    /// Nothing, over `version`.
    pub(crate) fn nothing(version: Version) -> Self {
        Self { version, method: String::new(), host: String::new(), path: String::new() }
    }

    /// All of what a request asked for.
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            version: request.version,
            method: String::from_utf8_lossy(&request.method_name).into_owned(),
            host: request.host_name().to_owned(),
            path: request.target.text().to_owned(),
        }
    }

    /// The beginning of an HTTP/1 head that may be anything.
    pub(crate) fn of_bytes(head: &[u8]) -> Self {
        let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
        Self::of_line(line)
    }

    /// An HTTP/1 head whose fields could be read.
    pub(crate) fn of_head(line: &Range<usize>, fields: &Fields) -> Self {
        let host = fields.first(FieldName::Host).map(shortened).unwrap_or_default();
        Self { host, ..Self::of_line(fields.text(line)) }
    }

    fn of_line(line: &[u8]) -> Self {
        let mut words = line.split(|&byte| byte == b' ');
        let mut word = || words.next().map(shortened).unwrap_or_default();
        Self { method: word(), path: word(), ..Self::nothing(Version::Http11) }
    }

    /// An HTTP/2 head.
    pub(crate) fn of_parts(parts: &Parts) -> Self {
        let host = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = host.or_else(|| parts.headers.get(http::header::HOST).map(http::HeaderValue::as_bytes));
        Self {
            version: Version::Http2,
            method: shortened(parts.method.as_str().as_bytes()),
            host: host.map(shortened).unwrap_or_default(),
            path: parts.uri.path_and_query().map(|path| shortened(path.as_str().as_bytes())).unwrap_or_default(),
        }
    }
}

fn shortened(text: &[u8]) -> String {
    match text.get(..KEPT) {
        Some(kept) if text.len() > KEPT => String::from_utf8_lossy(kept).into_owned() + "…",
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_came_is_told_in_part() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a", "x".repeat(100));
        let cut = format!("/{}…", "x".repeat(63));
        for (head, method, path) in [
            (&b"TRACE /a?b HTTP/1.1\r\nHost: a\r\n"[..], "TRACE", "/a?b"),
            (b"\r\nGET /a HTTP/1.1\nHost: a", "GET", "/a"),
            (long.as_bytes(), "GET", cut.as_str()),
            (b"nonsense", "nonsense", ""),
            (b"", "", ""),
            (b"\xff\0 /\x1b HTTP/1.1", "\u{fffd}\0", "/\u{1b}"),
        ] {
            let asked = Asked::of_bytes(head);
            assert_eq!((asked.method.as_str(), asked.path.as_str()), (method, path), "{}", head.escape_ascii());
        }
    }
}
