//! What a text log shows of events, for tests.

use std::fmt::{self, Write};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Beside one subscriber alone an event that first happens in the thread of another test, which has none, is of no
/// interest in any (`tracing_core::callsite`).
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Lines::default()));

/// The lines of the events in `log`.
pub(crate) fn logged(log: impl FnOnce()) -> String {
    LazyLock::force(&SECOND);
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), log);
    lines.0.lock().expect("unharmed").clone()
}

/// Keeps events as a text log shows them.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<String>>);

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(lines, "{}", event.metadata().level()).expect("written");
        event.record(&mut Fields(&mut lines));
        lines.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields<'l>(&'l mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").expect("written");
    }
}
