use super::*;
use crate::part::harness::{block, client};

/// An extended error, and where an alias leads.
type Besides = (Option<(u16, String)>, Option<String>);

/// What the templates say to a client at 192.0.2.7.
fn ask(plugins: &str, name: &str, record_type: &str) -> (Option<Besides>, String) {
    let templates = Templates::new(&block(plugins).templates);
    let client = client(name, record_type);
    client.told(|reply| {
        let address = "::ffff:192.0.2.7".parse().unwrap();
        match templates.answer(&client.query(), &client.name, address, reply) {
            Templated::Nothing => None,
            Templated::Answered { also: Also { error, alias, .. }, .. } => {
                Some((error.map(|(code, text)| (code, text.to_owned())), alias.map(|alias| spelling::text(&alias))))
            }
        }
    })
}

fn told(plugins: &str, name: &str, record_type: &str) -> String {
    let (told, text) = ask(plugins, name, record_type);
    if told.is_some() { text } else { "nothing".to_owned() }
}

/// What is read as `{$…}` or `{{` in a Corefile stands in quotes.
const ADDRESSES: &str = r#"template IN A example.org {
    match "^ip-(?P<a>[0-9]+)-(?P<b>[0-9]+)-(?P<c>[0-9]+)-(?P<d>[0-9]+)[.]example[.]org[.]$"
    answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
    fallthrough
}"#;

#[test]
fn an_answer_is_made_of_the_name() {
    let name = "IP-10-1-2-3.Example.ORG.";
    assert_eq!(told(ADDRESSES, name, "A"), format!("No Error\n{name} 60 A 10.1.2.3"));
    for (name, record_type) in [("ip-10-1-2.example.org.", "A"), (name, "AAAA"), ("ip-10-1-2-3.example.net.", "A")] {
        assert_eq!(told(ADDRESSES, name, record_type), "nothing", "{name} {record_type}");
    }
}

#[test]
fn a_record_that_cannot_be_made_fails_the_whole_answer() {
    let (also, text) = ask(ADDRESSES, "ip-10-1-2-300.example.org.", "A");
    assert_eq!(text, "Server Failure");
    assert_eq!(also.unwrap().0, Some((0, "a template makes no record".to_owned())));
    let long = "template IN A example.org {\n answer \"{{ .Name }} 1 A 10.0.0.1\" \"x{{ .Name }} 1 A 10.0.0.2\"\n}";
    let name = format!("{}.example.org.", "a".repeat(63));
    assert_eq!(told(long, &name, "A"), "Server Failure");
    assert_eq!(told(long, "a.example.org.", "A").lines().count(), 3);
}

#[test]
fn a_name_that_matches_nothing_fails_unless_it_falls_through() {
    let with =
        |option: &str| format!("template IN A example.org {{\n match ^a[.] ^b[.]\n rcode NXDOMAIN\n {option}\n}}");
    assert_eq!(told(&with(""), "c.example.org.", "A"), "Server Failure");
    assert_eq!(told(&with("fallthrough"), "c.example.org.", "A"), "nothing");
    assert_eq!(told(&with("fallthrough a.example.org"), "c.example.org.", "A"), "Server Failure");
    assert_eq!(told(&with(""), "B.example.org.", "A"), "Non-Existent Domain");
    // Zone and type are what it is for at all.
    assert_eq!(told(&with(""), "c.example.org.", "MX"), "nothing");
    assert_eq!(told(&with(""), "c.example.net.", "A"), "nothing");
    // The next template has its turn only where the first lets it.
    let second = "template IN A {\n rcode REFUSED\n}";
    assert_eq!(told(&format!("{}\n{second}", with("")), "c.example.org.", "A"), "Server Failure");
    assert_eq!(told(&format!("{}\n{second}", with("fallthrough")), "c.example.org.", "A"), "Query Refused");
}

#[test]
fn a_type_has_its_name_where_no_record_of_it_is_read() {
    let plugins = "template IN LOC example.org {\n answer \"{{ .Name }} 60 IN TXT {{ .Type }}\"\n}";
    assert_eq!(told(plugins, "a.example.org.", "LOC"), "No Error\na.example.org. 60 TXT LOC");
}

#[test]
fn any_stands_for_all_types() {
    let plugins = "template ANY ANY {\n answer \"{{ .Name }} 9 TXT {{ .Type }}-{{ .Class }}-{{ .Zone }}\"\n}";
    assert_eq!(told(plugins, "a.", "A"), "No Error\na. 9 TXT A-IN-.");
    assert_eq!(told(plugins, ".", "MX"), "No Error\n. 9 TXT MX-IN-.");
    let plugins = "template IN A b a.b {\n answer \"{{ .Name }} 9 TXT {{ .Type }}-{{ .Zone }}-{{ .Remote }}\"\n}";
    assert_eq!(told(plugins, "x.A.b.", "ANY"), "No Error\nx.A.b. 9 TXT A-a.b.-192.0.2.7");
}

