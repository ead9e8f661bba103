//! EDNS in questions to upstreams: where clients have it, and never an option.

use crate::harness::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// What an upstream says to a question over UDP or TCP; `None`: nothing, or the end of the connection.
type Says = fn(&Message, bool) -> Option<Vec<u8>>;

/// An upstream that notes how it is asked: `udp` or `tcp`, with `+` where there is EDNS.
struct Noted {
    address: SocketAddr,
    asked: UnboundedReceiver<&'static str>,
    _tasks: JoinSet<()>,
}

fn heard(question: &Message, is_tcp: bool, tell: &UnboundedSender<&'static str>) {
    let how = match (is_tcp, question.edns.is_some()) {
        (false, false) => "udp",
        (false, true) => "udp+",
        (true, false) => "tcp",
        (true, true) => "tcp+",
    };
    assert!(question.edns.iter().all(|edns| edns.options().options.is_empty()), "{question}");
    tell.send(how).unwrap();
}

impl Noted {
    async fn new(says: Says) -> Self {
        let upstream = Upstream::new().await;
        let (address, (tell, asked)) = (upstream.address(), unbounded_channel());
        let Upstream { udp, tcp } = upstream;
        let mut tasks = JoinSet::new();
        let tell_tcp = tell.clone();
        tasks.spawn(async move {
            let mut packet = [0; 4096];
            loop {
                let (len, peer) = udp.recv_from(&mut packet).await.unwrap();
                let question = Message::from_vec(&packet[..len]).unwrap();
                if question.queries[0].query_type() == RecordType::HINFO {
                    continue;
                }
                heard(&question, false, &tell);
                if let Some(answer) = says(&question, false) {
                    udp.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                while let Ok(packet) = read_frame(&mut stream).await {
                    let question = Message::from_vec(&packet).unwrap();
                    heard(&question, true, &tell_tcp);
                    let Some(answer) = says(&question, true) else { break };
                    stream.write_all(&frame(&answer)).await.unwrap();
                }
            }
        });
        Self { address, asked, _tasks: tasks }
    }

    /// How it was asked since the last time.
    fn asked(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

fn good(question: &Message) -> Option<Vec<u8>> {
    Some(one_address(question).to_vec().unwrap())
}

const QUICK: &str = "read_timeout 300ms";

/// A server that asks these.
fn asking(upstreams: &[&Noted], options: &str) -> Running {
    let to: Vec<_> = upstreams.iter().map(|upstream| upstream.address.to_string()).collect();
    let forward = format!("forward . {} {{\n max_fails 0\n {options}\n }}", to.join(" "));
    start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {forward}\n}}\n")).0
}

/// How an upstream is asked by who asks like that, and is answered.
async fn asked_by(query: Message, says: Says, options: &str) -> Vec<&'static str> {
    let mut upstream = Noted::new(says).await;
    let server = asking(&[&upstream], options);
    assert_eq!(answered(&server.ask(&query).await), ["192.0.2.1"]);
    server.stop().await;
    upstream.asked()
}

fn plain() -> Message {
    question(1, "a.example.", RecordType::A)
}

fn edns() -> Message {
    let mut query = with_edns(plain(), 4096);
    let option = EdnsOption::Unknown(65_001, vec![1]);
    query.edns.as_mut().unwrap().options_mut().insert(option);
    query
}

fn signed() -> Message {
    let mut query = edns();
    query.edns.as_mut().unwrap().set_dnssec_ok(true);
    query
}

#[tokio::test]
async fn upstreams_are_asked_with_edns_where_clients_have_it() {
    assert_eq!(asked_by(plain(), |question, _| good(question), QUICK).await, ["udp"]);
    assert_eq!(asked_by(edns(), |question, _| good(question), QUICK).await, ["udp+"]);
    assert_eq!(asked_by(edns(), |question, _| good(question), "force_tcp").await, ["tcp+"]);
    let mut upstream = Noted::new(|question, _| match question.edns.as_ref().map(|edns| edns.flags().dnssec_ok) {
        Some(true) => good(question),
        None | Some(false) => None,
    })
    .await;
    let server = asking(&[&upstream], QUICK);
    assert_eq!(answered(&server.ask(&signed()).await), ["192.0.2.1"]);
    server.stop().await;
    assert_eq!(upstream.asked(), ["udp+"]);
}

#[tokio::test]
async fn an_upstream_that_does_not_know_edns_is_asked_without() {
    fn refusal(question: &Message, refused: ResponseCode, questions: u8) -> Option<Vec<u8>> {
        let mut refusal = code(question, refused);
        refusal.edns = None;
        let mut bytes = refusal.to_vec().unwrap();
        if questions == 0 {
            bytes.truncate(12);
            bytes[5] = 0;
        }
        Some(bytes)
    }
    for says in [
        (|question, _| match question.edns {
            Some(_) => refusal(question, ResponseCode::FormErr, 1),
            None => good(question),
        }) as Says,
        |question, _| match question.edns {
            Some(_) => refusal(question, ResponseCode::NotImp, 1),
            None => good(question),
        },
        // By a header alone.
        |question, _| match question.edns {
            Some(_) => refusal(question, ResponseCode::FormErr, 0),
            None => good(question),
        },
        |question, _| match question.edns {
            Some(_) => Some(code(question, ResponseCode::BADVERS).to_vec().unwrap()),
            None => good(question),
        },
    ] {
        assert_eq!(asked_by(edns(), says, QUICK).await, ["udp+", "udp"]);
    }
}

#[tokio::test]
async fn an_upstream_behind_what_drops_edns_is_asked_without_at_the_second_try() {
    let says: Says = |question, _| question.edns.is_none().then(|| good(question))?;
    assert_eq!(asked_by(edns(), says, QUICK).await, ["udp+", "udp"]);
    // It may be that connections are dropped, or closed.
    assert_eq!(asked_by(edns(), says, &format!("force_tcp\n {QUICK}")).await, ["tcp+", "tcp"]);
}

#[tokio::test]
async fn an_upstream_that_refuses_by_a_header_alone_is_told_of_at_once() {
    for (refused, byte) in [(ResponseCode::Refused, 5), (ResponseCode::ServFail, 2)] {
        let says: Says = match byte {
            5 => |question, _| Some([&question.metadata.id.to_be_bytes()[..], &[0x80, 5], &[0; 8]].concat()),
            _ => |question, _| Some([&question.metadata.id.to_be_bytes()[..], &[0x80, 2], &[0; 8]].concat()),
        };
        let mut upstream = Noted::new(says).await;
        let server = asking(&[&upstream], "read_timeout 60s");
        assert_eq!(server.ask(&plain()).await.metadata.response_code, refused);
        server.stop().await;
        assert_eq!(upstream.asked(), ["udp"]);
    }
}
