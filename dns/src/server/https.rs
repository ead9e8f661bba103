//! Questions over HTTPS (RFC 8484), with HTTP/1.1 or HTTP/2.

mod allowance;
mod host;

use super::padding;
use super::respond::{Responder, Response};
use super::tcp::{Limits, Stop};
use super::untaken::{Held, Untaken};
use crate::message::Transport;
use crate::serving::Clocks;
use crate::wire::{Cursor, OPT, SOA, flag};
use allowance::{Allowance, Metered};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use percent_encoding::percent_decode_str;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout};

/// Where questions are taken.
const PATH: &str = "/dns-query";
const MESSAGE: &str = "application/dns-message";
/// Without padding (RFC 8484 §6); some clients send it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The longest question taken; bytes.
const LONGEST: usize = 4096;
/// Questions at once on one connection: no fewer than 100 (RFC 9113 §6.5.2).
const STREAMS: u32 = 128;
/// Streams of one connection that may wait to be looked at though they were reset meanwhile (CVE-2023-44487).
const UNSEEN: usize = 20;
/// Streams that may be reset for a client's mistakes (CVE-2025-8671).
const MISTAKEN: usize = 100;
/// How soon a connection notices that it is silent, or that nothing is taken.
const RECHECK: Duration = Duration::from_millis(500);

type Answer = hyper::Response<Full<Held>>;

/// One connection.
struct Conversation {
    responder: Arc<Responder>,
    ends: (SocketAddr, Option<SocketAddr>),
    clocks: Clocks,
    allowance: Arc<Allowance>,
    untaken: Arc<Untaken>,
    stop: Stop,
    /// Whether the client does not take its answers, so that no more are made.
    is_stuck: AtomicBool,
    /// Questions that are being answered.
    open: AtomicUsize,
    /// Questions there have been.
    asked: AtomicU32,
}

/// Answers until the client is silent or gone; once `stop` comes, only what has been asked.
pub(super) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ends: (SocketAddr, Option<SocketAddr>),
    responder: Arc<Responder>,
    (limits, clocks): (&Limits, Clocks),
    mut stop: Stop,
) -> io::Result<()> {
    let conversation = Arc::new(Conversation::new(responder, (ends, clocks), stop.clone()));
    let stream = TokioIo::new(Metered { stream, allowance: Arc::clone(&conversation.allowance) });
    let server = http_server(clocks);
    let service = service_fn(|request| {
        let conversation = Arc::clone(&conversation);
        // Now, and not when its turn comes: more may be read before that.
        conversation.allowance.asked();
        // What answers it goes once there is an answer, which may stay for long.
        Box::pin(async move { Ok::<_, Infallible>(conversation.answer(request).await) })
    });
    let mut stopped = pin!(stop.comes());
    let mut connection = pin!(server.serve_connection(stream, service));
    let (mut since, mut seen, mut is_ending, mut is_stopped) = (Instant::now(), 0, false, false);
    let (mut taken, mut mark) = (since, 0);
    loop {
        tokio::select! {
            ended = &mut connection => return conversation.ended(ended.map_err(io::Error::other)),
            () = &mut stopped, if !is_stopped => {
                (is_stopped, is_ending) = (true, true);
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(RECHECK) => {}
        }
        let asked = conversation.asked.load(Ordering::Relaxed);
        let untaken = &conversation.untaken;
        // Who takes answers is not silent; but where the server ends it has to be done in time.
        let is_busy = conversation.open.load(Ordering::Relaxed) > 0 || untaken.is_any() && !is_stopped;
        if is_busy || asked != seen {
            (since, seen) = (Instant::now(), asked);
        }
        if untaken.is_taken(&mut mark) {
            taken = Instant::now();
        } else if taken.elapsed() >= clocks.write {
            conversation.is_stuck.store(true, Ordering::Relaxed);
            return Err(conversation.responder.not_taken());
        }
        let is_over = clocks.most_questions.is_some_and(|most| asked >= most);
        if is_ending && since.elapsed() >= clocks.write {
            // It was told, and does not go.
            return Ok(());
        }
        if !is_ending && (is_over || since.elapsed() >= limits.patience(ends.0.ip(), clocks.idle)) {
            (is_ending, since) = (true, Instant::now());
            connection.as_mut().graceful_shutdown();
        }
    }
}

fn http_server(clocks: Clocks) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(clocks.idle).max_buf_size(16 << 10);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(16 << 10);
    server.http2().max_pending_accept_reset_streams(UNSEEN).max_local_error_reset_streams(MISTAKEN);
    server
}

/// One of the questions that are being answered.
struct Open<'c> {
    conversation: &'c Conversation,
    is_answered: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.conversation.open.fetch_sub(1, Ordering::Relaxed);
        if !self.is_answered {
            self.conversation.allowance.taken_back();
        }
    }
}

