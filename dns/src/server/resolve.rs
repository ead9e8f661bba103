//! A question in a block: what the cluster's names say, and where they say nothing, others.

use super::after::After;
use super::errand::Running;
use super::now::Now;
use super::rate_limit::{Client, Verdict};
use super::respond::{Responder, Response};
use super::through::written;
use super::trace::{BLOCK, Finding};
use crate::answer::{Said, Zone};
use crate::cache::Over;
use crate::extended_error::ExtendedError;
use crate::forward::{AtOnce, Failure, Forwarder, Place, Waiting};
use crate::message::{Says, Transport, write_code};
use crate::metrics::{Answered, Counted, Source};
use crate::name::LowerName;
use crate::part::{Told, spelling, whoami};
use crate::plan;
use crate::question::{Asked, Head, Query};
use crate::reply::Reply;
use crate::serving::{Block, Records, Site};
use crate::wire::flag;
use crate::written::Logged;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tracing::debug;

/// A question, who asks it and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'p> {
    pub(super) query: Query<'p>,
    /// The one that it came in.
    pub(super) packet: &'p [u8],
    pub(super) name: &'p LowerName,
    pub(super) peer: SocketAddr,
    /// Where it came to, if that is known.
    pub(super) asked_at: Option<SocketAddr>,
    pub(super) transport: Transport,
    /// Whether it may wait for upstreams.
    pub(super) may_wait: bool,
    pub(super) now: &'p Now,
    pub(super) site: &'p Site,
    pub(super) counted: Counted,
    /// How many names have led to this one; 0: it is what the client asked for.
    pub(super) led: usize,
    /// When its client gives up, where an answer was waited for before; `None`: it has all the time that there is.
    pub(super) until: Option<Instant>,
}

/// What the table has to say.
#[derive(Debug)]
enum Local {
    /// All: it is written.
    Said(ResponseCode),
    /// CNAMEs that lead to this name, in wire form; they are written.
    Alias(Box<[u8]>),
    /// Nothing.
    Outside,
}

/// An answer that is waited for.
#[derive(Debug)]
pub(super) struct Pending {
    awaited: Awaited,
    transport: Transport,
    since: Instant,
    /// What is done with it then, in this order.
    pub(super) after: Vec<After>,
    counted: Counted,
    /// How long it is waited for, and what it is the answer to.
    pub(super) patience: Option<Box<(Duration, Head, Vec<u8>)>>,
    /// What is written about it.
    pub(super) logged: Option<Box<Logged>>,
    /// Who gets it, where so many answers are sent and no more.
    pub(super) limited: Option<Client>,
}

/// Who has it.
#[derive(Debug)]
enum Awaited {
    Upstream {
        /// Whose upstreams are asked.
        block: Arc<Block>,
        waiting: Waiting,
        /// What was known, and is over.
        over: Option<Over>,
        place: Box<Place>,
        until: Option<Instant>,
    },
    Errand(Running),
}

/// An answer that was waited for.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) message: Vec<u8>,
    pub(super) code: ResponseCode,
    pub(super) source: Source,
    /// The upstream that it is from; `None`: none was asked for it now.
    pub(super) upstream: Option<SocketAddr>,
    /// Whether it is that nobody answered.
    pub(super) is_unanswered: bool,
}

impl Asking<'_> {
    pub(super) fn answered(&self, source: Source, code: ResponseCode) -> Response {
        Response::Ready(Answered { question: self.counted, source, code })
    }

    /// An answer that takes several questions.
    pub(super) fn pending(&self, errand: Running) -> Response {
        self.wait_for(Awaited::Errand(errand))
    }

    fn wait_for(&self, awaited: Awaited) -> Response {
        let (transport, counted) = (self.transport, self.counted);
        Response::Pending(Box::new(Pending {
            awaited,
            transport,
            since: Instant::now(),
            after: Vec::new(),
            counted,
            patience: None,
            logged: None,
            limited: None,
        }))
    }
}

impl Responder {
    /// Answers at once what needs no upstream, into `out`.
    pub(super) fn resolve(&self, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let local = match &block.records {
            Some(records) => {
                self.looked_up(records, (block, asking));
                self.answer(records, &block.forwarder, asking, out)
            }
            None => Local::Outside,
        };
        let source = || {
            let known = asking.now.names.as_ref().map(|snapshot| &*snapshot.names);
            let is_external = block.records.as_ref().is_some_and(|records| records.has_external(known, asking.name));
            if is_external { Source::External } else { Source::Zone }
        };
        match local {
            Local::Said(code) => asking.answered(source(), code),
            Local::Alias(target) => self.follow(&target, (block, source()), asking, out),
            Local::Outside => {
                let tells = block.parts.as_ref().is_some_and(|parts| parts.tells_clients);
                let told = (tells && !block.forwarder.takes(asking.name)).then(|| tell_client(asking, out)).flatten();
                if told.is_some() {
                    self.said((block, asking), ("whoami", 0), || "the client is told its own address".to_owned());
                }
                told.unwrap_or_else(|| self.forward(block, asking, out))
            }
        }
    }

