//! ExternalName Services, and those that load balancers have a name for: CNAMEs that are followed as long as they stay in the zone, and nobody else has a say.

use super::{Said, Zone};
use crate::name::LowerName;
use crate::reply::{Pointer, Reply, Section, Start};
use config::DomainName;
use hickory_proto::rr::RecordType;

/// CNAMEs that are followed for one question.
pub(crate) const MAX_ALIASES: usize = 10;

/// Writes the CNAME of the question's name, which leads to `target`, and what is there.
pub(super) fn follow<'t>(
    mut zone: Zone<'t>,
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
        let next = zone.of(&name);
        let mut at = 0;
        let is_written = reply.record(start(owner, zone.ttl()), |reply| {
            at = reply.place();
            reply.name(&name, question, next.map(|(_, depth)| depth));
        });
        // CoreDNS looks up addresses alone: an ExternalName has no SRV records, nor any others. Who wants them is told
        // where to ask.
        if !is_written || !matches!(asked, RecordType::A | RecordType::AAAA) {
            return Said::All;
        }
        let Some((next, depth)) = next.filter(|_| zone.is_alone) else { return Said::Alias(target) };
        zone = next;
        // Ten names are never as long as a pointer reaches.
        owner = Pointer::to(at).unwrap_or(owner);
        let mut label = String::new();
        let place = zone.place(&name, depth, &mut label);
        let node = zone.node(&place);
        match zone.alias(node, asked) {
            Some(next) => target = next,
            None => {
                zone.answer_at((&place, node), owner, asked, reply);
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
    Start { section: Section::Answer, labels: &[], owner, record_type: RecordType::CNAME, ttl }
}
