//! ExternalName Services: CNAMEs that are followed as long as they stay in the zone.

use super::{Place, Said, Zone};
use crate::name::LowerName;
use crate::reply::{Pointer, Reply, Section, Start};
use config::{DomainName, NameTable, ServiceNames};
use hickory_proto::rr::RecordType;

/// CNAMEs that are followed for one question.
const MAX_ALIASES: usize = 10;

/// Where an ExternalName Service leads; `None`: the place is none.
pub(super) fn target<'t>(table: &'t NameTable, place: &Place<'_>) -> Option<&'t DomainName> {
    let Place::Service { namespace, service } = place else { return None };
    match &**table.find(namespace, service)? {
        ServiceNames::External { target } => Some(target),
        ServiceNames::ClusterIp { .. } | ServiceNames::Headless { .. } => None,
    }
}

/// Writes the CNAME of the question's name, which leads to `target`, and what is there.
pub(super) fn follow<'t>(
    zone: &Zone<'t>,
    mut target: &'t DomainName,
    (question, asked): (&LowerName, RecordType),
    reply: &mut Reply<'_>,
) -> Said<'t> {
    let mut owner = Pointer::QUESTION;
    let mut known: [Option<&DomainName>; MAX_ALIASES] = [None; MAX_ALIASES];
    for turn in 0..MAX_ALIASES {
        let Some(name) = LowerName::of(target) else { break };
        if name == *question || known.contains(&Some(target)) {
            break;
        }
        if let Some(slot) = known.get_mut(turn) {
            *slot = Some(target);
        }
        let depth = name.depth_below(zone.table.zone());
        let mut at = 0;
        let is_written = reply.record(start(owner, zone.settings.ttl), |reply| {
            at = reply.place();
            reply.name(&name, question, depth);
        });
        // CoreDNS looks up addresses alone: an ExternalName has no SRV records, nor any others. Who wants them is told
        // where to ask.
        if !is_written || !matches!(asked, RecordType::A | RecordType::AAAA) {
            return Said::All;
        }
        let Some(depth) = depth else { return Said::Alias(target) };
        // Ten names are never as long as a pointer reaches.
        owner = Pointer::to(at).unwrap_or(owner);
        let place = Place::read(&name, depth);
        match self::target(zone.table, &place) {
            Some(next) => target = next,
            None => {
                zone.answer_at(&place, owner, asked, reply);
                return Said::All;
            }
        }
    }
    // Aliases in a circle, or too many: what was said stands, and nothing more can be.
    if reply.answers() == 0 {
        zone.soa(Section::Authority, reply);
    }
    Said::All
}

fn start(owner: Pointer, ttl: u32) -> Start<'static> {
    Start { section: Section::Answer, label: None, owner, record_type: RecordType::CNAME, ttl }
}
