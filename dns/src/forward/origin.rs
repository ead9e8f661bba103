//! Where upstreams come from: an address, a file of addresses, or a name.

use super::exchange::Trip;
use super::looks::Looks;
use super::resolv_conf::{self, parse_resolv_conf, passed_over, system_upstreams};
use super::route::Route;
use super::tls::{Secure, Tls};
use super::upstream::Upstream;
use super::{Ask, Outbound, PATIENCE, lock};
use crate::file::Stamp;
use crate::message::Transport;
use crate::plan::forward::{self as plan, Forward};
use crate::wire::Cursor;
use config::DomainName;
use hickory_proto::rr::RecordType;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{info, warn};

/// Addresses that a name may have; the others are passed over.
const MOST_ADDRESSES: usize = 15;
/// How often a file is looked at, where it is needed.
const LOOK: Duration = Duration::from_secs(5);
/// How often a name is looked up.
const LOOK_UP: Duration = Duration::from_secs(60);
/// How soon it is again where that failed.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(2);

/// One word of a `forward`.
#[derive(Debug)]
pub(super) struct Origin {
    forward: Arc<Forward>,
    /// `None`: without TLS.
    secure: Option<Secure>,
    kind: Kind,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug)]
enum Kind {
    Address,
    File(String),
    Host(Arc<Host>),
}

/// What it led to the last time.
#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    /// Those of the addresses, as far as they were needed.
    upstreams: Vec<Arc<Upstream>>,
    /// Whether there is one for each address, in the same order.
    is_complete: bool,
    /// When to look again; `None`: not yet looked.
    look_at: Option<Instant>,
    stamp: Option<Stamp>,
}

/// A name, and whom it is asked of.
#[derive(Debug)]
struct Host {
    name: DomainName,
    wire: Box<[u8]>,
    port: u16,
    resolvers: Route,
}

impl Origin {
    /// Reads the file, if it is one.
    pub(super) fn new(to: &plan::Upstream, forward: &Arc<Forward>, tls: &mut Tls) -> Result<Self, String> {
        let mut secure = None;
        let (kind, addresses, stamp) = match to {
            plan::Upstream::Plain(address) => (Kind::Address, vec![*address], None),
            plan::Upstream::Tls { address, server_name } => {
                let name = server_name.as_ref().or(forward.tls.server_name.as_ref());
                secure = Some(Secure::new(tls.connector(&forward.tls)?, name.map(DomainName::as_str), address.ip())?);
                (Kind::Address, vec![*address], None)
            }
            plan::Upstream::File(path) => {
                let (addresses, stamp) = read(path).map_err(|error| format!("{path}: {error}"))?;
                (Kind::File(path.clone()), addresses, Some(stamp))
            }
            plan::Upstream::Host { name, port } => {
                let host = Host::new(name, *port, forward)?;
                (Kind::Host(Arc::new(host)), Vec::new(), None)
            }
        };
        Ok(Self { forward: Arc::clone(forward), secure, kind, known: Known::new(addresses, stamp) })
    }

    pub(super) fn of_address(address: SocketAddr, forward: &Arc<Forward>) -> Self {
        let known = Known::new(vec![address], None);
        Self { forward: Arc::clone(forward), secure: None, kind: Kind::Address, known }
    }

    /// Whether it is asked without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.secure.is_none()
    }

    /// Looks again where it is time to. A file is read here, a name is looked up behind the questions.
    pub(super) fn look(&self, looks: &Arc<Looks>, outbound: &Arc<Outbound>) {
        match &self.kind {
            Kind::Address => {}
            Kind::File(path) => self.look_at_file(path),
            Kind::Host(host) => self.look_up(host, looks, outbound),
        }
    }

    /// Adds the upstreams that are known.
    pub(super) fn add_to(&self, upstreams: &mut Vec<Arc<Upstream>>, outbound: &Arc<Outbound>) {
        for upstream in lock(&self.known).upstreams(self, outbound) {
            // Once, be it that several words lead to it.
            let name = |upstream: &Upstream| upstream.secure.as_ref().map(|secure| secure.name.clone());
            let is_it = |other: &Arc<Upstream>| other.address == upstream.address && name(other) == name(&upstream);
            if !upstreams.iter().any(is_it) {
                upstreams.push(upstream);
            }
        }
    }

    /// What an upstream at this address is called in metrics. The addresses of a name come and go, and labels do not.
    fn label(&self, address: SocketAddr) -> String {
        match &self.kind {
            Kind::Host(host) => format!("{}:{}", host.name, host.port),
            Kind::Address | Kind::File(_) => address.to_string(),
        }
    }

    fn look_at_file(&self, path: &str) {
        let mut known = lock(&self.known);
        if !known.is_due(LOOK) {
            return;
        }
        // One system call every few seconds, on a file that is in memory.
        if Stamp::of(path).is_ok_and(|stamp| known.stamp == Some(stamp)) {
            return;
        }
        match read(path) {
            Ok((addresses, stamp)) => {
                info!(path, ?addresses, "other upstreams");
                known.stamp = Some(stamp);
                known.set(addresses);
            }
            Err(error) => warn!(path, %error, "the upstreams stay as they were"),
        }
    }

    fn look_up(&self, host: &Arc<Host>, looks: &Arc<Looks>, outbound: &Arc<Outbound>) {
        if lock(&self.known).is_due(LOOK_UP) {
            let look = looks.begin();
            let (host, known, outbound) = (Arc::clone(host), Arc::clone(&self.known), Arc::clone(outbound));
            let fetches = Arc::clone(&outbound);
            let task = async move {
                host.look_up(&known, &outbound).await;
                drop(look);
            };
            fetches.fetches.spawn(task, &Handle::current());
        }
    }
}

