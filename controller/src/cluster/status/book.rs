//! Which Ingresses are to be written, and when: what is wanted of each against what was seen last. Pure.
//! Each input costs O(1) or O(log Ingresses), but for new addresses and for statuses, which cost O(objects).

#[cfg(test)]
mod tests;

use super::seen::texts;
use super::{Address, Seen, SeenIngress};
use crate::cluster::fault::Fault;
use crate::{Status, Statuses, Verdict};
use config::{Kind, ObjectRef};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// From the time when a difference is found to its write: what becomes of an Ingress and its watch come apart.
pub(super) const QUIET: Duration = Duration::from_millis(50);
/// From one write of an Ingress to the next, if it failed or somebody else undid it; it doubles,
const RETRY: Duration = Duration::from_secs(1);
/// but no longer than this.
const MAX_RETRY: Duration = Duration::from_secs(30);
/// Doublings until then.
const MAX_DOUBLINGS: u32 = 5;
/// After this long without a write the next one is the first again.
const PEACE: Duration = Duration::from_secs(60);
/// For this long after a write what is seen may be from before it.
const ECHO: Duration = Duration::from_secs(10);
/// One that left what is watched is kept in mind for this long: who leads looks at it at once, and who comes to lead may
/// still have to. Without a limit each deleted one would be kept for ever by those that do not lead.
const LEFT: Duration = Duration::from_secs(600);

/// All Ingresses that were seen.
pub(super) struct Book {
    /// Who we are.
    manager: Arc<str>,
    entries: FxHashMap<Arc<ObjectRef>, Entry>,
    /// What is to be written, by time and a number that makes it unique.
    schedule: BTreeMap<(Instant, u64), Arc<ObjectRef>>,
    last: u64,
    /// Those that left what is watched, the first ones first, by when.
    left: VecDeque<(Instant, Arc<ObjectRef>)>,
    /// How many entries have failures.
    failing: usize,
    statuses: Arc<Statuses>,
    addresses: Option<Addresses>,
}

struct Addresses {
    published: Arc<[Address]>,
    texts: Vec<Box<str>>,
}

struct Entry {
    seen: SeenIngress,
    state: State,
    /// Writes that went before, and when the last one ended.
    writes: u32,
    last_write: Option<Instant>,
    /// The last one was refused because there was a newer version than the one that was seen.
    is_conflict: bool,
    /// The last one failed for another reason.
    is_failing: bool,
    /// It is gone, or no longer one of those that are watched, since then.
    left: Option<Instant>,
}

enum State {
    Calm,
    Scheduled((Instant, u64)),
    Writing,
}

/// A write.
#[derive(Debug, PartialEq)]
pub(super) struct Write {
    pub(super) object: Arc<ObjectRef>,
    /// `None`: nothing is known of what is there now, which is to be looked at first.
    pub(super) version: Option<Box<str>>,
    /// `None`: what is there is removed.
    addresses: Option<Arc<[Address]>>,
}

impl Write {
    /// As a JSON merge patch (RFC 7396). The version makes it fail where the object is no longer the one that was
    /// looked at: it may belong to another class, or another controller may have written.
    pub(super) fn patch(&self, version: &str) -> Value {
        let entries = |addresses: &Arc<[Address]>| addresses.iter().map(Address::entry).collect::<Vec<_>>();
        json!({
            "metadata": {"resourceVersion": version},
            "status": {"loadBalancer": {"ingress": self.addresses.as_ref().map(entries)}},
        })
    }
}

impl Book {
    /// An empty one of who writes as that field manager.
    pub(super) fn new(manager: Arc<str>) -> Self {
        let (entries, schedule, left, statuses) = Default::default();
        Self { manager, entries, schedule, last: 0, left, failing: 0, statuses, addresses: None }
    }

    /// Takes in an Ingress as it is now.
    pub(super) fn see(&mut self, seen: Seen, now: Instant) {
        match seen {
            Seen::Ingress(seen) => self.see_ingress(seen, now),
            Seen::Left(object) => self.leave(&object, now),
            Seen::Gone(object) => self.forget(&object),
        }
    }

