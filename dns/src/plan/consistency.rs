//! What no part can see alone: blocks that are for the same questions, forwarding in a circle, parts that need others.

mod acls;
mod asked;
mod circles;
mod logs;
mod order;
mod ports;
mod rewrites;
mod secured;
mod taken;
mod transfers;
mod without_records;

use super::Plan;
use super::autopath::SearchList;
use super::block::Block;
use super::forward;
use super::key::Listener;
use super::log::Label;
use super::question::Fallthrough;
use super::reading::Reading;
use super::timeouts;
use super::zone::Zone;
use crate::corefile::PlanError;
use asked::Asked;

pub(super) fn check(plan: &Plan, reading: &mut Reading<'_>) {
    same_questions(plan, reading);
    ports::check(plan, reading);
    secured::check(plan, reading);
    timeouts::tell_overruled(plan, reading);
    other_objects(plan, reading);
    circles::check(plan, reading);
    for block in &plan.blocks {
        autopath(block, reading);
        external(block, reading);
        labels(block, reading);
        listens(block, reading);
        fallthrough(block, reading);
        forward::tell_idle_next(block, reading);
        without_records::tell_unasked(block, reading);
        let asked = Asked::of(plan, block);
        logs::tell_idle(block, &asked, reading);
        rewrites::tell_idle(block, &asked, reading);
        acls::tell_idle(block, &asked, reading);
        order::tell_left_out_parts(block, &asked, reading);
        transfers::tell_idle(block, &asked, reading);
        dead_zones(block, &asked, reading);
    }
}

/// What a line leaves out another one may have.
fn listens(block: &Block, reading: &mut Reading<'_>) {
    if !block.binds.is_empty() && block.binds.iter().all(|bind| bind.to.is_empty()) {
        let message = "leaves no address to listen at: except has them all".to_owned();
        reading.errors.push(PlanError(block.note_of(("bind", 0), message)));
    }
}

/// Two blocks, or two keys of one, for the same zone at the same place.
fn same_questions(plan: &Plan, reading: &mut Reading<'_>) {
    let all: Vec<_> = plan.blocks.iter().flat_map(|block| block.listeners().map(move |at| (block, at))).collect();
    let mut seen = std::collections::HashMap::new();
    for (block, (listener, zone)) in &all {
        // A listener at all addresses takes what comes to each.
        let at_all = Listener { address: None, ..listener.clone() };
        let places: &mut Vec<(&Block, &Listener)> = seen.entry((at_all, *zone)).or_default();
        let overlaps = |other: &Listener| {
            other.address.is_none() || listener.address.is_none() || other.address == listener.address
        };
        if let Some((other, _)) = places.iter().find(|(_, other)| overlaps(other)) {
            reading.errors.push(block.served_already(other, zone, listener));
        }
        places.push((block, listener));
    }
}

/// All blocks have names from the same objects.
fn other_objects(plan: &Plan, reading: &mut Reading<'_>) {
    let all = plan.blocks.iter().filter_map(|block| Some((block, block.kubernetes.as_ref()?.chosen())));
    let mut first = None;
    for (block, chosen) in all {
        if *first.get_or_insert(chosen) != chosen {
            let message =
                "other labels or namespace_labels than in a block before: all have the names of the same objects";
            reading.errors.push(block.error("kubernetes", message));
        }
    }
}

fn autopath(block: &Block, reading: &mut Reading<'_>) {
    if !block.autopath.as_ref().is_some_and(|autopath| matches!(autopath.search, SearchList::Pod)) {
        return;
    }
    let message = match &block.kubernetes {
        _ if block.knows_pods() => return,
        Some(_) => "changes nothing: @kubernetes needs `pods verified` in kubernetes",
        None => "changes nothing: @kubernetes needs the plugin kubernetes in the same block",
    };
    reading.notes.push(block.note("autopath", message));
}

/// External addresses are those of the Services that `kubernetes` knows, and have zones of their own.
fn external(block: &Block, reading: &mut Reading<'_>) {
    let Some(external) = &block.external else { return };
    let Some(kubernetes) = &block.kubernetes else {
        reading.errors.push(block.error("k8s_external", "needs the plugin kubernetes in the same block"));
        return;
    };
    for zone in external.zones.iter().filter(|zone| !zone.is_reverse() && kubernetes.zones.contains(zone)) {
        let message = format!("{zone} is a zone of kubernetes, and the names of both would be mixed");
        reading.errors.push(block.error("k8s_external", message));
    }
}

