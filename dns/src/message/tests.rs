use super::*;
use crate::part::harness::{Client, client};
use crate::question::ClientEdns;
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::{A, CNAME, MX, NS, PTR, SRV, TXT};
use hickory_proto::rr::{DNSClass, RecordType};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, content: RData) -> Record {
    Record::from_rdata(name(owner), 30, content)
}

fn cname(owner: &str, target: &str) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))))
}

fn addresses(owner: &str, count: u16) -> Vec<Record> {
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        record(owner, RData::A(A::new(10, 0, high, low)))
    };
    (0..count).map(address).collect()
}

fn answers(answers: Vec<Record>) -> Sections {
    Sections { code: ResponseCode::NoError, answers, authorities: Vec::new(), additionals: Vec::new() }
}

fn soa(zone: &str) -> Record {
    let soa = SOA::new(name(&format!("ns.{zone}")), name(&format!("Hostmaster.{zone}")), 7, 7200, 1800, 86_400, 5);
    record(zone, RData::SOA(soa))
}

fn written(client: &Client, sections: &Sections, transport: Transport) -> Vec<u8> {
    write(&client.query(), sections, Says::default(), transport).unwrap()
}

/// A name of so many bytes in wire form.
fn long(first: &str, bytes: usize) -> String {
    let mut text = format!("{first}.");
    while text.len() + 1 < bytes {
        let label = (bytes - text.len() - 1).min(60);
        // What is left has to be a label itself.
        let label = if bytes - text.len() - 1 - label == 1 { label - 1 } else { label };
        text.push_str(&format!("{}.", "x".repeat(label - 1)));
    }
    assert_eq!(text.len() + 1, bytes);
    text
}

/// What leads to a name of so many bytes with so many addresses.
fn leading(bytes: usize, count: u16) -> Sections {
    let target = long("lb", bytes);
    let mut records = vec![cname("elb.shop.svc.cluster.local.", &target)];
    records.extend(addresses(&target, count));
    answers(records)
}

fn same(read: &[Record], expected: &[Record]) {
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(expected) {
        assert_eq!(read, expected);
        // Of names `==` does not see the case.
        assert_eq!(format!("{read}"), format!("{expected}"));
    }
}

/// As another implementation reads it, whole and in the same case.
fn is_whole(message: &[u8], sections: &Sections) {
    let read = Message::from_vec(message).unwrap();
    assert!(!read.metadata.truncation);
    same(&read.answers, &sections.answers);
    same(&read.authorities, &sections.authorities);
    same(&read.additionals, &sections.additionals);
}

#[test]
fn what_fits_to_the_byte_is_whole_and_with_a_byte_less_is_cut() {
    let mut denial = answers(vec![cname("elb.shop.svc.cluster.local.", "Gone.Example.ORG.")]);
    denial.authorities.push(soa("Example.ORG."));
    let mut mail = answers(vec![record("elb.shop.svc.cluster.local.", RData::MX(MX::new(5, name(&long("mx", 254)))))]);
    mail.answers.extend(addresses(&long("mx", 254), 9));
    for sections in [leading(82, 20), leading(82, 64), leading(255, 2), leading(255, 13), denial, mail] {
        let mut client = client("elb.shop.svc.cluster.local", "A");
        let whole = written(&client, &sections, Transport::Tcp);
        is_whole(&whole, &sections);
        let limit = u16::try_from(whole.len()).unwrap();
        client.head.edns = Some(ClientEdns::of(limit));
        assert_eq!(written(&client, &sections, Transport::Udp), whole);
        client.head.edns = Some(ClientEdns::of(limit - 1));
        let cut = Message::from_vec(&written(&client, &sections, Transport::Udp)).unwrap();
        let count = |sections: [&[Record]; 2]| sections.iter().map(|section| section.len()).sum::<usize>();
        let all = count([&sections.answers, &sections.authorities]);
        assert!(cut.metadata.truncation);
        assert_eq!(count([&cut.answers, &cut.authorities]), all - 1, "no more than has to be is left out");
    }
}

/// Header, question, the alias with its target, and 16 bytes for each address.
#[test]
fn names_take_two_bytes_from_their_second_time_on() {
    let mut client = client("elb.shop.svc.cluster.local", "A");
    client.head.edns = None;
    let message = written(&client, &leading(82, 20), Transport::Udp);
    assert_eq!(message.len(), 12 + 32 + 12 + 82 + 20 * 16);
    is_whole(&message, &leading(82, 20));
}

#[test]
fn thousands_of_records_are_whole_over_tcp() {
    let client = client("elb.shop.svc.cluster.local", "A");
    let most = u16::try_from((65_535 - 11 - 12 - 32 - 12 - 255) / 16).unwrap();
    for count in [1_000, 4_000, most] {
        let sections = leading(255, count);
        let message = written(&client, &sections, Transport::Tcp);
        is_whole(&message, &sections);
        assert_eq!(message.len(), 12 + 32 + 12 + 255 + usize::from(count) * 16 + 11);
    }
    let cut = Message::from_vec(&written(&client, &leading(255, most + 1), Transport::Tcp)).unwrap();
    assert_eq!((cut.metadata.truncation, cut.answers.len()), (true, 1 + usize::from(most)));
}

