//! The end of a proxy that is asked to stop: what is served, what is told, and what ends when.

use crate::harness::tunnel::{echoes, opened};
use crate::harness::{Client, Origin, PATIENCE, Running, Setup, Upstream, field, proxied};
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tidegate_proxy::drain::Drained;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A drain that takes no more connections, and ends after that time.
async fn draining(proxy: &mut Running) -> tokio::task::JoinHandle<Drained> {
    let drained = proxy.drain();
    let refused = async {
        loop {
            match TcpStream::connect(proxy.http).await {
                Ok(socket) => drop(socket),
                // One that met the closing of the socket itself.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                Err(error) => return error.kind(),
            }
        }
    };
    assert_eq!(timeout(PATIENCE, refused).await.expect("it goes on accepting"), ErrorKind::ConnectionRefused);
    drained
}

async fn with_timeout(timeout: Duration) -> (Upstream, Running) {
    proxied(|setup| setup.drain.timeout = timeout).await
}

/// Long, where it is not to play a part.
const NEVER: Duration = Duration::from_secs(600);

/// Waits for a reset of a connection that was half-closed.
async fn is_reset(client: &Client) {
    let ready = timeout(PATIENCE, client.socket.ready(Interest::ERROR)).await.expect("no reset").expect("a socket");
    assert!(ready.is_error(), "{ready:?}");
}

#[tokio::test]
async fn case_108_a_tunnel_lives_to_the_deadline_and_is_ended_politely_then() {
    // The last quarter is for the farewell.
    let patience = Duration::from_secs(4);
    let (upstream, mut proxy) = with_timeout(patience).await;
    let (mut client, mut up) = opened(&upstream, &proxy).await;
    let begun = Instant::now();
    let drained = draining(&mut proxy).await;
    echoes(&mut client, &mut up).await;
    client.is_closed().await;
    up.is_closed().await;
    let ended = Instant::now();
    assert!(ended - begun >= patience / 4 * 3, "{:?}", ended - begun);
    // Neither of them goes, so both are made to.
    is_reset(&client).await;
    is_reset(&up).await;
    assert!(ended.elapsed() >= Duration::from_millis(400), "{:?}", ended.elapsed());
    assert_eq!(drained.await.expect("no panic"), Drained::TimedOut);
    proxy.after(&["GET /chat 101 draining cut"]).await;
}

#[tokio::test]
async fn case_108_a_tunnel_whose_sides_go_at_the_deadline_holds_nobody_up() {
    let (upstream, mut proxy) = with_timeout(Duration::from_millis(100)).await;
    let (mut client, mut up) = opened(&upstream, &proxy).await;
    let drained = draining(&mut proxy).await;
    client.is_closed().await;
    up.is_closed().await;
    let ended = Instant::now();
    drop((client, up));
    assert_eq!(drained.await.expect("no panic"), Drained::TimedOut);
    assert!(ended.elapsed() < Duration::from_millis(900), "{:?}", ended.elapsed());
    proxy.after(&["GET /chat 101 draining cut"]).await;
}

#[tokio::test]
async fn case_144_the_running_answer_says_that_the_connection_ends() {
    let (upstream, mut proxy) = with_timeout(NEVER).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    let drained = draining(&mut proxy).await;
    up.send(OK).await;
    let (head, body) = client.answer().await;
    assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "ok"), "{head}");
    client.is_closed().await;
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn case_144_an_answer_whose_head_is_out_leaves_it_to_the_next() {
    let (upstream, mut proxy) = with_timeout(NEVER).await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\none ").await;
    let head = client.head().await;
    assert_eq!(field(&head, "connection"), None, "{head}");
    let drained = draining(&mut proxy).await;
    // Two more, of which the second is not served: the client knows that by then.
    client.send(&(GET.to_owned() + GET)).await;
    up.send("more").await;
    assert_eq!(client.exactly(8).await, "one more");
    up.head().await;
    up.send(OK).await;
    let (head, _) = client.answer().await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    client.is_closed().await;
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
    proxy.after(&["GET / 200", "GET / 200"]).await;
}

#[tokio::test]
async fn case_144_a_local_answer_says_it_too() {
    let (_, mut proxy) = proxied(|setup| {
        setup.drain.timeout = NEVER;
        setup.endpoints.clear();
    })
    .await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 503 ") && field(&head, "connection").is_none(), "{head}");
    let drained = draining(&mut proxy).await;
    client.send(GET).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    client.is_closed().await;
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
    proxy.after(&["GET / 503 no_endpoint", "GET / 503 no_endpoint"]).await;
}

