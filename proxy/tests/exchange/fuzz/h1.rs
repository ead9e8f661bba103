//! Peers that speak HTTP/1 by their scripts.

use super::script::{ClientScript, Fault, Framing, Random, Sending, UpstreamScript};
use super::{Answer, Attempt, Attempts, End, HOLD};
use crate::harness::field;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How a peer's own message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    Faulty(Fault),
    /// The other side takes no more.
    Refused,
}

/// Sends a message as its script says; `has_ended` is set before the end of it may be on its way.
async fn send(
    writer: &mut OwnedWriteHalf,
    head: &str,
    body: Option<&Sending>,
    random: &mut Random,
    has_ended: &AtomicBool,
) -> Sent {
    has_ended.store(body.is_none_or(|body| body.length == 0 && body.fault.is_none()), Relaxed);
    if writer.write_all(head.as_bytes()).await.is_err() {
        return Sent::Refused;
    }
    let Some(body) = body else { return Sent::Whole };
    let (bytes, mut at) = (body.bytes(), 0);
    loop {
        let len = body.piece(random, at);
        let mut piece = bytes[at..at + len].to_vec();
        at += len;
        if body.framing == Framing::Chunked && len > 0 {
            piece = [format!("{len:x}\r\n").as_bytes(), &piece, b"\r\n"].concat();
        }
        has_ended.store(at == body.length && body.fault.is_none(), Relaxed);
        if writer.write_all(&piece).await.is_err() {
            return Sent::Refused;
        }
        random.pause().await;
        if len == 0 || at == body.length {
            break;
        }
    }
    let Some((_, fault)) = body.fault else {
        let end: &[u8] = if body.framing == Framing::Chunked { b"0\r\n\r\n" } else { b"" };
        return if writer.write_all(end).await.is_ok() { Sent::Whole } else { Sent::Refused };
    };
    match fault {
        Fault::Fin => drop(writer.shutdown().await),
        Fault::Reset => writer.as_ref().set_zero_linger().expect("linger"),
        Fault::Stall => {}
    }
    Sent::Faulty(fault)
}

/// The reading half of a connection.
struct Reader {
    half: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Reader {
    fn new(half: OwnedReadHalf) -> Self {
        Self { half, buffer: Vec::new() }
    }

    /// Reads more; how it ended where there is no more.
    async fn more(&mut self) -> Result<(), End> {
        match self.half.read_buf(&mut self.buffer).await {
            Ok(0) => Err(End::Whole),
            Ok(_) => Ok(()),
            Err(_) => Err(End::Cut),
        }
    }

    async fn until(&mut self, text: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(text.len()).position(|window| window == text) {
                let rest = self.buffer.split_off(at + text.len());
                return Some(String::from_utf8_lossy(&std::mem::replace(&mut self.buffer, rest)).into_owned());
            }
            self.more().await.ok()?;
        }
    }

    /// Reads a body, up to `most` bytes of it.
    async fn body(&mut self, head: &str, is_bodiless: bool, most: usize, body: &mut Vec<u8>) -> End {
        if is_bodiless {
            return End::Whole;
        }
        if field(head, "transfer-encoding").is_some() {
            loop {
                let Some(line) = self.until(b"\r\n").await else { return End::Cut };
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap_or_else(|_| panic!("no size: {line:?}"));
                match self.take(size, most, body).await {
                    End::Whole => {}
                    end => return end,
                }
                let Some(line) = self.until(b"\r\n").await else { return End::Cut };
                assert_eq!(line, "\r\n", "after a chunk");
                if size == 0 {
                    return End::Whole;
                }
            }
        }
        if let Some(length) = field(head, "content-length") {
            return self.take(length.parse().expect("a length"), most, body).await;
        }
        loop {
            body.append(&mut self.buffer);
            if body.len() >= most {
                return End::Stopped;
            }
            if let Err(end) = self.more().await {
                return end;
            }
        }
    }

    async fn take(&mut self, len: usize, most: usize, body: &mut Vec<u8>) -> End {
        let end = body.len() + len;
        loop {
            let rest = self.buffer.split_off(self.buffer.len().min(end - body.len()));
            body.append(&mut self.buffer);
            self.buffer = rest;
            if body.len() == end {
                return End::Whole;
            }
            if body.len() >= most {
                return End::Stopped;
            }
            if self.more().await.is_err() {
                return End::Cut;
            }
        }
    }
}

