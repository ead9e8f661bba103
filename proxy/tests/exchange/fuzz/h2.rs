//! Peers that speak HTTP/2 by their scripts.

use super::script::{ClientScript, Fault, Framing, Random, Sending, UpstreamScript};
use super::{Answer, Attempt, Attempts, End, HOLD};
use crate::harness::Running;
use crate::harness::h2::{Over, request};
use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream, client, server};
use bytes::Bytes;
use http::{Request, Response};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Small frames are no flood here.
const FRAME_BUDGET: usize = 16 * 1024 * 1024;
/// A stream that is not read keeps no other waiting.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// Sends a body as its script says; false where the other side takes no more.
async fn send(stream: &mut SendStream<Bytes>, body: &Sending, random: &mut Random, has_ended: &AtomicBool) -> bool {
    let (bytes, mut at) = (body.bytes(), 0);
    loop {
        let wanted = body.piece(random, at);
        if wanted == 0 {
            break;
        }
        stream.reserve_capacity(wanted);
        let Some(Ok(granted)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return false };
        let len = granted.min(wanted);
        has_ended.store(at + len == body.length && body.fault.is_none(), Relaxed);
        if stream.send_data(Bytes::copy_from_slice(&bytes[at..at + len]), false).is_err() {
            return false;
        }
        at += len;
        random.pause().await;
    }
    has_ended.store(body.fault.is_none(), Relaxed);
    match body.fault {
        None => stream.send_data(Bytes::new(), true).is_ok(),
        Some((_, Fault::Stall)) => {
            // Until the other side lets go.
            let _ = poll_fn(|cx| stream.poll_reset(cx)).await;
            false
        }
        Some(_) => {
            // What is queued would be lost, and is to be part of the cut.
            sleep(std::time::Duration::from_millis(2)).await;
            stream.send_reset(Reason::CANCEL);
            false
        }
    }
}

/// Reads a body, up to `most` bytes of it.
async fn receive(stream: &mut RecvStream, most: usize, body: &mut Vec<u8>) -> End {
    loop {
        match stream.data().await {
            Some(Ok(data)) => {
                body.extend_from_slice(&data);
                if body.len() >= most {
                    return End::Stopped;
                }
                let _ = stream.flow_control().release_capacity(data.len());
            }
            Some(Err(_)) => return End::Cut,
            None => return if stream.trailers().await.is_ok() { End::Whole } else { End::Cut },
        }
    }
}

/// A connection of a client, with all exchanges at once; tells what came of each.
pub(super) async fn client(proxy: &Running, scripts: &[ClientScript]) -> Vec<(ClientScript, Answer)> {
    let socket = proxy.socket(Over::Clear).await;
    let mut builder = client::Builder::new();
    builder.data_frame_budget(FRAME_BUDGET).initial_connection_window_size(CONNECTION_WINDOW);
    let (mut sender, connection) = builder.handshake(socket).await.expect("preface");
    let driver = tokio::spawn(connection);
    let mut asking = JoinSet::new();
    for script in scripts.iter().cloned() {
        sender = sender.ready().await.expect("open");
        let mut head = request(script.method, "/").header("x-seed", script.seed);
        if let Some(upload) = script.upload.as_ref().filter(|upload| upload.framing == Framing::Length) {
            head = head.header("content-length", upload.length);
        }
        let head = head.body(()).expect("a request");
        let (response, stream) = sender.send_request(head, script.upload.is_none()).expect("a request");
        asking.spawn(async move { (script.clone(), ask(response, stream, script).await) });
    }
    let answers = asking.join_all().await;
    driver.abort();
    answers
}

