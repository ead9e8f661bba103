//! A server on a free port, a client without mercy, and an upstream that does as it is told.

use config::{
    BackendTable, DnsCompatibility, EndpointGroup, EndpointName, NameChange, NameTable, Publisher, RoutingTable,
    ServiceNames, Snapshot, Subscriber,
};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use prometheus::Registry;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tidegate_dns::{
    Bounds, CacheSettings, Plan, Protection, Reloads, Server, Settings, Sockets, System, Transport, bind,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Barrier, mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) registry: Registry,
    publisher: Publisher,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

/// Settings without anybody to ask, and without a cache.
pub(crate) fn settings() -> Settings {
    let cache = CacheSettings { max_ttl: 0, ..CacheSettings::default() };
    Settings { cache, ..Settings::new("cluster.local".parse().unwrap(), Vec::new()) }
}

/// Starts a server that has no names yet; `settings` are made for its address.
pub(crate) fn start_empty(settings: impl FnOnce(SocketAddr) -> Settings) -> Running {
    start_empty_at(ANY_PORT, settings)
}

fn start_empty_at(address: SocketAddr, settings: impl FnOnce(SocketAddr) -> Settings) -> Running {
    let sockets = bind(address, 2).unwrap();
    let settings = settings(sockets.address);
    running(sockets, |names, registry| Server::new(names, settings, registry).unwrap())
}

/// Starts a server that has no names yet.
fn running(sockets: Sockets, server: impl FnOnce(Subscriber, &Registry) -> Server) -> Running {
    try_running(sockets, |names, registry| Ok(server(names, registry))).unwrap()
}

fn try_running(
    sockets: Sockets,
    server: impl FnOnce(Subscriber, &Registry) -> io::Result<Server>,
) -> io::Result<Running> {
    let (publisher, subscriber) = config::publisher();
    let registry = Registry::new();
    let (address, server) = (sockets.address, server(subscriber, &registry)?);
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.serve(vec![sockets], async move { drop(stopped.await) }));
    Ok(Running { address, registry, publisher, stop, task })
}

/// Starts a server with the names of [`table`], and protected so.
pub(crate) fn start_protected(settings: Settings, protection: Protection) -> io::Result<Running> {
    start_guarded(settings, Bounds::default(), protection)
}

/// The same with these bounds.
pub(crate) fn start_guarded(settings: Settings, bounds: Bounds, protection: Protection) -> io::Result<Running> {
    let sockets = bind(ANY_PORT, 2).unwrap();
    let running = try_running(sockets, |names, registry| {
        Server::new(names, settings, registry).unwrap().bounded(bounds).protected(protection)
    })?;
    running.publish(table());
    Ok(running)
}

/// Starts a server with the names of [`table`] and these bounds.
pub(crate) fn start_bounded(settings: Settings, bounds: Bounds) -> Running {
    let sockets = bind(ANY_PORT, 2).unwrap();
    let running = running(sockets, |names, registry| Server::new(names, settings, registry).unwrap().bounded(bounds));
    running.publish(table());
    running
}

/// The same that does what a Corefile says.
pub(crate) fn start_corefile_bounded(corefile: &str, bounds: Bounds) -> Running {
    start_corefile_at(corefile, free_port(), bounds).0
}

/// Sockets on a free port of 127.0.0.1, as a plan with that port asks for them.
pub(crate) fn free_port() -> (u16, Sockets) {
    let mut sockets = bind(ANY_PORT, 2).unwrap();
    sockets.at.address = sockets.address;
    (sockets.address.port(), sockets)
}

