//! The handshake of a TLS connection: who does not do its part in time, or sooner where another one needs the place, is
//! let go.

use super::RECHECK;
use super::places::{Handshake, Place};
use crate::serving::Secured;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::server::TlsStream;

/// Bytes that wait in each connection for the client to take them: one record of TLS.
const BUFFER: usize = 16 << 10;

/// Waits for the handshake, at most for `usual`; the connection and its place, or `None` where another one has that.
///
/// # Errors
/// It takes too long, or is none.
pub(super) async fn shake_hands(
    stream: TcpStream,
    secured: &Secured,
    (mut handshake, usual): (Handshake, Duration),
) -> io::Result<Option<(TlsStream<TcpStream>, Place)>> {
    let bounded = |connection: &mut rustls::ServerConnection| connection.set_buffer_limit(Some(BUFFER));
    let mut accepting = pin!(secured.acceptor().accept_with(stream, bounded));
    let since = Instant::now();
    loop {
        let left = handshake.patience(usual).saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake takes too long"));
        }
        tokio::select! {
            // Places may become few while it goes on.
            accepted = timeout(left.min(RECHECK), &mut accepting) => if let Ok(accepted) = accepted {
                let stream = accepted?;
                return Ok(handshake.done().map(|place| (stream, place)));
            },
            () = handshake.lost() => return Ok(None),
        }
    }
}