    /// Takes in that an Ingress is gone, or has other labels than those that are watched. What this installation wrote
    /// into it would stay there.
    fn leave(&mut self, object: &ObjectRef, now: Instant) {
        while let Some((since, object)) = self.left.pop_front_if(|(since, _)| *since + LEFT < now) {
            if self.entries.get(&object).is_some_and(|entry| entry.left == Some(since)) {
                self.forget(&object);
            }
        }
        let Some(entry) = self.entries.get_mut(object) else { return };
        if !entry.seen.has_addresses_of(&self.manager) && !matches!(entry.state, State::Writing) {
            return self.forget(object);
        }
        entry.left = Some(now);
        self.left.push_back((now, entry.seen.name()));
        self.reconsider(object, now + QUIET);
    }

    fn see_ingress(&mut self, seen: SeenIngress, now: Instant) {
        if self.entries.get(&seen.object).is_some_and(|entry| entry.left.is_some()) {
            // It is back, or it is another one of that name.
            self.forget(&seen.object);
        }
        let Some(entry) = self.entries.get_mut(&seen.object) else {
            let object = seen.name();
            self.entries.insert(Arc::clone(&object), Entry::new(seen));
            return self.reconsider(&object, now + QUIET);
        };
        let may_be_echo = entry.last_write.is_some_and(|last| now < last + ECHO);
        if may_be_echo && seen.is_before(&entry.seen) {
            return;
        }
        let object = seen.name();
        let is_other = entry.seen.version != seen.version;
        entry.seen = seen;
        // What was in the way of the first write is now known, and need not be waited for.
        if is_other && std::mem::take(&mut entry.is_conflict) && entry.writes == 1 {
            entry.writes = 0;
            self.unschedule(&object);
        }
        self.reconsider(&object, now + QUIET);
    }

    /// Takes in what became of all objects.
    pub(super) fn translated(&mut self, statuses: Arc<Statuses>, now: Instant) {
        let before = std::mem::replace(&mut self.statuses, statuses);
        if Arc::ptr_eq(&before, &self.statuses) {
            return;
        }
        let after = Arc::clone(&self.statuses);
        for (object, old, new) in Statuses::differences(&before, &after) {
            if object.kind == Kind::Ingress && old.map(is_ours) != new.map(is_ours) {
                self.reconsider(object, now + QUIET);
            }
        }
    }

    /// Takes in where Ingresses are served.
    pub(super) fn publish(&mut self, addresses: Option<Arc<[Address]>>, now: Instant) {
        let addresses = addresses.filter(|addresses| !addresses.is_empty());
        self.addresses = addresses.map(|published| Addresses { texts: texts(&published), published });
        let objects: Vec<_> = self.entries.keys().cloned().collect();
        for object in objects {
            self.reconsider(&object, now + QUIET);
        }
    }

