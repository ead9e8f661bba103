//! One request and its answer: routed once, tried at endpoints, streamed both ways, recorded once.
//! One task owns it and polls both halves; nothing is spawned and nothing is sent through channels.

mod attempt;
mod caught;
mod client_policy;
mod draft;
mod failure;
mod farewell;
mod interrupt;
mod news;
mod tally;
mod terms;
mod trailers;
mod transfer;
mod upload;

use crate::answer::LocalAnswer;
use crate::clock::Clock;
use crate::down::{Down, DownError};
use crate::downstream::Downstream;
use crate::drain::{DrainPhase, Reached};
use crate::fields::FieldName;
use crate::forward::Provenance;
use crate::live::HeldView;
use crate::metrics::Guess;
use crate::record::{Phase, Reason, Record};
use crate::request::{Asked, Method, Refusal, Request, Target};
use crate::worker::Worker;
use caught::caught;
use config::{Action, Found, Outcome, Protocol, Respond, RuleOrigin, Split};
use draft::Draft;
use interrupt::Interrupt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use terms::Terms;
use tokio::time::Instant;
use upload::Upload;

/// What the client's connection is to do after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Serve another request, after what is left of the upload was thrown away.
    Keep,
    /// End it politely: the client may still be sending.
    Linger,
    /// The same; what it was made under does not hold any more, so that HTTP/2 takes no further request on it either.
    Retire,
    /// Close it so that what was sent does not look whole.
    Cut,
    /// Nobody is there, or all has been said.
    Close,
}

/// One exchange.
pub(crate) struct Exchange<'e> {
    worker: &'e Rc<Worker>,
    downstream: &'e Downstream,
    clock: &'e mut Clock,
    down: Down<'e>,
    request: &'e Request,
    provenance: Provenance<'e>,
    view: Rc<HeldView>,
    draft: Draft,
    upload: Upload,
    /// Whether the connection may serve another request.
    may_keep: bool,
    /// What its rule says of time and tries, if anything.
    terms: Option<Box<Terms>>,
    /// When the drain's time is over.
    over: Reached,
}

impl<'e> Exchange<'e> {
    /// Begins one. `may_keep` is false where the client or the drain wants the connection to end.
    pub(crate) fn new(
        worker: &'e Rc<Worker>,
        downstream: &'e Downstream,
        clock: &'e mut Clock,
        down: Down<'e>,
        request: &'e Request,
    ) -> Self {
        let provenance = Provenance::of(request, downstream, &worker.settings.trusted_proxies, worker.request_id());
        let asked = if worker.is_logged() { Asked::of(request) } else { Asked::nothing(request.version) };
        let mut record = record_of(downstream, asked);
        record.client.set_ip(provenance.client);
        if worker.is_logged() {
            record.request_id.clone_from(&provenance.request_id);
            record.server_name = downstream.tls.as_ref().and_then(|tls| tls.server_name.clone());
        }
        record.phase = Phase::Route;
        let draft = Draft::new(worker, record);
        let view = worker.views.current();
        Self {
            worker,
            downstream,
            clock,
            down,
            request,
            provenance,
            view,
            draft,
            upload: Upload::default(),
            may_keep: true,
            terms: None,
            over: worker.drain.reached(DrainPhase::Deadline),
        }
    }

    /// Serves the request. `may_keep` is false where the client or the drain wants the connection to end. A panic ends
    /// the exchange, but neither the connection's other streams nor the worker.
    // Not an `async fn`, whose future has room for its arguments twice.
    pub(crate) fn run(mut self, may_keep: bool) -> impl Future<Output = Finish> {
        self.may_keep = may_keep;
        async move {
            let finish = {
                let routing = pin!(self.route());
                caught(routing).await
            };
            let passed = self.down.take_passed();
            self.draft.set(|record| record.wire = passed);
            match finish {
                Some(_) => self.draft.conclude(),
                None => self.draft.panicked(),
            }
            finish.unwrap_or(Finish::Cut)
        }
    }

