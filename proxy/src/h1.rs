//! HTTP/1 on the wire: heads read once and strictly, bodies decoded and framed anew (RFC 9112).

mod body;
mod head;
#[cfg(test)]
mod tests;

pub(crate) use body::{Decoded, Decoder, Encoder};
pub(crate) use head::{HeadError, HeadLimits, HeadParser, RequestLine, StatusLine, is_token};
