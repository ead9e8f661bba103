//! Following a source: its changes become snapshots, statuses, log lines and figures.
//! A change after a quiet time becomes one at once. What comes right after it is gathered, so that a burst is two of
//! them; nothing here waits seconds.

mod log;
mod programming;
#[cfg(test)]
mod tests;

use crate::batch::Trigger;
use crate::{Batch, Change, Follower};
use crate::{Object, Objects, Statuses, TranslateSettings, Translation, Translator};
use config::{Kind, ObjectName, ObjectRef, Publisher};
use jiff::Timestamp;
pub use programming::{Programmed, ProgrammedKind};
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// Changes that come sooner than this after a translation are gathered until none came for this long,
const QUIET: Duration = Duration::from_millis(2);
/// but no longer than this.
const GATHER: Duration = Duration::from_millis(20);
/// How often the validity of certificates is compared with the time.
const VALIDITY: Duration = Duration::from_secs(60);

/// What one run of the translation took and made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Of the current snapshot.
    pub generation: u64,
    /// Objects that the source has, by kind.
    pub objects: BTreeMap<Kind, usize>,
    /// Time from objects to the parts of a snapshot.
    pub translate: Duration,
    /// Time to swap the snapshot; `None` where nothing that is served changed.
    pub publish: Option<Duration>,
    /// Time from a change of endpoints in the cluster to here.
    pub propagation: Propagation,
    /// The changes of endpoints that the snapshot is the first to have, each where its source dates it.
    pub programmed: Vec<Programmed>,
}

/// Time from what triggered a change of endpoints to the snapshot that has it; `None`: there was none, or its source does
/// not say. The trigger's clock is that of the cluster's controllers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Propagation {
    /// For requests.
    pub routes: Option<Duration>,
    /// For names.
    pub names: Option<Duration>,
}

/// Where results go.
#[derive(Debug)]
pub struct Outputs<F> {
    /// Takes the snapshots; the first comes once the source has said all it has.
    pub publisher: Publisher,
    /// Takes what became of each object.
    pub statuses: watch::Sender<Arc<Statuses>>,
    /// Takes the Secrets that are to be read; `None` as long as no object is known.
    pub secrets: watch::Sender<Option<Arc<BTreeSet<ObjectName>>>>,
    /// Takes figures after each translation.
    pub figures: F,
}

/// Follows `source` until `shutdown` or the source's end.
pub async fn run(
    mut source: Follower,
    settings: TranslateSettings,
    mut outputs: Outputs<impl FnMut(&Figures)>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut state = State::new(settings);
    if source.is_cluster() {
        state.objects = state.objects.of_cluster();
    }
    let mut validity = interval(VALIDITY);
    validity.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            batch = source.next() => match batch {
                Some(batch) => {
                    state.take(batch);
                    state.gather(&mut source).await;
                }
                None => return,
            },
            _ = validity.tick() => {
                if !state.objects.advance(Timestamp::now()) {
                    continue;
                }
            }
        }
        state.translate(&mut outputs);
        state.translated = Some(Instant::now());
    }
}

/// Translates objects as they are now, for who serves nothing.
#[must_use]
pub fn once(objects: impl IntoIterator<Item = Object>, settings: TranslateSettings) -> (Objects, Translation) {
    let mut state = State::new(settings);
    for object in objects {
        state.objects.apply(object);
    }
    let translation = state.translator.translate(&mut state.objects);
    (state.objects, translation)
}

struct State {
    objects: Objects,
    translator: Translator,
    /// Objects that are not kept by their names.
    others: FxHashSet<Arc<ObjectRef>>,
    counts: BTreeMap<Kind, usize>,
    current: Option<Translation>,
    generation: u64,
    /// Whether what was taken last is of no use without what comes next.
    is_partial: bool,
    triggers: Vec<Trigger>,
    /// When the last translation ended.
    translated: Option<Instant>,
}

impl State {
    fn new(settings: TranslateSettings) -> Self {
        Self {
            objects: Objects::new(settings.ingress.default_tls_secret.as_ref(), Timestamp::now()),
            translator: Translator::new(settings),
            others: FxHashSet::default(),
            counts: BTreeMap::new(),
            current: None,
            generation: 0,
            is_partial: false,
            triggers: Vec::new(),
            translated: None,
        }
    }

