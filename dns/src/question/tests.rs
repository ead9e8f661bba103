use super::*;
use crate::answer::{Said, Zone, ZoneSettings};
use crate::message::{Says, Transport};
use crate::name::LowerName;
use crate::reply::Reply;
use crate::wire::{Cursor, HEADER, OPT, flag};
use config::NameTable;
use hickory_proto::op::{Edns, Message, MessageType, OpCode};
use hickory_proto::serialize::binary::BinEncodable as _;
use proptest::prelude::*;

fn query(labels: &[Vec<u8>], record_type: u16, edns: Option<(u16, bool)>) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
    message.add_query(hickory_proto::op::Query::query(name, RecordType::from(record_type)));
    if let Some((payload, is_dnssec_ok)) = edns {
        let mut edns = Edns::new();
        edns.set_max_payload(payload).set_dnssec_ok(is_dnssec_ok);
        message.set_edns(edns);
    }
    message
}

fn any_query() -> impl Strategy<Value = Message> {
    let label = prop_oneof![
        prop::sample::select(vec!["svc", "cluster", "local", "dns"]).prop_map(|label| label.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..20),
    ];
    (prop::collection::vec(label, 0..8), 1..40u16, any::<Option<(u16, bool)>>())
        .prop_map(|(labels, record_type, edns)| query(&labels, record_type, edns))
}

/// Reads and answers a packet as the server does; what comes back is well-formed and short enough.
fn answer_packet(packet: &[u8]) -> Result<(), TestCaseError> {
    let (table, settings, mut out) = (NameTable::default(), ZoneSettings::default(), Vec::new());
    let head = match Query::parse(packet) {
        Err(Refusal::Silence(_)) => return Ok(()),
        Err(Refusal::CookieAlone(head)) => {
            crate::message::write_code(&mut out, &head, None, (ResponseCode::NoError, Says::default()));
            head
        }
        Err(Refusal::Code(head, asked, code)) => {
            crate::message::write_code(&mut out, &head, asked, (code, Says::default()));
            head
        }
        Ok(Query { head, asked }) => {
            let name = LowerName::read(asked.name()).unwrap();
            let mut reply = Reply::new(&mut out, asked.wire, head.room(Transport::Udp));
            let zone = Zone::new(&table, &settings, None);
            if zone.answer(&name, asked.record_type, &mut reply) == Said::Outside {
                return Ok(());
            }
            reply.finish(&head, Says::default());
            head
        }
    };
    prop_assert!(out.len() <= head.limit(Transport::Udp));
    prop_assert_eq!(&out[..2], &packet[..2]);
    let reply = Message::from_vec(&out);
    prop_assert!(reply.is_ok(), "{:?}", reply);
    Ok(())
}

/// What of a packet makes one reader take it and another one not, as it is meant here.
fn wanted_difference(packet: &[u8]) -> Option<&'static str> {
    let mut cursor = Cursor::new(packet);
    let header = cursor.header()?;
    if header.flags & flag::RESPONSE != 0 {
        return Some("an answer is no question");
    }
    if header.flags & flag::OPCODE != 0 {
        return Some("other operations are not read");
    }
    if header.questions != 1 || header.answers != 0 || header.additionals > 2 {
        return Some("there is one question, and little besides");
    }
    let mut at = HEADER;
    while let Some(length @ 1..64) = packet.get(at).map(|length| usize::from(*length)) {
        at += 1 + length;
    }
    if packet.get(at).is_some_and(|length| *length >= 0xC0) {
        return Some("there is nothing before the question that its name could point to");
    }
    let (_, record_type, _) = cursor.question()?;
    if record_type == OPT {
        return Some("OPT is no type to ask for");
    }
    if header.authorities > u16::from(record_type == 251) {
        return Some("only who asks for changes shows what it has");
    }
    for _ in 0..header.authorities + header.additionals {
        let is_by_pointer = packet.get(cursor.position()).is_some_and(|length| *length >= 0xC0);
        let record = cursor.record()?;
        if record.record_type != OPT {
            return Some("what else there is, such as a signature, is not looked at");
        }
        if is_by_pointer {
            return Some("the owner of OPT is the root, without a pointer");
        }
        if !record.content.is_empty() {
            return Some("options need not be known, but fill the record");
        }
    }
    None
}

