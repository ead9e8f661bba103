//! Following a source: its changes become snapshots, statuses, log lines and figures.
//! Changes are gathered for a short quiet time, so that a burst of them is one snapshot; nothing here waits seconds.

mod log;
#[cfg(test)]
mod tests;

use crate::{Batch, Change, Follower};
use crate::{Object, Objects, Statuses, TranslateSettings, Translation, Translator};
use config::{Kind, ObjectRef, Publisher};
use jiff::Timestamp;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// Changes are gathered until none came for this long,
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
}

/// Where results go.
#[derive(Debug)]
pub struct Outputs<F> {
    /// Takes the snapshots; the first comes once the source has said all it has.
    pub publisher: Publisher,
    /// Takes what became of each object.
    pub statuses: watch::Sender<Arc<Statuses>>,
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
    known: FxHashSet<Arc<ObjectRef>>,
    counts: BTreeMap<Kind, usize>,
    current: Option<Translation>,
    generation: u64,
}

impl State {
    fn new(settings: TranslateSettings) -> Self {
        Self {
            objects: Objects::new(settings.ingress.default_tls_secret.as_ref(), Timestamp::now()),
            translator: Translator::new(settings),
            known: FxHashSet::default(),
            counts: BTreeMap::new(),
            current: None,
            generation: 0,
        }
    }

    fn take(&mut self, batch: Batch) {
        for change in batch.changes {
            match change {
                Change::Apply(object) => {
                    let name = self.note(&object.object_ref());
                    self.objects.apply_as(name, object);
                }
                Change::Delete(name) => {
                    let was_known = usize::from(self.known.remove(&name));
                    self.counts.entry(name.kind).and_modify(|count| *count = count.saturating_sub(was_known));
                    self.objects.delete(&name);
                }
            }
        }
        batch.notices.iter().for_each(crate::source::Notice::log);
    }

    /// Counts an object, once; its shared name.
    fn note(&mut self, object: &ObjectRef) -> Arc<ObjectRef> {
        if let Some(known) = self.known.get(object) {
            return Arc::clone(known);
        }
        let name = self.objects.shared_name(object);
        self.known.insert(Arc::clone(&name));
        *self.counts.entry(name.kind).or_default() += 1;
        name
    }

    async fn gather(&mut self, source: &mut Follower) {
        let end = Instant::now() + GATHER;
        while let Ok(Some(batch)) = timeout_at(end.min(Instant::now() + QUIET), source.next()).await {
            self.take(batch);
        }
    }

    fn translate(&mut self, outputs: &mut Outputs<impl FnMut(&Figures)>) {
        let begin = Instant::now();
        let translation = self.translator.translate(&mut self.objects);
        let translate = begin.elapsed();

        let before = self.current.replace(translation.clone());
        let publish = (!before.as_ref().is_some_and(|before| is_same(before, &translation))).then(|| {
            self.generation += 1;
            let begin = Instant::now();
            outputs.publisher.publish(Arc::new(translation.snapshot(self.generation)));
            begin.elapsed()
        });
        let statuses = before.map(|before| before.statuses).unwrap_or_default();
        if !Arc::ptr_eq(&statuses, &translation.statuses) {
            log::statuses(&statuses, &translation.statuses);
        }
        outputs.statuses.send_replace(translation.statuses);
        let objects = self.counts.clone();
        (outputs.figures)(&Figures { generation: self.generation, objects, translate, publish });
    }
}

/// Whether two translations serve the same.
fn is_same(before: &Translation, after: &Translation) -> bool {
    Arc::ptr_eq(&before.routing, &after.routing)
        && Arc::ptr_eq(&before.backends, &after.backends)
        && Arc::ptr_eq(&before.names, &after.names)
}