impl Conversation {
    fn new(responder: Arc<Responder>, (ends, clocks): ((SocketAddr, Option<SocketAddr>), Clocks), stop: Stop) -> Self {
        let (allowance, untaken) = (Arc::new(Allowance::new()), responder.untaken(ends.0));
        let (is_stuck, open, asked) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicU32::new(0));
        Self { responder, ends, clocks, allowance, untaken, stop, is_stuck, open, asked }
    }

    /// Counts it where that is the client's fault.
    fn ended(&self, ended: io::Result<()>) -> io::Result<()> {
        if self.allowance.is_spent() {
            self.responder.metrics.dropped.with_label_values(&["flood"]).inc();
        }
        ended
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut open = Open { conversation: self, is_answered: false };
        if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            self.stop.asked();
        }
        let is_head = request.method() == Method::HEAD;
        let answer = match self.question(request).await {
            Ok(question) => {
                self.untaken.room().await;
                if self.is_stuck.load(Ordering::Relaxed) { untaken() } else { self.ask(&question).await }
            }
            Err(_) if self.responder.holds_back_noise(self.ends.0) => too_many(),
            Err((status, why)) => refusal(status, why),
        };
        self.responder.count_https(answer.status().as_str());
        open.is_answered = true;
        if is_head { without_content(answer) } else { answer }
    }

    /// The question of a request.
    async fn question(&self, request: Request<Incoming>) -> Result<Vec<u8>, (StatusCode, &'static str)> {
        let wrong = |why| (StatusCode::BAD_REQUEST, why);
        if !host::is_told(request.version(), request.uri(), request.headers()) {
            return Err(wrong("the request has no host that can be read, or several"));
        }
        if request.uri().path() != PATH {
            return Err((StatusCode::NOT_FOUND, "questions are taken at /dns-query"));
        }
        match *request.method() {
            Method::GET | Method::HEAD => {
                let query = request.uri().query().unwrap_or_default();
                let encoded = query.split('&').find_map(|pair| pair.strip_prefix("dns="));
                let encoded = encoded.ok_or(wrong("the query has no dns="))?;
                // Nothing in it needs an escape, and any character may be one (RFC 3986 §2.3).
                let encoded: Vec<_> = percent_decode_str(encoded).collect();
                if encoded.len() > LONGEST / 3 * 4 + 4 {
                    return Err((StatusCode::URI_TOO_LONG, "the question is longer than 4096 bytes"));
                }
                BASE64URL.decode(encoded).map_err(|_| wrong("dns= is not base64url"))
            }
            Method::POST => {
                let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                // It has no parameters, so that those that come mean nothing (RFC 2045 §5).
                let kind = kind.and_then(|kind| kind.split(';').next());
                if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(MESSAGE)) {
                    return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the type is application/dns-message"));
                }
                let body = Limited::new(request.into_body(), LONGEST).collect();
                match timeout(self.clocks.read, body).await {
                    Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
                    Ok(Err(error)) if error.is::<LengthLimitError>() => {
                        Err((StatusCode::PAYLOAD_TOO_LARGE, "the question is longer than 4096 bytes"))
                    }
                    Ok(Err(_)) => Err(wrong("the question did not come whole")),
                    Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the question did not come in time")),
                }
            }
            _ => Err((StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD and POST are taken")),
        }
    }

    async fn ask(&self, question: &[u8]) -> Answer {
        let begun = Instant::now();
        let (mut message, is_padded) = (Vec::new(), padding::is_asked_for(question));
        let end = |message: &mut Vec<u8>| {
            if is_padded {
                padding::add(message);
            }
        };
        match self.responder.respond(question, self.ends, Transport::Tcp, &mut message) {
            Response::Silence => return refusal(StatusCode::BAD_REQUEST, "that is no question"),
            Response::Dropped => return refusal(StatusCode::BAD_REQUEST, "that question gets no answer here"),
            Response::HeldBack => return too_many(),
            Response::Ready(answered) => {
                if answered.asks_for_a_zone() {
                    self.responder.log_zone(question, self.ends, &message);
                }
                end(&mut message);
                self.responder.metrics.answered(Transport::Tcp, answered, (message.len(), begun.elapsed()));
            }
            Response::Pending(pending) => message = self.responder.finish(pending, end).await,
        }
        let age = format!("max-age={}", freshness(&message).unwrap_or(0));
        // Upstreams may have been asked for many before anything was there to be taken.
        let Some(held) = self.untaken.hold(message) else { return untaken() };
        let mut answer = Answer::new(Full::new(held));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MESSAGE));
        if let Ok(age) = HeaderValue::from_str(&age) {
            answer.headers_mut().insert(header::CACHE_CONTROL, age);
        }
        answer
    }
}

/// The same as an answer to HEAD, with the length that it would have (RFC 9110 §8.6, §9.3.2).
fn without_content(answer: Answer) -> Answer {
    let (mut head, body) = answer.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Answer::from_parts(head, Full::new("".into()))
}

/// No answer of DNS, so what HTTP has in its place (RFC 8484 §4.2.1, RFC 6585 §4).
fn too_many() -> Answer {
    refusal(StatusCode::TOO_MANY_REQUESTS, "the client asks too much")
}

fn untaken() -> Answer {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "other answers are not taken")
}

fn refusal(status: StatusCode, why: &'static str) -> Answer {
    let mut answer = Answer::new(Full::new(why.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let more = match status {
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "GET, HEAD, POST")),
        // In a second each client may ask something.
        StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, "1")),
        _ => None,
    };
    if let Some((name, value)) = more {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// For how many seconds an answer may be kept (RFC 8484 §5.1): no longer than its shortest record, or for a denial as its
/// SOA says. `None`: it is neither.
fn freshness(message: &[u8]) -> Option<u32> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    let code = header.flags & flag::CODE;
    if header.flags & flag::TRUNCATED != 0 || !matches!(code, 0 | 3) {
        return None;
    }
    cursor.skip_questions(&header)?;
    let mut shortest = None;
    for _ in 0..header.records() {
        let record = cursor.record()?;
        if record.record_type == OPT {
            continue;
        }
        let mut ttl = record.ttl;
        if record.record_type == SOA {
            let minimum = record.content.last_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
            ttl = ttl.min(minimum);
        }
        shortest = Some(shortest.map_or(ttl, |shortest: u32| shortest.min(ttl)));
    }
    shortest
}
