//! The Secrets that objects of ours name: a source that cannot show all Secrets is to show these.

use super::Transition;
use crate::objects::Ingress;
use config::ObjectName;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often each Secret is named.
#[derive(Debug)]
pub(super) struct Wanted {
    counts: FxHashMap<ObjectName, usize>,
    /// The names; the same `Arc` as long as they are the same.
    pub(super) names: Arc<BTreeSet<ObjectName>>,
}

impl Wanted {
    /// What a setting names is wanted whatever comes.
    pub(super) fn new(always: Option<ObjectName>) -> Self {
        let names: BTreeSet<_> = always.into_iter().collect();
        Self { counts: names.iter().map(|name| (name.clone(), 1)).collect(), names: Arc::new(names) }
    }

    /// Takes Ingresses that came, changed or went.
    pub(super) fn update(&mut self, transitions: &[Transition]) {
        let named = |ingress: &Arc<Ingress>| -> Vec<ObjectName> {
            ingress.secrets().chain(ingress.client_ca()).cloned().collect()
        };
        for Transition { before, after } in transitions {
            let (before, after) = (before.iter().flat_map(named), after.iter().flat_map(named));
            // First what is named now, so that what stays is not let go in between.
            after.for_each(|secret| self.refer(secret));
            before.for_each(|secret| self.release(&secret));
        }
    }

    fn refer(&mut self, secret: ObjectName) {
        let count = self.counts.entry(secret.clone()).or_default();
        *count += 1;
        if *count == 1 {
            Arc::make_mut(&mut self.names).insert(secret);
        }
    }

    fn release(&mut self, secret: &ObjectName) {
        let Some(count) = self.counts.get_mut(secret) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(secret);
            Arc::make_mut(&mut self.names).remove(secret);
        }
    }
}
