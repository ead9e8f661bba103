//! What HTTP/2 clients together may send ahead of the upstreams.

use crate::harness::frames::{PREFACE, frame, kind};
use crate::harness::h2::{Over, answer, body, fill, post, respond};
use crate::harness::{Running, proxied};
use bytes::Bytes;
use config::BackendProtocol;

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
    while !is_wide(&proxy).await {
        tokio::task::yield_now().await;
    }
    drop(client);
}