async fn ask(response: client::ResponseFuture, mut stream: SendStream<Bytes>, script: ClientScript) -> Answer {
    let (has_ended, mut random) = (AtomicBool::new(script.upload.is_none()), Random::new(script.seed ^ 1));
    let mut answer = {
        let uploading = async {
            if let Some(upload) = &script.upload {
                send(&mut stream, upload, &mut random, &has_ended).await;
            }
        };
        let receiving = answer_of(response, &script);
        tokio::pin!(uploading, receiving);
        let mut is_sent = false;
        loop {
            tokio::select! {
                () = &mut uploading, if !is_sent => is_sent = true,
                answer = &mut receiving => break answer,
            }
        }
    };
    answer.upload_ended = has_ended.load(Relaxed);
    if answer.end == Some(End::Stopped) && script.stops_reading.is_some_and(|(_, fault)| fault == Fault::Stall) {
        sleep(HOLD / 2 * (script.seed % 3) as u32).await;
    }
    answer
}

async fn answer_of(response: client::ResponseFuture, script: &ClientScript) -> Answer {
    let mut answer = Answer::default();
    let Ok(response) = response.await else { return answer };
    let (head, mut stream) = response.into_parts();
    answer.status = Some(head.status.as_u16());
    answer.is_the_upstreams = head.headers.contains_key("x-own");
    let most = script.stops_reading.map_or(usize::MAX, |(at, _)| at);
    answer.end = Some(receive(&mut stream, most, &mut answer.body).await);
    answer
}

/// An upstream that serves until it is dropped.
pub(super) async fn upstream(listener: TcpListener, attempts: Arc<Attempts>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(serve_all(accepted.expect("accept").0, Arc::clone(&attempts)));
            }
            Some(ended) = connections.join_next() => ended.expect("no panic"),
        }
    }
}

async fn serve_all(socket: TcpStream, attempts: Arc<Attempts>) {
    let mut builder = server::Builder::new();
    builder.data_frame_budget(FRAME_BUDGET).initial_connection_window_size(CONNECTION_WINDOW);
    let Ok(mut connection) = builder.handshake(socket).await else { return };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(serve(request, respond, Arc::clone(&attempts)));
    }
    streams.join_all().await;
}

async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, attempts: Arc<Attempts>) {
    let (head, mut stream) = request.into_parts();
    let seed = head.headers["x-seed"].to_str().expect("text").parse().expect("a seed");
    let attempt = attempts.begin(seed);
    let script = UpstreamScript::of(seed, attempt);
    let mut seen = Attempt::default();
    let most = script.stops_reading.unwrap_or(usize::MAX);
    let is_head = head.method == http::Method::HEAD;
    if script.is_early {
        let reading = receive(&mut stream, most, &mut seen.upload);
        let (end, ()) = tokio::join!(reading, say(&mut respond, &script, seed, is_head));
        seen.end = Some(end);
    } else {
        let end = receive(&mut stream, most, &mut seen.upload).await;
        seen.end = Some(end);
        if end != End::Cut {
            say(&mut respond, &script, seed, is_head).await;
        }
    }
    if seen.end == Some(End::Stopped) {
        sleep(HOLD).await;
    }
    attempts.end(seed, attempt, seen);
}

async fn say(respond: &mut SendResponse<Bytes>, script: &UpstreamScript, seed: u64, is_head: bool) {
    let mut random = Random::new(seed ^ 2);
    random.pause().await;
    match script.is_silent {
        None => {}
        Some(Fault::Stall) => {
            let _ = poll_fn(|cx| respond.poll_reset(cx)).await;
            return;
        }
        Some(_) => return respond.send_reset(Reason::INTERNAL_ERROR),
    }
    for _ in 0..script.interim {
        let hints = Response::builder().status(103).header("link", "</x>").body(()).expect("a head");
        if respond.send_informational(hints).is_err() {
            return;
        }
        random.pause().await;
    }
    let has_body = script.status != 204;
    let mut head = Response::builder().status(script.status).header("x-own", seed);
    if has_body && script.download.framing == Framing::Length {
        head = head.header("content-length", script.download.length);
    }
    let is_bodiless = is_head || !has_body;
    let Ok(mut stream) = respond.send_response(head.body(()).expect("a head"), is_bodiless) else { return };
    if !is_bodiless {
        send(&mut stream, &script.download, &mut random, &AtomicBool::new(false)).await;
    }
}
