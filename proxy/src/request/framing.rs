//! How long a message is, from its head; where two readings are possible there is none (RFC 9112 §6).

use crate::fields::{FieldName, Fields};
use crate::record::Version;

/// What the head of an HTTP/1 message says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Neither length nor coding.
    Absent,
    Length(u64),
    Chunked,
}

/// A head whose framing could be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous;

impl Framing {
    /// Reads `Transfer-Encoding` and `Content-Length`.
    pub(crate) fn parse(fields: &Fields, version: Version) -> Result<Self, Ambiguous> {
        let length = content_length(fields)?;
        let mut codings = fields.all(FieldName::TransferEncoding);
        match codings.next() {
            None => Ok(length.map_or(Self::Absent, Self::Length)),
            Some(coding) => {
                let is_chunked = coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
                if is_chunked && length.is_none() && version == Version::Http11 {
                    Ok(Self::Chunked)
                } else {
                    Err(Ambiguous)
                }
            }
        }
    }
}

/// Equal repetitions are one length; anything else but digits is none.
fn content_length(fields: &Fields) -> Result<Option<u64>, Ambiguous> {
    let mut length = None;
    for value in fields.all(FieldName::ContentLength) {
        for element in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            // An empty element passes here, and is no number below.
            if !element.iter().all(u8::is_ascii_digit) {
                return Err(Ambiguous);
            }
            let number =
                std::str::from_utf8(element).ok().and_then(|text| text.parse::<u64>().ok()).ok_or(Ambiguous)?;
            if length.is_some_and(|known| known != number) {
                return Err(Ambiguous);
            }
            length = Some(number);
        }
    }
    Ok(length)
}
