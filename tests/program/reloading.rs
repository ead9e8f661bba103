//! Changes of a Corefile of which a part has to wait for the next start.

use crate::client;
use crate::corefile::{self, dig_at, free_port, replace};
use crate::manifests::{Manifests, service};
use crate::tidegate::{Process, command, output, text};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

const WEB: &str = "web.shop.svc.cluster.local";
const POD: &str = "10-0-0-1.shop.pod.cluster.local";

/// A Corefile that is looked at again soon.
fn corefile(port: u16, health: &str, ttl: u32, pods: &str) -> String {
    format!(
        ".:{port} {{\n    bind 127.0.0.1\n    health {health}\n    kubernetes cluster.local {{\n        ttl {ttl}\n        \
         pods {pods}\n    }}\n    reload 2s 1s\n}}\n"
    )
}

fn start(path: &Path, flags: &[&str]) -> (Process, Manifests) {
    let manifests = Manifests::new(&[("services.yaml", service("web", &[]))]);
    let mut command = command();
    command.args(["dns", "--log-format", "json", "--manifests"]).arg(manifests.path()).arg("--corefile").arg(path);
    let (process, _) = Process::spawn(command.args(flags), 2);
    process.logged("names are served");
    (process, manifests)
}

#[test]
fn what_needs_no_restart_is_taken_and_the_rest_told_each_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    let [before, after] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let lameduck = |address: &str, time: &str| format!("{address} {{\n        lameduck {time}\n    }}");
    replace(&path, &corefile(port, &lameduck(&before, "10m"), 17, "insecure"));
    let (mut names, _manifests) = start(&path, &[]);
    let health: SocketAddr = before.parse().expect("an address");

    for ttl in [18, 19] {
        replace(&path, &corefile(port, &lameduck(&after, "10ms"), ttl, "disabled"));
        names.logged("the Corefile has changed");
        names.logged(&format!("Corefile:3: health: {after} counts from the next start on"));
        assert_eq!(dig_at(port, WEB), format!("{WEB}. {ttl} IN A 10.96.0.10"));
        assert_eq!((dig_at(port, POD), client::get(health, "localhost", "/health").status), (String::new(), 200));
    }
    // Pods are not read: the zone stays as it was, and the same mistake is told of the next change too.
    for errors in ["", "    errors\n"] {
        let text = corefile(port, &lameduck(&after, "10ms"), 20, "verified")
            .replace("    reload", &format!("{errors}    reload"));
        replace(&path, &text);
        names.logged("the Corefile has changed");
        names.logged("Corefile:6: kubernetes: pods verified counts from the next start on");
        assert_eq!(dig_at(port, WEB), format!("{WEB}. 19 IN A 10.96.0.10"));
    }
    // The time is the one of the last change.
    names.signal("-TERM");
    assert_eq!(names.end().code(), Some(0));
}

#[test]
fn a_change_that_is_refused_is_told_each_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    let text = |ttl| corefile(port, "127.0.0.1:0", ttl, "insecure").replace("    health 127.0.0.1:0\n", "");
    replace(&path, &text(17));
    let (names, _manifests) = start(&path, &["--health-bind", "off", "--ready-bind", "127.0.0.1:0"]);
    for ttl in [18, 19] {
        replace(&path, &text(ttl).replace("bind 127.0.0.1", "bind 192.0.2.1"));
        let error = names.logged("the Corefile is not taken")["error"].to_string();
        assert!(error.contains("192.0.2.1"), "{error}");
        assert_eq!(dig_at(port, WEB), format!("{WEB}. 17 IN A 10.96.0.10"));
    }
    // Where a flag says where a probe is, a Corefile does not, now or later.
    replace(&path, &corefile(port, "127.0.0.1:9", 20, "insecure"));
    names.logged("the Corefile has changed");
    replace(&path, &text(21).replace("    reload", "    prometheus 127.0.0.1:9\n    reload"));
    names.logged("the Corefile has changed");
    let told = names.logged("counts from the next start on")["message"].to_string();
    assert!(told.contains(":7: prometheus: 127.0.0.1:9 counts"), "{told}");
}

