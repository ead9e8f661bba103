//! How long a connection may be silent, for clients that want to know (RFC 7828).

use crate::option;
use crate::wire::{Cursor, KEEPALIVE, OPT};
use std::time::Duration;

/// Whether a client wants to know it. What it says of its own patience changes nothing (§3.2.1).
pub(super) fn is_asked_for(packet: &[u8]) -> bool {
    additionals(packet).is_some_and(|(mut cursor, count)| {
        let mut records = (0..count).map_while(|_| cursor.record());
        let edns = records.find(|record| record.record_type == OPT);
        edns.is_some_and(|edns| Cursor::new(edns.content).has_option(KEEPALIVE) == Some(true))
    })
}

/// Tells it in a finished message of ours, in units of 100 ms and at most 6,553.5 s; zero: the connection is to be
/// closed (§3.1, §3.4).
pub(super) fn add(idle: Duration, message: &mut Vec<u8>) {
    let units = u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX);
    if let Some(option) = option::option(KEEPALIVE, &units.to_be_bytes()) {
        option::add(&option, message, usize::from(u16::MAX));
    }
}

/// What follows the question of a packet, if there is anything, and how many records are promised.
fn additionals(packet: &[u8]) -> Option<(Cursor<'_>, u32)> {
    let mut cursor = Cursor::new(packet);
    let header = cursor.header().filter(|header| header.questions == 1 && header.additionals > 0)?;
    cursor.question()?;
    Some((cursor, u32::from(header.authorities) + u32::from(header.additionals)))
}
