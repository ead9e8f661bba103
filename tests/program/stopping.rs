//! How the program ends.

use crate::backend::Backend;
use crate::client::get;
use crate::dns::QUESTION;
use crate::manifests::{Manifests, ingress, service};
use crate::tidegate::{SOON, Tidegate, command, until};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

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

/// Those of CoreDNS for another configuration and another program.
#[test]
fn a_signal_for_other_things_than_the_end_is_told_and_changes_nothing() {
    let manifests = shop();
    let mut tidegate = Tidegate::run(manifests.path(), &[]);
    for (signal, name) in [("-USR1", "SIGUSR1"), ("-USR2", "SIGUSR2")] {
        tidegate.signal(signal);
        assert_eq!(tidegate.logged("this signal changes nothing")["signal"], name);
        assert_eq!(tidegate.get("shop.test", "/").status, 200, "{name}");
    }
    tidegate.signal("-TERM");
    tidegate.logged("draining");
    assert_eq!(tidegate.end().code(), Some(0));
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
fn a_second_signal_ends_it_while_the_last_questions_wait() {
    let manifests = shop();
    let [upstream, client] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("bound"));
    upstream.set_read_timeout(Some(SOON)).expect("set");
    let address = upstream.local_addr().expect("bound").to_string();
    let mut tidegate = Tidegate::run(manifests.path(), &["--dns-upstream", &address]);
    client.send_to(QUESTION, tidegate.dns).expect("sent");
    upstream.recv_from(&mut [0; 512]).expect("asked");
    tidegate.signal("-TERM");
    tidegate.logged("drained");
    tidegate.signal("-TERM");
    assert_eq!(tidegate.end().code(), Some(143));
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

/// A plugin for credentials that asks somebody who is not there: the program has nothing to serve yet, and ends.
#[test]
fn a_signal_ends_it_while_a_plugin_for_credentials_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, pid) = (folder.path().join("kubeconfig"), folder.path().join("pid"));
    let script = format!("echo $$ > {0}.new && mv {0}.new {0} && exec sleep 600", pid.display());
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
                      "interactiveMode": "Never"});
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "a", "user": {"exec": exec}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    });
    std::fs::write(&config, text.to_string()).expect("writable");
    let mut command = command();
    command.args(["run", "--log-format", "json", "--kubeconfig"]).arg(config);
    for listener in ["http", "https", "dns", "admin"] {
        command.args([&format!("--{listener}-bind"), "127.0.0.1:0"]);
    }
    let mut tidegate = Tidegate::spawn(command);
    let plugin = until("the plugin runs", || std::fs::read_to_string(&pid).ok());
    tidegate.signal("-TERM");
    let ended = tidegate.end();
    let is_there = Command::new("kill").arg(plugin.trim()).status().expect("kill");
    assert_eq!(ended.code(), Some(0));
    assert!(is_there.success(), "it did hang");
}
