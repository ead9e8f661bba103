//! Bodies over HTTP/2: their ends, their cuts, and what is held while somebody does not read.

use crate::harness::frames::{self, END_HEADERS, END_STREAM, Frames, frame, kind, literal};
use crate::harness::h2::{BOTH, Over, answer, body, fill, head, piece, post, request, respond};
use crate::harness::{Bulk, Client, Running, Upstream, proxied};
use ::h2::Reason;
use bytes::Bytes;
use config::BackendProtocol;
use http::{HeaderMap, HeaderValue};

/// A POST whose body follows, by hand.
fn post_head(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = frames::get("/up");
    fields[0].1 = "POST";
    fields.extend_from_slice(more);
    frame(kind::HEADERS, END_HEADERS, stream, &literal(&fields))
}

/// A client by hand, in the middle of an upload to an HTTP/1 upstream.
async fn uploading(more: &[(&str, &str)]) -> (Upstream, Running, Frames, Client) {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&post_head(1, more)).await;
    let mut up = upstream.accept().await;
    assert!(up.head().await.starts_with("POST /up "));
    (upstream, proxy, client, up)
}

#[tokio::test]
async fn case_43_an_empty_last_frame_ends_a_chunked_body_once() {
    let (_upstream, _proxy, mut client, mut up) = uploading(&[]).await;
    client.send(kind::DATA, 0, 1, b"hi").await;
    assert_eq!(up.exactly(7).await, "2\r\nhi\r\n");
    client.send(kind::DATA, END_STREAM, 1, b"").await;
    assert_eq!(up.exactly(5).await, "0\r\n\r\n");
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
    client.send_bytes(&frames::head(3, &frames::get("/next"))).await;
    assert!(up.head().await.starts_with("GET /next "));
}

#[tokio::test]
async fn case_44_empty_frames_within_a_body_are_nothing() {
    let (_upstream, _proxy, mut client, mut up) = uploading(&[]).await;
    for piece in ["a", "", "", "b", ""] {
        client.send(kind::DATA, 0, 1, piece.as_bytes()).await;
    }
    assert_eq!(up.until("b\r\n").await.replace("1\r\na\r\n1\r\nb\r\n", "2\r\nab\r\n"), "2\r\nab\r\n");
    client.send(kind::DATA, END_STREAM, 1, b"c").await;
    assert_eq!(up.exactly(11).await, "1\r\nc\r\n0\r\n\r\n");
}

#[tokio::test]
async fn padding_is_no_data_and_its_window_comes_back() {
    let (_upstream, _proxy, mut client, mut up) = uploading(&[("content-length", "400")]).await;
    // 100 bytes and 200 of padding, more often than the window of 65,535 would allow without a word of the proxy.
    let padded = [&[200][..], &[b'x'; 1], &[0; 200]].concat();
    for number in 0..400 {
        let flags = 8 | if number == 399 { END_STREAM } else { 0 };
        client.send(kind::DATA, flags, 1, &padded).await;
        if number % 200 == 0 {
            client.knows_all().await;
        }
    }
    assert_eq!(up.exactly(400).await, "x".repeat(400));
}

#[tokio::test]
async fn case_65_a_reset_within_an_upload_closes_an_http1_upstream() {
    for length in [None, Some(("content-length", "100"))] {
        let (_upstream, proxy, mut client, mut up) = uploading(length.as_slice()).await;
        client.send(kind::DATA, 0, 1, b"hi").await;
        up.until("hi").await;
        client.send(kind::RST_STREAM, 0, 1, &u32::from(Reason::CANCEL).to_be_bytes()).await;
        let (rest, _) = up.rest_and_end().await;
        assert!(!rest.contains('0'), "no terminator: {rest:?}");
        proxy.after(&["POST /up 499 client_gone cut"]).await;
    }
}

#[tokio::test]
async fn case_65_a_reset_within_an_upload_cancels_an_http2_upstream() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.h2(Over::Clear).await;
    let (_response, mut stream) = client.send(post("/"), false).await;
    stream.send_data(Bytes::from_static(b"hi"), false).expect("open");
    let mut up = upstream.accept_h2().await;
    let (mut request, _respond) = up.request().await;
    assert_eq!(piece(request.body_mut()).await, "hi");
    stream.send_reset(Reason::CANCEL);
    assert_eq!(body(request.body_mut()).await.1, Err(Some(Reason::CANCEL)));
    proxy.after(&["POST / 499 client_gone cut"]).await;
}

