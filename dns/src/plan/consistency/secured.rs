//! What connections are secured with: one thing for all blocks at an address, since it is done before a question is read.

use crate::certificates::MOST_OF_FILE;
use crate::plan::key::Transport;
use crate::plan::reading::{NO_START, Reading};
use crate::plan::{Block, Plan};
use std::collections::HashMap;

pub(super) fn check(plan: &Plan, reading: &mut Reading<'_>) {
    for block in &plan.blocks {
        transports(block, reading);
        certificates(block, reading);
    }
    shared(plan, reading);
}

fn transports(block: &Block, reading: &mut Reading<'_>) {
    let encrypted = block.keys.iter().find(|key| key.transport != Transport::Dns);
    match (encrypted, &block.tls) {
        (Some(key), None) => {
            let message = format!("{key} needs the files of a certificate and its key");
            reading.errors.push(block.error("tls", message));
        }
        (None, Some(_)) => {
            reading.notes.push(block.note("tls", "changes nothing: no key of this block is tls:// or https://"));
        }
        _ => {}
    }
}

/// The files that are read at the start; without a key that is encrypted there are none.
fn certificates(block: &Block, reading: &mut Reading<'_>) {
    let is_shown = block.keys.iter().any(|key| key.transport != Transport::Dns);
    let Some(tls) = block.tls.as_ref().filter(|_| is_shown) else { return };
    let note = block.note("tls", "");
    let authorities = tls.authorities.iter().filter(|_| tls.client.is_verified());
    for file in [&tls.certificate, &tls.key].into_iter().chain(authorities) {
        reading.needs_file(&note, (file, MOST_OF_FILE), NO_START);
    }
}

/// Blocks at one listener that are secured otherwise. An address and an interface that has it are one only at the start,
/// and so are lines that leave out other addresses of an interface: these are compared there.
fn shared(plan: &Plan, reading: &mut Reading<'_>) {
    let mut first = HashMap::new();
    for block in plan.blocks.iter().filter(|block| block.tls.is_some()) {
        let listeners = block.listeners().map(|(listener, _)| listener);
        let clash = listeners.filter(|listener| listener.transport != Transport::Dns).find_map(|listener| {
            let left_out = block.bind_of(&listener).map_or(&[][..], |(_, bind)| &bind.except);
            let other: &Block = first.entry((listener.clone(), left_out)).or_insert(block);
            (other.tls != block.tls).then(|| block.secured_otherwise(other, &listener))
        });
        reading.errors.extend(clash);
    }
}
