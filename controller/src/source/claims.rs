//! Which file describes which object, and who wins where several do: the first in path order, then in document order.
//! Here each object gets what an API server would give it: uid, resourceVersion and generation.

use super::document::Entry;
use super::files::{Body, Files};
use super::finding::{Finding, Notice, Severity};
use super::revisions::Revisions;
use crate::Object;
use crate::{Batch, Change};
use config::ObjectRef;
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// One description of an object.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) file: Arc<Path>,
    pub(super) body: Arc<Body>,
    /// Counts the objects of the body.
    pub(super) place: usize,
}

impl Claim {
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.body.entries.get(self.place)
    }
}

/// What was last handed on of an object.
#[derive(Debug)]
struct HandedOn {
    whole: u64,
    spec: u64,
    generation: i64,
    /// Counts the objects that came; its uid follows from it.
    birth: u64,
}

#[derive(Debug, Default)]
struct Claimed {
    /// In order of precedence.
    claims: Vec<Claim>,
    handed_on: Option<HandedOn>,
}

/// A losing file and the winning one.
type Pairs = Vec<(Arc<Path>, Arc<Path>)>;

/// All claims.
#[derive(Debug)]
pub(super) struct Claims {
    objects: FxHashMap<Arc<ObjectRef>, Claimed>,
    /// Losing and winning file of each double description that was reported.
    reported: FxHashMap<Arc<ObjectRef>, Pairs>,
    /// Objects that some file describes twice: they depend on the order of its documents.
    repeated: FxHashSet<Arc<ObjectRef>>,
    /// Those of one batch have one revision.
    revisions: Revisions,
    births: u64,
}

impl Claims {
    /// No claims yet.
    pub(super) fn new(revisions: Revisions) -> Self {
        let (objects, reported, repeated) = Default::default();
        let births = revisions.last();
        Self { objects, reported, repeated, revisions, births }
    }

    /// Takes what a file says no longer and what it says newly; returns the objects to settle.
    pub(super) fn replace(
        &mut self,
        file: &Arc<Path>,
        removed: &[Arc<Body>],
        added: Vec<Arc<Body>>,
    ) -> FxHashSet<Arc<ObjectRef>> {
        let mut touched = self.repeated.clone();
        for body in removed {
            for Entry { object, .. } in &body.entries {
                if let Some(claimed) = self.objects.get_mut(object) {
                    claimed.claims.retain(|claim| !Arc::ptr_eq(&claim.body, body));
                    touched.insert(Arc::clone(object));
                }
            }
        }
        for body in added {
            for (place, Entry { object, .. }) in body.entries.iter().enumerate() {
                let claims = &mut self.objects.entry(Arc::clone(object)).or_default().claims;
                let after = claims.partition_point(|claim| claim.file <= *file);
                // Most have one, for which a vector would make room for four.
                claims.reserve_exact(1);
                claims.insert(after, Claim { file: Arc::clone(file), body: Arc::clone(&body), place });
                touched.insert(Arc::clone(object));
            }
        }
        touched
    }

    /// The objects of `bodies` that are described elsewhere too.
    pub(super) fn shared<'b>(&self, bodies: impl Iterator<Item = &'b Arc<Body>>) -> FxHashSet<Arc<ObjectRef>> {
        let is_shared = |entry: &&Entry| self.objects.get(&entry.object).is_some_and(|of| of.claims.len() > 1);
        bodies.flat_map(|body| &body.entries).filter(is_shared).map(|entry| Arc::clone(&entry.object)).collect()
    }

    /// Finds the winner of each object and says what that changes.
    pub(super) fn settle(
        &mut self,
        touched: FxHashSet<Arc<ObjectRef>>,
        files: &mut Files,
        batch: &mut Batch,
        now: Instant,
    ) {
        // In an order that does not depend on hashing, so that logs and tests read the same.
        let mut touched: Vec<_> = touched.into_iter().collect();
        touched.sort();
        let mut revision = None;
        for name in touched {
            if files.is_stopped() {
                return;
            }
            let Some(claimed) = self.objects.get_mut(&name) else { continue };
            if claimed.sort(files) {
                self.repeated.insert(Arc::clone(&name));
            } else {
                self.repeated.remove(&name);
            }
            let reported = self.reported.remove(&name).unwrap_or_default();
            let reported = claimed.report(&name, &reported, files, batch);
            if !reported.is_empty() {
                self.reported.insert(Arc::clone(&name), reported);
            }
            match claimed.winner(files).cloned() {
                None => {
                    if claimed.handed_on.is_some() {
                        revision.get_or_insert_with(|| self.revisions.next(now));
                        batch.changes.push(Change::Delete(ObjectRef::clone(&name)));
                    }
                    self.objects.remove(&name);
                }
                Some(winner) => {
                    let Some(entry) = winner.entry() else { continue };
                    if claimed.handed_on.as_ref().is_some_and(|last| last.whole == entry.whole) {
                        continue;
                    }
                    // Without the object what was handed on stays: its file is to be read again, and says why.
                    if let Some(mut object) = files.object(&winner) {
                        let revision = *revision.get_or_insert_with(|| self.revisions.next(now));
                        claimed.hand_on(entry, &mut self.births).stamp(&mut object, revision);
                        batch.changes.push(Change::Apply(object));
                    }
                }
            }
        }
    }

    /// Every double description, in no order.
    pub(super) fn doubles(&self, files: &Files) -> Vec<Finding> {
        let doubles = self.objects.iter().filter(|(_, claimed)| claimed.claims.len() > 1);
        let losers =
            doubles.flat_map(|(name, claimed)| claimed.losers(files).into_iter().map(move |pair| (name, pair)));
        losers.map(|(name, (loser, winner))| double(name, loser, winner, files)).collect()
    }
}

