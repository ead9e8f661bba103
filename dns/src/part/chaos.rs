//! `chaos`: which server this is, for those who ask in class CHAOS.

use super::Told;
use crate::name::LowerName;
use crate::plan;
use crate::question::CLASS_CHAOS;
use crate::reply::{Lead, Pointer, Reply, Section};
use hickory_proto::rr::RecordType;

/// The longest string of a TXT record (RFC 1035 §3.3); bytes.
const LONGEST_TEXT: usize = 255;

/// What is told.
#[derive(Debug)]
pub(crate) struct Chaos {
    version: String,
    /// In alphabetical order, each once.
    authors: Vec<String>,
    host: String,
}

impl Chaos {
    /// `host`: the name of this machine, as far as a text has room for it.
    pub(crate) fn new(plan: &plan::Chaos, host: &str) -> Self {
        let own = || concat!("Tidegate-", env!("CARGO_PKG_VERSION")).to_owned();
        let mut authors = plan.authors.clone();
        authors.sort();
        authors.dedup();
        let host = host.get(..LONGEST_TEXT).unwrap_or(host).to_owned();
        Self { version: plan.version.clone().unwrap_or_else(own), authors, host }
    }

    /// Answers TXT questions of this class for `version.bind`, `version.server`, `authors.bind`, `hostname.bind` and
    /// `id.server` (RFC 4892 §3).
    pub(crate) fn answer(
        &self,
        name: &LowerName,
        (class, record_type): (u16, RecordType),
        reply: &mut Reply<'_>,
    ) -> Told {
        if class != CLASS_CHAOS || record_type != RecordType::TXT {
            return Told::Nothing;
        }
        let texts = match name.suffix(0) {
            b"\x07version\x04bind\0" | b"\x07version\x06server\0" => std::slice::from_ref(&self.version),
            b"\x07authors\x04bind\0" => &self.authors,
            b"\x08hostname\x04bind\0" | b"\x02id\x06server\0" => std::slice::from_ref(&self.host),
            _ => return Told::Nothing,
        };
        let lead = Lead { section: Section::Answer, record_type, class, ttl: 0 };
        texts.iter().all(|text| {
            reply.record_of(lead, |reply| reply.pointer(Pointer::QUESTION), |reply| reply.label(text.as_bytes()))
        });
        Told::Answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{block, client};

    fn told(plugins: &str, name: &str, class: u16, record_type: &str) -> (Told, String) {
        let chaos = Chaos::new(&block(plugins).chaos.unwrap(), "node-1");
        let client = client(name, record_type);
        client.told(|reply| chaos.answer(&client.name, (class, record_type.parse().unwrap()), reply))
    }

    #[test]
    fn those_who_ask_are_told_which_server_this_is() {
        let plugins = "chaos 1.0 zoe adam zoe";
        for (name, expected) in [
            ("Version.BIND.", "No Error\nVersion.BIND. 0 CH TXT 1.0"),
            ("version.server.", "No Error\nversion.server. 0 CH TXT 1.0"),
            ("authors.bind.", "No Error\nauthors.bind. 0 CH TXT adam\nauthors.bind. 0 CH TXT zoe"),
            ("hostname.bind.", "No Error\nhostname.bind. 0 CH TXT node-1"),
            ("id.server.", "No Error\nid.server. 0 CH TXT node-1"),
        ] {
            assert_eq!(told(plugins, name, 3, "TXT"), (Told::Answered, expected.to_owned()), "{name}");
        }
        let (_, version) = told("chaos", "version.bind.", 3, "TXT");
        assert!(version.contains("Tidegate-"), "{version}");
        assert_eq!(told("chaos", "authors.bind.", 3, "TXT"), (Told::Answered, "No Error".to_owned()));
    }

    #[test]
    fn other_questions_are_for_others() {
        for (name, class, record_type) in
            [("version.bind.", 1, "TXT"), ("version.bind.", 3, "A"), ("bind.", 3, "TXT"), ("a.id.server.", 3, "TXT")]
        {
            assert_eq!(told("chaos", name, class, record_type).0, Told::Nothing, "{name} {class} {record_type}");
        }
    }
}
