//! What happens when no file descriptor is left. A program of its own, since its limit is that of its process.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[expect(dead_code, unused_imports, reason = "what the cases of the exchange need beside")]
mod harness;

use harness::{Client, Setup, Upstream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Opens files until no more can be opened.
fn all_files() -> Vec<File> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..limit }).expect("it may be lowered");
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// The upstream's end of a connection for which the request that is under way waits.
async fn answers(client: &mut Client, upstream: &Upstream, answer: &str) -> Client {
    let mut up = upstream.accept().await;
    up.head().await;
    up.send(answer).await;
    assert_eq!(client.answer().await.1, "ok");
    up
}

#[tokio::test]
async fn without_files_idle_connections_are_closed_and_nobody_is_blamed() {
    let (mut one, mut other) = (Upstream::bind().await, Upstream::bind().await);
    if other.address < one.address {
        std::mem::swap(&mut one, &mut other);
    }
    let mut setup = Setup::to(&[one.address, other.address]);
    setup.drain.timeout = Duration::from_secs(1);
    let proxy = setup.start().await;
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut first = answers(&mut client, &one, OK).await;
    let mut files = all_files();

    // Connecting takes the file of the idle connection; this end of it takes one too.
    client.send(GET).await;
    first.is_closed().await;
    files.pop();
    let mut second = answers(&mut client, &other, OK).await;
    drop(first);
    files.extend(File::open("/dev/null"));
    assert!(File::open("/dev/null").is_err());

    // So does accepting: of the file that is free here one end of a client's connection is made.
    files.pop();
    let mut another = proxy.client().await;
    second.is_closed().await;
    drop(second);
    files.pop();
    another.send(GET).await;
    let mut third = answers(&mut another, &one, CLOSING).await;
    third.is_closed().await;
    drop(third);
    files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));

    // Nothing is idle any more: one of the two would be ejected by three failures, the other not.
    for _ in 0..5 {
        client.send(GET).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    }
    drop(files);
    for upstream in [&one, &other] {
        client.send(GET).await;
        answers(&mut client, upstream, CLOSING).await;
    }
    let refused = ["GET / 503 local_resources"; 5];
    proxy.after(&[&refused[..], &["GET / 200"; 5]].concat()).await;
    assert_eq!(proxy.ejections().await, 0);
}
