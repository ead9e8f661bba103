//! The canonical form of a request target: computed once, then used to match, forward and log.
//! Percent-encoding follows RFC 3986 §6.2.2; what cannot be read in one way only is an error.

use serde::Serialize;

/// What happens to `%2F` and `%5C` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum EncodedSlashes {
    /// They stay encoded and are forwarded so; refused only where decoding them would make a dot segment.
    #[default]
    Keep,
    /// Any of them is refused.
    Reject,
}

/// How paths are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PathSettings {
    /// Whether `//` becomes `/`.
    pub merge_slashes: bool,
    /// What happens to `%2F` and `%5C`.
    pub encoded_slashes: EncodedSlashes,
}

impl Default for PathSettings {
    fn default() -> Self {
        Self { merge_slashes: true, encoded_slashes: EncodedSlashes::Keep }
    }
}

/// Why a request target is refused; each answers 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PathError {
    #[error("path does not begin with /")]
    NotAbsolute,
    #[error("path holds a % that two hexadecimal digits do not follow")]
    BadEscape,
    #[error("path holds an encoded control character")]
    Control,
    #[error("target holds a byte that must be encoded")]
    BadByte,
    #[error("path leaves the root")]
    AboveRoot,
    #[error("path holds an encoded slash that hides a dot segment")]
    HiddenDotSegment,
    #[error("path holds an encoded slash")]
    EncodedSlash,
}

/// A path and query in canonical form: ASCII, unreserved characters decoded, other bytes encoded in upper case,
/// dot segments resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath {
    text: String,
    path_len: usize,
}

impl CanonicalPath {
    /// Reads the origin-form of a request target (`/path?query`). O(n), one allocation at most.
    ///
    /// # Errors
    /// [`PathError`] where the target can be read in more than one way.
    pub fn parse(target: &[u8], settings: PathSettings) -> Result<Self, PathError> {
        let query_start = memchr_byte(b'?', target).unwrap_or(target.len());
        let (path, query) = target.split_at(query_start);
        let mut text = String::with_capacity(target.len() + 8);
        if is_plain(path) {
            text.extend(path.iter().map(|&byte| char::from(byte)));
        } else {
            canonical_path(path, settings, &mut text)?;
        }
        let path_len = text.len();
        for &byte in query {
            match byte {
                0x21..=0x7e if byte != b'#' => text.push(char::from(byte)),
                0x80.. => push_escape(&mut text, byte),
                _ => return Err(PathError::BadByte),
            }
        }
        Ok(Self { text, path_len })
    }

    /// The path, from its first `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(..self.path_len).unwrap_or("/")
    }

    /// Path and query as they are forwarded.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.text
    }
}

/// The canonical form of a path in a rule, so that both sides of a match are in one form.
///
/// # Errors
/// [`PathError`] where no request could ever be in that form.
pub fn canonical_rule_path(path: &str) -> Result<String, PathError> {
    if let Some(at) = path.bytes().position(|byte| byte == b'?' || byte == b'#') {
        let mut literal = path.get(..at).unwrap_or_default().to_owned();
        for byte in path.bytes().skip(at) {
            match byte {
                b'?' | b'#' => push_escape(&mut literal, byte),
                _ => literal.push(char::from(byte)),
            }
        }
        return canonical_rule_path(&literal);
    }
    let mut text = String::with_capacity(path.len());
    let settings = PathSettings { merge_slashes: false, encoded_slashes: EncodedSlashes::Keep };
    canonical_path(path.as_bytes(), settings, &mut text)?;
    Ok(text)
}

fn memchr_byte(needle: u8, haystack: &[u8]) -> Option<usize> {
    haystack.iter().position(|&byte| byte == needle)
}