#[tokio::test]
async fn case_65_a_reset_reaches_an_upstream_that_does_not_read() {
    for protocol in [BackendProtocol::Http1, BackendProtocol::H2c] {
        let (upstream, proxy) = proxied(|setup| setup.protocol = protocol).await;
        let mut client = proxy.h2(Over::Clear).await;
        let (_response, mut stream) = client.send(post("/"), false).await;
        if protocol == BackendProtocol::Http1 {
            let mut up = upstream.accept().await;
            up.head().await;
            fill(&mut stream, usize::MAX).await;
            stream.send_reset(Reason::CANCEL);
            up.rest_and_end().await;
        } else {
            let mut up = upstream.accept_h2().await;
            let (_request, mut respond) = up.request().await;
            fill(&mut stream, usize::MAX).await;
            stream.send_reset(Reason::CANCEL);
            let reset = std::future::poll_fn(|cx| respond.poll_reset(cx));
            let reset = tokio::time::timeout(crate::harness::PATIENCE, reset).await.expect("no reset");
            assert_eq!(reset.expect("open"), Reason::CANCEL);
        }
        proxy.after(&["POST / 499 client_gone cut"]).await;
    }
}

#[tokio::test]
async fn case_65_a_reset_while_waiting_closes_the_upstream() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    drop(response);
    up.rest_and_end().await;
    proxy.after(&["GET / 499 client_gone cut"]).await;
}

#[tokio::test]
async fn case_66_a_body_of_another_length_than_told_is_cut() {
    for sent in [&b"hi"[..], b"hello!"] {
        let (upstream, proxy, mut client, mut up) = uploading(&[("content-length", "5")]).await;
        client.send(kind::DATA, END_STREAM, 1, sent).await;
        let reset = client.find(|frame| frame.stream == 1 && frame.kind != kind::WINDOW_UPDATE).await;
        assert_eq!((reset.kind, reset.code()), (kind::RST_STREAM, Reason::PROTOCOL_ERROR.into()));
        assert!(up.rest_and_end().await.0.len() < 5);
        client.send_bytes(&frames::head(3, &frames::get("/"))).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        client.is_served(3).await;
        proxy.after(&["POST /up 400 bad_request cut", "GET / 200"]).await;
    }
}

fn trailers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|&(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
}

#[tokio::test]
async fn case_69_request_trailers_reach_an_http2_upstream_without_what_is_forbidden() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.h2(Over::Clear).await;
    let (response, mut stream) = client.send(post("/"), false).await;
    stream.send_data(Bytes::from_static(b"hi"), false).expect("open");
    let sent = [("x-sum", "1"), ("content-length", "9"), ("host", "b.test"), ("authorization", "me")];
    stream.send_trailers(trailers(&sent)).expect("open");
    let mut up = upstream.accept_h2().await;
    let (mut request, mut sent) = up.request().await;
    let (data, ended) = body(request.body_mut()).await;
    assert_eq!(data, b"hi");
    assert_eq!(ended, Ok(Some(trailers(&[("x-sum", "1")]))));
    respond(&mut sent, 200, "ok");
    assert_eq!(answer(response).await.text(), "ok");
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn case_69_request_trailers_end_before_http1() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let (_response, mut stream) = client.send(post("/"), false).await;
    stream.send_data(Bytes::from_static(b"hi"), false).expect("open");
    stream.send_trailers(trailers(&[("x-sum", "1")])).expect("open");
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(up.exactly(12).await, "2\r\nhi\r\n0\r\n\r\n");
}

#[tokio::test]
async fn case_69_request_trailers_of_http1_are_dropped() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
        .await;
    let mut up = upstream.accept_h2().await;
    let (mut request, mut sent) = up.request().await;
    assert_eq!(body(request.body_mut()).await, (b"hi".to_vec(), Ok(None)));
    respond(&mut sent, 200, "ok");
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn an_empty_body_ends_with_its_head() {
    for (method, head) in
        [("GET", "200 OK\r\nContent-Length: 0"), ("HEAD", "200 OK\r\nContent-Length: 7"), ("GET", "204 No Content")]
    {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.frames(Over::Clear).await;
        let mut fields = frames::get("/");
        fields[0].1 = method;
        client.send_bytes(&frames::head(1, &fields)).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(&format!("HTTP/1.1 {head}\r\n\r\n")).await;
        let answered = client.until(kind::HEADERS).await;
        assert_eq!(answered.flags & END_STREAM, END_STREAM, "{method} {head}");
    }
}

