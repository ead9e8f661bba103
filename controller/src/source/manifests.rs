//! The state of the manifest source: which files, what they describe, and what each change of them means.
//! Knows nothing of events or time: [`mod@super::follow`] says what to read again and when.

use super::Located;
use super::claims::Claims;
use super::files::{Files, Update};
use super::finding::{Finding, Notice, Severity};
use super::revisions::Revisions;
use super::tree::{self, Tree};
use super::watches::Watches;
use crate::Batch;
use crate::Object;
use config::ObjectRef;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// All that is known of the manifests below some sources.
#[derive(Debug)]
pub(super) struct Manifests {
    sources: Vec<PathBuf>,
    pub(super) watches: Watches,
    files: Files,
    claims: Claims,
    /// What is wrong with sources, directories and links, and with the watches.
    beside: Vec<Finding>,
    /// Files that changed while they were read.
    torn: Vec<PathBuf>,
    /// Set where nobody wants the rest any more.
    stop: Arc<AtomicBool>,
}

impl Manifests {
    /// Has read nothing yet.
    pub(super) fn new(sources: Vec<PathBuf>, watches: Watches, revisions: Revisions) -> Self {
        let stop = Arc::default();
        let (files, claims) = (Files::new(Arc::clone(&stop)), Claims::new(revisions));
        Self { sources, watches, files, claims, beside: Vec::new(), torn: Vec::new(), stop }
    }

    /// Once this is set nothing more is read.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Walks all sources and reads the files that are new or changed, but for those `in_flux`.
    pub(super) fn rescan(&mut self, in_flux: impl Fn(&Path) -> bool, now: Instant) -> Batch {
        let tree = tree::walk(&self.sources, &mut self.watches, &self.stop);
        let Some(Tree { files, findings, unread }) = tree else { return Batch::default() };
        let listed: BTreeSet<PathBuf> = files.into_iter().collect();
        let is_unread = |path: &Path| !unread.is_empty() && path.ancestors().any(|dir| unread.contains(dir));
        let is_kept = |path: &Path| listed.contains(path) || is_unread(path);
        let gone: Vec<_> = self.files.paths().filter(|path| !is_kept(path)).cloned().collect();
        let stale = listed.iter().filter(|path| !in_flux(path) && self.files.is_stale(path)).cloned().collect();
        gone.iter().for_each(|path| self.files.mark_gone(path, now));
        let mut batch = Batch::default();
        // A link that leads nowhere is also what a ConfigMap's swap leaves for a moment.
        let findings = findings.into_iter().filter(|finding| !self.files.is_gone(&finding.file)).collect();
        self.report_beside(findings, &mut batch);
        let touched = gone.iter().flat_map(|path| self.claims.shared(self.files.bodies(path))).collect();
        self.read_into(stale, touched, now, batch)
    }

    /// Reads these files again, whatever their stamps say.
    pub(super) fn reread(&mut self, paths: Vec<PathBuf>, now: Instant) -> Batch {
        self.read_into(paths, FxHashSet::default(), now, Batch::default())
    }

    /// Drops the objects of files that have been gone for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Batch {
        let mut batch = Batch::default();
        let updates = self.files.expire(now);
        let dangling: Vec<_> = updates.iter().filter_map(|update| tree::dangling(&update.file)).collect();
        let touched = updates.into_iter().flat_map(|update| self.note(update, &mut batch)).collect();
        batch.notices.extend(dangling.iter().cloned().map(Notice::Found));
        self.beside.extend(dangling);
        self.settle(touched, now, batch)
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.files.next_expiry()
    }

    /// Files that changed while they were read, and are to be read again a little later.
    pub(super) fn take_torn(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.torn)
    }

    /// Reads such files until they stand still, or at last takes it for wrong that they do not.
    pub(super) fn reread_torn(&mut self, now: Instant) -> Batch {
        const ATTEMPTS: usize = 100;
        let mut batch = Batch::default();
        for _ in 0..ATTEMPTS {
            let torn = self.take_torn();
            if torn.is_empty() {
                return batch;
            }
            batch.extend(self.reread(torn, now));
        }
        let torn = self.take_torn().into_iter();
        self.beside.extend(torn.map(|path| finding(&path, Severity::Error, "changes while it is read".to_owned())));
        batch
    }

    fn read_into(
        &mut self,
        paths: Vec<PathBuf>,
        mut touched: FxHashSet<Arc<ObjectRef>>,
        now: Instant,
        mut batch: Batch,
    ) -> Batch {
        for path in paths {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            match self.files.read(&path, now) {
                Ok(Some(update)) => touched.extend(self.note(update, &mut batch)),
                Ok(None) => touched.extend(self.claims.shared(self.files.bodies(&path))),
                Err(torn) => self.torn.push(torn.to_path_buf()),
            }
        }
        self.settle(touched, now, batch)
    }

    fn note(&mut self, update: Update, batch: &mut Batch) -> FxHashSet<Arc<ObjectRef>> {
        let Update { file, removed, added, found, ended } = update;
        batch.notices.extend(found.into_iter().map(Notice::Found).chain(ended));
        self.claims.replace(&file, &removed, added)
    }

    fn settle(&mut self, touched: FxHashSet<Arc<ObjectRef>>, now: Instant, mut batch: Batch) -> Batch {
        self.claims.settle(touched, &mut self.files, &mut batch, now);
        self.files.drop_objects();
        batch
    }

    fn report_beside(&mut self, mut found: Vec<Finding>, batch: &mut Batch) {
        if let (Some(failure), Some(source)) = (self.watches.failure(), self.sources.first()) {
            let message = format!("changes are looked for every second, since they cannot be watched: {failure}");
            found.push(finding(source, Severity::Warning, message));
        }
        let before = std::mem::replace(&mut self.beside, found);
        let known: FxHashSet<&Finding> = before.iter().collect();
        let new = self.beside.iter().filter(|finding| !known.contains(finding)).cloned();
        batch.notices.extend(new.map(Notice::Found));
        let still: FxHashSet<&Path> = self.beside.iter().map(|finding| &*finding.file).collect();
        let ended: BTreeSet<_> = before.iter().map(|finding| &finding.file).collect();
        let ended = ended.into_iter().filter(|path| !still.contains(&***path));
        batch.notices.extend(ended.map(|file| match file.symlink_metadata() {
            Ok(_) => Notice::Recovered { file: Arc::clone(file) },
            Err(_) => Notice::Removed { file: Arc::clone(file) },
        }));
    }

    /// Everything that is wrong now, in path order.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<_> = self.beside.iter().chain(self.files.findings()).cloned().collect();
        findings.extend(self.claims.doubles(&self.files));
        findings.sort_by(|a, b| (&a.file, a.line, &a.message).cmp(&(&b.file, b.line, &b.message)));
        findings
    }

    /// Where each of these objects is, in path order.
    pub(super) fn locate(&self, objects: Vec<Object>) -> Vec<Located> {
        let mut objects: FxHashMap<_, _> = objects.into_iter().map(|object| (object.object_ref(), object)).collect();
        // The first description of an object is the one that counts, since no file has gone meanwhile.
        let located = |(file, name, line): (&Arc<Path>, &ObjectRef, u32)| {
            objects.remove(name).map(|object| Located { object, file: Arc::clone(file), line })
        };
        self.files.descriptions().filter_map(located).collect()
    }
}

fn finding(path: &Path, severity: Severity, message: String) -> Finding {
    Finding { file: Arc::from(path), line: None, severity, object: None, message }
}
