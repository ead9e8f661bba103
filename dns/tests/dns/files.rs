//! What happens when no file descriptor is left. A program of its own, since its limit is that of its process.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "what the other cases need beside")]
mod harness;

use harness::*;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::yield_now;

const WEB: &str = "web.shop.svc.cluster.local.";

/// Opens files until no more can be opened.
fn all_files() -> Vec<File> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..limit }).unwrap();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

async fn ask(stream: &mut TcpStream, id: u16) {
    let question = question(id, WEB, RecordType::A).to_vec().unwrap();
    stream.write_all(&frame(&question)).await.unwrap();
}

async fn is_answered(stream: &mut TcpStream, id: u16) {
    let answer = Message::from_vec(&read_frame(stream).await.unwrap()).unwrap();
    assert_eq!((answer.metadata.id, answered(&answer)), (id, vec!["10.0.0.1".to_owned()]));
}

#[tokio::test]
async fn without_files_everybody_is_served_who_is_there_and_others_once_there_are_some() {
    let server = start(settings());
    let (udp, mut kept) = (server.client().await, server.connect().await);
    ask(&mut kept, 1).await;
    is_answered(&mut kept, 1).await;
    let mut files = all_files();
    files.pop();
    // This end of it takes the last one.
    let mut late = server.connect().await;
    assert!(File::open("/dev/null").is_err());
    ask(&mut late, 2).await;
    while server.metric("tidegate_dns_accept_failures_total", &[]) < 2.0 {
        yield_now().await;
    }

    let question = question(3, WEB, RecordType::A);
    udp.send(&question.to_vec().unwrap()).await.unwrap();
    assert_eq!(answered(&answer(&udp).await), ["10.0.0.1"]);
    ask(&mut kept, 4).await;
    is_answered(&mut kept, 4).await;

    drop(files);
    is_answered(&mut late, 2).await;
    server.stop().await;
}