    /// Asks others, unless the answer is known.
    fn forward(&self, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let forwarder = &block.forwarder;
        let Asking { query, peer, transport, may_wait, until, .. } = *asking;
        let waiting = Waiting::new(&query, asking.site.metrics.server());
        if let Some(asked) = self.would_ask(block, &waiting, asking) {
            return asked;
        }
        let told = match forwarder.at_once(&waiting, (peer, transport), self.shared.behind()) {
            AtOnce::Told(told) => told,
            AtOnce::Ask(over) => {
                let behind = may_wait.then(|| self.shared.behind());
                match (forwarder.admit(&waiting, (peer, transport), behind), over) {
                    (Ok(place), over) => {
                        let (block, place) = (Arc::clone(block), Box::new(place));
                        return asking.wait_for(Awaited::Upstream { block, waiting, over, place, until });
                    }
                    (Err(Failure::Busy), Some(over)) => forwarder.tell_stale(&over, &waiting, transport),
                    (Err(failure), _) => Err(failure),
                }
            }
        };
        let failure = match told {
            Ok((message, code)) => {
                *out = message;
                return asking.answered(Source::Cache, code);
            }
            Err(failure) => failure,
        };
        tell_failure(block, &query, &failure, &self.shared.runtime);
        let code = write_failure(out, block, (&query, transport), &failure);
        // Where nobody is set to be asked no `forward` has a say in it.
        let source = if failure.is_of_nobody() { Source::Itself } else { Source::Upstream };
        asking.answered(source, code)
    }

    /// Where questions are explained nobody is asked, and what depends on the answer is waited for without an end.
    fn would_ask(&self, block: &Arc<Block>, waiting: &Waiting, asking: &Asking<'_>) -> Option<Response> {
        self.shared.trace.as_ref()?;
        let name = waiting.name();
        let Some(route) = block.forwarder.route_of(name) else {
            self.met((block, asking), BLOCK, || Finding::Nobody(name.to_vec()));
            return None;
        };
        self.met((block, asking), ("forward", route), || Finding::Upstreams(spelling::told(name)));
        Some(asking.pending(Running(Box::pin(std::future::pending()))))
    }

    /// Writes what the table says; nothing where the name is none of ours.
    fn answer(&self, records: &Records, forwarder: &Forwarder, asking: &Asking<'_>, out: &mut Vec<u8>) -> Local {
        let Asking { query, name, asked_at, transport, now, .. } = *asking;
        let Records { settings, unknown, is_alone, longest } = records;
        let mut reply = Reply::new(out, query.asked.wire, query.head.room(transport));
        let said = match &now.names {
            Some(snapshot) => {
                // Ids are as good as random, but over HTTPS, where all are 0 (RFC 8484 §4.1).
                let has_id = self.at.transport != plan::Transport::Https || self.shared.trace.is_some();
                let turn = usize::from(if has_id { query.head.id } else { rand::random() });
                let zone = Zone::new(&snapshot.names, settings, asked_at).turned(turn).alone(*is_alone);
                zone.answer(name, query.asked.record_type, &mut reply)
            }
            None => Zone::new(unknown, settings, asked_at).answer_unknown(name, &mut reply),
        };
        let code = reply.code;
        if !matches!(said, Said::Outside) {
            reply.finish(&query.head, says(forwarder, true));
            if let Some(longest) = longest {
                longest.shorten(name.suffix(0), out);
            }
        }
        match said {
            Said::Outside => Local::Outside,
            Said::All => {
                if now.names.is_none() {
                    let why = "the names of the cluster are not known yet";
                    ExtendedError::NotReady.add(why, out, (&query.head, transport));
                }
                Local::Said(code)
            }
            Said::Alias(target) => {
                LowerName::of(target).map_or(Local::Said(code), |name| Local::Alias(name.suffix(0).into()))
            }
        }
    }