impl Claimed {
    /// Brings several claims of one file into the order of its documents; whether there are any.
    fn sort(&mut self, files: &Files) -> bool {
        let is_repeated = self.claims.windows(2).any(|pair| matches!(pair, [a, b] if a.file == b.file));
        if is_repeated {
            self.claims.sort_by_cached_key(|claim| (Arc::clone(&claim.file), files.place(claim)));
        }
        is_repeated
    }

    fn winner(&self, files: &Files) -> Option<&Claim> {
        self.claims.iter().find(|claim| !files.is_gone(&claim.file)).or(self.claims.first())
    }

    /// Each description that does not count, with the one that does.
    fn losers(&self, files: &Files) -> Vec<(&Claim, &Claim)> {
        let Some(winner) = self.winner(files) else { return Vec::new() };
        let loses = |claim: &&Claim| !files.is_gone(&claim.file) && !std::ptr::eq(*claim, winner);
        self.claims.iter().filter(loses).map(|claim| (claim, winner)).collect()
    }

    /// Reports what was not `reported` yet, and the end of it all; returns what is reported now.
    fn report(&self, name: &ObjectRef, reported: &[(Arc<Path>, Arc<Path>)], files: &Files, batch: &mut Batch) -> Pairs {
        let mut pairs = Vec::new();
        if self.claims.len() < 2 && reported.is_empty() {
            return pairs;
        }
        for (loser, winner) in self.losers(files) {
            let pair = (Arc::clone(&loser.file), Arc::clone(&winner.file));
            if !reported.contains(&pair) {
                batch.notices.push(Notice::Found(double(name, loser, winner, files)));
            }
            pairs.push(pair);
        }
        if let (true, false, Some(winner)) = (pairs.is_empty(), reported.is_empty(), self.winner(files)) {
            batch.notices.push(Notice::Resolved { object: name.clone(), file: Arc::clone(&winner.file) });
        }
        pairs
    }

    fn hand_on(&mut self, entry: &Entry, births: &mut u64) -> &HandedOn {
        let Entry { whole, spec, .. } = *entry;
        let (generation, birth) = match &self.handed_on {
            Some(last) => (last.generation + i64::from(last.spec != spec), last.birth),
            None => {
                *births += 1;
                (1, *births)
            }
        };
        self.handed_on.insert(HandedOn { whole, spec, generation, birth })
    }
}

fn double(name: &ObjectRef, loser: &Claim, winner: &Claim, files: &Files) -> Finding {
    let line = |claim| {
        let (_, _, line) = files.place(claim);
        line
    };
    Finding {
        file: Arc::clone(&loser.file),
        line: Some(line(loser)),
        severity: Severity::Error,
        object: Some(name.clone()),
        message: format!("already described in {}:{}, which counts", winner.file.display(), line(winner)),
    }
}

impl HandedOn {
    /// Gives an object what an API server would; whatever the file says of these is not its business.
    fn stamp(&self, object: &mut Object, revision: u64) {
        let metadata = object.metadata_mut();
        metadata.uid = Some(format!("manifest-{}", self.birth));
        metadata.resource_version = Some(revision.to_string());
        metadata.generation = Some(self.generation);
    }
}
