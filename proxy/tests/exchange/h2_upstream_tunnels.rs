//! Open WebSockets to upstreams that speak HTTP/2 alone: what passes, what ends them, and what they leave to others.

mod ends;
mod unread;

use crate::harness::frames::{ACK, END_HEADERS, END_STREAM, Frames, STATUS_200, frame, kind, literal};
use crate::harness::h2::{H2Peer, Over, answer, body, fill, head, piece, reset, respond};
use crate::harness::tunnel::{UPGRADE, WILLING, client, connect, h2c};
use crate::harness::{Client, Ended, Running};
use bytes::Bytes;
use ends::{BOTH, Far, Near, Speaking, opened, path};
use h2::Reason;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const KIB: usize = 1024;

/// Agrees to a WebSocket that the client asks for; gives its stream.
async fn agreed(client: &mut Client, up: &mut Frames) -> u32 {
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
    client.head().await;
    stream
}

#[tokio::test]
async fn bytes_pass_both_ways_and_each_half_ends_by_itself() {
    for speaking in BOTH {
        let (upstream, proxy) = h2c(|_| {}).await;
        let (mut near, mut far, up) = opened(speaking, &upstream, None, &proxy).await;
        for _ in 0..3 {
            near.say("ping").await;
            far.hears("ping").await;
            far.say("pong");
            near.hears("pong").await;
        }
        near.say("bye").await;
        near.finish().await;
        far.hears("bye").await;
        assert_eq!(far.end().await, Ok(()));
        far.say("and more");
        near.hears("and more").await;
        far.finish();
        near.is_finished().await;

        let (mut near, mut far, _up) = opened(speaking, &upstream, Some(up), &proxy).await;
        far.say("bye");
        far.finish();
        near.hears("bye").await;
        near.is_finished().await;
        near.say("and more").await;
        far.hears("and more").await;
        near.finish().await;
        assert_eq!(far.end().await, Ok(()));
        assert!(upstream.is_left_alone().await);
        proxy.after(&[path(speaking); 2]).await;
    }
}

#[tokio::test]
async fn a_reset_passes_both_ways() {
    for speaking in BOTH {
        let (upstream, proxy) = h2c(|_| {}).await;
        let (near, mut far, up) = opened(speaking, &upstream, None, &proxy).await;
        let _client = near.reset();
        assert_eq!(reset(&mut far.send).await, Reason::CANCEL);

        let (mut near, mut far, _up) = opened(speaking, &upstream, Some(up), &proxy).await;
        far.send.send_reset(Reason::CANCEL);
        near.is_reset().await;
        assert!(upstream.is_left_alone().await);
        let said = path(speaking);
        proxy.after(&[&format!("{said} client_gone cut"), &format!("{said} upstream_reset cut")]).await;
    }
}

#[tokio::test]
async fn a_reset_after_the_end_of_its_half_is_noticed_without_a_read() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
    up.send(kind::DATA, END_STREAM, stream, b"bye").await;
    client.head().await;
    assert_eq!(client.exactly(3).await, "bye");
    client.is_closed().await;
    up.send(kind::RST_STREAM, 0, stream, &u32::from(Reason::NO_ERROR).to_be_bytes()).await;
    proxy.after(&["GET /chat 101"]).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_reset() {
    for speaking in BOTH {
        let (upstream, proxy) = h2c(|_| {}).await;
        let (mut near, _far, up) = opened(speaking, &upstream, None, &proxy).await;
        up.drop_connection();
        near.is_reset().await;
        proxy.after(&[&format!("{} upstream_reset cut", path(speaking))]).await;
    }
}

