use super::*;
use crate::question::{Asked, CLASS_IN, ClientEdns, Head};
use hickory_proto::op::{Edns, Message, MessageType, OpCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, length: usize) -> Record {
    Record::from_rdata(name(owner), 60, RData::TXT(rdata::TXT::new(vec!["x".repeat(length)])))
}

/// An upstream's answer with this many records in each section.
fn message([answers, authorities, additionals]: [usize; 3], edns: Option<u16>) -> Message {
    let mut message = Message::new(9, MessageType::Response, OpCode::Query);
    message.add_query(hickory_proto::op::Query::query(name("example.org."), RecordType::TXT));
    message.answers = vec![record("example.org.", 50); answers];
    message.authorities = vec![record("org.", 50); authorities];
    message.additionals = vec![record("a.example.org.", 50); additionals];
    message.edns = edns.map(|payload| {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        edns
    });
    message
}

fn query(edns: Option<u16>) -> Query<'static> {
    let edns = edns.map(ClientEdns::of);
    let asked = Asked { wire: b"\x07EXAMPLE\x03org\0\0\x10\0\x01", record_type: RecordType::TXT };
    Query { head: Head { id: 1, flags: flag::RECURSION_DESIRED, class: CLASS_IN, edns }, asked }
}

fn counts(message: &Message) -> [usize; 3] {
    [&message.answers, &message.authorities, &message.additionals].map(Vec::len)
}

/// The relayed message as another implementation reads it.
fn relayed(message: &Message, query: &Query<'_>, transport: Transport) -> Message {
    let (bytes, _) = relay(&message.to_vec().unwrap(), Ttls::AsTheyCame, query, transport).unwrap();
    assert!(bytes.len() <= query.head.limit(transport));
    Message::from_vec(&bytes).unwrap()
}

#[test]
fn what_fits_passes_whole() {
    for edns in [None, Some(1232)] {
        let reply = relayed(&message([1, 2, 1], Some(4096)), &query(edns), Transport::Udp);
        assert_eq!((counts(&reply), reply.metadata.truncation), ([1, 2, 1], false));
        assert_eq!(reply.edns.map(|edns| edns.max_payload()), edns);
    }
}

#[test]
fn sections_are_cut_from_the_end() {
    // A record takes 63 bytes, with a label of its own 65; the question 29 with the header.
    let cases = [
        ([6, 0, 6], [6, 0, 1], false),
        ([6, 6, 0], [6, 1, 0], false),
        ([0, 9, 0], [0, 7, 0], true),
        ([9, 1, 1], [7, 0, 0], true),
    ];
    for (theirs, ours, is_cut) in cases {
        let reply = relayed(&message(theirs, None), &query(None), Transport::Udp);
        assert_eq!((counts(&reply), reply.metadata.truncation), (ours, is_cut), "{theirs:?}");
        let whole = relayed(&message(theirs, None), &query(None), Transport::Tcp);
        assert_eq!((counts(&whole), whole.metadata.truncation), (theirs, false));
    }
}

/// The extended errors of an answer, each as its bytes.
fn extended_errors(reply: &[u8]) -> Option<Vec<Vec<u8>>> {
    let edns = Message::from_vec(reply).unwrap().edns?;
    let options = edns.options().options.iter().map(|(_, option)| match option {
        EdnsOption::Unknown(15, bytes) => bytes.clone(),
        option => panic!("{option:?}"),
    });
    Some(options.collect())
}

#[test]
fn a_code_about_the_upstreams_edns_is_servfail() {
    for (code, why) in [(ResponseCode::BADVERS, "16"), (ResponseCode::BADCOOKIE, "23")] {
        let mut message = message([0, 0, 0], Some(512));
        message.metadata.response_code = code;
        let reply = relayed(&message, &query(None), Transport::Udp);
        assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
        let bytes = message.to_vec().unwrap();
        let (reply, _) = relay(&bytes, Ttls::AsTheyCame, &query(Some(512)), Transport::Udp).unwrap();
        let why = format!("\0\0the upstream answered with the code {why}");
        assert_eq!(extended_errors(&reply), Some(vec![why.into_bytes()]));
    }
}

#[test]
fn what_follows_the_opt_stays_here() {
    let mut bytes = message([1, 0, 0], Some(512)).to_vec().unwrap();
    // A record after it, as TSIG would be.
    bytes[11] += 1;
    bytes.extend([1, b'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0]);
    let (reply, _) = relay(&bytes, Ttls::AsTheyCame, &query(None), Transport::Udp).unwrap();
    assert_eq!(counts(&Message::from_vec(&reply).unwrap()), [1, 0, 0]);
}

/// An answer with an OPT record of these options.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut bytes = message([1, 0, 0], Some(512)).to_vec().unwrap();
    let length_at = bytes.len() - 2;
    bytes[length_at..].copy_from_slice(&(options.len() as u16).to_be_bytes());
    bytes.extend(options);
    bytes
}

fn option(code: u16, content: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], &(content.len() as u16).to_be_bytes(), content].concat()
}

#[test]
fn what_an_upstream_says_of_its_answer_reaches_those_who_speak_edns() {
    // A cookie is for this hop alone; one without a number says nothing; what is not whole ends the list.
    let options =
        [option(15, b"\x00\x06bogus"), option(10, &[7; 8]), option(15, b"\x00"), vec![0, 15, 0, 9, 0]].concat();
    let bytes = with_options(&options);
    let said = |edns| {
        let (reply, _) = relay(&bytes, Ttls::AsTheyCame, &query(edns), Transport::Udp).unwrap();
        extended_errors(&reply)
    };
    assert_eq!(said(Some(512)), Some(vec![b"\x00\x06bogus".to_vec()]));
    assert_eq!(said(None), None);
}

