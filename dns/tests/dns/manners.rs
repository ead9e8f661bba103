//! What upstreams, and what stands before them, make of EDNS that is ours.

use crate::harness::*;
use config::DnsCompatibility;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
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

/// Asks for so many names, which are all to be answered.
async fn ask(server: &Running, names: usize) {
    for name in 0..names {
        let reply = server.ask(&question(1, &format!("n{name}.example."), RecordType::A)).await;
        assert_eq!(answered(&reply), ["192.0.2.1"], "{name}");
    }
}

/// How an upstream is asked for three names, by who asks without EDNS.
async fn asked_for_three(says: Says, options: &str) -> Vec<&'static str> {
    let mut upstream = Noted::new(says).await;
    let server = asking(&[&upstream], options);
    ask(&server, 3).await;
    server.stop().await;
    upstream.asked()
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
        assert_eq!(asked_for_three(says, QUICK).await, ["udp+", "udp", "udp", "udp"]);
    }
}

#[tokio::test]
async fn signatures_are_asked_for_with_edns_all_the_same() {
    let mut upstream = Noted::new(|question, _| match question.edns.as_ref().map(|edns| edns.flags().dnssec_ok) {
        Some(false) => Some(code(question, ResponseCode::FormErr).to_vec().unwrap()),
        None | Some(true) => good(question),
    })
    .await;
    let server = asking(&[&upstream], QUICK);
    ask(&server, 1).await;
    let mut query = with_edns(question(1, "signed.example.", RecordType::A), 1232);
    assert_eq!(answered(&server.ask(&query).await), ["192.0.2.1"]);
    query.edns.as_mut().unwrap().set_dnssec_ok(true);
    assert_eq!(answered(&server.ask(&query).await), ["192.0.2.1"]);
    server.stop().await;
    assert_eq!(upstream.asked(), ["udp+", "udp", "udp", "udp+"]);
}

#[tokio::test]
async fn an_upstream_behind_what_drops_edns_is_asked_without() {
    // The first one waits for its second try.
    let says: Says = |question, _| question.edns.is_none().then(|| good(question))?;
    assert_eq!(asked_for_three(says, QUICK).await, ["udp+", "udp", "udp", "udp"]);
    // It may be that connections are dropped, or closed.
    assert_eq!(asked_for_three(says, &format!("force_tcp\n {QUICK}")).await, ["tcp+", "tcp", "tcp", "tcp"]);
    // The first one finds that out of each of several.
    let mut upstreams = [Noted::new(says).await, Noted::new(says).await, Noted::new(says).await];
    let [one, two, three] = &upstreams;
    let server = asking(&[one, two, three], &format!("policy round_robin\n {QUICK}"));
    ask(&server, 6).await;
    server.stop().await;
    let asked = upstreams.each_mut().map(Noted::asked);
    assert!(asked.iter().all(|asked| asked.iter().filter(|how| **how == "udp+").count() == 1), "{asked:?}");
}

#[tokio::test]
async fn one_that_fails_where_there_is_edns_is_asked_without_from_the_second_question_on() {
    let mut upstream = Noted::new(|question, _| match question.edns {
        Some(_) => {
            let mut refusal = code(question, ResponseCode::Refused);
            refusal.edns = None;
            Some(refusal.to_vec().unwrap())
        }
        None => good(question),
    })
    .await;
    let server = asking(&[&upstream], QUICK);
    let refused = server.ask(&question(1, "first.example.", RecordType::A)).await;
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    ask(&server, 2).await;
    server.stop().await;
    assert_eq!(upstream.asked(), ["udp+", "udp", "udp"]);
}

#[tokio::test]
async fn one_that_fails_and_knows_edns_is_asked_with_it() {
    let mut upstream = Noted::new(|question, _| Some(code(question, ResponseCode::ServFail).to_vec().unwrap())).await;
    let server = asking(&[&upstream], QUICK);
    for name in ["a.example.", "b.example."] {
        let failed = server.ask(&question(1, name, RecordType::A)).await;
        assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    }
    server.stop().await;
    assert_eq!(upstream.asked(), ["udp+", "udp+"]);
}

#[tokio::test]
async fn what_connections_take_says_nothing_about_udp() {
    let mut upstream =
        Noted::new(|question, is_tcp| (is_tcp || question.edns.is_none()).then(|| good(question))?).await;
    let server = asking(&[&upstream], QUICK);
    let over_tcp = || async {
        let mut stream = server.connect().await;
        let query = question(1, "tcp.example.", RecordType::A).to_vec().unwrap();
        stream.write_all(&frame(&query)).await.unwrap();
        let reply = Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap();
        assert_eq!(answered(&reply), ["192.0.2.1"]);
    };
    over_tcp().await;
    ask(&server, 2).await;
    over_tcp().await;
    ask(&server, 1).await;
    server.stop().await;
    assert_eq!(upstream.asked(), ["tcp+", "udp+", "udp", "udp", "tcp+", "udp"]);
}