#[tokio::test]
async fn a_tunnel_has_no_trailers() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let stream = agreed(&mut client, &mut up).await;
    up.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &literal(&[("x", "y")])).await;
    assert_eq!(client.rest_and_end().await, (String::new(), Ended::Badly));
    assert_eq!(up.until(kind::RST_STREAM).await.stream, stream);

    let (upstream, proxy) = h2c(|_| {}).await;
    let (mut near, mut far, _up) = opened(Speaking::Http2, &upstream, None, &proxy).await;
    let Near::Http2 { stream, .. } = &mut near else { unreachable!("as it was asked") };
    stream
        .send
        .send_trailers([(http::header::ETAG, "y".parse().expect("a value"))].into_iter().collect())
        .expect("open");
    assert_eq!(far.end().await, Err(Some(Reason::CANCEL)));
    near.is_reset().await;
}

#[tokio::test]
async fn what_comes_with_the_agreement_is_delivered() {
    for speaking in BOTH {
        let (upstream, proxy) = h2c(|_| {}).await;
        let mut h1 = proxy.client().await;
        let mut h2 = client(&proxy, Over::Clear).await;
        let mut asked = None;
        match speaking {
            Speaking::Http1 => h1.send(UPGRADE).await,
            Speaking::Http2 => asked = Some(connect(&mut h2, "websocket").await),
        }
        let mut up = upstream.accept_frames(&WILLING).await;
        let stream = up.until(kind::HEADERS).await.stream;
        let head_frame = frame(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]);
        let data = frame(kind::DATA, END_STREAM, stream, b"hello");
        up.send_bytes(&[head_frame, data].concat()).await;
        match asked {
            None => {
                h1.head().await;
                assert_eq!(h1.rest_and_end().await, ("hello".to_owned(), Ended::Cleanly));
            }
            Some((response, _send)) => {
                let mut received = head(response).await.into_body();
                assert_eq!(body(&mut received).await, (b"hello".to_vec(), Ok(None)));
            }
        }
    }
}

#[tokio::test]
async fn what_the_client_sends_early_waits_for_the_agreement() {
    for speaking in BOTH {
        let (upstream, proxy) = h2c(|_| {}).await;
        let mut h1 = proxy.client().await;
        let mut h2 = client(&proxy, Over::Clear).await;
        let mut asked = None;
        match speaking {
            Speaking::Http1 => h1.send(&format!("{UPGRADE}early")).await,
            Speaking::Http2 => {
                let (response, mut send) = connect(&mut h2, "websocket").await;
                send.send_data(Bytes::from_static(b"early"), false).expect("open");
                asked = Some((response, send));
            }
        }
        let mut up = upstream.accept_frames(&WILLING).await;
        let stream = up.until(kind::HEADERS).await.stream;
        // An interim head that has arrived makes sure that the proxy has had its time to send it.
        up.send(kind::HEADERS, END_HEADERS, stream, &literal(&[(":status", "103")])).await;
        match &mut asked {
            None => drop(h1.head().await),
            Some((response, _)) => {
                let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
                assert_eq!(interim.expect("interim").expect("a head").status(), 103);
            }
        }
        up.send(kind::PING, 0, 0, b"all read").await;
        let next = up.find(|frame| !matches!(frame.kind, kind::WINDOW_UPDATE | kind::SETTINGS)).await;
        assert_eq!((next.kind, next.flags & ACK), (kind::PING, ACK), "before the agreement");
        up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
        assert_eq!(up.until(kind::DATA).await.payload, b"early");
    }
}

#[tokio::test]
async fn either_side_may_have_said_all_before_the_tunnel_is_open() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(&format!("{UPGRADE}early")).await;
    client.finish().await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.knows_all().await;
    up.send(kind::HEADERS, END_HEADERS, stream, &[STATUS_200]).await;
    assert_eq!(up.until(kind::DATA).await.payload, b"early");
    assert_eq!(up.until(kind::DATA).await.flags, END_STREAM);
    up.send(kind::DATA, END_STREAM, stream, b"late").await;
    client.head().await;
    assert_eq!(client.rest_and_end().await, ("late".to_owned(), Ended::Cleanly));

    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let stream = up.until(kind::HEADERS).await.stream;
    up.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &[STATUS_200]).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client.is_closed().await;
    client.send("early").await;
    assert_eq!(up.until(kind::DATA).await.payload, b"early");
    client.finish().await;
    assert_eq!(up.until(kind::DATA).await.flags, END_STREAM);
    proxy.after(&["GET /chat 101"; 2]).await;
}

