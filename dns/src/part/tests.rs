//! Whatever an upstream sends, and whatever a client asks, the parts make a whole message of it or leave it alone.

use super::dns64::Dns64;
use super::harness::{Client, block, client};
use super::hosts::Hosts;
use super::rewrite::{Rewrites, Rewriting};
use super::template::Templates;
use super::{autopath, header, local, minimal, nsid, whoami};
use crate::message::Transport;
use crate::plan::Local;
use crate::question::{ClientEdns, Query};
use hickory_proto::op::Message;
use proptest::prelude::*;

const RECORDS: &str = "a.example. 60 CNAME b.example.
    b.example. 60 MX 1 mail.b.example.
    b.example. 60 SRV 1 2 3 t.b.example.
    b.example. 60 AAAA 2001:db8::1
    b.example. 60 A 192.0.2.1
    b.example. 60 TXT some text
    | example. 60 NS ns.example.
    example. 60 SOA ns.example. root.example. 1 60
    | ns.example. 60 A 192.0.2.53";

/// An upstream's answer with some bytes changed, and cut.
fn damaged(byte: impl Strategy<Value = u8>) -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..6);
    (damage, prop::option::weighted(0.2, any::<prop::sample::Index>())).prop_map(|(damage, cut)| {
        let mut message = client("a.example.", "A").answer("NOERROR", RECORDS);
        crate::extended_error::add(3, "why", &mut message, (&client("a.", "A").head, Transport::Tcp));
        for (place, byte) in damage {
            let place = place.index(message.len());
            message[place] = byte;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        message
    })
}

/// Any question at all, from a client that takes little.
fn any_client() -> impl Strategy<Value = Client> {
    let label = prop_oneof![
        prop::sample::select(vec!["a", "localhost", "127", "in-addr", "arpa", "example", "ip6"]).prop_map(Vec::from),
        prop::collection::vec(any::<u8>(), 1..64),
    ];
    let types = prop::sample::select(vec!["A", "AAAA", "PTR", "TXT", "SRV", "ANY", "HTTPS"]);
    (prop::collection::vec(label, 0..6), types, any::<Option<bool>>()).prop_filter_map(
        "long",
        |(labels, kind, edns)| {
            let wire: Vec<u8> =
                labels.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).chain([0]).collect();
            let mut client = (wire.len() <= 255).then(|| client(&super::spelling::text(&wire), kind))?;
            client.head.edns = edns.map(|asks_nsid| ClientEdns { asks_nsid, ..ClientEdns::of(512) });
            Some(client)
        },
    )
}

fn is_whole(message: &[u8], query: &Query<'_>, transport: Transport) -> Result<(), TestCaseError> {
    prop_assert!(message.len() <= query.head.limit(transport), "{} bytes", message.len());
    let read = Message::from_vec(message);
    prop_assert!(read.is_ok(), "{:?}", read);
    prop_assert_eq!(message.get(12..12 + query.asked.wire.len()), Some(query.asked.wire));
    Ok(())
}

proptest! {
    #[test]
    fn any_answer_becomes_a_whole_one(
        message in damaged(any::<u8>()),
        other in damaged(any::<u8>()),
        is_tcp in any::<bool>(),
    ) {
        let transport = if is_tcp { Transport::Tcp } else { Transport::Udp };
        let asked = client("Asked.example.", "AAAA");
        let query = asked.query();
        let rules = "rewrite continue name suffix .example .example answer auto
            rewrite continue name regex (.*) x.{1} answer name (.*)b.example(.*) {1}q{2} answer value .* long.{0}{0}
            rewrite continue ttl suffix example 5-10
            rewrite rcode suffix example NOERROR NXDOMAIN";
        match Rewrites::new(&block(rules).rewrites).apply(&asked.name, query.asked.record_type, |_, _| ()) {
            Rewriting::Other(rewritten) => is_whole(&rewritten.restore(&message, &query, transport), &query, transport)?,
            other => prop_assert!(false, "{:?}", other),
        }
        let dns64 = Dns64::new(&block("dns64").dns64.unwrap());
        dns64.is_lacking(&message);
        is_whole(&dns64.synthesise(&query, &message, &other, transport), &query, transport)?;
        is_whole(&autopath::bridge(&query, b"\x01b\x07example\0", &message, transport), &query, transport)?;
        is_whole(&autopath::end(&query, b"\x01b\0", [&message, &other], transport), &query, transport)?;
    }

    // No byte makes a pointer into the header, which leads elsewhere once that is another.
    #[test]
    fn an_answer_that_can_be_read_still_can(message in damaged(prop_oneof![Just(0), 12..=u8::MAX])) {
        let asked = client("Asked.example.", "AAAA");
        let query = asked.query();
        let headers = header::Headers::new(&block("header {\n set aa\n}").header.unwrap());
        let (mut changed, before) = (message.clone(), Message::from_vec(&message));
        minimal::make(&mut changed);
        headers.change_response(&mut changed);
        nsid::Nsid::new("name", "").add(&mut changed, (&query.head, Transport::Udp));
        prop_assert!(before.is_err() || Message::from_vec(&changed).is_ok());
    }

    #[test]
    fn any_question_gets_a_whole_answer(asked in any_client()) {
        let query = asked.query();
        let plugins = "template ANY ANY {
            match ^(?P<first>[^.]*)[.](.*)$
            answer \"{{ .Name }} 60 TXT {{ .Group.first }} {{ .Name }} {{ .Remote }}\" \"x.{{ .Name }} 60 CNAME {{ index .Match 2 }}\"
            additional \"{{ .Zone }} 60 SRV 1 2 3 {{ .Name }}\"
            fallthrough
        }
        hosts /nowhere {\n 192.0.2.1 a.example *.example\n ::1 a.example\n}";
        let block = block(plugins);
        let (templates, hosts) = (Templates::new(&block.templates), Hosts::new(&block.hosts.unwrap()));
        let peer: std::net::SocketAddr = "[2001:db8::1]:53".parse().unwrap();
        let record_type = query.asked.record_type;
        let mut messages = vec![
            asked.written(|reply| { templates.answer(&query, &asked.name, peer.ip(), reply); }),
            asked.written(|reply| { hosts.answer(&asked.name, record_type, reply); }),
            asked.written(|reply| { local::answer((&asked.name, record_type), Local::WithSearchList, reply); }),
            asked.written(|reply| whoami::answer(&asked.name, peer, Transport::Udp, reply)),
        ];
        for message in &mut messages {
            nsid::Nsid::new(&"n".repeat(128), "").add(message, (&query.head, Transport::Udp));
            is_whole(message, &query, Transport::Udp)?;
        }
    }
}
