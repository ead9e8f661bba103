//! HTTP/2 upstreams: what they refuse, how many streams they take, how they go away.

use crate::harness::frames::{END_HEADERS, END_STREAM, Frames, STATUS_200, frame, kind, literal};
use crate::harness::h2::{H2Client, H2Peer, Over, answer, body, head, post, respond};
use crate::harness::{Running, Setup, Upstream, field, proxied};
use config::BackendProtocol;
use h2::Reason;
use h2::client::ResponseFuture;
use std::time::Duration;

/// A proxy in front of a clear-text HTTP/2 upstream, and a client of it.
async fn h2c(change: impl FnOnce(&mut Setup)) -> (Upstream, Running, H2Client) {
    let (upstream, proxy) = proxied(|setup| {
        setup.protocol = BackendProtocol::H2c;
        change(setup);
    })
    .await;
    let client = proxy.h2(Over::Clear).await;
    (upstream, proxy, client)
}

/// Reads a request and gives its stream.
async fn request(up: &mut Frames) -> u32 {
    up.until(kind::HEADERS).await.stream
}

async fn answer_200(up: &mut Frames, stream: u32) {
    up.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &[STATUS_200]).await;
}

async fn go_away(up: &mut Frames, last_stream: u32) {
    let payload = [last_stream.to_be_bytes(), u32::from(Reason::NO_ERROR).to_be_bytes()].concat();
    up.send(kind::GOAWAY, 0, 0, &payload).await;
}

async fn reset(up: &mut Frames, stream: u32, reason: Reason) {
    up.send(kind::RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes()).await;
}

async fn status(response: ResponseFuture) -> u16 {
    answer(response).await.status()
}

/// The connection to whichever of two upstreams is tried first, and the other one.
async fn first_tried<'u>(one: &'u Upstream, other: &'u Upstream) -> (Frames, &'u Upstream) {
    tokio::select! {
        up = one.accept_frames(&[]) => (up, other),
        up = other.accept_frames(&[]) => (up, one),
    }
}

#[tokio::test]
async fn case_120_a_refused_post_is_tried_elsewhere() {
    let (one, other) = (Upstream::bind().await, Upstream::bind().await);
    let proxy = Setup::to(&[one.address, other.address]).speaking(BackendProtocol::H2c).start().await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.post(post("/"), "hi").await;
    let (mut up, other) = first_tried(&one, &other).await;
    let stream = request(&mut up).await;
    reset(&mut up, stream, Reason::REFUSED_STREAM).await;
    let mut up = other.accept_h2().await;
    let (mut request, mut sent) = up.request().await;
    assert_eq!(body(request.body_mut()).await, (b"hi".to_vec(), Ok(None)));
    respond(&mut sent, 200, "");
    assert_eq!(status(response).await, 200);
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn case_120_a_refused_post_is_tried_elsewhere_once_where_two_tries_are_all() {
    let (one, other) = (Upstream::bind().await, Upstream::bind().await);
    let setup = Setup::to(&[one.address, other.address]).limits(|limits| limits.attempts = 2);
    let proxy = setup.speaking(BackendProtocol::H2c).start().await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.post(post("/"), "hi").await;
    let (mut up, other) = first_tried(&one, &other).await;
    let stream = request(&mut up).await;
    reset(&mut up, stream, Reason::REFUSED_STREAM).await;
    let mut second = other.accept_frames(&[]).await;
    let stream = request(&mut second).await;
    reset(&mut second, stream, Reason::REFUSED_STREAM).await;
    assert_eq!(status(response).await, 502);
    // Each of them sees the next request before any other.
    let _response = client.get("/").await;
    let next = tokio::select! {
        frame = up.until(kind::HEADERS) => frame,
        frame = second.until(kind::HEADERS) => frame,
    };
    assert_eq!(next.stream, 3);
}

#[tokio::test]
async fn a_post_that_is_reset_otherwise_is_not_repeated() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let response = client.post(post("/"), "hi").await;
    let mut up = upstream.accept_frames(&[]).await;
    let stream = request(&mut up).await;
    reset(&mut up, stream, Reason::INTERNAL_ERROR).await;
    assert_eq!(status(response).await, 502);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST / 502 upstream_reset"]).await;
}

