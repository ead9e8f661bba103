//! Heads of HTTP/2 that are malformed: what they cost their stream, its siblings and the connection.

use crate::harness::frames::{self, END_HEADERS, END_STREAM, frame, kind, literal};
use crate::harness::h2::Over;
use crate::harness::{Client, Upstream, field, proxied};
use h2::Reason;

/// A GET with more fields.
fn get_with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&frames::get("/"), more].concat()
}

/// `:method: GET`, `:scheme: http` and `:path: /` of the static table, and a literal `:authority`.
const GET: &[u8] = b"\x82\x86\x84\x01\x06a.test";

/// With what error a stream is reset; `None`: it is answered.
async fn reset_code(client: &mut frames::Frames, stream: u32) -> Option<u32> {
    let frame = client.find(|frame| frame.stream == stream || frame.kind == kind::GOAWAY).await;
    assert_ne!(frame.kind, kind::GOAWAY, "{frame:?}");
    (frame.kind == kind::RST_STREAM).then(|| frame.code())
}

/// A request that is under way while others are refused, as its upstream has it.
async fn keep(client: &mut frames::Frames, upstream: &Upstream) -> Client {
    client.send_bytes(&frames::head(1, &frames::get("/kept"))).await;
    let mut up = upstream.accept().await;
    up.head().await;
    up
}

async fn is_still_served(client: &mut frames::Frames, mut up: Client) {
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
}

#[tokio::test]
async fn cases_33_and_36_malformed_heads_are_reset_and_siblings_live() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let kept = keep(&mut client, &upstream).await;
    let malformed = [
        get_with(&[("connection", "close")]),
        get_with(&[("te", "gzip")]),
        get_with(&[("transfer-encoding", "chunked")]),
        get_with(&[("a", "b"), (":method", "GET")]),
        get_with(&[(":method", "GET")]),
        get_with(&[("X-Upper", "a")]),
        get_with(&[("x y", "a")]),
        get_with(&[(":unknown", "a")]),
        [&[("X-Upper", "a")], &frames::get("/")[..]].concat(),
        frames::get("/a#b"),
        frames::get(""),
        frames::get("/a\r\nb"),
        frames::get("/a b"),
        frames::get("/a\0b"),
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "a.test")],
        vec![(":method", "GET"), (":scheme", "http"), (":authority", "a test"), (":path", "/")],
    ];
    for (number, fields) in malformed.into_iter().enumerate() {
        let stream = 3 + 2 * number as u32;
        client.send_bytes(&frames::head(stream, &fields)).await;
        assert_eq!(reset_code(&mut client, stream).await, Some(Reason::PROTOCOL_ERROR.into()), "{fields:?}");
    }
    is_still_served(&mut client, kept).await;
    assert!(upstream.is_left_alone().await);
    proxy.after(&["GET /kept 200"]).await;
}

/// What the decoder of the h2 crate cannot take for a field at all is an error of the connection to it, which RFC 9113
/// §5.4.1 allows.
#[tokio::test]
async fn cases_33_and_36_heads_that_are_no_fields_end_the_connection() {
    let no_fields = [
        get_with(&[("x", "a\r\nb: c")]),
        get_with(&[("x", "a\nb")]),
        get_with(&[("x", "a\0b")]),
        vec![(":method", "G T"), (":scheme", "http"), (":authority", "a.test"), (":path", "/")],
    ];
    for fields in no_fields {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.frames(Over::Clear).await;
        client.send_bytes(&frames::head(1, &fields)).await;
        let (code, _) = client.end().await;
        assert_eq!(code, Some(Reason::PROTOCOL_ERROR.into()), "{fields:?}");
        assert!(upstream.is_left_alone().await);
        proxy.after(&[]).await;
    }
}