    async fn route(&mut self) -> Finish {
        if self.request.method == Method::Options && self.ends_here() {
            let answer = LocalAnswer::options(self.request, &self.worker.date());
            return self.local(&answer, None).await;
        }
        let view = Rc::clone(&self.view);
        let routing = &view.snapshot.routing;
        let (host, path) = (self.request.host_name(), self.request.target.path());
        let guess = self.worker.metrics.guess(host);
        let found = routing.find(self.downstream.listener, host, path);
        let is_redirected = matches!(found.outcome(self.spoken(), path), Some(Outcome::Redirect(_)));
        if let Some(refusal) = self.client_refusal(is_redirected) {
            return self.refuse_client(refusal).await;
        }
        let rule = match found {
            Found::Rule(rule) => rule,
            Found::Miss(_) if is_redirected => return self.redirect().await,
            Found::Miss(_) => return self.refuse(404, Reason::NoRoute).await,
        };
        if is_redirected {
            self.note_rule(&rule.origin);
            return self.redirect().await;
        }
        match &rule.action {
            Action::Respond(Respond { status, .. }) => {
                self.note_rule(&rule.origin);
                self.refuse(*status, Reason::ResourceBackend).await
            }
            Action::Forward(split) => {
                self.terms = rule.policy.as_ref().map(|policy| Terms::new(policy, self.draft.begun()));
                self.forward(guess, &rule.origin, split).await
            }
        }
    }

    /// What the client spoke, perhaps to a trusted proxy.
    fn spoken(&self) -> Protocol {
        if self.provenance.proto == "https" { Protocol::Https } else { Protocol::Http }
    }

    /// `OPTIONS *` asks about this server, and Max-Forwards 0 forbids to ask any other (RFC 9110 §7.6.2, §9.3.7).
    fn ends_here(&self) -> bool {
        self.request.target == Target::Asterisk || self.request.fields.first(FieldName::MaxForwards) == Some(b"0")
    }

    async fn forward(&mut self, guess: Guess, origin: &RuleOrigin, split: &Split) -> Finish {
        let key = match split.targets.as_slice() {
            [only] => &only.backend,
            targets => match self.worker.weighted(targets) {
                Some(target) => &target.backend,
                None => {
                    self.note_rule(origin);
                    return self.refuse(503, Reason::NoBackend).await;
                }
            },
        };
        // What counts it knows both; with many routes a look at their names is a miss of the cache.
        if self.worker.is_logged() {
            self.note_rule(origin);
            self.draft.set(|record| record.backend = Some(Arc::clone(key)));
        }
        self.draft.begin(self.worker.metrics.begin(guess, &origin.object, Some(key)));
        let view = Rc::clone(&self.view);
        match view.backend(key) {
            Some(backend) => self.try_endpoints(backend).await,
            None => self.refuse(503, Reason::NoBackend).await,
        }
    }

    fn note_rule(&mut self, origin: &RuleOrigin) {
        self.draft.set(|record| {
            record.route = Some(Arc::clone(&origin.object));
            record.rule = Some(Arc::clone(&origin.field));
        });
    }

    async fn redirect(&mut self) -> Finish {
        let Some(host) = &self.request.host else { return self.refuse(400, Reason::BadHost).await };
        let port = match self.worker.settings.advertised_https_port {
            443 => String::new(),
            port => format!(":{port}"),
        };
        let location = format!("https://{}{port}{}", host.name, self.request.target.text());
        let answer = LocalAnswer::redirect(&location, self.request, &self.worker.date());
        self.local(&answer, Some(Reason::RedirectHttps)).await
    }

    async fn refuse(&mut self, status: u16, reason: Reason) -> Finish {
        let answer = LocalAnswer::new(status, reason, Some(self.request), &self.worker.date());
        self.local(&answer, Some(reason)).await
    }

    /// Whether the client waits to be told to go on, and may thus never send its body (RFC 9110 §10.1.1).
    fn awaits_continue(&self) -> bool {
        self.request.expects_continue && !self.upload.was_continued && self.upload.bytes == 0
    }