fn framing_of(body: Option<&Sending>) -> String {
    match body {
        Some(body) if body.framing == Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Some(body) if body.framing == Framing::Length => format!("Content-Length: {}\r\n", body.length),
        _ => String::new(),
    }
}

/// A connection of a client, for as many exchanges as it carries; tells what came of each.
pub(super) async fn client(proxy: SocketAddr, version: &str, scripts: &[ClientScript]) -> Vec<(ClientScript, Answer)> {
    let (read, mut write) = TcpStream::connect(proxy).await.expect("connect").into_split();
    let mut reader = Reader::new(read);
    let mut answers = Vec::new();
    for script in scripts {
        let (answer, goes_on) = ask(&mut reader, &mut write, version, script).await;
        answers.push((script.clone(), answer));
        if !goes_on {
            break;
        }
    }
    // Else its drop would end our half first.
    write.forget();
    answers
}

async fn ask(reader: &mut Reader, writer: &mut OwnedWriteHalf, version: &str, script: &ClientScript) -> (Answer, bool) {
    let upload = script.upload.as_ref();
    let (seed, method) = (script.seed, script.method);
    let framing = framing_of(upload);
    let head = format!("{method} / HTTP/{version}\r\nHost: a.test\r\nX-Seed: {seed}\r\n{framing}\r\n");
    let (has_ended, mut random) = (AtomicBool::new(false), Random::new(seed ^ 1));
    let mut sent = None;
    let mut answer = {
        let sending = send(writer, &head, upload, &mut random, &has_ended);
        let receiving = receive(reader, script);
        tokio::pin!(sending, receiving);
        loop {
            tokio::select! {
                ended = &mut sending, if sent.is_none() => {
                    sent = Some(ended);
                    if ended == Sent::Faulty(Fault::Reset) {
                        break Answer::default();
                    }
                }
                answer = &mut receiving => break answer,
            }
        }
    };
    answer.upload_ended = has_ended.load(Relaxed);
    if sent == Some(Sent::Refused) && answer.is_until_close && answer.end == Some(End::Whole) {
        // A reset is told once, and was told to the writer.
        answer.end = Some(End::Cut);
    }
    if answer.end == Some(End::Stopped) {
        if script.stops_reading.is_some_and(|(_, fault)| fault == Fault::Reset) {
            writer.as_ref().set_zero_linger().expect("linger");
        } else {
            sleep(HOLD / 2 * (seed % 3) as u32).await;
        }
        return (answer, false);
    }
    // An answer that came before the end of the upload may have ended the connection.
    let is_in_order = upload.is_none() || (0..2).all(|attempt| !UpstreamScript::of(seed, attempt).may_be_early());
    let goes_on = is_in_order && answer.end == Some(End::Whole) && !answer.closes && sent == Some(Sent::Whole);
    if answer.closes && answer.end == Some(End::Whole) && !answer.is_until_close {
        // Nothing may follow.
        let end = timeout(HOLD, reader.more()).await;
        assert!(reader.buffer.is_empty(), "{seed}: after the answer: {:?}", String::from_utf8_lossy(&reader.buffer));
        assert!(sent != Some(Sent::Whole) || end.is_ok(), "{seed}: the connection stays open");
    }
    (answer, goes_on)
}

async fn receive(reader: &mut Reader, script: &ClientScript) -> Answer {
    let mut answer = Answer::default();
    let head = loop {
        let Some(head) = reader.until(b"\r\n\r\n").await else { return answer };
        if !head.starts_with("HTTP/1.1 1") {
            break head;
        }
    };
    answer.status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    answer.is_the_upstreams = field(&head, "x-own").is_some();
    answer.closes = field(&head, "connection") == Some("close");
    answer.is_until_close = field(&head, "transfer-encoding").or(field(&head, "content-length")).is_none();
    let is_bodiless = script.method == "HEAD" || matches!(answer.status, Some(204 | 304));
    let most = script.stops_reading.map_or(usize::MAX, |(at, _)| at);
    answer.end = Some(reader.body(&head, is_bodiless, most, &mut answer.body).await);
    answer
}

