//! What the access record of an exchange says beside its status and reason.

use crate::harness::h2::Over;
use crate::harness::unreachable::BlackHole;
use crate::harness::{Running, Setup, proxied};
use config::HostPattern;
use serde_json::{Value, json};
use std::time::Duration;

/// The named fields of the next record.
async fn fields<const N: usize>(proxy: &Running, names: [&str; N]) -> [Value; N] {
    let line: Value = serde_json::from_str(&proxy.record_line().await).expect("JSON");
    names.map(|name| line[name].clone())
}

/// Phase, by, how and ending.
async fn end(proxy: &Running) -> String {
    let words = fields(proxy, ["phase", "by", "how", "ending"]).await;
    words.map(|word| word.as_str().unwrap_or("-").to_owned()).join(" ")
}

#[tokio::test]
async fn bytes_on_the_wire_are_those_of_the_exchange_alone() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    // The second is in the buffer while the first runs.
    client.send(&[post, get].concat()).await;
    let mut up = upstream.accept().await;
    for (asked, answer) in [
        (post, "HTTP/1.1 200 OK\r\nServer: s\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        (get, "HTTP/1.1 200 OK\r\nServer: s\r\nDate: d\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let mut sent = up.head().await;
        if asked == post {
            let body = "5\r\nhello\r\n0\r\n\r\n";
            assert_eq!(up.exactly(body.len()).await, body);
            sent.push_str(body);
        }
        up.send(answer).await;
        assert_eq!(client.exactly(answer.len()).await, answer);
        let (wire, wire_out) = (["wire_in", "wire_out"], ["upstream_wire_in", "upstream_wire_out"]);
        let found = fields(&proxy, [wire[0], wire[1], wire_out[0], wire_out[1], "reused"]).await;
        let expected = [asked.len(), answer.len(), answer.len(), sent.len()].map(Value::from);
        assert_eq!(found[..4], expected, "{asked}");
        assert_eq!(found[4], asked == get);
    }
}

#[tokio::test]
async fn http2_connections_do_not_tell_whose_bytes_they_are() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let response = proxy.h2(Over::Tls).await.get("/").await;
    let mut up = upstream.accept().await;
    let sent = up.head().await.len();
    up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    crate::harness::h2::answer(response).await;
    let names = ["version", "sni", "wire_in", "wire_out", "upstream_version", "upstream_wire_in", "upstream_wire_out"];
    let [version, sni, wire_in, wire_out, upstream_version, upstream_wire_in, upstream_wire_out] =
        fields(&proxy, names).await;
    assert_eq!([version, sni, upstream_version], ["HTTP/2", "a.test", "HTTP/1.1"]);
    assert_eq!([wire_in, wire_out], [Value::Null, Value::Null]);
    assert_eq!([upstream_wire_in, upstream_wire_out], [27, sent]);
}

#[tokio::test]
async fn the_record_names_the_rule_and_what_the_endpoint_said() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 418 No\r\nContent-Length: 0\r\n\r\n").await;
    client.head().await;
    let [rule, status, upstream_status, sent] = fields(&proxy, ["rule", "status", "upstream_status", "sent_ms"]).await;
    assert_eq!((rule, status, upstream_status), (json!("spec.rules[0].http.paths[0]"), json!(418), json!(418)));
    assert!(sent.is_f64());
}

#[tokio::test]
async fn case_62_the_record_says_who_left_and_in_which_phase() {
    let (upstream, proxy) = proxied(|_| {}).await;
    // In the upload.
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhello").await;
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(up.exactly(5).await, "hello");
    client.reset();
    assert_eq!(end(&proxy).await, "send client reset cut");
    // While the answer is waited for.
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    client.reset();
    assert_eq!(end(&proxy).await, "wait client reset cut");
    // In the answer, which the upstream cuts.
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").await;
    client.head().await;
    drop(up);
    assert_eq!(end(&proxy).await, "stream upstream cut cut");
}

#[tokio::test]
async fn the_record_says_which_clock_ran_out() {
    let (upstream, proxy) = proxied(|setup| {
        let soon = Duration::from_millis(100);
        (setup.limits.upstream_head, setup.limits.upstream_idle, setup.limits.body_idle) = (soon, soon, soon);
        setup.limits.head_total = soon;
    })
    .await;
    let mut client = proxy.client().await;
    client.send("GET / HT").await;
    assert_eq!(end(&proxy).await, "head client timeout:head complete");
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(end(&proxy).await, "send client timeout:body complete");
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    assert_eq!(end(&proxy).await, "wait upstream timeout:head complete");
    let mut client = proxy.client().await;
    client.send("GET /stream HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut up = upstream.accept().await;
    up.head().await;
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").await;
    assert_eq!(end(&proxy).await, "stream upstream timeout:body cut");
}

#[tokio::test]
async fn the_record_says_what_was_refused_here() {
    let (_upstream, proxy) = proxied(|setup| setup.host = HostPattern::Exact("a.test".into())).await;
    for (asked, expected) in [
        ("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n", "route proxy refused complete"),
        ("GET /%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", "head client protocol complete"),
        ("BREW\r\n\r\n", "head client protocol complete"),
    ] {
        let mut client = proxy.client().await;
        client.send(asked).await;
        assert_eq!(end(&proxy).await, expected, "{asked}");
    }
}

#[tokio::test]
async fn an_upload_that_nobody_waited_for_is_not_the_next_requests() {
    let (upstream, proxy) = proxied(|setup| setup.host = HostPattern::Exact("a.test".into())).await;
    let mut client = proxy.client().await;
    let post = "POST / HTTP/1.1\r\nHost: other.test\r\nContent-Length: 5\r\n\r\n";
    let get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    client.send(&format!("{post}hello{get}")).await;
    assert!(client.answer().await.0.starts_with("HTTP/1.1 404 "));
    let mut up = upstream.accept().await;
    up.head().await;
    up.no_content().await;
    client.is_answered().await;
    for asked in [post, get] {
        assert_eq!(fields(&proxy, ["wire_in"]).await, [json!(asked.len())], "{asked}");
    }
}

#[tokio::test]
async fn the_gauge_of_exchanges_follows_their_phases() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhello").await;
    let mut up = upstream.accept().await;
    up.head().await;
    proxy.are_in(&["send"]).await;
    client.send("you.").await;
    proxy.are_in(&["wait"]).await;
    assert_eq!(up.exactly(9).await, "helloyou.");
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await;
    client.head().await;
    proxy.are_in(&["stream"]).await;
    let hole = BlackHole::open();
    let other = Setup::to(&[hole.address]).start().await;
    let mut waiting = other.client().await;
    waiting.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    other.are_in(&["connect"]).await;
    waiting.reset();
    other.are_in(&[]).await;
    up.send("ok").await;
    assert_eq!(client.exactly(2).await, "ok");
    proxy.are_in(&[]).await;
}
