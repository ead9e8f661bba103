//! Uploads that HTTP/2 clients have sent and nobody has taken: each connection's, and all of a worker's together, which
//! decide how much the next client may send ahead.

use crate::metrics::WorkerMetrics;
use std::cell::Cell;

/// The unread uploads of a connection, counted while it lives. Frames that h2 itself throws away are counted until the
/// next stream ends; it never counts for more than its window.
#[derive(Debug)]
pub(crate) struct UnreadUploads {
    metrics: WorkerMetrics,
    window: u64,
    stream_window: u64,
    bytes: Cell<u64>,
}

impl UnreadUploads {
    /// With the windows of the connection and of each stream in bytes.
    pub(crate) fn new(metrics: WorkerMetrics, window: u32, stream_window: u32) -> Self {
        Self { metrics, window: window.into(), stream_window: stream_window.into(), bytes: Cell::new(0) }
    }

    /// A DATA frame came.
    pub(crate) fn arrived(&self, len: usize) {
        self.set(self.bytes.get() + len as u64);
    }

    /// An upstream took some, or what was left of a stream is thrown away.
    pub(crate) fn taken(&self, len: usize) {
        self.set(self.bytes.get().saturating_sub(len as u64));
    }

    /// Only so many streams can have unread uploads, each no more than its window.
    pub(crate) fn trim_to(&self, streams: u64) {
        self.set(self.bytes.get().min(streams.saturating_mul(self.stream_window)));
    }

    fn set(&self, bytes: u64) {
        let bytes = bytes.min(self.window);
        let before = self.bytes.replace(bytes);
        if bytes != before {
            self.metrics.unread_uploads_changed(before, bytes);
        }
    }
}

impl Drop for UnreadUploads {
    fn drop(&mut self) {
        self.trim_to(0);
    }
}
