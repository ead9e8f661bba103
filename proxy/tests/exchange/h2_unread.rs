//! What HTTP/2 clients together may send ahead of the upstreams.

use crate::harness::frames::{self, END_HEADERS, END_STREAM, PREFACE, frame, kind, literal};
use crate::harness::h2::{Over, answer, body, fill, post, respond};
use crate::harness::{PATIENCE, Running, proxied};
use bytes::Bytes;
use config::BackendProtocol;
use tokio::time::timeout;

const KIB: usize = 1024;

/// Whether the proxy opens the window of a new connection far beyond the 65,535 bytes that it begins with.
async fn is_wide(proxy: &Running) -> bool {
    let mut client = proxy.silent_frames(Over::Clear).await;
    client.send_bytes(&[PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat()).await;
    // The first answer to a PING may leave before the update, the second does not.
    for _ in 0..2 {
        client.send(kind::PING, 0, 0, b"12345678").await;
        let found = client.find(|frame| matches!(frame.kind, kind::WINDOW_UPDATE | kind::PING)).await;
        if found.kind == kind::WINDOW_UPDATE {
            assert_eq!((found.stream, found.payload), (0, (1024 * 1024 - 65_535u32).to_be_bytes().to_vec()));
            return true;
        }
    }
    false
}

#[tokio::test]
async fn unread_uploads_shorten_the_windows_of_new_connections() {
    let (upstream, proxy) = proxied(|setup| {
        setup.protocol = BackendProtocol::H2c;
        setup.limits.h2_unread = 100 * KIB as u64;
    })
    .await;
    assert!(is_wide(&proxy).await);
    let mut client = proxy.h2(Over::Clear).await;
    let mut uploads = vec![];
    for _ in 0..3 {
        uploads.push(client.send(post("/"), false).await);
    }
    let mut up = upstream.accept_h2_with(|builder| _ = builder.initial_connection_window_size(1024 * 1024)).await;
    let mut requests = vec![];
    for _ in 0..3 {
        requests.push(up.request().await);
    }
    for (_, stream) in &mut uploads {
        fill(stream, usize::MAX).await;
    }
    assert!(!is_wide(&proxy).await);
    // What was taken is not counted any more, nor what its client took back.
    let [(response, mut ended), (taken_back, mut reset), _third] = uploads.try_into().expect("three");
    ended.send_data(Bytes::new(), true).expect("open");
    let (mut request, mut sent) = requests.remove(0);
    body(request.body_mut()).await.1.expect("a clean end");
    respond(&mut sent, 200, "");
    assert_eq!(answer(response).await.status(), 200);
    reset.send_reset(h2::Reason::CANCEL);
    drop(taken_back);
    requests.remove(0).0.body_mut().data().await;
    let widened = async {
        while !is_wide(&proxy).await {
            tokio::task::yield_now().await;
        }
    };
    // Sooner than the third one is ended for its silence.
    timeout(PATIENCE, widened).await.expect("it stays short");
    drop(client);
}

#[tokio::test]
async fn what_no_upload_can_hold_is_not_counted_for_other_streams() {
    let (upstream, proxy) = proxied(|setup| setup.limits.h2_unread = 20 * KIB as u64).await;
    let mut client = proxy.frames(Over::Clear).await;
    // A stream that stays, without an upload.
    client.send_bytes(&frames::head(1, &frames::get("/events"))).await;
    let mut events = upstream.accept().await;
    events.head().await;
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "a.test"), (":path", "/")];
    client.send(kind::HEADERS, END_HEADERS, 3, &literal(&fields)).await;
    let mut up = upstream.accept().await;
    up.head().await;
    // Padding, which h2 passes on to nobody (RFC 9113 §6.1).
    const PADDED: u8 = 8;
    let padding = [&[255][..], &[0; 255]].concat();
    for _ in 0..100 {
        client.send(kind::DATA, PADDED, 3, &padding).await;
    }
    client.knows_all().await;
    assert!(!is_wide(&proxy).await);
    client.send(kind::DATA, END_STREAM, 3, &[]).await;
    assert_eq!(up.exactly(5).await, "0\r\n\r\n");
    up.no_content().await;
    assert_eq!(proxy.record().await, "POST / 204");
    assert!(is_wide(&proxy).await);
    drop(events);
}