/// The plan of a Corefile, in which `PORT` stands for a port.
pub(crate) fn plan(corefile: &str, port: u16) -> Plan {
    let text = corefile.replace("PORT", &port.to_string());
    let read = Plan::from_corefile(&text, "Corefile", &System);
    read.map(|(plan, _)| plan).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

/// Starts a server with the names of [`table`] that does what a Corefile says at 127.0.0.1 and `PORT`.
pub(crate) fn start_corefile(corefile: &str) -> (Running, Reloads) {
    start_corefile_at(corefile, free_port(), Bounds::default())
}

/// The same over TLS or HTTPS, with these bounds.
pub(crate) fn start_corefile_over(scheme: &str, corefile: &str, bounds: Bounds) -> Running {
    let (port, mut sockets) = free_port();
    sockets.at.transport = if scheme == "tls" { Transport::Tls } else { Transport::Https };
    sockets.udp.clear();
    start_corefile_at(corefile, (port, sockets), bounds).0
}

/// The same with sockets of one's own.
pub(crate) fn start_corefile_at(corefile: &str, (port, sockets): (u16, Sockets), bounds: Bounds) -> (Running, Reloads) {
    let plan = plan(corefile, port);
    let mut reloads = None;
    let running = running(sockets, |names, registry| {
        let server = Server::with_plan(names, (&plan, DnsCompatibility::Standard), registry).unwrap();
        reloads = Some(server.reloads());
        server.bounded(bounds)
    });
    running.publish(table());
    (running, reloads.unwrap())
}

/// Starts a server with the names of [`table`].
pub(crate) fn start(settings: Settings) -> Running {
    start_at(ANY_PORT, settings)
}

/// The same at another address.
pub(crate) fn start_at(address: SocketAddr, settings: Settings) -> Running {
    let running = start_empty_at(address, |_| settings);
    running.publish(table());
    running
}

impl Running {
    pub(crate) fn publish(&self, names: NameTable) {
        self.publisher.publish(Arc::new(Snapshot {
            generation: 1,
            routing: Arc::new(RoutingTable::default()),
            backends: Arc::new(BackendTable::default()),
            names: Arc::new(names),
        }));
    }

    /// Stops the server and waits until it has answered what was asked.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    /// One question over UDP from a port of its own.
    pub(crate) async fn ask(&self, query: &Message) -> Message {
        Message::from_vec(&self.exchange(&query.to_vec().unwrap()).await).unwrap()
    }

    pub(crate) async fn exchange(&self, packet: &[u8]) -> Vec<u8> {
        let client = self.client().await;
        client.send(packet).await.unwrap();
        receive(&client).await
    }

    pub(crate) async fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind(ANY_PORT).await.unwrap();
        client.connect(self.address).await.unwrap();
        client
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The lines of a family.
    pub(crate) fn samples(&self, name: &str) -> Vec<String> {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        text.lines().filter(is_it).map(str::to_owned).collect()
    }

    /// The value of a counter or gauge, 0 where it was never touched; `labels` as `name="value"`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.samples(name);
        let samples = samples.iter().filter(|line| labels.iter().all(|label| line.contains(label)));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

pub(crate) async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut packet = vec![0; 65_536];
    let len = socket.recv(&mut packet).await.unwrap();
    packet.truncate(len);
    packet
}

pub(crate) async fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

pub(crate) fn frame(packet: &[u8]) -> Vec<u8> {
    [&u16::try_from(packet.len()).unwrap().to_be_bytes(), packet].concat()
}

/// A question as a resolver's stub sends it, without EDNS.
pub(crate) fn question(id: u16, name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    message
}

/// The same with EDNS.
pub(crate) fn with_edns(mut message: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message
}

/// `web.shop` at 10.0.0.1, `small.shop` headless with 7 endpoints, `big.shop` with 100, `huge.shop` with 5,000, and
/// aliases: `out.shop` to `ext.interwebs.test`.
pub(crate) fn table() -> NameTable {
    let headless = |count: u32| {
        let endpoint = |index: u32| {
            let address = Ipv4Addr::from_bits(0xAC00_0000 + index).into();
            let port = config::PortName { name: Some("http".into()), transport: config::Transport::Tcp, number: 80 };
            EndpointName {
                address,
                name: EndpointName::dashed(address).into(),
                group: EndpointGroup::with_ports([port]),
                pod: None,
            }
        };
        ServiceNames::headless((1..=count).map(endpoint).collect())
    };
    let port = config::PortName { name: Some("http".into()), transport: config::Transport::Tcp, number: 80 };
    let names = [
        ("web", ServiceNames::cluster_ip(vec!["10.0.0.1".parse().unwrap()], vec![port], Vec::new())),
        ("small", headless(7)),
        ("big", headless(100)),
        ("huge", headless(5_000)),
        ("out", ServiceNames::External { target: "ext.interwebs.test".parse().unwrap() }),
    ];
    let changes = names.map(|(service, names)| NameChange::Service {
        namespace: "shop".into(),
        service: service.into(),
        names: Some(Arc::new(names)),
    });
    NameTable::default().patched(changes, 7)
}

/// An upstream: what it is asked comes out here, what goes in is its answer.
pub(crate) struct Upstream {
    pub(crate) udp: UdpSocket,
    pub(crate) tcp: TcpListener,
}

impl Upstream {
    pub(crate) async fn new() -> Self {
        loop {
            // Not the address of clients: where one of those is an upstream, it is looked whether it leads back.
            let tcp = TcpListener::bind(SocketAddr::new([127, 0, 0, 2].into(), 0)).await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                return Self { udp, tcp };
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.udp.local_addr().unwrap()
    }

    /// The next question over UDP and who sent it. Those by which circles are found are answered here.
    pub(crate) async fn asked(&self) -> (Message, SocketAddr) {
        let mut packet = [0; 4096];
        loop {
            let (len, peer) = self.udp.recv_from(&mut packet).await.unwrap();
            let question = Message::from_vec(&packet[..len]).unwrap();
            let asked = &question.queries[0];
            let is_probe = asked.query_type() == RecordType::HINFO
                && asked.name().iter().next().is_some_and(|label| label.len() == 16);
            if !is_probe {
                return (question, peer);
            }
            self.reply(&code(&question, ResponseCode::NXDomain), peer).await;
        }
    }

    pub(crate) async fn reply(&self, message: &Message, peer: SocketAddr) {
        self.udp.send_to(&message.to_vec().unwrap(), peer).await.unwrap();
    }

    /// Answers everything with `answer`, and lists the names it was asked, in lower case.
    pub(crate) fn answering(
        self,
        answer: impl Fn(&Message) -> Message + Send + 'static,
    ) -> mpsc::UnboundedReceiver<String> {
        let (names, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (question, peer) = self.asked().await;
                // Not every test wants the list.
                drop(names.send(question.queries[0].name().to_lowercase().to_string()));
                self.reply(&answer(&question), peer).await;
            }
        });
        asked
    }

    /// Answers so many questions over TCP once all of them have come, each as long as answers can be.
    pub(crate) fn answering_at_once(self, count: usize) -> JoinHandle<()> {
        let all = Arc::new(Barrier::new(count));
        tokio::spawn(async move {
            for _ in 0..count {
                let ((mut stream, _), all) = (self.tcp.accept().await.unwrap(), Arc::clone(&all));
                tokio::spawn(async move {
                    let asked = Message::from_vec(&read_frame(&mut stream).await.unwrap()).unwrap();
                    all.wait().await;
                    let long = addresses(&asked, &[Ipv4Addr::LOCALHOST; 4_000]).to_vec().unwrap();
                    stream.write_all(&frame(&long)).await.unwrap();
                    // Until the other side has it.
                    drop(stream.read_u8().await);
                });
            }
        })
    }
}