    /// Waits for an answer, which `end` completes, and counts it as it leaves; empty where none is sent, which can be so over
    /// UDP alone.
    pub(super) async fn finish(&self, mut pending: Box<Pending>, end: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let (transport, since, question) = (pending.transport, pending.since, pending.counted);
        let logged = pending.logged.take();
        let (patience, limited) = (pending.patience.take(), pending.limited);
        // Large, and of no use to whoever keeps the answer until it is taken.
        let settled = Box::pin(self.settle(pending));
        let Settled { mut message, mut code, source, upstream, is_unanswered: _ } = match patience {
            None => settled.await,
            Some(patience) => {
                let (span, head, question) = *patience;
                timeout(span, settled).await.unwrap_or_else(|_| given_up(&head, &question, transport))
            }
        };
        if let (Some(client), Some(limiter)) = (limited, self.shared.guards.rate_limiter(transport)) {
            match limiter.look(&mut message, code, client, Instant::now().into_std()) {
                Verdict::Sent(as_code) => code = as_code,
                Verdict::Dropped => return Vec::new(),
            }
        }
        if let Some(logged) = logged {
            logged.end(&message, upstream);
        }
        end(&mut message);
        self.metrics.answered(transport, Answered { question, source, code }, (message.len(), since.elapsed()));
        message
    }

    /// Waits for an answer.
    pub(super) async fn settle(&self, pending: Box<Pending>) -> Settled {
        let Pending { awaited, transport, after, .. } = *pending;
        let mut settled = match awaited {
            Awaited::Upstream { block, waiting, over, place, until } => {
                let finished = block.forwarder.finish(&waiting, (*place, over), until, &self.shared.runtime);
                let (told, upstream) = finished.await;
                let is_unanswered = told.as_ref().is_err_and(Failure::is_unanswered);
                let (message, code) = told.unwrap_or_else(|failure| {
                    let mut message = Vec::new();
                    tell_failure(&block, &waiting.query(), &failure, &self.shared.runtime);
                    let code = write_failure(&mut message, &block, (&waiting.query(), transport), &failure);
                    (message, code)
                });
                Settled { message, code, source: Source::Upstream, upstream, is_unanswered }
            }
            Awaited::Errand(errand) => errand.0.await,
        };
        for after in &after {
            after.change(&mut settled.message, transport);
            settled.code = code(&settled.message);
        }
        settled
    }
}

/// Writes that upstreams did not tell, and why; the code of that.
fn write_failure(
    out: &mut Vec<u8>,
    block: &Block,
    (query, transport): (&Query<'_>, Transport),
    failure: &Failure,
) -> ResponseCode {
    let code = failure.code();
    write_code(out, &query.head, Some(query.asked), (code, says(&block.forwarder, false)));
    failure.extended_error().add(&failure.to_string(), out, (&query.head, transport));
    code
}

/// What is told where the answer takes too long.
fn given_up(head: &Head, question: &[u8], transport: Transport) -> Settled {
    let (mut message, code) = (Vec::new(), ResponseCode::ServFail);
    // The type is of no account for a code alone.
    let asked = Asked { wire: question, record_type: RecordType::ZERO };
    write_code(&mut message, head, Some(asked), (code, Says::default()));
    ExtendedError::NoReachableAuthority.add("it takes too long", &mut message, (head, transport));
    Settled { message, code, source: Source::Itself, upstream: None, is_unanswered: true }
}

/// Tells operators that a question was not answered, as the block has it.
fn tell_failure(block: &Block, query: &Query<'_>, failure: &Failure, runtime: &Handle) {
    match &block.errors {
        // That nobody is set to be asked, or was told of already, is no news.
        Some(errors) if !failure.is_of_nobody() && *failure != Failure::Remembered => {
            errors.tell(&query.asked, failure.code(), failure.cause(), runtime);
        }
        _ => debug!(question = ?query.asked, failure = %failure.cause(), "not forwarded"),
    }
}

/// Writes who asks.
fn tell_client(asking: &Asking<'_>, out: &mut Vec<u8>) -> Option<Response> {
    let says = Says { is_authoritative: true, ..Says::default() };
    written(asking, (Source::Whoami, says), out, |reply| {
        whoami::answer(asking.name, asking.peer, asking.transport, reply);
        Told::Answered
    })
}

pub(super) fn says(forwarder: &Forwarder, is_authoritative: bool) -> Says {
    Says { is_authoritative, is_truncated: false, offers_recursion: forwarder.has_upstreams() }
}

/// The code in a message's header: of what is changed on its way none has a longer one.
pub(super) fn code(message: &[u8]) -> ResponseCode {
    let flags = message.get(2..4).and_then(|flags| <[u8; 2]>::try_from(flags).ok()).map(u16::from_be_bytes);
    ResponseCode::from(0, (flags.unwrap_or_default() & flag::CODE) as u8)
}
