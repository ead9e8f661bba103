//! How many Events may be written: in each namespace some at once and a few a second, and so in all. Pure.

use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Of all together: what the API server and its store are to bear.
const ALL: Rate = Rate { interval: Duration::from_millis(200), burst: 50 };
/// Of a namespace: who floods its own leaves most of the rest to others.
const NAMESPACE: Rate = Rate { interval: Duration::from_secs(1), burst: 25 };

/// How fast a bucket fills, and what it holds.
#[derive(Debug, Clone, Copy)]
struct Rate {
    interval: Duration,
    burst: u32,
}

/// A token bucket, as the time at which it will be full.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// When there is a token; that may be past.
    fn free_at(&self) -> Instant {
        let all_but_one = self.rate.interval.saturating_mul(self.rate.burst - 1);
        self.full_at.checked_sub(all_but_one).unwrap_or(self.full_at)
    }

    /// Takes a token.
    fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.rate.interval;
    }
}

/// The bucket of all Events, and one of each namespace that has had some lately: at most as many as the first one lets
/// through while one of the others fills.
#[derive(Debug)]
pub(super) struct Buckets {
    all: Bucket,
    namespaces: FxHashMap<Arc<str>, Bucket>,
}

impl Buckets {
    /// Full ones.
    pub(super) fn new(now: Instant) -> Self {
        Self { all: Bucket::new(ALL, now), namespaces: FxHashMap::default() }
    }

    /// When there is a token for an Event of a namespace; that may be past.
    pub(super) fn free_at(&self, namespace: &str) -> Instant {
        let all = self.all.free_at();
        self.namespaces.get(namespace).map_or(all, |bucket| bucket.free_at().max(all))
    }

    /// How much a namespace has had lately, as the time until which it counts; `None`: nothing that still counts.
    pub(super) fn had(&self, namespace: &str, now: Instant) -> Option<Instant> {
        self.namespaces.get(namespace).map(|bucket| bucket.full_at).filter(|full_at| *full_at > now)
    }

    /// Takes a token for an Event of a namespace.
    pub(super) fn take(&mut self, namespace: &Arc<str>, now: Instant) {
        // A full one is as good as none.
        self.namespaces.retain(|_, bucket| bucket.full_at > now);
        self.all.take(now);
        let full = || Bucket::new(NAMESPACE, now);
        self.namespaces.entry(Arc::clone(namespace)).or_insert_with(full).take(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many tokens there are for a namespace within ten seconds.
    fn taken(buckets: &mut Buckets, namespace: &Arc<str>, start: Instant) -> u32 {
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(10) {
            if buckets.free_at(namespace) <= now {
                buckets.take(namespace, now);
                taken += 1;
            } else {
                now = buckets.free_at(namespace);
            }
        }
        taken
    }

    #[test]
    fn a_namespace_has_a_burst_and_then_one_a_second() {
        let (start, namespace) = (Instant::now(), Arc::from("shop"));
        let mut buckets = Buckets::new(start);
        assert_eq!(taken(&mut buckets, &namespace, start), 25 + 9);
        let rested = start + Duration::from_secs(3600);
        assert_eq!(taken(&mut buckets, &namespace, rested), 25 + 9, "no more than the bucket holds");
    }

    #[test]
    fn all_together_have_a_burst_and_then_five_a_second() {
        let start = Instant::now();
        let mut buckets = Buckets::new(start);
        let namespaces: Vec<Arc<str>> = (0..1000).map(|number| number.to_string().into()).collect();
        let (mut now, mut taken, mut most) = (start, 0, 0);
        for namespace in namespaces.iter().cycle() {
            now = now.max(buckets.free_at(namespace));
            if now >= start + Duration::from_secs(100) {
                break;
            }
            buckets.take(namespace, now);
            taken += 1;
            most = most.max(buckets.namespaces.len());
        }
        assert_eq!(taken, 50 + 499);
        assert!(most <= 64, "{most} are kept");
    }
}
