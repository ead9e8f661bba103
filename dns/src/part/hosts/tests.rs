use super::table::Faults;
use super::*;
use crate::part::harness::{block, client};
use std::fs;
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

const FILE: &str = "
127.0.0.1 localhost\tLocalHost.Example.ORG. # and nothing more
::1%lo0 localhost
10.0.0.1 example.org
::ffff:10.0.0.2 example.org example.com.
2001:db8::3   example.net
10.0.0.1 reversed.example example.org
10.0.0.9 *.wild.example one.wild.example
0.0.0.0 other.test # outside the zones, where there are any
";

/// The part of this Corefile, which reads the file.
fn hosts(options: &str, zones: &str) -> (Hosts, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("hosts");
    fs::write(&path, FILE).unwrap();
    let plugins = format!("hosts {} {zones} {{\n{options}\n}}", path.display());
    let hosts = Hosts::new(&block(&plugins).hosts.unwrap());
    hosts.look();
    (hosts, folder)
}

fn told(hosts: &Hosts, name: &str, record_type: &str) -> (Told, String) {
    let client = client(name, record_type);
    client.told(|reply| hosts.answer(&client.name, record_type.parse().unwrap(), reply))
}

fn answered(records: &str) -> (Told, String) {
    (Told::Answered, format!("No Error{records}"))
}

#[test]
fn names_have_their_addresses_and_addresses_their_names() {
    let (hosts, _folder) = hosts("10.0.0.7 example.org inline.example\n 10.0.0.1 example.org", "");
    for (name, record_type, records) in [
        ("localhost.", "A", "\nlocalhost. 3600 A 127.0.0.1"),
        ("localhost.", "AAAA", "\nlocalhost. 3600 AAAA ::1"),
        // The file's come first, each once, in the client's case.
        (
            "Example.ORG.",
            "A",
            "\nExample.ORG. 3600 A 10.0.0.1\nExample.ORG. 3600 A 10.0.0.2\nExample.ORG. 3600 A 10.0.0.7",
        ),
        // Nothing of this type, and nobody who would say more about it.
        ("example.org.", "AAAA", ""),
        ("example.org.", "MX", ""),
        ("inline.example.", "A", "\ninline.example. 3600 A 10.0.0.7"),
        (
            "1.0.0.10.in-addr.arpa.",
            "PTR",
            "\n1.0.0.10.in-addr.arpa. 3600 PTR example.org.\n1.0.0.10.in-addr.arpa. 3600 PTR reversed.example.",
        ),
    ] {
        assert_eq!(told(&hosts, name, record_type), answered(records), "{name} {record_type}");
    }
}

#[test]
fn what_is_not_known_fails_or_falls_through() {
    let failed = (Told::Answered, "Server Failure".to_owned());
    let passed = (Told::Nothing, "No Error".to_owned());
    let (plain, _folder) = hosts("", "");
    assert_eq!(told(&plain, "gone.example.", "A"), failed);
    // Addresses are other people's too.
    assert_eq!(told(&plain, "77.0.0.10.in-addr.arpa.", "PTR"), passed);
    assert_eq!(told(&plain, "example.org.", "PTR"), passed);
    let (falls, _folder) = hosts("fallthrough example.org", "");
    assert_eq!(told(&falls, "gone.example.org.", "TXT"), passed);
    assert_eq!(told(&falls, "example.org.", "TXT"), answered(""));
    assert_eq!(told(&falls, "gone.example.", "A"), failed);
}

#[test]
fn names_outside_its_zones_are_for_others() {
    let (hosts, _folder) = hosts("10.0.0.8 too.test\n ttl 60\n no_reverse", "example.org example");
    assert_eq!(told(&hosts, "other.test.", "A").0, Told::Nothing);
    assert_eq!(told(&hosts, "too.test.", "A").0, Told::Nothing);
    assert_eq!(told(&hosts, "localhost.", "A").0, Told::Nothing);
    assert_eq!(told(&hosts, "reversed.example.", "A"), answered("\nreversed.example. 60 A 10.0.0.1"));
    assert_eq!(told(&hosts, "1.0.0.10.in-addr.arpa.", "PTR").0, Told::Nothing);
}

