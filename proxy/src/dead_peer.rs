//! How the kernel finds a peer that is gone: by probes while nothing is under way, by bytes that it does not acknowledge.

use crate::limits::Limits;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;

/// Linux takes a peer that is there and does not read for one that does not acknowledge (tcp_probe_timer): the write clock,
/// which tells them apart, must come first.
const MARGIN: Duration = Duration::from_secs(15);

/// Has the kernel end the connection of a peer that is gone; accepted sockets inherit it of the listening one.
///
/// # Errors
/// The socket refuses an option.
pub(crate) fn find(socket: &SockRef<'_>, limits: &Limits) -> io::Result<()> {
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10));
    socket.set_tcp_keepalive(&probes.with_retries(3))?;
    socket.set_tcp_user_timeout(Some(limits.write.saturating_add(MARGIN)))
}
