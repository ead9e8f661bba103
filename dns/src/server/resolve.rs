//! A question in a block: what the cluster's names say, and where they say nothing, others.

use super::respond::{Responder, Response};
use super::through::{After, written};
use crate::answer::{Said, Zone};
use crate::extended_error::ExtendedError;
use crate::forward::{Alias, AtOnce, Failure, Forwarder, Place, Waiting};
use crate::message::{Says, Transport, write, write_code};
use crate::metrics::{Answered, Counted, Source};
use crate::name::LowerName;
use crate::part::{Told, whoami};
use crate::question::Query;
use crate::reply::Reply;
use crate::serving::{Block, Records, Site};
use hickory_proto::op::ResponseCode;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::debug;

/// A question, who asks it and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'p> {
    pub(super) query: Query<'p>,
    pub(super) name: &'p LowerName,
    pub(super) peer: SocketAddr,
    /// Where it came to, if that is known.
    pub(super) asked_at: Option<SocketAddr>,
    pub(super) transport: Transport,
    pub(super) site: &'p Site,
    pub(super) counted: Counted,
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
    forwarder: Arc<Forwarder>,
    waiting: Waiting,
    /// What was known, and is over.
    over: Option<Arc<[u8]>>,
    _place: Place,
    transport: Transport,
    since: Instant,
    pub(super) after: Option<Box<After>>,
    counted: Counted,
}

impl Asking<'_> {
    pub(super) fn answered(&self, source: Source, code: ResponseCode) -> Response {
        Response::Ready(answered(self.counted, &self.query, source, code))
    }
}

impl Responder {
    /// Answers at once what needs no upstream, into `out`.
    pub(super) fn resolve(&self, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let local = match &block.records {
            Some(records) => self.answer(records, &block.forwarder, asking, out),
            None => Local::Outside,
        };
        match local {
            Local::Said(code) => asking.answered(Source::Zone, code),
            Local::Alias(alias) => self.follow(alias, block, asking, out),
            Local::Outside => {
                let tells = block.parts.as_ref().is_some_and(|parts| parts.tells_clients);
                let told = (tells && !block.forwarder.takes(asking.name)).then(|| tell_client(asking, out)).flatten();
                told.unwrap_or_else(|| self.forward(&block.forwarder, None, asking, out))
            }
        }
    }

    /// Asks others where an alias leads.
    pub(super) fn follow(&self, alias: Alias, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        // Whoever the target's own block asks knows it.
        let target = LowerName::read(alias.target());
        let block = target.and_then(|name| asking.site.find(&name)).map_or(block, |served| &served.block);
        self.forward(&block.forwarder, Some(alias), asking, out)
    }

    /// Asks others, unless the answer is known.
    fn forward(
        &self,
        forwarder: &Arc<Forwarder>,
        alias: Option<Alias>,
        asking: &Asking<'_>,
        out: &mut Vec<u8>,
    ) -> Response {
        let Asking { query, peer, transport, counted, .. } = *asking;
        let waiting = Waiting::new(&query, alias);
        let told = match forwarder.at_once(&waiting, (peer, transport), &self.shared.runtime) {
            AtOnce::Told(told) => told,
            AtOnce::Ask(over) => match (forwarder.admit(&waiting, peer), over) {
                (Ok(place), over) => {
                    let forwarder = Arc::clone(forwarder);
                    let since = Instant::now();
                    let pending =
                        Pending { forwarder, waiting, over, _place: place, transport, since, after: None, counted };
                    return Response::Pending(Box::new(pending));
                }
                (Err(Failure::Busy), Some(over)) => forwarder.tell_stale(&over, &waiting, transport),
                (Err(failure), _) => Err(failure),
            },
        };
        let failure = match told {
            Ok((message, code)) => {
                *out = message;
                return asking.answered(Source::Cache, code);
            }
            Err(failure) => failure,
        };
        let code = waiting.alias.as_ref().map_or(failure.code(), |alias| alias.sections.code);
        debug!(question = ?query.asked, %failure, "not forwarded");
        if waiting.alias.is_none() {
            write_code(out, &query.head, Some(query.asked), (code, says(forwarder, false)));
        }
        // Else it is written where the alias leads, so that whoever asked may go on from there.
        failure.extended_error().add(&failure.to_string(), out, (&query.head, transport));
        asking.answered(Source::Upstream, code)
    }

