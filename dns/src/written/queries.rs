//! `log`: a line for each answer of some classes, in the format of its block.

mod kind;
mod line;

use super::QUERIES;
use crate::answer::Metadata;
use crate::message::Transport;
use crate::name::LowerName;
use crate::part::spelling;
use crate::plan::{self, Class, Zone};
use crate::question::Query;
use hickory_proto::rr::RecordType;
use kind::Kind;
use line::Line;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// Which answers of a block are written.
#[derive(Debug)]
pub(crate) struct Queries {
    logs: Vec<Arc<plan::Log>>,
    /// Names for which labels have values.
    metadata: Vec<Zone>,
}

/// A question, who asks it and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'q> {
    pub(crate) query: &'q Query<'q>,
    pub(crate) name: &'q LowerName,
    /// Bytes.
    pub(crate) len: usize,
    pub(crate) peer: SocketAddr,
    /// Where it came to, if that is known.
    pub(crate) asked_at: Option<SocketAddr>,
    pub(crate) transport: Transport,
}

/// What of a question is in its line.
#[derive(Debug)]
pub(crate) struct Logged {
    log: Arc<plan::Log>,
    peer: SocketAddr,
    asked_at: Option<IpAddr>,
    transport: Transport,
    id: u16,
    name: String,
    class: u16,
    record_type: RecordType,
    len: usize,
    is_dnssec_ok: bool,
    /// What the client says that it takes; bytes.
    payload: u16,
    /// `None`: labels have no values.
    metadata: Option<Box<Metadata>>,
    since: Instant,
}

impl Queries {
    /// `None`: none are.
    pub(crate) fn of(logs: &[plan::Log], metadata: Option<&[Zone]>) -> Option<Self> {
        let logs: Vec<_> = logs.iter().cloned().map(Arc::new).collect();
        (!logs.is_empty()).then(|| Self { logs, metadata: metadata.unwrap_or_default().to_vec() })
    }

    /// What the line about a question begins with; `None`: there is none, whatever the answer. `metadata`: what the
    /// cluster's names tell of it.
    pub(crate) fn begin(&self, question: Question<'_>, metadata: impl FnOnce() -> Metadata) -> Option<Box<Logged>> {
        let Question { query, name, len, peer, asked_at, transport } = question;
        let holds = |zone: &Zone| zone.holds_name(name);
        // The first whose zone it is in.
        let log = self.logs.iter().find(|log| log.zones.iter().any(holds))?;
        let has_labels = log.format.labels().next().is_some() && self.metadata.iter().any(holds);
        Some(Box::new(Logged {
            log: Arc::clone(log),
            peer,
            asked_at: asked_at.map(|address| address.ip()),
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
            metadata: has_labels.then(|| Box::new(metadata())),
            since: Instant::now(),
        }))
    }
}

impl Logged {
    /// Writes the line about this answer, if its class is one of those that are; empty: there is none. `upstream`: who was
    /// asked for it.
    pub(crate) fn end(&self, message: &[u8], upstream: Option<SocketAddr>) {
        if self.is_wanted(message) {
            tracing::info!(target: QUERIES, "{}", Line { logged: self, message, upstream });
        }
    }

    /// The kind of an answer to it.
    fn kind(&self, message: &[u8]) -> Kind {
        Kind::of(message, self.record_type)
    }

    fn is_wanted(&self, message: &[u8]) -> bool {
        let classes = &self.log.classes;
        classes.contains(&Class::All) || classes.contains(&self.kind(message).class())
    }
}

#[cfg(test)]
mod tests;
