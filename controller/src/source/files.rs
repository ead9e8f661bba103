//! The manifest files as they were last read: their last good documents, what is wrong with them, which are gone.

use super::claims::Claim;
use super::document::{self, Described, DocumentText, Entry, split};
use super::file::{self, ReadError, Stamp};
use super::finding::{Finding, Notice, Severity};
use crate::Object;
use config::ObjectRef;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a file may be gone before its objects are: editors move a file away and write it anew.
pub(super) const GRACE: Duration = Duration::from_millis(200);

/// What the text of one document says; lines count from its first. The same text is read once.
#[derive(Debug)]
pub(super) struct Body {
    text_hash: u64,
    pub(super) entries: Box<[Entry]>,
    findings: Box<[Finding]>,
}

/// A document where it was last read.
#[derive(Debug, Clone)]
struct Document {
    first_line: u32,
    body: Arc<Body>,
}

impl Document {
    /// A line of the file from one of the document.
    fn line(&self, line: u32) -> u32 {
        self.first_line.saturating_add(line.saturating_sub(1))
    }

    fn findings(&self) -> impl Iterator<Item = Finding> {
        let moved = |finding: &Finding| Finding { line: finding.line.map(|line| self.line(line)), ..finding.clone() };
        self.body.findings.iter().map(moved)
    }
}

/// A file as it was last read.
#[derive(Debug, Default)]
struct ManifestFile {
    /// `None`: it is read again by the next walk.
    stamp: Option<Stamp>,
    /// Of the last good reading; until there is one, the good documents of the last reading.
    documents: Vec<Document>,
    was_good: bool,
    /// Of the last reading.
    findings: Vec<Finding>,
    gone_since: Option<Instant>,
}

impl ManifestFile {
    fn is_broken(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    fn bodies(&self) -> impl Iterator<Item = &Arc<Body>> {
        self.documents.iter().map(|document| &document.body)
    }

    fn descriptions(&self) -> impl Iterator<Item = (&ObjectRef, u32)> {
        self.documents
            .iter()
            .flat_map(|document| document.body.entries.iter().map(|entry| (&*entry.object, document.line(entry.line))))
    }
}

/// What a reading of a file changed.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) file: Arc<Path>,
    /// What it says no longer, and what it says newly.
    pub(super) removed: Vec<Arc<Body>>,
    pub(super) added: Vec<Arc<Body>>,
    /// What is wrong now and was not before.
    pub(super) found: Vec<Finding>,
    /// Where it was broken before and is not now.
    pub(super) ended: Option<Notice>,
}

/// All files, in path order.
#[derive(Debug)]
pub(super) struct Files {
    files: BTreeMap<Arc<Path>, ManifestFile>,
    /// Of the reading that is under way, by address of the body and place in it.
    described: FxHashMap<(usize, usize), Object>,
    /// Set where nobody wants the rest any more.
    stop: Arc<AtomicBool>,
}

impl Files {
    /// No files yet. Once `stop` is set nothing more is read.
    pub(super) fn new(stop: Arc<AtomicBool>) -> Self {
        let (files, described) = Default::default();
        Self { files, described, stop }
    }

    /// Whether nobody wants the rest any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether a file may differ from what was last read.
    pub(super) fn is_stale(&self, path: &Path) -> bool {
        let known = self.files.get(path).filter(|file| file.gone_since.is_none()).and_then(|file| file.stamp);
        known.is_none() || known != Stamp::of_path(path)
    }