/// Labels in formats of `log`, whose values come from other plugins.
fn labels(block: &Block, reading: &mut Reading<'_>) {
    let has_labels = block.logs.iter().any(|log| log.format.labels().next().is_some());
    for (nth, log) in block.logs.iter().enumerate() {
        let message = if log.format.labels().next().is_none() {
            continue;
        } else if block.metadata.is_none() {
            "labels of its format are - without the plugin metadata"
        } else if !block.knows_pods() && log.format.labels().any(Label::is_of_client) {
            "labels of the client's Pod are - without `pods verified` in kubernetes"
        } else {
            continue;
        };
        reading.notes.push(block.note_of(("log", nth), message));
    }
    if block.metadata.is_some() && !has_labels {
        reading.notes.push(block.note("metadata", "changes nothing: no format of log has a label"));
    }
}

/// Zones that a part leaves to others, of which it never sees a name.
fn fallthrough(block: &Block, reading: &mut Reading<'_>) {
    let mut told = |part: (&str, usize), zones: &[Zone], fallthrough: &Fallthrough| {
        for zone in &fallthrough.0 {
            if !zones.iter().any(|own| own.meets(zone)) {
                let message = format!("fallthrough of {zone} changes nothing: no such name is asked of the plugin");
                reading.notes.push(block.note_of(part, message));
            }
        }
    };
    if let Some(kubernetes) = &block.kubernetes {
        told(("kubernetes", 0), &kubernetes.zones, &kubernetes.fallthrough);
    }
    if let Some(external) = &block.external {
        told(("k8s_external", 0), &external.zones, &external.fallthrough);
    }
    if let Some(hosts) = &block.hosts {
        told(("hosts", 0), &hosts.zones, &hosts.fallthrough);
    }
    for (nth, template) in block.templates.iter().enumerate() {
        told(("template", nth), &template.zones, &template.fallthrough);
    }
}

/// Zones of parts that none of the names is in which come to the part.
fn dead_zones(block: &Block, asked: &Asked<'_>, reading: &mut Reading<'_>) {
    let mut told = |part: (&str, usize), zones: &[Zone], is_asked: &dyn Fn(&Zone) -> bool| {
        for zone in zones.iter().filter(|zone| !is_asked(zone)) {
            let message = format!("{zone} is in none of the zones of its block: no such question comes there");
            reading.notes.push(block.note_of(part, message));
        }
    };
    let [by_clients, by_rules, at_all]: [&dyn Fn(&Zone) -> bool; 3] =
        [&|zone| asked.by_clients(zone), &|zone| asked.by_rules(zone), &|zone| asked.at_all(zone)];
    // Who is led on looks for addresses, which names that are made of addresses do not have.
    let with_names: &dyn Fn(&Zone) -> bool = &|zone| if zone.is_reverse() { by_rules(zone) } else { at_all(zone) };
    let once = [
        // What an answer leads to begins no walk.
        ("autopath", block.autopath.as_ref().map(|part| &part.zones), by_rules),
        ("cache", block.cache.as_ref().map(|part| &part.zones), at_all),
        ("hosts", block.hosts.as_ref().map(|part| &part.zones), at_all),
        ("k8s_external", block.external.as_ref().map(|part| &part.zones), with_names),
        ("kubernetes", block.kubernetes.as_ref().map(|part| &part.zones), with_names),
        ("metadata", block.metadata.as_ref(), by_clients),
    ];
    for (plugin, zones, is_asked) in once {
        told((plugin, 0), zones.map_or(&[], Vec::as_slice), is_asked);
    }
    block.acls.iter().enumerate().for_each(|(nth, part)| told(("acl", nth), &part.zones, at_all));
    block.logs.iter().enumerate().for_each(|(nth, part)| told(("log", nth), &part.zones, by_clients));
    block.templates.iter().enumerate().for_each(|(nth, part)| told(("template", nth), &part.zones, at_all));
    block.transfers.iter().enumerate().for_each(|(nth, part)| told(("transfer", nth), &part.zones, by_clients));
    let forwards = block.forwards.iter().enumerate();
    forwards.for_each(|(nth, part)| told(("forward", nth), std::slice::from_ref(&part.from), at_all));
    for forward in &block.forwards {
        forward.tell_idle_exceptions(reading, |zone| asked.at_all(zone));
    }
}
