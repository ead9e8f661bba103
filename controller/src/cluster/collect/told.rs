//! What keeps watches from going on, in the log: each sort of it once, and when it is over.

use crate::Printable;
use crate::cluster::fault::{Fault, Sort};
use crate::cluster::progress::{Progress, State};
use crate::cluster::scope::Scope;
use std::collections::BTreeSet;
use tokio::sync::watch;

/// What has been told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Of all watches, since every one that is needed went on: what ails the server is not told for each.
    sorts: BTreeSet<Sort>,
    /// What is forbidden, each until it goes on, since each needs a right of its own.
    refused: BTreeSet<Scope>,
}

impl Told {
    /// Changes the state of a scope, and tells what is new of that.
    pub(super) fn note(&mut self, progress: &watch::Sender<Progress>, scope: &Scope, change: impl FnOnce(&mut State)) {
        let before = progress.borrow().outage().map(|(_, _, since)| since);
        if before.is_none() {
            self.sorts.clear();
        }
        let mut was_done_without = false;
        progress.send_modify(|progress| {
            if let Some(state) = progress.scopes.get_mut(scope) {
                was_done_without = state.is_done_without;
                change(state);
            }
        });
        let progress = progress.borrow();
        let Some(state) = progress.scopes.get(scope) else { return };
        match &state.fault {
            Some((fault, _)) => self.failed(&progress, scope, fault),
            None => drop(self.refused.remove(scope)),
        }
        if state.is_done_without && !was_done_without && scope.as_secret().is_none() {
            tracing::info!(%scope, "is done without, since it stays forbidden");
        }
        if let (Some(since), None) = (before, progress.outage()) {
            let which = if state.fault.is_some() { "every other watch" } else { "every watch" };
            tracing::info!(
                server = &*progress.server,
                seconds = since.elapsed().as_secs(),
                "{which} of the API server goes on again"
            );
        }
    }

    fn failed(&mut self, progress: &Progress, scope: &Scope, fault: &Fault) {
        let (shown, reason) = (Printable(scope), fault);
        if matches!(fault, Fault::Forbidden(_)) {
            // Of a Secret those tell that name it, with what to grant.
            if scope.as_secret().is_none() && self.refused.insert(scope.clone()) {
                tracing::warn!(scope = %shown, %reason, "may not be watched: see the RBAC that the installation has");
            }
        } else if self.sorts.insert(fault.sort()) {
            let meanwhile = if progress.is_waiting() { "nothing is known yet" } else { "what is known is served on" };
            tracing::warn!(
                server = &*progress.server,
                scope = %shown,
                %reason,
                "a watch of the API server does not go on: {meanwhile}"
            );
        }
    }
}