/// An entry of the dynamic table stays what it was, and where it was, for all that follows.
#[tokio::test]
async fn case_33_a_name_that_was_put_into_the_dynamic_table_is_refused_wherever_it_is_used() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Tls).await;
    let mut stream = 1;
    let mut send = async |client: &mut frames::Frames, more: &[u8]| {
        client.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &[GET, more].concat()).await;
        stream += 2;
        stream - 2
    };
    let kept = send(&mut client, b"\x40\x06x-good\x041234").await;
    let mut kept_up = upstream.accept().await;
    assert_eq!(field(&kept_up.head().await, "x-good"), Some("1234"));

    // `X-Upper: a`, in clear, and `X-UPPER: abc`, in the Huffman code.
    let upper_huffman = b"\x40\x87\xfc\x5b\x86\xbd\x78\x36\xff\x82\x1c\x64";
    for bad in [&b"\x40\x07X-Upper\x01a"[..], upper_huffman, b"\x00\x07X-Upper\x01a"] {
        let stream = send(&mut client, bad).await;
        assert_eq!(reset_code(&mut client, stream).await, Some(Reason::PROTOCOL_ERROR.into()), "{bad:?}");
    }
    // By their index, and by the index of the name with `b`; the last of these is put into the table as well.
    for bad in [&b"\xbe"[..], b"\xbf", b"\x0f\x2f\x01b", b"\x7e\x01b"] {
        let stream = send(&mut client, bad).await;
        assert_eq!(reset_code(&mut client, stream).await, Some(Reason::PROTOCOL_ERROR.into()), "{bad:?}");
    }
    // Three entries came after `x-good: 1234`.
    let good = send(&mut client, b"\xc1\x40\x06x-more\x015").await;
    let mut up = upstream.accept().await;
    let head = up.head().await;
    assert_eq!((field(&head, "x-good"), field(&head, "x-more")), (Some("1234"), Some("5")), "{head}");
    for (mut up, stream) in [(kept_up, kept), (up, good)] {
        up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(client.find(|frame| frame.stream == stream).await.kind, kind::HEADERS);
    }
    proxy
        .after(&[
            "GET / 204",
            "- - 400 bad_request",
            "- - 400 bad_request",
            "- - 400 bad_request",
            "- - 400 bad_request",
            "GET / 204",
        ])
        .await;
}

/// Such names are as short as `DNT`, which a client may well write so.
#[tokio::test]
async fn case_33_short_names_that_were_put_into_the_dynamic_table_are_refused() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let whole = END_HEADERS | END_STREAM;
    client.send(kind::HEADERS, whole, 1, &[GET, b"\x40\x06x-good\x041234"].concat()).await;
    let mut kept = upstream.accept().await;
    kept.head().await;
    // `X: 1`, `TE: trailers`, `DNT: 1`, the same in the Huffman code; then three of the entries.
    let bad: [&[u8]; 6] = [
        b"\x40\x01X\x011",
        b"\x40\x02TE\x08trailers",
        b"\x40\x03DNT\x011",
        b"\x40\x83\xbf\xa7\x7f\x011",
        b"\xbe",
        b"\x0f\x30\x012",
    ];
    for (number, bad) in bad.into_iter().enumerate() {
        let stream = 3 + 2 * number as u32;
        client.send(kind::HEADERS, whole, stream, &[GET, bad].concat()).await;
        assert_eq!(reset_code(&mut client, stream).await, Some(Reason::PROTOCOL_ERROR.into()), "{bad:?}");
    }
    // Four entries came after `x-good: 1234`.
    client.send(kind::HEADERS, whole, 15, &[GET, b"\xc2"].concat()).await;
    let mut up = upstream.accept().await;
    let head = up.head().await;
    assert_eq!(field(&head, "x-good"), Some("1234"), "{head}");
    for (up, stream) in [(&mut kept, 1), (&mut up, 15)] {
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        client.is_served(stream).await;
    }
    proxy.after(&[&["GET / 200"], &["- - 400 bad_request"; 6][..], &["GET / 200"]].concat()).await;
}

