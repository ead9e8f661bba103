//! `transfer`: who may have a zone.

use crate::name::LowerName;
use crate::plan;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Zones of one block on their way at once: each holds the table that it began with, and a list of all Services.
const MOST: usize = 8;

/// The rules of a block, and places for those who are served.
#[derive(Debug)]
pub(crate) struct Transfers {
    rules: Vec<plan::Transfer>,
    places: Arc<Semaphore>,
}

impl Transfers {
    pub(crate) fn new(rules: &[plan::Transfer]) -> Self {
        Self { rules: rules.to_vec(), places: Arc::new(Semaphore::new(MOST)) }
    }

    /// Who is told of changes of the zone of this name.
    pub(crate) fn secondaries(&self, name: &LowerName) -> &[SocketAddr] {
        self.rule(name).map_or(&[], |rule| &rule.to)
    }

    /// A place for a client that may have the zone of this name: by the rule whose zone holds it and is the longest.
    pub(crate) fn admit(&self, name: &LowerName, client: IpAddr) -> Option<OwnedSemaphorePermit> {
        let rule = self.rule(name)?;
        let is_allowed = rule.is_open || rule.to.iter().any(|to| to.ip().to_canonical() == client.to_canonical());
        is_allowed.then(|| Arc::clone(&self.places).try_acquire_owned().ok()).flatten()
    }

    fn rule(&self, name: &LowerName) -> Option<&plan::Transfer> {
        let zones = self.rules.iter().flat_map(|rule| rule.zones.iter().map(move |zone| (zone, rule)));
        let held = zones.filter(|(zone, _)| zone.holds(name.suffix(0)));
        held.max_by_key(|(zone, _)| zone.label_count()).map(|(_, rule)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::System;
    use crate::plan::Plan;

    #[test]
    fn there_are_only_so_many_places() {
        let text = ". {\n transfer example.org {\n to 192.0.2.1 [2001:db8::1]:5353\n}\n transfer org {\n to *\n}\n}";
        let (plan, _) = Plan::from_corefile(text, "Corefile", &System).unwrap();
        let transfers = Transfers::new(&plan.blocks()[0].transfers);
        let admit =
            |name: &[u8], client: &str| transfers.admit(&LowerName::read(name).unwrap(), client.parse().unwrap());
        let (below, other) = (b"\x01a\x07example\x03org\0", b"\x03org\0");
        for (name, client, is_allowed) in [
            (&below[..], "192.0.2.1", true),
            (below, "::ffff:192.0.2.1", true),
            (below, "2001:db8::1", true),
            (below, "192.0.2.2", false),
            (other, "192.0.2.2", true),
            (b"\x03net\0", "192.0.2.1", false),
        ] {
            assert_eq!(admit(name, client).is_some(), is_allowed, "{client}");
        }
        let mut held: Vec<_> = (0..MOST).map(|_| admit(other, "192.0.2.2").unwrap()).collect();
        assert!(admit(other, "192.0.2.2").is_none());
        held.pop();
        assert!(admit(other, "192.0.2.2").is_some());
    }
}
