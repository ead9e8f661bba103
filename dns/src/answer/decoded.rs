//! The same answers as records, for those who read them: the reply as another implementation decodes it.

mod names;

use super::{Said, Zone, ZoneSettings};
use crate::message::Says;
use crate::name::LowerName;
use crate::question::{CLASS_IN, Head, Question};
use crate::reply::Reply;
use config::NameTable;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record};
use std::net::SocketAddr;

/// The sections of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the sections of RFC 1035 §4.1")]
pub struct Sections {
    pub code: ResponseCode,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Sections {
    /// Decodes a message; `None`: it is malformed.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let Message { metadata, mut answers, mut authorities, mut additionals, .. } =
            Message::from_vec(message).ok()?;
        let is_raw = |record: &Record| matches!(record.data, RData::Unknown { .. });
        if [&answers, &authorities, &additionals].into_iter().flatten().any(is_raw) {
            names::write_out(message, answers.iter_mut().chain(&mut authorities).chain(&mut additionals))?;
        }
        Some(Self { code: metadata.response_code, answers, authorities, additionals })
    }
}

/// What the zone says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// All there is to say.
    Zone(Sections),
    /// CNAMEs that lead out of the zone; the addresses behind them are to be asked upstream, and where nobody there
    /// knows, the CNAMEs are the answer.
    Alias {
        /// The CNAMEs.
        sections: Sections,
        /// The name that they lead to.
        target: Name,
    },
    /// Nothing: the name is none of ours.
    Outside,
}

/// Answers a question that came to `asked_at`, as a server does that sends replies of any length.
#[must_use]
pub fn answer(table: &NameTable, question: &Question, settings: &ZoneSettings, asked_at: Option<SocketAddr>) -> Answer {
    let (wire, mut message) = (question.to_wire(), Vec::new());
    let Some(name) = wire.split_last_chunk::<4>().and_then(|(name, _)| LowerName::read(name)) else {
        return Answer::Outside;
    };
    let mut reply = Reply::new(&mut message, &wire, usize::MAX);
    let said = Zone::new(table, settings, asked_at).answer(&name, question.record_type, &mut reply);
    reply.finish(&Head { id: 0, flags: 0, class: CLASS_IN, edns: None }, Says::default());
    // What is written can be read: a proptest of the whole path says so.
    let failed = || Sections { code: ResponseCode::ServFail, ..Sections::default() };
    let sections = || Sections::read(&message).unwrap_or_else(failed);
    match said {
        Said::All => Answer::Zone(sections()),
        Said::Alias(target) => match Name::from_ascii(format!("{target}.")) {
            Ok(target) => Answer::Alias { sections: sections(), target },
            Err(_) => Answer::Zone(sections()),
        },
        Said::Outside => Answer::Outside,
    }
}