#[tokio::test]
async fn case_145_an_idle_connection_serves_one_more_request() {
    let (upstream, mut proxy) = with_timeout(NEVER).await;
    // One that has served and one that is new.
    let (mut used, mut new) = (proxy.client().await, proxy.client().await);
    used.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(OK).await;
    used.answer().await;
    let drained = draining(&mut proxy).await;
    for client in [&mut used, &mut new] {
        client.send(GET).await;
        up.head().await;
        up.send(OK).await;
        let (head, body) = client.answer().await;
        assert_eq!((field(&head, "connection"), body.as_str()), (Some("close"), "ok"), "{head}");
        client.is_closed().await;
    }
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
    proxy.after(&["GET / 200"; 3]).await;
}

#[tokio::test]
async fn case_146_a_request_that_crosses_the_end_of_its_connection_is_told_of() {
    let patience = Duration::from_secs(2);
    let (upstream, mut proxy) = with_timeout(patience).await;
    let mut client = proxy.client().await;
    let begun = Instant::now();
    let drained = draining(&mut proxy).await;
    client.is_closed().await;
    // Not at once, and in time for the rest.
    assert!((patience / 10..patience).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    client.send(GET).await;
    client.finish().await;
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
    assert!(upstream.is_left_alone().await);
    proxy.after(&["- - 0 drain_race"]).await;
}

#[tokio::test]
async fn an_idle_connection_that_has_nothing_to_say_is_closed_without_a_word() {
    let (_, mut proxy) = with_timeout(Duration::from_millis(200)).await;
    let mut client = proxy.client().await;
    let drained = draining(&mut proxy).await;
    client.is_closed().await;
    drop(client);
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_148_connections_that_were_queued_are_served() {
    const QUEUED: usize = 50;
    let origin = Origin::start().await;
    let upstream = Upstream::bind().await;
    let mut setup = Setup::to(&[upstream.address]);
    setup.ceiling = 1;
    setup.drain.timeout = NEVER;
    let mut proxy = setup.start().await;
    // While this one is served no other is accepted.
    let mut first = proxy.client().await;
    first.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    proxy.change(|setup| setup.endpoints = vec![origin.address]).await;
    let mut clients = Vec::new();
    for _ in 0..QUEUED {
        let mut client = proxy.client().await;
        client.send(GET).await;
        clients.push(client);
    }
    let drained = proxy.drain();
    tokio::task::yield_now().await;
    up.send(OK).await;
    let (head, _) = first.answer().await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    drop(first);
    for mut client in clients {
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    }
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
    proxy.after(&vec!["GET / 200"; QUEUED + 1]).await;
    assert_eq!(origin.saw().await.0.len(), QUEUED);
}

#[tokio::test]
async fn new_connections_are_served_until_the_delay_is_over() {
    let (upstream, mut proxy) = proxied(|setup| {
        setup.drain = config::DrainSettings { delay: Duration::from_millis(500), timeout: NEVER };
    })
    .await;
    let begun = Instant::now();
    let drained = proxy.drain();
    tokio::task::yield_now().await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(OK).await;
    let (head, _) = client.answer().await;
    assert_eq!(field(&head, "connection"), Some("close"), "{head}");
    client.is_closed().await;
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
    assert!(begun.elapsed() >= Duration::from_millis(500));
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn the_deadline_answers_what_waits_and_cuts_what_streams() {
    let (upstream, mut proxy) = with_timeout(Duration::from_millis(300)).await;
    // In this order: waiting for its answer, for the rest of it, for the rest that a close would end, for its own head.
    let mut clients = Vec::new();
    let mut ups = Vec::new();
    for (request, answer) in [
        (GET, ""),
        (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nok"),
    ] {
        let mut client = proxy.client().await;
        client.send(request).await;
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(answer).await;
        if !answer.is_empty() {
            client.until("ok").await;
        }
        clients.push(client);
        ups.push(up);
    }
    let mut half = proxy.client().await;
    half.send("GET / HTTP/1.1\r\nHo").await;
    clients.push(half);
    let drained = draining(&mut proxy).await;
    let [waiting, chunked, until_close, half] = &mut clients[..] else { unreachable!("four of them") };
    for refused in [waiting, half] {
        let (head, _) = refused.answer().await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert_eq!(field(&head, "connection"), Some("close"), "{head}");
        refused.is_closed().await;
    }
    // No last chunk.
    assert_eq!(chunked.rest_and_end().await.0, "\r\n");
    assert_eq!(until_close.rest().await, Err(ErrorKind::ConnectionReset));
    for up in &mut ups {
        assert_eq!(up.rest().await, Err(ErrorKind::ConnectionReset));
    }
    drop(clients);
    assert_eq!(drained.await.expect("no panic"), Drained::TimedOut);
    let cut = "GET / 200 draining cut";
    proxy.after(&["GET / 503 draining", cut, cut, "- - 503 draining"]).await;
}
