//! Names that are not ours are asked upstream, unless the answer is known: bounded, the same question never twice at once.
//! An answer is believed only from the address, with the id and about the question that were asked.

mod exchange;
mod relay;
mod upstreams;

use crate::answer::Sections;
use crate::cache::{Cache, Found, Refresh, STALE, Ttls};
use crate::extended_error::ExtendedError;
use crate::message::Transport;
use crate::metrics::{ForwardMetrics, Metrics};
use crate::plan::{self, Forward, Upstream};
use crate::question::{Asked, Head, Query, Question};
use crate::wire::flag;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

pub use upstreams::{parse_resolv_conf, system_upstreams};

/// Why a question got no answer from upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no upstream is set")]
    NoUpstream,
    #[error("too many questions are waiting for upstreams")]
    Busy,
    #[error("the question came back from the upstream that it was sent to")]
    Loop,
    #[error("no upstream answered")]
    Unanswered,
    #[error("no upstream answered a moment ago")]
    Remembered,
    #[error("the upstream's answer is malformed")]
    Malformed,
}

impl Failure {
    pub(crate) fn code(self) -> ResponseCode {
        match self {
            // Not our names, and nobody to ask: the client should try its next server.
            Self::NoUpstream => ResponseCode::Refused,
            Self::Busy | Self::Loop | Self::Unanswered | Self::Remembered | Self::Malformed => ResponseCode::ServFail,
        }
    }

    pub(crate) fn extended_error(self) -> ExtendedError {
        match self {
            Self::NoUpstream => ExtendedError::NotAuthoritative,
            Self::Busy | Self::Loop => ExtendedError::Other,
            Self::Unanswered => ExtendedError::NoReachableAuthority,
            Self::Remembered => ExtendedError::CachedError,
            Self::Malformed => ExtendedError::InvalidData,
        }
    }

    /// The word in the metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoUpstream => "no_upstream",
            Self::Busy => "busy",
            Self::Loop => "loop",
            Self::Unanswered => "unanswered",
            Self::Remembered => "remembered",
            Self::Malformed => "malformed",
        }
    }
}

/// A question as it goes upstream; equal ones share one exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    /// In wire form and lower case.
    question: Vec<u8>,
    /// RD, AD and CD as the client set them.
    flags: u16,
    /// The DO bit; `None`: without EDNS, as the client asked.
    dnssec_ok: Option<bool>,
}

impl Ask {
    /// A client's question in wire form, or another one in its place.
    pub(crate) fn new(head: &Head, question: &[u8]) -> Self {
        let mut question = question.to_vec();
        if let Some((name, _)) = question.split_last_chunk_mut::<4>() {
            // No length of a label is a letter; a type may be.
            name.make_ascii_lowercase();
        }
        Self { question, flags: head.flags & !flag::OPCODE, dnssec_ok: head.edns.map(|edns| edns.is_dnssec_ok) }
    }

    pub(crate) fn record_type(&self) -> RecordType {
        let [.., high, low, _, _] = *self.question else { return RecordType::ZERO };
        RecordType::from(u16::from_be_bytes([high, low]))
    }
}

type Outcome = Result<Arc<[u8]>, Failure>;

/// A message for a client with its code.
pub(crate) type Told = Result<(Vec<u8>, ResponseCode), Failure>;

/// What the cache leaves to do.
#[derive(Debug)]
pub(crate) enum AtOnce {
    /// Nothing.
    Told(Told),
    /// Upstreams are to be asked; where that fails there is this message, which is over.
    Ask(Option<Arc<[u8]>>),
}

/// The zone's CNAMEs, and the question that they lead to.
#[derive(Debug)]
pub(crate) struct Alias {
    pub(crate) sections: Sections,
    pub(crate) question: Question,
}

/// A query that waits for an upstream.
#[derive(Debug)]
pub(crate) struct Waiting {
    head: Head,
    question: Box<[u8]>,
    record_type: RecordType,
    pub(crate) alias: Option<Alias>,
    ask: Ask,
}

impl Waiting {
    /// The query's own question waits, or the one that `alias` led to.
    pub(crate) fn new(query: &Query<'_>, alias: Option<Alias>) -> Self {
        let Query { head, asked: Asked { wire, record_type } } = *query;
        let ask = match &alias {
            Some(alias) => Ask::new(&head, &alias.question.to_wire()),
            None => Ask::new(&head, wire),
        };
        Self { head, question: wire.into(), record_type, alias, ask }
    }

    /// What the client asked.
    pub(crate) fn query(&self) -> Query<'_> {
        Query { head: self.head, asked: Asked { wire: &self.question, record_type: self.record_type } }
    }
}