#[tokio::test]
async fn the_end_of_a_body_comes_with_its_last_frame() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    client.send_bytes(&frames::head(1, &frames::get("/"))).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    let data = client.until(kind::DATA).await;
    assert_eq!((&data.payload[..], data.flags), (&b"hello"[..], END_STREAM));
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_77_a_body_that_ends_with_its_connection_ends_the_stream() {
    for over in BOTH {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.h2(over).await;
        let response = client.get("/").await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send("HTTP/1.0 200 OK\r\n\r\nall of it").await;
        up.finish().await;
        let answer = answer(response).await;
        assert_eq!((answer.text(), answer.field("content-length")), ("all of it", None));
        assert_eq!(answer.trailers(), None);
        proxy.after(&["GET / 200"]).await;
    }
}

#[tokio::test]
async fn cases_79_80_and_135_a_cut_answer_is_reset_after_what_came() {
    for answered in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzzz\r\n",
    ] {
        for over in BOTH {
            let (upstream, proxy) = proxied(|_| {}).await;
            let mut client = proxy.h2(over).await;
            let response = client.get("/").await;
            let mut up = upstream.accept().await;
            up.head().await;
            up.send(answered).await;
            up.finish().await;
            let answer = answer(response).await;
            assert_eq!((answer.status(), answer.text()), (200, "hello"), "{answered:?}");
            assert_eq!(answer.reset(), Some(Reason::INTERNAL_ERROR), "{answered:?}");
        }
    }
}

#[tokio::test]
async fn case_135_a_head_without_a_byte_of_its_body_comes_before_the_reset() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await;
    up.finish().await;
    let answer = answer(response).await;
    assert_eq!((answer.status(), answer.text(), answer.reset()), (200, "", Some(Reason::INTERNAL_ERROR)));
    proxy.after(&["GET / 200 upstream_reset cut"]).await;
}

/// An answer that is cut after so many bytes.
async fn cut_after(up: &mut Client, len: u64) {
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await;
    up.send_bulk(len).await;
    up.finish().await;
}

#[tokio::test]
async fn case_135_all_that_came_is_delivered_to_a_client_without_window() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    // More than the window of 65,535, which the client gives back only once the answer was cut.
    cut_after(&mut upstream.accept().await, 100_000).await;
    let mut stream = head(response).await.into_body();
    let mut bulk = Bulk::new();
    let mut seen = 0;
    while seen < 65_535 {
        let data = stream.data().await.expect("not the end").expect("data");
        bulk.check(&data);
        seen += data.len();
    }
    stream.flow_control().release_capacity(seen).expect("open");
    let (rest, ended) = body(&mut stream).await;
    bulk.check(&rest);
    assert_eq!((seen + rest.len(), ended), (100_000, Err(Some(Reason::INTERNAL_ERROR))));
    proxy.after(&["GET / 200 upstream_reset cut"]).await;
}

#[tokio::test]
async fn case_135_all_that_came_is_delivered_to_a_client_whose_socket_is_full() {
    const LEN: u64 = 24 * 1024 * 1024;
    for over in BOTH {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.frames(over).await;
        // Window is no matter here.
        client.send(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]).await;
        client.send_bytes(&frames::head(1, &frames::get("/"))).await;
        client.send(kind::WINDOW_UPDATE, 0, 1, &[0x7f, 0, 0, 0]).await;
        let mut up = upstream.accept().await;
        let cutting = tokio::spawn(async move { cut_after(&mut up, LEN).await });
        let (mut bulk, mut seen) = (Bulk::new(), 0);
        let reset = loop {
            let frame = client.next().await;
            match frame.kind {
                kind::DATA => {
                    bulk.check(&frame.payload);
                    seen += frame.payload.len() as u64;
                }
                kind::RST_STREAM => break frame,
                _ => {}
            }
        };
        assert_eq!((seen, reset.code()), (LEN, Reason::INTERNAL_ERROR.into()));
        cutting.await.expect("sent");
        proxy.after(&["GET / 200 upstream_reset cut"]).await;
    }
}

#[tokio::test]
async fn case_135_an_http2_answer_that_is_cut_is_reset_after_what_came() {
    for is_reset in [true, false] {
        let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
        let mut client = proxy.h2(Over::Clear).await;
        let response = client.get("/").await;
        let mut up = upstream.accept_h2().await;
        let (_, mut sent) = up.request().await;
        let mut stream = sent.send_response(http::Response::new(()), false).expect("open");
        stream.send_data(Bytes::from_static(b"hello"), false).expect("open");
        let mut received = head(response).await.into_body();
        assert_eq!(piece(&mut received).await, "hello");
        if is_reset {
            stream.send_reset(Reason::INTERNAL_ERROR);
        } else {
            up.drop_connection();
        }
        assert_eq!(body(&mut received).await, (vec![], Err(Some(Reason::INTERNAL_ERROR))));
        proxy.after(&["GET / 200 upstream_reset cut"]).await;
    }
}