/// Pointers have 14 bits (RFC 1035 §4.1.4): to its last place one leads, to the next none does.
#[test]
fn what_stands_too_far_away_is_written_out_again() {
    let filled = |bytes: usize| -> Vec<Record> {
        // Question, and two records of text, the second filling up to where the next owner shall stand.
        let first = 12 + 32 + 12 + 250;
        let mut records = vec![record("elb.shop.svc.cluster.local.", RData::TXT(TXT::new(vec!["x".repeat(249)])))];
        let mut at = first;
        while at < bytes {
            let mut len = (bytes - at).min(200);
            if (1..20).contains(&(bytes - at - len)) {
                len -= 20;
            }
            records.push(record("elb.shop.svc.cluster.local.", RData::TXT(TXT::new(vec!["x".repeat(len - 13)]))));
            at += len;
        }
        assert_eq!(at, bytes);
        records
    };
    let client = client("elb.shop.svc.cluster.local", "ANY");
    for (place, again) in [(0x3FFF, 2), (0x4000, 18)] {
        let mut sections = answers(filled(place));
        // 18 bytes, of which nothing stands before.
        sections.answers.extend(addresses("Far.away.example.", 2));
        let message = written(&client, &sections, Transport::Tcp);
        is_whole(&message, &sections);
        assert_eq!(message.get(place..place + 4), Some(&b"\x03Far"[..]));
        assert_eq!(message.len(), place + (18 + 14) + (again + 14) + 11, "{place:x}");
    }
}

#[test]
fn additional_records_that_do_not_fit_are_left_out_silently() {
    let mut client = client("elb.shop.svc.cluster.local", "A");
    let mut sections = leading(82, 20);
    let without = written(&client, &sections, Transport::Tcp).len();
    sections.additionals = addresses("a.other.example.", 3);
    let whole = written(&client, &sections, Transport::Tcp).len();
    for (limit, expected) in [(whole, 3), (whole - 1, 2), (without, 0)] {
        client.head.edns = Some(ClientEdns::of(u16::try_from(limit).unwrap()));
        let read = Message::from_vec(&written(&client, &sections, Transport::Udp)).unwrap();
        assert_eq!((read.metadata.truncation, read.answers.len(), read.additionals.len()), (false, 21, expected));
    }
}

fn any_name() -> impl Strategy<Value = Name> {
    // Few, so that names end alike, in several cases.
    let label = prop::sample::select(vec!["a", "A", "web", "Web", "shop", "svc", "local", "LOCAL", "xn--nxasmq6b"]);
    prop_oneof![
        8 => prop::collection::vec(label, 0..6).prop_map(|labels| Name::from_labels(labels).unwrap()),
        1 => prop::collection::vec("[a-cA-C]{1}", 0..120).prop_map(|labels| Name::from_labels(labels).unwrap()),
    ]
}

fn any_content() -> impl Strategy<Value = RData> {
    prop_oneof![
        any::<u32>().prop_map(|address| RData::A(A(address.into()))),
        any_name().prop_map(|name| RData::CNAME(CNAME(name))),
        any_name().prop_map(|name| RData::NS(NS(name))),
        any_name().prop_map(|name| RData::PTR(PTR(name))),
        (any::<u16>(), any_name()).prop_map(|(preference, name)| RData::MX(MX::new(preference, name))),
        (any::<u16>(), any_name()).prop_map(|(port, name)| RData::SRV(SRV::new(1, 2, port, name))),
        (any_name(), any_name(), any::<u32>(), any::<i32>()).prop_map(|(server, mail, serial, span)| RData::SOA(
            SOA::new(server, mail, serial, span, 1, -1, serial / 2)
        )),
        "[a-z]{1,200}".prop_map(|text| RData::TXT(TXT::new(vec![text]))),
    ]
}

fn any_records(most: usize) -> impl Strategy<Value = Vec<Record>> {
    let record = (any_name(), any::<u32>(), any_content()).prop_map(|(owner, ttl, content)| {
        let mut record = Record::from_rdata(owner, ttl >> 1, content);
        record.dns_class = DNSClass::IN;
        record
    });
    prop::collection::vec(record, 0..most)
}

/// A differential test: what hickory reads is what was given, to the beginning of it that fits.
fn is_read_back(sections: &Sections, payload: u16) -> Result<(), TestCaseError> {
    let mut client = client("Web.shop.svc.cluster.LOCAL", "ANY");
    for transport in [Transport::Tcp, Transport::Udp] {
        client.head.edns = Some(ClientEdns::of(payload));
        let message = written(&client, sections, transport);
        prop_assert!(message.len() <= client.head.limit(transport));
        let read = Message::from_vec(&message).unwrap();
        let question = &read.queries[0];
        prop_assert!(question.name().eq_case(&name("Web.shop.svc.cluster.LOCAL.")));
        prop_assert_eq!(question.query_type(), RecordType::ANY);
        let given = [&sections.answers, &sections.authorities, &sections.additionals];
        let came = [&read.answers, &read.authorities, &read.additionals];
        let is_short = |index: usize| came[index].len() < given[index].len();
        prop_assert_eq!(read.metadata.truncation, is_short(0) || is_short(1));
        for (given, came) in given.into_iter().zip(came) {
            same(came, &given[..came.len()]);
        }
    }
    Ok(())
}

fn sections(answers: Vec<Record>, [authorities, additionals]: [Vec<Record>; 2]) -> Sections {
    Sections { code: ResponseCode::NoError, answers, authorities, additionals }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        answers in any_records(20),
        others in [any_records(10), any_records(10)],
        payload in 512..1232u16,
    ) {
        is_read_back(&sections(answers, others), payload)?;
    }
}

/// Each takes as long as a hundred others.
#[test]
fn what_is_written_of_many_records_is_read_back() {
    // In a `proptest!` the environment has the last word about the number of cases.
    let config = ProptestConfig::default();
    let cases = (config.cases / 100).max(24);
    let mut runner = TestRunner::new(ProptestConfig { cases, ..config });
    let many = (any_records(400), [any_records(10), any_records(10)], 512..1232_u16);
    runner.run(&many, |(answers, others, payload)| is_read_back(&sections(answers, others), payload)).unwrap();
}
