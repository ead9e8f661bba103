//! What the server counts; labels are bounded sets, and the counters of the usual path are found by index.

mod cache;
mod configured;
mod family;
mod forward;
mod mirror;
mod parts;
mod rate_limit;
mod unshared;
mod zones;

use crate::message::Transport;
use crate::question::is_of_zones;
use arc_swap::ArcSwap;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) use cache::{CacheCounts, CacheMetrics, CacheRow};
use configured::ConfiguredCollector;
pub(crate) use configured::{Configured, Enabled};
pub(crate) use forward::{ForwardMetrics, UpstreamMetrics};
use mirror::Mirror;
pub(crate) use parts::{Matched, PartMetrics, ServerMetrics};
pub(crate) use rate_limit::RateLimitMetrics;
pub(crate) use unshared::Unshared;
use zones::ZoneCollector;

pub(crate) use zones::{Took, ZoneId, Zones};

/// Those that CoreDNS has (its list `monitorType`), the frequent ones first.
const TYPES: [(RecordType, &str); 20] = [
    (RecordType::A, "A"),
    (RecordType::AAAA, "AAAA"),
    (RecordType::SRV, "SRV"),
    (RecordType::PTR, "PTR"),
    (RecordType::CNAME, "CNAME"),
    (RecordType::TXT, "TXT"),
    (RecordType::MX, "MX"),
    (RecordType::NS, "NS"),
    (RecordType::SOA, "SOA"),
    (RecordType::HTTPS, "HTTPS"),
    (RecordType::SVCB, "SVCB"),
    (RecordType::DS, "DS"),
    (RecordType::ANY, "ANY"),
    (RecordType::DNSKEY, "DNSKEY"),
    (RecordType::RRSIG, "RRSIG"),
    (RecordType::NSEC, "NSEC"),
    (RecordType::NSEC3, "NSEC3"),
    (RecordType::AXFR, "AXFR"),
    (RecordType::IXFR, "IXFR"),
    (RecordType::ZERO, OTHER),
];

const CODES: [(ResponseCode, &str); 8] = [
    (ResponseCode::NoError, "NOERROR"),
    (ResponseCode::NXDomain, "NXDOMAIN"),
    (ResponseCode::ServFail, "SERVFAIL"),
    (ResponseCode::Refused, "REFUSED"),
    (ResponseCode::FormErr, "FORMERR"),
    (ResponseCode::NotImp, "NOTIMP"),
    (ResponseCode::BADVERS, "BADVERS"),
    (ResponseCode::Unknown(u16::MAX), OTHER),
];

const OTHER: &str = "other";

/// From an answer out of the table to one that a client has given up on; seconds.
const DURATIONS: [f64; 16] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Zone,
    /// A zone of external addresses.
    External,
    Upstream,
    /// What an upstream has said before.
    Cache,
    Hosts,
    Template,
    /// A client that may not ask is told so.
    Acl,
    Any,
    /// The end of a walk.
    Autopath,
    Chaos,
    Local,
    /// A whole zone.
    Transfer,
    Whoami,
    /// What is about the question, the client or the server itself.
    Itself,
}

/// Each with the name of CoreDNS's plugin that answers so, in the order of [`Source`].
const SOURCES: [(Source, &str); 14] = [
    (Source::Zone, "kubernetes"),
    (Source::External, "k8s_external"),
    (Source::Upstream, "forward"),
    (Source::Cache, "cache"),
    (Source::Hosts, "hosts"),
    (Source::Template, "template"),
    (Source::Acl, "acl"),
    (Source::Any, "any"),
    (Source::Autopath, "autopath"),
    (Source::Chaos, "chaos"),
    (Source::Local, "local"),
    (Source::Transfer, "transfer"),
    (Source::Whoami, "whoami"),
    (Source::Itself, ""),
];

impl Source {
    fn index(self) -> usize {
        self as usize
    }

    /// The place among those whose durations are told: what is known here is known at once, whoever knows it.
    fn duration_index(self) -> usize {
        match self {
            Self::Upstream => 1,
            Self::Cache => 2,
            _ => 0,
        }
    }
}

/// How many sources have durations of their own.
const DURATIONS_OF: usize = 3;

/// What is counted of a question itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) zone: ZoneId,
    /// Whether the client's address is one of IPv4.
    pub(crate) is_ipv4: bool,
    pub(crate) is_dnssec_ok: bool,
    /// `None`: no question could be read.
    pub(crate) record_type: Option<RecordType>,
    /// Length of the message; bytes.
    pub(crate) len: u16,
}

impl Counted {
    fn type_index(&self) -> usize {
        index(&TYPES, |known| Some(*known) == self.record_type)
    }
}

/// What an answer is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) question: Counted,
    pub(crate) source: Source,
    pub(crate) code: ResponseCode,
}

impl Answered {
    /// Whether the question was for a whole zone, and is refused so far: by the server itself, not by `acl`.
    pub(crate) fn asks_for_a_zone(&self) -> bool {
        self.question.record_type.is_some_and(is_of_zones)
            && (self.source, self.code) == (Source::Itself, ResponseCode::Refused)
    }