#[tokio::test]
async fn case_136_an_answer_before_the_end_of_the_upload_is_whole() {
    let (_upstream, _proxy, mut client, mut up) = uploading(&[("content-length", "1000000")]).await;
    client.send(kind::DATA, 0, 1, b"hi").await;
    up.until("hi").await;
    up.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!").await;
    let answered = client.find(|frame| frame.stream == 1 && frame.kind == kind::HEADERS).await;
    assert_eq!(answered.flags & END_STREAM, 0);
    let data = client.next().await;
    assert_eq!((data.kind, data.flags, &data.payload[..]), (kind::DATA, END_STREAM, &b"no!"[..]));
    let reset = client.next().await;
    assert_eq!((reset.kind, reset.code()), (kind::RST_STREAM, Reason::NO_ERROR.into()));
    // What was under way is passed over, and the connection goes on.
    client.send(kind::DATA, 0, 1, b"more").await;
    assert_ne!(up.rest_and_end().await.0, "more");
    client.send_bytes(&frames::head(3, &frames::get("/next"))).await;
    client.send(kind::PING, 0, 0, b"sign?of?").await;
    assert_eq!(client.until(kind::PING).await.flags, frames::ACK);
}

#[tokio::test]
async fn an_upload_goes_on_after_the_head_of_its_answer() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let (response, mut stream) =
        client.send(request("POST", "/").header("content-length", "4").body(()).expect("a request"), false).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await;
    let mut received = head(response).await.into_body();
    for sent in ["a", "b", "c", "d"] {
        let is_last = sent == "d";
        stream.send_data(Bytes::from_static(sent.as_bytes()), is_last).expect("open");
        assert_eq!(up.exactly(1).await, sent);
        up.send(sent).await;
        assert_eq!(piece(&mut received).await, sent);
    }
    assert_eq!(body(&mut received).await, (vec![], Ok(None)));
    proxy.after(&["POST / 200"]).await;
}

#[tokio::test]
async fn case_93_a_slow_client_slows_a_fast_upstream() {
    const LEN: u64 = 256 * 1024 * 1024;
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n")).await;
    let mut received = head(response).await.into_body();
    // What the socket on this side would hold is not the proxy's.
    socket2::SockRef::from(&up.socket).set_send_buffer_size(64 * 1024).expect("an option");
    let mut sent = Bulk::new();
    let stalled = sent.send_until_stalled(&mut up.socket, LEN).await;
    // 64 KiB in the client's window, 384 KiB in the proxy (1.10); the rest is what two sockets hold.
    assert!(stalled < 4 * 1024 * 1024, "{stalled} bytes went to a client that reads none");

    let sending = tokio::spawn(async move { sent.send(&mut up.socket, LEN - stalled).await });
    let (mut bulk, mut seen) = (Bulk::new(), 0);
    while seen < LEN {
        let data = piece(&mut received).await;
        bulk.check(&data);
        seen += data.len() as u64;
    }
    assert_eq!(body(&mut received).await, (vec![], Ok(None)));
    sending.await.expect("sent");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_131_uploads_to_a_stalled_upstream_wait_in_the_connection_window() {
    const STREAMS: usize = 100;
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.h2(Over::Clear).await;
    let mut uploads = tokio::task::JoinSet::new();
    for _ in 0..STREAMS {
        let (response, mut stream) = client.send(post("/"), false).await;
        uploads.spawn(async move {
            let sent = fill(&mut stream, usize::MAX).await;
            (sent, stream, response)
        });
    }
    let mut up = upstream.accept_h2().await;
    let mut requests = vec![];
    for _ in 0..STREAMS {
        requests.push(up.request().await);
    }
    let mut uploads = uploads.join_all().await;
    let sent: usize = uploads.iter().map(|(sent, ..)| sent).sum();
    // The upstream's connection window, a full queue a stream and the step that filled it, our own connection window.
    let held = 65_535 + STREAMS * (64 + 16) * 1024 + 1024 * 1024;
    assert!(sent <= held, "{sent} bytes were taken");

    // Other streams go on, and nothing was lost.
    let served = client.get("/served").await;
    let (_, mut respond_to) = up.request().await;
    respond(&mut respond_to, 200, "ok");
    assert_eq!(answer(served).await.text(), "ok");
    for (_, stream, _) in &mut uploads {
        stream.send_data(Bytes::new(), true).expect("open");
    }
    let mut received = tokio::task::JoinSet::new();
    for (mut request, _) in requests {
        received.spawn(async move { body(request.body_mut()).await });
    }
    let received = received.join_all().await;
    assert!(received.iter().all(|(_, ended)| *ended == Ok(None)));
    assert_eq!(received.iter().map(|(data, _)| data.len()).sum::<usize>(), sent);
}
