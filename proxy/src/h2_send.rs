//! The sending half of an HTTP/2 stream with a bounded queue before it.
//! Data is handed to h2 only against capacity: what h2 takes without is buffered there without bound.

use bytes::{Bytes, BytesMut};
use h2::{Error, Reason, SendStream};
use http::HeaderMap;
use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

/// Bytes asked for at once; more would starve sibling streams of the connection's window.
const STEP: usize = 16 * 1024;
/// Bytes that may wait here.
const ROOM: usize = 64 * 1024;

/// Data below this joins what waits before it: a frame for each would cost the peer more than the data is worth, and some
/// peers end the connection for it.
const SMALL: usize = 1024;

#[derive(Debug)]
enum End {
    Open,
    Asked(Option<HeaderMap>),
    Sent,
}

/// What waits to be sent on a stream.
#[derive(Debug)]
pub(crate) struct SendQueue {
    stream: SendStream<Bytes>,
    queue: VecDeque<Bytes>,
    queued: usize,
    end: End,
}

impl SendQueue {
    pub(crate) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, queue: VecDeque::new(), queued: 0, end: End::Open }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.queued < ROOM
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.queue.is_empty() && !matches!(self.end, End::Asked(_))
    }

    /// Whether the stream's end, or a reset, has been handed over.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.end, End::Sent)
    }

    /// Adds data, which is not empty.
    pub(crate) fn push(&mut self, data: Bytes) {
        self.queued += data.len();
        let merged = match self.queue.pop_back() {
            Some(last) if data.len() < SMALL && last.len() + data.len() <= STEP => merge(last, &data),
            Some(last) => {
                self.queue.push_back(last);
                data
            }
            None => data,
        };
        self.queue.push_back(merged);
    }

    /// Ends the stream after what is queued.
    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) {
        if matches!(self.end, End::Open) {
            self.end = End::Asked(trailers.filter(|trailers| !trailers.is_empty()));
        }
    }

    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, Error>> {
        self.stream.poll_reset(cx)
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
        self.give_up();
    }

    /// Drops what is queued: the peer takes no more.
    pub(crate) fn give_up(&mut self) {
        self.queue.clear();
        self.queued = 0;
        self.end = End::Sent;
    }

    /// Hands data to h2 as far as the peer lets us.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, progress: &mut bool) -> Poll<Result<(), Error>> {
        while let Some(front) = self.queue.front_mut() {
            let wanted = front.len().min(STEP);
            if self.stream.capacity() == 0 {
                self.stream.reserve_capacity(wanted);
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
                }
            }
            let granted = self.stream.capacity().min(wanted);
            if granted == 0 {
                continue;
            }
            let piece = front.split_to(granted);
            if front.is_empty() {
                self.queue.pop_front();
            }
            self.queued -= granted;
            let is_last = self.queue.is_empty() && matches!(self.end, End::Asked(None));
            self.stream.send_data(piece, is_last)?;
            if is_last {
                self.end = End::Sent;
            }
            *progress = true;
        }
        if let End::Asked(trailers) = &mut self.end {
            match trailers.take() {
                Some(trailers) => self.stream.send_trailers(trailers)?,
                None => self.stream.send_data(Bytes::new(), true)?,
            }
            self.end = End::Sent;
            *progress = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// One piece of two.
pub(crate) fn merge(first: Bytes, second: &[u8]) -> Bytes {
    let mut merged = first.try_into_mut().unwrap_or_else(|shared| {
        let mut copy = BytesMut::with_capacity(2 * (shared.len() + second.len()));
        copy.extend_from_slice(&shared);
        copy
    });
    merged.extend_from_slice(second);
    merged.freeze()
}
