//! Passive ejection of an endpoint, fed by its own exchanges and shared by all routes.
//! Healthy → ejected (1 s, doubling to 60 s) → half-open: one exchange at a time probes it → healthy or ejected again.

#[cfg(test)]
mod tests;

use crate::balance::mix;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;
use tokio::time::Instant;

/// Period of the first ejection in a row; each further one doubles it.
const FIRST_PERIOD: Duration = Duration::from_secs(1);
/// Longest period, before jitter of up to a quarter is added.
const LONGEST_PERIOD: Duration = Duration::from_secs(60);
/// How long a probe keeps others away: longer than a connection may take to be made, so that its failure counts.
const PROBE_WINDOW: Duration = Duration::from_secs(6);

/// What counts against an endpoint. Client aborts, 501, 505, denied retries, exhausted local ports and the end of the
/// time for a whole request do not, and are never reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection or no TLS session: nobody serves there, so few are enough.
    Connect,
    /// The connection ended before an answer's head.
    Reset,
    /// No answer's head in time.
    Timeout,
}

impl FailureKind {
    /// Failures in a row, of any kind, the last of this kind, that eject.
    #[must_use]
    pub fn threshold(self) -> u8 {
        match self {
            Self::Connect => 3,
            Self::Reset | Self::Timeout => 5,
        }
    }
}

/// Microseconds since the [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// As a number that an atomic holds.
    #[must_use]
    pub fn as_micros(self) -> u64 {
        self.0
    }

    fn after(self, period: Duration) -> Self {
        Self(self.0.saturating_add(micros(period)))
    }

    fn before(self, period: Duration) -> Self {
        Self(self.0.saturating_sub(micros(period)))
    }
}

/// The start of the time that atomics count in: one a process.
#[derive(Debug, Clone, Copy)]
pub struct Origin(Instant);

impl Origin {
    /// Starts now.
    #[must_use]
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// `instant` as seen from here; 0 if it is earlier.
    #[must_use]
    pub fn at(self, instant: Instant) -> Moment {
        Moment(micros(instant.saturating_duration_since(self.0)))
    }

    /// The instant that is seen from here as `moment`.
    #[must_use]
    pub fn instant(self, moment: Moment) -> Instant {
        self.0 + Duration::from_micros(moment.0)
    }
}

/// With what right an endpoint was chosen: whose word about it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not ejected.
    Healthy,
    /// It was half-open: this exchange alone decides until that moment.
    Probe(Moment),
    /// It was ejected until that moment and chosen all the same.
    Forced(Moment),
}

/// The health of one endpoint; every call is lock-free.
#[derive(Debug, Default)]
pub struct Health {
    state: AtomicU64,
    /// When the failures began that `state` speaks of, doubled; one more where it took no connection, since then.
    since: AtomicU64,
}

impl Health {
    /// Whether it may be chosen: neither ejected nor being probed.
    #[must_use]
    pub fn admits(&self, now: Moment) -> bool {
        let bits = self.state.load(Relaxed);
        bits == 0 || State::unpack(bits).admits(now)
    }

    /// When its failures began, if it has had any since its last answer. Those of another kind do not count where it has
    /// taken no connection since: it was there then, and may have ended only now.
    #[must_use]
    pub fn failing_since(&self) -> Option<Moment> {
        (self.state.load(Acquire) != 0).then(|| Moment(self.since.load(Relaxed) >> 1))
    }

    /// Takes the right to use it, if it has any to give; of several callers one gets a half-open one.
    pub fn claim(&self, now: Moment) -> Option<Standing> {
        let bits = self.state.load(Relaxed);
        let state = State::unpack(bits);
        if state.level == 0 {
            return Some(Standing::Healthy);
        }
        if state.until > now {
            return None;
        }
        let until = now.after(PROBE_WINDOW);
        let claimed = State { until, failures: 0, ..state }.pack();
        self.state.compare_exchange(bits, claimed, Relaxed, Relaxed).ok().map(|_| Standing::Probe(until))
    }

    /// The right to use it though it may be ejected.
    #[must_use]
    pub fn force(&self, now: Moment) -> Standing {
        let ejected = || Standing::Forced(State::unpack(self.state.load(Relaxed)).until);
        self.claim(now).unwrap_or_else(ejected)
    }

