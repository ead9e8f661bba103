//! Asks the quiet peer of an HTTP/2 connection for a sign of life while something waits for it (RFC 9113 §6.7).

use h2::{Ping, PingPong};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The PINGs of one connection.
pub(crate) struct Pulse {
    ping: Option<PingPong>,
    asked: Option<Instant>,
    quiet: Duration,
    patience: Duration,
}

/// The peer has not answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dead;

impl Pulse {
    /// `ping` is the connection's, which gives it once. A peer that was `quiet` for that long is asked, and has
    /// `patience` to answer.
    pub(crate) fn new(ping: Option<PingPong>, quiet: Duration, patience: Duration) -> Self {
        Self { ping, asked: None, quiet, patience }
    }

    /// When to call again; a peer that nobody waits for is left alone.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        last_read: Instant,
        is_waited_for: bool,
    ) -> Result<Instant, Dead> {
        let Some(ping) = &mut self.ping else { return Ok(Instant::now() + self.quiet) };
        if self.asked.is_some()
            && let Poll::Ready(_) = ping.poll_pong(cx)
        {
            self.asked = None;
        }
        let now = Instant::now();
        let goes_quiet = last_read + self.quiet;
        match self.asked {
            Some(asked) if last_read < asked => {
                let dies = asked + self.patience;
                if dies <= now { Err(Dead) } else { Ok(dies) }
            }
            _ if !is_waited_for => Ok(now + self.quiet),
            _ if now < goes_quiet => Ok(goes_quiet),
            // Something else came in place of the answer: the same PING is waited for again.
            Some(_) => {
                self.asked = Some(now);
                Ok(now + self.patience)
            }
            None => {
                // It fails only where the connection is over, which its task sees by itself.
                self.asked = ping.send_ping(Ping::opaque()).is_ok().then_some(now);
                Ok(now + self.patience)
            }
        }
    }
}
