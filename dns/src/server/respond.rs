//! From a packet to its answer: what both transports share.

use super::Settings;
use crate::answer::{Said, Sections, Zone, ZoneSettings};
use crate::cache::Cache;
use crate::extended_error::ExtendedError;
use crate::forward::{Alias, AtOnce, Failure, Forwarder, Waiting};
use crate::message::{Says, Transport, write, write_code};
use crate::metrics::{Answered, Metrics, Source};
use crate::name::LowerName;
use crate::question::{Query, Question, Refusal};
use crate::reply::Reply;
use config::{NameTable, Subscriber};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::debug;

/// Answers packets.
#[derive(Debug)]
pub(super) struct Responder {
    names: Subscriber,
    /// What stands in for the table until there is one.
    unknown: NameTable,
    records: ZoneSettings,
    forwarder: Arc<Forwarder>,
    /// Where upstreams are asked.
    runtime: Handle,
    pub(super) metrics: Metrics,
}

/// What becomes of a packet.
#[derive(Debug)]
pub(super) enum Response {
    /// No answer.
    Silence,
    /// The message that was written, still to be counted.
    Ready(Answered),
    /// A message once an upstream has answered.
    Pending(Box<Pending>),
}

/// What the table has to say.
#[derive(Debug)]
enum Local {
    /// All: it is written.
    Said(ResponseCode),
    /// CNAMEs that lead elsewhere; they are written.
    Alias(Alias),
    /// Nothing.
    Outside,
}

/// A query that waits for an upstream.
#[derive(Debug)]
pub(super) struct Pending {
    waiting: Waiting,
    /// What was known, and is over.
    over: Option<Arc<[u8]>>,
    _permit: OwnedSemaphorePermit,
    transport: Transport,
    since: Instant,
}

impl Responder {
    pub(super) fn new(names: Subscriber, settings: Settings, metrics: Metrics, runtime: Handle) -> Self {
        let Settings { zone, records, upstreams, upstream_timeout, forward_limit, cache, .. } = settings;
        let asked = (upstreams, upstream_timeout, forward_limit);
        let cache = Cache::new(cache, metrics.cache.clone());
        let forwarder = Arc::new(Forwarder::new(asked, cache, metrics.forward.clone()));
        Self { names, unknown: NameTable::new(zone), records, forwarder, runtime, metrics }
    }