#[test]
fn every_supported_type_is_written() {
    let plugins = r#"template IN ANY example.org {
        match "^([a-z]+)[.]"
        answer "{{ .Name }} A 192.0.2.1" "{{ .Name }} 5 AAAA 2001:db8::1"
        answer "{{ .Name }} 5 CAA 128 issue \"ca.example\""
        answer "{{ .Name }} 5 MX 10 mail.{{ .Zone }}" "{{ .Name }} 5 NS ns.{{ .Zone }}"
        answer "{{ .Name }} 5 PTR {{ index .Match 1 }}.test" "{{ .Name }} 5 SRV 1 2 65535 {{ index .Match 0 }}Test."
        answer "{{ .Name }} 5 TXT \"{{ .Name }} and more\" word"
        authority "{{ .Zone }} 5 SOA ns.{{ .Zone }} root.{{ .Zone }} (1 2 3 4 5)"
        additional "mail.{{ .Zone }} 5 A 192.0.2.2"
    }"#;
    assert_eq!(
        told(plugins, "web.Example.org.", "HINFO"),
        "No Error
web.Example.org. 3600 A 192.0.2.1
web.Example.org. 5 AAAA 2001:db8::1
web.Example.org. 5 CAA 128 issue \"ca.example\"
web.Example.org. 5 MX 10 mail.example.org.
web.Example.org. 5 NS ns.example.org.
web.Example.org. 5 PTR web.test.
web.Example.org. 5 SRV 1 2 65535 web.Test.
web.Example.org. 5 TXT web.example.org. and moreword
authority example.org. 5 SOA ns.example.org. root.example.org. 1 2 3 4 5
additional mail.example.org. 5 A 192.0.2.2"
    );
}

#[test]
fn times_have_units_and_the_origin_is_the_root() {
    let plugins = r#"template IN ANY example.org {
        match "^([^.]+)[.]"
        answer "{{ .Name }} 1m IN A 192.0.2.1" "{{ .Name }} 1H30m A 192.0.2.2" "@ IN 2d1 NS @"
        answer "{{ .Name }} s TXT @"
        authority "@ 1w SOA @ root.@ 7 1h {{ index .Match 1 }} 3m 4s"
    }"#;
    assert_eq!(
        told(plugins, "2W.example.org.", "ANY"),
        "No Error
2W.example.org. 60 A 192.0.2.1
2W.example.org. 5400 A 192.0.2.2
. 172801 NS .
2W.example.org. 0 TXT @
authority . 604800 SOA . root.\\@. 7 3600 1209600 180 4"
    );
    // Times have 32 bits.
    for name in ["7102w.example.org.", "m1x.example.org."] {
        assert_eq!(told(plugins, name, "ANY"), "Server Failure", "{name}");
    }
}

#[test]
fn a_long_text_is_several_strings() {
    let plugins = "template IN TXT {\n match ^(.*)$\n answer \"a. TXT {{ index .Match 1 }}{{ index .Match 1 }}\"\n}";
    let name = ["a".repeat(60), "b".repeat(60), "c".repeat(60), String::new()].join(".");
    let text = told(plugins, &name, "TXT");
    assert!(text.contains(&format!("a. 3600 TXT {name}{}", &name[..10])), "{text}");
}

#[test]
fn an_alias_is_followed_for_those_who_want_addresses() {
    let plugins = "template IN ANY example.org {\n match ^([a-z]+)[.]\n answer \"{{ .Name }} 60 CNAME {{ index .Match 1 }}.Example.net.\"\n}";
    let (also, text) = ask(plugins, "www.example.org.", "AAAA");
    assert_eq!(text, "No Error\nwww.example.org. 60 CNAME www.Example.net.");
    assert_eq!(also.unwrap().1.as_deref(), Some("www.Example.net."));
    assert_eq!(ask(plugins, "www.example.org.", "TXT").0.unwrap().1, None);
    let whole = "template IN A example.org {\n answer \"{{ .Name }} CNAME b.test.\" \"B.test. A 192.0.2.1\"\n}";
    assert_eq!(ask(whole, "www.example.org.", "A").0.unwrap().1, None);
}

#[test]
fn errors_and_codes_are_told() {
    let plugins = "template IN AAAA {\n rcode NXDOMAIN\n ederror 21 \"not here\"\n}";
    let (also, text) = ask(plugins, "example.org.", "AAAA");
    assert_eq!((text.as_str(), also.unwrap().0), ("Non-Existent Domain", Some((21, "not here".to_owned()))));
    // CoreDNS sends no record with this code.
    let plugins = "template IN A {\n rcode SERVFAIL\n answer \"{{ .Name }} A 192.0.2.1\"\n}";
    assert_eq!(told(plugins, "example.org.", "A"), "Server Failure");
}

#[test]
fn names_of_any_bytes_stay_names() {
    let plugins = "template IN ANY {\n match ^(.*)[.]$\n answer \"x.{{ index .Match 1 }}. CNAME {{ .Name }}\"\n}";
    for name in ["a\\.b.example.", "\\000\\255.example.", "\\\"\\(\\;.example.", "\\{\\}{{.Name}}.example."] {
        let text = told(plugins, name, "CNAME");
        assert!(text.starts_with("No Error\nx."), "{name}: {text}");
    }
}
