//! Leadership by a Lease: of all replicas one writes statuses and Events, and when it is gone another one does.
//! The rules are those of client-go's leader election: nobody's clock is compared with anybody else's.

mod candidate;
mod store;
#[cfg(test)]
mod tests;

use super::clients::Clients;
use super::fault::Fault;
use super::outage::Outage;
use candidate::Candidate;
use k8s_openapi::jiff::Timestamp;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use store::{LeaseStore, Seen};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Who is to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leadership {
    /// This process.
    Leading,
    /// Another one, or nobody.
    Following,
}

/// What a process stands for election with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The namespace of the Lease.
    pub namespace: Arc<str>,
    /// The name of the Lease.
    pub name: Arc<str>,
    /// A name that no other process has, not even an earlier one in the same Pod: see [`Election::identity`].
    pub identity: Arc<str>,
}

impl Election {
    /// A name for this process: that of its Pod, and something random.
    #[must_use]
    pub fn identity(pod: &str) -> Arc<str> {
        format!("{pod}_{:016x}", RandomState::new().build_hasher().finish()).into()
    }

    /// The name by which all that stand for the same Lease write: it tells one installation from another.
    #[must_use]
    pub fn field_manager(&self) -> Arc<str> {
        let Self { namespace, name, .. } = self;
        let whole = format!("tidegate/{namespace}/{name}");
        whole.get(..whole.floor_char_boundary(FIELD_MANAGER)).unwrap_or_default().into()
    }
}

/// `Lease tidegate/tidegate`.
impl fmt::Display for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease {}/{}", self.namespace, self.name)
    }
}

/// Octets of the name of a field manager (`ValidateFieldManager` of Kubernetes).
const FIELD_MANAGER: usize = 128;

/// How long things take; tests are faster.
#[derive(Debug, Clone)]
struct Timing {
    /// A Lease that was not renewed for this long is anybody's. A bit less than the 15 s that it says, so that who takes
    /// it has it within 15 s after the holder's end; that one has stopped to lead after `deadline`, long before.
    patience: Duration,
    /// From one renewal to the next, and from a failure to the next try.
    renew: Duration,
    /// Who could not renew for this long does not lead any more.
    deadline: Duration,
    /// For one request.
    call: Duration,
    /// For giving the Lease up: whoever stops this process waits for that.
    release: Duration,
}

const TIMING: Timing = Timing {
    patience: Duration::from_millis(14_500),
    renew: Duration::from_secs(2),
    deadline: Duration::from_secs(10),
    call: Duration::from_secs(5),
    release: Duration::from_secs(2),
};

/// How often a write is tried at once when somebody who does not want to lead was faster, as `kubectl label`.
const TRIES: u32 = 3;

/// Leads whenever it can, until `shutdown`; then it gives leadership up, for which it takes at most 2 s, so that another
/// replica has it at once. Nothing may be written any more by then.
/// Never fails: while the API server is away, or the Lease may not be written, nobody leads and it is tried again.
pub async fn lead(
    clients: Clients,
    election: Election,
    leadership: watch::Sender<Leadership>,
    shutdown: impl Future<Output = ()>,
) {
    stand(clients, election, TIMING, leadership, shutdown).await;
}

async fn stand(
    clients: Clients,
    election: Election,
    timing: Timing,
    leadership: watch::Sender<Leadership>,
    shutdown: impl Future<Output = ()>,
) {
    let mut standing = Standing::new(clients, election, timing);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = standing.acquire() => {}
        }
        leadership.send_replace(Leadership::Leading);
        tracing::info!(identity = %standing.election.identity, "this process leads: it writes statuses and Events");
        let has_lost = tokio::select! {
            biased;
            () = &mut shutdown => false,
            () = standing.hold() => true,
        };
        leadership.send_replace(Leadership::Following);
        if !has_lost {
            break;
        }
        tracing::warn!(identity = %standing.election.identity, "this process does not lead any more");
    }
    standing.release().await;
}

/// What a try to become the holder came to.
enum Try {
    /// This process is the holder.
    Held,
    /// Another one was faster.
    Lost,
    /// The watch has ended.
    Ended,
}

struct Standing {
    store: LeaseStore,
    election: Election,
    timing: Timing,
    candidate: Candidate,
    outage: Outage,
    /// A write was begun that may have made this process the holder.
    may_hold: bool,
}

impl Standing {
    fn new(clients: Clients, election: Election, timing: Timing) -> Self {
        let store = LeaseStore::new(clients, election.clone());
        let candidate = Candidate::new(&election, timing.patience);
        let outage = Outage::new(format!("hold {election}"));
        Self { store, election, timing, candidate, outage, may_hold: false }
    }

    /// Returns once this process is the holder.
    ///
    /// The Lease is watched, not polled: a renewal is seen at once, so that the patience begins with it and not with
    /// the next poll, and so is a release. What is there at first, and after each watch, is asked for.
    async fn acquire(&mut self) {
        let mut last_loss: Option<Instant> = None;
        loop {
            let begin = Instant::now();
            let mut wait = self.timing.renew;
            match self.try_to_acquire().await {
                Ok(Try::Held) => return self.outage.over(),
                // What the faster one wrote is looked at without delay, but never in a tight loop.
                Ok(Try::Lost) if last_loss.replace(begin).is_none_or(|last| last + self.timing.renew < begin) => {
                    continue;
                }
                Ok(Try::Lost | Try::Ended) => {}
                Err(fault) => {
                    self.failed(&fault);
                    wait = wait.max(fault.wait());
                }
            }
            // A watch that is refused, or ends at once, makes this a poll.
            sleep_until(begin + wait).await;
        }
    }

