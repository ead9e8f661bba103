//! What the parts of blocks count at one server, under CoreDNS's names. A question that no such part is for touches
//! none of it.

use super::{TYPES, family, index};
use crate::name::LowerName;
use crate::plan::{AclAction, Zone};
use crate::question::CLASS_IN;
use hickory_proto::rr::RecordType;
use prometheus::{IntCounter, IntCounterVec, Registry};
use std::sync::{Arc, OnceLock};

/// Those of all servers.
#[derive(Debug, Clone)]
pub(crate) struct PartMetrics {
    blocked: IntCounterVec,
    filtered: IntCounterVec,
    dropped: IntCounterVec,
    allowed: IntCounterVec,
    walked: IntCounterVec,
    translated: IntCounterVec,
    matches: IntCounterVec,
    record_failures: IntCounterVec,
    /// Questions for a name below `localhost`.
    localhost: IntCounter,
}

/// Those of one server; what is counted of every question is looked up once.
#[derive(Debug)]
pub(crate) struct ServerMetrics {
    all: PartMetrics,
    /// As `dns://:53`.
    server: Arc<str>,
    allowed: OnceLock<IntCounter>,
    walked: OnceLock<IntCounter>,
    translated: OnceLock<IntCounter>,
}

/// A template that a question has met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matched {
    /// The template's zone that the name is in, with the dot at the end.
    pub(crate) zone: String,
    pub(crate) class: u16,
    pub(crate) record_type: RecordType,
}

impl PartMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            blocked: family::COREDNS_ACL_BLOCKED.counters(registry)?,
            filtered: family::COREDNS_ACL_FILTERED.counters(registry)?,
            dropped: family::COREDNS_ACL_DROPPED.counters(registry)?,
            allowed: family::COREDNS_ACL_ALLOWED.counters(registry)?,
            walked: family::COREDNS_AUTOPATH_SUCCESS.counters(registry)?,
            translated: family::COREDNS_DNS64_TRANSLATED.counters(registry)?,
            matches: family::COREDNS_TEMPLATE_MATCHES.counters(registry)?,
            record_failures: family::COREDNS_TEMPLATE_RECORD_FAILURES.counters(registry)?,
            localhost: family::COREDNS_LOCALHOST.counter(registry)?,
        })
    }

    /// Counts a name that `local` answers.
    pub(crate) fn local(&self, name: &LowerName) {
        if name.count() > 1 && name.label(0) == b"localhost" {
            self.localhost.inc();
        }
    }

    /// Those of a server, as it is called in the label `server`.
    pub(crate) fn of_server(&self, server: String) -> ServerMetrics {
        let (all, [allowed, walked, translated]) = (self.clone(), [const { OnceLock::new() }; 3]);
        ServerMetrics { all, server: server.into(), allowed, walked, translated }
    }
}

impl ServerMetrics {
    pub(crate) fn server(&self) -> Arc<str> {
        Arc::clone(&self.server)
    }

    /// Counts what `acl` says to a question; `zone`: the list's that the name is in.
    pub(crate) fn judged(&self, action: AclAction, zone: Option<&Zone>) {
        let of = match action {
            AclAction::Allow => return count(&self.allowed, &self.all.allowed, &[&self.server, ""]),
            AclAction::Block => &self.all.blocked,
            AclAction::Filter => &self.all.filtered,
            AclAction::Drop => &self.all.dropped,
        };
        let zone = zone.map(Zone::absolute).unwrap_or_default();
        of.with_label_values(&[&*self.server, &zone, ""]).inc();
    }

    /// Counts an answer that `autopath` has found.
    pub(crate) fn walked(&self) {
        count(&self.walked, &self.all.walked, &[&self.server]);
    }

    /// Counts an answer that `dns64` has made.
    pub(crate) fn translated(&self) {
        count(&self.translated, &self.all.translated, &[&self.server]);
    }

    /// Counts a question that a template answers.
    pub(crate) fn matched(&self, matched: &Matched) {
        let [zone, class, record_type] = matched.labels();
        self.all.matches.with_label_values(&[&*self.server, zone, "", class, record_type]).inc();
    }

    /// Counts a record that could not be made; `template`: how it is written, in that section.
    pub(crate) fn record_failed(&self, matched: &Matched, section: &str, template: &str) {
        let [zone, class, record_type] = matched.labels();
        let labels = [&*self.server, zone, "", class, record_type, section, template];
        self.all.record_failures.with_label_values(&labels).inc();
    }
}

impl Matched {
    fn labels(&self) -> [&str; 3] {
        let record_type = TYPES.get(index(&TYPES, |known| *known == self.record_type));
        let class = if self.class == CLASS_IN { "IN" } else { "CH" };
        [&self.zone, class, record_type.map_or(super::OTHER, |(_, name)| name)]
    }
}

/// Counts with a counter that is looked up the first time.
fn count(counter: &OnceLock<IntCounter>, of: &IntCounterVec, labels: &[&str]) {
    counter.get_or_init(|| of.with_label_values(labels)).inc();
}
