//! What is still to be done with an answer on its way back.

use crate::message::Transport;
use crate::part::alias::Alias;
use crate::part::rewrite::Rewritten;
use crate::part::{loadbalance, minimal};
use crate::question::{Asked, Head, Query};
use crate::serving::Block;
use hickory_proto::rr::RecordType;
use std::sync::Arc;

/// One thing of it.
#[derive(Debug)]
pub(super) enum After {
    /// Sections that nobody asked for go, and flags change.
    Parts(Arc<Block>),
    /// The client's own question is answered again.
    Restore(Box<Restore>),
    /// What is there where CNAMEs led is added to them.
    Complete(Box<Complete>),
    /// What takes turns gets the order of this turn.
    Balance(Head, u64),
    /// The server's name is told.
    Nsid(Arc<Block>, Head),
}

/// From a rewritten question back to what was asked.
#[derive(Debug)]
pub(super) struct Restore {
    rewritten: Rewritten,
    head: Head,
    question: Box<[u8]>,
    record_type: RecordType,
}

impl Restore {
    pub(super) fn new(rewritten: Rewritten, query: &Query<'_>) -> Self {
        let Query { head, asked: Asked { wire, record_type } } = *query;
        Self { rewritten, head, question: wire.into(), record_type }
    }
}

/// From what CNAMEs have led to back to what was asked.
#[derive(Debug)]
pub(super) struct Complete {
    alias: Alias,
    head: Head,
    question: Box<[u8]>,
    record_type: RecordType,
}

impl Complete {
    pub(super) fn new(alias: Alias, query: &Query<'_>) -> Self {
        let Query { head, asked: Asked { wire, record_type } } = *query;
        Self { alias, head, question: wire.into(), record_type }
    }
}

impl After {
    /// Does it.
    pub(super) fn change(&self, message: &mut Vec<u8>, transport: Transport) {
        match self {
            Self::Parts(block) => {
                let Some(parts) = &block.parts else { return };
                if parts.is_minimal {
                    minimal::make(message);
                }
                if let Some(headers) = &parts.headers {
                    headers.change_response(message);
                }
            }
            Self::Restore(restore) => {
                let Restore { rewritten, head, question, record_type } = &**restore;
                let asked = Asked { wire: question, record_type: *record_type };
                *message = rewritten.restore(message, &Query { head: *head, asked }, transport);
            }
            Self::Complete(complete) => {
                let Complete { alias, head, question, record_type } = &**complete;
                let asked = Asked { wire: question, record_type: *record_type };
                *message = alias.complete(message, &Query { head: *head, asked }, transport);
            }
            Self::Balance(head, turn) => loadbalance::balance(message, (head, transport), *turn),
            Self::Nsid(block, head) => {
                if let Some(nsid) = block.parts.as_ref().and_then(|parts| parts.nsid.as_ref()) {
                    nsid.add(message, (head, transport));
                }
            }
        }
    }
}
