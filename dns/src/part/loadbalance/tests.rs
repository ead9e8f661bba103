use super::*;
use crate::option;
use crate::part::harness::{Client, client, text};
use crate::question::ClientEdns;
use crate::wire::{Header, NSID};
use hickory_proto::op::{Message, ResponseCode};
use std::collections::BTreeMap;

/// The message in the order of this turn.
fn balanced(client: &Client, message: &[u8], turn: u64) -> Vec<u8> {
    let mut message = message.to_vec();
    balance(&mut message, (&client.head, Transport::Udp), turn);
    message
}

/// The lines of records of an answer in the order of this turn.
fn lines(client: &Client, message: &[u8], turn: u64) -> Vec<String> {
    text(&balanced(client, message, turn)).lines().skip(1).map(str::to_owned).collect()
}

/// How often each order of the answer comes in so many turns.
fn orders(client: &Client, message: &[u8], turns: u64) -> BTreeMap<Vec<String>, u64> {
    let mut orders = BTreeMap::new();
    for turn in 0..turns {
        *orders.entry(lines(client, message, turn)).or_default() += 1;
    }
    orders
}

fn sorted(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.sort_unstable();
    bytes
}

#[test]
fn each_order_of_addresses_comes_equally_often() {
    for (record_type, prefix) in [("A", "192.0.2."), ("AAAA", "2001:db8::")] {
        let client = client("www.example.org.", record_type);
        let record = |index| format!("www.example.org. 6{index} {record_type} {prefix}{index}\n");
        let message = client.answer("NOERROR", &(1..=4).map(record).collect::<String>());
        // Twice as many turns as there are orders.
        let orders = orders(&client, &message, 48);
        assert_eq!((orders.len(), orders.values().max()), (24, Some(&2)), "{orders:?}");
        for order in orders.keys() {
            // Each with its TTL.
            let mut order = order.clone();
            order.sort();
            assert_eq!(order, (1..=4).map(|index| record(index).trim().to_owned()).collect::<Vec<_>>());
        }
        for turn in 0..24 {
            let other = balanced(&client, &message, turn);
            assert_eq!((other.len(), sorted(other)), (message.len(), sorted(message.clone())));
        }
        assert_eq!(balanced(&client, &message, 0), message);
    }
}

#[test]
fn of_very_many_addresses_each_is_the_first_equally_often() {
    let client = client("www.example.org.", "A");
    let record = |index| format!("www.example.org. 60 A 192.0.2.{index}\n");
    let message = client.answer("NOERROR", &(1..=60).map(record).collect::<String>());
    let mut firsts: Vec<_> = (0..60).map(|turn| lines(&client, &message, turn)[0].clone()).collect();
    firsts.sort();
    firsts.dedup();
    assert_eq!(firsts.len(), 60);
    assert_eq!(lines(&client, &message, u64::MAX).len(), 60);
}

#[test]
fn addresses_keep_to_their_name_type_and_section() {
    let client = client("example.org.", "ANY");
    let records = "example.org. 60 A 192.0.2.1
        example.org. 60 AAAA 2001:db8::1
        example.org. 60 TXT text
        example.org. 60 A 192.0.2.2
        example.org. 60 AAAA 2001:db8::2
        other.example.org. 60 A 192.0.2.3
        other.example.org. 60 A 192.0.2.4
        | example.org. 60 NS ns.example.org.
        | ns.example.org. 60 A 192.0.2.5
        ns.example.org. 60 A 192.0.2.6
        example.org. 60 A 192.0.2.7";
    let message = client.answer("NOERROR", records);
    let before = lines(&client, &message, 0);
    let swapped = lines(&client, &message, 1);
    let order = [3, 4, 2, 0, 1, 6, 5, 7, 9, 8, 10];
    assert_eq!(swapped, order.map(|index: usize| before[index].clone()));
}

#[test]
fn signatures_stay_where_they_are() {
    let client = client("www.test.", "A");
    let records = "www.test. 60 A 192.0.2.1\n www.test. 60 TXT signature\n www.test. 60 A 192.0.2.2";
    let mut message = client.answer("NOERROR", records);
    let text = message.windows(4).position(|kind| kind == [0, 16, 0, 1]).unwrap();
    message[text + 1] = 46;
    let other = balanced(&client, &message, 1);
    // The last bytes of both addresses.
    let changed: Vec<_> = (0..message.len()).filter(|at| message[*at] != other[*at]).map(|at| other[at]).collect();
    assert_eq!((message.len(), changed), (other.len(), vec![2, 1]));
}