#[tokio::test]
async fn case_33_names_are_found_behind_padding_and_priority() {
    const PADDED_WITH_PRIORITY: u8 = 0x28;
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let flags = END_HEADERS | END_STREAM | PADDED_WITH_PRIORITY;
    // The length of the padding, the stream that this one depends on, and its weight; the padding looks like a field.
    let padded = |more: &[u8]| [b"\x0a\0\0\0\0\x0f", GET, more, b"\0\x07X-Upper\x01"].concat();
    client.send(kind::HEADERS, flags, 1, &padded(b"\x40\x06x-good\x041234")).await;
    let mut kept = upstream.accept().await;
    assert_eq!(field(&kept.head().await, "x-good"), Some("1234"));
    client.send(kind::HEADERS, flags, 3, &padded(b"\x00\x07X-Upper\x01a")).await;
    assert_eq!(reset_code(&mut client, 3).await, Some(Reason::PROTOCOL_ERROR.into()));
    kept.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    client.is_served(1).await;
    proxy.after(&["GET / 200"]).await;
}

/// Heads in several frames are left to h2, which ends the connection (RFC 9113 §5.4.1) also where only a field of the
/// first frame is malformed.
#[tokio::test]
async fn case_33_a_name_in_upper_case_in_a_head_of_two_frames_ends_the_connection() {
    let bad = b"\x40\x07X-Upper\x01a";
    for cut in [0, 1, 5, bad.len()] {
        let (upstream, proxy) = proxied(|_| {}).await;
        let mut client = proxy.frames(Over::Clear).await;
        client.send(kind::HEADERS, END_STREAM, 1, &[GET, &bad[..cut]].concat()).await;
        client.try_send_bytes(&frame(kind::CONTINUATION, END_HEADERS, 1, &bad[cut..])).await;
        let (code, _) = client.end().await;
        assert_eq!(code, Some(Reason::PROTOCOL_ERROR.into()), "{cut}");
        assert!(upstream.is_left_alone().await);
        proxy.after(&[]).await;
    }
}

#[tokio::test]
async fn a_fragment_is_refused_however_it_is_written() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let kept = keep(&mut client, &upstream).await;
    // `/a#b` in clear and in the Huffman code, with the name as `:path` and by its index, put into the table and not; then
    // two of the entries.
    let paths: [&[u8]; 8] = [
        b"\x04\x04/a#b",
        b"\x15\x04/a#b",
        b"\x00\x05:path\x04/a#b",
        b"\x04\x84\x60\x7f\xf5\x1f",
        b"\x44\x04/a#b",
        b"\x44\x84\x60\x7f\xf5\x1f",
        b"\xbe",
        b"\xbf",
    ];
    for (number, path) in paths.into_iter().enumerate() {
        let stream = 3 + 2 * number as u32;
        let head = [b"\x82\x86\x01\x06a.test", path].concat();
        client.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &head).await;
        assert_eq!(reset_code(&mut client, stream).await, Some(Reason::PROTOCOL_ERROR.into()), "{path:?}");
    }
    is_still_served(&mut client, kept).await;
    proxy.after(&["GET /kept 200"]).await;
}

/// The h2 crate takes `"` for a character of names; it is none of a token (RFC 9110 §5.6.2).
#[tokio::test]
async fn case_33_a_quote_in_a_name_reaches_no_upstream() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    // Short; by its index; and in pieces.
    let whole = END_HEADERS | END_STREAM;
    client.send(kind::HEADERS, whole, 1, &[GET, b"\x40\x03a\"b\x011"].concat()).await;
    assert_eq!(reset_code(&mut client, 1).await, Some(Reason::PROTOCOL_ERROR.into()));
    client.send(kind::HEADERS, whole, 3, &[GET, b"\xbe"].concat()).await;
    assert_eq!(reset_code(&mut client, 3).await, Some(Reason::PROTOCOL_ERROR.into()));
    client.send(kind::HEADERS, END_STREAM, 5, GET).await;
    client.send(kind::CONTINUATION, END_HEADERS, 5, b"\x00\x07x-\"name\x011").await;
    assert_eq!(reset_code(&mut client, 5).await, Some(Reason::PROTOCOL_ERROR.into()));
    assert!(upstream.is_left_alone().await);
    proxy.after(&["- - 400 bad_request"; 3]).await;
}