/// Asks upstreams.
#[derive(Debug)]
pub(crate) struct Forwarder {
    upstreams: Vec<SocketAddr>,
    /// Time for one try at one upstream.
    timeout: Duration,
    /// Index of the upstream that answered last.
    preferred: AtomicUsize,
    room: Arc<Semaphore>,
    running: Mutex<HashMap<Ask, Arc<OnceCell<Outcome>>>>,
    /// Local addresses of the sockets that wait for an upstream.
    own: Mutex<HashSet<SocketAddr>>,
    has_warned: AtomicBool,
    cache: Cache,
    metrics: ForwardMetrics,
}

impl Forwarder {
    pub(crate) fn new(
        (upstreams, timeout, room): (Vec<SocketAddr>, Duration, usize),
        cache: Cache,
        metrics: ForwardMetrics,
    ) -> Self {
        Self {
            upstreams,
            timeout,
            preferred: AtomicUsize::new(0),
            room: Arc::new(Semaphore::new(room)),
            running: Mutex::default(),
            own: Mutex::default(),
            has_warned: AtomicBool::new(false),
            cache,
            metrics,
        }
    }

    /// That of a block.
    ///
    /// # Errors
    /// A file of upstreams cannot be read.
    pub(crate) fn of(forwards: &[Forward], _cache: Option<&plan::Cache>, metrics: &Metrics) -> io::Result<Self> {
        let mut upstreams = Vec::new();
        for upstream in forwards.iter().flat_map(|forward| &forward.to) {
            match upstream {
                Upstream::Plain(address) => upstreams.push(*address),
                Upstream::File(_) => upstreams.extend(system_upstreams()?),
                Upstream::Tls { .. } | Upstream::Host { .. } => {}
            }
        }
        let cache = Cache::new(crate::cache::CacheSettings::default(), metrics.cache.clone());
        Ok(Self::new((upstreams, Duration::from_secs(2), 1000), cache, metrics.forward.clone()))
    }

    pub(crate) fn has_upstreams(&self) -> bool {
        !self.upstreams.is_empty()
    }

