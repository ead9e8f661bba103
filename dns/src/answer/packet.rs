//! A packet in, a packet out, with nothing around it: what benchmarks and fuzzing call.

use super::{Said, Zone, ZoneSettings};
use crate::message::{Says, Transport, write_code};
use crate::name::LowerName;
use crate::question::{Head, Query, Refusal};
use crate::reply::Reply;
use config::NameTable;
use hickory_proto::op::ResponseCode;

/// Answers a UDP packet from the table alone, into `out`; says whether there is an answer: to what is no query there is
/// none, nor about names that are none of ours. Allocates where `out` has too little room for the answer, and for SRV
/// records of more than 32 targets.
pub fn answer_packet(table: &NameTable, settings: &ZoneSettings, packet: &[u8], out: &mut Vec<u8>) -> bool {
    let Query { head, asked } = match Query::parse(packet) {
        Ok(query) => query,
        Err(Refusal::Silence(_)) => return false,
        Err(Refusal::CookieAlone(head)) => {
            write_code(out, &Head { edns: None, ..head }, None, (ResponseCode::FormErr, Says::default()));
            return true;
        }
        Err(Refusal::Code(head, asked, code)) => {
            write_code(out, &head, asked, (code, Says::default()));
            return true;
        }
    };
    let Some(name) = LowerName::read(asked.name()) else { return false };
    let mut reply = Reply::new(out, asked.wire, head.room(Transport::Udp));
    // Ids are as good as random.
    let zone = Zone::new(table, settings, None).turned(usize::from(head.id));
    let said = zone.answer(&name, asked.record_type, &mut reply);
    reply.finish(&head, Says { is_authoritative: true, ..Says::default() });
    said != Said::Outside
}
