//! One `forward`: which names it is for, and how its upstreams are asked.

use super::circle::Leads;
use super::exchange::{Fault, Trip};
use super::looks::Looks;
use super::order::Order;
use super::origin::Origin;
use super::tls::Tls;
use super::upstream::Upstream;
use super::{Ask, Failure, Outbound, Outcome, circle, relay};
use crate::host::Host;
use crate::plan::Zone;
use crate::plan::forward::{self as plan, Forward, Policy};
use crate::room::{OfOne, Room, Taken};
use crate::wire::{Cursor, flag};
use hickory_proto::op::ResponseCode;
use rand::seq::SliceRandom;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

/// How often each upstream is tried where nothing else is said.
const TRIES_OF_EACH: usize = 2;
/// Before each further round: what fails at once would be tried as fast as the host can.
const PAUSE: Duration = Duration::from_millis(100);

/// Upstreams for the names of one zone.
#[derive(Debug)]
pub(crate) struct Route {
    forward: Arc<Forward>,
    order: Order,
    to: Vec<Origin>,
    looks: Arc<Looks>,
    /// `None`: there is no bound.
    room: Option<Room>,
}

/// Why there can be no such route.
#[derive(Debug, thiserror::Error)]
#[error("forward {from}: {why}")]
pub(crate) struct RouteError {
    from: Zone,
    why: String,
}

