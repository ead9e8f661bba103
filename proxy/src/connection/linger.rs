//! The end of a connection whose client may still be sending: a close now would reset it, and the reset would take the
//! answer with it (RFC 9112 §9.6).

use crate::limits::Limits;
use crate::wire::Wire;
use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Between reads once the client has sent more than is read freely: to stop reading would be to reset.
const PAUSE: Duration = Duration::from_millis(10);

/// Ends our half, then reads and throws away until the client ends its own, or for as long as the limits say; gives the
/// number of bytes that came.
pub(super) async fn linger(mut wire: Wire, limits: &Limits) -> usize {
    let mut lost = wire.input.len();
    let deadline = Instant::now() + limits.linger_total;
    let Ok(Ok(())) = timeout_at(deadline, poll_fn(|cx| wire.poll_shutdown(cx))).await else { return lost };
    let mut left = limits.lingered_input;
    wire.input.clear();
    // A client that always has more to read would never let the timeouts have their say.
    while Instant::now() < deadline {
        let read = poll_fn(|cx| {
            let read = ready!(wire.poll_fill(cx));
            wire.input.clear();
            Poll::Ready(read)
        });
        match timeout_at(deadline, timeout(limits.linger_idle, read)).await {
            Ok(Ok(Ok(len))) if len > 0 => (left, lost) = (left.saturating_sub(len), lost + len),
            _ => return lost,
        }
        if left == 0 {
            sleep(PAUSE).await;
        }
    }
    lost
}
