use super::line::code_name;
use super::*;
use crate::answer::{NameForm, NameParts};
use crate::part::harness::{block, client};
use crate::wire::Cursor;
use hickory_proto::op::ResponseCode;

fn begun(plugins: &str, name: &str, (peer, transport): (&str, Transport), metadata: Metadata) -> Option<Box<Logged>> {
    let block = block(plugins);
    let queries = Queries::of(&block.logs, block.metadata.as_deref()).unwrap();
    let client = client(name, "A");
    let (query, asked_at) = (client.query(), Some("192.0.2.53:53".parse().unwrap()));
    let (name, peer) = (&client.name, peer.parse().unwrap());
    queries.begin(Question { query: &query, name, len: 40, peer, asked_at, transport }, || metadata)
}

fn written(logged: &Logged, message: &[u8]) -> String {
    Line { logged, message, upstream: Some("192.0.2.99:53".parse().unwrap()) }.to_string()
}

fn line(plugins: &str, peer: (&str, Transport), (code, records): (&str, &str)) -> Option<String> {
    let logged = begun(plugins, "Example.org.", peer, Metadata::default())?;
    let answer = client("Example.org.", "A").answer(code, records);
    logged.is_wanted(&answer).then(|| written(&logged, &answer))
}

const PEER: (&str, Transport) = ("192.0.2.9:4000", Transport::Udp);
const RECORD: &str = "example.org. 60 A 192.0.2.1";
const SOA: &str = "| org. 60 SOA ns.org. root.org. 1 60";

#[test]
fn a_line_is_as_coredns_writes_it() {
    let answer = client("Example.org.", "A").answer("NOERROR", RECORD).len();
    for (peer, transport, expected) in [
        ("192.0.2.9:4000", Transport::Udp, "192.0.2.9:4000 - 7 \"A IN example.org. udp 40 false 1232\""),
        ("[2001:db8::1]:4000", Transport::Tcp, "[2001:db8::1]:4000 - 7 \"A IN example.org. tcp 40 false 65535\""),
    ] {
        let line = line("log", (peer, transport), ("NOERROR", RECORD)).unwrap();
        let (said, took) = line.rsplit_once(' ').unwrap();
        assert_eq!(said, format!("{expected} NOERROR qr,rd,ra {answer}"));
        assert!(took.strip_suffix('s').is_some_and(|took| took.parse::<f64>().is_ok()), "{took}");
    }
}

#[test]
fn a_type_without_a_name_is_told_by_its_number() {
    let mut logged = begun("log", "example.org.", PEER, Metadata::default()).unwrap();
    for (number, name) in [(999, "TYPE999"), (29, "LOC")] {
        logged.record_type = RecordType::Unknown(number);
        let line = written(&logged, &client("example.org.", "A").answer("NOERROR", SOA));
        assert!(line.starts_with(&format!("192.0.2.9:4000 - 7 \"{name} IN example.org. udp ")), "{line}");
    }
}

