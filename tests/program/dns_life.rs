//! How `tidegate dns` starts and ends.

use crate::corefile::free_port;
use crate::dns::{Names, QUESTION, WEB, shop};
use crate::tidegate::{Process, SOON, command, output, text, until};
use serde_json::json;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::Command;

#[test]
fn before_anything_is_known_it_says_what_it_waits_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    });
    std::fs::write(&config, text.to_string()).expect("writable");
    let config = config.to_str().expect("UTF-8");
    let mut names = Names::start(&["--kubeconfig", config, "--dns-bind", "127.0.0.1:0", "--lameduck", "1h"], 1);
    let reason = until("a reason", || {
        let (status, body) = names.ready();
        assert_eq!(status, if body.is_empty() { 0 } else { 503 }, "{body}");
        body.contains("waiting for").then_some(body)
    });
    for kind in ["Service", "EndpointSlice", "Namespace"] {
        assert!(reason.contains(kind), "{reason}");
    }
    assert!(!["Ingress", "Secret", "Lease"].iter().any(|kind| reason.contains(kind)), "{reason}");
    assert_eq!(names.health().0, 200);
    assert_eq!(names.ask(WEB, &[]), "SERVFAIL");
    names.process.logged("a watch of the API server does not go on: nothing is known yet");

    // Names of others are answered all the same, and so it ends as it does later.
    names.process.signal("-TERM");
    names.process.logged("draining");
    until("not ready", || (names.ready() == (503, "draining\n".to_owned())).then_some(()));
    assert_eq!((names.health().0, names.ask(WEB, &[])), (200, "SERVFAIL".to_owned()));
    names.process.signal("-TERM");
    assert_eq!(names.process.end().code(), Some(143));
}

#[test]
fn while_it_ends_readiness_fails_and_questions_are_answered() {
    let manifests = shop();
    let mut names = Names::serve(&manifests, &["--lameduck", "1h"]);
    names.process.signal("-TERM");
    names.process.logged("draining");
    until("not ready", || (names.ready() == (503, "draining\n".to_owned())).then_some(()));
    assert_eq!(names.health(), (200, "OK".to_owned()));
    assert_eq!(names.ask(WEB, &[]), "NOERROR 10.96.0.10");
    assert_eq!(names.ask(WEB, &["+tcp"]), "NOERROR 10.96.0.10");
    assert!(names.process.is_running());
    names.process.signal("-TERM");
    assert_eq!(names.process.end().code(), Some(143));
}

#[test]
fn it_ends_by_itself_when_the_time_is_over() {
    let manifests = shop();
    let mut names = Names::serve(&manifests, &["--lameduck", "10ms"]);
    names.process.signal("-TERM");
    assert_eq!(names.process.end().code(), Some(0));
}

#[test]
fn health_is_told_until_the_last_question_is_answered() {
    let manifests = shop();
    let upstream = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    for socket in [&upstream, &client] {
        socket.set_read_timeout(Some(SOON)).expect("set");
    }
    let address = upstream.local_addr().expect("bound").to_string();
    let mut names = Names::serve(&manifests, &["--lameduck", "10ms", "--dns-upstream", &address]);
    client.send_to(QUESTION, names.dns[0]).expect("sent");
    let mut packet = [0; 512];
    let (len, forwarder) = upstream.recv_from(&mut packet).expect("asked");
    names.process.signal("-TERM");
    until("nothing listens any more", || TcpStream::connect(names.dns[0]).is_err().then_some(()));
    assert_eq!((names.health(), names.ready()), ((200, "OK".to_owned()), (503, "draining\n".to_owned())));

    // An answer without records.
    packet[2] |= 0x80;
    upstream.send_to(&packet[..len], forwarder).expect("sent");
    let len = client.recv(&mut packet).expect("answered");
    assert!(packet[..len].starts_with(&[0, 7, 0x81]), "{packet:?}");
    assert_eq!(names.process.end().code(), Some(0));
}

#[test]
fn what_no_upstream_answers_is_waited_for_too() {
    let [upstream, client] = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound"));
    for socket in [&upstream, &client] {
        socket.set_read_timeout(Some(SOON)).expect("set");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    let upstream_address = upstream.local_addr().expect("bound");
    let text = format!(".:{port} {{\n    bind 127.0.0.1\n    forward . {upstream_address}\n}}\n");
    std::fs::write(&path, text).expect("written");
    let mut command = command();
    command.args(["dns", "--log-format", "json", "--lameduck", "0s", "--corefile"]).arg(&path);
    let (mut names, _) = Process::spawn(&mut command, 1);
    names.logged("names are served");
    client.send_to(QUESTION, (Ipv4Addr::LOCALHOST, port)).expect("sent");
    let mut packet = [0; 512];
    upstream.recv_from(&mut packet).expect("asked");
    names.signal("-TERM");
    client.recv(&mut packet).expect("answered");
    assert_eq!((&packet[..2], packet[3] & 0x0f), (&[0, 7][..], 2), "SERVFAIL");
    assert_eq!(names.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_while_the_last_questions_wait() {
    let manifests = shop();
    let [upstream, client] = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound"));
    upstream.set_read_timeout(Some(SOON)).expect("set");
    let address = upstream.local_addr().expect("bound").to_string();
    let mut names = Names::serve(&manifests, &["--lameduck", "10ms", "--dns-upstream", &address]);
    client.send_to(QUESTION, names.dns[0]).expect("sent");
    upstream.recv_from(&mut [0; 512]).expect("asked");
    names.process.signal("-TERM");
    until("nothing listens any more", || TcpStream::connect(names.dns[0]).is_err().then_some(()));
    names.process.signal("-TERM");
    assert_eq!(names.process.end().code(), Some(143));
}

#[test]
fn what_a_corefile_names_and_is_not_there_is_told_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("Corefile");
    for (line, expected) in [
        ("tls /nosuch.crt /nosuch.key", ":3: tls: /nosuch.crt: "),
        ("forward . /nosuch.conf", ":3: forward .: /nosuch.conf: "),
        ("autopath /nosuch.conf", ":3: autopath: /nosuch.conf: "),
        ("bind nosuch", ":3: bind: there is no interface nosuch "),
    ] {
        let key = if line.starts_with("tls") { "tls://." } else { "." };
        std::fs::write(&path, format!("{key}:{} {{\n    whoami\n    {line}\n}}\n", free_port())).expect("written");
        let path = path.to_str().expect("UTF-8");
        let refused = output(&["dns", "--log-level", "off", "--corefile", path]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.starts_with(&format!("tidegate: {path}{expected}")), "{said}");
    }
}

#[test]
fn the_domain_of_a_flag_is_not_for_a_corefile() {
    let refused = output(&["dns", "--corefile", "Corefile", "--cluster-domain", "example.internal"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--cluster-domain") && said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_low_limit_of_open_files_is_told() {
    let manifests = shop();
    let limited = "ulimit -n 1000 && exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_tidegate"), "dns", "--log-format", "json"]);
    command.args(["--dns-bind", "127.0.0.1:0", "--manifests"]).arg(manifests.path());
    command.args(["--health-bind", "off", "--ready-bind", "off", "--metrics-bind", "off"]);
    let (process, _) = Process::spawn(&mut command, 1);
    assert_eq!(process.logged("the limit of open files")["limit"], 1000);
    process.logged("names are served");
}
