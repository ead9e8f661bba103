//! What is kept where flags alone say it.

use crate::plan::Zone;
use crate::plan::cache::{Cache as Plan, Kept, Prefetch, Refresh, Stale};
use std::time::Duration;

/// Questions that make an answer worth to be fetched again before it ends.
const WANTED: u32 = 2;
/// The rest of its time at which it is.
const LAST_PERCENT: u32 = 10;
/// Questions count however far apart they are.
const LONG: Duration = Duration::from_secs(86_400);

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Answers at most; and as many denials.
    pub capacity: u32,
    /// Seconds that an answer is kept at least.
    pub min_ttl: u32,
    /// Seconds that records are kept at most; 0: nothing is.
    pub max_ttl: u32,
    /// The same for "no such name" and "no such records".
    pub max_denial_ttl: u32,
    /// How long it is remembered that nobody could tell (RFC 2308 §7): at most 5 minutes.
    pub failure: Duration,
    /// How long after its end an answer is still given where upstreams fail (RFC 8767 §4).
    pub stale: Duration,
    /// How long an upstream has to answer before what is over is given instead (RFC 8767 §5).
    pub patience: Duration,
    /// How long upstreams that failed are not asked again for what is over.
    pub recheck: Duration,
}

/// As kubeadm sets CoreDNS's, with answers that are over where upstreams fail.
impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            min_ttl: 5,
            max_ttl: 30,
            max_denial_ttl: 30,
            failure: Duration::from_secs(5),
            stale: Duration::from_secs(3600),
            patience: Duration::from_millis(1800),
            recheck: Duration::from_secs(30),
        }
    }
}

impl CacheSettings {
    /// The same as a Corefile would say it; `None`: nothing is kept.
    pub(crate) fn to_plan(&self) -> Option<Plan> {
        let kept = |max_ttl| Kept { capacity: self.capacity, max_ttl, min_ttl: self.min_ttl };
        let stale = Stale {
            max_age: self.stale,
            refresh: Refresh::Verify,
            // RFC 8767 §4.
            ttl: Duration::from_secs(30),
            recheck: self.recheck,
            timeout: self.patience,
            prefers_positive: false,
        };
        (self.max_ttl > 0).then(|| Plan {
            zones: vec![Zone::root()],
            success: kept(self.max_ttl),
            denial: kept(self.max_denial_ttl),
            no_success: Vec::new(),
            no_denial: Vec::new(),
            servfail: self.failure,
            prefetch: Some(Prefetch { amount: WANTED, within: LONG, percentage: LAST_PERCENT }),
            stale: Some(stale),
            keeps_ttl: false,
        })
    }
}
