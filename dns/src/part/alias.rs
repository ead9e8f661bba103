//! CNAMEs of ours, and what is there where they lead (RFC 1034 §4.3.2).

use super::opened::Opened;
use crate::answer::Sections;
use crate::message::Transport;
use crate::question::{CLASS_IN, Query};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

/// An answer whose CNAMEs lead on.
#[derive(Debug)]
pub(crate) struct Alias {
    opened: Opened,
    /// What they lead to, in wire form.
    question: Box<[u8]>,
}

impl Alias {
    /// From a message with the CNAMEs, the last of which leads to `target`, in wire form. `None`: it has none, be it for
    /// want of room, or is malformed.
    pub(crate) fn read(target: &[u8], record_type: RecordType, message: &[u8]) -> Option<Self> {
        let kind = [u16::from(record_type), CLASS_IN].map(u16::to_be_bytes).concat();
        let alias = Self { opened: Opened::read(message)?, question: [target, &kind].concat().into() };
        (alias.count() > 0).then_some(alias)
    }

    /// How many CNAMEs there are, at least one.
    pub(crate) fn count(&self) -> usize {
        self.opened.sections.answers.iter().filter(|record| record.record_type() == RecordType::CNAME).count()
    }

    /// The question that is left, in wire form.
    pub(crate) fn question(&self) -> &[u8] {
        &self.question
    }

    /// The answer to `query`, with `there`, the one to the question that was left: also that there is no such name (RFC
    /// 6604 §3). Where nobody can tell, and where an answer cannot be read, the CNAMEs stay as they are.
    pub(crate) fn complete(&self, there: &[u8], query: &Query<'_>, transport: Transport) -> Vec<u8> {
        let mut whole = self.opened.clone();
        if let Some(Opened { sections: Sections { code, answers, authorities, .. }, says, options }) =
            Opened::read(there)
        {
            whole.options.extend(options);
            whole.says.offers_recursion |= says.offers_recursion;
            if matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
                whole.says.is_truncated |= says.is_truncated;
                let known = &mut whole.sections;
                known.code = code;
                // A circle of CNAMEs leads to the same ones again.
                let news: Vec<_> = answers.into_iter().filter(|record| !known.answers.contains(record)).collect();
                known.answers.extend(news);
                known.authorities.extend(authorities);
            }
        }
        whole.close(query, transport)
    }
}
