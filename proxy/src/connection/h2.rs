//! The streams of an HTTP/2 connection, each an exchange of its own task; this one drives all their I/O.

mod driver;

use crate::answer::LocalAnswer;
use crate::clock::Clock;
use crate::down::{Down, DownH2};
use crate::downstream::Downstream;
use crate::exchange::{Exchange, Finish, record_refusal};
use crate::h2_io::H2Io;
use crate::h2_unread::UnreadUploads;
use crate::limits::Limits;
use crate::metrics::Held;
use crate::request::{Asked, Refusal, Request};
use crate::wire::Wire;
use crate::worker::Worker;
use driver::{Driver, Streams};
use h2::server::Builder;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// What small DATA frames of a connection may cost until they are read; h2's own budget takes a busy gRPC client for an
/// attack.
const FRAME_BUDGET: usize = 4 * 1024 * 1024;
/// Streams that were reset here, and for how long they are remembered: what their client had sent before it knew is
/// passed over, and only what comes for a forgotten one counts as malformed.
const REMEMBERED: usize = 128;
const REMEMBERED_FOR: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, downstream: Downstream, wire: Wire) {
    let limits = &worker.settings.limits;
    let is_short = worker.metrics.unread_uploads() >= limits.h2_unread;
    let window = if is_short { limits.h2_short_connection_window } else { limits.h2_connection_window };
    let unread = Rc::new(UnreadUploads::new(worker.metrics.clone(), window, limits.h2_window));
    let io = H2Io::of_client(wire, Rc::clone(&unread));
    let moves = io.moves();
    let Ok(Ok(connection)) = timeout(limits.hello, builder(limits, window).handshake(io)).await else { return };
    let mut driver = Driver::new(Rc::clone(&worker), downstream, connection, moves, unread);
    poll_fn(|cx| driver.poll(cx)).await;
}

fn builder(limits: &Limits, connection_window: u32) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.h2_streams)
        .initial_window_size(limits.h2_window)
        .initial_connection_window_size(connection_window)
        .max_send_buffer_size(limits.output)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        // One less: it is the first beyond the number that ends the connection.
        .max_local_error_reset_streams(Some(limits.h2_malformed.saturating_sub(1) as usize))
        .max_concurrent_reset_streams(REMEMBERED)
        .reset_stream_duration(REMEMBERED_FOR)
        .data_frame_budget(FRAME_BUDGET)
        .enable_connect_protocol();
    builder
}

/// Counts a stream as open.
struct StreamGuard {
    streams: Rc<Streams>,
    has_body: bool,
    _level: Held,
}

impl StreamGuard {
    fn new(streams: &Rc<Streams>, has_body: bool, level: Held) -> Self {
        streams.began(has_body);
        Self { streams: Rc::clone(streams), has_body, _level: level }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.streams.ended(self.has_body);
    }
}

/// Serves a stream; what it needs of the head was read before.
#[expect(clippy::manual_async_fn, reason = "the future of an async fn has room for its arguments twice")]
fn serve_stream(
    worker: Rc<Worker>,
    downstream: Rc<Downstream>,
    request: Result<Request, (Refusal, Asked)>,
    mut down: DownH2,
    guard: StreamGuard,
) -> impl Future<Output = ()> {
    async move {
        let mut clock = Clock::default();
        let finish = match &request {
            Ok(request) => {
                down.begin(request);
                let exchange = Exchange::new(&worker, &downstream, &mut clock, Down::H2(&mut down), request);
                exchange.run(true).await
            }
            Err((refusal, asked)) => refuse(&worker, &downstream, &mut down, *refusal, asked.clone()).await,
        };
        if down.was_reset() {
            guard.streams.was_reset();
        }
        match finish {
            // h2 ends with NO_ERROR what was answered before all of it came, and cancels what was not answered in full.
            Finish::Keep | Finish::Linger | Finish::Close => drop(down),
            Finish::Retire => {
                drop(down);
                guard.streams.retire();
            }
            Finish::Cut => guard.streams.cut(down),
        }
        // What the stream held of its upload was told before its end is.
        drop(guard);
    }
}

async fn refuse(
    worker: &Rc<Worker>,
    downstream: &Downstream,
    down: &mut DownH2,
    refusal: Refusal,
    asked: Asked,
) -> Finish {
    let answer = LocalAnswer::new(refusal.status, refusal.reason, None, &worker.date());
    record_refusal(worker, downstream, asked, refusal, Some(&answer));
    let mut down = Down::H2(down);
    if down.local(&answer, true).is_err() {
        return Finish::Close;
    }
    let flush = timeout(worker.settings.limits.write, poll_fn(|cx| down.poll_drain(cx, &mut false)));
    match flush.await {
        Ok(Ok(())) => Finish::Keep,
        Ok(Err(_)) | Err(_) => Finish::Close,
    }
}
