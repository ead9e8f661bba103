//! How long a connection may be silent, for clients that want to know (RFC 7828).

use crate::option;
use crate::wire::KEEPALIVE;
use std::time::Duration;

/// Whether a client wants to know it. What it says of its own patience changes nothing (§3.2.1).
pub(super) fn is_asked_for(packet: &[u8]) -> bool {
    option::find(KEEPALIVE, packet).is_some()
}

/// Tells it in a finished message of ours, in units of 100 ms and at most 6,553.5 s; zero: the connection is to be
/// closed (§3.1, §3.4).
pub(super) fn add(idle: Duration, message: &mut Vec<u8>) {
    let units = u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX);
    if let Some(option) = option::option(KEEPALIVE, &units.to_be_bytes()) {
        option::add(&option, message, usize::from(u16::MAX));
    }
}
