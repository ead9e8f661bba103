//! A finished message taken apart, to be changed and put together again.

use crate::answer::Sections;
use crate::message::{Says, Transport, write, write_code};
use crate::option;
use crate::question::Query;
use crate::wire::{COOKIE, Cursor, OPT, flag};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{Name, RData, Record};

/// Type of the record that leads to another name all that is below its own (RFC 6672), which hickory does not know.
const DNAME: u16 = 39;

/// What a message says.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) sections: Sections,
    pub(super) says: Says,
    /// Those of its OPT record, as bytes, but for the cookie, which every message gets anew.
    pub(super) options: Vec<u8>,
}

impl Opened {
    /// `None`: it is malformed.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(message);
        let header = cursor.header()?;
        let says = Says {
            is_authoritative: header.flags & flag::AUTHORITATIVE != 0,
            is_truncated: header.flags & flag::TRUNCATED != 0,
            offers_recursion: header.flags & flag::RECURSION_AVAILABLE != 0,
        };
        cursor.skip_questions(&header)?;
        let mut options = Vec::new();
        for _ in 0..header.records() {
            let record = cursor.record()?;
            if record.record_type == OPT {
                options = option::others(COOKIE, record.content);
            }
        }
        Some(Self { sections: Sections::read(message)?, says, options })
    }

    /// As the answer to a question, no longer than the client takes it; without AD, since it is not what was signed
    /// (RFC 4035 §3.2.3). Owners that are the question's name get its spelling.
    pub(super) fn close(self, query: &Query<'_>, transport: Transport) -> Vec<u8> {
        self.closed(query, transport).map_or_else(|| failure(query), |(message, _)| message)
    }

    /// The same with all of its options; `None`: they have no room.
    pub(super) fn close_with_options(self, query: &Query<'_>, transport: Transport) -> Option<Vec<u8>> {
        self.closed(query, transport).and_then(|(message, has_options)| has_options.then_some(message))
    }

    /// The message, and whether it has the options: records come first. `None`: there is no question.
    fn closed(mut self, query: &Query<'_>, transport: Transport) -> Option<(Vec<u8>, bool)> {
        let question = query.asked.to_question()?;
        let Sections { answers, authorities, additionals, .. } = &mut self.sections;
        for record in answers.iter_mut().chain(authorities).chain(additionals) {
            if record.name == question.name {
                record.name = question.name.clone();
            }
        }
        let mut message = write(query, &self.sections, self.says, transport)?;
        let has_options =
            self.options.is_empty() || option::add(&self.options, &mut message, query.head.limit(transport));
        Some((message, has_options))
    }

    /// How long it may be kept that there is nothing (RFC 2308 §5); seconds. `None`: it does not say.
    pub(super) fn denial_ttl(&self) -> Option<u32> {
        let soa = |record: &Record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        };
        self.sections.authorities.iter().find_map(soa)
    }
}

/// SERVFAIL, where there is nothing that could be said.
pub(super) fn failure(query: &Query<'_>) -> Vec<u8> {
    let mut message = Vec::new();
    write_code(&mut message, &query.head, Some(query.asked), (ResponseCode::ServFail, Says::default()));
    message
}

/// A name in wire form as others know it; `None`: it is none.
pub(super) fn name(wire: &[u8]) -> Option<Name> {
    use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
    Name::read(&mut BinDecoder::new(wire)).ok()
}

/// A name as others know it in wire form.
pub(super) fn wire(name: &Name) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.len());
    crate::name::put(name, &mut wire);
    wire
}

/// Changes the name that a record leads to, of the types that lead to one.
pub(super) fn change_value(content: &mut RData, change: impl FnOnce(&mut Name)) {
    match content {
        RData::CNAME(cname) => change(&mut cname.0),
        RData::MX(mx) => change(&mut mx.exchange),
        RData::NAPTR(naptr) => change(&mut naptr.replacement),
        RData::NS(ns) => change(&mut ns.0),
        RData::PTR(ptr) => change(&mut ptr.0),
        RData::SOA(soa) => change(&mut soa.mname),
        RData::SRV(srv) => change(&mut srv.target),
        // hickory leaves it as bytes, which are a name in full once it was read.
        RData::Unknown { code, rdata } if u16::from(*code) == DNAME => {
            if let Some(mut target) = name(&rdata.anything) {
                change(&mut target);
                *rdata = NULL::with(wire(&target));
            }
        }
        _ => {}
    }
}
