//! `log`: a line for each answer of some classes, in the common format.

use super::QUERIES;
use crate::message::Transport;
use crate::name::LowerName;
use crate::option;
use crate::part::spelling;
use crate::plan::{self, Class, Zone};
use crate::question::{CLASS_CHAOS, CLASS_IN, Query};
use crate::wire::{Cursor, flag};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::net::SocketAddr;
use std::time::Instant;

/// Which answers of a block are written.
#[derive(Debug)]
pub(crate) struct Queries {
    logs: Vec<plan::Log>,
}

/// What of a question is in its line.
#[derive(Debug)]
pub(crate) struct Logged {
    peer: SocketAddr,
    transport: Transport,
    id: u16,
    name: String,
    class: u16,
    record_type: RecordType,
    len: usize,
    is_dnssec_ok: bool,
    /// What the client says that it takes; bytes.
    payload: u16,
    classes: Vec<Class>,
    since: Instant,
}

impl Queries {
    /// `None`: none are.
    pub(crate) fn of(logs: &[plan::Log]) -> Option<Self> {
        (!logs.is_empty()).then(|| Self { logs: logs.to_vec() })
    }

    /// What the line about a question begins with; `None`: there is none, whatever the answer.
    pub(crate) fn begin(
        &self,
        (query, name, len): (&Query<'_>, &LowerName, usize),
        (peer, transport): (SocketAddr, Transport),
    ) -> Option<Box<Logged>> {
        let holds = |zone: &Zone| zone.holds_name(name);
        // The first whose zone it is in.
        let log = self.logs.iter().find(|log| log.zones.iter().any(holds))?;
        Some(Box::new(Logged {
            peer,
            transport,
            id: query.head.id,
            name: spelling::text(name.suffix(0)),
            class: query.head.class,
            record_type: query.asked.record_type,
            len,
            is_dnssec_ok: query.head.edns.is_some_and(|edns| edns.is_dnssec_ok),
            payload: match transport {
                Transport::Udp => query.head.edns.map_or(512, |edns| edns.advertised),
                Transport::Tcp => u16::MAX,
            },
            classes: log.classes.clone(),
            since: Instant::now(),
        }))
    }
}

impl Logged {
    /// Writes the line about this answer, if its class is one of those that are.
    pub(crate) fn end(&self, message: &[u8]) {
        if self.is_wanted(message) {
            tracing::info!(target: QUERIES, "{}", self.line(message));
        }
    }

    fn is_wanted(&self, message: &[u8]) -> bool {
        self.classes.contains(&Class::All) || self.classes.contains(&class_of(message))
    }

    fn line(&self, message: &[u8]) -> String {
        let Self { peer, id, name, record_type, len, is_dnssec_ok, payload, .. } = self;
        let class = match self.class {
            CLASS_IN => "IN".to_owned(),
            CLASS_CHAOS => "CH".to_owned(),
            other => format!("CLASS{other}"),
        };
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        let flags = Cursor::new(message).header().map_or(0, |header| header.flags);
        let code = code_name(message, flags);
        let flags = flag_names(flags);
        let (size, took) = (message.len(), self.since.elapsed().as_secs_f64());
        format!(
            "{peer} - {id} \"{record_type} {class} {name} {transport} {len} {is_dnssec_ok} {payload}\" {code} {flags} {size} {took:.9}s"
        )
    }
}

/// As CoreDNS classifies: a denial is NXDOMAIN, or an answer without records.
fn class_of(message: &[u8]) -> Class {
    let Some(header) = Cursor::new(message).header() else { return Class::Error };
    match ResponseCode::from(0, (header.flags & flag::CODE) as u8) {
        ResponseCode::NoError if header.answers > 0 => Class::Success,
        ResponseCode::NoError | ResponseCode::NXDomain => Class::Denial,
        _ => Class::Error,
    }
}

/// The one longer code that an answer in a block can have is BADCOOKIE, whose low bits alone are another's.
fn code_name(message: &[u8], flags: u16) -> String {
    let low = (flags & flag::CODE) as u8;
    let code = ResponseCode::from(option::code_high(message), low);
    if code == ResponseCode::BADCOOKIE { "BADCOOKIE".to_owned() } else { plan::Rcode(low).to_string() }
}

fn flag_names(flags: u16) -> String {
    let names = [
        (flag::RESPONSE, "qr"),
        (flag::AUTHORITATIVE, "aa"),
        (flag::TRUNCATED, "tc"),
        (flag::RECURSION_DESIRED, "rd"),
        (flag::RECURSION_AVAILABLE, "ra"),
        (flag::AUTHENTIC, "ad"),
        (flag::CHECKING_DISABLED, "cd"),
    ];
    let set: Vec<_> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    set.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{block, client};

    fn line(plugins: &str, (peer, transport): (&str, Transport), answer: (&str, &str)) -> Option<String> {
        let queries = Queries::of(&block(plugins).logs).unwrap();
        let client = client("Example.org.", "A");
        let logged = queries.begin((&client.query(), &client.name, 40), (peer.parse().unwrap(), transport))?;
        let (code, records) = answer;
        let answer = client.answer(code, records);
        logged.is_wanted(&answer).then(|| logged.line(&answer))
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
    fn a_long_code_is_told_whole() {
        let head = client("example.org.", "A").head;
        for (code, name) in [(ResponseCode::BADCOOKIE, "BADCOOKIE"), (ResponseCode::YXRRSet, "YXRRSET")] {
            let mut message = Vec::new();
            crate::message::write_code(&mut message, &head, None, (code, crate::message::Says::default()));
            let flags = Cursor::new(&message).header().unwrap().flags;
            assert_eq!(code_name(&message, flags), name);
        }
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
                ("success", vec![("NOERROR", RECORD)]),
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
}
