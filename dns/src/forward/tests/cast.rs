//! Who plays in the tests of the forwarder: upstreams that do as they are told, and one who asks.

use super::super::*;
use crate::corefile::System;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::question::Query;
use crate::room::{OfOne, Room};
use hickory_proto::op::{Edns, Message, MessageType, OpCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use prometheus::{Registry, TextEncoder};
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU8;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(super) const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An upstream over UDP.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// What it is asked, as `NAME TYPE`, ` RD` where recursion is desired; the name in lower case.
    pub(super) asked: mpsc::UnboundedReceiver<String>,
    /// What it answers: a code, or [`SILENT`].
    pub(super) says: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

/// Who asks.
const PEER: &str = "192.0.2.99:5000";
/// Says nothing.
pub(super) const SILENT: u8 = u8::MAX;
/// Says that there are no such records.
pub(super) const NO_DATA: u8 = u8::MAX - 1;

impl Upstream {
    /// Answers with this code; NOERROR with the address 192.0.2.`host`.
    pub(super) async fn new(code: u8, host: u8) -> Self {
        Self::at(sockets().await.0, code, host)
    }

    /// The same with a socket that there is.
    pub(super) fn at(udp: UdpSocket, code: u8, host: u8) -> Self {
        let address = udp.local_addr().unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        let says = Arc::new(AtomicU8::new(code));
        let told = Arc::clone(&says);
        let task = tokio::spawn(async move {
            let mut packet = [0; 4096];
            loop {
                let (len, peer) = udp.recv_from(&mut packet).await.unwrap();
                let question = Message::from_vec(&packet[..len]).unwrap();
                if is_probe(&question) {
                    continue;
                }
                let says = told.load(Ordering::Relaxed);
                if says != SILENT {
                    udp.send_to(&answer(&question, says, host).to_vec().unwrap(), peer).await.unwrap();
                }
                // Not every test looks.
                drop(tell.send(text(&question)));
            }
        });
        Self { address, asked, says, task }
    }

    pub(super) fn say(&self, code: u8) {
        self.says.store(code, Ordering::Relaxed);
    }

    /// All that it was asked so far.
    pub(super) fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// At the same free port.
pub(super) async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind(ANY_PORT).await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

fn text(question: &Message) -> String {
    let query = &question.queries[0];
    let recursion = if question.metadata.recursion_desired { " RD" } else { "" };
    format!("{} {}{recursion}", query.name().to_lowercase(), query.query_type())
}

pub(super) fn answer(question: &Message, code: u8, host: u8) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.response_code = ResponseCode::from(0, if code == NO_DATA { 0 } else { code });
    answer.queries = question.queries.clone();
    if question.edns.is_some() {
        answer.edns = Some(Edns::new());
    }
    if code == 0 {
        let address = RData::A(rdata::A(Ipv4Addr::new(192, 0, 2, host)));
        answer.answers.push(Record::from_rdata(question.queries[0].name().clone(), 60, address));
    }
    answer
}

pub(super) struct Asker {
    pub(super) forwarder: Arc<Forwarder>,
    room: Room,
    registry: Registry,
    /// What was wrong last.
    pub(super) cause: Mutex<String>,
}

fn plan(body: &str) -> Plan {
    Plan::from_corefile(&format!(". {{\n{body}\n}}\n"), "Corefile", &System).unwrap().0
}

/// The routes of a server block, and what is wrong with one.
pub(super) fn routes(body: &str) -> Result<Vec<Route>, String> {
    plan(body).blocks()[0]
        .forwards
        .iter()
        .map(|forward| Route::new(forward, []).map_err(|error| error.to_string()))
        .collect()
}

impl Asker {
    /// Asks as a server block with this body says.
    pub(super) fn new(body: &str) -> Self {
        let plan = plan(body);
        let block = &plan.blocks()[0];
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let room = Room::new(100, OfOne::AllButAnEighth, Some(metrics.waiting));
        let cache = Cache::new(block.cache.clone(), &metrics.cache);
        let forwarder = Arc::new(Forwarder::new(routes(body).unwrap(), cache, metrics.forward));
        Self { forwarder, room, registry, cause: Mutex::default() }
    }

    /// Waits until so many questions wait.
    pub(super) async fn until_waiting(&self, count: f64) {
        while self.metric("tidegate_dns_waiting", &[]) < count {
            tokio::task::yield_now().await;
        }
    }

    /// The addresses in the answer, or its code.
    pub(super) async fn ask(&self, name: &str) -> Result<String, Failure> {
        self.ask_over(Transport::Udp, name).await
    }

    pub(super) async fn ask_over(&self, transport: Transport, name: &str) -> Result<String, Failure> {
        self.ask_from(PEER, transport, name).await
    }

    /// The same of a client at this address.
    pub(super) async fn ask_from(&self, peer: &str, transport: Transport, name: &str) -> Result<String, Failure> {
        let message = self.exchange_from(peer, transport, &question(name, RecordType::A)).await?;
        let addresses: Vec<_> = message.answers.iter().map(|record| record.data.to_string()).collect();
        Ok(if addresses.is_empty() { message.metadata.response_code.to_str().to_owned() } else { addresses.join(" ") })
    }

    pub(super) async fn exchange(&self, transport: Transport, question: &Message) -> Result<Message, Failure> {
        self.exchange_from(PEER, transport, question).await
    }

    pub(super) async fn exchange_from(
        &self,
        peer: &str,
        transport: Transport,
        question: &Message,
    ) -> Result<Message, Failure> {
        let packet = question.to_vec().unwrap();
        let waiting = Waiting::new(&Query::parse(&packet).unwrap(), "dns://:53".into());
        let peer = peer.parse().unwrap();
        let behind = Behind { runtime: &Handle::current(), room: &self.room };
        let told = match self.forwarder.at_once(&waiting, (peer, transport), behind) {
            AtOnce::Told(told) => told,
            AtOnce::Ask(over) => {
                let place = self.forwarder.admit(&waiting, (peer, transport), Some(behind))?;
                self.forwarder.finish(&waiting, (place, over), None, behind.runtime).await.0
            }
        };
        let told = told.inspect_err(|failure| *lock(&self.cause) = failure.cause().to_string());
        // Few look at what was wrong.
        let told = told.map_err(|failure| if let Failure::Fault(_) = failure { Failure::Unanswered } else { failure });
        told.map(|(message, _)| Message::from_vec(&message).unwrap())
    }

    /// The value of a counter, 0 where it was never touched; `labels` as `name="value"`.
    pub(super) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let is_it = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        text.lines().filter(is_it).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

pub(super) fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(hickory_proto::op::Query::query(Name::from_ascii(name).unwrap(), record_type));
    message
}

/// Names of as many questions as one client may have waiting where eight may.
pub(super) const OF_EIGHT: [&str; 7] = ["1.org.", "2.org.", "3.org.", "4.org.", "5.org.", "6.org.", "7.org."];

/// Asks in a task of its own.
pub(super) fn asking(
    asker: &Arc<Asker>,
    peer: &'static str,
    name: &'static str,
) -> JoinHandle<Result<String, Failure>> {
    let asker = Arc::clone(asker);
    tokio::spawn(async move { asker.ask_from(peer, Transport::Udp, name).await })
}

/// What an upstream without a will of its own is asked next: the question, its name and who asked.
pub(super) async fn asked(udp: &UdpSocket) -> (Message, String, SocketAddr) {
    let mut packet = [0; 512];
    loop {
        let (len, peer) = udp.recv_from(&mut packet).await.unwrap();
        let question = Message::from_vec(&packet[..len]).unwrap();
        let name = question.queries[0].name().to_string();
        if !is_probe(&question) {
            return (question, name, peer);
        }
    }
}

/// Whether it is only to be seen by that where it goes.
fn is_probe(question: &Message) -> bool {
    question.queries[0].query_type() == RecordType::HINFO
}

pub(super) async fn reply(udp: &UdpSocket, (question, _, peer): &(Message, String, SocketAddr)) {
    udp.send_to(&answer(question, 0, 1).to_vec().unwrap(), peer).await.unwrap();
}

/// Runs `work` while the clock only moves when nothing else does.
pub(super) fn with_still_clock<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work)
}
