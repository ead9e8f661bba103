//! Zones of `transfer` that nobody is sent: there is no such zone of Services, or another line is for it.

use super::asked::Asked;
use crate::plan::reading::Reading;
use crate::plan::{Block, Transfer, Zone};
use std::collections::HashSet;

pub(super) fn tell_idle(block: &Block, asked: &Asked<'_>, reading: &mut Reading<'_>) {
    let Some(kubernetes) = &block.kubernetes else {
        let message = "changes nothing: only zones of kubernetes are transferred, and this block has none";
        reading.notes.extend((0..block.transfers.len()).map(|nth| block.note_of(("transfer", nth), message)));
        return;
    };
    let external = block.external.iter().flat_map(|external| &external.zones);
    let sent: Vec<_> = kubernetes.zones.iter().chain(external).filter(|zone| !zone.is_reverse()).collect();
    for (nth, transfer) in block.transfers.iter().enumerate() {
        let mut seen = HashSet::new();
        let zones: Vec<_> = transfer.zones.iter().filter(|zone| asked.by_clients(zone) && seen.insert(*zone)).collect();
        let why = |zone: &&'_ Zone| why_idle(block, (nth, zone), &sent);
        let idle: Vec<_> = zones.iter().filter_map(|zone| Some((zone, why(zone)?))).collect();
        // Of all zones that its block has a line is for those of Services.
        let is_for_all = transfer.zones.iter().eq(block.keys.iter().map(|key| &key.zone));
        if is_for_all && idle.len() < zones.len() {
            continue;
        }
        for (zone, why) in idle {
            reading.notes.push(block.note_of(("transfer", nth), format!("{zone} changes nothing: {why}")));
        }
    }
}

/// Why a zone of the `nth` line has none of those that are `sent`; `None`: it has one.
fn why_idle(block: &Block, (nth, zone): (usize, &Zone), sent: &[&Zone]) -> Option<String> {
    let within = sent.iter().filter(|sent| zone.contains(sent));
    let lines: Vec<_> = within.filter_map(|sent| Transfer::for_zone(&block.transfers, sent.wire())).collect();
    match lines.first() {
        _ if lines.iter().any(|(line, _)| *line == nth) => None,
        Some((line, _)) => Some(format!("the transfer in {} is for it", block.place_of("transfer", *line))),
        None => Some("no zone of Services, which alone are transferred, is in it".to_owned()),
    }
}