#[test]
fn a_text_that_is_none_is_left_out_and_its_number_passed_on() {
    let cases: [(&[u8], bool); 8] = [
        (b"bogus", true),
        ("na\u{EF}ve \u{1F600}".as_bytes(), true),
        (b"", true),
        (b"\xFF", false),
        (b"cut \xC3", false),
        (b"one\r\ntwo", false),
        (b"zero\0", false),
        ("\u{9B}31m".as_bytes(), false),
    ];
    for (text, is_kept) in cases {
        let bytes = with_options(&option(15, &[&[0, 6], text].concat()));
        let (reply, _) = relay(&bytes, Ttls::AsTheyCame, &query(Some(512)), Transport::Udp).unwrap();
        let kept = if is_kept { text } else { b"" };
        assert_eq!(extended_errors(&reply), Some(vec![[&[0, 6], kept].concat()]), "{text:?}");
    }
}

#[test]
fn an_answer_whose_question_is_shorter_is_not_relayed() {
    let mut bytes = message([1, 0, 0], None).to_vec().unwrap();
    // Its name ends at once, and what was its name begins the next thing.
    bytes[HEADER] = 0;
    assert!(relay(&bytes, Ttls::AsTheyCame, &query(None), Transport::Udp).is_none());
}

#[test]
fn an_answer_whose_owner_is_in_its_header_is_not_relayed() {
    let bytes = message([1, 0, 0], None).to_vec().unwrap();
    let owner = HEADER + query(None).asked.wire.len();
    assert_eq!(bytes[owner..owner + 2], [0xC0, 12], "the question's name");
    for (place, is_relayed) in [(12, true), (11, false), (0, false)] {
        let mut bytes = bytes.clone();
        bytes[owner + 1] = place;
        assert_eq!(relay(&bytes, Ttls::AsTheyCame, &query(None), Transport::Udp).is_some(), is_relayed, "{place}");
    }
}

#[test]
fn an_answer_is_known_by_its_question_and_a_refusal_without_one_by_its_id() {
    let asked = b"\x07example\x03org\0\0\x10\0\x01";
    let mut bytes = message([1, 0, 0], None).to_vec().unwrap();
    assert_eq!(answer(bytes.clone(), 9, asked).as_ref(), Some(&bytes));
    bytes[13..20].make_ascii_uppercase();
    assert!(answer(bytes, 9, asked).is_some());
    for (place, byte) in [(1, 8), (2, 0), (5, 2), (13, b'f')] {
        let mut bytes = message([1, 0, 0], None).to_vec().unwrap();
        bytes[place] = byte;
        assert_eq!(answer(bytes, 9, asked), None, "{place}");
    }
    let alone = |flags: u8, id: u8| {
        let bytes = vec![0, id, 0x81, flags, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        answer(bytes, 9, asked)
    };
    let whole = [&[0, 9, 0x81, 0x81, 0, 1, 0, 0, 0, 0, 0, 0][..], asked].concat();
    assert_eq!(alone(0x81, 9), Some(whole));
    assert!([0x82, 0x84, 0x85].into_iter().all(|flags| alone(flags, 9).is_some()));
    assert_eq!([alone(0x81, 8), alone(0x80, 9), alone(0x83, 9)], [const { None }; 3]);
}

#[test]
fn a_version_of_edns_that_is_not_known_is_told_by_the_opt_record() {
    for (code, answers, is_bad) in [
        (ResponseCode::BADVERS, 0, true),
        (ResponseCode::NoError, 0, false),
        (ResponseCode::BADCOOKIE, 0, false),
        (ResponseCode::BADVERS, 1, false),
    ] {
        let mut message = message([answers, 1, 1], Some(1232));
        message.metadata.response_code = code;
        assert_eq!(is_bad_version(&message.to_vec().unwrap()), is_bad, "{code} {answers}");
    }
    assert!(!is_bad_version(&message([0, 1, 1], None).to_vec().unwrap()));
}

proptest! {
    #[test]
    fn a_damaged_message_passes_whole_or_not_at_all(
        counts in prop::array::uniform3(0..4usize),
        theirs in any::<Option<u16>>(),
        ours in prop::option::of(512..1232u16),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = message(counts, theirs).to_vec().unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            for transport in [Transport::Udp, Transport::Tcp] {
                let query = query(ours);
                let ttls = Ttls::Aged { at_least: 5, at_most: 30, by: 3 };
                if let Some((reply, _)) = relay(bytes, ttls, &query, transport) {
                    prop_assert!(reply.len() <= query.head.limit(transport));
                    let mut cursor = Cursor::new(&reply);
                    let header = cursor.header().unwrap();
                    prop_assert_eq!((header.id, header.questions), (1, 1));
                    prop_assert!(cursor.question().is_some());
                    for _ in 0..header.answers + header.authorities + header.additionals {
                        let record = cursor.record();
                        prop_assert!(record.is_some_and(|record| record.record_type == OPT || (2..=27).contains(&record.ttl)));
                    }
                    prop_assert_eq!(cursor.position(), reply.len());
                }
                prop_assert!(answer(bytes.to_vec(), 8, query.asked.wire).is_none() || bytes[1] == 8);
            }
        }
    }
}