impl Known {
    fn new(addresses: Vec<SocketAddr>, stamp: Option<Stamp>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { addresses, upstreams: Vec::new(), is_complete: false, look_at: None, stamp }))
    }

    /// One for each address; those that stay are what they were.
    fn upstreams(&mut self, origin: &Origin, outbound: &Arc<Outbound>) -> Vec<Arc<Upstream>> {
        let Self { addresses, upstreams, is_complete, .. } = self;
        if !*is_complete {
            let of = |address: &SocketAddr| {
                let known = upstreams.iter().find(|upstream| upstream.address == *address).cloned();
                known.unwrap_or_else(|| {
                    let label = origin.label(*address);
                    Arc::new(Upstream::new((*address, &label), origin.secure.clone(), &origin.forward, outbound))
                })
            };
            *upstreams = addresses.iter().map(of).collect();
            *is_complete = true;
        }
        upstreams.clone()
    }

    /// Whether it is time to look again, for one who does so if it is.
    fn is_due(&mut self, every: Duration) -> bool {
        let now = Instant::now();
        let is_due = self.look_at.is_none_or(|at| now >= at);
        if is_due {
            self.look_at = Some(now + every);
        }
        is_due
    }

    /// Upstreams of addresses that stay keep what is known about them; the others are made when they are needed.
    fn set(&mut self, addresses: Vec<SocketAddr>) {
        if addresses != self.addresses {
            self.upstreams.retain(|upstream| addresses.contains(&upstream.address));
            self.addresses = addresses;
            self.is_complete = false;
        }
    }
}

impl Host {
    fn new(name: &DomainName, port: u16, forward: &Forward) -> Result<Self, String> {
        let resolvers = match &forward.resolvers[..] {
            [] => system_upstreams().map_err(|error| format!("{name}: {error}"))?,
            resolvers => resolvers.to_vec(),
        };
        if resolvers.is_empty() {
            return Err(format!("{name}: the system's resolv.conf names nobody who could tell its addresses"));
        }
        let wire = crate::plan::Zone::parse(name.as_str()).map_err(|error| error.to_string())?.wire().into();
        let resolvers = Route::of_addresses(&resolvers, forward.connections.read_timeout, usize::MAX >> 4);
        Ok(Self { name: name.clone(), wire, port, resolvers })
    }

    /// Asks for its addresses. Where nobody tells any, those that are known stay. Boxed, since it is an exchange inside
    /// one.
    fn look_up<'h>(
        &'h self,
        known: &'h Mutex<Known>,
        outbound: &'h Arc<Outbound>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'h>> {
        Box::pin(async move {
            let deadline = Instant::now() + PATIENCE;
            let (mut addresses, mut failure) = (Vec::new(), None);
            for record_type in [RecordType::A, RecordType::AAAA] {
                let ask = Ask::own(&self.wire, record_type, true);
                let trip = Trip { transport: Transport::Udp, deadline, outbound, has_edns: false, is_check: false };
                match self.resolvers.exchange(&ask, outbound, trip).await {
                    Ok((message, _)) => addresses.extend(addresses_in(&message)),
                    Err(error) => failure = Some(error),
                }
            }
            let mut known = lock(known);
            if addresses.is_empty() {
                let why = failure.map_or_else(|| "it has none".to_owned(), |failure| failure.cause().to_string());
                warn!(upstream = %self.name, why, "the addresses of an upstream are not known");
                known.look_at = Some(Instant::now() + LOOK_UP_AGAIN);
            } else {
                let addresses = addresses.into_iter().take(MOST_ADDRESSES);
                known.set(addresses.map(|address| SocketAddr::new(address, self.port)).collect());
                known.look_at = Some(Instant::now() + LOOK_UP);
            }
        })
    }
}

/// The addresses among the answers.
fn addresses_in(message: &[u8]) -> Vec<IpAddr> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header();
    let answers = header.filter(|_| cursor.question().is_some()).map_or(0, |header| header.answers);
    let records = (0..answers).map_while(|_| cursor.record());
    let address = |(record_type, content): (u16, &[u8])| match RecordType::from(record_type) {
        RecordType::A => <[u8; 4]>::try_from(content).ok().map(IpAddr::from),
        RecordType::AAAA => <[u8; 16]>::try_from(content).ok().map(IpAddr::from),
        _ => None,
    };
    records.filter_map(|record| address((record.record_type, record.content))).collect()
}

/// The resolvers that a file names.
fn read(path: &str) -> io::Result<(Vec<SocketAddr>, Stamp)> {
    // Before it is read: what changes meanwhile is read again.
    let stamp = Stamp::of(path)?;
    let text = resolv_conf::read(path)?;
    let addresses = parse_resolv_conf(&text);
    if addresses.is_empty() {
        let why = match passed_over(&text) {
            Some(word) => format!("its nameserver {word:?} is no address, or there is no such interface"),
            None => "it names no nameserver".to_owned(),
        };
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok((addresses, stamp))
}