/// Reads a packet as the server does and as another implementation does: both take it, with the same in it, or neither.
fn both_read(packet: &[u8]) -> Result<(), TestCaseError> {
    let ours = match Query::parse(packet) {
        Ok(Query { head, asked }) => Some((head, asked)),
        // It could be read, and is refused for what it asks.
        Err(Refusal::Code(head, Some(asked), code)) if code != ResponseCode::FormErr => Some((head, asked)),
        Err(_) => None,
    };
    let (ours, theirs) = match (ours, Message::from_vec(packet)) {
        (Some(ours), Ok(theirs)) => (ours, theirs),
        (None, Err(_)) => return Ok(()),
        (ours, theirs) => {
            prop_assert!(wanted_difference(packet).is_some(), "{:?} {:?} {:?}", packet, ours, theirs);
            return Ok(());
        }
    };
    let ((head, asked), question) = (ours, &theirs.queries[0]);
    prop_assert_eq!(asked.to_question().unwrap().name.to_bytes().unwrap(), question.name().to_bytes().unwrap());
    prop_assert_eq!(asked.record_type, question.query_type());
    prop_assert_eq!((head.id, head.class), (theirs.metadata.id, question.query_class().into()));
    prop_assert_eq!(head.flags & flag::RECURSION_DESIRED != 0, theirs.metadata.recursion_desired);
    let (ours, theirs) = (head.edns, theirs.edns.as_ref());
    prop_assert_eq!(
        ours.map(|edns| (edns.advertised, edns.is_dnssec_ok)),
        theirs.map(|edns| (edns.max_payload().max(512), edns.flags().dnssec_ok))
    );
    Ok(())
}

fn damaged(
    message: &Message,
    damage: Vec<(prop::sample::Index, u8)>,
    cut: Option<prop::sample::Index>,
    added: &[u8],
) -> Vec<u8> {
    let mut packet = message.to_vec().unwrap();
    for (place, byte) in damage {
        let place = place.index(packet.len());
        packet[place] = byte;
    }
    packet.truncate(cut.map_or(packet.len(), |cut| cut.index(packet.len())));
    [&packet, added].concat()
}

proptest! {
    /// A differential test: whatever is done to a question.
    #[test]
    fn a_damaged_question_is_read_by_two_implementations_or_by_neither(
        message in any_query(),
        // Small numbers are those of labels, types and lengths.
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), 0..64_u8]), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        added in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        both_read(&damaged(&message, damage, cut, &added))?;
    }

    /// The same with a header that promises as little as that of a question does.
    #[test]
    fn any_bytes_are_read_by_two_implementations_or_by_neither(
        flags in any::<u16>(),
        counts in (0..3_u8, 0..2_u8, 0..2_u8, 0..3_u8),
        rest in prop::collection::vec(prop_oneof![any::<u8>(), 0..4_u8], 0..100),
    ) {
        let (questions, answers, authorities, additionals) = counts;
        let [high, low] = (flags & !flag::RESPONSE).to_be_bytes();
        let header = [7, 7, high & 7, low, 0, questions, 0, answers, 0, authorities, 0, additionals];
        both_read(&[&header, &rest[..]].concat())?;
        both_read(&rest)?;
    }

    #[test]
    fn a_good_question_is_read_as_another_implementation_wrote_it(message in any_query()) {
        let packet = message.to_vec().unwrap();
        let Query { head, asked } = Query::parse(&packet).unwrap();
        let question = asked.to_question().unwrap();
        prop_assert!(question.name.eq_case(message.queries[0].name()));
        prop_assert_eq!(question.record_type, message.queries[0].query_type());
        let edns = message.edns.map(|edns| ClientEdns {
            advertised: edns.max_payload().max(512),
            is_dnssec_ok: edns.flags().dnssec_ok,
            ..ClientEdns::of(edns.max_payload().clamp(512, 1232))
        });
        prop_assert_eq!(head, Head { id: 7, flags: 0, class: CLASS_IN, edns });
        let wire = question.to_wire();
        prop_assert_eq!(&wire[..], &packet[HEADER..HEADER + wire.len()]);
        answer_packet(&packet)?;
    }

    #[test]
    fn any_bytes_get_a_whole_answer_or_none(packet in prop::collection::vec(any::<u8>(), 0..300)) {
        answer_packet(&packet)?;
    }

    #[test]
    fn a_damaged_question_gets_a_whole_answer_or_none(
        message in any_query(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut packet = damaged(&message, damage, None, &[]);
        answer_packet(&packet)?;
        packet.truncate(cut.index(packet.len()));
        answer_packet(&packet)?;
    }
}