    /// The files that are not known to be gone.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Arc<Path>> {
        self.files.iter().filter(|(_, file)| file.gone_since.is_none()).map(|(path, _)| path)
    }

    /// Reads a file again; `Err` where it changed while it was read and is to be read once more.
    pub(super) fn read(&mut self, path: &Path, now: Instant) -> Result<Option<Update>, Arc<Path>> {
        let path = self.files.get_key_value(path).map_or_else(|| Arc::from(path), |(path, _)| Arc::clone(path));
        match file::read(&path) {
            Ok(content) if content.is_torn => Err(path),
            Ok(content) => Ok(self.take(path, &content.text, content.stamp)),
            Err(ReadError::Gone) => {
                self.mark_gone(&path, now);
                Ok(None)
            }
            Err(error) => {
                let line = if let ReadError::NotText { line } = error { Some(line) } else { None };
                let message = error.to_string();
                let finding =
                    Finding { file: Arc::clone(&path), line, severity: Severity::Error, object: None, message };
                Ok(Some(self.update(path, None, vec![finding], None)))
            }
        }
    }

    /// `None` where nobody wants it any more.
    fn take(&mut self, path: Arc<Path>, text: &str, stamp: Option<Stamp>) -> Option<Update> {
        let known = self.files.get(&path).into_iter().flat_map(ManifestFile::bodies);
        let mut known: FxHashMap<u64, Arc<Body>> = known.map(|body| (body.text_hash, Arc::clone(body))).collect();
        let mut reading = Reading::default();
        for DocumentText { first_line, text } in split(text) {
            let text_hash = hash(text);
            let body = known.remove(&text_hash).unwrap_or_else(|| {
                let read = document::read(&path, &DocumentText { first_line: 1, text }, &self.stop);
                let (objects, entries): (Vec<_>, Vec<_>) =
                    read.objects.into_iter().map(|Described { object, entry }| (object, entry)).unzip();
                let body = Arc::new(Body { text_hash, entries: entries.into(), findings: read.findings.into() });
                let places = (0..).map(|place| (address(&body), place));
                self.described.extend(places.zip(objects));
                reading.added.push(Arc::clone(&body));
                body
            });
            reading.documents.push(Document { first_line, body });
            if self.is_stopped() {
                return None;
            }
        }
        let findings = reading.documents.iter().flat_map(Document::findings).collect();
        Some(self.update(path, Some(reading), findings, stamp))
    }

    /// `reading` is `None` where the file could not be read at all.
    fn update(
        &mut self,
        path: Arc<Path>,
        reading: Option<Reading>,
        findings: Vec<Finding>,
        stamp: Option<Stamp>,
    ) -> Update {
        let file = self.files.entry(Arc::clone(&path)).or_default();
        let was_broken = file.is_broken();
        let previous = std::mem::replace(&mut file.findings, findings);
        file.stamp = stamp;
        file.gone_since = None;
        let is_broken = file.is_broken();
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        if let Some(reading) = reading
            && !(is_broken && file.was_good)
        {
            let kept: FxHashSet<_> = reading.documents.iter().map(|document| address(&document.body)).collect();
            removed.extend(file.bodies().filter(|body| !kept.contains(&address(body))).cloned());
            added = reading.added;
            file.documents = reading.documents;
            file.documents.shrink_to_fit();
            file.was_good = !is_broken;
        }
        let found = file.findings.iter().filter(|finding| !previous.iter().any(|known| is_same(known, finding)));
        let found = found.cloned().collect();
        let ended = (was_broken && !is_broken).then(|| Notice::Recovered { file: Arc::clone(&path) });
        Update { file: path, removed, added, found, ended }
    }

    /// Takes the end of a file; its objects stay for [`GRACE`].
    pub(super) fn mark_gone(&mut self, path: &Path, now: Instant) {
        if let Some(file) = self.files.get_mut(path) {
            file.gone_since.get_or_insert(now);
        }
    }

    /// What a file says.
    pub(super) fn bodies(&self, path: &Path) -> impl Iterator<Item = &Arc<Body>> {
        self.files.get(path).into_iter().flat_map(ManifestFile::bodies)
    }

    /// Each description, in path and document order, with its line.
    pub(super) fn descriptions(&self) -> impl Iterator<Item = (&Arc<Path>, &ObjectRef, u32)> {
        self.files.iter().flat_map(|(path, file)| file.descriptions().map(move |(name, line)| (path, name, line)))
    }

    /// Where a claim is in its file: its place among the documents and in its document, and its line. O(documents).
    pub(super) fn place(&self, claim: &Claim) -> (usize, usize, u32) {
        let documents = self.files.get(&claim.file).map(|file| file.documents.as_slice()).unwrap_or_default();
        let number =
            documents.iter().position(|document| Arc::ptr_eq(&document.body, &claim.body)).unwrap_or(usize::MAX);
        let line = claim.entry().map_or(1, |entry| entry.line);
        (number, claim.place, documents.get(number).map_or(line, |document| document.line(line)))
    }

    /// Whether a file is gone, and its objects are only kept in case it comes back.
    pub(super) fn is_gone(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|file| file.gone_since.is_some())
    }

    /// When the next file has been gone for too long.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.files.values().filter_map(|file| file.gone_since).min().map(|since| since + GRACE)
    }

    /// Drops the files that have been gone for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Update> {
        let is_over = |file: &ManifestFile| file.gone_since.is_some_and(|since| since + GRACE <= now);
        let over: Vec<_> =
            self.files.iter().filter(|(_, file)| is_over(file)).map(|(path, _)| Arc::clone(path)).collect();
        let update = |path: Arc<Path>| {
            let file = self.files.remove(&path)?;
            let removed = file.bodies().cloned().collect();
            let ended = file.is_broken().then(|| Notice::Removed { file: Arc::clone(&path) });
            Some(Update { removed, added: Vec::new(), found: Vec::new(), ended, file: path })
        };
        over.into_iter().filter_map(update).collect()
    }

    /// What is wrong with the files now.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.files.values().flat_map(|file| &file.findings)
    }

    /// The object of a claim; `None` where its file no longer has it.
    pub(super) fn object(&mut self, claim: &Claim) -> Option<Object> {
        self.described.remove(&(address(&claim.body), claim.place)).or_else(|| read_object(claim, &self.stop))
    }

    /// Ends a reading: objects that were read and not wanted are dropped.
    pub(super) fn drop_objects(&mut self) {
        self.described = FxHashMap::default();
    }
}

/// What a text says.
#[derive(Debug, Default)]
struct Reading {
    documents: Vec<Document>,
    /// Those of their bodies that were not known.
    added: Vec<Arc<Body>>,
}

/// By which bodies that live at the same time are told apart.
fn address(body: &Arc<Body>) -> usize {
    Arc::as_ptr(body).addr()
}

/// Objects that nobody wants are not kept: one that takes the place of another is read once more.
fn read_object(claim: &Claim, stop: &AtomicBool) -> Option<Object> {
    let content = file::read(&claim.file).ok()?;
    let text = split(&content.text).into_iter().find(|document| hash(document.text) == claim.body.text_hash)?;
    document::read(&claim.file, &text, stop).objects.into_iter().nth(claim.place).map(|described| described.object)
}

/// Whether a finding was reported before: an error is as old as its line, since who edits a broken file wants to hear.
fn is_same(known: &Finding, finding: &Finding) -> bool {
    known.message == finding.message
        && known.object == finding.object
        && known.severity == finding.severity
        && (known.line == finding.line || finding.severity == Severity::Warning)
}

fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}