#[tokio::test]
async fn an_upstream_that_took_edns_may_stop_to_do_so() {
    static DROPS: AtomicBool = AtomicBool::new(false);
    let mut upstream = Noted::new(|question, _| {
        let is_dropped = DROPS.load(Ordering::Relaxed) && question.edns.is_some();
        (!is_dropped).then(|| good(question))?
    })
    .await;
    let server = asking(&[&upstream], QUICK);
    ask(&server, 2).await;
    DROPS.store(true, Ordering::Relaxed);
    // Two tries for each: it may be that nobody answers, as in a circle, which is known by options.
    for name in ["a.example.", "b.example.", "c.example.", "d.example.", "e.example."] {
        let failed = server.ask(&question(1, name, RecordType::A)).await;
        assert_eq!(failed.metadata.response_code, ResponseCode::ServFail, "{name}");
    }
    ask(&server, 3).await;
    server.stop().await;
    assert_eq!(upstream.asked(), [&["udp+"; 12][..], &["udp"; 3]].concat());
}

#[tokio::test]
async fn a_lost_packet_changes_nothing() {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let says: Says = |question, _| (NUMBER.fetch_add(1, Ordering::Relaxed) != 1).then(|| good(question))?;
    assert_eq!(asked_for_three(says, QUICK).await, ["udp+"; 4]);
}

#[tokio::test]
async fn connections_that_cut_answers_lead_to_are_asked_without_what_udp_takes() {
    let mut upstream = Noted::new(|question, is_tcp| match (is_tcp, question.edns.is_some()) {
        (true, true) => None,
        (true, false) => good(question),
        (false, _) => {
            let mut cut = code(question, ResponseCode::NoError);
            cut.metadata.truncation = true;
            Some(cut.to_vec().unwrap())
        }
    })
    .await;
    let server = asking(&[&upstream], QUICK);
    ask(&server, 2).await;
    server.stop().await;
    assert_eq!(upstream.asked(), ["udp+", "tcp", "udp+", "tcp"]);
}

#[tokio::test]
async fn what_nobody_answers_says_nothing_about_options() {
    // Two that ask each other before one who knows: a question with options is known when it comes back.
    let real = Noted::new(|question, _| {
        let is_dead = question.queries[0].name().to_lowercase().to_string().starts_with("dead");
        (!is_dead).then(|| good(question))?
    })
    .await;
    let corefile = |other: SocketAddr| {
        let forward = format!("forward . {other} {} {{\n max_fails 0\n policy sequential\n {QUICK}\n }}", real.address);
        format!(".:PORT {{\n bind 127.0.0.1\n {forward}\n}}\n")
    };
    let (one, reloads) = start_corefile(&corefile("192.0.2.1:53".parse().unwrap()));
    let (two, _) = start_corefile(&corefile(one.address));
    let plan = plan(&corefile(two.address), one.address.port());
    reloads.replace(reloads.prepare(&plan, DnsCompatibility::Standard).unwrap(), Vec::new()).await.unwrap();
    let failures = || {
        let failures = "tidegate_dns_upstream_failures_total";
        one.metric(failures, &[]) + two.metric(failures, &[])
    };
    ask(&one, 2).await;
    assert_eq!(failures(), 0.0);
    let failed = one.ask(&question(1, "dead.example.", RecordType::A)).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
    // What they asked each other may go on for a while.
    while [&one, &two].iter().any(|server| server.metric("tidegate_dns_waiting", &[]) > 0.0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = failures();
    assert!(before >= 4.0, "{before}");
    ask(&one, 4).await;
    assert_eq!(failures(), before);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn who_asks_through_another_is_answered_behind_what_drops_edns() {
    let says: Says = |question, _| question.edns.is_none().then(|| good(question))?;
    let far = [Noted::new(says).await, Noted::new(says).await];
    let [one, two] = &far;
    let central = asking(&[one, two], &format!("policy round_robin\n {QUICK}"));
    let forward = format!("forward . {} {{\n max_fails 0\n max_connect_attempts 1\n }}", central.address);
    let (node, _) = start_corefile(&format!(".:PORT {{\n bind 127.0.0.1\n {forward}\n}}\n"));
    // It knows that the other one takes options.
    let known = node.ask(&question(1, "web.shop.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(known.metadata.response_code, ResponseCode::NoError);
    ask(&node, 12).await;
    let lost = far.map(|mut upstream| upstream.asked().iter().filter(|how| **how == "udp+").count());
    // Each is tried by some that the other one passes on, until plain ones have been answered.
    assert!(lost.iter().all(|lost| *lost <= 5), "{lost:?}");
    node.stop().await;
    central.stop().await;
}
