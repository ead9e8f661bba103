//! Heads: parsed line by line as bytes arrive, each byte looked at once, before anything acts on them.

use crate::fields::{Fields, FieldsBuilder};
use crate::record::Version;
use bytes::BytesMut;
use memchr::memchr;
use std::ops::Range;

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// Not HTTP/1, or ambiguous: 400.
    Malformed,
    /// HTTP of a version that is not spoken here: 505.
    Version,
    /// Where the version should be there is none of any protocol: not a request at all, such as a wrong HTTP/2 preface,
    /// whose sender would misread any answer in HTTP/1 (RFC 9113 §3.4).
    NoVersion,
    /// The request line is over its limit: 414.
    LineTooLong,
    /// The head is over its limit in bytes or fields: 431.
    TooLarge,
}

/// Bounds of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Bytes of the first line.
    pub(crate) line: usize,
    /// Bytes of the whole.
    pub(crate) head: usize,
    pub(crate) fields: usize,
}

/// A request line; the target is a span of the field buffer.
#[derive(Debug, Clone)]
pub(crate) struct RequestLine {
    pub(crate) method: Range<usize>,
    pub(crate) target: Range<usize>,
    pub(crate) version: Version,
}

/// A status line.
#[derive(Debug, Clone)]
pub(crate) struct StatusLine {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason: Range<usize>,
}

/// Reads heads from a buffer that grows.
#[derive(Debug)]
pub(crate) struct HeadParser {
    limits: HeadLimits,
    /// Whether line ends may be a bare LF and names may be followed by space, as old origins write; never for requests.
    is_lenient: bool,
    /// Where the line begins that is not complete yet.
    line_start: usize,
    /// Up to where no line end was found.
    searched: usize,
    first_line: Option<Range<usize>>,
    fields: FieldsBuilder,
}

impl HeadParser {
    pub(crate) fn for_requests(limits: HeadLimits) -> Self {
        Self {
            limits,
            is_lenient: false,
            line_start: 0,
            searched: 0,
            first_line: None,
            fields: FieldsBuilder::default(),
        }
    }

    pub(crate) fn for_responses(limits: HeadLimits) -> Self {
        Self { is_lenient: true, ..Self::for_requests(limits) }
    }

    /// Reads on in `input`, which begins with the head. When the head is complete it is taken from `input`, and the
    /// parser is ready for the next.
    pub(crate) fn advance(&mut self, input: &mut BytesMut) -> Result<Option<(Range<usize>, Fields)>, HeadError> {
        loop {
            let unsearched = input.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr(b'\n', unsearched) else {
                self.searched = input.len();
                // A last CR may belong to the line's end.
                return self.check_size(input.len() - usize::from(input.ends_with(b"\r"))).map(|()| None);
            };
            let line_feed = self.searched + found;
            let start = self.line_start;
            let end = match line_feed.checked_sub(1).and_then(|before| input.get(before)) {
                Some(b'\r') if line_feed > start => line_feed - 1,
                _ if self.is_lenient => line_feed,
                _ => return Err(HeadError::Malformed),
            };
            self.line_start = line_feed + 1;
            self.searched = self.line_start;
            self.check_size(self.line_start)?;
            match &self.first_line {
                // RFC 9112 §2.2: a few empty lines before the request line are skipped.
                None if start == end && start < 8 => {}
                None if start == end => return Err(HeadError::Malformed),
                None => {
                    if end - start > self.limits.line {
                        return Err(HeadError::LineTooLong);
                    }
                    self.check_protocol(input.get(start..end).unwrap_or_default())?;
                    self.first_line = Some(start..end);
                }
                Some(line) if start == end => {
                    let line = line.clone();
                    let text = input.split_to(self.line_start).freeze();
                    let fields = self.fields.finish(text);
                    (self.line_start, self.searched, self.first_line) = (0, 0, None);
                    return Ok(Some((line, fields)));
                }
                Some(_) => self.field_line(input, start..end)?,
            }
        }
    }

    /// Whether a head has begun; empty lines before it are no beginning.
    pub(crate) fn has_begun(&self, input: &BytesMut) -> bool {
        self.first_line.is_some() || input.len() > self.line_start
    }

    /// Refuses a first line that is not one of HTTP at once: a peer that speaks something else may not send a second one.
    fn check_protocol(&self, line: &[u8]) -> Result<(), HeadError> {
        if self.is_lenient {
            return if line.starts_with(b"HTTP/") { Ok(()) } else { Err(HeadError::Malformed) };
        }
        let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
        match version_of(version) {
            // Its sender speaks HTTP, and is answered once the head is whole.
            Ok(_) | Err(HeadError::Version) => Ok(()),
            // Only what has the three parts of a request line is taken for another protocol's.
            Err(HeadError::NoVersion) if line.iter().filter(|&&byte| byte == b' ').count() < 2 => {
                Err(HeadError::Malformed)
            }
            Err(error) => Err(error),
        }
    }

