//! `transfer`: who may have a zone.

use crate::host::Host;
use crate::name::LowerName;
use crate::plan;
use crate::shares::{Share, Shares};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Zones of one block on their way at once: each holds the table that it began with, and a list of all Services.
const MOST: usize = 8;
/// Those of one client that `to` does not name.
const MOST_OF_A_STRANGER: usize = 2;

/// The rules of a block, and places for those who are served.
#[derive(Debug)]
pub(crate) struct Transfers {
    rules: Vec<plan::Transfer>,
    places: Arc<Semaphore>,
    strangers: Shares<Host>,
}

/// A place of one who is served; free again where this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    /// `None`: it is one that `to` names.
    _share: Option<Share<Host>>,
}

impl Transfers {
    pub(crate) fn new(rules: &[plan::Transfer]) -> Self {
        let (places, strangers) = (Arc::new(Semaphore::new(MOST)), Shares::new(MOST_OF_A_STRANGER));
        Self { rules: rules.to_vec(), places, strangers }
    }

    /// Who is told of changes of the zone of this name.
    pub(crate) fn secondaries(&self, name: &LowerName) -> &[SocketAddr] {
        self.rule(name).map_or(&[], |rule| &rule.to)
    }

    /// A place for a client that may have the zone of this name: by the rule that is for it.
    pub(crate) fn admit(&self, name: &LowerName, client: IpAddr) -> Option<Place> {
        let rule = self.rule(name)?;
        let is_named = rule.to.iter().any(|to| to.ip().to_canonical() == client.to_canonical());
        if !is_named && !rule.is_open {
            return None;
        }
        let share = if is_named { None } else { Some(self.strangers.take(Host::of(client), 1)?) };
        Some(Place { _permit: Arc::clone(&self.places).try_acquire_owned().ok()?, _share: share })
    }

    fn rule(&self, name: &LowerName) -> Option<&plan::Transfer> {
        plan::Transfer::for_zone(&self.rules, name.suffix(0)).map(|(_, rule)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::System;
    use crate::plan::Plan;

    /// The longest zone has the name, and of two lines for one zone the first, as in CoreDNS's `longestMatch`.
    #[test]
    fn the_first_line_for_a_zone_counts() {
        let text = ". {\n transfer org {\n to 192.0.2.1\n}\n transfer net example.org {\n to 192.0.2.2\n}\n\
                    transfer org example.org net {\n to *\n}\n}";
        let (plan, _) = Plan::from_corefile(text, "Corefile", &System).unwrap();
        let transfers = Transfers::new(&plan.blocks()[0].transfers);
        for (name, told) in [
            (&b"\x03org\0"[..], Some("192.0.2.1:53")),
            (b"\x07example\x03org\0", Some("192.0.2.2:53")),
            (b"\x03net\0", Some("192.0.2.2:53")),
            (b"\x03com\0", None),
        ] {
            let name = &LowerName::read(name).unwrap();
            let secondaries = transfers.secondaries(name).iter().map(ToString::to_string);
            assert_eq!(secondaries.collect::<Vec<_>>(), Vec::from_iter(told), "{name:?}");
            assert!(transfers.admit(name, "192.0.2.3".parse().unwrap()).is_none(), "{name:?}");
        }
    }

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
        let mut held: Vec<_> = [(); 2].map(|()| admit(other, "192.0.2.2").unwrap()).into();
        assert!(admit(other, "::ffff:192.0.2.2").is_none(), "nobody has named it");
        held.extend((2..MOST).map(|_| admit(below, "192.0.2.1").unwrap()));
        assert!(admit(below, "192.0.2.1").is_none());
        held.remove(0);
        assert!(admit(other, "192.0.2.3").is_some() && admit(other, "192.0.2.2").is_some());
    }
}
