//! How far each watch is: what is still waited for, what is out of date since when, and what has happened how often.

use super::fault::Fault;
use super::scope::Scope;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The state of all watches of an API server.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The URL of the API server.
    pub(super) server: Arc<str>,
    pub(super) scopes: BTreeMap<Scope, State>,
    /// By kind, since the start.
    pub(super) counts: BTreeMap<&'static str, Counts>,
}

/// The state of one watch.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// Whether its first list has ended.
    pub(super) is_listed: bool,
    /// What keeps it from going on, and since when.
    pub(super) fault: Option<(Fault, Instant)>,
}

/// What happened to the watches of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lists that were whole, the first ones too.
    pub lists: u64,
    /// Requests and watches that failed.
    pub faults: u64,
}

impl Progress {
    /// The URL of the API server.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Whether every watch goes on. What we may do without and may not see is no matter of the connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.outage().is_none()
    }

    /// How long what is known may have been out of date; zero while every watch goes on.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        self.outage().map_or(Duration::ZERO, |(_, _, since)| since.elapsed())
    }

    /// What happened, by kind.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<&'static str, Counts> {
        &self.counts
    }

    /// What is still waited for; `None`: all has been listed once.
    #[must_use]
    pub fn waits(&self) -> Option<String> {
        let waiting: Vec<_> = self
            .scopes
            .iter()
            .filter(|(_, state)| !state.is_listed)
            .map(|(scope, state)| match &state.fault {
                Some((fault, _)) => format!("{scope} ({fault})"),
                None => scope.to_string(),
            })
            .collect();
        (!waiting.is_empty()).then(|| format!("waiting for {} to list {}", self.server, waiting.join(", ")))
    }

    /// Whether a scope is kept from going on.
    pub(super) fn has_fault(&self, scope: &Scope) -> bool {
        self.scopes.get(scope).is_some_and(|state| state.fault.is_some())
    }

    /// Whether the first list of a scope is still waited for.
    pub(super) fn is_waiting_for(&self, scope: &Scope) -> bool {
        self.scopes.get(scope).is_some_and(|state| !state.is_listed)
    }

    /// The counts of a scope's kind.
    pub(super) fn count(&mut self, scope: &Scope) -> &mut Counts {
        self.counts.entry(scope.resource.kind).or_default()
    }

    /// Whether something is still waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.scopes.values().any(|state| !state.is_listed)
    }

    /// The longest outage: which scope, why and since when.
    pub(super) fn outage(&self) -> Option<(&Scope, &Fault, Instant)> {
        let faults = self.scopes.iter().filter_map(|(scope, state)| {
            let (fault, since) = state.fault.as_ref()?;
            (!scope.goes_on_without(fault)).then_some((scope, fault, *since))
        });
        faults.min_by_key(|(_, _, since)| *since)
    }
}