#[test]
fn a_star_stands_for_one_label() {
    let (hosts, _folder) = hosts("fallthrough\n 10.0.0.10 *.inline.example", "");
    assert_eq!(told(&hosts, "x.Inline.example.", "A"), answered("\nx.Inline.example. 3600 A 10.0.0.10"));
    assert_eq!(told(&hosts, "any.wild.example.", "A"), answered("\nany.wild.example. 3600 A 10.0.0.9"));
    assert_eq!(told(&hosts, "*.wild.example.", "A"), answered("\n*.wild.example. 3600 A 10.0.0.9"));
    assert_eq!(told(&hosts, "any.wild.example.", "AAAA"), answered(""));
    assert_eq!(told(&hosts, "a.any.wild.example.", "A").0, Told::Nothing);
    assert_eq!(told(&hosts, "wild.example.", "A").0, Told::Nothing);
    assert_eq!(told(&hosts, ".", "A").0, Told::Nothing);
    let names = "\n9.0.0.10.in-addr.arpa. 3600 PTR one.wild.example.";
    assert_eq!(told(&hosts, "9.0.0.10.in-addr.arpa.", "PTR"), answered(names));
}

#[test]
fn what_is_wrong_is_passed_over_and_told() {
    let root = [Zone::root()];
    let long = "a".repeat(70);
    let text = format!("x.y good.example\n10.0.0.1 b@d fine.example {long}\n10.0.0.300 z\n10.0.0.2\n\u{fffd} e");
    let (table, faults) = HostTable::read(&text, &root, true).unwrap();
    let labels = "a domain name is made of labels of 1 to 63 letters, digits, '-' and '_', joined by dots";
    let told = [
        "line 1: \"x.y\" is no address".to_owned(),
        format!("line 2: \"b@d\" is no name: {labels}"),
        format!("line 2: {:?} is no name: {labels}", "a".repeat(64)),
        "line 3: \"10.0.0.300\" is no address".to_owned(),
        "line 5: \"\u{fffd}\" is no address".to_owned(),
    ];
    assert_eq!((table.len(), faults), (1, Faults { told: told.into(), more: 0 }));
    let (_, faults) = HostTable::read(&"no\n".repeat(1000), &root, true).unwrap();
    assert_eq!((faults.told.len(), faults.more), (10, 990));
}

#[test]
fn a_text_of_any_size_is_bounded() {
    let root = [Zone::root()];
    let many: String = (0..500_001).map(|index| format!("10.0.0.1 n{index}\n")).collect();
    assert_eq!(HostTable::read(&many, &root, true).unwrap_err(), "it has more than 500000 names");
    let addresses: String = (0..3000u32).map(|index| format!("{} one\n", std::net::Ipv4Addr::from(index))).collect();
    let (table, _) = HostTable::read(&addresses, &root, true).unwrap();
    let name = LowerName::read(b"\x03one\0").unwrap();
    assert_eq!(table.addresses(&name).len(), 1024);
}

#[test]
fn what_was_known_stays_where_the_file_cannot_be_read() {
    let (hosts, folder) = hosts("", "");
    let path = folder.path().join("hosts");
    let is_known = || told(&hosts, "example.org.", "A").1.contains("10.0.0.1");
    fs::remove_file(&path).unwrap();
    hosts.look();
    assert!(is_known());
    fs::create_dir(&path).unwrap();
    hosts.look();
    assert!(is_known());
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "10.0.0.44 example.org").unwrap();
    hosts.look();
    assert!(told(&hosts, "example.org.", "A").1.ends_with("A 10.0.0.44"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_is_read_again() {
    let (hosts, folder) = hosts("reload 1h", "");
    let hosts = Arc::new(hosts);
    let watch = tokio::spawn(Arc::clone(&hosts).watch());
    // As a ConfigMap changes: another file in its place.
    let next = folder.path().join("next");
    fs::write(&next, "10.0.0.55 example.org").unwrap();
    fs::rename(next, folder.path().join("hosts")).unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    let started = Instant::now();
    while !told(&hosts, "example.org.", "A").1.contains("10.0.0.55") {
        assert!(started.elapsed() < Duration::from_secs(20), "the file was not read again");
        tokio::task::yield_now().await;
    }
    watch.abort();
}
