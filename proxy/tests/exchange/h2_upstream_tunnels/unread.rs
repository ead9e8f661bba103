//! Small messages that nobody reads: many frames of little data.

use super::ends::{Near, Speaking, opened};
use super::{agreed, serves_others};
use crate::harness::frames::{frame, kind};
use crate::harness::h2::{fill, piece};
use crate::harness::tunnel::{UPGRADE, WILLING, h2c};

#[tokio::test]
async fn small_messages_that_clients_do_not_read_leave_the_connection_to_others() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let (mut near, mut far, mut up) = opened(Speaking::Http2, &upstream, None, &proxy).await;
    let mut tunnels = vec![];
    for _ in 0..4 {
        let mut said = 0;
        loop {
            // One byte is one frame.
            let len = fill(&mut far.send, 1).await;
            if len == 0 {
                break;
            }
            said += len;
        }
        tunnels.push((near, far, said));
        (near, far, up) = opened(Speaking::Http2, &upstream, Some(up), &proxy).await;
    }
    serves_others(&mut up, &proxy).await;
    assert!(upstream.is_left_alone().await);
    // All of it comes once it is read.
    for (mut near, _far, said) in tunnels {
        let Near::Http2 { stream, .. } = &mut near else { unreachable!("as it was asked") };
        let mut heard = 0;
        while heard < said {
            heard += piece(&mut stream.received).await.len();
        }
        assert_eq!(heard, said);
    }
}

#[tokio::test]
async fn small_messages_that_were_on_their_way_to_clients_who_left_leave_the_connection_to_others() {
    let (upstream, proxy) = h2c(|_| {}).await;
    let mut other = proxy.client().await;
    other.send(UPGRADE).await;
    let mut up = upstream.accept_frames(&WILLING).await;
    let others = agreed(&mut other, &mut up).await;
    for _ in 0..50 {
        let mut client = proxy.client().await;
        client.send(UPGRADE).await;
        let stream = agreed(&mut client, &mut up).await;
        client.reset();
        up.until(kind::RST_STREAM).await;
        up.send_bytes(&frame(kind::DATA, 0, stream, b"0123456789").repeat(500)).await;
        up.send(kind::DATA, 0, others, b"x").await;
        assert_eq!(other.exactly(1).await, "x");
    }
}
