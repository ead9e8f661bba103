//! Which problems are to be told, and when: pure. Bounded, whatever objects there are.

#[cfg(test)]
mod tests;

use super::bucket::Buckets;
use crate::{Problem, Status, Statuses, Verdict};
use config::ObjectRef;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How many problems are known at most.
pub(super) const PROBLEMS: usize = 4096;
/// Doublings of the time from one failure to the next try.
const MAX_DOUBLINGS: u32 = 6;

/// How long things take; tests are faster.
#[derive(Debug, Clone)]
pub(super) struct Timing {
    /// A problem is told once it has lasted this long: objects are applied one after the other.
    pub(super) lasting: Duration,
    /// One that lasts is told again after this long, before its Event expires.
    pub(super) heartbeat: Duration,
    /// One that comes back is told again no earlier than this.
    pub(super) repeat: Duration,
    /// What was told and is over is remembered for this long: as long as the server keeps an Event.
    pub(super) memory: Duration,
    /// From a first failure to the next try; it doubles.
    pub(super) retry: Duration,
}

/// Problems that are there, and those that were told and are over.
pub(super) struct Agenda {
    timing: Timing,
    statuses: Arc<Statuses>,
    items: FxHashMap<u64, Item>,
    by_object: FxHashMap<Arc<ObjectRef>, Vec<u64>>,
    by_namespace: FxHashMap<Arc<str>, BTreeSet<u64>>,
    schedule: BTreeSet<(Instant, u64)>,
    /// Those that are over and remembered, or being told.
    over: BTreeSet<u64>,
    last: u64,
    /// There were more problems than are kept.
    has_missed: bool,
}

struct Item {
    object: Arc<ObjectRef>,
    problem: Problem,
    is_there: bool,
    /// When it is to be told, or forgotten; `None`: it is being told.
    due: Option<Instant>,
    told: Option<Instant>,
    failures: u32,
    is_failing: bool,
}

/// A problem to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) id: u64,
    pub(super) object: Arc<ObjectRef>,
    pub(super) problem: Problem,
    /// It was told before.
    pub(super) is_repetition: bool,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has the Event.
    Told,
    /// There is no object to tell it on.
    NoObject,
    /// It is to be tried again, no sooner than after this.
    Failed(Duration),
}

impl Agenda {
    pub(super) fn new(timing: Timing) -> Self {
        let (statuses, items, by_object, by_namespace, schedule, over) = Default::default();
        Self { timing, statuses, items, by_object, by_namespace, schedule, over, last: 0, has_missed: false }
    }

    /// Takes in what became of all objects; O(objects).
    pub(super) fn translated(&mut self, statuses: &Arc<Statuses>, now: Instant) {
        if Arc::ptr_eq(&self.statuses, statuses) {
            return;
        }
        let before = std::mem::replace(&mut self.statuses, Arc::clone(statuses));
        for (object, _, status) in Statuses::differences(&before, statuses) {
            self.take(object, status, now);
        }
        if self.has_missed && self.items.len() < PROBLEMS / 2 {
            // There is room again for those that were left out, wherever they are.
            self.has_missed = false;
            for (object, status) in statuses.iter() {
                self.take(object, Some(status), now);
            }
        }
    }

    fn take(&mut self, object: &ObjectRef, status: Option<&Status>, now: Instant) {
        let problems: Vec<&Problem> = status.into_iter().flat_map(told_problems).collect();
        let ids = self.by_object.get(object).cloned().unwrap_or_default();
        for id in &ids {
            let is_there = self.items.get(id).is_some_and(|item| problems.contains(&&item.problem));
            self.set(*id, is_there, now);
        }
        for problem in problems {
            let is_known = |id: &u64| self.items.get(id).is_some_and(|item| item.problem == *problem);
            if !ids.iter().any(is_known) {
                self.add(object, problem, now);
            }
        }
    }

    fn add(&mut self, object: &ObjectRef, problem: &Problem, now: Instant) {
        if self.items.len() >= PROBLEMS && !self.forget_one_that_is_over() {
            if !std::mem::replace(&mut self.has_missed, true) {
                tracing::warn!("more than {PROBLEMS} problems: not all of them are told as Events");
            }
            if !self.forget_one_of_most(&object.namespace) {
                return;
            }
        }
        self.last += 1;
        let (id, due) = (self.last, now + self.timing.lasting);
        let known = self.by_object.get_key_value(object).map(|(object, _)| Arc::clone(object));
        let object = known.unwrap_or_else(|| Arc::new(object.clone()));
        let ids = self.by_object.entry(Arc::clone(&object)).or_default();
        // One text twice in a status is one problem.
        let is_twice = ids.iter().any(|id| self.items.get(id).is_some_and(|item| item.problem == *problem));
        if is_twice {
            return;
        }
        ids.push(id);
        self.by_namespace.entry(Arc::clone(&object.namespace)).or_default().insert(id);
        let problem = problem.clone();
        self.items.insert(
            id,
            Item { object, problem, is_there: true, due: Some(due), told: None, failures: 0, is_failing: false },
        );
        self.schedule.insert((due, id));
    }

    /// Makes room; whether there was anything to forget.
    fn forget_one_that_is_over(&mut self) -> bool {
        let Some(id) = self.over.pop_first() else { return false };
        self.forget(id);
        true
    }