#[tokio::test]
async fn a_get_that_is_reset_is_tried_again_on_a_connection_that_is_fine() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let response = client.get("/0").await;
    let mut up = upstream.accept_frames(&[]).await;
    let stream = request(&mut up).await;
    answer_200(&mut up, stream).await;
    assert_eq!(status(response).await, 200);
    let response = client.get("/1").await;
    for stream in [3, 5, 7] {
        assert_eq!(request(&mut up).await, stream);
        reset(&mut up, stream, Reason::INTERNAL_ERROR).await;
    }
    assert_eq!(status(response).await, 502);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET /0 200", "GET /1 502 upstream_reset"]).await;
}

#[tokio::test]
async fn case_121_a_post_beyond_the_last_stream_of_a_goaway_is_tried_again() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let response = client.post(post("/"), "hi").await;
    let mut up = upstream.accept_frames(&[]).await;
    assert_eq!(request(&mut up).await, 1);
    go_away(&mut up, 0).await;
    let mut up = upstream.accept_h2().await;
    let (mut request, mut sent) = up.request().await;
    assert_eq!(body(request.body_mut()).await, (b"hi".to_vec(), Ok(None)));
    respond(&mut sent, 200, "");
    assert_eq!(status(response).await, 200);
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn case_121_the_last_stream_of_a_goaway_finishes() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let response = client.post(post("/"), "hi").await;
    let mut leaving = upstream.accept_frames(&[]).await;
    let stream = request(&mut leaving).await;
    go_away(&mut leaving, stream).await;
    leaving.knows_all().await;
    // Others go elsewhere already.
    let other = client.get("/other").await;
    let mut up = upstream.accept_frames(&[]).await;
    let other_stream = request(&mut up).await;
    answer_200(&mut up, other_stream).await;
    assert_eq!(status(other).await, 200);
    answer_200(&mut leaving, stream).await;
    assert_eq!(status(response).await, 200);
    leaving.end().await;
    proxy.after(&["POST / 200", "GET /other 200"]).await;
}

#[tokio::test]
async fn an_idle_connection_that_went_away_costs_no_attempt() {
    let (upstream, proxy, mut client) = h2c(|setup| setup.limits.attempts = 1).await;
    for _ in 0..5 {
        let response = client.post(post("/"), "hi").await;
        let mut up = upstream.accept_frames(&[]).await;
        let stream = request(&mut up).await;
        answer_200(&mut up, stream).await;
        assert_eq!(status(response).await, 200);
        go_away(&mut up, stream).await;
        up.end().await;
    }
    proxy.after(&["POST / 200"; 5]).await;
}

/// Accepts connections and answers every request on them with 200.
fn answer_all(upstream: Upstream, streams: u32) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let mut peer = upstream.accept_h2_with(|builder| _ = builder.max_concurrent_streams(streams)).await;
            tokio::spawn(async move {
                while let Some((_, mut sent)) = peer.next().await {
                    tokio::task::yield_now().await;
                    respond(&mut sent, 200, "ok");
                }
            });
        }
    })
}

#[tokio::test]
async fn case_122_requests_beyond_the_streams_of_a_connection_are_all_served() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let answering = answer_all(upstream, 1);
    let mut responses = vec![];
    for _ in 0..10 {
        responses.push(client.get("/").await);
    }
    for response in responses {
        assert_eq!(status(response).await, 200);
    }
    answering.abort();
    proxy.after(&["GET / 200"; 10]).await;
}

#[tokio::test]
async fn a_burst_shares_a_connection_that_takes_many_streams() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let mut responses = vec![];
    for _ in 0..50 {
        responses.push(client.get("/").await);
    }
    let mut up = upstream.accept_h2().await;
    for _ in 0..50 {
        let (_, mut sent) = up.request().await;
        respond(&mut sent, 200, "");
    }
    for response in responses {
        assert_eq!(status(response).await, 200);
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 200"; 50]).await;
}

