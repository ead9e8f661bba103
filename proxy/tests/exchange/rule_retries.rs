//! Tries as a rule sets them: how many, and after which statuses.

mod unwanted_answers;

use crate::harness::h2::{H2Client, H2Peer, Over, answer, body, request, respond};
use crate::harness::tunnel::UPGRADE;
use crate::harness::unreachable::refusing_on;
use crate::harness::{Client, Running, Setup, Upstream, field, proxied};
use bytes::Bytes;
use config::{BackendProtocol, RulePolicy};
use h2::server::SendResponse;
use std::sync::Arc;
use std::time::Duration;
use tidegate_proxy::drain::Drained;
use tokio::time::timeout;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\nRetry-After: 7\r\n\r\nnot today.";
/// A pause that no test waits for.
const NEVER: Duration = Duration::from_secs(600);
const KIB: usize = 1024;

/// A rule that allows so many tries, also after these statuses.
fn tries(attempts: u32, retry_on: &[u16]) -> Option<Arc<RulePolicy>> {
    let retry_on = retry_on.iter().copied().collect();
    Some(Arc::new(RulePolicy { attempts: Some(attempts), retry_on, ..RulePolicy::default() }))
}

/// A proxy that tries again after 503, its upstream and a client.
async fn retrying(attempts: u32) -> (Upstream, Running, Client) {
    let (upstream, proxy) = proxied(|setup| setup.policy = tries(attempts, &[503])).await;
    let client = proxy.client().await;
    (upstream, proxy, client)
}

/// A client of either version.
enum Asking {
    H1(Client),
    H2(H2Client),
}

impl Asking {
    async fn of(proxy: &Running, is_h2: bool) -> Self {
        if is_h2 { Self::H2(proxy.h2(Over::Clear).await) } else { Self::H1(proxy.client().await) }
    }

    /// Sends a request with a body and reads the answer: its status, `Retry-After` and body.
    async fn ask(&mut self, method: &str, body: &str) -> (u16, Option<String>, String) {
        match self {
            Self::H1(client) => {
                let length = body.len();
                client.send(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n")).await;
                client.send(body).await;
                let (head, body) = client.answer().await;
                (status(&head), field(&head, "retry-after").map(str::to_owned), body)
            }
            Self::H2(client) => {
                let request = request(method, "/").body(()).expect("a request");
                let answer = answer(client.post(request, body).await).await;
                (answer.status(), answer.field("retry-after").map(str::to_owned), answer.text().to_owned())
            }
        }
    }
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {head}"))
}

/// An upstream of either version, on one connection.
enum Asked {
    H1(Client),
    H2(H2Peer),
}

impl Asked {
    async fn at(upstream: &Upstream, protocol: BackendProtocol) -> Self {
        match protocol {
            BackendProtocol::H2c => Self::H2(upstream.accept_h2().await),
            _ => Self::H1(upstream.accept().await),
        }
    }

