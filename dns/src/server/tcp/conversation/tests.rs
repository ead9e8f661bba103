use super::*;
use crate::metrics::Metrics;
use crate::server::respond::Shared;
use crate::server::{Bounds, Settings};
use crate::serving::{At, Serving};
use config::DomainName;
use prometheus::Registry;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch;

fn conversation(stream: DuplexStream) -> Conversation<DuplexStream> {
    let (_publisher, names) = config::publisher();
    let metrics = Arc::new(Metrics::new(&Registry::new()).unwrap());
    let block = Settings::new(DomainName::cluster_local(), Vec::new()).block(&metrics);
    let at = At { transport: crate::plan::Transport::Dns, address: "192.0.2.1:53".parse().unwrap() };
    let serving = Arc::new(Serving::everywhere(block, [at], (Clocks::default(), &metrics)));
    let shared = Shared::new(names, serving, metrics, Bounds::default());
    let ends = ("192.0.2.9:4000".parse().unwrap(), None);
    Conversation::new(stream, ends, Arc::new(Responder::new(Arc::new(shared), at)))
}

fn stopped() -> Stop {
    Stop::new(watch::channel(()).1)
}

fn question() -> Vec<u8> {
    let name = b"\x03web\x04shop\x03svc\x07cluster\x05local\0";
    let message = [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &name[..], &[0, 1, 0, 1]].concat();
    let mut framed = Vec::new();
    push(&mut framed, &message);
    framed
}

#[tokio::test]
async fn what_is_ready_leaves_at_once_and_what_is_begun_is_kept() {
    let (ours, _theirs) = duplex(1 << 20);
    let mut conversation = conversation(ours);
    let (whole, cut) = (question().repeat(3), &question()[..9]);
    conversation.take(&[&whole, cut].concat());
    let mut output = &*conversation.output;
    for _ in 0..3 {
        let answer = first(output).unwrap().unwrap();
        assert_eq!(answer[..2], [0, 7]);
        output = &output[PREFIX + answer.len()..];
    }
    assert_eq!((output, &*conversation.rest), (&[][..], cut));
}

#[tokio::test]
async fn no_more_is_made_than_can_be_sent() {
    let (ours, _theirs) = duplex(1 << 20);
    let mut conversation = conversation(ours);
    conversation.take(&question().repeat(2_000));
    assert!((MUCH..MUCH + 512).contains(&conversation.output.len()), "{} bytes", conversation.output.len());
    let mut rounds = 0;
    while conversation.can_go_on() {
        conversation.send(&stopped()).await.unwrap();
        conversation.go_on();
        rounds += 1;
    }
    assert!(rounds > 2 && conversation.rest.is_empty(), "{rounds} rounds");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_holds_no_buffer() {
    let (ours, _theirs) = duplex(1 << 20);
    let mut conversation = conversation(ours);
    conversation.take(&question()[..9]);
    conversation.take(&question()[9..]);
    conversation.send(&stopped()).await.unwrap();
    let buffers = |of: &Conversation<_>| [of.rest.capacity(), of.reply.capacity(), of.output.capacity()];
    assert!(buffers(&conversation).iter().all(|capacity| (1..=KEPT).contains(capacity)));
    conversation.shed();
    assert!(conversation.output.capacity() > 0, "it is not silent yet");
    tokio::time::advance(RECHECK).await;
    conversation.shed();
    assert_eq!(buffers(&conversation), [0; 3]);
}
