//! Answers that take several questions: a walk through a search list, and addresses made for networks without IPv4.
//! All of an answer's questions have the time of one.

use super::now::Now;
use super::resolve::{Asking, Pending, Settled, code};
use super::respond::{Responder, Response};
use super::trace::spelled;
use crate::forward::PATIENCE;
use crate::message::Transport;
use crate::metrics::{Answered, Counted, Source};
use crate::name::LowerName;
use crate::part::autopath::{self, SearchList};
use crate::part::dns64::Dns64;
use crate::question::{Asked, Head, Query};
use crate::serving::{Block, Serving};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::time::Instant;

/// A question that outlives its packet.
#[derive(Debug)]
pub(super) struct Owned {
    block: Arc<Block>,
    serving: Arc<Serving>,
    packet: Box<[u8]>,
    question: Box<[u8]>,
    record_type: RecordType,
    head: Head,
    peer: SocketAddr,
    asked_at: Option<SocketAddr>,
    transport: Transport,
    may_wait: bool,
    counted: Counted,
    led: usize,
    /// When its client gives up.
    until: Instant,
}

/// What is to be asked, and what is known of it.
#[derive(Debug)]
pub(super) enum Errand {
    /// AAAA records are to be made if these are none.
    Translate { asked: Owned, aaaa: First },
    /// The names of a search list are asked for, one after the other.
    /// `is_whole`: the client's own list is known to be no longer.
    Walk { asked: Owned, list: SearchList, is_whole: bool, first: First },
}

/// One that somebody is on.
pub(super) struct Running(pub(super) Pin<Box<dyn Future<Output = Settled> + Send>>);

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

/// The answer to the first question.
#[derive(Debug)]
pub(super) enum First {
    Known(Settled),
    Waited(Box<Pending>),
}

impl Errand {
    /// Whether its first answer is waited for.
    fn is_waited(&self) -> bool {
        let (Self::Translate { aaaa: first, .. } | Self::Walk { first, .. }) = self;
        matches!(first, First::Waited(_))
    }
}

impl First {
    /// # Errors
    /// There is no answer; the response as it was.
    pub(super) fn of(response: Response, out: &[u8]) -> Result<Self, Response> {
        match response {
            Response::Silence | Response::HeldBack | Response::Dropped => Err(response),
            Response::Ready(answered) => {
                let (message, Answered { code, source, .. }) = (out.to_vec(), answered);
                Ok(Self::Known(Settled { message, code, source, upstream: None, is_unanswered: false }))
            }
            Response::Pending(pending) => Ok(Self::Waited(pending)),
        }
    }
}

impl Owned {
    pub(super) fn of(asking: &Asking<'_>, block: &Arc<Block>) -> Self {
        let Asking { query, packet, name: _, peer, asked_at, transport, may_wait, now, site: _, counted, led, until } =
            *asking;
        Self {
            block: Arc::clone(block),
            serving: Arc::clone(&now.serving),
            packet: packet.into(),
            question: query.asked.wire.into(),
            record_type: query.asked.record_type,
            head: query.head,
            peer,
            asked_at,
            transport,
            may_wait,
            counted,
            led,
            until: until.unwrap_or_else(|| Instant::now() + PATIENCE),
        }
    }

    fn query(&self) -> Query<'_> {
        Query { head: self.head, asked: Asked { wire: &self.question, record_type: self.record_type } }
    }
}