/// Whether `path` is canonical as it stands, which most are: only unreserved and harmless reserved characters, and no
/// two dots or slashes where a segment begins.
fn is_plain(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && path.iter().all(|&byte| is_literal(byte))
        && !path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

/// `pchar` of RFC 3986 §3.3 and `/`, percent sign aside.
fn is_literal(byte: u8) -> bool {
    is_unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn push_escape(text: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    for nibble in [byte >> 4, byte & 15] {
        text.extend(HEX.get(usize::from(nibble)).map(|&digit| char::from(digit)));
    }
}

fn canonical_path(path: &[u8], settings: PathSettings, text: &mut String) -> Result<(), PathError> {
    let Some((b'/', rest)) = path.split_first() else { return Err(PathError::NotAbsolute) };
    let start = text.len();
    let mut segments = rest.split(|&byte| byte == b'/').peekable();
    let mut segment = String::new();
    while let Some(raw) = segments.next() {
        let is_last = segments.peek().is_none();
        segment.clear();
        canonical_segment(raw, settings, &mut segment)?;
        match segment.as_str() {
            "." if is_last => text.push('/'),
            "." => {}
            ".." => {
                let parent = text.get(start..).and_then(|path| path.rfind('/')).ok_or(PathError::AboveRoot)?;
                text.truncate(start + parent);
                if is_last {
                    text.push('/');
                }
            }
            "" if settings.merge_slashes && !is_last => {}
            segment => {
                // A trailing slash that follows a merged one must not double it.
                if !(segment.is_empty()
                    && settings.merge_slashes
                    && text.get(start..).is_some_and(|p| p.ends_with('/')))
                {
                    text.push('/');
                }
                text.push_str(segment);
            }
        }
    }
    Ok(())
}

/// Decodes what is unreserved, encodes what must be, and refuses a segment that hides another reading.
fn canonical_segment(raw: &[u8], settings: PathSettings, text: &mut String) -> Result<(), PathError> {
    let mut bytes = raw.iter();
    let mut has_encoded_slash = false;
    while let Some(&byte) = bytes.next() {
        match byte {
            b'%' => {
                let decoded = escape(bytes.next(), bytes.next())?;
                match decoded {
                    0..=0x1f | 0x7f => return Err(PathError::Control),
                    b'/' | b'\\' => {
                        has_encoded_slash = true;
                        push_escape(text, decoded);
                    }
                    _ if is_unreserved(decoded) => text.push(char::from(decoded)),
                    _ => push_escape(text, decoded),
                }
            }
            b'\\' | b'#' | 0..=0x20 | 0x7f => return Err(PathError::BadByte),
            _ if is_literal(byte) => text.push(char::from(byte)),
            _ => push_escape(text, byte),
        }
    }
    if has_encoded_slash {
        if settings.encoded_slashes == EncodedSlashes::Reject {
            return Err(PathError::EncodedSlash);
        }
        if text.replace("%5C", "%2F").split("%2F").any(|part| part == "." || part == "..") {
            return Err(PathError::HiddenDotSegment);
        }
    }
    Ok(())
}

fn escape(high: Option<&u8>, low: Option<&u8>) -> Result<u8, PathError> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16)).ok_or(PathError::BadEscape);
    u8::try_from(digit(high)? * 16 + digit(low)?).map_err(|_| PathError::BadEscape)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGE: PathSettings = PathSettings { merge_slashes: true, encoded_slashes: EncodedSlashes::Keep };

    fn canonical(target: &str) -> Result<String, PathError> {
        CanonicalPath::parse(target.as_bytes(), MERGE).map(|path| path.path_and_query().to_owned())
    }

    #[test]
    fn spellings_of_one_path_are_one_form() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a//b", "/a/b"),
            ("//", "/"),
            ("///a", "/a"),
            ("/a//", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/..", "/a/"),
            ("/a/../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/.%2E/b", "/b"),
            ("/a//../b", "/b"),
            ("/%61%2D", "/a-"),
            ("/a%3bp", "/a%3Bp"),
            ("/a;p=1", "/a;p=1"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%5cb", "/a%5Cb"),
            ("/a%252e", "/a%252e"),
            ("/...", "/..."),
            ("/.a", "/.a"),
            ("/a?x=/../y", "/a?x=/../y"),
            ("/a?%zz", "/a?%zz"),
            ("/a?é", "/a?%C3%A9"),
            ("/a|b", "/a%7Cb"),
        ] {
            assert_eq!(canonical(target).as_deref(), Ok(expected), "{target}");
        }
    }

    #[test]
    fn targets_with_two_readings_are_refused() {
        for (target, expected) in [
            ("", PathError::NotAbsolute),
            ("a", PathError::NotAbsolute),
            ("/%", PathError::BadEscape),
            ("/%2", PathError::BadEscape),
            ("/%zz", PathError::BadEscape),
            ("/%00", PathError::Control),
            ("/%0a", PathError::Control),
            ("/%7f", PathError::Control),
            ("/a\\b", PathError::BadByte),
            ("/a b", PathError::BadByte),
            ("/a#b", PathError::BadByte),
            ("/a?b#c", PathError::BadByte),
            ("/..", PathError::AboveRoot),
            ("/a/../../b", PathError::AboveRoot),
            ("/a%2F..", PathError::HiddenDotSegment),
            ("/..%2fetc", PathError::HiddenDotSegment),
            ("/a%5c%2e%2e%5cb", PathError::HiddenDotSegment),
            ("/.%2F", PathError::HiddenDotSegment),
        ] {
            assert_eq!(canonical(target), Err(expected), "{target}");
        }
    }

    #[test]
    fn slashes_can_be_kept_apart() {
        let settings = PathSettings { merge_slashes: false, ..MERGE };
        for (target, expected) in
            [("/a//b", "/a//b"), ("//", "//"), ("/a//../b", "/a/b"), ("/a/", "/a/"), ("/a/..", "/"), ("//..", "/")]
        {
            let path = CanonicalPath::parse(target.as_bytes(), settings).map(|path| path.path().to_owned());
            assert_eq!(path.as_deref(), Ok(expected), "{target}");
        }
    }

    #[test]
    fn encoded_slashes_can_be_refused() {
        let settings = PathSettings { encoded_slashes: EncodedSlashes::Reject, ..MERGE };
        assert_eq!(CanonicalPath::parse(b"/a%2Fb", settings), Err(PathError::EncodedSlash));
    }

    #[test]
    fn canonical_form_is_a_fixed_point() {
        for target in ["/a/%2e/b//c%3B%2f;x", "/caf\u{e9}/%7e", "/a/../b/./c/", "/%25%32%65"] {
            let once = canonical(target).expect("valid");
            assert_eq!(canonical(&once).as_ref(), Ok(&once), "{target}");
        }
    }

    #[test]
    fn question_marks_in_rules_are_literal() {
        assert_eq!(canonical_rule_path("/a?b").as_deref(), Ok("/a%3Fb"));
        assert_eq!(canonical_rule_path("/café").as_deref(), Ok("/caf%C3%A9"));
    }
}