/// Whoever asks may spell anything.
#[test]
fn no_label_ends_a_line_or_a_text() {
    let plugins = "kubernetes cluster.local\nmetadata\nlog . \"{/kubernetes/service} {/kubernetes/namespace}\"";
    let odd = LowerName::read(b"\x07a\"\nb\0c\\\x04s\x1Bp.\x03svc\x07cluster\x05local\0").unwrap();
    let (table, settings) = (config::NameTable::default(), crate::answer::ZoneSettings::default());
    let metadata = crate::answer::Zone::new(&table, &settings, None).metadata(&odd, [192, 0, 2, 9].into());
    let logged = begun(plugins, "example.org.", PEER, metadata).unwrap();
    let line = written(&logged, &client("example.org.", "A").answer("NOERROR", SOA));
    assert_eq!(line, r#"a\"\010b\000c\\ s\027p\."#);
}

#[test]
fn answers_of_other_classes_are_not_written() {
    for (classes, written) in [
        ("", "success denial error"),
        ("class all", "success denial error"),
        ("class success", "success"),
        ("class denial error", "denial error"),
        ("class error", "error"),
    ] {
        let plugin = format!("log . {{\n {classes}\n}}");
        let plugin = if classes.is_empty() { "log" } else { &plugin };
        for (class, answers) in [
            ("success", vec![("NOERROR", RECORD), ("NOERROR", "")]),
            ("denial", vec![("NXDOMAIN", SOA), ("NOERROR", SOA)]),
            ("error", vec![("SERVFAIL", ""), ("REFUSED", "")]),
        ] {
            for answer in answers {
                let is_written = line(plugin, PEER, answer).is_some();
                assert_eq!(is_written, written.contains(class), "{classes}: {answer:?}");
            }
        }
    }
    assert_eq!(line("log example.com", PEER, ("NOERROR", RECORD)), None);
}

#[test]
fn a_format_says_what_is_written() {
    let answer = client("Example.org.", "A").answer("NOERROR", RECORD).len();
    for (format, expected) in [
        ("{type} {class} {name} {proto}", "A IN example.org. udp".to_owned()),
        ("{remote}:{port} {local} {size} {>id} {>opcode}", "192.0.2.9:4000 192.0.2.53 40 7 0".to_owned()),
        ("{>do} {>bufsize} {rcode} {>rflags} {rsize}", format!("false 1232 NOERROR qr,rd,ra {answer}")),
        ("{common}! {rcode}", String::new()),
        ("{combined}", String::new()),
        // As JSON.
        (
            r#"{\"name\":\"{name}\",\"a\":{\"b\":1}} { {type} }"#,
            r#"{"name":"example.org.","a":{"b":1}} { A }"#.to_owned(),
        ),
        ("a } b{} {1} {a b} {type", "a } b{} {1} {a b} {type".to_owned()),
        ("{/log/type} {/kubernetes/kind}", "- -".to_owned()),
    ] {
        let line = line(&format!("log . \"{format}\""), PEER, ("NOERROR", RECORD)).unwrap();
        match format {
            "{combined}" => assert!(line.contains("\" NOERROR qr") && line.ends_with("s \"0\""), "{line}"),
            "{common}! {rcode}" => {
                assert!(line.contains("\" NOERROR qr") && line.ends_with("s! NOERROR"), "{line}");
            }
            _ => assert_eq!(line, expected, "{format}"),
        }
    }
    let of_v6 = line("log . {remote}-{local}", ("[2001:db8::1]:4000", Transport::Udp), ("NOERROR", RECORD));
    assert_eq!(of_v6.as_deref(), Some("[2001:db8::1]-192.0.2.53"));
}

#[test]
fn labels_have_values_where_metadata_is_asked_for() {
    let parts = NameParts {
        kind: "svc".to_owned(),
        namespace: "shop".to_owned(),
        service: "web".to_owned(),
        endpoint: "db-0".to_owned(),
        port: "http".to_owned(),
        transport: "tcp".to_owned(),
        cluster: Some("east".to_owned()),
        topology: None,
    };
    let metadata = Metadata {
        name: Some(NameForm::Valid(parts)),
        client_namespace: Some("blog".to_owned()),
        client_pod: Some("front-0".to_owned()),
    };
    let names = "{/kubernetes/kind} {/kubernetes/namespace} {/kubernetes/service} {/kubernetes/endpoint} \
                 {/kubernetes/cluster} {/kubernetes/zone} {/kubernetes/port-name} {/kubernetes/protocol} \
                 {/kubernetes/parse-error} {/kubernetes/client-namespace} {/kubernetes/client-pod-name} \
                 {/view/name} {/forward/upstream} {/log/type} {/log/class}";
    let denied = client("a.test.", "A").answer("NXDOMAIN", SOA);
    let said = |name: &str, metadata: Metadata| {
        let plugins = format!("metadata test\n log . \"{names}\"");
        written(&begun(&plugins, name, PEER, metadata).unwrap(), &denied)
    };
    assert_eq!(
        said("a.test.", metadata.clone()),
        "svc shop web db-0 east - http tcp - blog front-0 - 192.0.2.99:53 NXDOMAIN denial"
    );
    assert_eq!(said("example.org.", metadata.clone()), ["-"; 15].join(" "), "outside of its zones");
    let invalid = Metadata { name: Some(NameForm::Invalid), ..Metadata::default() };
    assert_eq!(said("a.test.", invalid), "- - - - - - - - invalid query name - - - 192.0.2.99:53 NXDOMAIN denial");
    let apex = Metadata { name: Some(NameForm::Valid(NameParts::default())), ..metadata };
    assert_eq!(said("a.test.", apex), "    - -   - blog front-0 - 192.0.2.99:53 NXDOMAIN denial");
    for (code, records, expected) in [
        ("NOERROR", RECORD, "NOERROR success"),
        ("NOERROR", SOA, "NODATA denial"),
        ("SERVFAIL", "", "SERVERERROR error"),
        ("REFUSED", "", "OTHERERROR error"),
    ] {
        let line = line("metadata\n log . \"{/log/type} {/log/class}\"", PEER, (code, records));
        assert_eq!(line.as_deref(), Some(expected), "{code}");
    }
}

#[test]
fn a_long_code_is_told_whole() {
    let head = client("example.org.", "A").head;
    for (code, name) in [(ResponseCode::BADCOOKIE, "BADCOOKIE"), (ResponseCode::YXRRSet, "YXRRSET")] {
        let mut message = Vec::new();
        crate::message::write_code(&mut message, &head, None, (code, crate::message::Says::default()));
        let flags = Cursor::new(&message).header().unwrap().flags;
        assert_eq!(code_name(&message, flags), name);
    }
}
