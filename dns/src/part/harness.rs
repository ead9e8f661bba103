//! Corefiles, questions, answers and the log for the tests of all parts: answers in zone-file text.

use crate::corefile::Environment;
use crate::message::{Says, Transport};
use crate::name::LowerName;
use crate::plan::{Block, Plan};
use crate::question::{CLASS_IN, ClientEdns, Head, Query, TypeName};
use crate::reply::Reply;
use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// What is logged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes what this thread logs until the guard is dropped.
    pub(crate) fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let out = log.clone();
        let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || out.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// The lines since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        let lines = String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap();
        lines.lines().map(|line| line.trim_start().to_owned()).collect()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The block for all names with these plugins.
pub(crate) fn block(plugins: &str) -> Block {
    let (plan, _) = Plan::from_corefile(&format!(".:53 {{\n{plugins}\n}}"), "Corefile", &Nothing).unwrap();
    plan.blocks()[0].clone()
}

/// What a client asks, as it does so.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) wire: Vec<u8>,
    pub(crate) name: LowerName,
    pub(crate) head: Head,
    record_type: RecordType,
}

/// A question with EDNS.
pub(crate) fn client(name: &str, record_type: &str) -> Client {
    let name = super::spelling::wire(name).unwrap();
    let lower = LowerName::read(&name).unwrap();
    let TypeName(record_type) = TypeName::named(record_type).unwrap();
    let wire = [&name[..], &u16::from(record_type).to_be_bytes(), &CLASS_IN.to_be_bytes()].concat();
    let edns = Some(ClientEdns::of(1232));
    Client { wire, name: lower, head: Head { id: 7, flags: 0x0100, class: CLASS_IN, edns }, record_type }
}

impl Client {
    pub(crate) fn query(&self) -> Query<'_> {
        let asked = crate::question::Asked { wire: &self.wire, record_type: self.record_type };
        Query { head: self.head, asked }
    }

    /// The reply that is written by `write`, in text; its code, a line a record.
    pub(crate) fn told<T>(&self, write: impl FnOnce(&mut Reply<'_>) -> T) -> (T, String) {
        let mut told = None;
        let message = self.written(|reply| told = Some(write(reply)));
        (told.unwrap(), text(&message))
    }

    /// The same as bytes.
    pub(crate) fn written(&self, write: impl FnOnce(&mut Reply<'_>)) -> Vec<u8> {
        let mut message = Vec::new();
        let mut reply = Reply::new(&mut message, &self.wire, self.head.room(Transport::Udp));
        write(&mut reply);
        reply.finish(&self.head, Says::default());
        message
    }

    /// An upstream's answer to this question, from zone-file text: `answer | authority | additional`, one record a line.
    pub(crate) fn answer(&self, code: &str, records: &str) -> Vec<u8> {
        let mut sections = records.split('|').map(|section| section.lines().filter_map(record).collect());
        let sections = crate::answer::Sections {
            code: code_of(code),
            answers: sections.next().unwrap_or_default(),
            authorities: sections.next().unwrap_or_default(),
            additionals: sections.next().unwrap_or_default(),
        };
        let says = Says { is_authoritative: false, is_truncated: false, offers_recursion: true };
        crate::message::write(&self.query(), &sections, says, Transport::Tcp).unwrap()
    }
}

fn code_of(code: &str) -> hickory_proto::op::ResponseCode {
    use hickory_proto::op::ResponseCode;
    match code {
        "NOERROR" => ResponseCode::NoError,
        "NXDOMAIN" => ResponseCode::NXDomain,
        "SERVFAIL" => ResponseCode::ServFail,
        "NOTIMP" => ResponseCode::NotImp,
        "REFUSED" => ResponseCode::Refused,
        code => panic!("{code}"),
    }
}

/// `OWNER TTL TYPE FIELDS`.
fn record(line: &str) -> Option<Record> {
    use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, NULL, PTR, SOA, SRV, TXT};
    let words: Vec<&str> = line.split_whitespace().collect();
    let [owner, ttl, kind, fields @ ..] = &words[..] else { return None };
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let number = |text: &str| text.parse::<u32>().unwrap();
    let short = |text: &str| text.parse::<u16>().unwrap();
    let content = match (*kind, fields) {
        ("A", [address]) => RData::A(A(address.parse().unwrap())),
        ("AAAA", [address]) => RData::AAAA(AAAA(address.parse().unwrap())),
        ("CNAME", [target]) => RData::CNAME(CNAME(name(target))),
        ("DNAME", [target]) => {
            let rdata = NULL::with(super::spelling::wire(target).unwrap());
            RData::Unknown { code: RecordType::Unknown(39), rdata }
        }
        ("NS", [target]) => RData::NS(NS(name(target))),
        ("PTR", [target]) => RData::PTR(PTR(name(target))),
        ("MX", [preference, target]) => RData::MX(MX::new(short(preference), name(target))),
        ("SRV", [priority, weight, port, target]) => {
            RData::SRV(SRV::new(short(priority), short(weight), short(port), name(target)))
        }
        ("SOA", [server, mail, serial, minimum]) => {
            RData::SOA(SOA::new(name(server), name(mail), number(serial), 7200, 1800, 86_400, number(minimum)))
        }
        ("TXT", texts) => RData::TXT(TXT::new(texts.iter().map(|text| (*text).to_owned()).collect())),
        _ => panic!("{line}"),
    };
    Some(Record::from_rdata(name(owner), number(ttl), content))
}

/// A message in text: its code, with what its flags and an extended error say, and a line a record with its section.
pub(crate) fn text(message: &[u8]) -> String {
    let read = Message::from_vec(message).unwrap();
    assert_eq!((read.metadata.op_code, read.queries.len()), (OpCode::Query, 1));
    let mut lines = vec![read.metadata.response_code.to_str().to_owned()];
    let flags = [(read.metadata.truncation, "tc"), (read.metadata.authoritative, "aa")];
    lines.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| (*flag).to_owned()));
    let sections = [("", &read.answers), ("authority ", &read.authorities), ("additional ", &read.additionals)];
    for (section, records) in sections {
        lines.extend(records.iter().map(|record| {
            let class = if record.dns_class == hickory_proto::rr::DNSClass::IN { "" } else { "CH " };
            format!("{section}{} {} {class}{} {}", record.name, record.ttl, record.record_type(), record.data)
        }));
    }
    lines.join("\n")
}
