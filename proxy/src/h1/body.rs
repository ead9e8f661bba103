//! Bodies: decoded from their framing and framed anew, so that no framing of one side reaches the other.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// A body that breaks its own framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyError;

/// What a decoder found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// Some of the body; never empty.
    Data(Bytes),
    /// All of the body was given.
    End,
    /// More input is needed.
    Starved,
}

/// Reads one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoder {
    /// This many bytes are still to come.
    Length(u64),
    Chunked(Chunked),
    /// All until the connection closes.
    UntilClose,
}

/// Where a chunked body stands (RFC 9112 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// A chunk's size line comes next.
    Size,
    /// This many bytes of a chunk are still to come.
    Data(u64),
    /// The line end after a chunk's data comes next.
    DataEnd,
    /// Trailer lines come next, of which this many bytes were seen.
    Trailers(usize),
    Done,
}

/// Bytes of a size line with its extensions.
const SIZE_LINE: usize = 8 * 1024;
/// Bytes of all trailer lines.
const TRAILERS: usize = 64 * 1024;

impl Decoder {
    pub(crate) const EMPTY: Self = Self::Length(0);

    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunked::Size)
    }

    /// Whether all of the body was given.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// Bytes still to come, where that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(remaining) => Some(*remaining),
            Self::Chunked(Chunked::Done) => Some(0),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Whether the end of the connection is a clean end here.
    pub(crate) fn may_end_at_close(&self) -> bool {
        matches!(self, Self::UntilClose) || self.is_done()
    }

    /// Takes what it can from `input`.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, BodyError> {
        match self {
            Self::Length(remaining) => Ok(take(remaining, input)
                .map_or_else(|| if *remaining == 0 { Decoded::End } else { Decoded::Starved }, Decoded::Data)),
            Self::UntilClose if input.is_empty() => Ok(Decoded::Starved),
            Self::UntilClose => Ok(Decoded::Data(input.split().freeze())),
            Self::Chunked(state) => state.decode(input),
        }
    }
}

fn take(remaining: &mut u64, input: &mut BytesMut) -> Option<Bytes> {
    let len = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
    *remaining -= len as u64;
    (len > 0).then(|| input.split_to(len).freeze())
}

impl Chunked {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, BodyError> {
        loop {
            match self {
                Self::Size => {
                    let Some(line) = line(input, SIZE_LINE)? else { return Ok(Decoded::Starved) };
                    let size = chunk_size(input.get(..line).unwrap_or_default())?;
                    input.advance(line + 2);
                    *self = if size == 0 { Self::Trailers(0) } else { Self::Data(size) };
                }
                Self::Data(remaining) => {
                    let Some(data) = take(remaining, input) else { return Ok(Decoded::Starved) };
                    if *remaining == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(Decoded::Data(data));
                }
                Self::DataEnd => match input.get(..2) {
                    Some(b"\r\n") => {
                        input.advance(2);
                        *self = Self::Size;
                    }
                    None if matches!(input.first(), None | Some(b'\r')) => return Ok(Decoded::Starved),
                    _ => return Err(BodyError),
                },
                // Trailers of HTTP/1 are dropped (RFC 9110 §6.5.1 allows it), but read strictly.
                Self::Trailers(seen) => {
                    let Some(line) = line(input, TRAILERS.saturating_sub(*seen))? else { return Ok(Decoded::Starved) };
                    check_trailer(input.get(..line).unwrap_or_default())?;
                    *seen += line + 2;
                    input.advance(line + 2);
                    if line == 0 {
                        *self = Self::Done;
                    }
                }
                Self::Done => return Ok(Decoded::End),
            }
        }
    }
}

/// Length of the first line without its CRLF, once it is complete.
fn line(input: &BytesMut, limit: usize) -> Result<Option<usize>, BodyError> {
    match memchr(b'\n', input) {
        Some(end) if end > limit => Err(BodyError),
        Some(end) => match end.checked_sub(1) {
            Some(before) if input.get(before) == Some(&b'\r') => Ok(Some(before)),
            _ => Err(BodyError),
        },
        None if input.len() > limit => Err(BodyError),
        None => Ok(None),
    }
}

/// The size in a chunk's first line; its extensions are checked and forgotten.
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at(digits);
    let extensions = extensions.trim_ascii_start();
    if size.is_empty() || size.len() > 16 || !(extensions.is_empty() || extensions.starts_with(b";")) {
        return Err(BodyError);
    }
    if !super::head::is_field_value(extensions) {
        return Err(BodyError);
    }
    let text = std::str::from_utf8(size).map_err(|_| BodyError)?;
    u64::from_str_radix(text, 16).map_err(|_| BodyError)
}

fn check_trailer(line: &[u8]) -> Result<(), BodyError> {
    if line.is_empty() {
        return Ok(());
    }
    let colon = memchr(b':', line).ok_or(BodyError)?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|&byte| super::head::is_token(byte)) || !super::head::is_field_value(value) {
        return Err(BodyError);
    }
    Ok(())
}

/// Frames one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoder {
    /// As it is; its length was announced.
    Length,
    /// In chunks.
    Chunked,
    /// As it is; the connection's close ends it.
    UntilClose,
    /// There is none; what comes is thrown away.
    Nothing,
}

impl Encoder {
    /// What goes before `len > 0` bytes of data.
    pub(crate) fn begin(self, output: &mut Vec<u8>, len: usize) {
        if self == Self::Chunked {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
            for digit in (0..digits).rev() {
                output.extend(HEX.get((len >> (4 * digit)) & 15));
            }
            output.extend_from_slice(b"\r\n");
        }
    }

    /// What goes after them.
    pub(crate) fn end_data(self) -> &'static [u8] {
        if self == Self::Chunked { b"\r\n" } else { b"" }
    }

    /// What ends the body.
    pub(crate) fn finish(self) -> &'static [u8] {
        if self == Self::Chunked { b"0\r\n\r\n" } else { b"" }
    }
}

#[cfg(test)]
mod tests;