#[tokio::test]
async fn much_passes_both_ways_at_once_however_slowly_it_is_read() {
    const LEN: usize = 4 * 1024 * KIB;
    for speaking in BOTH {
        let (upstream, proxy) = h2c(|_| {}).await;
        let (near, far, _up) = opened(speaking, &upstream, None, &proxy).await;
        let Far { mut send, mut received, .. } = far;
        // It says back what it hears, and only as fast as that is taken.
        let echoing = tokio::spawn(async move {
            let mut left = LEN;
            while left > 0 {
                let heard = piece(&mut received).await;
                left -= heard.len();
                assert_eq!(fill(&mut send, heard.len()).await, heard.len());
            }
            send.send_data(Bytes::new(), true).expect("open");
        });
        match near {
            Near::Http1(client) => {
                let (mut reader, mut writer) = client.socket.into_split();
                let sending = tokio::spawn(async move {
                    writer.write_all(&vec![b'x'; LEN]).await.expect("taken");
                    writer
                });
                let mut seen = 0;
                let mut buffer = vec![0; 4 * KIB];
                while seen < LEN {
                    seen += reader.read(&mut buffer).await.expect("open");
                    tokio::task::yield_now().await;
                }
                assert_eq!((seen, reader.read(&mut buffer).await.expect("open")), (LEN, 0));
                drop(sending.await.expect("sent"));
            }
            Near::Http2 { stream: Far { mut send, mut received, .. }, _client } => {
                let sending = tokio::spawn(async move {
                    assert_eq!(fill(&mut send, LEN).await, LEN);
                    send
                });
                let mut seen = 0;
                while seen < LEN {
                    seen += piece(&mut received).await.len();
                    tokio::task::yield_now().await;
                }
                assert_eq!((seen, received.data().await.is_none()), (LEN, true));
                drop(sending.await.expect("sent"));
            }
        }
        echoing.await.expect("echoed");
    }
}

/// Another request is served on the connection of a tunnel.
async fn serves_others(up: &mut H2Peer, proxy: &Running) {
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.get("/other").await;
    let (_, mut sent) = up.request().await;
    respond(&mut sent, 200, &"x".repeat(256 * KIB));
    let answer = answer(response).await;
    assert_eq!((answer.status(), answer.body.len()), (200, 256 * KIB));
}

