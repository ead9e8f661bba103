//! Names that are not ours are asked upstream, unless the answer is known: bounded, the same question never twice at once.
//! An answer is believed only from the address, with the id and about the question that were asked.

mod ask;
mod chain;
mod circle;
mod connections;
mod exchange;
mod failure;
mod health;
mod link;
mod looks;
mod order;
mod origin;
mod outbound;
mod relay;
mod resolv_conf;
mod route;
mod running;
mod sound;
mod tasks;
mod tls;
mod trust;
mod upstream;

use crate::cache::{Cache, Found, Over, Refresh, Then, Ttls};
use crate::extended_error::ExtendedError;
use crate::host::Host;
use crate::message::Transport;
use crate::metrics::ForwardMetrics;
use crate::name::LowerName;
use crate::room::{Behind, Taken};
use exchange::Trip;
use hickory_proto::op::ResponseCode;
use outbound::Outbound;
use running::{Asking, Running};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

pub(crate) use ask::{Ask, Waiting};
pub(crate) use failure::Failure;
pub use resolv_conf::{parse_resolv_conf, system_upstreams};
pub(crate) use route::Route;
pub(crate) use running::Place;

/// Clients give up after 5 s (resolv.conf(5), `timeout`): all tries are over before that.
pub(crate) const PATIENCE: Duration = Duration::from_millis(4800);

/// A message, and the upstream that it is from.
type Outcome = Result<(Arc<[u8]>, SocketAddr), Failure>;

/// A message for a client with its code.
pub(crate) type Told = Result<(Vec<u8>, ResponseCode), Failure>;

/// What the cache leaves to do.
#[derive(Debug)]
pub(crate) enum AtOnce {
    /// Nothing.
    Told(Told),
    /// Upstreams are to be asked; where that fails there is this answer, which is over.
    Ask(Option<Over>),
}

/// How a question is asked.
#[derive(Debug, Clone, Copy)]
struct How {
    /// On whose account.
    host: Host,
    /// What it came over.
    transport: Transport,
    /// For whom.
    peer: IpAddr,
}

impl How {
    fn new((peer, transport): (SocketAddr, Transport)) -> Self {
        Self { host: Host::of(peer.ip()), transport, peer: peer.ip() }
    }
}

/// Asks the upstreams of one server block.
#[derive(Debug)]
pub(crate) struct Forwarder {
    /// A name is for the first that takes it.
    routes: Vec<Route>,
    running: Arc<Running>,
    outbound: Arc<Outbound>,
    has_warned: AtomicBool,
    cache: Cache,
}

impl Forwarder {
    pub(crate) fn new(routes: Vec<Route>, cache: Cache, metrics: ForwardMetrics) -> Self {
        let (running, outbound) = (Arc::default(), Arc::new(Outbound::new(metrics)));
        Self { routes, running, outbound, has_warned: AtomicBool::new(false), cache }
    }

    pub(crate) fn has_upstreams(&self) -> bool {
        !self.routes.is_empty()
    }

    pub(crate) fn keeps_answers(&self) -> bool {
        self.cache.keeps_any()
    }

    /// Whether anybody may be asked for this name.
    pub(crate) fn takes(&self, name: &LowerName) -> bool {
        self.route_of(name.suffix(0)).is_some()
    }

    /// Which of its routes is asked first for a name in wire form and lower case; `None`: nobody is.
    pub(crate) fn route_of(&self, name: &[u8]) -> Option<usize> {
        self.routes.iter().position(|route| route.takes(name))
    }

