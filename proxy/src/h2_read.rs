//! Reading the body of an HTTP/2 stream. What small frames bring is read as one piece where it is here already: peers may
//! send a frame a byte, and none of what follows is meant for that.

use bytes::{Bytes, BytesMut};
use h2::{Error, RecvStream};
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