    /// Makes room at the cost of the namespace that has most, if that has more than `namespace`; whether it does.
    fn forget_one_of_most(&mut self, namespace: &str) -> bool {
        let own = self.by_namespace.get(namespace).map_or(0, BTreeSet::len);
        let most = self.by_namespace.values().max_by_key(|ids| ids.len());
        let Some(id) = most.filter(|ids| ids.len() > own + 1).and_then(|ids| ids.last().copied()) else { return false };
        self.forget(id);
        true
    }

    /// Takes in whether a known problem is there.
    fn set(&mut self, id: u64, is_there: bool, now: Instant) {
        let Some(item) = self.items.get_mut(&id) else { return };
        if std::mem::replace(&mut item.is_there, is_there) == is_there {
            return;
        }
        if is_there {
            self.over.remove(&id);
        } else {
            self.over.insert(id);
        }
        if item.due.is_none() {
            return;
        }
        match item.told {
            None if !is_there => self.forget(id),
            told => {
                let due = self.timing.next(is_there, told, now);
                self.schedule(id, due);
            }
        }
    }

    fn schedule(&mut self, id: u64, due: Instant) {
        if let Some(item) = self.items.get_mut(&id)
            && let Some(before) = item.due.replace(due)
        {
            self.schedule.remove(&(before, id));
        }
        self.schedule.insert((due, id));
    }

    fn forget(&mut self, id: u64) {
        let Some(item) = self.items.remove(&id) else { return };
        self.over.remove(&id);
        if let Some(due) = item.due {
            self.schedule.remove(&(due, id));
        }
        if let Some(ids) = self.by_object.get_mut(&item.object) {
            ids.retain(|known| *known != id);
            if ids.is_empty() {
                self.by_object.remove(&item.object);
            }
        }
        if let Some(ids) = self.by_namespace.get_mut(&item.object.namespace) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_namespace.remove(&item.object.namespace);
            }
        }
    }

    /// When something is to be told or forgotten next, as far as there are tokens; O(problems that are due).
    pub(super) fn next_at(&self, buckets: &Buckets) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for (due, id) in &self.schedule {
            if next.is_some_and(|next| next <= *due) {
                break;
            }
            let item = self.items.get(id).filter(|item| item.is_there);
            let at = item.map_or(*due, |item| buckets.free_at(&item.object.namespace).max(*due));
            next = Some(next.map_or(at, |next| next.min(at)));
        }
        next
    }

    /// A problem that is to be told now, of the namespace that has had the fewest Events lately; what becomes of it is to
    /// be told by [`Self::done`]. O(problems that are due).
    pub(super) fn next(&mut self, now: Instant, buckets: &Buckets) -> Option<Report> {
        self.forget_what_is_due(now);
        let due = self.schedule.iter().take_while(|(due, _)| *due <= now);
        let free = due.filter_map(|(due, id)| {
            let namespace = &self.items.get(id)?.object.namespace;
            (buckets.free_at(namespace) <= now).then(|| (buckets.had(namespace, now), *due, *id))
        });
        let (_, due, id) = free.min()?;
        self.schedule.remove(&(due, id));
        let item = self.items.get_mut(&id)?;
        item.due = None;
        let (object, problem) = (Arc::clone(&item.object), item.problem.clone());
        Some(Report { id, object, problem, is_repetition: item.told.is_some() })
    }

    /// Forgets what is over and has been remembered for long enough.
    fn forget_what_is_due(&mut self, now: Instant) {
        let due = self.schedule.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| *id);
        let is_over = |id: &u64| !self.items.get(id).is_some_and(|item| item.is_there);
        let over: Vec<_> = due.filter(is_over).collect();
        over.into_iter().for_each(|id| self.forget(id));
    }

    /// Whether something could not be told that is to be tried again; O(problems).
    pub(super) fn has_failures(&self) -> bool {
        self.items.values().any(|item| item.is_failing && item.is_there)
    }

    /// Takes in what became of a report.
    pub(super) fn done(&mut self, id: u64, outcome: Outcome, now: Instant) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let due = match outcome {
            Outcome::Told => {
                item.told = Some(now);
                (item.failures, item.is_failing) = (0, false);
                if item.is_there { now + self.timing.heartbeat } else { now + self.timing.memory }
            }
            Outcome::Failed(_) | Outcome::NoObject => {
                let wait = if let Outcome::Failed(wait) = outcome { Some(wait) } else { None };
                item.is_failing = wait.is_some();
                let delay = self.timing.retry.saturating_mul(1 << item.failures.min(MAX_DOUBLINGS));
                item.failures += 1;
                now + delay.max(wait.unwrap_or_default())
            }
        };
        self.schedule(id, due);
    }
}

impl Timing {
    /// When a problem that was told at `told` and comes back is told again, or forgotten where it is over.
    fn next(&self, is_there: bool, told: Option<Instant>, now: Instant) -> Instant {
        match told {
            _ if !is_there => now + self.memory,
            Some(told) => (now + self.lasting).max(told + self.repeat),
            None => now + self.lasting,
        }
    }
}

/// What of a status is told: what belongs to another controller is none of our business, and notices come and go.
fn told_problems(status: &Status) -> impl Iterator<Item = &Problem> {
    let is_ours = status.verdict != Verdict::NotOurs;
    status.problems.iter().filter(move |problem| is_ours && !problem.is_notice())
}
