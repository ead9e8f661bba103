//! The upload of an exchange, kept for another attempt as long as it is small.

use http::HeaderMap;

/// What was read of the upload.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// A copy: pieces that shared their memory with reads could hold many times their length. Empty once it was too
    /// much.
    kept: Vec<u8>,
    overflowed: bool,
    ended: Option<Option<HeaderMap>>,
    pub(super) bytes: u64,
    /// Whether the client was told to go on (100).
    pub(super) was_continued: bool,
}

impl Upload {
    /// Notes a piece; `limit` bytes are kept at most.
    pub(super) fn keep(&mut self, data: &[u8], limit: usize) {
        self.bytes += data.len() as u64;
        if self.bytes > limit as u64 {
            self.overflow();
        } else if !self.overflowed {
            self.kept.extend_from_slice(data);
        }
    }

    /// Gives up on another attempt.
    pub(super) fn overflow(&mut self) {
        self.overflowed = true;
        self.kept = Vec::new();
    }

    /// Whether another attempt can send the same.
    pub(super) fn can_replay(&self) -> bool {
        !self.overflowed
    }

    pub(super) fn replay(&self) -> &[u8] {
        &self.kept
    }

    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) {
        self.ended = Some(trailers);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn trailers(&self) -> Option<HeaderMap> {
        self.ended.clone().flatten()
    }

    /// The tunnel's upload begins where the request's ended.
    pub(super) fn begin_tunnel(&mut self) {
        self.overflow();
        self.ended = None;
    }
}
