//! A question on its way upstream, and the query that waits for its answer.

use crate::question::{Asked, Head, Query};
use crate::wire::{Header, flag};
use hickory_proto::rr::RecordType;
use std::sync::Arc;

/// A question as it goes upstream; equal ones share one exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    /// In wire form and lower case.
    question: Box<[u8]>,
    /// RD, AD and CD as the client set them.
    flags: u16,
    /// The DO bit.
    pub(super) is_dnssec_ok: bool,
}

impl Ask {
    /// A client's question in wire form, or another one in its place.
    pub(crate) fn new(head: &Head, question: &[u8]) -> Self {
        let mut question = question.to_vec();
        if let Some((name, _)) = question.split_last_chunk_mut::<4>() {
            // No length of a label is a letter; a type may be.
            name.make_ascii_lowercase();
        }
        Self {
            question: question.into(),
            flags: head.flags & !flag::OPCODE,
            is_dnssec_ok: head.edns.is_some_and(|edns| edns.is_dnssec_ok),
        }
    }

    /// A question of our own about a name in wire form, without EDNS.
    pub(super) fn own(name: &[u8], record_type: RecordType, is_recursion_desired: bool) -> Self {
        let [high, low] = u16::from(record_type).to_be_bytes();
        let question = [name, &[high, low, 0, 1]].concat().into();
        let flags = if is_recursion_desired { flag::RECURSION_DESIRED } else { 0 };
        Self { question, flags, is_dnssec_ok: false }
    }

    /// Name, type and class in wire form.
    pub(super) fn question(&self) -> &[u8] {
        &self.question
    }

    /// The name in wire form and lower case.
    pub(crate) fn name(&self) -> &[u8] {
        self.question.split_last_chunk::<4>().map_or(&[], |(name, _)| name)
    }

    pub(crate) fn record_type(&self) -> RecordType {
        let [.., high, low, _, _] = *self.question else { return RecordType::ZERO };
        RecordType::from(u16::from_be_bytes([high, low]))
    }

    /// The question as it is sent; where signatures are wanted, always with EDNS.
    pub(super) fn to_message(&self, id: u16, has_edns: bool) -> Vec<u8> {
        let has_edns = has_edns || self.is_dnssec_ok;
        let additionals = u16::from(has_edns);
        let header = Header { id, flags: self.flags, questions: 1, answers: 0, authorities: 0, additionals };
        let mut message = Vec::from(header.to_bytes());
        message.extend(&self.question);
        if has_edns {
            message.extend(crate::message::opt(0, self.is_dnssec_ok, 0));
        }
        message
    }
}

/// A query that waits for an upstream.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) head: Head,
    /// As it came in.
    pub(super) question: Box<[u8]>,
    record_type: RecordType,
    pub(super) ask: Ask,
    /// The server that it is counted for, as `dns://:53`.
    pub(super) server: Arc<str>,
}

impl Waiting {
    /// `server`: the one that it came to.
    pub(crate) fn new(query: &Query<'_>, server: Arc<str>) -> Self {
        let Query { head, asked: Asked { wire, record_type } } = *query;
        Self { head, question: wire.into(), record_type, ask: Ask::new(&head, wire), server }
    }

    /// The name that upstreams are asked for, in wire form and lower case.
    pub(crate) fn name(&self) -> &[u8] {
        self.ask.name()
    }

    /// What is to be answered.
    pub(crate) fn query(&self) -> Query<'_> {
        Query { head: self.head, asked: Asked { wire: &self.question, record_type: self.record_type } }
    }
}
