//! From a packet to its answer: what both transports share.

use super::Settings;
use crate::answer::{Answer, Sections, ZoneSettings, answer, is_in_zone, is_reverse};
use crate::forward::{Failure, Forwarder, Waiting};
use crate::message::{Says, Transport, write, write_code};
use crate::metrics::{Metrics, Source};
use crate::question::{Query, Question, Refusal};
use config::{DomainName, Subscriber};
use hickory_proto::op::ResponseCode;
use std::net::SocketAddr;
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

    /// Answers at once what needs no upstream.
    pub(super) fn respond(&self, packet: &[u8], peer: SocketAddr, transport: Transport) -> Response {
        let since = Instant::now();
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
        let alias = match self.answer(&query.question) {
            Answer::Zone(mut sections) => {
                // Ids are as good as random.
                sections.rotate(usize::from(query.head.id));
                let message = write(&query, &sections, self.says(true), transport);
                let counted = (Some(query.question.record_type), sections.code);
                self.metrics.answered(transport, Source::Zone, counted, since.elapsed());
                return Response::Ready(message);
            }
            Answer::Alias { sections, target } => {
                Some((sections, Question { name: target, record_type: query.question.record_type }))
            }
            Answer::Outside => None,
        };
        match self.forwarder.admit(query, alias, peer) {
            Ok(waiting) => Response::Pending(Box::new(Pending { waiting, transport, since })),
            Err((query, failure)) => Response::Ready(self.fail(&query, failure, transport, since)),
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        match self.names.load() {
            Some(snapshot) => answer(&snapshot.names, question, &self.records),
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
        let (query, reply) = self.forwarder.finish(waiting, transport).await;
        match reply {
            Ok((message, code)) => {
                let counted = (Some(query.question.record_type), code);
                self.metrics.answered(transport, Source::Upstream, counted, since.elapsed());
                message
            }
            Err(failure) => self.fail(&query, failure, transport, since),
        }
    }

    fn fail(&self, query: &Query, failure: Failure, transport: Transport, since: Instant) -> Vec<u8> {
        debug!(name = %query.question.name, r#type = %query.question.record_type, %failure, "not forwarded");
        let counted = (Some(query.question.record_type), failure.code());
        self.metrics.answered(transport, Source::Upstream, counted, since.elapsed());
        write_code(&query.head, Some(&query.question), failure.code(), self.says(false))
    }

    fn silence(&self, reason: &'static str) -> Response {
        self.metrics.dropped.with_label_values(&[reason]).inc();
        Response::Silence
    }

    fn says(&self, is_authoritative: bool) -> Says {
        Says { is_authoritative, is_truncated: false, offers_recursion: self.forwarder.has_upstreams() }
    }
}
