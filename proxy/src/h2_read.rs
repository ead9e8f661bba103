//! Reading the body of an HTTP/2 stream. What small frames bring is read as one piece where it is here already: peers may
//! send a frame a byte, and none of what follows is meant for that.

use crate::h2_send::merge;
use bytes::{Bytes, BytesMut};
use h2::{Error, RecvStream};
use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

/// Data below this is joined with what follows it.
const SMALL: usize = 1024;
/// Joined data is not joined further from here on.
const ENOUGH: usize = 16 * 1024;

/// The next data, which is not empty; `None`: trailers may follow.
pub(crate) fn poll_data(stream: &mut RecvStream, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
    let first = loop {
        match ready!(stream.poll_data(cx)) {
            // An empty frame is no data (an exchange with chunks would end at it).
            Some(Ok(data)) if data.is_empty() => {}
            Some(Ok(data)) => break data,
            end => return Poll::Ready(end),
        }
    };
    if first.len() >= SMALL {
        return Poll::Ready(Some(Ok(first)));
    }
    let mut joined = BytesMut::new();
    while joined.len() < ENOUGH {
        // An end, or an error, is there at the next call too.
        let Poll::Ready(Some(Ok(data))) = stream.poll_data(cx) else { break };
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&data);
    }
    Poll::Ready(Some(Ok(if joined.is_empty() { first } else { joined.freeze() })))
}

/// Data that was read while nobody had room for it. h2 ends a connection where too many small frames of all its streams
/// wait to be read: clients that do not read would end those of others. Bounded by the stream's window, since the
/// capacity is to be released when the data is taken from here.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead(VecDeque<Bytes>);

impl ReadAhead {
    /// Takes all that is there; an end or an error is there at the next read too.
    pub(crate) fn gather(&mut self, stream: &mut RecvStream, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(Ok(data))) = poll_data(stream, cx) {
            let piece = match self.0.pop_back() {
                Some(last) if data.len() < SMALL && last.len() + data.len() <= ENOUGH => merge(last, &data),
                Some(last) => {
                    self.0.push_back(last);
                    data
                }
                None => data,
            };
            self.0.push_back(piece);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self) -> Option<Bytes> {
        self.0.pop_front()
    }
}