    /// Makes room for a query from `peer`.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Result<OwnedSemaphorePermit, Failure> {
        if !self.has_upstreams() {
            return Err(Failure::NoUpstream);
        }
        if self.is_own(peer) {
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                warn!(upstreams = ?self.upstreams, "an upstream is this server itself; its questions are refused");
            }
            return Err(self.count(Failure::Loop));
        }
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| self.count(Failure::Busy))
    }

    /// Whether this is a socket of ours that waits for an upstream.
    fn is_own(&self, peer: SocketAddr) -> bool {
        lock(&self.own).contains(&SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }

    /// What is known without asking anybody. An answer that is about to end is fetched again by a task of `runtime`.
    pub(crate) fn at_once(
        self: &Arc<Self>,
        waiting: &Waiting,
        (peer, transport): (SocketAddr, Transport),
        runtime: &Handle,
    ) -> AtOnce {
        let counted = &self.cache.metrics().requests;
        match self.cache.find(&waiting.ask, Instant::now()) {
            // We ask ourselves: told what is about to end, we would keep it anew, for ever.
            Found::Fresh { refresh: Refresh::Running, .. } if self.is_own(peer) => AtOnce::Ask(None),
            Found::Fresh { message, ttls, refresh } => {
                counted.hit.inc();
                if refresh == Refresh::Wanted
                    && let Some(refresh) = self.refresh(&waiting.ask)
                {
                    self.cache.metrics().prefetches.inc();
                    runtime.spawn(refresh);
                }
                AtOnce::Told(self.tell(&message, ttls, waiting, transport))
            }
            Found::Over { message, is_vain: true } => AtOnce::Told(self.tell_stale(&message, waiting, transport)),
            Found::Failed => {
                counted.failed.inc();
                AtOnce::Told(Err(Failure::Remembered))
            }
            Found::Over { message, is_vain: false } => AtOnce::Ask(Some(message)),
            Found::Nothing => AtOnce::Ask(None),
        }
    }

    /// Asks, and waits; what is `over` is better than nothing.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        waiting: &Waiting,
        over: Option<Arc<[u8]>>,
        transport: Transport,
    ) -> Told {
        let ask = &waiting.ask;
        let outcome = match (&over, over.is_some().then(|| self.refresh(ask)).flatten()) {
            // It goes on if nobody waits for it any more, so that a slow upstream's answer is there for the next one.
            (Some(_), Some(refresh)) => {
                let patience = self.cache.settings().patience;
                timeout(patience, tokio::spawn(refresh))
                    .await
                    .ok()
                    .and_then(Result::ok)
                    .unwrap_or(Err(Failure::Unanswered))
            }
            _ => self.ask(ask).await,
        };
        match (outcome, over) {
            (Err(_), Some(over)) => self.tell_stale(&over, waiting, transport),
            (Ok(message), Some(over)) if exchange::is_unhelpful(&message) => self.tell_stale(&over, waiting, transport),
            (outcome, _) => {
                self.cache.metrics().requests.miss.inc();
                let message = outcome?;
                self.tell(&message, self.cache.new_ttls(&message, ask), waiting, transport)
            }
        }
    }

    /// Tells what is over.
    pub(crate) fn tell_stale(&self, over: &[u8], waiting: &Waiting, transport: Transport) -> Told {
        self.cache.metrics().requests.stale.inc();
        let (mut message, code) = self.tell(over, STALE, waiting, transport)?;
        ExtendedError::StaleAnswer.add("", &mut message, (&waiting.head, transport));
        Ok((message, code))
    }

    fn tell(&self, message: &[u8], ttls: Ttls, waiting: &Waiting, transport: Transport) -> Told {
        match &waiting.alias {
            Some(alias) => relay::complete((message, ttls), &waiting.query(), &alias.sections, transport),
            None => relay::relay(message, ttls, &waiting.query(), transport),
        }
        .ok_or_else(|| self.count(Failure::Malformed))
    }

    /// Asks on nobody's account, if there is room for it.
    fn refresh(self: &Arc<Self>, ask: &Ask) -> Option<impl Future<Output = Outcome> + Send + use<>> {
        let permit = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let (forwarder, ask) = (Arc::clone(self), ask.clone());
        Some(async move {
            let outcome = forwarder.ask(&ask).await;
            drop(permit);
            outcome
        })
    }

    /// Joins the running exchange about this question, or starts one.
    async fn ask(&self, ask: &Ask) -> Outcome {
        let cell = Arc::clone(lock(&self.running).entry(ask.clone()).or_default());
        let joined = Joined { forwarder: self, ask, cell };
        // Whoever starts the exchange may go away in the middle; then the next one starts it anew.
        joined.cell.get_or_init(|| self.exchange_and_keep(ask)).await.clone()
    }

    async fn exchange_and_keep(&self, ask: &Ask) -> Outcome {
        let outcome = self.exchange(ask).await;
        match &outcome {
            // A refusal is not kept as such, but what is over is given all the same.
            Ok(message) if exchange::is_unhelpful(message) && self.cache.leaves_alone(ask, Instant::now()) => {}
            Ok(message) => self.cache.keep(ask, message, Instant::now()),
            Err(_) => self.cache.failed(ask, Instant::now()),
        }
        outcome
    }

    async fn exchange(&self, ask: &Ask) -> Outcome {
        let count = self.upstreams.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let (mut unhelpful, mut failure) = (None, Failure::Unanswered);
        // Two tries where there is one upstream, and no more than fit into the 5 s that clients wait.
        for turn in 0..count.clamp(2, 3) {
            let index = (first + turn) % count;
            let Some(&upstream) = self.upstreams.get(index) else { continue };
            match self.try_upstream(upstream, ask).await {
                Ok(message) if !relay::is_whole(&message) => {
                    failure = Failure::Malformed;
                    self.metrics.upstream_failures.inc();
                    debug!(%upstream, "upstream's answer is malformed");
                }
                Ok(message) if exchange::is_unhelpful(&message) && turn + 1 < count => {
                    unhelpful.get_or_insert(message);
                }
                Ok(message) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(message);
                }
                Err(error) => {
                    self.metrics.upstream_failures.inc();
                    debug!(%upstream, %error, "upstream did not answer");
                }
            }
        }
        unhelpful.ok_or_else(|| self.count(failure))
    }

    fn count(&self, failure: Failure) -> Failure {
        self.metrics.failures.with_label_values(&[failure.reason()]).inc();
        failure
    }
}

/// One of those who wait for an exchange; the last to leave forgets it.
struct Joined<'f> {
    forwarder: &'f Forwarder,
    ask: &'f Ask,
    cell: Arc<OnceCell<Outcome>>,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut running = lock(&self.forwarder.running);
        let is_listed = running.get(self.ask).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // Once there is an outcome, who asks next shall not get it: what may be kept is in the cache. The table holds one, we the other.
        if is_listed && (self.cell.initialized() || Arc::strong_count(&self.cell) == 2) {
            running.remove(self.ask);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
