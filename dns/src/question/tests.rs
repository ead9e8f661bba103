use super::*;
use crate::answer::{Said, Zone, ZoneSettings};
use crate::message::{Says, Transport};
use crate::name::LowerName;
use crate::reply::Reply;
use crate::wire::HEADER;
use config::NameTable;
use hickory_proto::op::{Edns, Message, MessageType, OpCode};
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

proptest! {
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
        let mut packet = message.to_vec().unwrap();
        for (place, byte) in damage {
            let place = place.index(packet.len());
            packet[place] = byte;
        }
        answer_packet(&packet)?;
        packet.truncate(cut.index(packet.len()));
        answer_packet(&packet)?;
    }
}