    /// Answers at once what needs no upstream, into `out`. `asked_at`: where the packet came to, if that is known.
    pub(super) fn respond(
        &self,
        packet: &[u8],
        (peer, asked_at): (SocketAddr, Option<SocketAddr>),
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Response {
        let asked_at = asked_at.map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()));
        if asked_at.is_some_and(|address| is_everybody(address.ip())) {
            // All would answer at once; besides, no answer can leave from there.
            return self.silence("broadcast");
        }
        if peer.port() == 0 {
            // Nobody can be asked back there, and some services would answer (RFC 768).
            return self.silence("port");
        }
        let query = match Query::parse(packet) {
            Ok(query) => query,
            Err(Refusal::Silence(reason)) => return self.silence(reason),
            Err(Refusal::Code(head, asked, code)) => {
                write_code(out, &head, asked, (code, self.says(false)));
                let record_type = asked.map(|asked| asked.record_type);
                return Response::Ready(Answered { source: Source::Zone, record_type, code });
            }
        };
        let (code, alias) = match self.answer(&query, asked_at, transport, out) {
            Local::Said(code) => {
                return Response::Ready(answered(&query, Source::Zone, code));
            }
            Local::Alias(alias) => (alias.sections.code, Some(alias)),
            Local::Outside => (ResponseCode::NoError, None),
        };
        let waiting = Waiting::new(&query, alias);
        let told = match self.forwarder.at_once(&waiting, (peer, transport), &self.runtime) {
            AtOnce::Told(told) => told,
            AtOnce::Ask(over) => match (self.forwarder.admit(peer), over) {
                (Ok(permit), over) => {
                    let pending = Pending { waiting, over, _permit: permit, transport, since: Instant::now() };
                    return Response::Pending(Box::new(pending));
                }
                (Err(Failure::Busy), Some(over)) => self.forwarder.tell_stale(&over, &waiting, transport),
                (Err(failure), _) => Err(failure),
            },
        };
        let failure = match told {
            Ok((message, code)) => {
                *out = message;
                return Response::Ready(answered(&query, Source::Cache, code));
            }
            Err(failure) => failure,
        };
        let code = if waiting.alias.is_some() { code } else { failure.code() };
        debug!(question = ?query.asked, %failure, "not forwarded");
        if waiting.alias.is_none() {
            write_code(out, &query.head, Some(query.asked), (code, self.says(false)));
        }
        // Else it is written where the alias leads, so that whoever asked may go on from there.
        failure.extended_error().add(&failure.to_string(), out, (&query.head, transport));
        Response::Ready(answered(&query, Source::Upstream, code))
    }

    /// Writes what the table says; nothing where the name is none of ours.
    fn answer(
        &self,
        query: &Query<'_>,
        asked_at: Option<SocketAddr>,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Local {
        let Some(name) = LowerName::read(query.asked.name()) else { return Local::Outside };
        let mut reply = Reply::new(out, query.asked.wire, query.head.room(transport));
        let snapshot = self.names.load();
        let said = match &snapshot {
            Some(snapshot) => {
                // Ids are as good as random.
                let turn = usize::from(query.head.id);
                let zone = Zone::new(&snapshot.names, &self.records, asked_at).turned(turn);
                zone.answer(&name, query.asked.record_type, &mut reply)
            }
            None => Zone::new(&self.unknown, &self.records, asked_at).answer_unknown(&name, &mut reply),
        };
        let code = reply.code;
        match said {
            Said::Outside => Local::Outside,
            Said::All => {
                reply.finish(&query.head, self.says(true));
                if snapshot.is_none() {
                    let why = "the names of the cluster are not known yet";
                    ExtendedError::NotReady.add(why, out, (&query.head, transport));
                }
                Local::Said(code)
            }
            Said::Alias(target) => {
                reply.finish(&query.head, self.says(true));
                let name = Name::from_ascii(format!("{target}.")).ok();
                match name.zip(Sections::read(out)) {
                    Some((name, sections)) => {
                        let question = Question { name, record_type: query.asked.record_type };
                        Local::Alias(Alias { sections, question })
                    }
                    None => Local::Said(code),
                }
            }
        }
    }

    /// Waits for the upstream.
    pub(super) async fn finish(&self, pending: Box<Pending>) -> Vec<u8> {
        let Pending { waiting, over, _permit, transport, since } = *pending;
        match self.forwarder.finish(&waiting, over, transport).await {
            Ok((message, code)) => {
                let counted = answered(&waiting.query(), Source::Upstream, code);
                self.metrics.answered(transport, counted, since.elapsed());
                message
            }
            Err(failure) => self.fail(&waiting, failure, (transport, since)),
        }
    }

    /// What is left to say: where an alias leads, so that whoever asked may go on from there, or else the code.
    fn fail(&self, waiting: &Waiting, failure: Failure, (transport, since): (Transport, Instant)) -> Vec<u8> {
        let query = waiting.query();
        let code = waiting.alias.as_ref().map_or(failure.code(), |alias| alias.sections.code);
        debug!(question = ?query.asked, %failure, "not forwarded");
        self.metrics.answered(transport, answered(&query, Source::Upstream, code), since.elapsed());
        let alias = waiting.alias.as_ref();
        let led = alias.and_then(|alias| write(&query, &alias.sections, self.says(true), transport));
        let mut message = led.unwrap_or_else(|| {
            let mut message = Vec::new();
            write_code(&mut message, &query.head, Some(query.asked), (code, self.says(false)));
            message
        });
        failure.extended_error().add(&failure.to_string(), &mut message, (&query.head, transport));
        message
    }

    fn silence(&self, reason: &'static str) -> Response {
        self.metrics.dropped.with_label_values(&[reason]).inc();
        Response::Silence
    }

    fn says(&self, is_authoritative: bool) -> Says {
        Says { is_authoritative, is_truncated: false, offers_recursion: self.forwarder.has_upstreams() }
    }
}

fn answered(query: &Query<'_>, source: Source, code: ResponseCode) -> Answered {
    Answered { source, record_type: Some(query.asked.record_type), code }
}

/// Whether an address is that of no single host.
fn is_everybody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::DomainName;
    use prometheus::Registry;

    #[tokio::test]
    async fn what_is_sent_to_everybody_gets_no_answer() {
        let (_publisher, subscriber) = config::publisher();
        let settings = Settings::new(DomainName::cluster_local(), Vec::new());
        let responder =
            Responder::new(subscriber, settings, Metrics::new(&Registry::new()).unwrap(), Handle::current());
        let packet = [&[0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x00", &[0, 1, 0, 1]].concat();
        let peer = "192.0.2.9:4000".parse().unwrap();
        for (address, is_answered) in [
            ("224.0.0.251:5353", false),
            ("255.255.255.255:53", false),
            ("[ff02::fb]:5353", false),
            ("[::ffff:224.0.0.251]:5353", false),
            ("192.0.2.1:53", true),
            ("[::ffff:192.0.2.1]:53", true),
        ] {
            let asked_at = Some(address.parse().unwrap());
            let response = responder.respond(&packet, (peer, asked_at), Transport::Udp, &mut Vec::new());
            assert_eq!(matches!(response, Response::Ready(_)), is_answered, "{address}: {response:?}");
        }
        assert_eq!(responder.metrics.dropped.with_label_values(&["broadcast"]).get(), 4);
    }
}
