//! From a packet to its answer: what all transports share.

use super::clients::Clients;
use super::guards::Guards;
use super::now::Now;
use super::rate_limit::{Client, Verdict};
use super::resolve::{Asking, Pending};
use super::settings::Bounds;
use super::trace::{self, Trace};
use super::untaken::Untaken;
use crate::answer::{Metadata, Reason, Zone};
use crate::cookie::Malformed;
use crate::extended_error::ExtendedError;
use crate::host::Host;
use crate::message::{Says, Transport, write_code};
use crate::metrics::{Answered, Counted, Metrics, Source};
use crate::name::LowerName;
use crate::question::{self, CLASS_IN, Head, MAX_UDP, Query, Refusal};
use crate::room::{Behind, OfOne, Room};
use crate::serving::{At, Block, Clocks, Secured, Served, Serving};
use crate::written::{self, Logged};
use arc_swap::ArcSwap;
use config::Subscriber;
use hickory_proto::op::ResponseCode;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::runtime::Handle;

/// What all listeners share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) names: Subscriber,
    pub(super) serving: ArcSwap<Serving>,
    /// Where upstreams are asked.
    pub(super) runtime: Handle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) room: Room,
    /// For bytes of answers that clients do not take.
    pub(super) untaken: Room,
    /// `None`: each may ask as much as it likes.
    pub(super) clients: Option<Clients>,
    pub(super) guards: Guards,
    /// What questions meet; `None`: it is not noted, as everywhere but where they are explained.
    pub(super) trace: Option<Trace>,
}

impl Shared {
    /// Without guards, and without notes. Upstreams are asked on the runtime that is here.
    pub(super) fn new(names: Subscriber, serving: Arc<Serving>, metrics: Arc<Metrics>, bounds: Bounds) -> Self {
        let (serving, runtime, guards) = (ArcSwap::new(serving), Handle::current(), Guards::default());
        let room = Room::new(bounds.waiting, OfOne::AllButAnEighth, Some(metrics.waiting.clone()));
        let untaken = Room::new(bounds.untaken, OfOne::Quarter, Some(metrics.untaken.clone()));
        let clients = bounds.per_client.map(|rate| Clients::new(rate, Instant::now()));
        Self { names, serving, runtime, metrics, room, untaken, clients, guards, trace: None }
    }

    /// Where work goes on behind a question.
    pub(super) fn behind(&self) -> Behind<'_> {
        Behind { runtime: &self.runtime, room: &self.room }
    }
}

/// Answers packets that come in at one address.
#[derive(Debug, Clone)]
pub(super) struct Responder {
    pub(super) shared: Arc<Shared>,
    pub(super) at: At,
    pub(super) metrics: Arc<Metrics>,
    /// What was served last where nothing is served here any more.
    last: OnceLock<Arc<Serving>>,
}

/// What becomes of a packet.
#[derive(Debug)]
pub(super) enum Response {
    /// No answer: it is no question, or its network gets too much.
    Silence,
    /// No answer: its client asks too much.
    HeldBack,
    /// No answer, as the block has it; others may be asked.
    Dropped,
    /// The message that was written, still to be counted.
    Ready(Answered),
    /// A message once an upstream has answered.
    Pending(Box<Pending>),
}

impl Responder {
    pub(super) fn new(shared: Arc<Shared>, at: At) -> Self {
        let metrics = Arc::clone(&shared.metrics);
        Self { shared, at, metrics, last: OnceLock::new() }
    }

    /// Nothing is served here from now on: what has come before is still answered by this.
    pub(super) fn leave(&self, last: &Arc<Serving>) {
        // A second time changes nothing.
        let _ = self.last.set(Arc::clone(last));
    }

    /// The server as it is at this moment to those who have come here.
    pub(super) fn now(&self) -> Now {
        let now = Now::of(&self.shared);
        // Looked at after that: who has met what is served next meets this.
        match self.last.get() {
            None => now,
            Some(last) => Now::continued(&self.shared, last),
        }
    }

    /// How much a new connection leaves untaken: nothing.
    pub(super) fn untaken(&self, peer: SocketAddr) -> Arc<Untaken> {
        Arc::new(Untaken::new(self.shared.untaken.clone(), Host::of(peer.ip())))
    }

    /// The end of a connection whose client does not take its answers.
    pub(super) fn not_taken(&self) -> io::Error {
        self.metrics.dropped.with_label_values(&["untaken"]).inc();
        io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answers")
    }

    /// How a new connection is held; `None`: nothing is served here any more.
    pub(super) fn connection(&self) -> Option<(Clocks, Option<Arc<Secured>>)> {
        let Now { serving, .. } = self.now();
        let site = serving.site(self.at)?;
        Some((site.clocks, site.secured.clone()))
    }