#[tokio::test]
async fn case_123_cancelled_waits_for_a_stream_give_their_places_back() {
    let (upstream, proxy, mut client) = h2c(|setup| {
        setup.limits.upstream_streams = 1;
        setup.limits.h2_streams = 2000;
        setup.limits.h2_resets = 10_000;
    })
    .await;
    // Every connection that may be opened is busy.
    let mut busy = vec![];
    for _ in 0..8 {
        let response = client.get("/busy").await;
        let mut up = upstream.accept_frames(&[]).await;
        let stream = request(&mut up).await;
        busy.push((up, stream, response));
    }
    let mut waiting = proxy.frames(Over::Clear).await;
    let requests: Vec<u8> = (0..1000)
        .flat_map(|number| crate::harness::frames::head(1 + 2 * number, &crate::harness::frames::get("/")))
        .collect();
    waiting.send_bytes(&requests).await;
    waiting.knows_all().await;
    let resets: Vec<u8> = (0..1000)
        .flat_map(|number| frame(kind::RST_STREAM, 0, 1 + 2 * number, &u32::from(Reason::CANCEL).to_be_bytes()))
        .collect();
    waiting.send_bytes(&resets).await;
    waiting.knows_all().await;
    // The places of those that were under way come back too, answered or not.
    let mut ups = vec![];
    for (number, (mut up, stream, response)) in busy.into_iter().enumerate() {
        if number % 2 == 0 {
            answer_200(&mut up, stream).await;
            assert_eq!(status(response).await, 200);
        } else {
            drop(response);
            assert_eq!(up.until(kind::RST_STREAM).await.stream, stream);
        }
        ups.push(up);
    }
    let mut responses = vec![];
    for _ in 0..8 {
        responses.push(client.get("/again").await);
    }
    for up in &mut ups {
        let stream = request(up).await;
        answer_200(up, stream).await;
    }
    for response in responses {
        assert_eq!(status(response).await, 200);
    }
    assert!(upstream.is_left_alone().await);
}

/// PINGs that come soon.
fn hasty(setup: &mut Setup) {
    setup.limits.upstream_ping_idle = Duration::from_millis(200);
    setup.limits.upstream_ping_timeout = Duration::from_millis(200);
}

#[tokio::test]
async fn case_124_a_silent_upstream_is_found_dead_and_its_streams_are_tried_again() {
    let (upstream, proxy, mut client) = h2c(hasty).await;
    let response = client.get("/").await;
    let mut silent = upstream.accept_silent_frames().await;
    silent.until(kind::PING).await;
    silent.end().await;
    let mut up = upstream.accept_h2().await;
    let (_, mut sent) = up.request().await;
    respond(&mut sent, 200, "ok");
    assert_eq!(status(response).await, 200);
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_124_a_post_to_a_silent_upstream_is_not_repeated() {
    let (upstream, proxy, mut client) = h2c(hasty).await;
    let response = client.post(post("/"), "hi").await;
    let mut silent = upstream.accept_silent_frames().await;
    silent.end().await;
    assert_eq!(status(response).await, 502);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST / 502 upstream_reset"]).await;
}

#[tokio::test]
async fn an_upstream_that_answers_pings_may_take_its_time() {
    let (upstream, _proxy, mut client) = h2c(hasty).await;
    let response = client.get("/").await;
    let mut up = upstream.accept_frames(&[]).await;
    let stream = request(&mut up).await;
    for _ in 0..3 {
        let ping = up.until(kind::PING).await;
        up.send(kind::PING, 1, 0, &ping.payload).await;
    }
    answer_200(&mut up, stream).await;
    assert_eq!(status(response).await, 200);
    // Nobody waits now.
    assert!(tokio::time::timeout(Duration::from_millis(600), up.until(kind::PING)).await.is_err());
}

#[tokio::test]
async fn case_125_an_endless_head_is_a_502() {
    const LEN: usize = 16 * 1024 * 1024;
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let response = client.get("/").await;
    let mut up = upstream.accept_frames(&[]).await;
    let stream = request(&mut up).await;
    let fields = literal(&[("x", &"x".repeat(16_000))]);
    up.send(kind::HEADERS, 0, stream, &[&[STATUS_200], &fields[..]].concat()).await;
    let sent = up.send_until_refused(&frame(kind::CONTINUATION, 0, stream, &fields), LEN).await;
    assert!(sent < LEN, "all of it was taken");
    assert_eq!(status(response).await, 502);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 502 upstream_protocol"]).await;
}

#[tokio::test]
async fn case_125_a_long_head_is_a_502_and_its_connection_goes_on() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let response = client.get("/").await;
    let mut up = upstream.accept_frames(&[]).await;
    let stream = request(&mut up).await;
    let fields = literal(&[("x", &"x".repeat(14_000)), ("y", "y")]);
    up.send(kind::HEADERS, END_STREAM, stream, &[&[STATUS_200], &fields[..]].concat()).await;
    for number in 0..5 {
        up.send(kind::CONTINUATION, if number == 4 { END_HEADERS } else { 0 }, stream, &fields).await;
    }
    assert_eq!(status(response).await, 502);
    let response = client.get("/").await;
    let stream = request(&mut up).await;
    answer_200(&mut up, stream).await;
    assert_eq!(status(response).await, 200);
    proxy.after(&["GET / 502 upstream_protocol", "GET / 200"]).await;
}