    /// Writes what the table says; nothing where the name is none of ours.
    fn answer(&self, records: &Records, forwarder: &Forwarder, asking: &Asking<'_>, out: &mut Vec<u8>) -> Local {
        let Asking { query, name, asked_at, transport, .. } = *asking;
        let Records { settings, unknown } = records;
        let mut reply = Reply::new(out, query.asked.wire, query.head.room(transport));
        let snapshot = self.shared.names.load();
        let said = match &snapshot {
            Some(snapshot) => {
                // Ids are as good as random.
                let turn = usize::from(query.head.id);
                let zone = Zone::new(&snapshot.names, settings, asked_at).turned(turn);
                zone.answer(name, query.asked.record_type, &mut reply)
            }
            None => Zone::new(unknown, settings, asked_at).answer_unknown(name, &mut reply),
        };
        let code = reply.code;
        match said {
            Said::Outside => Local::Outside,
            Said::All => {
                reply.finish(&query.head, says(forwarder, true));
                if snapshot.is_none() {
                    let why = "the names of the cluster are not known yet";
                    ExtendedError::NotReady.add(why, out, (&query.head, transport));
                }
                Local::Said(code)
            }
            Said::Alias(target) => {
                reply.finish(&query.head, says(forwarder, true));
                let target = LowerName::of(target);
                let alias = target.and_then(|name| Alias::new(name.suffix(0), query.asked.record_type, out));
                alias.map_or(Local::Said(code), Local::Alias)
            }
        }
    }

    /// Waits for the upstream.
    pub(super) async fn finish(&self, pending: Box<Pending>) -> Vec<u8> {
        let Pending { forwarder, waiting, over, _place, transport, since, after, counted } = *pending;
        let (mut message, code) = match forwarder.finish(&waiting, over, transport).await {
            Ok(told) => told,
            Err(failure) => fail(&forwarder, &waiting, failure, transport),
        };
        if let Some(after) = after {
            after.change(&mut message);
        }
        let answered = answered(counted, &waiting.query(), Source::Upstream, code);
        self.metrics.answered(transport, answered, (message.len(), since.elapsed()));
        message
    }
}

/// What is left to say: where an alias leads, so that whoever asked may go on from there, or else the code.
fn fail(forwarder: &Forwarder, waiting: &Waiting, failure: Failure, transport: Transport) -> (Vec<u8>, ResponseCode) {
    let query = waiting.query();
    let code = waiting.alias.as_ref().map_or(failure.code(), |alias| alias.sections.code);
    debug!(question = ?query.asked, %failure, "not forwarded");
    let alias = waiting.alias.as_ref();
    let led = alias.and_then(|alias| write(&query, &alias.sections, says(forwarder, true), transport));
    let mut message = led.unwrap_or_else(|| {
        let mut message = Vec::new();
        write_code(&mut message, &query.head, Some(query.asked), (code, says(forwarder, false)));
        message
    });
    failure.extended_error().add(&failure.to_string(), &mut message, (&query.head, transport));
    (message, code)
}

/// Writes who asks.
fn tell_client(asking: &Asking<'_>, out: &mut Vec<u8>) -> Option<Response> {
    let says = Says { is_authoritative: true, ..Says::default() };
    written(asking, (Source::Itself, says), out, |reply| {
        whoami::answer(asking.name, asking.peer, asking.transport, reply);
        Told::Answered
    })
}

pub(super) fn says(forwarder: &Forwarder, is_authoritative: bool) -> Says {
    Says { is_authoritative, is_truncated: false, offers_recursion: forwarder.has_upstreams() }
}

fn answered(question: Counted, query: &Query<'_>, source: Source, code: ResponseCode) -> Answered {
    Answered { question, source, record_type: Some(query.asked.record_type), code }
}