    async fn try_to_acquire(&mut self) -> Result<Try, Fault> {
        let lease = self.within_limit(self.store.get()).await?;
        self.observe(Seen::from(lease));
        if self.candidate.may_take(Instant::now()) {
            return self.take().await;
        }
        let mut watch = self.within_limit(self.store.watch()).await?;
        self.outage.over();
        loop {
            let seen = tokio::select! {
                seen = watch.next() => seen?,
                () = sleep_until(self.candidate.expiry()) => return self.take().await,
            };
            let Some(seen) = seen else { return Ok(Try::Ended) };
            self.observe(seen);
            if self.candidate.may_take(Instant::now()) {
                return self.take().await;
            }
        }
    }

    fn observe(&mut self, seen: Seen) {
        let before = self.candidate.holder().map(str::to_owned);
        self.candidate.observe(seen.into(), Instant::now());
        let holder = self.candidate.holder();
        if let Some(holder) = holder
            && before.as_deref() != Some(holder)
            && holder != &*self.election.identity
        {
            tracing::info!(leader = holder, "another process leads");
        }
    }

    /// Writes this process into the Lease.
    async fn take(&mut self) -> Result<Try, Fault> {
        self.may_hold = true;
        let begin = Instant::now();
        let wanted = self.candidate.claim(Timestamp::now());
        match self.within_limit(self.store.write(wanted)).await {
            Ok(lease) => {
                self.candidate.held(lease, begin);
                Ok(Try::Held)
            }
            Err(fault) if self.is_overtaken(&fault) => {
                tracing::debug!(reason = %fault, "the Lease was written meanwhile");
                self.may_hold = false;
                Ok(Try::Lost)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Whether a write failed because the Lease is no longer the one that was seen. Where none was seen, what is not
    /// found is its namespace.
    fn is_overtaken(&self, fault: &Fault) -> bool {
        match fault {
            Fault::Conflict(_) => true,
            Fault::NotFound(_) => self.candidate.has_seen_one(),
            _ => false,
        }
    }

    /// Renews; returns once this process does not lead any more.
    async fn hold(&mut self) {
        // Counted from before the request was sent: others count from after it.
        let mut renewed = self.candidate.since();
        let mut next = renewed + self.timing.renew;
        loop {
            let deadline = renewed + self.timing.deadline;
            sleep_until(next.min(deadline)).await;
            let begin = Instant::now();
            if begin >= deadline {
                return;
            }
            let mut wait = self.timing.renew;
            match timeout_at(deadline, self.renew()).await {
                Ok(Ok(true)) => {
                    renewed = begin;
                    self.outage.over();
                }
                Ok(Ok(false)) => return,
                Ok(Err(fault)) => {
                    self.failed(&fault);
                    wait = wait.max(fault.wait());
                }
                Err(_) => self.failed(&Fault::other("no answer")),
            }
            next = begin + wait;
        }
    }

    /// Whether this process is still the holder.
    async fn renew(&mut self) -> Result<bool, Fault> {
        let mut tries = 0;
        loop {
            let begin = Instant::now();
            let wanted = self.candidate.claim(Timestamp::now());
            tries += 1;
            match self.within_limit(self.store.write(wanted)).await {
                Ok(lease) => {
                    self.candidate.held(lease, begin);
                    return Ok(true);
                }
                // Another holder; or a label was put on it, or our last write came through without its answer.
                Err(fault) if self.is_overtaken(&fault) => {
                    let lease = self.within_limit(self.store.get()).await?;
                    self.observe(Seen::from(lease));
                    if !self.candidate.is_holder() {
                        self.may_hold = false;
                        return Ok(false);
                    }
                    if tries == TRIES {
                        return Err(fault);
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Gives the Lease up, if this process has it or may have it.
    async fn release(&mut self) {
        if !self.may_hold {
            return;
        }
        let end = Instant::now() + self.timing.release;
        let released = async {
            let mut tries = 0;
            loop {
                let lease = self.within_limit(self.store.get()).await?;
                self.observe(Seen::from(lease));
                let Some(released) = self.candidate.released(Timestamp::now()) else { return Ok(()) };
                tries += 1;
                match self.within_limit(self.store.write(released)).await {
                    Err(fault) if self.is_overtaken(&fault) && tries < TRIES => {}
                    result => return result.map(drop),
                }
            }
        };
        match timeout_at(end, released).await {
            Ok(Ok(())) => tracing::info!("leadership is given up"),
            Ok(Err(fault)) => tracing::warn!("cannot give up {}: {fault}; it expires", self.election),
            Err(_) => tracing::warn!("cannot give up {}: no answer; it expires", self.election),
        }
    }

    fn failed(&mut self, fault: &Fault) {
        match fault {
            Fault::Forbidden(reason) => {
                let namespace = &self.election.namespace;
                let reason = format_args!(
                    "{reason} (grant get, list, watch, create and update on leases of coordination.k8s.io in namespace \
                     {namespace})"
                );
                self.outage.failed(fault.sort(), &reason);
            }
            fault => self.outage.failed(fault.sort(), fault),
        }
    }

    async fn within_limit<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let limit = self.timing.call;
        match tokio::time::timeout(limit, call).await {
            Ok(result) => result,
            Err(_) => Err(Fault::other(format!("no answer within {limit:?}"))),
        }
    }
}