    /// Whether what is left of the upload can be read over, so that the connection can serve another request.
    fn upload_rest_fits(&self) -> bool {
        let limit = self.worker.settings.limits.drained_upload;
        self.upload.is_ended() || (!self.awaits_continue() && self.down.upload_ends_within(limit))
    }

    /// On TLS the end of a client's half is how clients leave; a clear one may still read (RFC 9112 §9.6).
    fn leaves_by_half_closing(&self) -> bool {
        self.downstream.tls.is_some()
    }

    /// Answers here.
    async fn local(&mut self, answer: &LocalAnswer, reason: Option<Reason>) -> Finish {
        let keep = self.may_keep && !self.worker.drain.is_closing() && self.upload_rest_fits();
        self.draft.set(|record| {
            record.status = answer.status();
            record.reason = reason;
            record.bytes_out += answer.body().len() as u64;
        });
        if self.down.local(answer, keep).is_err() {
            // Only a stream can be over by then: its client left, or it was reset for what the answer was to say.
            self.draft.cut(reason.unwrap_or(Reason::ClientGone));
            return Finish::Close;
        }
        match self.flush(None).await {
            Ok(()) if keep => Finish::Keep,
            Ok(()) => Finish::Linger,
            Err(finish) => finish,
        }
    }

    /// Sends what is buffered; from `over` on, only what the client takes at once.
    async fn flush(&mut self, over: Option<Instant>) -> Result<(), Finish> {
        let Self { down, clock, worker, draft, over: drained, .. } = self;
        let limits = &worker.settings.limits;
        let mut moved_at = Instant::now();
        let flushed: Result<(), Reason> = poll_fn(|cx| {
            let mut progress = false;
            match down.poll_drain(cx, &mut progress) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::ClientGone)),
                Poll::Pending => {}
            }
            if let Poll::Ready(Err(_)) = down.poll_watch(cx, limits.read_ahead) {
                return Poll::Ready(Err(Reason::ClientGone));
            }
            if progress {
                moved_at = Instant::now();
            }
            if Pin::new(&mut *drained).poll(cx).is_ready() {
                return Poll::Ready(Err(Reason::Draining));
            }
            let stalled = moved_at + limits.write;
            match over.filter(|&over| over < stalled) {
                Some(over) => clock.poll(cx, over).map(|()| Err(Reason::Deadline)),
                None => clock.poll(cx, stalled).map(|()| Err(Reason::WriteTimeout)),
            }
        })
        .await;
        flushed.map_err(|reason| {
            draft.cut(reason);
            Finish::Cut
        })
    }

    /// The client left, or cannot be understood, before the answer was complete.
    fn client_failed(&mut self, error: DownError) -> Reason {
        match error {
            DownError::Gone => Reason::ClientGone,
            DownError::Cut => Reason::ClientReset,
            DownError::Malformed => Reason::BadRequest,
        }
    }
}

/// The record of a request, or of what could not be read as one.
fn record_of(downstream: &Downstream, asked: Asked) -> Record {
    let Asked { version, method, host, path } = asked;
    let Downstream { peer, listener, ref tls, .. } = *downstream;
    let tls = tls.as_ref().map(|tls| tls.version);
    Record { tls, version, method, host, path, ..Record::of(peer, listener) }
}

/// Records what was refused before it was a request; `answer` is what its client is told, if anything.
pub(crate) fn record_refusal(
    worker: &Rc<Worker>,
    downstream: &Downstream,
    asked: Asked,
    refusal: Refusal,
    answer: Option<&LocalAnswer>,
) {
    let mut draft = Draft::new(worker, record_of(downstream, asked));
    draft.set(|record| {
        record.status = refusal.status;
        record.reason = Some(refusal.reason);
        record.bytes_out = answer.map_or(0, |answer| answer.body().len() as u64);
    });
    draft.conclude();
}