    /// Those for a name in wire form and lower case.
    fn routes_of(&self, name: &[u8]) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |route| route.takes(name))
    }

    /// Begins to ask for a query from `peer`, unless the same is on its way already, and makes room for it there.
    /// `behind`: `None` where no more may wait.
    pub(crate) fn admit(
        self: &Arc<Self>,
        waiting: &Waiting,
        (peer, transport): (SocketAddr, Transport),
        behind: Option<Behind<'_>>,
    ) -> Result<Place, Failure> {
        let name = waiting.ask.name();
        if self.route_of(name).is_none() {
            let is_left_out = self.routes.iter().any(|route| route.holds(name));
            return Err(if is_left_out { Failure::LeftOut } else { Failure::NoUpstream });
        }
        if self.outbound.is_own((peer, transport)) {
            return Err(self.in_circle(peer));
        }
        let how = How::new((peer, transport));
        let place = behind.ok_or(Failure::Busy).and_then(|behind| self.place(waiting, how, behind));
        place.map_err(|failure| self.count(failure))
    }

    /// A place among all for a question, and its part in the exchange about it.
    fn place(self: &Arc<Self>, waiting: &Waiting, how: How, behind: Behind<'_>) -> Result<Place, Failure> {
        let among_all = behind.room.take(how.host).ok_or(Failure::Busy)?;
        self.join(waiting, how, among_all, behind.runtime)
    }

    /// Joins the exchange about a question, or begins it, in a task of its own: nobody's departure ends it, and its
    /// outcome is there for the next one.
    fn join(
        self: &Arc<Self>,
        waiting: &Waiting,
        how: How,
        among_all: Taken,
        runtime: &Handle,
    ) -> Result<Place, Failure> {
        let routes = || self.routes_of(waiting.ask.name());
        let route = routes().next().ok_or(Failure::NoUpstream)?;
        let (ask, has_edns) = (waiting.ask.clone(), waiting.head.edns.is_some());
        let transport = if routes().any(Route::asks_as_asked) { how.transport } else { Transport::Udp };
        let asking = Asking { ask, has_edns, transport };
        self.asked_by(waiting, how.peer, runtime);
        let is_circle = || self.is_back(waiting, how.peer) || routes().all(|route| route.is_in_circle(&self.outbound));
        if self.running.has(&asking) && is_circle() {
            // It is the one that runs, as a rule.
            return Err(Failure::Loop);
        }
        let (place, begun) = self.running.join(asking, how, among_all, || route.take(how.host))?;
        if let Some(exchange) = begun {
            let forwarder = Arc::clone(self);
            // Boxed, so that what it takes is free at its end, and not where the task is forgotten.
            let exchange = Box::pin(async move {
                let outcome = forwarder.exchange_and_keep(exchange.asking(), how).await;
                exchange.end(outcome);
            });
            self.outbound.fetches.spawn(exchange, runtime);
        }
        Ok(place)
    }

    /// Looks whether upstreams at the address that asks lead back.
    fn asked_by(&self, waiting: &Waiting, peer: IpAddr, runtime: &Handle) {
        self.routes_of(waiting.ask.name()).for_each(|route| route.asked_by(peer, &self.outbound, runtime));
    }

    /// Whether a question comes from an upstream that leads back.
    fn is_back(&self, waiting: &Waiting, peer: IpAddr) -> bool {
        self.routes_of(waiting.ask.name()).any(|route| route.is_back_from(peer, &self.outbound))
    }

    fn in_circle(&self, peer: SocketAddr) -> Failure {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            warn!(%peer, "an upstream leads back to this server itself; its questions are refused");
        }
        self.count(Failure::Loop)
    }

    /// What is known without asking anybody. An answer that is about to end is fetched again, where there is room.
    pub(crate) fn at_once(
        self: &Arc<Self>,
        waiting: &Waiting,
        (peer, transport): (SocketAddr, Transport),
        behind: Behind<'_>,
    ) -> AtOnce {
        let counted = self.cache.counted_at(&waiting.server);
        let is_ours = || self.outbound.is_own((peer, transport));
        // What comes from our own socket is known without that, and clients may be at that address.
        if !is_ours() && self.outbound.probes.has_come_back(&waiting.ask) {
            return AtOnce::Told(Err(self.count(Failure::Loop)));
        }
        let may_be_ours = || self.is_back(waiting, peer.ip());
        let told_stale = |over| AtOnce::Told(self.tell_stale(&over, waiting, transport));
        let fetch_ahead = || self.fetch_ahead(waiting, How::new((peer, transport)), behind);
        let found = self.cache.find(&waiting.ask, Instant::now());
        if let Found::Over { then: Then::Give, .. } | Found::Fresh { refresh: Refresh::Running, .. } = found {
            // What is asked for looks too.
            self.asked_by(waiting, peer.ip(), behind.runtime);
        }
        match found {
            // If we ask ourselves: told what is about to end, or is over, we would keep it anew, for ever.
            Found::Fresh { refresh: Refresh::Running, .. } | Found::Over { .. } if is_ours() => AtOnce::Ask(None),
            Found::Fresh { refresh: Refresh::Running, .. } if may_be_ours() => AtOnce::Ask(None),
            // What comes back joins, and is refused. It may be a client's too, which gets it where nothing else is had.
            Found::Over { over, .. } if may_be_ours() => AtOnce::Ask(Some(over)),
            Found::Fresh { message, kind, ttls, refresh } => {
                counted.hit(kind).inc();
                if refresh == Refresh::Wanted {
                    fetch_ahead();
                }
                AtOnce::Told(self.tell(&message, ttls, waiting, transport))
            }
            Found::Over { over, then: Then::Give } => told_stale(over),
            Found::Over { over, then: Then::GiveAndAsk } => {
                fetch_ahead();
                told_stale(over)
            }
            Found::Over { over, then: Then::AskFirst } => AtOnce::Ask(Some(over)),
            Found::Failed => {
                counted.failed.inc();
                AtOnce::Told(Err(Failure::Remembered))
            }
            Found::Nothing => AtOnce::Ask(None),
        }
    }

    /// Asks, so that the answer is there for the next one.
    fn fetch_ahead(self: &Arc<Self>, waiting: &Waiting, how: How, behind: Behind<'_>) {
        match self.place(waiting, how, behind) {
            Ok(_) => self.cache.counted_at(&waiting.server).prefetches.inc(),
            Err(_) => self.cache.gave_up(&waiting.ask),
        }
    }

    /// Waits for what is asked; what is `over` is better than nothing. The upstream that has answered, where one has.
    /// `until`: when there is no time left; `None`: nothing was waited for before.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        waiting: &Waiting,
        (place, over): (Place, Option<Over>),
        until: Option<Instant>,
        runtime: &Handle,
    ) -> (Told, Option<SocketAddr>) {
        let (ask, transport) = (&waiting.ask, place.how.transport);
        let outcome = self.outcome(waiting, place, until, runtime);
        let outcome = match &over {
            Some(_) => timeout(self.cache.patience(), outcome).await.unwrap_or(Err(Failure::Unanswered)),
            None => outcome.await,
        };
        let counted = self.cache.counted_at(&waiting.server);
        if matches!(&outcome, Err(Failure::Malformed)) {
            counted.drops.inc();
        }
        if let Some(over) = over
            && outcome.as_ref().map_or(true, |(new, _)| is_unhelpful(new) || self.cache.prefers(&over, new, ask))
        {
            return (self.tell_stale(&over, waiting, transport), None);
        }
        counted.miss.inc();
        let (message, upstream) = match outcome {
            Ok((message, upstream)) => (message, upstream),
            Err(failure) => return (Err(failure), None),
        };
        let told = self.tell(&message, self.cache.new_ttls(&message, ask), waiting, transport);
        (told.inspect_err(|_| counted.drops.inc()), Some(upstream))
    }

    /// Waits for the exchange about a question, and begins it anew where another client had no room to go on with it. That
    /// takes no more time together than one exchange may.
    async fn outcome(
        self: &Arc<Self>,
        waiting: &Waiting,
        place: Place,
        until: Option<Instant>,
        runtime: &Handle,
    ) -> Outcome {
        let (how, deadline) = (place.how, until.unwrap_or_else(|| Instant::now() + PATIENCE));
        let mut outcome = match until {
            Some(until) => timeout_at(until, place.outcome()).await.unwrap_or(Ok(Err(Failure::Unanswered))),
            // This one has begun already, and ends before that by itself.
            None => place.outcome().await,
        };
        loop {
            let among_all = match outcome {
                Ok(outcome) => return outcome,
                Err(among_all) => among_all,
            };
            let place = self.join(waiting, how, among_all, runtime);
            let place = place.map_err(|failure| self.count(failure))?;
            outcome = timeout_at(deadline, place.outcome()).await.unwrap_or(Ok(Err(Failure::Unanswered)));
        }
    }

    /// Tells what is over.
    pub(crate) fn tell_stale(&self, over: &Over, waiting: &Waiting, transport: Transport) -> Told {
        self.cache.counted_at(&waiting.server).stale(over.kind).inc();
        let (mut message, code) = self.tell(&over.message, self.cache.stale_ttls(), waiting, transport)?;
        ExtendedError::StaleAnswer.add("", &mut message, (&waiting.head, transport));
        Ok((message, code))
    }

    fn tell(&self, message: &[u8], ttls: Ttls, waiting: &Waiting, transport: Transport) -> Told {
        let told = relay::relay(message, ttls, &waiting.query(), transport);
        told.ok_or_else(|| self.count(Failure::Malformed))
    }

    async fn exchange_and_keep(&self, asking: &Asking, how: How) -> Outcome {
        let outcome = self.exchange(asking, how).await;
        let Asking { ask, transport, .. } = asking;
        match &outcome {
            // One client had no room: others ask anew.
            Err(Failure::Busy) => self.cache.gave_up(ask),
            // A refusal is not kept as such, but what is over is given all the same.
            Ok((message, _)) if is_unhelpful(message) && self.cache.leaves_alone(ask, Instant::now()) => {}
            Ok((message, _)) => self.cache.keep(ask, message, Instant::now()),
            // Where upstreams do not take TCP, UDP may do.
            Err(failure) if failure.lasts() && *transport == Transport::Udp => self.cache.failed(ask, Instant::now()),
            Err(_) => drop(self.cache.leaves_alone(ask, Instant::now())),
        }
        outcome.map_err(|failure| self.count(failure))
    }

    async fn exchange(&self, Asking { ask, has_edns, .. }: &Asking, how: How) -> Outcome {
        let How { host, transport, .. } = how;
        let (deadline, outbound) = (Instant::now() + PATIENCE, &*self.outbound);
        let trip = Trip { transport, deadline, outbound, has_edns: *has_edns, is_check: false };
        let mut routes = self.routes_of(ask.name());
        let mut route = routes.next().ok_or(Failure::NoUpstream)?;
        // The first route's is the question's own.
        let mut place = None;
        loop {
            let outcome = route.exchange(ask, &self.outbound, trip).await;
            let is_left = outcome.as_ref().is_ok_and(|(message, _)| route.leaves_to_next(ask, message));
            let Some(next) = is_left.then(|| routes.next()).flatten() else {
                drop(place);
                return outcome;
            };
            place = Some(next.take(host)?);
            route = next;
        }
    }

    /// Ends what goes on behind questions: what upstreams are being asked is waited for.
    pub(crate) async fn stop(&self) {
        self.outbound.checks.abort().await;
        self.outbound.fetches.finish().await;
    }

    /// Ends it at once, where nobody waits for an answer any more.
    pub(crate) async fn abort(&self) {
        self.outbound.checks.abort().await;
        self.outbound.fetches.abort().await;
    }

    fn count(&self, failure: Failure) -> Failure {
        self.outbound.metrics.failures.with_label_values(&[failure.reason()]).inc();
        failure
    }
}

/// Whether the upstream would not or could not look the name up.
fn is_unhelpful(message: &[u8]) -> bool {
    relay::code(message).is_some_and(|code| !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
