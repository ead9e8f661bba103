//! Replies as another implementation reads them: whole, short enough, and the same whatever room there is.

use super::{below_the_zone, table};
use crate::answer::*;
use crate::question::Question;
use config::{EndpointGroup, EndpointName, NameChange, PortName, ServiceNames, Transport};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, Record};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Endpoints of which several share a name, an address, or both; some with ports of their own.
fn endpoints() -> impl Strategy<Value = Vec<EndpointName>> {
    let endpoint = (any::<bool>(), 0..40u8, 0..30u16, 0..3u16, prop::sample::select(vec![1, 20, 63, 64])).prop_map(
        |(is_v4, address, name, ports, length)| {
            let port = |number| PortName {
                name: Some(format!("p{number}").into()),
                transport: Transport::Tcp,
                number: 80 + number,
            };
            EndpointName {
                address: if is_v4 {
                    [172, 0, 0, address].into()
                } else {
                    [0x10, 0, 0, 0, 0, 0, 0, address.into()].into()
                },
                name: format!("{name:0>length$}").into(),
                group: EndpointGroup::with_ports((0..ports).map(port).collect::<Vec<_>>()),
                pod: None,
            }
        },
    );
    prop::collection::vec(endpoint, 0..100)
}

fn any_table() -> impl Strategy<Value = NameTable> {
    (endpoints(), endpoints(), 0..12u32).prop_map(|(of_headless, of_service, aliases)| {
        let addresses = vec!["10.0.0.7".parse().unwrap(), "10::7".parse().unwrap()];
        let ports = [80, 81, 443].map(|number| PortName { name: None, transport: Transport::Udp, number });
        let mut services = vec![
            ("head".to_owned(), ServiceNames::headless(of_headless)),
            ("web".to_owned(), ServiceNames::cluster_ip(addresses, ports.to_vec(), of_service)),
        ];
        services.extend((0..aliases).map(|index| {
            let target = if index == 0 { "head".to_owned() } else { format!("alias{}", index - 1) };
            let target = format!("{target}.shop.svc.cluster.local").parse().unwrap();
            (format!("alias{index}"), ServiceNames::External { target })
        }));
        let changes = services.into_iter().map(|(service, names)| NameChange::Service {
            namespace: "shop".into(),
            service: service.into(),
            names: Some(Arc::new(names)),
        });
        table().patched(changes, 7)
    })
}

fn any_name() -> impl Strategy<Value = Vec<String>> {
    let owned = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
    let in_zone = below_the_zone().prop_map(move |labels| owned(&[&labels[..], &["cluster", "local"]].concat()));
    let service = (0..14u32, any::<bool>()).prop_map(move |(index, has_port)| {
        let service = match index {
            0 => "web".to_owned(),
            1 => "head".to_owned(),
            index => format!("alias{}", index - 2),
        };
        let labels = [&*service, "shop", "svc", "cluster", "local"];
        if has_port { owned(&[&["_p1", "_tcp"][..], &labels].concat()) } else { owned(&labels) }
    });
    let reverse = (0..40u8, 0..5usize).prop_map(|(last, from)| {
        let labels = [&*last.to_string(), "0", "0", "172", "in-addr", "arpa"].map(str::to_owned);
        labels.into_iter().skip(from).collect()
    });
    prop_oneof![2 => in_zone, 4 => service, 1 => reverse]
}

/// What is said, without the order of what is said.
fn meaning(records: &[Record]) -> Vec<String> {
    let mut lines: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
    lines.sort();
    lines
}