    /// Counts an answer over HTTPS by its status.
    pub(super) fn count_https(&self, status: &str) {
        self.metrics.https.with_label_values(&[&self.at.to_string(), status]).inc();
    }

    /// Answers at once what needs no upstream, into `out`. `asked_at`: where the packet came to, if that is known. Both
    /// addresses are canonical.
    pub(super) fn respond(
        &self,
        packet: &[u8],
        (peer, asked_at): (SocketAddr, Option<SocketAddr>),
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Response {
        self.respond_as_of(&self.now(), packet, (peer, asked_at, (transport, true)), out)
    }

    /// The same with what is served at this moment, and whether the packet may wait for upstreams.
    pub(super) fn respond_as_of(
        &self,
        now: &Now,
        packet: &[u8],
        (peer, asked_at, (transport, may_wait)): (SocketAddr, Option<SocketAddr>, (Transport, bool)),
        out: &mut Vec<u8>,
    ) -> Response {
        if asked_at.is_some_and(|address| is_everybody(address.ip())) {
            // All would answer at once; besides, no answer can leave from there.
            return self.silence("broadcast");
        }
        if peer.port() == 0 {
            // Nobody can be asked back there, and some services would answer (RFC 768).
            return self.silence("port");
        }
        let Some(site) = now.serving.site(self.at) else { return self.silence("closed") };
        let mut counted = Counted {
            zone: site.outside(),
            is_ipv4: peer.is_ipv4(),
            is_dnssec_ok: false,
            record_type: None,
            len: u16::try_from(packet.len()).unwrap_or(u16::MAX),
        };
        let mut read = Query::parse(packet);
        if let Some(clients) = &self.shared.clients
            && let Some(response) = self.hold_back(clients, (packet, &mut read), (peer, counted, transport), out)
        {
            return response;
        }
        let (mut query, mut refusal) = match read {
            Ok(query) => (query, None),
            Err(Refusal::Silence(reason)) => return self.silence(reason),
            Err(Refusal::Code(head, Some(asked), code)) => (Query { head, asked }, Some(code)),
            Err(Refusal::Code(head, None, code)) => {
                return self.without_question((head, Some(code)), packet, (peer, counted, transport), out);
            }
            Err(Refusal::CookieAlone(head)) => {
                return self.without_question((head, None), packet, (peer, counted, transport), out);
            }
        };
        // Those that can be parsed can be read.
        let Some(name) = LowerName::read(query.asked.name()) else { return self.silence("short") };
        let served = site.find(&name);
        if let Some(edns) = &mut query.head.edns {
            let most = served.map_or(MAX_UDP, |served| served.block.most_over_udp);
            edns.payload = edns.payload.min(most);
            counted.is_dnssec_ok = edns.is_dnssec_ok;
            let is_wrong = self.shared.guards.answer_cookie(&mut query.head, packet, peer.ip()).is_err();
            if is_wrong && refusal != Some(ResponseCode::BADVERS) {
                refusal = Some(ResponseCode::FormErr);
            }
        }
        counted.record_type = Some(query.asked.record_type);
        counted.zone = served.map_or(site.outside(), |served| served.numbers);
        let (name, led, until) = (&name, 0, None);
        let asking =
            Asking { query, packet, name, peer, asked_at, transport, may_wait, now, site, counted, led, until };
        self.respond_to(&asking, (served, refusal), out)
    }

    /// Answers a packet of which no question is known, with this code. `None`: with that of its cookie, which is all it has.
    fn without_question(
        &self,
        (mut head, code): (Head, Option<ResponseCode>),
        packet: &[u8],
        (peer, counted, transport): (SocketAddr, Counted, Transport),
        out: &mut Vec<u8>,
    ) -> Response {
        let guards = &self.shared.guards;
        let code = match code {
            None => guards.code_of_cookie(&mut head, packet, peer.ip()),
            Some(code) => match guards.answer_cookie(&mut head, packet, peer.ip()) {
                Err(Malformed) if code != ResponseCode::BADVERS => ResponseCode::FormErr,
                _ => code,
            },
        };
        let response = code_alone(&head, (code, counted), out);
        self.limited(response, &head, (peer, transport), out)
    }

    /// Answers a question that could be read: from the block that its name is in, unless it is refused.
    fn respond_to(
        &self,
        asking: &Asking<'_>,
        (served, refusal): (Option<&Served>, Option<ResponseCode>),
        out: &mut Vec<u8>,
    ) -> Response {
        let Asking { query, name, packet, peer, asked_at, transport, .. } = *asking;
        // What cannot be read comes to no block.
        let is_read = refusal.is_none_or(|code| is_of_kind(&query, code));
        let block = served.filter(|_| is_read).map(|served| &served.block);
        let logged = block.and_then(|block| {
            let (len, query) = (packet.len(), &query);
            let question = written::Question { query, name, len, peer, asked_at, transport };
            block.queries.as_ref()?.begin(question, || metadata(block, asking.now, (name, peer)))
        });
        let response = match (served, refusal) {
            (Some(served), None) => {
                let block = &served.block;
                let mut response = self.respond_in(block, asking, out);
                if let (Response::Pending(pending), Some(span)) = (&mut response, block.patience) {
                    pending.patience = Some(Box::new((span, query.head, query.asked.wire.to_vec())));
                }
                response
            }
            (served, Some(code)) => {
                let told = block.and_then(|block| self.respond_to_refused(block, asking, out));
                told.unwrap_or_else(|| {
                    if let Some(served) = served {
                        let record_type = query.asked.record_type;
                        self.said((&served.block, asking), trace::BLOCK, || {
                            Reason::NoQuestion(record_type).to_string()
                        });
                    }
                    refused(asking, code, None, out)
                })
            }
            (None, None) => refused(asking, ResponseCode::Refused, Some(NO_ZONE), out),
        };
        if let Response::Dropped = response {
            self.metrics.dropped_by_acl(transport, asking.counted);
        }
        // What becomes of a question for a zone is seen later over TCP.
        let asks_for_zone = matches!(&response, Response::Ready(answered) if answered.asks_for_a_zone());
        let logged = logged.filter(|_| !asks_for_zone || transport == Transport::Udp);
        logged_too(self.limited(response, &query.head, (peer, transport), out), logged, out)
    }

    /// Holds an answer back where its client's network has had too many, now or once it is there.
    pub(super) fn limited(
        &self,
        response: Response,
        head: &Head,
        (peer, transport): (SocketAddr, Transport),
        out: &mut Vec<u8>,
    ) -> Response {
        let Some(limiter) = self.shared.guards.rate_limiter(transport) else { return response };
        let client = Client::new(peer.ip(), head);
        match response {
            Response::Silence | Response::HeldBack | Response::Dropped => response,
            Response::Ready(answered) => match limiter.look(out, answered.code, client, Instant::now()) {
                Verdict::Sent(code) => Response::Ready(Answered { code, ..answered }),
                Verdict::Dropped => Response::Silence,
            },
            Response::Pending(mut pending) => {
                pending.limited = Some(client);
                Response::Pending(pending)
            }
        }
    }

    pub(super) fn silence(&self, reason: &'static str) -> Response {
        self.metrics.dropped.with_label_values(&[reason]).inc();
        Response::Silence
    }
}

/// What the cluster's names tell of a question, before and after they are known.
pub(super) fn metadata(block: &Block, now: &Now, (name, peer): (&LowerName, SocketAddr)) -> Metadata {
    let Some(records) = &block.records else { return Metadata::default() };
    let known = now.names.as_ref().map(|snapshot| &*snapshot.names);
    Zone::new(known.unwrap_or(&records.unknown), &records.settings, None).metadata(name, peer.ip())
}

/// Writes about an answer, now or once it is there.
fn logged_too(response: Response, logged: Option<Box<Logged>>, out: &[u8]) -> Response {
    match (response, logged) {
        (Response::Ready(answered), Some(logged)) => {
            logged.end(out, None);
            Response::Ready(answered)
        }
        (Response::Dropped, Some(logged)) => {
            logged.end(&[], None);
            Response::Dropped
        }
        (Response::Pending(mut pending), logged) => {
            pending.logged = logged;
            Response::Pending(pending)
        }
        (response, _) => response,
    }
}

/// Whether a question gets this code for its class or its type, and not for how it is written.
fn is_of_kind(query: &Query<'_>, code: ResponseCode) -> bool {
    code == ResponseCode::Refused
        || query.head.class == CLASS_IN && question::refusal(query.asked.record_type) == Some(code)
}

/// Why a name is refused that is in no zone.
const NO_ZONE: &str = "no zone that is served here has the name";

/// A code alone, and why.
fn refused(asking: &Asking<'_>, code: ResponseCode, why: Option<&str>, out: &mut Vec<u8>) -> Response {
    let Asking { query, transport, .. } = *asking;
    write_code(out, &query.head, Some(query.asked), (code, Says::default()));
    if let Some(why) = why {
        ExtendedError::NotAuthoritative.add(why, out, (&query.head, transport));
    }
    asking.answered(Source::Itself, code)
}

/// A code alone, about no question.
fn code_alone(head: &Head, (code, question): (ResponseCode, Counted), out: &mut Vec<u8>) -> Response {
    write_code(out, head, None, (code, Says::default()));
    Response::Ready(Answered { question, source: Source::Itself, code })
}

/// Whether an address is that of no single host.
fn is_everybody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

#[cfg(test)]
mod tests;