#[tokio::test]
async fn a_tunnel_that_nobody_reads_holds_little_and_leaves_the_connection_to_others() {
    // What the far end does not read: its window, the queue before it, and what was read of the client by then. The
    // rest is in the sockets of a client of HTTP/1, in the window of one of HTTP/2.
    const HELD: usize = (64 + 64 + 64 + 16) * KIB;
    let (upstream, proxy) = h2c(|_| {}).await;
    let (mut near, mut far, mut up) = opened(Speaking::Http2, &upstream, None, &proxy).await;
    let Near::Http2 { stream, .. } = &mut near else { unreachable!("as it was asked") };
    let sent = fill(&mut stream.send, usize::MAX).await;
    assert!(sent <= HELD, "{sent}");
    serves_others(&mut up, &proxy).await;
    // The other way too.
    let said = fill(&mut far.send, usize::MAX).await;
    assert!(said <= HELD, "{said}");
    serves_others(&mut up, &proxy).await;
    assert!(upstream.is_left_alone().await);
    // All of it comes once it is read.
    let mut heard = 0;
    while heard < sent {
        heard += piece(&mut far.received).await.len();
    }
    let mut heard = 0;
    while heard < said {
        heard += piece(&mut stream.received).await.len();
    }

    // A client of HTTP/1 that does not read holds no more of the connection.
    let (near, mut far, mut up) = opened(Speaking::Http1, &upstream, Some(up), &proxy).await;
    fill(&mut far.send, 64 * 1024 * KIB).await;
    serves_others(&mut up, &proxy).await;
    drop(near);
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn an_upstream_that_does_not_read_a_tunnel_loses_it_alone() {
    let (upstream, proxy) = h2c(|setup| setup.limits.write = Duration::from_millis(200)).await;
    let (mut near, mut far, mut up) = opened(Speaking::Http2, &upstream, None, &proxy).await;
    let Near::Http2 { stream, .. } = &mut near else { unreachable!("as it was asked") };
    fill(&mut stream.send, usize::MAX).await;
    assert_eq!(reset(&mut stream.send).await, Reason::CANCEL);
    assert_eq!(reset(&mut far.send).await, Reason::CANCEL);
    serves_others(&mut up, &proxy).await;
    proxy.after(&["GET /chat?room=1 101 upstream_timeout cut", "GET /other 200"]).await;
}

#[tokio::test]
async fn tunnels_do_not_idle_for_ever() {
    for speaking in BOTH {
        let (upstream, proxy) = h2c(|setup| setup.limits.tunnel = Duration::from_millis(200)).await;
        let (_near, mut far, mut up) = opened(speaking, &upstream, None, &proxy).await;
        assert_eq!(reset(&mut far.send).await, Reason::CANCEL);
        serves_others(&mut up, &proxy).await;
        proxy.after(&[&format!("{} tunnel_timeout cut", path(speaking)), "GET /other 200"]).await;

        let (upstream, proxy) = h2c(|setup| setup.limits.half_closed = Duration::from_millis(200)).await;
        let (mut near, mut far, up) = opened(speaking, &upstream, None, &proxy).await;
        near.finish().await;
        assert_eq!(far.end().await, Ok(()));
        assert_eq!(reset(&mut far.send).await, Reason::CANCEL);

        let (mut near, mut far, _up) = opened(speaking, &upstream, Some(up), &proxy).await;
        far.finish();
        near.is_finished().await;
        assert_eq!(far.end().await, Err(Some(Reason::CANCEL)));
        proxy.after(&[&*format!("{} tunnel_timeout cut", path(speaking)); 2]).await;
    }
}

#[tokio::test]
async fn a_tunnel_lives_to_the_end_of_the_drain_and_is_ended_politely_then() {
    for speaking in BOTH {
        let (upstream, mut proxy) = h2c(|setup| setup.drain.timeout = Duration::from_secs(1)).await;
        let (mut near, mut far, _up) = opened(speaking, &upstream, None, &proxy).await;
        let drained = proxy.drain();
        near.say("ping").await;
        far.hears("ping").await;
        far.say("pong");
        near.hears("pong").await;
        assert_eq!(far.end().await, Ok(()));
        near.is_finished().await;
        far.finish();
        near.finish().await;
        drained.await.expect("no panic");
        proxy.after(&[&format!("{} draining cut", path(speaking))]).await;
    }
}

#[tokio::test]
async fn a_tunnel_outlives_the_goaway_of_its_connection() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut client = proxy.client().await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let stream = agreed(&mut client, &mut up).await;
    up.send(kind::GOAWAY, 0, 0, &[stream.to_be_bytes(), [0; 4]].concat()).await;
    up.knows_all().await;
    client.send("ping").await;
    assert_eq!(up.until(kind::DATA).await.payload, b"ping");
    // The next one goes elsewhere.
    let (mut near, mut far, _up) = opened(Speaking::Http1, &upstream, None, &proxy).await;
    near.say("ping").await;
    far.hears("ping").await;
    up.send(kind::DATA, END_STREAM, stream, b"pong").await;
    assert_eq!(client.exactly(4).await, "pong");
    client.is_closed().await;
}
