//! `errors`: questions that could not be answered, and why; those that are many in one line.

use super::ERRORS;
use crate::part::spelling;
use crate::plan::{self, Consolidated, Level};
use crate::question::{Asked, TypeName};
use hickory_proto::op::ResponseCode;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// What a block writes about failures.
#[derive(Debug)]
pub(crate) struct Errors {
    /// The first that fits a message counts, of which the question is no part.
    rules: Vec<Arc<Rule>>,
}

#[derive(Debug)]
struct Rule {
    plan: Consolidated,
    /// Messages since the last line about them.
    count: AtomicU64,
}

impl Errors {
    pub(crate) fn new(plan: &plan::Errors) -> Self {
        let rule = |plan: &Consolidated| Arc::new(Rule { plan: plan.clone(), count: AtomicU64::new(0) });
        Self { rules: plan.consolidated.iter().map(rule).collect() }
    }

    /// Writes, or counts, that a question got this code and why. Lines about many are written by a task of `runtime`.
    pub(crate) fn tell(&self, asked: &Asked<'_>, code: ResponseCode, why: &dyn Display, runtime: &Handle) {
        let why = why.to_string();
        let name = spelling::text(asked.name()).to_ascii_lowercase();
        let message = format!("{} {name} {}: {why}", u16::from(code), TypeName(asked.record_type));
        // The name may be anything that a client likes.
        let Some(rule) = self.rules.iter().find(|rule| rule.plan.messages.is_match(&why)) else {
            return write(Level::Error, &message);
        };
        if rule.count.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        if rule.plan.shows_first {
            write(rule.plan.level, &message);
        }
        let rule = Arc::clone(rule);
        runtime.spawn(async move {
            sleep(rule.plan.every).await;
            let count = rule.count.swap(0, Ordering::Relaxed);
            if count > 1 || !rule.plan.shows_first {
                let (pattern, every) = (&rule.plan.messages, rule.plan.every);
                write(rule.plan.level, &format!("{count} errors like '{pattern}' occurred in last {every:?}"));
            }
        });
    }
}

fn write(level: Level, line: &str) {
    match level {
        Level::Error => tracing::error!(target: ERRORS, "{line}"),
        Level::Warning => tracing::warn!(target: ERRORS, "{line}"),
        Level::Info => tracing::info!(target: ERRORS, "{line}"),
        Level::Debug => tracing::debug!(target: ERRORS, "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{Log, block, client};
    use std::time::Duration;

    /// What is written of failures for these reasons: at once, and when the time is over.
    async fn written(plugins: &str, reasons: &[&str]) -> [Vec<String>; 2] {
        let (log, _subscribed) = Log::begin();
        let errors = Errors::new(&block(plugins).errors.unwrap());
        let client = client("Example.org.", "A");
        for why in reasons {
            errors.tell(&client.query().asked, ResponseCode::ServFail, why, &Handle::current());
        }
        let at_once = log.take();
        sleep(Duration::from_secs(61)).await;
        [at_once, log.take()]
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_written_with_its_question() {
        let expected = vec!["ERROR dns::errors: 2 example.org. A: no upstream answered".to_owned()];
        assert_eq!(written("errors", &["no upstream answered"]).await, [expected, Vec::new()]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_of_a_kind_are_one_line() {
        let plugins = "errors {\n consolidate 30s \"^no upstream answered$\" warning\n consolidate 9s example\n \
                       consolidate 60s .* info show_first\n}";
        let many = "WARN dns::errors: 3 errors like '^no upstream answered$' occurred in last 30s".to_owned();
        assert_eq!(written(plugins, &["no upstream answered"; 3]).await, [Vec::new(), vec![many]]);
        let first = "INFO dns::errors: 2 example.org. A: malformed".to_owned();
        assert_eq!(written(plugins, &["malformed"]).await, [vec![first.clone()], Vec::new()]);
        let many = "INFO dns::errors: 2 errors like '.*' occurred in last 60s".to_owned();
        assert_eq!(written(plugins, &["malformed", "busy"]).await, [vec![first], vec![many]]);
    }
}