impl Responder {
    /// Asks what is to be asked: at once as far as nobody is waited for, and so as fast as questions are read, then where
    /// answers are waited for, of which there are only so many.
    pub(super) fn send(&self, errand: Errand, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let (responder, is_waited) = (self.clone(), errand.is_waited());
        let mut running = Running(Box::pin(async move { responder.run(errand).await }));
        if is_waited {
            return asking.pending(running);
        }
        // Timers and sockets are the runtime's, which the thread that is here may not be one of.
        let _runtime = self.shared.runtime.enter();
        // Whoever polls it next leaves a waker of its own.
        match running.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Settled { message, code, source, upstream: _, is_unanswered: _ }) => {
                *out = message;
                asking.answered(source, code)
            }
            Poll::Pending => asking.pending(running),
        }
    }

    /// Asks what is to be asked.
    async fn run(&self, errand: Errand) -> Settled {
        match errand {
            Errand::Translate { asked, aaaa } => self.translate(&asked, aaaa).await,
            Errand::Walk { asked, list, is_whole, first } => self.walk(&asked, (&list, is_whole), first).await,
        }
    }

    async fn settle_first(&self, first: First) -> Settled {
        match first {
            First::Known(settled) => settled,
            First::Waited(pending) => self.settle(pending).await,
        }
    }

    /// The answer to another question of the same client, in the time that is left for it: to one that this has led to as
    /// the server answers it, or else from the same block, with all that changes answers. `None`: it gets none.
    async fn ask_too(
        &self,
        asked: &Owned,
        (question, record_type): (&[u8], RecordType),
        is_led: bool,
    ) -> Option<Settled> {
        let (response, out) = {
            let (name, _) = question.split_last_chunk::<4>()?;
            let name = &LowerName::read(name)?;
            let now = Now::continued(&self.shared, &asked.serving);
            let site = now.serving.site(self.at)?;
            let Owned { block, packet, head, .. } = asked;
            let query = Query { head: *head, asked: Asked { wire: question, record_type } };
            let Owned { peer, asked_at, transport, may_wait, counted, .. } = *asked;
            let (led, now, until) = (asked.led + usize::from(is_led), &now, Some(asked.until));
            let asking =
                Asking { query, packet, name, peer, asked_at, transport, may_wait, now, site, counted, led, until };
            let plugin = if is_led { "autopath" } else { "dns64" };
            self.said((block, &asking), (plugin, 0), || format!("{} is asked for too", spelled(&query.asked)));
            let mut out = Vec::new();
            let response = match is_led {
                true => self.respond_led(block, &asking, &mut out),
                false => self.changed(block.parts.as_ref()?, block, &asking, &mut out),
            };
            if is_led && is_error(&response) {
                self.said((block, &asking), (plugin, 0), || {
                    "that is an error, or no answer: the client is left to walk by itself".to_owned()
                });
            }
            (response, out)
        };
        Some(self.settle_first(First::of(response, &out).ok()?).await)
    }

    /// AAAA records made of A records, where there are none.
    async fn translate(&self, asked: &Owned, aaaa: First) -> Settled {
        let aaaa = Box::pin(self.settle_first(aaaa)).await;
        let dns64 = asked.block.parts.as_ref().and_then(|parts| parts.dns64.as_ref());
        // Where nobody answers the client gives up before another question is over.
        let may_ask = |dns64: &&Dns64| !aaaa.is_unanswered && dns64.is_lacking(&aaaa.message);
        let Some(dns64) = dns64.filter(may_ask) else { return aaaa };
        let question = Dns64::question(&asked.query());
        match Box::pin(self.ask_too(asked, (&question, RecordType::A), false)).await {
            Some(a) => {
                asked.serving.site(self.at).iter().for_each(|site| site.metrics.translated());
                let message = dns64.synthesise(&asked.query(), &aaaa.message, &a.message, asked.transport);
                Settled { code: code(&message), message, ..a }
            }
            None => aaaa,
        }
    }

    /// The first name of a search list that there is, or the end of the walk; after an error the client goes on by itself,
    /// from the answer to its own question.
    async fn walk(&self, asked: &Owned, (list, is_whole): (&SearchList, bool), first: First) -> Settled {
        let first = Box::pin(self.settle_first(first)).await;
        let query = asked.query();
        let name = LowerName::read(query.asked.name());
        let walk = name.as_ref().and_then(|name| list.walk(&query, name));
        let site = asked.serving.site(self.at);
        let Some(walk) = walk.filter(|_| first.code == ResponseCode::NXDomain) else {
            site.iter().for_each(|site| site.metrics.walked());
            return first;
        };
        let meant = walk.meant();
        let kind = query.asked.wire.last_chunk::<4>().copied().unwrap_or_default();
        let mut last = None;
        for name in walk.skip(1) {
            let question = [&name[..], &kind].concat();
            let asked_too = self.ask_too(asked, (&question, asked.record_type), true);
            match Box::pin(asked_too).await {
                Some(found) if found.code == ResponseCode::NXDomain => last = Some(found),
                Some(found) if found.code == ResponseCode::NoError => {
                    site.iter().for_each(|site| site.metrics.walked());
                    let message = autopath::bridge(&query, &name, &found.message, asked.transport);
                    return Settled { code: code(&message), message, ..found };
                }
                // What an error means to a walk, and so to what comes behind it, is for each client to say.
                _ => return first,
            }
        }
        let Some(last) = last.filter(|_| is_whole) else { return first };
        let message = autopath::end(&query, &meant, [&first.message, &last.message], asked.transport);
        Settled { code: code(&message), message, source: Source::Autopath, upstream: None, is_unanswered: false }
    }
}

/// Whether it neither is an answer nor says that there is no such name, as far as is known.
fn is_error(response: &Response) -> bool {
    match response {
        Response::Silence | Response::HeldBack | Response::Dropped => true,
        Response::Ready(Answered { code, .. }) => !matches!(*code, ResponseCode::NoError | ResponseCode::NXDomain),
        Response::Pending(_) => false,
    }
}

#[cfg(test)]
mod tests;