    fn check_size(&self, seen: usize) -> Result<(), HeadError> {
        if self.first_line.is_none() && seen.saturating_sub(self.line_start) > self.limits.line {
            return Err(HeadError::LineTooLong);
        }
        if seen > self.limits.head { Err(HeadError::TooLarge) } else { Ok(()) }
    }

    fn field_line(&mut self, buffer: &[u8], line: Range<usize>) -> Result<(), HeadError> {
        if self.fields.len() >= self.limits.fields {
            return Err(HeadError::TooLarge);
        }
        let text = buffer.get(line.clone()).unwrap_or_default();
        let colon = memchr(b':', text).ok_or(HeadError::Malformed)?;
        let (name, value) = (text.get(..colon).unwrap_or_default(), text.get(colon + 1..).unwrap_or_default());
        let name = if self.is_lenient { name.trim_ascii_end() } else { name };
        // An obsolete fold begins with a space, which is no token character.
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) || !is_field_value(value) {
            return Err(HeadError::Malformed);
        }
        let name = line.start..line.start + name.len();
        let leading = value.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
        let value_start = line.start + colon + 1 + leading;
        let trailing = value.iter().skip(leading).rev().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
        self.fields.push(buffer, name, value_start..line.end - trailing).map_err(|_| HeadError::TooLarge)
    }
}

impl RequestLine {
    /// Splits `line` of the buffer: exactly one space on each side of the target (RFC 9112 §3).
    pub(crate) fn parse(fields: &Fields, line: &Range<usize>) -> Result<Self, HeadError> {
        let text = fields.text(line);
        let method_len = memchr(b' ', text).ok_or(HeadError::Malformed)?;
        let (method, rest) =
            (text.get(..method_len).unwrap_or_default(), text.get(method_len + 1..).unwrap_or_default());
        let target_len = memchr(b' ', rest).ok_or(HeadError::Malformed)?;
        let (target, version) =
            (rest.get(..target_len).unwrap_or_default(), rest.get(target_len + 1..).unwrap_or_default());
        let is_target = |&byte: &u8| matches!(byte, 0x21..=0x7e | 0x80..);
        if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
            return Err(HeadError::Malformed);
        }
        if target.is_empty() || !target.iter().all(is_target) {
            return Err(HeadError::Malformed);
        }
        let version = version_of(version)?;
        let target_start = line.start + method_len + 1;
        Ok(Self {
            method: line.start..line.start + method_len,
            target: target_start..target_start + target_len,
            version,
        })
    }
}

impl StatusLine {
    /// Splits `line` of the buffer: `HTTP/1.x NNN reason`, the reason being optional (RFC 9112 §4).
    pub(crate) fn parse(fields: &Fields, line: &Range<usize>) -> Result<Self, HeadError> {
        let text = fields.text(line);
        let version = version_of(text.get(..8).ok_or(HeadError::Malformed)?)?;
        let (digits, rest) = match text.get(8..) {
            Some([b' ', a, b, c, rest @ ..]) => ([*a, *b, *c], rest),
            _ => return Err(HeadError::Malformed),
        };
        if !digits.iter().all(u8::is_ascii_digit) || !matches!(rest.first(), None | Some(b' ')) || !is_field_value(rest)
        {
            return Err(HeadError::Malformed);
        }
        let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        if !(100..=599).contains(&status) {
            return Err(HeadError::Malformed);
        }
        let reason_start = line.end - rest.len().saturating_sub(1);
        Ok(Self { version, status, reason: reason_start..line.end })
    }
}

fn version_of(text: &[u8]) -> Result<Version, HeadError> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(HeadError::Version)
        }
        text if text.is_empty() || text.contains(&b'/') => Err(HeadError::Malformed),
        _ => Err(HeadError::NoVersion),
    }
}

/// `tchar` of RFC 9110 §5.6.2, by byte: every name of every head is looked up here.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

/// Whether a byte may stand in a token.
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).copied().unwrap_or_default()
}

/// `field-content` with obs-text (RFC 9110 §5.5): no control character but the tab. Written without an early exit so
/// that it compiles to vector instructions.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    !value.iter().fold(false, |bad, &byte| bad | ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f))
}

#[cfg(test)]
mod tests;