    /// When the next write is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.schedule.keys().next().map(|(time, _)| *time)
    }

    /// A write that is due; what becomes of it is to be told by [`Self::done`].
    pub(super) fn next(&mut self, now: Instant) -> Option<Write> {
        loop {
            let first = self.schedule.first_entry().filter(|first| first.key().0 <= now)?;
            let object = first.remove();
            let Some(entry) = self.entries.get(&object) else { continue };
            let wanted = self.wanted(entry);
            let version = entry.left.is_none().then(|| entry.seen.version.clone());
            let entry = self.entries.get_mut(&object)?;
            entry.state = if wanted.is_some() { State::Writing } else { State::Calm };
            if let Some(addresses) = wanted {
                return Some(Write { object, version, addresses });
            }
        }
    }

    /// Takes in what became of a write.
    pub(super) fn done(&mut self, object: &ObjectRef, result: Result<SeenIngress, Fault>, now: Instant) {
        // One that was deleted and made again meanwhile is another one, and not being written.
        let Some(entry) = self.entries.get_mut(object).filter(|entry| matches!(entry.state, State::Writing)) else {
            return;
        };
        entry.state = State::Calm;
        entry.writes += 1;
        entry.last_write = Some(now);
        entry.is_conflict = matches!(result, Err(Fault::Conflict(_)));
        let is_failing = !entry.is_conflict && result.is_err();
        self.failing -= usize::from(entry.is_failing);
        self.failing += usize::from(is_failing);
        entry.is_failing = is_failing;
        let wait = result.as_ref().err().map_or(Duration::ZERO, Fault::wait);
        match result {
            Ok(seen) if !seen.is_before(&entry.seen) => entry.seen = seen,
            Err(Fault::NotFound(_)) => return self.forget(object),
            Ok(_) | Err(_) => {}
        }
        let is_left = entry.left.is_some();
        self.reconsider(object, now + QUIET.max(wait));
        if is_left && self.entries.get(object).is_some_and(|entry| self.wanted(entry).is_none()) {
            self.forget(object);
        }
    }

    /// Whether a write failed that has not succeeded since.
    pub(super) fn has_failures(&self) -> bool {
        self.failing > 0
    }

    /// What is to be written, and `None` within it where that is a removal; `None`: nothing is.
    fn wanted(&self, Entry { seen, left, .. }: &Entry) -> Option<Option<Arc<[Address]>>> {
        if left.is_some() {
            return seen.has_addresses_of(&self.manager).then_some(None);
        }
        let addresses = self.addresses.as_ref()?;
        let is_ours = is_ours(self.statuses.entry(&seen.object)?);
        if is_ours {
            return (seen.addresses != addresses.texts).then(|| Some(Arc::clone(&addresses.published)));
        }
        seen.has_addresses_of(&self.manager).then_some(None)
    }

    /// Schedules an Ingress if there is something to write, and only then. One that is scheduled keeps its time.
    fn reconsider(&mut self, object: &ObjectRef, at: Instant) {
        let Some((object, entry)) = self.entries.get_key_value(object) else { return };
        let (object, is_wanted) = (Arc::clone(object), self.wanted(entry).is_some());
        if !is_wanted {
            self.unschedule(&object);
            return self.calm(&object);
        }
        if let Some(entry) = self.entries.get_mut(&object)
            && matches!(entry.state, State::Calm)
        {
            self.last += 1;
            let key = (entry.not_before(at), self.last);
            entry.state = State::Scheduled(key);
            self.schedule.insert(key, object);
        }
    }

    fn unschedule(&mut self, object: &ObjectRef) {
        if let Some(entry) = self.entries.get_mut(object)
            && let State::Scheduled(key) = entry.state
        {
            entry.state = State::Calm;
            self.schedule.remove(&key);
        }
    }

    /// Forgets that the last write failed.
    fn calm(&mut self, object: &ObjectRef) {
        if let Some(entry) = self.entries.get_mut(object) {
            self.failing -= usize::from(std::mem::take(&mut entry.is_failing));
        }
    }

    fn forget(&mut self, object: &ObjectRef) {
        self.unschedule(object);
        self.calm(object);
        self.entries.remove(object);
    }
}

impl Entry {
    fn new(seen: SeenIngress) -> Self {
        Self {
            seen,
            state: State::Calm,
            writes: 0,
            last_write: None,
            is_conflict: false,
            is_failing: false,
            left: None,
        }
    }

    /// The time of a write that is to be at `at`: later if others went before. Another controller that wants other
    /// addresses there does not make us write without an end.
    fn not_before(&mut self, at: Instant) -> Instant {
        let Some(last) = self.last_write else { return at };
        if last + PEACE < at {
            self.writes = 0;
        }
        let Some(doublings) = self.writes.checked_sub(1) else { return at };
        at.max(last + RETRY.saturating_mul(1 << doublings.min(MAX_DOUBLINGS)).min(MAX_RETRY))
    }
}

fn is_ours(status: &Status) -> bool {
    status.verdict != Verdict::NotOurs
}