    fn take(&mut self, batch: Batch) {
        let Batch { changes, notices, is_partial, triggers, reached } = batch;
        self.is_partial = is_partial;
        self.triggers.extend(triggers);
        if changes.iter().any(|change| matches!(change, Change::Apply(Object::Secret(_)))) {
            // A certificate may be valid from this very second on.
            self.objects.advance(Timestamp::now());
        }
        for change in changes {
            match change {
                Change::Apply(object) => {
                    let name = self.note(&object.object_ref());
                    self.objects.apply_as(Arc::clone(&name), object);
                    if self.objects.kept_name(&name).is_none() {
                        self.others.insert(name);
                    }
                }
                Change::Delete(name) => {
                    let was_known = self.objects.kept_name(&name).is_some() || self.others.remove(&name);
                    let was_known = usize::from(was_known);
                    self.counts.entry(name.kind).and_modify(|count| *count = count.saturating_sub(was_known));
                    self.objects.delete(&name);
                }
                Change::Refuse(name, reason) => drop(self.objects.refuse(&name, &reason)),
            }
        }
        self.objects.reach(reached);
        notices.iter().for_each(crate::source::Notice::log);
    }

    /// Counts an object, once; its shared name.
    fn note(&mut self, object: &ObjectRef) -> Arc<ObjectRef> {
        if let Some(known) = self.objects.kept_name(object).or_else(|| self.others.get(object)) {
            return Arc::clone(known);
        }
        let name = self.objects.shared_name(object);
        *self.counts.entry(name.kind).or_default() += 1;
        name
    }

    /// Takes what belongs to the batch that was taken last: nothing, where that ends a quiet time. What one hand does
    /// reaches an API server write by write, so the first of it is waited for in vain; what follows is made one snapshot.
    async fn gather(&mut self, source: &mut Follower) {
        if !self.is_partial && self.translated.is_some_and(|translated| translated.elapsed() >= QUIET) {
            return;
        }
        let end = Instant::now() + GATHER;
        while let Ok(Some(batch)) = timeout_at(end.min(Instant::now() + QUIET), source.next()).await {
            self.take(batch);
        }
    }

    fn translate(&mut self, outputs: &mut Outputs<impl FnMut(&Figures)>) {
        let triggers = std::mem::take(&mut self.triggers);
        let begin = Instant::now();
        let translation = self.translator.translate(&mut self.objects);
        let translate = begin.elapsed();
        outputs.want(self.translator.wanted_secrets());
        if self.is_partial {
            return;
        }

        let before = self.current.replace(translation.clone());
        let publish = (!before.as_ref().is_some_and(|before| is_same(before, &translation))).then(|| {
            self.generation += 1;
            let begin = Instant::now();
            outputs.publisher.publish(Arc::new(translation.snapshot(self.generation)));
            begin.elapsed()
        });
        let propagation = before
            .as_ref()
            .zip(triggers.iter().map(|trigger| trigger.at).min())
            .map_or_else(Propagation::default, |(before, triggered)| propagation(before, &translation, triggered));
        let is_news = before.is_some() && publish.is_some();
        let programmed = if is_news { programming::programmed(&triggers, &self.objects) } else { Vec::new() };
        let statuses = before.map(|before| before.statuses).unwrap_or_default();
        if !Arc::ptr_eq(&statuses, &translation.statuses) {
            log::statuses(&statuses, &translation.statuses);
        }
        outputs.statuses.send_replace(translation.statuses);
        let objects = self.counts.clone();
        let generation = self.generation;
        (outputs.figures)(&Figures { generation, objects, translate, publish, propagation, programmed });
    }
}

impl<F> Outputs<F> {
    fn want(&self, secrets: &Arc<BTreeSet<ObjectName>>) {
        self.secrets.send_if_modified(|wanted| {
            let is_same = wanted.as_ref().is_some_and(|wanted| Arc::ptr_eq(wanted, secrets));
            if !is_same {
                *wanted = Some(Arc::clone(secrets));
            }
            !is_same
        });
    }
}

/// How long a change took to get here, for what it changed.
fn propagation(before: &Translation, after: &Translation, triggered: Timestamp) -> Propagation {
    let took = programming::since(triggered, Timestamp::now());
    Propagation {
        routes: (!Arc::ptr_eq(&before.backends, &after.backends)).then_some(took),
        names: (!Arc::ptr_eq(&before.names, &after.names)).then_some(took),
    }
}

/// Whether two translations serve the same.
fn is_same(before: &Translation, after: &Translation) -> bool {
    Arc::ptr_eq(&before.routing, &after.routing)
        && Arc::ptr_eq(&before.backends, &after.backends)
        && Arc::ptr_eq(&before.names, &after.names)
}
