//! Packets that are no questions, or no good ones. A good one after each shows that the server still answers, and that
//! nothing was said where nothing is due.

use crate::authority::*;
use crate::encrypted::{POST, request};
use crate::harness::*;
use hickory_proto::rr::RecordType;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const NAME: &[u8] = b"\x03web\x04shop\x03svc\x07cluster\x05local\x00";

/// An OPT record without options.
const EMPTY_OPT: usize = 11;

/// Header words, then the rest.
fn packet(words: [u16; 6], rest: &[&[u8]]) -> Vec<u8> {
    let mut packet: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    rest.iter().for_each(|part| packet.extend(*part));
    packet
}

fn a_question(flags: u16, counts: [u16; 4], after: &[u8]) -> Vec<u8> {
    let [questions, answers, authorities, additionals] = counts;
    packet([7, flags, questions, answers, authorities, additionals], &[NAME, &[0, 1, 0, 1], after])
}

/// An OPT record with this owner, size, TTL and options.
fn opt(owner: &[u8], options: &[u8]) -> Vec<u8> {
    let length = u16::try_from(options.len()).unwrap().to_be_bytes();
    [owner, &[0, 41, 4, 0xd0, 0, 0, 0, 0], &length, options].concat()
}

#[tokio::test]
async fn nothing_is_said_to_these() {
    let server = start(settings());
    for (what, packet) in [
        ("nothing", vec![]),
        ("one byte", vec![0]),
        ("a short header", vec![0; 11]),
        ("a response", a_question(0x8000, [1, 0, 0, 0], &[])),
        ("a response that is an error", packet([7, 0x8001, 0, 0, 0, 0], &[])),
        ("a response of another opcode", packet([7, 0xA000, 0, 0, 0, 0], &[])),
    ] {
        let client = server.client().await;
        client.send(&packet).await.unwrap();
        let sentinel = question(99, "web.shop.svc.cluster.local.", RecordType::A);
        client.send(&sentinel.to_vec().unwrap()).await.unwrap();
        assert_eq!(receive(&client).await[..2], [0, 99], "{what}");
    }
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"short\""]), 3.0);
    assert_eq!(server.metric("tidegate_dns_dropped_total", &["reason=\"response\""]), 3.0);
    server.stop().await;
}