#[test]
fn a_change_that_the_next_start_would_refuse_is_refused() {
    let manifests = Manifests::new(&[("services.yaml", service("web", &[]))]);
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    let before = corefile(port, "", 17, "insecure").replace("    health \n", "");
    replace(&path, &before);
    let tidegate = corefile::start(manifests.path(), &path);
    let words = "--corefile: labels and namespace_labels are for `tidegate dns`; `run` reads all Services";
    for option in ["labels team=a", "namespace_labels team=a"] {
        replace(&path, &before.replace("ttl 17", &format!("ttl 18\n        {option}")));
        assert_eq!(tidegate.logged("the Corefile is not taken")["error"], words);
        assert_eq!(dig_at(port, WEB), format!("{WEB}. 17 IN A 10.96.0.10"));
    }
    let [manifests, path] = [manifests.path(), &path].map(|path| path.to_str().expect("UTF-8"));
    let refused = output(&["run", "--manifests", manifests, "--corefile", path]);
    assert!(text(&refused.stderr).contains(words), "{}", text(&refused.stderr));
}

/// Where a question still waits for its upstream, nothing but its answer is as before.
#[test]
fn an_address_that_was_given_up_is_taken_again_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, port) = (directory.path().join("Corefile"), free_port());
    let upstream = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let forward = format!("    forward . {}\n", upstream.local_addr().expect("bound"));
    let text = |bind: &str, ttl| {
        let text = corefile(port, "127.0.0.1:0", ttl, "insecure").replace("    health 127.0.0.1:0\n", &forward);
        text.replace("    bind 127.0.0.1\n", bind).replace("    reload 2s 1s\n", "")
    };
    let [one, both] = ["    bind 127.0.0.2\n", "    bind 127.0.0.1 127.0.0.2\n"];
    replace(&path, &text(both, 17));
    let (mut names, _manifests) = start(&path, &["--health-bind", "off", "--ready-bind", "127.0.0.1:0"]);
    let client = UdpSocket::bind("127.0.0.1:0").expect("bound");
    // The same address beside one that stays, then all addresses.
    for (bind, ttl) in [(both, 19), ("", 21)] {
        let question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01";
        client.send_to(question, ("127.0.0.1", port)).expect("sent");
        let mut asked = [0; 512];
        let (len, asker) = upstream.recv_from(&mut asked).expect("asked");
        for (bind, ttl) in [(one, ttl - 1), (bind, ttl)] {
            replace(&path, &text(bind, ttl));
            names.signal("-USR1");
            names.logged("the Corefile has changed");
        }
        for _ in 0..16 {
            assert_eq!(dig_at(port, WEB), format!("{WEB}. {ttl} IN A 10.96.0.10"));
        }
        asked[2] |= 0x80;
        upstream.send_to(&asked[..len], asker).expect("sent");
        client.recv(&mut [0; 512]).expect("answered");
    }
    names.signal("-TERM");
    assert_eq!(names.end().code(), Some(0));
}

/// CoreDNS does so at SIGUSR1. Without `reload` nothing else has the file looked at, and nothing at all the file of `hosts`.
#[test]
fn a_signal_has_the_corefile_looked_at_and_what_it_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let [path, hosts] = ["Corefile", "hosts"].map(|name| directory.path().join(name));
    let port = free_port();
    let hosts_part = format!("    hosts {} {{\n        reload 0\n        fallthrough\n    }}\n", hosts.display());
    let text = |ttl| {
        let whole = corefile(port, "127.0.0.1:0", ttl, "insecure").replace("    health 127.0.0.1:0\n", &hosts_part);
        whole.replace("    reload 2s 1s\n", "")
    };
    replace(&hosts, "192.0.2.1 printer.test\n");
    replace(&path, &text(17));
    let (mut names, _manifests) = start(&path, &["--health-bind", "off", "--ready-bind", "127.0.0.1:0"]);
    let printer = || dig_at(port, "printer.test");

    replace(&path, &text(18));
    names.signal("-USR1");
    names.logged("the Corefile has changed");
    assert_eq!(dig_at(port, WEB), format!("{WEB}. 18 IN A 10.96.0.10"));
    assert!(printer().ends_with("A 192.0.2.1"), "{}", printer());

    replace(&hosts, "192.0.2.2 printer.test\n");
    names.signal("-USR1");
    names.logged("the Corefile is the same; the files of its parts are read again");
    assert!(printer().ends_with("A 192.0.2.2"), "{}", printer());

    // Whoever asks is told, of the same mistake too.
    replace(&path, &text(19).replace("insecure", "insecur"));
    for _ in 0..2 {
        names.signal("-USR1");
        names.logged("the Corefile is not taken");
    }
    names.signal("-USR2");
    assert_eq!(names.logged("this signal changes nothing")["signal"], "SIGUSR2");
    assert_eq!(dig_at(port, WEB), format!("{WEB}. 18 IN A 10.96.0.10"));
    names.signal("-TERM");
    names.logged("draining");
    assert_eq!(names.end().code(), Some(0));
}