impl Route {
    /// Reads the files that it names. `zones`: those of its block.
    ///
    /// # Errors
    /// One of the files cannot be read, or holds nothing that is of use; the message names it.
    pub(crate) fn new<'z>(forward: &Forward, zones: impl IntoIterator<Item = &'z Zone>) -> Result<Self, RouteError> {
        let mut shared = forward.clone();
        shared.served = zones.into_iter().find(|zone| forward.from.contains(zone)).unwrap_or(&forward.from).clone();
        let shared = Arc::new(shared);
        let wrong = |why| RouteError { from: forward.from.clone(), why };
        let mut tls = Tls::default();
        let to = forward.to.iter().map(|to| Origin::new(to, &shared, &mut tls));
        let to = to.collect::<Result<_, _>>().map_err(wrong)?;
        let room = usize::try_from(forward.max_concurrent).ok().filter(|most| *most > 0);
        let room = room.map(|most| Room::new(most, OfOne::AllButAnEighth, None));
        Ok(Self { order: Order::of(forward.policy), forward: shared, to, looks: Arc::default(), room })
    }

    /// Addresses for all names: first the one that answered last, `limit` questions at once, each try for `patience`.
    pub(crate) fn of_addresses(addresses: &[SocketAddr], patience: Duration, limit: usize) -> Self {
        let mut forward = Forward::new(Zone::root());
        forward.to = addresses.iter().copied().map(plan::Upstream::Plain).collect();
        forward.protocol = plan::Protocol::UdpFirst;
        forward.policy = Policy::Sequential;
        // The next one is asked first where one fails, until that fails.
        forward.max_fails = 0;
        // Two tries where there is one upstream, and no more than fit into the time that clients wait.
        forward.max_attempts = Some(if addresses.len() < 3 { 2 } else { 3 });
        forward.connections.read_timeout = patience;
        let forward = Arc::new(forward);
        let to = addresses.iter().map(|address| Origin::of_address(*address, &forward)).collect();
        let order = Order::LastGood(AtomicUsize::new(0));
        let room = Some(Room::new(limit, OfOne::AllButAnEighth, None));
        Self { forward, order, to, looks: Arc::default(), room }
    }

    /// Whether it is for this name, in wire form and lower case.
    pub(super) fn takes(&self, name: &[u8]) -> bool {
        self.holds(name) && !self.forward.except.iter().any(|zone| zone.holds(name))
    }

    /// Whether this name, the same, is in its zone, be it left out or not.
    pub(super) fn holds(&self, name: &[u8]) -> bool {
        self.forward.from.holds(name)
    }

    /// Whether questions go on over what they came over.
    pub(super) fn asks_as_asked(&self) -> bool {
        self.forward.protocol == plan::Protocol::AsAsked && self.to.iter().any(Origin::is_plain)
    }

    /// A place among those who wait here, for a question of `host`; `None`: there is no bound.
    pub(super) fn take(&self, host: Host) -> Result<Option<Taken>, Failure> {
        self.room.as_ref().map(|room| room.take(host).ok_or(Failure::Busy)).transpose()
    }

    /// Whether the next route is to be asked.
    pub(super) fn leaves_to_next(&self, ask: &Ask, message: &[u8]) -> bool {
        relay::code(message).is_some_and(|code| self.forward.next.iter().any(|next| next.0 == code.low()))
            || (self.forward.next_on_nodata && is_without_records(message, ask))
    }

    /// Whether another upstream is asked where one says so. Stubs go on after SERVFAIL and REFUSED, and so do we where
    /// nothing else is configured.
    fn fails_over(&self, message: &[u8]) -> bool {
        if relay::is_bad_version(message) {
            return true;
        }
        let Some(code) = relay::code(message) else { return false };
        match &self.forward.failover[..] {
            [] => matches!(code, ResponseCode::ServFail | ResponseCode::Refused),
            codes => codes.iter().any(|failover| failover.0 == code.low()),
        }
    }

    /// The upstreams that are known. Names are waited for where nothing is, until the first of them is found.
    async fn known(&self, outbound: &Arc<Outbound>) -> Vec<Arc<Upstream>> {
        loop {
            // Before it is looked whether there is anything: what ends in between is not missed.
            let ended = self.looks.ended();
            let are_under_way = self.looks.are_under_way();
            let upstreams = self.upstreams(outbound);
            if !upstreams.is_empty() || !are_under_way {
                return upstreams;
            }
            ended.await;
        }
    }

    /// The upstreams that are known now.
    fn upstreams(&self, outbound: &Arc<Outbound>) -> Vec<Arc<Upstream>> {
        let mut upstreams = Vec::new();
        for origin in &self.to {
            origin.add_to(&mut upstreams, outbound);
        }
        upstreams
    }

    /// Whether whoever is asked leads back to this server, and nowhere else.
    pub(super) fn is_in_circle(&self, outbound: &Arc<Outbound>) -> bool {
        let upstreams = self.upstreams(outbound);
        !upstreams.is_empty() && upstreams.iter().all(|upstream| upstream.circle.leads() == Leads::Back)
    }

    /// The upstreams at this address.
    fn upstreams_at(&self, peer: IpAddr, outbound: &Arc<Outbound>) -> Vec<Arc<Upstream>> {
        let mut upstreams = self.upstreams(outbound);
        upstreams.retain(|upstream| upstream.address.ip().to_canonical() == peer.to_canonical());
        upstreams
    }

    /// Whether what comes from there is from an upstream that leads back.
    pub(super) fn is_back_from(&self, peer: IpAddr, outbound: &Arc<Outbound>) -> bool {
        self.upstreams_at(peer, outbound).iter().any(|upstream| upstream.circle.leads() != Leads::Elsewhere)
    }

    /// There is a question from there: looks whether it goes in a circle, if one of the upstreams asks it.
    pub(super) fn asked_by(&self, peer: IpAddr, outbound: &Arc<Outbound>, runtime: &Handle) {
        for upstream in self.upstreams_at(peer, outbound) {
            circle::look(&upstream, circle::ASKED_BY_IT, outbound, runtime);
        }
    }

    /// Whom to ask for the next question, in this order, each with its index.
    async fn turn(&self, outbound: &Arc<Outbound>, until: Instant) -> Result<Vec<(usize, Arc<Upstream>)>, Failure> {
        for origin in &self.to {
            origin.look(&self.looks, outbound);
        }
        let known = timeout_at(until, self.known(outbound)).await.map_err(|_| Failure::Unanswered)?;
        let mut upstreams: Vec<_> = known.into_iter().enumerate().collect();
        // Before any is left out: it knows them by their places.
        self.order.arrange(&mut upstreams);
        let leads = |(_, upstream): &(usize, Arc<Upstream>)| upstream.circle.leads();
        if upstreams.iter().any(|upstream| leads(upstream) != Leads::Back) {
            upstreams.retain(|upstream| leads(upstream) != Leads::Back);
        } else if !upstreams.is_empty() {
            // By then one of them may lead elsewhere. Where many ask each other, who asks all goes all ways.
            upstreams.shuffle(&mut rand::rng());
            upstreams.truncate(1);
            return Ok(upstreams);
        }
        if !upstreams.is_empty() && upstreams.iter().all(|(_, upstream)| upstream.is_down()) {
            outbound.metrics.broken.inc();
            if self.forward.fails_fast {
                return Err(Failure::Down);
            }
            // Perhaps it is the checks that do not come through.
            upstreams.shuffle(&mut rand::rng());
            return Ok(upstreams);
        }
        upstreams.retain(|(_, upstream)| !upstream.is_down());
        // In that order each; those that lead back are the last ones.
        upstreams.sort_by_key(leads);
        Ok(upstreams)
    }

    /// Asks one upstream after the other, until one has an answer.
    pub(super) async fn exchange(&self, ask: &Ask, outbound: &Arc<Outbound>, trip: Trip<'_>) -> Outcome {
        let upstreams = self.turn(outbound, trip.deadline).await?;
        let usual = upstreams.len().saturating_mul(TRIES_OF_EACH);
        let most = match self.forward.max_attempts {
            None => usual,
            Some(0) => usize::MAX,
            Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
        };
        let is_in_circle = upstreams.iter().all(|(_, upstream)| upstream.circle.leads() == Leads::Back);
        let most = if is_in_circle { 1 } else { most };
        let (mut unhelpful, mut refusals, mut failure) = (None, 0, Failure::Unanswered);
        for (nth, (index, upstream)) in upstreams.iter().cycle().take(most).enumerate() {
            if nth >= usual && nth % upstreams.len() == 0 {
                sleep_until(trip.deadline.min(Instant::now() + PAUSE)).await;
            }
            if Instant::now() >= trip.deadline {
                break;
            }
            let since = Instant::now();
            // There are firewalls that drop what has EDNS.
            let has_edns = trip.has_edns && nth < upstreams.len();
            let answer = upstream.ask(ask, &Trip { has_edns, ..trip }).await;
            match answer {
                Ok(message) if self.fails_over(&message) => {
                    unhelpful.get_or_insert((message, upstream));
                    refusals += 1;
                    if refusals >= upstreams.len() {
                        break;
                    }
                }
                Ok(message) => {
                    self.order.answered(*index);
                    return Ok((message, upstream.address));
                }
                Err(fault @ Fault::NoSocket(_)) => {
                    debug!(upstream = %upstream.address, error = %fault, "no socket to ask an upstream from");
                    failure = Failure::NoSocket;
                    break;
                }
                Err(fault) => {
                    debug!(upstream = %upstream.address, error = %fault, "upstream did not answer");
                    upstream.metrics.failures.inc();
                    upstream.kept.close_unproved(since);
                    match fault {
                        Fault::Malformed => failure = Failure::Malformed,
                        fault => {
                            if fault.is_silence() {
                                circle::look(upstream, circle::UNANSWERED, outbound, &Handle::current());
                            }
                            if let Failure::Unanswered | Failure::Fault(_) = failure {
                                failure = Failure::Fault(fault.to_string().into());
                            }
                            upstream.suspect(outbound);
                        }
                    }
                }
            }
        }
        unhelpful.map(|(message, upstream)| (message, upstream.address)).ok_or(failure)
    }
}

/// Whether an answer says that the name is there, and nothing of the type.
fn is_without_records(message: &[u8], ask: &Ask) -> bool {
    let mut cursor = Cursor::new(message);
    let Some(header) = cursor.header().filter(|header| header.flags & flag::CODE == 0) else { return false };
    let asked = u16::from(ask.record_type());
    cursor.question().is_some()
        && !(0..header.answers).any(|_| cursor.record().is_some_and(|record| record.record_type == asked))
}
