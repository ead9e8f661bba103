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
    /// Whether its first list has ended, or it is done without.
    pub(super) is_listed: bool,
    /// What keeps it from going on, and since when.
    pub(super) fault: Option<(Fault, Instant)>,
    /// Since when each try was forbidden; `None`: the last one was not.
    refused: Option<Instant>,
    /// Whether it is done without while it is forbidden, which has lasted; until it goes on.
    pub(super) is_done_without: bool,
}

/// What happened to the watches of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lists that were whole, the first ones too.
    pub lists: u64,
    /// Requests and watches that failed.
    pub faults: u64,
}

impl State {
    /// It goes on, all of it listed.
    pub(super) fn listed() -> Self {
        Self { is_listed: true, ..Self::default() }
    }

    /// It goes on from where it was.
    pub(super) fn heard(&mut self) {
        *self = Self { is_listed: self.is_listed, ..Self::default() };
    }

    /// It does not go on, being the state of `scope`.
    pub(super) fn failed(&mut self, scope: &Scope, fault: Fault) {
        let now = Instant::now();
        // What was done without was no outage: that begins now.
        let since = self.outage().map_or(now, |(_, since)| since);
        if matches!(fault, Fault::Forbidden(_)) {
            let refused = *self.refused.get_or_insert(now);
            self.is_done_without |= scope.lasting_refusal().is_some_and(|lasting| now - refused >= lasting);
            self.is_listed |= self.is_done_without;
        } else {
            self.refused = None;
        }
        self.fault = Some((fault, since));
    }

    /// What keeps it from going on though it is needed, and since when.
    fn outage(&self) -> Option<(&Fault, Instant)> {
        let (fault, since) = self.fault.as_ref()?;
        let is_lacked = self.refused.is_none() || !self.is_done_without;
        is_lacked.then_some((fault, *since))
    }
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
            let (fault, since) = state.outage()?;
            Some((scope, fault, since))
        });
        faults.min_by_key(|(_, _, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::{NAMESPACES, SERVICES};
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    fn forbidden() -> Fault {
        Fault::Forbidden("no".into())
    }

    /// Since when it is out, in seconds; `None`: it is not.
    fn outage(state: &State) -> Option<u64> {
        state.outage().map(|(_, since)| since.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forbidden_for_long_is_done_without() {
        let scope = Scope::of(NAMESPACES);
        let mut state = State::default();
        state.failed(&scope, forbidden());
        advance(9 * SECOND).await;
        state.failed(&scope, Fault::other("away"));
        state.failed(&scope, forbidden());
        advance(9 * SECOND).await;
        state.failed(&scope, forbidden());
        assert_eq!((state.is_listed, outage(&state)), (false, Some(18)), "another server may have begun");
        advance(SECOND).await;
        state.failed(&scope, forbidden());
        assert_eq!((state.is_listed, outage(&state)), (true, None));
        state.failed(&scope, Fault::other("away"));
        advance(SECOND).await;
        assert_eq!(outage(&state), Some(1), "it is not out for as long as it is forbidden");
        state.failed(&scope, forbidden());
        assert_eq!(outage(&state), None, "it was done without before");
        state.heard();
        state.failed(&scope, forbidden());
        assert_eq!((state.is_listed, outage(&state)), (true, Some(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_done_without_at_once_and_what_is_needed_never() {
        let secret = Scope::secret(&config::ObjectName { namespace: "shop".into(), name: "web".into() });
        let needed = Scope::of(SERVICES);
        let [mut of_secret, mut of_needed] = [State::default(), State::default()];
        of_secret.failed(&secret, forbidden());
        of_needed.failed(&needed, forbidden());
        advance(60 * SECOND).await;
        of_needed.failed(&needed, forbidden());
        assert_eq!((of_secret.is_listed, outage(&of_secret)), (true, None));
        assert_eq!((of_needed.is_listed, outage(&of_needed)), (false, Some(60)));
    }
}
