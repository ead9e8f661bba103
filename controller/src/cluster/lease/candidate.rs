//! What a candidate knows of the Lease and when it may take it: pure, on its own monotonic clock.

use super::Election;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What the Lease says, in seconds.
const DURATION: i32 = 15;
/// The same once it is given up.
const DURATION_RELEASED: i32 = 1;

/// One of those that want the Lease.
pub(super) struct Candidate {
    election: Election,
    patience: Duration,
    /// As it was seen last; `None`: there was none.
    lease: Option<Lease>,
    /// When its holder and renewal were first seen as they are; for the holder itself, when it began to write them.
    since: Instant,
}

impl Candidate {
    pub(super) fn new(election: &Election, patience: Duration) -> Self {
        Self { election: election.clone(), patience, lease: None, since: Instant::now() }
    }

    /// Takes in what the Lease is now.
    pub(super) fn observe(&mut self, lease: Option<Lease>, now: Instant) {
        if renewal(self.lease.as_ref()) != renewal(lease.as_ref()) {
            self.since = now;
        }
        self.lease = lease;
    }

    /// Takes in what was written in the name of this candidate from `begin` on.
    pub(super) fn held(&mut self, lease: Lease, begin: Instant) {
        self.lease = Some(lease);
        self.since = begin;
    }

    /// Who holds it; `None`: nobody.
    pub(super) fn holder(&self) -> Option<&str> {
        let holder = self.lease.as_ref()?.spec.as_ref()?.holder_identity.as_deref()?;
        (!holder.is_empty()).then_some(holder)
    }

    pub(super) fn has_seen_one(&self) -> bool {
        self.lease.is_some()
    }

    pub(super) fn is_holder(&self) -> bool {
        self.holder() == Some(&*self.election.identity)
    }

    /// When its last renewal was first seen.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// When it may be taken from its holder, unless that one renews.
    pub(super) fn expiry(&self) -> Instant {
        self.since + self.patience
    }

    pub(super) fn may_take(&self, now: Instant) -> bool {
        self.holder().is_none() || self.is_holder() || now >= self.expiry()
    }

    /// The Lease as it is with this candidate as its holder who renews it now. It has the version that was seen last:
    /// a write of it fails if another one came before.
    pub(super) fn claim(&self, now: Timestamp) -> Lease {
        let mut lease = self.lease.clone().unwrap_or_else(|| self.new_lease());
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if !self.is_holder() {
            spec.acquire_time = Some(MicroTime(now));
            // How often it changed hands; the first time it did not.
            let transitions = spec.lease_transitions.unwrap_or_default();
            spec.lease_transitions = Some(if self.lease.is_some() { transitions.saturating_add(1) } else { 0 });
        }
        spec.holder_identity = Some(self.election.identity.to_string());
        spec.lease_duration_seconds = Some(DURATION);
        spec.renew_time = Some(MicroTime(now));
        lease
    }

    /// The Lease without a holder; `None`: it is not this candidate's to give up.
    pub(super) fn released(&self, now: Timestamp) -> Option<Lease> {
        let mut lease = self.lease.clone().filter(|_| self.is_holder())?;
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(DURATION_RELEASED);
        spec.renew_time = Some(MicroTime(now));
        Some(lease)
    }

    fn new_lease(&self) -> Lease {
        let text = |text: &Arc<str>| Some(text.to_string());
        let Election { namespace, name, .. } = &self.election;
        let metadata = ObjectMeta { namespace: text(namespace), name: text(name), ..ObjectMeta::default() };
        Lease { metadata, spec: None }
    }
}

/// What a holder changes by renewing.
fn renewal(lease: Option<&Lease>) -> Option<(Option<&str>, Option<&MicroTime>)> {
    let spec = lease?.spec.as_ref()?;
    Some((spec.holder_identity.as_deref(), spec.renew_time.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(14);

    fn candidate(identity: &str) -> Candidate {
        let election = Election { namespace: "ns".into(), name: "lease".into(), identity: identity.into() };
        Candidate::new(&election, PATIENCE)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn an_absent_or_released_lease_is_anybodys() {
        let (mut ours, now) = (candidate("us"), Instant::now());
        ours.observe(None, now);
        assert!(ours.may_take(now));
        let lease = ours.claim(at(0));
        let mut theirs = candidate("them");
        theirs.observe(Some(lease.clone()), now);
        assert!(!theirs.may_take(now) && theirs.released(at(0)).is_none(), "not theirs to give");
        ours.held(lease, now);
        theirs.observe(ours.released(at(1)), now);
        assert!(theirs.may_take(now));
        let spec = theirs.claim(at(2)).spec.expect("a spec");
        assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(1), Some(15)));
    }

    #[test]
    fn patience_begins_with_the_renewal_as_it_is_seen_whatever_its_time_says() {
        for clock in [-3600, 0, 3600] {
            let (mut theirs, mut ours, start) = (candidate("them"), candidate("us"), Instant::now());
            let lease = theirs.claim(at(100_000 + clock));
            theirs.held(lease.clone(), start);
            ours.observe(Some(lease.clone()), start);
            // Seen again, as by a new watch.
            ours.observe(Some(lease), start + PATIENCE / 2);
            assert!(!ours.may_take(start + PATIENCE - Duration::from_millis(1)));
            assert!(ours.may_take(start + PATIENCE));
            ours.observe(Some(theirs.claim(at(100_002 + clock))), start + PATIENCE / 2);
            assert_eq!(ours.expiry(), start + PATIENCE / 2 + PATIENCE);
        }
    }

    #[test]
    fn who_holds_it_keeps_its_time_of_taking() {
        let (mut ours, now) = (candidate("us"), Instant::now());
        let lease = ours.claim(at(1));
        ours.held(lease, now);
        let spec = ours.claim(at(3)).spec.expect("a spec");
        assert_eq!((spec.acquire_time, spec.renew_time), (Some(MicroTime(at(1))), Some(MicroTime(at(3)))));
        assert_eq!(spec.lease_transitions, Some(0));
    }

    #[test]
    fn what_others_keep_in_it_is_kept() {
        let (mut ours, now) = (candidate("us"), Instant::now());
        let mut lease = candidate("them").claim(at(0));
        lease.metadata.resource_version = Some("7".to_owned());
        lease.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        ours.observe(Some(lease.clone()), now);
        assert_eq!(ours.claim(at(1)).metadata, lease.metadata);
    }
}
