//! Messages in a stream, each with its length before it (RFC 1035 §4.2.2).

use crate::wire::HEADER;
use std::io::{self, ErrorKind};

/// Bytes of the length that is before each message (RFC 1035 §4.2.2).
pub(super) const PREFIX: usize = 2;
/// The longest question taken; bytes.
pub(super) const LONGEST: usize = 4096;

/// The first whole question.
///
/// # Errors
/// Where it can be none by its length.
pub(super) fn first(input: &[u8]) -> io::Result<Option<&[u8]>> {
    let Some((length, rest)) = input.split_first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if !(HEADER..=LONGEST).contains(&length) {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("a question of {length} bytes")));
    }
    Ok(rest.get(..length))
}

/// Adds a message with its length before it; messages are never longer than 65,535 bytes.
pub(super) fn push(output: &mut Vec<u8>, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    output.extend(length.to_be_bytes());
    output.extend(message);
}
