//! From a packet to its answer: what both transports share.

use super::Settings;
use crate::answer::{Answer, Sections, ZoneSettings, answer, is_in_zone, is_reverse};
use crate::forward::{Alias, Failure, Forwarder, Waiting};
use crate::message::{Says, Transport, write, write_code};
use crate::metrics::{Metrics, Source};
use crate::question::{Query, Question, Refusal};
use config::{DomainName, Subscriber};
use hickory_proto::op::ResponseCode;
use std::net::{IpAddr, SocketAddr};
use tokio::time::Instant;
use tracing::debug;

/// Answers packets.
#[derive(Debug)]
pub(super) struct Responder {
    names: Subscriber,
    zone: DomainName,
    records: ZoneSettings,
    forwarder: Forwarder,
    pub(super) metrics: Metrics,
}

/// What becomes of a packet.
#[derive(Debug)]
pub(super) enum Response {
    /// No answer.
    Silence,
    /// This message.
    Ready(Vec<u8>),
    /// A message once an upstream has answered.
    Pending(Box<Pending>),
}

/// A query that waits for an upstream.
#[derive(Debug)]
pub(super) struct Pending {
    waiting: Waiting,
    transport: Transport,
    since: Instant,
}

impl Responder {
    pub(super) fn new(names: Subscriber, settings: Settings, metrics: Metrics) -> Self {
        let Settings { zone, records, upstreams, upstream_timeout, forward_limit, tcp_limit: _, tcp_idle: _ } =
            settings;
        let forwarder = Forwarder::new(upstreams, upstream_timeout, forward_limit, metrics.forward.clone());
        Self { names, zone, records, forwarder, metrics }
    }

    /// Answers at once what needs no upstream. `asked_at`: where the packet came to, if that is known.
    pub(super) fn respond(
        &self,
        packet: &[u8],
        peer: SocketAddr,
        asked_at: Option<SocketAddr>,
        transport: Transport,
    ) -> Response {
        let since = Instant::now();
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
            Err(Refusal::Code(head, question, code)) => {
                let message = write_code(&head, question.as_ref(), code, self.says(false));
                let record_type = question.map(|question| question.record_type);
                self.metrics.answered(transport, Source::Zone, (record_type, code), since.elapsed());
                return Response::Ready(message);
            }
        };
        let alias = match self.answer(&query.question, asked_at) {
            Answer::Zone(mut sections) => {
                // Ids are as good as random.
                sections.rotate(usize::from(query.head.id));
                let message = write(&query, &sections, self.says(true), transport);
                let counted = (Some(query.question.record_type), sections.code);
                self.metrics.answered(transport, Source::Zone, counted, since.elapsed());
                return Response::Ready(message);
            }
            Answer::Alias { sections, target } => {
                let question = Question { name: target, record_type: query.question.record_type };
                Some(Alias { sections, question })
            }
            Answer::Outside => None,
        };
        match self.forwarder.admit(peer) {
            Ok(permit) => {
                let waiting = Waiting::new(query, alias, permit);
                Response::Pending(Box::new(Pending { waiting, transport, since }))
            }
            Err(failure) => Response::Ready(self.fail(&query, alias.as_ref(), failure, (transport, since))),
        }
    }

    fn answer(&self, question: &Question, asked_at: Option<SocketAddr>) -> Answer {
        match self.names.load() {
            Some(snapshot) => answer(&snapshot.names, question, &ZoneSettings { asked_at, ..self.records }),
            // Nobody knows yet what is there: "no such name" would be believed, and kept.
            None if is_in_zone(&question.name, &self.zone) || is_reverse(&question.name) => {
                Answer::Zone(Sections { code: ResponseCode::ServFail, ..Sections::default() })
            }
            None => Answer::Outside,
        }
    }

    /// Waits for the upstream.
    pub(super) async fn finish(&self, pending: Box<Pending>) -> Vec<u8> {
        let Pending { waiting, transport, since } = *pending;
        match self.forwarder.finish(&waiting, transport).await {
            Ok((message, code)) => {
                let counted = (Some(waiting.query.question.record_type), code);
                self.metrics.answered(transport, Source::Upstream, counted, since.elapsed());
                message
            }
            Err(failure) => self.fail(&waiting.query, waiting.alias.as_ref(), failure, (transport, since)),
        }
    }

    /// What is left to say: where an alias leads, so that whoever asked may go on from there, or else the code.
    fn fail(
        &self,
        query: &Query,
        alias: Option<&Alias>,
        failure: Failure,
        (transport, since): (Transport, Instant),
    ) -> Vec<u8> {
        debug!(name = %query.question.name, r#type = %query.question.record_type, %failure, "not forwarded");
        let code = alias.map_or(failure.code(), |alias| alias.sections.code);
        let counted = (Some(query.question.record_type), code);
        self.metrics.answered(transport, Source::Upstream, counted, since.elapsed());
        match alias {
            Some(alias) => write(query, &alias.sections, self.says(true), transport),
            None => write_code(&query.head, Some(&query.question), code, self.says(false)),
        }
    }

    fn silence(&self, reason: &'static str) -> Response {
        self.metrics.dropped.with_label_values(&[reason]).inc();
        Response::Silence
    }

    fn says(&self, is_authoritative: bool) -> Says {
        Says { is_authoritative, is_truncated: false, offers_recursion: self.forwarder.has_upstreams() }
    }
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
    use prometheus::Registry;

    #[test]
    fn what_is_sent_to_everybody_gets_no_answer() {
        let (_publisher, subscriber) = config::publisher();
        let settings = Settings::new(DomainName::cluster_local(), Vec::new());
        let responder = Responder::new(subscriber, settings, Metrics::new(&Registry::new()).unwrap());
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
            let response = responder.respond(&packet, peer, asked_at, Transport::Udp);
            assert_eq!(matches!(response, Response::Ready(_)), is_answered, "{address}: {response:?}");
        }
        assert_eq!(responder.metrics.dropped.with_label_values(&["broadcast"]).get(), 4);
    }
}