/// An upstream that serves until it is dropped.
pub(super) async fn upstream(listener: TcpListener, attempts: Arc<Attempts>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(serve(accepted.expect("accept").0, Arc::clone(&attempts)));
            }
            Some(ended) = connections.join_next() => ended.expect("no panic"),
        }
    }
}

async fn serve(socket: TcpStream, attempts: Arc<Attempts>) {
    let (read, mut writer) = socket.into_split();
    let mut reader = Reader::new(read);
    while let Some(head) = reader.until(b"\r\n\r\n").await {
        let seed = field(&head, "x-seed").and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| panic!("no request: {head:?}"));
        let attempt = attempts.begin(seed);
        let script = UpstreamScript::of(seed, attempt);
        let (seen, goes_on) = answer(&mut reader, &mut writer, &head, &script, seed).await;
        attempts.end(seed, attempt, seen);
        if !goes_on {
            break;
        }
    }
    // Else its drop would end our half first.
    writer.forget();
}

async fn answer(
    reader: &mut Reader,
    writer: &mut OwnedWriteHalf,
    request: &str,
    script: &UpstreamScript,
    seed: u64,
) -> (Attempt, bool) {
    let mut seen = Attempt::default();
    let has_body = ["transfer-encoding", "content-length"].iter().any(|name| field(request, name).is_some());
    let most = script.stops_reading.unwrap_or(usize::MAX);
    let mut sent = None;
    if script.is_early {
        let reading = reader.body(request, !has_body, most, &mut seen.upload);
        let writing = say(writer, request, script, seed);
        tokio::pin!(reading, writing);
        while sent.is_none() || seen.end.is_none() {
            tokio::select! {
                end = &mut reading, if seen.end.is_none() => seen.end = Some(end),
                ended = &mut writing, if sent.is_none() => {
                    sent = Some(ended);
                    if ended == Sent::Faulty(Fault::Reset) || ended == Sent::Refused {
                        break;
                    }
                }
            }
        }
    } else {
        let end = reader.body(request, !has_body, most, &mut seen.upload).await;
        seen.end = Some(end);
        if end != End::Cut {
            sent = Some(say(writer, request, script, seed).await);
        }
    }
    if sent == Some(Sent::Faulty(Fault::Stall)) || seen.end == Some(End::Stopped) {
        // Until the proxy lets go.
        let _ = timeout(2 * HOLD, writer.as_ref().ready(Interest::ERROR)).await;
    }
    let is_kept = script.download.framing != Framing::UntilClose || script.body_for("GET").is_empty();
    (seen.clone(), is_kept && sent == Some(Sent::Whole) && seen.end == Some(End::Whole))
}

/// The answer, with what comes before it.
async fn say(writer: &mut OwnedWriteHalf, request: &str, script: &UpstreamScript, seed: u64) -> Sent {
    let mut random = Random::new(seed ^ 2);
    random.pause().await;
    match script.is_silent {
        Some(Fault::Reset) => writer.as_ref().set_zero_linger().expect("linger"),
        Some(Fault::Fin) => drop(writer.shutdown().await),
        Some(Fault::Stall) | None => {}
    }
    if let Some(fault) = script.is_silent {
        return Sent::Faulty(fault);
    }
    for _ in 0..script.interim {
        if writer.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await.is_err() {
            return Sent::Refused;
        }
        random.pause().await;
    }
    let body = Some(&script.download).filter(|_| script.status != 204);
    let (status, framing) = (script.status, framing_of(body));
    // Who does not read this request to its end reads no other.
    let close = if script.stops_reading.is_some() { "Connection: close\r\n" } else { "" };
    let head = format!("HTTP/1.1 {status} Some\r\nX-Own: {seed}\r\n{close}{framing}\r\n");
    let sent =
        send(writer, &head, body.filter(|_| !request.starts_with("HEAD ")), &mut random, &AtomicBool::new(false)).await;
    if sent == Sent::Whole && body.is_some_and(|body| body.framing == Framing::UntilClose) {
        // By then the request may not have been read.
        let _ = writer.shutdown().await;
    }
    sent
}