/// Some servers spell a name once and point to it from then on, others spell it each time, in any case.
#[test]
fn a_name_is_the_same_however_it_is_spelled() {
    let client = client("www.test.", "A");
    let mut message = client.answer("NOERROR", "other.test. 60 A 192.0.2.1\n Other.Test. 60 A 192.0.2.2");
    let start = HEADER + client.wire.len();
    let kind = [0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2];
    message.truncate(start);
    message.extend([&b"\x05other\x04test\0"[..], &kind, &[1], b"\x05OTHER\xC0\x10", &kind, &[2]].concat());
    message.extend([&[0xC0, start as u8][..], &kind, &[3]].concat());
    message[7] = 3;
    message[10..12].fill(0);
    let first = |turn| Message::from_vec(&balanced(&client, &message, turn)).unwrap().answers[0].data.to_string();
    assert_eq!([0, 1, 2].map(first), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[test]
fn aliases_stand_before_addresses() {
    let client = client("www.example.org.", "A");
    let records = "b.test. 60 A 192.0.2.1
        www.example.org. 60 CNAME a.test.
        b.test. 60 A 192.0.2.2
        a.test. 60 CNAME b.test.
        | test. 60 NS ns.test.";
    let mut message = client.answer("NOERROR", records);
    // AD, which those who validate have from upstream: no record is another one.
    message[3] |= 0x20;
    let aliases = ["www.example.org. 60 CNAME a.test.", "a.test. 60 CNAME b.test."];
    let (one, other) = ("b.test. 60 A 192.0.2.1", "b.test. 60 A 192.0.2.2");
    let ns = "authority test. 60 NS ns.test.";
    for (turn, addresses) in [(0, [one, other]), (1, [other, one])] {
        assert_eq!(lines(&client, &message, turn), [&aliases[..], &addresses, &[ns]].concat());
        let arranged = balanced(&client, &message, turn);
        assert_eq!(arranged[..HEADER], message[..HEADER]);
        assert!(Message::from_vec(&arranged).unwrap().edns.is_some());
    }
}

#[test]
fn mail_servers_take_turns() {
    let client = client("example.org.", "MX");
    let record = |name| format!("example.org. 60 MX 10 {name}.mail.example.org.");
    let names = ["a", "longer", "longest-of-all"].map(record);
    let message = client.answer("NOERROR", &names.join("\n"));
    let orders = orders(&client, &message, 6);
    assert_eq!(orders.len(), 6, "{orders:?}");
    for mut order in orders.into_keys() {
        order.sort();
        assert_eq!(order, names);
    }
}

/// Else there would be fewer records, or an answer that is not whole.
#[test]
fn what_would_be_too_long_in_another_order_stays() {
    let client = client("example.org.", "A");
    let records: String = (0..80).map(|index| format!("example.org. 60 A 192.0.2.{index}\n")).collect();
    let message = client.answer("NOERROR", &format!("{records}example.org. 60 CNAME example.org."));
    assert!(message.len() > 1232);
    assert_eq!(balanced(&client, &message, 0), message);
}

/// A name behind a DNAME, whose target later names point to: written anew it stands behind the CNAME, which then has the
/// name in full.
#[test]
fn what_would_have_no_room_for_its_options_stays() {
    let client = client("x.example.org.", "MX");
    let target = (HEADER + client.wire.len() + 12) as u8;
    let record = |owner: u8, record_type: u8, content: &[u8]| {
        let length = content.len() as u8;
        [&[0xC0, owner, 0, record_type, 0, 1, 0, 0, 0, 60, 0, length][..], content].concat()
    };
    let alias = target + 13 + 12;
    let mail_server = |label| record(alias, 15, &[0, 10, 1, label, 0xC0, target]);
    let records = [
        record(HEADER as u8 + 2, 39, b"\x07example\x03net\0"),
        record(HEADER as u8, 5, &[1, b'x', 0xC0, target]),
        mail_server(b'a'),
        mail_server(b'b'),
    ];
    let mut message = [&[0; HEADER], &client.wire[..], &records.concat()].concat();
    let header = Header { id: 7, flags: flag::RESPONSE, questions: 1, answers: 4, authorities: 0, additionals: 0 };
    client.head.finish(&mut message, header, ResponseCode::NoError);
    let option = option::option(NSID, b"node-1").unwrap();
    assert!(option::add(&option, &mut message, 1232));

    let len = u16::try_from(message.len()).unwrap();
    for more in 0..30 {
        let mut head = client.head;
        head.edns = Some(ClientEdns::of(len + more));
        let mut arranged = message.clone();
        balance(&mut arranged, (&head, Transport::Udp), 1);
        assert_eq!(arranged != message, more >= 11, "{more}");
        assert_eq!(option::find(NSID, &arranged), Some(&b"node-1"[..]), "{more}");
        assert_eq!(text(&arranged).lines().count(), 5, "{more}");
    }
}

#[test]
fn errors_and_what_is_malformed_stay() {
    let client = client("example.org.", "A");
    let records = "example.org. 60 A 192.0.2.1\n example.org. 60 A 192.0.2.2";
    let whole = client.answer("NOERROR", records);
    assert_ne!(balanced(&client, &whole, 1), whole);
    let error = client.answer("NXDOMAIN", records);
    assert_eq!(balanced(&client, &error, 1), error);
    for end in 0..whole.len() {
        assert_eq!(balanced(&client, &whole[..end], 1), whole[..end]);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_may_come(message in proptest::collection::vec(proptest::num::u8::ANY, 0..200), turn: u64) {
        let client = client("example.org.", "A");
        proptest::prop_assert!(balanced(&client, &message, turn).len() >= message.len().min(HEADER));
    }
}
