//! How the program ends.

use crate::backend::Backend;
use crate::client::get;
use crate::manifests::{Manifests, ingress, service};
use crate::tidegate::{Tidegate, until};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

fn shop() -> Manifests {
    let backend = Backend::start("one");
    Manifests::new(&[
        ("a.yaml", ingress("web", "shop.test", "/", "web")),
        ("b.yaml", service("web", &[backend.address])),
    ])
}

#[test]
fn a_signal_drains_and_ends_well() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let manifests = shop();
        let mut tidegate = Tidegate::run(manifests.path(), &[]);
        assert_eq!(tidegate.get("shop.test", "/").status, 200);
        tidegate.signal(signal);
        assert_eq!(tidegate.end().code(), Some(0), "{signal}");
    }
}

#[test]
fn while_it_drains_readiness_fails_and_requests_are_answered() {
    let manifests = shop();
    let mut tidegate = Tidegate::run(manifests.path(), &["--drain-delay", "1h"]);
    tidegate.signal("-TERM");
    tidegate.logged("draining");
    let readyz =
        until("not ready", || Some(get(tidegate.admin, "localhost", "/readyz")).filter(|answer| answer.status == 503));
    assert_eq!(readyz.body, "draining\n");
    assert_eq!(get(tidegate.admin, "localhost", "/livez").status, 200);
    let answer = tidegate.get("shop.test", "/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "one /"));
    assert!(tidegate.is_running());
    tidegate.signal("-TERM");
    assert_eq!(tidegate.end().code(), Some(143));
}

#[test]
fn a_second_signal_ends_at_once() {
    let manifests = shop();
    let mut tidegate = Tidegate::run(manifests.path(), &["--drain-delay", "1h"]);
    tidegate.signal("-INT");
    tidegate.logged("draining");
    tidegate.signal("-INT");
    assert_eq!(tidegate.end().code(), Some(130));
}

#[test]
fn a_kept_connection_is_told_to_close_and_ends() {
    let manifests = shop();
    let mut tidegate = Tidegate::run(manifests.path(), &["--drain-delay", "1h"]);
    let mut kept = TcpStream::connect(tidegate.http).expect("connected");
    let mut reader = BufReader::new(kept.try_clone().expect("cloned"));
    let mut ask = || {
        kept.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").expect("sent");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).expect("answered"), 0, "{head}");
        }
        let mut body = [0; 5];
        reader.read_exact(&mut body).expect("a body");
        assert_eq!(&body, b"one /");
        head.to_ascii_lowercase()
    };
    assert!(!ask().contains("connection: close"));
    tidegate.signal("-TERM");
    tidegate.logged("draining");
    until("not ready", || (get(tidegate.admin, "localhost", "/readyz").status == 503).then_some(()));
    let head = ask();
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(reader.read(&mut [0; 1]).expect("closed well"), 0);
    tidegate.signal("-TERM");
    assert_eq!(tidegate.end().code(), Some(143));
}
