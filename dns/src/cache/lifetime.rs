//! How long an answer may be kept, and what clients are told of it.

use crate::wire::{Cursor, OPT, flag};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The records asked for.
    Records,
    /// That there is no such name, or no such record.
    Denial,
    /// That nobody can tell.
    Failure,
}

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) kind: Kind,
    /// Seconds.
    pub(super) ttl: u32,
}

impl Lifetime {
    /// That of an answer to a question of this type. `None`: it is not to be kept, being cut, malformed, about the hop
    /// between us and the upstream, or a denial that does not say for how long (RFC 2308 §5).
    pub(super) fn of(message: &[u8], asked: RecordType) -> Option<Self> {
        let mut cursor = Cursor::new(message);
        let header = cursor.header()?;
        cursor.question()?;
        if header.flags & flag::TRUNCATED != 0 {
            return None;
        }
        let (mut ttl, mut has_asked, mut is_denied) = (u32::MAX, false, false);
        for place in 0..header.records() {
            let record = cursor.record()?;
            if record.record_type == OPT {
                let [extended_code, ..] = record.ttl.to_be_bytes();
                if extended_code != 0 {
                    return None;
                }
                continue;
            }
            ttl = ttl.min(told(record.ttl));
            let record_type = RecordType::from(record.record_type);
            if place < u32::from(header.answers) {
                has_asked |= record_type == asked || asked == RecordType::ANY;
            } else if record_type == RecordType::SOA {
                // The last of its five numbers (RFC 1035 §3.3.13).
                let minimum = record.content.last_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
                ttl = ttl.min(told(minimum));
                is_denied = true;
            }
        }
        let kind = match ResponseCode::from(0, (header.flags & flag::CODE) as u8) {
            ResponseCode::NoError if has_asked => Kind::Records,
            ResponseCode::NoError | ResponseCode::NXDomain if is_denied => Kind::Denial,
            ResponseCode::ServFail => Kind::Failure,
            _ => return None,
        };
        Some(Self { kind, ttl })
    }
}

/// A TTL as it is meant: one with the highest bit set is 0 (RFC 2181 §8).
fn told(ttl: u32) -> u32 {
    i32::try_from(ttl).map_or(0, i32::unsigned_abs)
}

/// What becomes of TTLs on the way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ttls {
    AsTheyCame,
    /// Within bounds, and then less by the answer's age; seconds.
    Aged {
        at_least: u32,
        at_most: u32,
        by: u32,
    },
    /// All the same; seconds.
    Fixed(u32),
}

impl Ttls {
    pub(crate) fn of(self, ttl: u32) -> u32 {
        match self {
            Self::AsTheyCame => ttl,
            Self::Aged { at_least, at_most, by } => told(ttl).clamp(at_least, at_most).saturating_sub(by),
            Self::Fixed(ttl) => ttl,
        }
    }
}