    /// Reads a whole request, answers it, and gives its method and body.
    async fn answer(&mut self, status: u16) -> (String, String) {
        match self {
            Self::H1(up) => {
                let (head, body) = up.answer().await;
                up.send(if status == 503 { UNAVAILABLE } else { OK }).await;
                (head.split(' ').next().expect("a method").to_owned(), body)
            }
            Self::H2(up) => {
                let (mut request, mut sent) = up.request().await;
                let (body, _) = body(request.body_mut()).await;
                if status == 503 {
                    refuse(&mut sent);
                } else {
                    respond(&mut sent, status, "ok");
                }
                (request.method().to_string(), String::from_utf8(body).expect("text"))
            }
        }
    }
}

/// [`UNAVAILABLE`] in HTTP/2.
fn refuse(sent: &mut SendResponse<Bytes>) {
    let head = http::Response::builder().status(503).header("retry-after", "7").body(()).expect("a response");
    sent.send_response(head, false).expect("open").send_data(Bytes::from_static(b"not today."), true).expect("open");
}

#[tokio::test]
async fn case_114_what_may_be_repeated_and_was_kept_is_tried_until_the_third_endpoint_answers() {
    let cases = [("GET", 0, true), ("PUT", 10, true), ("PUT", 100, false), ("POST", 10, false), ("POST", 100, false)];
    for protocol in [BackendProtocol::Http1, BackendProtocol::H2c] {
        for (is_h2, (method, length, is_retried)) in
            [false, true].into_iter().flat_map(|is_h2| cases.map(|c| (is_h2, c)))
        {
            let (upstream, proxy) = proxied(|setup| {
                setup.policy = tries(3, &[503]);
                setup.protocol = protocol;
            })
            .await;
            let mut client = Asking::of(&proxy, is_h2).await;
            let upload: String = (0..length * KIB / 8).map(|at| format!("{at:8}")).collect();
            let statuses = if is_retried { &[503, 503, 200][..] } else { &[503] };
            let answering = async {
                // What is left of an answer that was not wanted leaves its connection as it was.
                let mut up = Asked::at(&upstream, protocol).await;
                for status in statuses {
                    assert_eq!(up.answer(*status).await, (method.to_owned(), upload.clone()));
                }
                up
            };
            let (answered, _up) = tokio::join!(client.ask(method, &upload), answering);
            let expected = if is_retried {
                (200, None, "ok".to_owned())
            } else {
                (503, Some("7".to_owned()), "not today.".to_owned())
            };
            assert_eq!(answered, expected, "{method} {length} {protocol:?} {is_h2}");
            assert!(upstream.is_left_alone().await);
            let line = proxy.record_line().await;
            let attempts = statuses.len();
            assert!(line.contains(&format!("\"status\":{},\"reason\":null,", answered.0)), "{line}");
            assert!(line.contains(&format!("\"attempts\":{attempts},")), "{line}");
            assert!(line.contains(&format!("\"bytes_in\":{},", upload.len())), "{line}");
            assert!(line.contains(&format!("\"bytes_out\":{},", answered.2.len())), "{line}");
            let failed = if is_retried { 2 } else { 1 };
            assert_eq!(proxy.counted("tidegate_upstream_failures_total").await, failed);
            proxy.after(&[]).await;
        }
    }
}

#[tokio::test]
async fn the_last_answer_is_passed_on_whole() {
    const LENGTH: u64 = 1024 * 1024;
    let (upstream, proxy, mut client) = retrying(2).await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(UNAVAILABLE).await;
    up.head().await;
    up.send(&format!("HTTP/1.1 503 Not Yet\r\nContent-Length: {LENGTH}\r\nX-Try: 2\r\n\r\n")).await;
    let reading = async {
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 503 Not Yet\r\n"), "{head}");
        assert_eq!((field(&head, "x-try"), field(&head, "retry-after")), (Some("2"), None), "{head}");
        client.expect_bulk(LENGTH).await;
    };
    tokio::join!(up.send_bulk(LENGTH), reading);
    // Both connections go on.
    client.send("POST /next HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n").await;
    assert!(up.head().await.starts_with("POST /next "));
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 503", "POST /next 200"]).await;
}

#[tokio::test]
async fn other_statuses_and_the_rest_of_the_answers_are_passed_on_at_once() {
    let (upstream, proxy) = proxied(|setup| {
        setup.policy = tries(3, &[429, 502]);
        setup.limits.retry_pause = NEVER;
    })
    .await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(UNAVAILABLE).await;
    assert_eq!(client.answer().await.1, "not today.");
    proxy.after(&["GET / 503"]).await;
    assert_eq!(proxy.counted("tidegate_upstream_failures_total").await, 0);
}

#[tokio::test]
async fn another_endpoint_is_tried_without_a_pause() {
    let (one, other) = (Upstream::bind().await, Upstream::bind().await);
    let mut setup = Setup::to(&[one.address, other.address]).limits(|limits| limits.retry_pause = NEVER);
    setup.policy = tries(2, &[503]);
    let proxy = setup.start().await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let (mut up, other) = tokio::select! {
        up = one.accept() => (up, &other),
        up = other.accept() => (up, &one),
    };
    up.head().await;
    up.send(UNAVAILABLE).await;
    let mut up = other.accept().await;
    up.head().await;
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    let line = proxy.record_line().await;
    assert!(line.contains(&format!("\"endpoint\":\"{}\",\"attempts\":2,", other.address)), "{line}");
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_115_a_spent_budget_passes_the_last_answer_on() {
    const REQUESTS: u64 = 100;
    let (upstream, proxy) = proxied(|setup| {
        setup.policy = tries(3, &[503]);
        setup.limits.retry_pause = Duration::from_millis(1);
    })
    .await;
    let failing = async {
        let mut up = upstream.accept().await;
        loop {
            up.head().await;
            up.send(UNAVAILABLE).await;
        }
    };
    let asking = async {
        let mut client = proxy.client().await;
        let mut denied = 0;
        for _ in 0..REQUESTS {
            client.send(GET).await;
            let (head, body) = client.answer().await;
            assert_eq!((status(&head), body.as_str()), (503, "not today."), "{head}");
            match proxy.record().await.as_str() {
                "GET / 503" => {}
                "GET / 503 retry_denied" => denied += 1,
                record => panic!("{record}"),
            }
        }
        denied
    };
    let denied = tokio::select! {
        () = failing => unreachable!(),
        denied = asking => denied,
    };
    let attempts = proxy.counted("tidegate_upstream_attempts_total").await;
    // A fifth of them, and three.
    assert!((REQUESTS + 10..=REQUESTS * 6 / 5 + 3).contains(&attempts), "{attempts}");
    assert!(denied >= REQUESTS / 2, "{denied}");
    proxy.after(&[]).await;
}

#[tokio::test]
async fn case_116_a_client_that_leaves_before_the_next_attempt_is_not_tried_for_again() {
    for is_h2 in [false, true] {
        let (upstream, proxy) = proxied(|setup| {
            setup.policy = tries(2, &[503]);
            setup.limits.retry_pause = NEVER;
        })
        .await;
        let mut client = Asking::of(&proxy, is_h2).await;
        let response = match &mut client {
            Asking::H1(client) => {
                client.send(GET).await;
                None
            }
            Asking::H2(client) => Some(client.get("/").await),
        };
        let mut up = upstream.accept().await;
        up.head().await;
        up.send(UNAVAILABLE).await;
        // It waits for its moment then.
        while proxy.counted("tidegate_upstream_failures_total").await == 0 {
            tokio::task::yield_now().await;
        }
        match client {
            Asking::H1(client) => client.reset(),
            Asking::H2(_) => drop(response),
        }
        let line = proxy.record_line().await;
        assert!(line.contains("\"status\":499,\"reason\":\"client_gone\","), "{line}");
        assert!(line.contains("\"upstream_status\":503,"), "{line}");
        assert!(upstream.is_left_alone().await);
        assert_eq!(proxy.counted("tidegate_upstream_attempts_total").await, 1);
        proxy.after(&[]).await;
    }
}

#[tokio::test]
async fn a_drain_ends_a_pause_with_its_time() {
    let (upstream, mut proxy) = proxied(|setup| {
        setup.policy = tries(2, &[503]);
        setup.limits.retry_pause = NEVER;
        setup.drain.timeout = Duration::from_millis(800);
    })
    .await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(UNAVAILABLE).await;
    let drained = proxy.drain();
    let (head, body) = client.answer().await;
    assert_eq!((status(&head), field(&head, "connection")), (503, Some("close")), "{head}");
    assert_ne!(body, "not today.");
    assert_eq!(proxy.record().await, "GET / 503 draining");
    assert_ne!(drained.await.expect("no panic"), Drained::Empty);
}

#[tokio::test]
async fn an_attempt_while_draining_is_made_and_answered() {
    let (upstream, mut proxy, mut client) = retrying(2).await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    let drained = proxy.drain();
    up.send(UNAVAILABLE).await;
    up.head().await;
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    assert_eq!(proxy.record().await, "GET / 200");
    assert_eq!(drained.await.expect("no panic"), Drained::Empty);
}

#[tokio::test]
async fn what_the_client_was_told_before_forbids_another_attempt_but_for_100() {
    let (upstream, proxy, mut client) = retrying(2).await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(&format!("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n{UNAVAILABLE}")).await;
    assert_eq!(status(&client.head().await), 103);
    assert_eq!(client.answer().await.1, "not today.");

    client.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    up.head().await;
    up.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(status(&client.head().await), 100);
    client.send("hello").await;
    for answer in [UNAVAILABLE, OK] {
        assert_eq!(up.exactly(5).await, "hello");
        up.send(answer).await;
        if answer != OK {
            up.head().await;
            // Nobody is told twice.
            up.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
    }
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["GET / 503", "PUT / 200"]).await;
}

#[tokio::test]
async fn an_upload_that_was_not_begun_is_free_to_go_elsewhere() {
    let (upstream, proxy, mut client) = retrying(2).await;
    let length = 100 * KIB as u64;
    client
        .send(&format!("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"))
        .await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(UNAVAILABLE).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(status(&client.head().await), 100);
    tokio::join!(client.send_bulk(length), up.expect_bulk(length));
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["PUT / 200"]).await;
}

#[tokio::test]
async fn a_websocket_is_asked_for_once() {
    let (upstream, proxy, mut client) = retrying(3).await;
    client.send(UPGRADE).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(UNAVAILABLE).await;
    assert_eq!(client.answer().await.1, "not today.");
    proxy.after(&["GET /chat 503"]).await;
}

#[tokio::test]
async fn a_loss_and_a_status_are_attempts_alike() {
    let (upstream, proxy, mut client) = retrying(3).await;
    client.send(GET).await;
    upstream.accept().await.head().await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(UNAVAILABLE).await;
    up.head().await;
    drop(up);
    let (head, _) = client.answer().await;
    assert_eq!(status(&head), 502, "{head}");
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET / 502 upstream_reset"]).await;
    assert_eq!(proxy.counted("tidegate_upstream_failures_total").await, 3);
}

#[tokio::test]
async fn a_rule_sets_how_often_a_lost_request_is_tried() {
    for attempts in [1, 3] {
        let (upstream, proxy) = proxied(|setup| setup.policy = tries(attempts, &[])).await;
        let mut client = proxy.client().await;
        client.send(GET).await;
        for _ in 0..attempts {
            upstream.accept().await.head().await;
        }
        let (head, _) = client.answer().await;
        assert_eq!(status(&head), 502, "{head}");
        assert!(upstream.is_left_alone().await);
        proxy.after(&["GET / 502 upstream_reset"]).await;
        assert_eq!(proxy.counted("tidegate_upstream_attempts_total").await, u64::from(attempts));
    }
}

#[tokio::test]
async fn a_rule_with_many_tries_finds_the_endpoint_that_is_left() {
    let upstream = Upstream::bind().await;
    let refusing: Vec<_> = (2..=6).map(|last| refusing_on([127, 0, 0, last])).collect();
    let endpoints: Vec<_> = refusing.iter().map(|(_, address)| *address).chain([upstream.address]).collect();
    let mut setup = Setup::to(&endpoints);
    setup.policy = tries(6, &[]);
    let proxy = setup.start().await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(OK).await;
    assert_eq!(client.answer().await.1, "ok");
    proxy.after(&["GET / 200"]).await;
}

#[tokio::test]
async fn an_answer_that_was_held_back_has_its_time_from_its_head() {
    for is_h2 in [false, true] {
        let idle = Duration::from_millis(400);
        let (upstream, proxy) = proxied(|setup| {
            setup.policy = tries(1, &[503]);
            setup.limits.upstream_idle = idle;
        })
        .await;
        let mut client = Asking::of(&proxy, is_h2).await;
        let answering = async {
            let mut up = upstream.accept().await;
            let (_, body) = up.answer().await;
            assert_eq!(body, "hello");
            // Nothing more comes for longer than a piece of an answer may take; its head may.
            assert!(timeout(2 * idle, up.exactly(1)).await.is_err());
            up.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\n\r\n").await;
            assert!(timeout(idle / 4, up.exactly(1)).await.is_err());
            up.send("not today.").await;
            up
        };
        let (answered, _up) = tokio::join!(client.ask("PUT", "hello"), answering);
        assert_eq!(answered, (503, None, "not today.".to_owned()), "{is_h2}");
        proxy.after(&["PUT / 503"]).await;
    }
}
