use super::*;
use std::future::poll_fn;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// A wire and its peer.
async fn pair(limits: &Limits) -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let connecting = TcpStream::connect(listener.local_addr().expect("bound"));
    let (accepted, connected) = tokio::join!(listener.accept(), connecting);
    (Wire::new(Io::Plain(accepted.expect("accept").0), limits), connected.expect("connect"))
}

async fn write(wire: &mut Wire, data: Bytes) {
    poll_fn(|cx| Poll::Ready(wire.write(cx, data.clone(), b""))).await.expect("write");
}

/// Whether anything left since the last call.
async fn has_left(wire: &mut Wire) -> bool {
    let mut progress = false;
    poll_fn(|cx| wire.poll_drain(cx, &mut progress)).await.expect("drain");
    progress
}

#[tokio::test]
async fn what_left_without_a_copy_is_progress() {
    let (mut wire, _peer) = pair(&Limits::default()).await;
    assert!(!has_left(&mut wire).await);
    for len in [COPIED, COPIED + 1] {
        write(&mut wire, vec![0; len].into()).await;
        assert!(has_left(&mut wire).await, "{len} bytes");
        assert!(wire.is_drained() && !has_left(&mut wire).await);
    }
}

#[tokio::test]
async fn a_read_takes_no_more_than_its_limit() {
    let (mut wire, mut peer) = pair(&Limits { read: 3, ..Limits::default() }).await;
    peer.write_all(b"hello").await.expect("send");
    for (len, seen) in [(3, "hel"), (2, "hello")] {
        assert_eq!(poll_fn(|cx| wire.poll_fill(cx)).await.expect("read"), len);
        assert_eq!(wire.input, seen.as_bytes());
    }
    assert_eq!(wire.received(), 5);
    drop(peer);
    assert_eq!(poll_fn(|cx| wire.poll_fill(cx)).await.expect("end"), 0);
    assert!(wire.is_eof());
}

#[tokio::test]
async fn a_peer_that_is_always_behind_does_not_lengthen_the_buffer() {
    const PIECE: usize = 16 * 1024;
    let (mut wire, mut peer) = pair(&Limits::default()).await;
    let (mut read, mut behind) = (vec![0; 3 * PIECE], 0);
    for _ in 0..2000 {
        while wire.has_room() {
            write(&mut wire, vec![0; PIECE].into()).await;
        }
        tokio::select! {
            biased;
            sent = poll_fn(|cx| wire.poll_drain(cx, &mut false)) => sent.expect("drain"),
            len = peer.read(&mut read) => {
                assert!(len.expect("read") > 0);
                behind += 1;
            }
        }
        assert!(wire.output.len() < 8 * PIECE, "{} of {}", wire.buffered(), wire.output.len());
    }
    assert!(behind > 100, "{behind}");
}

#[tokio::test]
async fn small_reads_share_a_buffer() {
    let (mut wire, mut peer) = pair(&Limits::default()).await;
    let mut starts = Vec::new();
    for _ in 0..100 {
        peer.write_all(b"x").await.expect("send");
        assert_eq!(poll_fn(|cx| wire.poll_fill(cx)).await.expect("read"), 1);
        starts.push(wire.input.split().freeze().as_ptr() as usize);
    }
    assert!(starts.windows(2).all(|pair| pair[1] == pair[0] + 1), "{starts:?}");
}

#[tokio::test]
async fn output_has_a_limit_and_keeps_its_order() {
    let (mut wire, peer) = pair(&Limits { output: 1024, ..Limits::default() }).await;
    let piece = vec![b'x'; 1 << 20];
    while wire.has_room() {
        write(&mut wire, piece.clone().into()).await;
    }
    wire.output().extend_from_slice(b"end");
    assert!(!wire.is_drained());
    let reading = async {
        let (mut peer, mut seen) = (peer, Vec::new());
        while !seen.ends_with(b"end") {
            assert!(peer.read_buf(&mut seen).await.expect("read") > 0);
        }
        seen.len()
    };
    let (seen, left) = tokio::join!(reading, has_left(&mut wire));
    assert!(left && wire.is_drained());
    assert_eq!(seen % piece.len(), 3);
}
