//! Files that a Corefile names and that are not there: what is told of them, and whether a server starts then.

use crate::authority::Authority;
use config::DnsCompatibility;
use prometheus::Registry;
use std::fs;
use std::io;
use std::path::Path;
use tidegate_dns::{Environment, Note, Plan, Server, System};

/// A folder with all files that the cases name.
fn folder() -> Authority {
    let authority = Authority::new();
    authority.mount("dns.test");
    // What stands around certificates is no text of ours.
    let path = authority.path().join("ca.crt");
    let certificate = fs::read(&path).unwrap();
    fs::write(&path, [b"Autorit\xE9\n", &certificate[..]].concat()).unwrap();
    for (name, text) in [
        ("resolv.conf", "nameserver 192.0.2.53\nsearch corp.example\n"),
        ("hosts", "192.0.2.1 node-1\n"),
        ("more.override", "any\n"),
    ] {
        fs::write(authority.path().join(name), text).unwrap();
    }
    authority
}

/// What is told of the files of a Corefile, in which `DIR` stands for their folder, and whether a server starts with it.
fn told(corefile: &str, folder: &Path) -> (Vec<String>, bool) {
    let text = corefile.replace("DIR", folder.to_str().unwrap());
    let (plan, notes) = Plan::from_corefile(&text, "Corefile", &System).unwrap_or_else(|errors| panic!("{errors:?}"));
    let (_publisher, names) = config::publisher();
    let starts = Server::with_plan(names, (&plan, DnsCompatibility::Standard), &Registry::new()).is_ok();
    let missing = notes.iter().filter(|note| note.is_missing).map(Note::to_string);
    (missing.map(|note| note.replace(&format!("{}/", folder.display()), "")).collect(), starts)
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_and_what_that_means() {
    let tls = "tls DIR/tls.crt DIR/tls.key DIR/ca.crt";
    let shown = format!("tls://. {{\n bind 127.0.0.1\n {tls} {{\n  client_auth verify_if_given\n }}\n}}\n");
    let unverified = format!("https://. {{\n bind 127.0.0.1\n {tls} {{\n  client_auth request\n }}\n}}\n");
    let upstream = format!(". {{\n forward . tls://192.0.2.1 {{\n  {tls}\n }}\n}}\n");
    let no_start = "a server does not start without it";
    let in_second =
        |plugin: &str, file: &str, means: &str| format!("Corefile:2: {plugin}: there is no {file}: {means}");
    let in_third = |plugin: &str, file: &str| format!("Corefile:3: {plugin}: there is no {file}: {no_start}");
    for (corefile, file, expected) in [
        (". {\n forward . DIR/resolv.conf\n}\n", "resolv.conf", in_second("forward", "resolv.conf", no_start)),
        (
            ". {\n forward . 192.0.2.1 {\n  to DIR/resolv.conf\n }\n}\n",
            "resolv.conf",
            in_third("forward: to", "resolv.conf"),
        ),
        (". {\n autopath DIR/resolv.conf\n}\n", "resolv.conf", in_second("autopath", "resolv.conf", no_start)),
        (&shown, "tls.crt", in_third("tls", "tls.crt")),
        (&shown, "tls.key", in_third("tls", "tls.key")),
        (&shown, "ca.crt", in_third("tls", "ca.crt")),
        (&unverified, "tls.key", in_third("tls", "tls.key")),
        (&upstream, "tls.crt", in_third("forward: tls", "tls.crt")),
        (&upstream, "tls.key", in_third("forward: tls", "tls.key")),
        (&upstream, "ca.crt", in_third("forward: tls", "ca.crt")),
        (&upstream.replace(tls, "tls DIR/ca.crt"), "ca.crt", in_third("forward: tls", "ca.crt")),
        (". {\n hosts DIR/hosts\n}\n", "hosts", in_second("hosts", "hosts", "it counts as empty until there is one")),
        (
            ". {\n hosts DIR/hosts {\n  reload 0\n }\n}\n",
            "hosts",
            in_second(
                "hosts",
                "hosts",
                "it counts as empty, and is looked for again with another Corefile or SIGUSR1 alone",
            ),
        ),
        (
            ". {\n import DIR/*.override\n}\n",
            "more.override",
            "Corefile:2: nothing to import is called *.override: the line adds nothing".to_owned(),
        ),
    ] {
        let folder = folder();
        assert_eq!(told(corefile, folder.path()), (Vec::new(), true), "{corefile}");
        fs::remove_file(folder.path().join(file)).unwrap();
        let (missing, starts) = told(corefile, folder.path());
        assert_eq!(missing, [expected], "{corefile}");
        assert_eq!(starts, !missing.concat().ends_with(no_start), "{corefile}");
    }
}

/// At an address that others have too, and whose longest zone is another's.
#[tokio::test]
async fn each_block_needs_the_files_of_its_certificate() {
    let block = |zone: &str| format!("tls://{zone} {{\n bind 127.0.0.1\n tls DIR/none DIR/tls.key\n}}\n");
    let (missing, starts) = told(&[block("."), block("a.test")].concat(), folder().path());
    let expected =
        [3, 7].map(|line| format!("Corefile:{line}: tls: there is no none: a server does not start without it"));
    assert_eq!((missing, starts), (expected.to_vec(), false));
}

#[tokio::test]
async fn what_is_no_file_is_told_as_such() {
    let (missing, starts) = told(". {\n forward . tls://192.0.2.1 {\n  tls DIR/\n }\n}\n", folder().path());
    let told = "Corefile:3: forward: tls:  cannot be read: it is no regular file; a server does not start without it";
    assert_eq!((missing, starts), (vec![told.to_owned()], false));
}

/// A server reads one of up to 16 MiB, be it text or not (`part/hosts/file.rs`).
#[tokio::test]
async fn a_file_of_hosts_is_looked_for_as_it_is_read() {
    let folder = folder();
    let hosts = |bytes: &[u8]| {
        fs::write(folder.path().join("hosts"), bytes).unwrap();
        told(". {\n hosts DIR/hosts\n}\n", folder.path())
    };
    assert_eq!(hosts(b"192.0.2.1 node-1 # caf\xE9\n"), (Vec::new(), true));
    let most = vec![b'#'; 16 << 20];
    assert_eq!(hosts(&most), (Vec::new(), true));
    let told = "Corefile:2: hosts: hosts cannot be read: it is larger than 16777216 bytes; it counts as empty until there \
                is one";
    assert_eq!(hosts(&[&most[..], b"#"].concat()), (vec![told.to_owned()], true));
}

/// Comments of a system's files are in whatever encoding somebody wrote them in (`forward/origin.rs`, `part/autopath.rs`).
#[tokio::test]
async fn a_resolv_conf_need_not_be_utf_8() {
    let folder = folder();
    let text = b"# Aufl\xF6ser\nnameserver 192.0.2.53 # caf\xE9\nsearch corp.example\n";
    fs::write(folder.path().join("resolv.conf"), text).unwrap();
    for corefile in
        [". {\n forward . DIR/resolv.conf\n}\n", ". {\n autopath DIR/resolv.conf\n forward . 192.0.2.1\n}\n"]
    {
        assert_eq!(told(corefile, folder.path()), (Vec::new(), true), "{corefile}");
    }
}

/// A certificate that nothing shows, authorities of clients that nobody verifies, and authorities of upstreams that are not spoken to over TLS.
#[tokio::test]
async fn a_file_that_nothing_reads_is_not_told() {
    for corefile in [
        ". {\n tls DIR/none DIR/none\n whoami\n}\n",
        "tls://. {\n bind 127.0.0.1\n tls DIR/tls.crt DIR/tls.key DIR/none {\n  client_auth request\n }\n}\n",
        ". {\n forward . 192.0.2.1 {\n  tls DIR/none\n }\n}\n",
        ". {\n forward . tls://192.0.2.1 {\n  tls DIR/none\n  tls DIR/ca.crt\n }\n}\n",
    ] {
        assert_eq!(told(corefile, folder().path()), (Vec::new(), true), "{corefile}");
    }
}

/// A host without any file but these.
struct Only(&'static [&'static str]);

impl Environment for Only {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let is_there = self.0.iter().any(|file| Path::new(file) == path);
        if is_there { Ok("nameserver 192.0.2.53\n".to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[test]
fn an_upstream_that_is_a_name_needs_somebody_who_knows_its_address() {
    let told = |options: &str, environment: &Only| {
        let text = format!(". {{\n forward . ns.example {{\n  {options}\n }}\n}}\n");
        let (_, notes) = Plan::from_corefile(&text, "Corefile", environment).unwrap();
        notes.iter().map(|note| (note.to_string(), note.is_missing)).collect::<Vec<_>>()
    };
    let expected = "Corefile:2: forward: there is no /etc/resolv.conf: a server does not start without it or `resolver`, \
                    since an upstream is a name";
    assert_eq!(told("max_fails 2", &Only(&[])), [(expected.to_owned(), true)]);
    assert_eq!(told("max_fails 2", &Only(&["/etc/resolv.conf"])), []);
    assert_eq!(told("resolver 192.0.2.53", &Only(&[])), []);
}
