//! Records of answers: those that depend on the address that is asked, and how they are written.

use super::names::{error, said};

#[test]
fn the_address_that_is_asked_is_the_name_servers() {
    let server = "ns.dns.cluster.local.";
    let asked = "its address is the one that is asked (--at)";
    let servers = "where Services lead to the address that is asked (--at), they are the name servers, else ns.dns is";
    let zone = "cluster.local.";
    for (arguments, expected, is_said) in [
        (vec![server], asked, true),
        (vec![server], "answer that to ns.dns.cluster.local.", true),
        (vec![server, "--type", "AAAA"], asked, true),
        (vec![server, "--type", "MX"], "the name exists, and has no MX record", true),
        (vec![server, "--type", "MX"], "answer none (NOERROR)", true),
        (vec![server, "--at", "192.0.2.1"], "ns.dns.cluster.local. 5 IN A 192.0.2.1", true),
        (vec![server, "--at", "192.0.2.1"], asked, false),
        (vec![server, "--at", "192.0.2.1", "--type", "AAAA"], "the name exists, and has no AAAA record", true),
        (vec![server, "--at", "[2001:db8::1]:53", "--type", "AAAA"], "5 IN AAAA 2001:db8::1", true),
        (vec![zone, "--type", "NS"], servers, true),
        (vec![zone, "--type", "NS"], "cluster.local. 5 IN NS ns.dns.cluster.local.", true),
        (vec![zone, "--type", "NS", "--at", "10.0.0.1:80"], "5 IN NS web.shop.svc.cluster.local.", true),
        (vec![zone, "--type", "NS", "--at", "10.0.0.1"], "5 IN NS ns.dns.cluster.local.", true),
        (vec![zone, "--type", "NS", "--at", "10.0.0.1"], servers, false),
    ] {
        let said = said(&arguments);
        assert_eq!(said.contains(expected), is_said, "{arguments:?}: {said}");
    }
    assert!(error(&["http://web/", "--at", "192.0.2.1"]).contains("--at are for names"));
}

#[test]
fn strings_of_records_are_in_quotes() {
    let version = "dns-version.cluster.local.";
    assert!(said(&[version, "--type", "TXT"]).contains("dns-version.cluster.local. 28800 IN TXT \"1.1.0\"\n"));
    let said = said(&["web.shop.svc.cluster.local.", "--type", "ANY", "--output", "json"]);
    assert!(said.contains(r#"IN HINFO \"RFC8482\" \"\""#), "{said}");
}