#[tokio::test]
async fn case_126_many_small_frames_before_a_slow_client_are_no_flood() {
    let (upstream, proxy, _) = h2c(|_| {}).await;
    // The client's own library counts them too.
    let mut client = proxy.h2_with(Over::Clear, |builder| _ = builder.data_frame_budget(64 * 1024 * 1024)).await;
    let response = client.get("/").await;
    let mut up = upstream.accept_frames(&[]).await;
    let stream = request(&mut up).await;
    up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
    // All that the stream's window of 64 KiB has room for.
    up.send_bytes(&frame(kind::DATA, 0, stream, b"0123456789").repeat(6_553)).await;
    up.knows_all().await;
    up.send(kind::DATA, END_STREAM, stream, b"!").await;
    let answer = answer(response).await;
    assert_eq!(answer.trailers(), None);
    assert_eq!(answer.text(), "0123456789".repeat(6_553) + "!");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_127_an_endpoint_that_wants_http1_gets_it() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let response = client.post(post("/"), "hi").await;
    let mut up = upstream.accept_frames(&[]).await;
    let stream = request(&mut up).await;
    reset(&mut up, stream, Reason::HTTP_1_1_REQUIRED).await;
    let mut up = upstream.accept().await;
    assert!(up.head().await.starts_with("POST / HTTP/1.1\r\n"));
    up.until("0\r\n\r\n").await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(status(response).await, 200);
    // It is remembered.
    let response = client.get("/next").await;
    assert!(up.head().await.starts_with("GET /next HTTP/1.1\r\n"));
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(status(response).await, 200);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["POST / 200", "GET /next 200"]).await;
}

#[tokio::test]
async fn what_http2_says_by_an_end_http1_says_by_a_length() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.client().await;
    let mut up: Option<H2Peer> = None;
    for (method, code, length) in [("GET", 200, Some("0")), ("HEAD", 200, None), ("GET", 304, None), ("GET", 204, None)]
    {
        client.send(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        if up.is_none() {
            up = Some(upstream.accept_h2().await);
        }
        let (_, mut sent) = up.as_mut().expect("connected").request().await;
        respond(&mut sent, code, "");
        let (head, _) = client.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{head}");
        assert_eq!(
            (field(&head, "content-length"), field(&head, "transfer-encoding")),
            (length, None),
            "{method} {head}"
        );
    }
}

#[tokio::test]
async fn a_request_of_http1_is_one_of_http2() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.client().await;
    client
        .send("POST /a?b HTTP/1.1\r\nHost: A.test\r\nX-Some: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nTE: trailers\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    let mut up = upstream.accept_h2().await;
    let (mut request, mut sent) = up.request().await;
    assert_eq!(request.uri(), "http://A.test/a?b");
    let field = |name| request.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    let seen = ["host", "x-some", "x-hop", "te", "content-length", "connection"].map(field);
    let expected =
        [None, Some("1"), None, Some("trailers"), Some("2"), None].map(|value: Option<&str>| value.map(str::to_owned));
    assert_eq!(seen, expected);
    assert_eq!(body(request.body_mut()).await, (b"hi".to_vec(), Ok(None)));
    respond(&mut sent, 200, "ok");
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["POST /a?b 200"]).await;
}

#[tokio::test]
async fn a_reset_without_error_after_a_whole_answer_is_none() {
    let (upstream, proxy, mut client) = h2c(|_| {}).await;
    let (response, mut stream) = client.send(post("/"), false).await;
    stream.send_data("hi".into(), false).expect("open");
    let mut up = upstream.accept_frames(&[]).await;
    let id = request(&mut up).await;
    up.send(kind::HEADERS, END_HEADERS, id, &[STATUS_200]).await;
    up.send(kind::DATA, END_STREAM, id, b"enough").await;
    reset(&mut up, id, Reason::NO_ERROR).await;
    let mut received = head(response).await.into_body();
    assert_eq!(body(&mut received).await, (b"enough".to_vec(), Ok(None)));
    assert_eq!(crate::harness::h2::reset(&mut stream).await, Reason::NO_ERROR);
    proxy.after(&["POST / 200"]).await;
}