proptest! {
    #[test]
    fn a_reply_is_whole_and_says_what_one_without_a_limit_says(
        table in any_table(),
        labels in any_name(),
        cases in any::<u64>(),
        record_type in prop::sample::select(vec![
            RecordType::A, RecordType::AAAA, RecordType::SRV, RecordType::PTR, RecordType::NS, RecordType::SOA,
            RecordType::TXT, RecordType::CNAME, RecordType::ANY,
        ]),
        payload in prop::option::of(500..1_400u16),
        asked_at in prop::option::of(Just("10.0.0.7:80".parse().unwrap())),
    ) {
        let in_case = |(index, byte): (usize, u8)| if cases >> (index % 64) & 1 == 1 { byte.to_ascii_uppercase() } else { byte };
        let labels = labels.iter().map(|label| label.bytes().enumerate().map(in_case).collect::<Vec<_>>());
        let name = Name::from_labels(labels).unwrap();
        let mut query = Message::new(4_711, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name.clone(), record_type));
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            query.set_edns(edns);
        }
        let settings = ZoneSettings::default();
        let unlimited = answer(&table, &Question { name, record_type }, &settings, None);
        let mut out = Vec::new();
        let is_ours = answer_packet(&table, &settings, &query.to_vec().unwrap(), &mut out);
        prop_assert_eq!(is_ours, unlimited != Answer::Outside);
        let (Answer::Zone(sections) | Answer::Alias { sections, .. }) = unlimited else { return Ok(()) };
        let limit = payload.map_or(512, |payload| payload.clamp(512, 1_232));
        prop_assert!(out.len() <= usize::from(limit), "{} of {limit}", out.len());
        let reply = Message::from_vec(&out);
        prop_assert!(reply.is_ok(), "{:?} {:?}", reply, out);
        let reply = reply.unwrap();
        prop_assert_eq!(reply.metadata.id, 4_711);
        prop_assert!(reply.queries[0].name().eq_case(query.queries[0].name()));
        prop_assert_eq!(reply.queries[0].query_type(), record_type);
        prop_assert_eq!(reply.edns.is_some(), payload.is_some());
        prop_assert_eq!(reply.metadata.response_code, sections.code);
        let (answers, expected) = (meaning(&reply.answers), meaning(&sections.answers));
        if reply.metadata.truncation {
            prop_assert!(answers.iter().all(|answer| expected.contains(answer)));
            prop_assert!(reply.authorities.is_empty() && reply.additionals.is_empty());
        } else {
            prop_assert_eq!(answers, expected);
            prop_assert_eq!(meaning(&reply.authorities), meaning(&sections.authorities));
        }
        let expected = meaning(&sections.additionals);
        prop_assert!(meaning(&reply.additionals).iter().all(|additional| expected.contains(additional)));
        // A name server that the question came to is written the same way.
        if let Answer::Zone(sections) = answer(&table, &Question { name: query.queries[0].name().clone(), record_type }, &settings, asked_at) {
            prop_assert_eq!(sections.code, reply.metadata.response_code);
            let mut unique = meaning(&sections.answers);
            unique.dedup();
            prop_assert_eq!(unique.len(), sections.answers.len(), "a record twice");
            let mut unique = meaning(&sections.additionals);
            unique.dedup();
            prop_assert_eq!(unique.len(), sections.additionals.len(), "an additional record twice");
        }
    }
}

proptest! {
    /// However many there are: some are told apart by what is remembered of them, more by a look at the table.
    #[test]
    fn each_target_and_port_has_one_srv_record(endpoints in endpoints(), ports in any::<bool>()) {
        let label = if ports { "_p1._tcp.head" } else { "head" };
        let expected: BTreeSet<_> = endpoints
            .iter()
            .filter(|endpoint| endpoint.name.len() < 64)
            .flat_map(|endpoint| endpoint.group.ports.iter().map(|port| (endpoint.name.to_string(), port.number)))
            .filter(|(_, port)| !ports || *port == 81)
            .collect();
        let names = Some(Arc::new(ServiceNames::headless(endpoints)));
        let (namespace, service) = ("shop".into(), "head".into());
        let table = table().patched([NameChange::Service { namespace, service, names }], 7);
        let name = Name::from_ascii(format!("{label}.shop.svc.cluster.local.")).unwrap();
        let question = Question { name, record_type: RecordType::SRV };
        let Answer::Zone(sections) = answer(&table, &question, &ZoneSettings::default(), None) else {
            return Err(TestCaseError::fail("the zone's own"));
        };
        let found = sections.answers.iter().map(|record| match &record.data {
            RData::SRV(srv) => (srv.target.iter().next().map(|label| String::from_utf8(label.to_vec()).unwrap()).unwrap(), srv.port),
            other => panic!("{other}"),
        });
        let found: Vec<_> = found.collect();
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}
