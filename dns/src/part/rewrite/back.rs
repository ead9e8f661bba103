//! Answers to a rewritten question, made to fit the one that the client has asked.

use super::names::dotted;
use crate::message::Transport;
use crate::part::opened::{self, Opened};
use crate::part::spelling;
use crate::plan::{Pattern, Substitute};
use crate::question::Query;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A question in place of the client's, and the way back.
#[derive(Debug, Clone)]
pub(crate) struct Rewritten {
    /// Name, type and class.
    pub(super) wire: Vec<u8>,
    pub(super) record_type: RecordType,
    /// In the order of their rules.
    pub(super) backs: Vec<Back>,
}

/// What is done with an answer. Names are text in lower case with a dot at the end.
#[derive(Debug, Clone)]
pub(super) enum Back {
    /// A name, and those below it, becomes another.
    Name {
        from: String,
        to: String,
    },
    /// The end of names becomes another, which need not begin at a label.
    Suffix {
        from: String,
        to: String,
    },
    Given(Arc<Given>),
    /// TTLs are kept within this range; seconds.
    Ttl(RangeInclusive<u32>),
    Code {
        from: ResponseCode,
        to: ResponseCode,
    },
}

/// What a user says of names in answers.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) part: Part,
    pub(super) names: Pattern,
    pub(super) to: Substitute,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Owner,
    /// The name that a record leads to (SRV, MX, CNAME, NS, NAPTR, SOA, PTR).
    Value,
}

impl Rewritten {
    /// The answer to the client's own question, made of one to this; the last rule is undone first. A message that cannot
    /// be read becomes SERVFAIL. It is cut to what the client takes, so the answer had better be whole before.
    pub(crate) fn restore(&self, message: &[u8], original: &Query<'_>, transport: Transport) -> Vec<u8> {
        let Some(mut opened) = Opened::read(message) else { return opened::failure(original) };
        let sections = &mut opened.sections;
        for back in self.backs.iter().rev() {
            match back {
                Back::Code { from, to } if sections.code == *from => sections.code = *to,
                back => {
                    let records = sections.answers.iter_mut().chain(&mut sections.authorities);
                    records.chain(&mut sections.additionals).for_each(|record| back.apply(record));
                }
            }
        }
        opened.close(original, transport)
    }
}

impl Back {
    fn apply(&self, record: &mut Record) {
        match self {
            Self::Name { .. } | Self::Suffix { .. } => {
                self.rename(&mut record.name);
                opened::change_value(&mut record.data, |name| self.rename(name));
            }
            Self::Given(given) if given.part == Part::Owner => self.rename(&mut record.name),
            Self::Given(_) => opened::change_value(&mut record.data, |name| self.rename(name)),
            Self::Ttl(range) => record.ttl = record.ttl.clamp(*range.start(), *range.end()),
            Self::Code { .. } => {}
        }
    }

    /// A name that would be none stays as it is.
    fn rename(&self, name: &mut Name) {
        let before = spelling::text(&opened::wire(name)).to_ascii_lowercase();
        let renamed = self.renamed(&before).filter(|after| *after != before);
        if let Some(after) = renamed.and_then(|after| opened::name(&spelling::wire(&after)?)) {
            *name = after;
        }
    }

    fn renamed(&self, name: &str) -> Option<String> {
        match self {
            Self::Name { from, to } => {
                let before = name.strip_suffix(from.as_str())?;
                (before.is_empty() || before.ends_with('.')).then(|| format!("{before}{to}"))
            }
            Self::Suffix { from, to } => name.strip_suffix(from.as_str()).map(|before| format!("{before}{to}")),
            Self::Given(given) => given.names.captures(name).map(|groups| dotted(&given.to.fill(Some(&groups)))),
            Self::Ttl(_) | Self::Code { .. } => None,
        }
    }
}
