//! The address of the Service kube-dns, which a ground has no kube-proxy for: what is sent there goes to an endpoint that
//! is ready, and what one client sends from one port to the same one as long as it is ready, as connection tracking has it.

use crate::load::runtime_in;
use crate::tools::tool;
use anyhow::{Context as _, ensure};
use ground::{Ground, Process};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

const ADDRESS: &str = "10.96.0.10:53";
const DNS: u16 = 53;
/// The longest datagram that DNS sends here.
const LONGEST: usize = 4096;
/// A client that says nothing for this long is forgotten.
const IDLE: Duration = Duration::from_secs(5);

/// Serves the address until it is dropped.
pub(crate) struct ServiceAddress {
    watch: Process,
    thread: Option<JoinHandle<()>>,
    ready: Ready,
    _runtime: Runtime,
}

/// The endpoints that are ready now.
#[derive(Clone)]
struct Ready {
    addresses: watch::Receiver<Vec<SocketAddr>>,
    turn: Arc<AtomicUsize>,
}

impl ServiceAddress {
    /// # Errors
    /// Where kubectl does not start, or the address cannot be had.
    pub(crate) fn up(ground: &Ground) -> anyhow::Result<Self> {
        let mut route = Command::new("ip");
        route.args(["route", "add", "local", "10.96.0.10/32", "dev", "lo"]);
        let output = ground.run(route)?;
        ensure!(output.status.success(), "ip route: {}", String::from_utf8_lossy(&output.stderr));
        let mut command = Command::new(tool("kubectl"));
        command.args(["get", "endpointslices", "--watch", "--output=json", "--namespace=kube-system"]);
        command.args(["--selector", "kubernetes.io/service-name=kube-dns"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut watch = ground.spawn(command)?;
        let slices = watch.stdout.take().context("kubectl has no output")?;
        let (sender, addresses) = watch::channel(Vec::new());
        let thread = thread::Builder::new().spawn(move || follow(slices, &sender))?;
        let ready = Ready { addresses, turn: Arc::default() };
        let runtime = runtime_in(ground)?;
        // Of the runtime only its own thread is inside.
        let socket = runtime.block_on(runtime.spawn(UdpSocket::bind(ADDRESS)))??;
        let listener = runtime.block_on(runtime.spawn(TcpListener::bind(ADDRESS)))??;
        runtime.spawn(relay_datagrams(Arc::new(socket), ready.clone()));
        runtime.spawn(relay_connections(listener, ready.clone()));
        Ok(Self { watch, thread: Some(thread), ready, _runtime: runtime })
    }

    /// The endpoints that are ready now.
    pub(crate) fn endpoints(&self) -> Vec<IpAddr> {
        self.ready.addresses.borrow().iter().map(SocketAddr::ip).collect()
    }
}

impl Drop for ServiceAddress {
    fn drop(&mut self) {
        self.watch.kill();
        // It ends with its input.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Follows the slices until kubectl ends: the last word counts while there is no API server, as with kube-proxy.
fn follow(slices: impl Read, sender: &watch::Sender<Vec<SocketAddr>>) {
    for slice in serde_json::Deserializer::from_reader(slices).into_iter::<Value>() {
        // A killed kubectl may leave half an object.
        let Ok(slice) = slice else { return };
        let endpoints = slice["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ready = endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] == true);
        let addresses = ready.filter_map(|endpoint| endpoint["addresses"][0].as_str()?.parse::<IpAddr>().ok());
        sender.send_replace(addresses.map(|address| SocketAddr::new(address, DNS)).collect());
    }
}

impl Ready {
    /// The next endpoint; `None`: none is ready.
    fn next(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.borrow();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        addresses.get(turn.checked_rem(addresses.len())?).copied()
    }

    fn has(&self, endpoint: SocketAddr) -> bool {
        self.addresses.borrow().contains(&endpoint)
    }
}

/// What one client sends from one port.
struct Flow {
    endpoint: SocketAddr,
    own: UdpSocket,
    /// When it was asked last; `None`: it is over.
    asked: Mutex<Option<Instant>>,
}

impl Flow {
    async fn to(endpoint: SocketAddr) -> io::Result<Self> {
        let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        own.connect(endpoint).await?;
        Ok(Self { endpoint, own, asked: Mutex::new(Some(Instant::now())) })
    }

    /// Whether it still takes a question, and then for another while: ports come again, with other programs behind them.
    fn is_asked(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = asked.map(|_| Instant::now());
        asked.is_some()
    }

    /// Whether it is over now, as nobody has asked for a while.
    fn is_over(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = asked.filter(|asked| asked.elapsed() < IDLE);
        asked.is_none()
    }
}

async fn relay_datagrams(socket: Arc<UdpSocket>, ready: Ready) {
    // A flow lives as long as answers are waited for.
    let mut flows: HashMap<SocketAddr, Weak<Flow>> = HashMap::new();
    let mut datagram = vec![0; LONGEST];
    while let Ok((length, client)) = socket.recv_from(&mut datagram).await {
        let known = flows.get(&client).and_then(Weak::upgrade);
        let flow = match known.filter(|flow| ready.has(flow.endpoint) && flow.is_asked()) {
            Some(flow) => flow,
            None => {
                // Who has nobody to ask gets no answer, nor does who is sent where nobody is any more.
                let Some(endpoint) = ready.next() else { continue };
                let Ok(flow) = Flow::to(endpoint).await.map(Arc::new) else { continue };
                tokio::spawn(answer(Arc::clone(&flow), Arc::clone(&socket), client));
                flows.insert(client, Arc::downgrade(&flow));
                flow
            }
        };
        // An endpoint that is not there shows in what the client does not get.
        let _ = flow.own.send(&datagram[..length]).await;
    }
}

async fn answer(flow: Arc<Flow>, socket: Arc<UdpSocket>, client: SocketAddr) {
    let mut datagram = vec![0; LONGEST];
    loop {
        match timeout(IDLE, flow.own.recv(&mut datagram)).await {
            Ok(Ok(length)) => drop(socket.send_to(&datagram[..length], client).await),
            Err(_) if !flow.is_over() => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

async fn relay_connections(listener: TcpListener, ready: Ready) {
    while let Ok((mut client, _)) = listener.accept().await {
        let Some(endpoint) = ready.next() else { continue };
        tokio::spawn(async move {
            let mut server = TcpStream::connect(endpoint).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}