#[tokio::test]
async fn case_33_a_quote_in_a_name_of_trailers_is_refused() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let post = [&[(":method", "POST")], &frames::get("/")[1..], &[("te", "trailers")]].concat();
    client.send(kind::HEADERS, END_HEADERS, 1, &literal(&post)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    client.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, b"\x40\x03a\"b\x011").await;
    assert_eq!(client.until(kind::HEADERS).await.payload.first(), Some(&0x8c));
}

#[tokio::test]
async fn case_33_trailers_with_a_name_in_upper_case_reset_their_stream() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let kept = keep(&mut client, &upstream).await;
    let post = [&[(":method", "POST")], &frames::get("/")[1..], &[("te", "trailers")]].concat();
    client.send(kind::HEADERS, END_HEADERS, 3, &literal(&post)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    client.send(kind::HEADERS, END_HEADERS | END_STREAM, 3, &literal(&[("X-Sum", "1")])).await;
    assert_eq!(reset_code(&mut client, 3).await, Some(Reason::PROTOCOL_ERROR.into()));
    is_still_served(&mut client, kept).await;
}

#[tokio::test]
async fn a_value_with_space_around_it_is_refused() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    for (number, value) in [" a", "a ", "\ta"].into_iter().enumerate() {
        let fields = [&frames::get("/")[..], &[("x", value)]].concat();
        client.send_bytes(&frames::head(1 + 2 * number as u32, &fields)).await;
        assert_eq!(client.until(kind::HEADERS).await.payload.first(), Some(&0x8c), "{value:?}");
    }
    assert!(upstream.is_left_alone().await);
    proxy.after(&["- - 400 bad_request"; 3]).await;
}

#[tokio::test]
async fn case_34_many_malformed_streams_end_the_connection() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let bad = [&frames::get("/")[..], &[("connection", "close")]].concat();
    let mut up = None;
    for number in 0..32 {
        let (good_stream, bad_stream) = (1 + 4 * number, 3 + 4 * number);
        client.send_bytes(&frames::head(good_stream, &frames::get("/"))).await;
        if up.is_none() {
            up = Some(upstream.accept().await);
        }
        let up = up.as_mut().expect("connected");
        up.head().await;
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        client.is_served(good_stream).await;
        client.send_bytes(&frames::head(bad_stream, &bad)).await;
        let ended = client.find(|frame| matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY)).await;
        let is_last = number == 31;
        assert_eq!(ended.kind, if is_last { kind::GOAWAY } else { kind::RST_STREAM }, "{number}");
        let code = if is_last { Reason::ENHANCE_YOUR_CALM } else { Reason::PROTOCOL_ERROR };
        assert_eq!(ended.code(), u32::from(code));
    }
    client.end().await;
    proxy.after(&["GET / 200"; 32]).await;
}

/// Names that h2 took count as well.
#[tokio::test]
async fn case_34_many_streams_with_rewritten_names_end_the_connection() {
    let (upstream, proxy) = proxied(|_| {}).await;
    let mut client = proxy.frames(Over::Clear).await;
    let whole = END_HEADERS | END_STREAM;
    for number in 0..31 {
        let stream = 1 + 2 * number;
        client.send(kind::HEADERS, whole, stream, &[GET, b"\x40\x03DNT\x011"].concat()).await;
        assert_eq!(reset_code(&mut client, stream).await, Some(Reason::PROTOCOL_ERROR.into()), "{number}");
    }
    client.send(kind::HEADERS, whole, 63, &[GET, b"\xbe"].concat()).await;
    let (code, _) = client.end().await;
    assert_eq!(code, Some(Reason::ENHANCE_YOUR_CALM.into()));
    assert!(upstream.is_left_alone().await);
    assert_eq!(proxy.counted("tidegate_http2_floods_total").await, 1);
    proxy.after(&["- - 400 bad_request"; 32]).await;
}