    /// An exchange got its answer's head; `true` if that ended an ejection.
    pub fn succeeded(&self, standing: Standing, now: impl FnOnce() -> Moment) -> bool {
        if self.state.load(Relaxed) == 0 {
            return false;
        }
        let now = now();
        let before =
            self.state.try_update(Relaxed, Relaxed, |bits| State::unpack(bits).trusts(standing, now).then_some(0));
        before.is_ok_and(|bits| State::unpack(bits).level > 0)
    }

    /// An attempt failed; the period if that ejected the endpoint. Who used it though it was ejected, or began before
    /// that, says nothing new: each period has one probe that decides about the next.
    pub fn failed(&self, kind: FailureKind, standing: Standing, now: Moment) -> Option<Duration> {
        self.note_begin(kind, now);
        let mut ejected = None;
        let updated = self.state.try_update(Release, Relaxed, |bits| {
            let state = State::unpack(bits);
            if !state.fears(standing) {
                return None;
            }
            let failures = state.failures + 1;
            if state.level == 0 && failures < kind.threshold() {
                ejected = None;
                return Some(State { failures, ..state }.pack());
            }
            let level = (state.level + 1).min(State::HIGHEST_LEVEL);
            let period = period(level, now);
            ejected = Some(period);
            Some(State { until: now.after(period), level, failures: 0 }.pack())
        });
        updated.ok().and(ejected)
    }

    /// Before the state says that it fails: who sees that must not see when it failed the last time.
    fn note_begin(&self, kind: FailureKind, now: Moment) {
        let is_unconnected = u64::from(kind == FailureKind::Connect);
        if self.state.load(Relaxed) == 0 || self.since.load(Relaxed) & 1 < is_unconnected {
            self.since.store(now.0 << 1 | is_unconnected, Relaxed);
        }
    }

    /// An exchange ended without a word about the endpoint: the right to probe it is free again.
    pub fn released(&self, standing: Standing) {
        if let Standing::Probe(until) = standing {
            let _ = self.state.try_update(Relaxed, Relaxed, |bits| {
                let state = State::unpack(bits);
                (state.level > 0 && state.until == until)
                    .then(|| State { until: until.before(PROBE_WINDOW), ..state }.pack())
            });
        }
    }
}

/// What the 64 bits hold: `until` in the upper 56, `level` in 4, `failures` in 4; all zero: nothing against it.
#[derive(Debug, Clone, Copy)]
struct State {
    /// End of the ejection or of the probe; no meaning at level 0.
    until: Moment,
    /// Ejections in a row.
    level: u8,
    /// Failures in a row since the last success or ejection; below every threshold.
    failures: u8,
}

impl State {
    /// Enough for the longest period.
    const HIGHEST_LEVEL: u8 = 7;

    fn pack(self) -> u64 {
        (self.until.0 << 8) | (u64::from(self.level) << 4) | u64::from(self.failures)
    }

    fn unpack(bits: u64) -> Self {
        Self { until: Moment(bits >> 8), level: ((bits >> 4) & 0xf) as u8, failures: (bits & 0xf) as u8 }
    }

    fn admits(self, now: Moment) -> bool {
        self.level == 0 || self.until <= now
    }

    /// Whether a success counts: while the endpoint is ejected or probed, only of those who were chosen knowing that; an
    /// answer to an exchange from before tells nothing new.
    fn trusts(self, standing: Standing, now: Moment) -> bool {
        self.admits(now) || matches!(standing, Standing::Probe(until) | Standing::Forced(until) if until == self.until)
    }

    /// Whether a failure counts: once it was ejected, only that of the probe.
    fn fears(self, standing: Standing) -> bool {
        self.level == 0 || standing == Standing::Probe(self.until)
    }
}

/// Jitter keeps endpoints that failed together from being probed together.
fn period(level: u8, now: Moment) -> Duration {
    let doubled = FIRST_PERIOD * (1 << u32::from(level.saturating_sub(1)));
    let period = doubled.min(LONGEST_PERIOD);
    let jitter = mix(now.0 ^ u64::from(level)) % (micros(period) / 4);
    period + Duration::from_micros(jitter)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
