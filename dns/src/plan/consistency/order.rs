//! Parts that nothing is left for, in the order in which a question meets them: `acl`, `template`, `hosts`, `k8s_external`
//! and `kubernetes`, `forward`, `whoami`.

use super::acls;
use super::asked::Asked;
use super::taken::{Taken, Taker, taker_of_all, tell_left_out};
use crate::plan::forward::Forward;
use crate::plan::reading::Reading;
use crate::plan::{Block, Pattern, Template, TemplateClass, Zone};
use hickory_proto::rr::RecordType;

/// What is taken by the parts that were looked at, of all types of records.
struct Order<'b> {
    block: &'b Block,
    asked: &'b Asked<'b>,
    taken: Taken<'b>,
}

pub(super) fn tell_left_out_parts(block: &Block, asked: &Asked<'_>, reading: &mut Reading<'_>) {
    let mut order = Order { block, asked, taken: Taken::default() };
    acls::refused(block).for_each(|(zone, taker)| order.taken.add(zone, taker));
    order.templates(reading);
    order.hosts(reading);
    order.cluster(reading);
    order.forwards(reading);
}

impl<'b> Order<'b> {
    /// Who has all that comes of a zone.
    fn taker(&self, zone: &Zone) -> Option<Taker<'b>> {
        self.whole(zone).or_else(|| taker_of_all(&self.asked.within(zone), |zone| self.taken.by(zone)))
    }

    /// Who has all of a zone, whatever of it comes; `None`: nobody, or nothing comes.
    fn whole(&self, zone: &Zone) -> Option<Taker<'b>> {
        self.taken.by(zone).filter(|taker| !taker.leaves_pointers && self.asked.at_all(zone))
    }

    fn templates(&mut self, reading: &mut Reading<'_>) {
        let block = self.block;
        let mut by_kind: Vec<(&Template, Taken<'_>)> = Vec::new();
        for (nth, template) in block.templates.iter().enumerate() {
            let by = |zone: &Zone| {
                let before = by_kind.iter().filter(|(before, _)| has_kind(before, template));
                self.taken.by(zone).or_else(|| before.filter_map(|(_, taken)| taken.by(zone)).next())
            };
            let left_out = tell_left_out(block, ("template", nth), &template.zones, |zone| {
                taker_of_all(&self.asked.within(zone), by)
            });
            reading.notes.extend(left_out);
            let same = |(before, _): &(&Template, Taken<'_>)| has_kind(before, template) && has_kind(template, before);
            let index = by_kind.iter().position(same).unwrap_or_else(|| {
                by_kind.push((template, Taken::default()));
                by_kind.len() - 1
            });
            let Some((_, taken)) = by_kind.get_mut(index) else { continue };
            for zone in taken_by(template) {
                let taker = Taker::new("template", &template.place);
                taken.add(zone, taker);
                if template.class != TemplateClass::Chaos && template.record_type == RecordType::ANY {
                    self.taken.add(zone, taker);
                }
            }
        }
    }

    fn hosts(&mut self, reading: &mut Reading<'_>) {
        let block = self.block;
        let Some(hosts) = &block.hosts else { return };
        reading.notes.extend(tell_left_out(block, ("hosts", 0), &hosts.zones, |zone| self.taker(zone)));
        // The name of an address that it does not have is for others always.
        let taker = Taker { leaves_pointers: true, ..Taker::new("hosts", block.place_of("hosts", 0)) };
        let falls = |zone: &&Zone| hosts.fallthrough.0.iter().any(|left| left.meets(zone));
        hosts.zones.iter().filter(|zone| !falls(zone)).for_each(|zone| self.taken.add(zone, taker));
    }

    fn cluster(&mut self, reading: &mut Reading<'_>) {
        let block = self.block;
        let kubernetes = block.kubernetes.as_ref().map(|part| ("kubernetes", &part.zones, &part.fallthrough));
        let external = block.external.as_ref().map(|part| ("k8s_external", &part.zones, &part.fallthrough));
        let both: Vec<_> = external.into_iter().chain(kubernetes).collect();
        for (plugin, zones, _) in &both {
            // PTR is what names of addresses are asked for.
            let taker = |zone: &Zone| self.taker(zone).filter(|taker| !taker.leaves_pointers || !zone.is_reverse());
            reading.notes.extend(tell_left_out(block, (plugin, 0), zones, taker));
        }
        // What one of them does not have in a range that both have is looked for in the other.
        let falls = |zone: &Zone| both.iter().flat_map(|(_, _, left)| &left.0).any(|left| left.meets(zone));
        for (plugin, zones, _) in &both {
            let taker = Taker::new(plugin, block.place_of(plugin, 0));
            let answered = zones.iter().filter(|zone| !falls(zone) && (!zone.is_reverse() || zone.range().is_some()));
            answered.for_each(|zone| self.taken.add(zone, taker));
        }
    }

    fn forwards(&mut self, reading: &mut Reading<'_>) {
        let block = self.block;
        let mut in_part: Vec<(&Forward, Taker<'_>)> = Vec::new();
        for (nth, forward) in block.forwards.iter().enumerate() {
            let names = self.asked.within(&forward.from);
            if forward.leaves_out_all(&names) {
                let message = format!("{} changes nothing: except leaves out all such names", forward.from);
                reading.notes.push(block.note_of(("forward", nth), message));
                continue;
            }
            let in_all = || taker_of_all(&names, |zone| self.taken.by(zone).or_else(|| partly(&in_part, zone)));
            if let Some(taker) = self.whole(&forward.from).or_else(in_all) {
                reading.notes.push(block.note_of(("forward", nth), format!("{} {taker}", forward.from)));
            }
            let taker = Taker::new("forward", block.place_of("forward", nth));
            if forward.may_ask_next() {
                continue;
            }
            if forward.except.is_empty() {
                self.taken.add(&forward.from, taker);
            } else {
                in_part.push((forward, taker));
            }
        }
        let root = Zone::root();
        let names = self.asked.within(&root);
        let taker = taker_of_all(&names, |zone| self.taken.by(zone).or_else(|| partly(&in_part, zone)));
        if let (Some(taker), Some(())) = (taker, block.whoami) {
            reading.notes.push(block.note("whoami", taker.to_string()));
        }
    }
}

/// Who has all names of a zone, of those who leave others out.
fn partly<'b>(forwards: &[(&Forward, Taker<'b>)], zone: &Zone) -> Option<Taker<'b>> {
    forwards.iter().find(|(forward, _)| forward.takes_all_of(zone)).map(|(_, taker)| *taker)
}

/// Zones whose names all end at a template where it has their class and type.
fn taken_by(template: &Template) -> impl Iterator<Item = &Zone> {
    let matches_all = template.matches.is_empty() || template.matches.iter().any(Pattern::is_all);
    let falls = |zone: &Zone| template.fallthrough.0.iter().any(|left| left.meets(zone));
    template.zones.iter().filter(move |zone| matches_all || !falls(zone))
}

/// Whether a template has all questions of the class and the type that another one is for.
fn has_kind(template: &Template, other: &Template) -> bool {
    let has_class = template.class == TemplateClass::Any || template.class == other.class;
    has_class && [RecordType::ANY, other.record_type].contains(&template.record_type)
}