    /// Those of its type and its code.
    fn indexes(&self) -> (usize, usize) {
        (self.question.type_index(), index(&CODES, |known| *known == self.code))
    }
}

/// Counters and histograms of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    /// By transport, type and code; made when first needed, so that only what happened is shown.
    request_cells: [[[OnceLock<IntCounter>; CODES.len()]; TYPES.len()]; 2],
    /// By transport and source.
    durations: [[Histogram; DURATIONS_OF]; 2],
    pub(crate) dropped: IntCounterVec,
    pub(crate) rate_limit: RateLimitMetrics,
    pub(crate) connections: IntGauge,
    pub(crate) accept_failures: IntCounter,
    pub(crate) waiting: IntGauge,
    /// Bytes.
    pub(crate) untaken: IntGauge,
    pub(crate) held_back: IntCounter,
    pub(crate) reloads_refused: IntCounter,
    pub(crate) https: IntCounterVec,
    pub(crate) forward: ForwardMetrics,
    pub(crate) cache: CacheMetrics,
    pub(crate) parts: PartMetrics,
    pub(crate) zones: Arc<Zones>,
    /// What is served now.
    pub(crate) configured: Arc<ArcSwap<Configured>>,
}

impl Metrics {
    /// Registers all.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let zones = Arc::<Zones>::default();
        registry.register(Box::new(ZoneCollector::new(Arc::clone(&zones))?))?;
        let configured = Arc::<ArcSwap<Configured>>::default();
        registry.register(Box::new(ConfiguredCollector::new(Arc::clone(&configured))?))?;
        let reloads_refused = family::RELOADS_REFUSED.counter(registry)?;
        registry.register(Box::new(Mirror::new(&family::COREDNS_RELOAD_FAILED, reloads_refused.clone())?))?;
        let durations = family::DURATIONS.histograms(registry, &DURATIONS)?;
        let of =
            |proto: &str| ["zone", "upstream", "cache"].map(|source| durations.with_label_values(&[proto, source]));
        Ok(Self {
            requests: family::REQUESTS.counters(registry)?,
            request_cells: Default::default(),
            durations: [of("udp"), of("tcp")],
            dropped: family::DROPPED.counters(registry)?,
            rate_limit: RateLimitMetrics::new(registry)?,
            connections: family::CONNECTIONS.gauge(registry)?,
            accept_failures: family::ACCEPT_FAILURES.counter(registry)?,
            waiting: family::WAITING.gauge(registry)?,
            untaken: family::UNTAKEN.gauge(registry)?,
            held_back: family::HELD_BACK.counter(registry)?,
            https: family::HTTPS.counters(registry)?,
            reloads_refused,
            forward: ForwardMetrics::new(registry)?,
            cache: CacheMetrics::new(registry)?,
            parts: PartMetrics::new(registry)?,
            zones,
            configured,
        })
    }

    /// Counts an answer: its length, and the time that it took.
    pub(crate) fn answered(&self, transport: Transport, answered: Answered, said: (usize, Duration)) {
        let (len, took) = said;
        let (indexes, took) = (answered.indexes(), Took::from(took));
        self.zones.answered(transport, (answered, indexes), (len, took));
        self.count(transport, indexes, 1);
        let durations = self.durations.get(row_of(transport).0);
        if let Some(duration) = durations.and_then(|sources| sources.get(answered.source.duration_index())) {
            duration.observe(took.seconds);
        }
    }

    /// Counts a question that `acl` leaves without an answer.
    pub(crate) fn dropped_by_acl(&self, transport: Transport, question: Counted) {
        self.dropped.with_label_values(&["acl"]).inc();
        self.zones.asked(transport, question);
    }

    /// Counts answers of the same type and code.
    fn count(&self, transport: Transport, (type_index, code_index): (usize, usize), count: u64) {
        let (row, proto) = row_of(transport);
        let type_name = TYPES.get(type_index).map_or(OTHER, |(_, name)| name);
        let code_name = CODES.get(code_index).map_or(OTHER, |(_, name)| name);
        let cells = self.request_cells.get(row).and_then(|types| types.get(type_index));
        if let Some(cell) = cells.and_then(|codes| codes.get(code_index)) {
            cell.get_or_init(|| self.requests.with_label_values(&[proto, type_name, code_name])).inc_by(count);
        }
    }
}

/// Where a transport is counted, and its label.
fn row_of(transport: Transport) -> (usize, &'static str) {
    match transport {
        Transport::Udp => (0, "udp"),
        Transport::Tcp => (1, "tcp"),
    }
}

/// The place of what was looked for, or of the last one.
fn index<K>(known: &[(K, &'static str)], is_it: impl Fn(&K) -> bool) -> usize {
    known.iter().position(|(key, _)| is_it(key)).unwrap_or(known.len().saturating_sub(1))
}

#[cfg(test)]
mod tests;