/// What it is, the packet, the code of the answer, and how many questions come back.
type Wrong = (&'static str, Vec<u8>, u8, u8);

fn wrong() -> Vec<Wrong> {
    const FORMERR: u8 = 1;
    const NOTIMP: u8 = 4;
    const REFUSED: u8 = 5;
    let long_name = [b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4);
    let no_pointer: &[&[u8]] = &[&[0xC0, 4, 0, 1, 0, 1]];
    vec![
        ("a bare header", packet([7, 0, 0, 0, 0, 0], &[]), FORMERR, 0),
        ("no question", packet([7, 0, 0, 0, 0, 1], &[&opt(&[0], &[])]), FORMERR, 0),
        ("65,535 questions in 12 bytes", packet([7, 0, 0xffff, 0, 0, 0], &[]), FORMERR, 0),
        ("65,535 of everything", packet([7, 0, 1, 0xffff, 0xffff, 0xffff], &[NAME, &[0, 1, 0, 1]]), FORMERR, 0),
        ("two questions", packet([7, 0, 2, 0, 0, 0], &[NAME, &[0, 1, 0, 1], NAME, &[0, 1, 0, 1]]), FORMERR, 0),
        ("a promised question", packet([7, 0, 1, 0, 0, 0], &[]), FORMERR, 0),
        ("a cut name", packet([7, 0, 1, 0, 0, 0], &[b"\x03we"]), FORMERR, 0),
        ("a cut type", packet([7, 0, 1, 0, 0, 0], &[NAME, &[0]]), FORMERR, 0),
        ("a pointer to itself", packet([7, 0, 1, 0, 0, 0], &[&[0xC0, 12, 0, 1, 0, 1]]), FORMERR, 0),
        ("a pointer into the header", packet([7, 0, 1, 0, 0, 0], no_pointer), FORMERR, 0),
        ("a reserved label type", packet([7, 0, 1, 0, 0, 0], &[&[0x41, 1, 0, 0, 1, 0, 1]]), FORMERR, 0),
        ("a name of 257 bytes", packet([7, 0, 1, 0, 0, 0], &[&long_name, &[0, 0, 1, 0, 1]]), FORMERR, 0),
        ("a promised OPT", a_question(0, [1, 0, 0, 1], &[]), FORMERR, 1),
        ("two OPTs", a_question(0, [1, 0, 0, 2], &[opt(&[0], &[]), opt(&[0], &[])].concat()), FORMERR, 1),
        ("an OPT with a name", a_question(0, [1, 0, 0, 1], &opt(b"\x01a\x00", &[])), FORMERR, 1),
        ("an option that is cut", a_question(0, [1, 0, 0, 1], &opt(&[0], &[0, 10, 0, 8, 1])), FORMERR, 1),
        ("an option's cut header", a_question(0, [1, 0, 0, 1], &opt(&[0], &[0, 10, 0])), FORMERR, 1),
        ("OPT as the question", packet([7, 0, 1, 0, 0, 0], &[NAME, &[0, 41, 0, 1]]), FORMERR, 1),
        ("three additional records", a_question(0, [1, 0, 0, 3], &[]), FORMERR, 0),
        ("an answer in a question", a_question(0, [1, 1, 0, 0], &opt(&[0], &[])), FORMERR, 0),
        ("an authority in a question", a_question(0, [1, 0, 1, 0], &opt(&[0], &[])), FORMERR, 0),
        ("an inverse query", a_question(0x0800, [1, 0, 0, 0], &[]), NOTIMP, 0),
        ("a status query", packet([7, 0x1000, 0, 0, 0, 0], &[]), NOTIMP, 0),
        ("a notification", a_question(0x2000, [1, 0, 0, 0], &[]), NOTIMP, 0),
        ("an update", a_question(0x2800, [1, 0, 0, 0], &[]), NOTIMP, 0),
        ("TKEY", packet([7, 0, 1, 0, 0, 0], &[NAME, &[0, 249, 0, 1]]), NOTIMP, 1),
        ("MAILB", packet([7, 0, 1, 0, 0, 0], &[NAME, &[0, 253, 0, 1]]), NOTIMP, 1),
        ("class CH", packet([7, 0, 1, 0, 0, 0], &[b"\x07version\x04bind\x00", &[0, 16, 0, 3]]), REFUSED, 1),
        ("class ANY", packet([7, 0, 1, 0, 0, 0], &[NAME, &[0, 1, 0, 255]]), REFUSED, 1),
        ("a zone transfer", packet([7, 0, 1, 0, 0, 0], &[b"\x07cluster\x05local\x00", &[0, 252, 0, 1]]), REFUSED, 1),
        (
            "an incremental transfer with its SOA",
            packet([7, 0, 1, 0, 1, 0], &[NAME, &[0, 251, 0, 1], &[0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0]]),
            REFUSED,
            1,
        ),
        ("another zone's transfer", packet([7, 0, 1, 0, 0, 0], &[b"\x03org\x00", &[0, 252, 0, 1]]), REFUSED, 1),
    ]
}

/// Whether an answer says what is wrong.
fn check((what, packet, code, questions): &Wrong, over: &str, answer: &[u8]) {
    assert_eq!(answer[..2], [0, 7], "{what} over {over}: id");
    assert_eq!(answer[2] & 0xf8, 0x80 | packet[2] & 0x78, "{what} over {over}: QR and opcode");
    assert_eq!(answer[3] & 0x0f, *code, "{what} over {over}: code");
    assert_eq!(answer[4..10], [0, *questions, 0, 0, 0, 0], "{what} over {over}: counts");
    let question = 12..answer.len() - if answer[11] > 0 { EMPTY_OPT } else { 0 };
    assert!(*questions == 0 || packet[12..].starts_with(&answer[question]), "{what} over {over}: the question");
}

#[tokio::test]
async fn the_code_says_what_is_wrong() {
    let server = start(settings());
    for wrong in wrong() {
        check(&wrong, "UDP", &server.exchange(&wrong.1).await);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_code_says_what_is_wrong_on_connections_too() {
    let authority = Authority::new();
    authority.mount("dns.test");
    let plain = start(settings());
    let [tls, https] = ["tls", "https"].map(|scheme| start_secured(scheme, &authority, ""));
    for wrong in wrong() {
        let mut stream = plain.connect().await;
        check(&wrong, "TCP", &exchange(&mut stream, &wrong.1).await);
        let mut stream = authority.connect(&tls, "dns.test", &["dot"], None).await.unwrap();
        check(&wrong, "TLS", &exchange(&mut stream, &wrong.1).await);
        let mut stream = authority.connect(&https, "dns.test", &["http/1.1"], None).await.unwrap();
        let (status, _, answer) = request(&mut stream, POST, &wrong.1).await;
        assert_eq!(status, 200, "{}", wrong.0);
        check(&wrong, "HTTPS", &answer);
    }
    for server in [plain, tls, https] {
        server.stop().await;
    }
}

/// The answer to a packet, behind which a good question finds the connection as it was.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), packet: &[u8]) -> Vec<u8> {
    let sentinel = question(99, "web.shop.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    stream.write_all(&[frame(packet), frame(&sentinel)].concat()).await.unwrap();
    let mut answers = [Vec::new(), Vec::new()];
    for answer in &mut answers {
        answer.resize(stream.read_u16().await.unwrap().into(), 0);
        stream.read_exact(answer).await.unwrap();
    }
    let [answer, after] = answers;
    assert_eq!(after[..2], [0, 99]);
    answer
}

/// RFC 6891 §6.1.1 and §6.1.3: who asks with EDNS is answered with it, whatever is asked.
#[tokio::test]
async fn what_is_no_query_is_answered_with_edns_where_it_has_it() {
    const NOTIMP: [u8; 2] = [0, 4];
    const BADVERS: [u8; 2] = [1, 0];
    const FORMERR: [u8; 2] = [0, 1];
    let server = start(settings());
    let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let mut newer = opt(&[0], &[]);
    newer[6] = 1;
    let soa = [&[0xC0, 12][..], &[0, 6, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for (what, packet, [high, low], has_cookie) in [
        ("a status query", packet([7, 0x1000, 0, 0, 0, 1], &[&opt(&[0], &[])]), NOTIMP, false),
        ("a notification", a_question(0x2000, [1, 0, 0, 1], &opt(&[0], &cookie)), NOTIMP, true),
        ("its SOA", a_question(0x2000, [1, 1, 0, 1], &[&soa[..], &opt(&[0], &cookie)].concat()), NOTIMP, true),
        ("an update", a_question(0x2800, [1, 1, 1, 1], &[&soa[..], &soa, &opt(&[0], &[])].concat()), NOTIMP, false),
        ("a cookie that is none", a_question(0x2000, [1, 0, 0, 1], &opt(&[0], &[0, 10, 0, 1, 1])), FORMERR, false),
        ("a newer version", a_question(0x2000, [1, 0, 0, 1], &newer), BADVERS, false),
        ("a newer version, and no question", packet([7, 0, 0, 0, 0, 1], &[&newer]), BADVERS, false),
    ] {
        let answer = server.exchange(&packet).await;
        assert_eq!(answer[..2], [0, 7], "{what}: id");
        assert_eq!((answer[2] & 0x78, answer[3] & 0x0f), (packet[2] & 0x78, low), "{what}: opcode and code");
        assert_eq!(answer[4..12], [0, 0, 0, 0, 0, 0, 0, 1], "{what}: an OPT record alone");
        assert_eq!(answer[12..15], [0, 0, 41], "{what}: OPT");
        assert_eq!(answer[17..19], [high, 0], "{what}: high bits of the code, and our version");
        assert_eq!(answer.len(), 12 + EMPTY_OPT + if has_cookie { 4 + 24 } else { 0 }, "{what}: cookie");
    }
    // What cannot be read to its end has none.
    for (what, packet) in [
        ("two questions", a_question(0x2000, [2, 0, 0, 1], &opt(&[0], &[]))),
        ("a promised answer", a_question(0x2000, [1, 0xFFFF, 0, 1], &opt(&[0], &[]))),
        ("counts beyond all bounds", a_question(0x2800, [1, 0, 0xFFFF, 0xFFFF], &opt(&[0], &[]))),
        ("an option that is cut", a_question(0x2000, [1, 0, 0, 1], &opt(&[0], &[0, 10, 0, 8, 1]))),
    ] {
        let answer = server.exchange(&packet).await;
        assert_eq!((answer[3] & 0x0f, answer.len()), (NOTIMP[1], 12), "{what}");
    }
    server.stop().await;
}

#[tokio::test]
async fn odd_but_good_questions_are_answered() {
    let server = start(settings());
    let tsig = [b"\x01k\x00".as_slice(), &[0, 250, 0, 255, 0, 0, 0, 0, 0, 0]].concat();
    for (what, packet) in [
        ("trailing bytes", a_question(0, [1, 0, 0, 0], b"trailing")),
        ("an unknown option", a_question(0, [1, 0, 0, 1], &opt(&[0], &[0xfd, 0xe9, 0, 2, 1, 2]))),
        ("a cookie", a_question(0, [1, 0, 0, 1], &opt(&[0], &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]))),
        ("OPT and a signature", a_question(0, [1, 0, 0, 2], &[opt(&[0], &[]), tsig].concat())),
        ("reserved and answer bits", a_question(0x0640, [1, 0, 0, 0], &[])),
        ("a code in the question", a_question(0x000f, [1, 0, 0, 0], &[])),
    ] {
        let answer = server.exchange(&packet).await;
        assert_eq!(answer[3] & 0x4f, 0, "{what}: code and reserved bit");
        assert_eq!(answer[4..10], [0, 1, 0, 1, 0, 0], "{what}: counts");
        // Options are never sent back.
        assert_eq!(answer[10..12], [0, u8::from(packet[11] > 0)], "{what}: our OPT");
    }
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_no_name_holds_are_no_name() {
    const SERVFAIL: u8 = 2;
    const NXDOMAIN: u8 = 3;
    let server = start(settings());
    for label in [b"\x04caf\xe9".as_slice(), b"\x03w.b", b"\x03\x00\x00\x00", b"\x08web.shop"] {
        let rest: &[&[u8]] = &[label, b"\x04shop\x03svc\x07cluster\x05local\x00", &[0, 1, 0, 1]];
        let answer = server.exchange(&packet([7, 0, 1, 0, 0, 0], rest)).await;
        assert_eq!(answer[3] & 0x0f, NXDOMAIN, "{label:?}");
        assert_eq!(answer[12..12 + label.len()], *label, "the question comes back as it was");
    }
    // A dot inside a label does not lead into the zone: nobody is there to ask.
    let rest: &[&[u8]] = &[b"\x03web\x04shop\x03svc\x0dcluster.local\x00", &[0, 1, 0, 1]];
    assert_eq!(server.exchange(&packet([7, 0, 1, 0, 0, 0], rest)).await[3] & 0x0f, SERVFAIL);
    server.stop().await;
}
