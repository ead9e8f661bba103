//! gRPC: its statuses are trailers, its streams run both ways, its errors are told in its own way.

use crate::harness::h2::{Over, answer, body, head, piece, request};
use crate::harness::{Setup, proxied};
use bytes::Bytes;
use config::BackendProtocol;
use http::{HeaderMap, Request, Response};

fn call(path: &str) -> Request<()> {
    let call = request("POST", path).header("content-type", "application/grpc").header("te", "trailers");
    call.header("grpc-timeout", "5S").body(()).expect("a request")
}

fn ok() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).expect("a response")
}

fn status(code: u8) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().expect("a name"), http::HeaderValue::from(u16::from(code)))])
}

#[tokio::test]
async fn case_90_a_unary_call_keeps_its_trailers() {
    for over in crate::harness::h2::BOTH {
        let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
        let mut client = proxy.h2(over).await;
        let response = client.post(call("/shop.Cart/Add"), "\0\0\0\0\u{2}hi").await;
        let mut up = upstream.accept_h2().await;
        let (mut request, mut sent) = up.request().await;
        assert_eq!(request.uri().path(), "/shop.Cart/Add");
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.headers()["grpc-timeout"], "5S");
        assert_eq!(body(request.body_mut()).await, (b"\0\0\0\0\x02hi".to_vec(), Ok(None)));
        let mut stream = sent.send_response(ok(), false).expect("open");
        stream.send_data(Bytes::from_static(b"\0\0\0\0\x01y"), false).expect("open");
        stream.send_trailers(status(0)).expect("open");
        let answer = answer(response).await;
        assert_eq!((answer.status(), answer.field("content-type")), (200, Some("application/grpc")));
        assert_eq!(answer.body, b"\0\0\0\0\x01y");
        assert_eq!(answer.trailers(), Some(&status(0)));
        proxy.after(&["POST /shop.Cart/Add 200"]).await;
    }
}

#[tokio::test]
async fn case_90_both_directions_of_a_stream_run_at_once() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.h2(Over::Clear).await;
    let (response, mut upload) = client.send(call("/shop.Cart/Watch"), false).await;
    let mut up = upstream.accept_h2().await;
    let (mut request, mut sent) = up.request().await;
    let mut download = sent.send_response(ok(), false).expect("open");
    let mut received = head(response).await.into_body();
    for message in ["one", "two", "three"] {
        upload.send_data(Bytes::from_static(message.as_bytes()), false).expect("open");
        assert_eq!(piece(request.body_mut()).await, message);
        download.send_data(Bytes::from_static(message.as_bytes()), false).expect("open");
        assert_eq!(piece(&mut received).await, message);
    }
    upload.send_data(Bytes::new(), true).expect("open");
    assert_eq!(body(request.body_mut()).await, (vec![], Ok(None)));
    download.send_trailers(status(0)).expect("open");
    assert_eq!(body(&mut received).await, (vec![], Ok(Some(status(0)))));
    proxy.after(&["POST /shop.Cart/Watch 200"]).await;
}

#[tokio::test]
async fn case_90_an_answer_of_trailers_only_stays_one() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.h2(Over::Clear).await;
    let (response, _upload) = client.send(call("/shop.Cart/Add"), false).await;
    let mut up = upstream.accept_h2().await;
    let (_, mut sent) = up.request().await;
    let mut trailers = ok();
    trailers.headers_mut().extend(status(5));
    sent.send_response(trailers, true).expect("open");
    let answered = head(response).await;
    assert!(answered.body().is_end_stream(), "the head is all of it");
    assert_eq!(answered.headers()["grpc-status"], "5");
    assert_eq!(answered.headers().get("content-length"), None);
    proxy.after(&["POST /shop.Cart/Add 200"]).await;
}

#[tokio::test]
async fn case_90_a_call_that_is_cut_gets_no_status_of_ours() {
    let (upstream, proxy) = proxied(|setup| setup.protocol = BackendProtocol::H2c).await;
    let mut client = proxy.h2(Over::Clear).await;
    let response = client.post(call("/shop.Cart/Add"), "hi").await;
    let mut up = upstream.accept_h2().await;
    let (_, mut sent) = up.request().await;
    let mut stream = sent.send_response(ok(), false).expect("open");
    stream.send_data(Bytes::from_static(b"half"), false).expect("open");
    let mut received = head(response).await.into_body();
    assert_eq!(piece(&mut received).await, "half");
    stream.send_reset(h2::Reason::INTERNAL_ERROR);
    assert_eq!(body(&mut received).await, (vec![], Err(Some(h2::Reason::INTERNAL_ERROR))));
    proxy.after(&["POST /shop.Cart/Add 200 upstream_reset cut"]).await;
}

#[tokio::test]
async fn case_91_errors_of_ours_are_told_in_the_way_of_grpc() {
    let nowhere = Setup::to(&[]).start().await;
    let mut elsewhere = Setup::to(&[]);
    elsewhere.host = config::HostPattern::parse(Some("b.test")).expect("a host");
    let elsewhere = elsewhere.start().await;
    for (proxy, status, message) in [(nowhere, "14", "no_endpoint"), (elsewhere, "12", "no_route")] {
        let mut client = proxy.h2(Over::Clear).await;
        let response = client.post(call("/shop.Cart/Add"), "hi").await;
        let answered = head(response).await;
        assert_eq!(answered.status(), 200);
        for (name, value) in [("content-type", "application/grpc"), ("grpc-status", status), ("grpc-message", message)]
        {
            assert_eq!(answered.headers()[name], value);
        }
        assert!(answered.body().is_end_stream(), "trailers only");
    }
}