/// An answer with these addresses.
pub(crate) fn addresses(question: &Message, addresses: &[Ipv4Addr]) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.queries = question.queries.clone();
    answer.edns = question.edns.clone();
    let name = question.queries[0].name();
    answer.answers =
        addresses.iter().map(|address| Record::from_rdata(name.clone(), 60, RData::A(rdata::A(*address)))).collect();
    answer
}

/// The addresses of an answer, in order.
pub(crate) fn answered(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

/// Writes in pieces, so that the other side reads in pieces.
pub(crate) async fn write_slowly(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_nodelay(true).unwrap();
    for byte in bytes {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// Runs `work` while the clock only moves when nothing else does.
pub(crate) fn with_still_clock<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

pub(crate) fn upstreams(upstreams: &[SocketAddr]) -> Settings {
    Settings { upstreams: upstreams.to_vec(), ..settings() }
}

pub(crate) fn one_address(question: &Message) -> Message {
    addresses(question, &["192.0.2.1".parse().unwrap()])
}

pub(crate) fn code(question: &Message, code: ResponseCode) -> Message {
    let mut answer = addresses(question, &[]);
    answer.metadata.response_code = code;
    answer
}

/// A question that is on its way: the client waits on the socket.
pub(crate) async fn send(server: &Running, query: &Message) -> UdpSocket {
    let client = server.client().await;
    client.send(&query.to_vec().unwrap()).await.unwrap();
    client
}

pub(crate) async fn answer(client: &UdpSocket) -> Message {
    Message::from_vec(&receive(client).await).unwrap()
}
