//! Addresses and who has them, in shards: a change copies only the shards of the addresses that it touches.

use foldhash::quality::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

/// 100,000 addresses make shards of about 100, and a table of 8 KiB is copied with each change.
const SHARDS: usize = 1024;

/// What the reverse name of an address leads to. Sorts Services before endpoints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressOwner {
    /// The endpoint's label below the Service's name; `None`: the address is the Service's own.
    pub endpoint: Option<Arc<str>>,
    /// Namespace of the Service.
    pub namespace: Arc<str>,
    /// Name of the Service.
    pub service: Arc<str>,
}

type Shard = HashMap<IpAddr, Arc<[AddressOwner]>, RandomState>;

/// Address → its owners, sorted and without duplicates.
#[derive(Debug, Clone)]
pub(super) struct Reverse {
    hasher: RandomState,
    shards: Vec<Arc<Shard>>,
}

impl Default for Reverse {
    fn default() -> Self {
        Self { hasher: RandomState::default(), shards: vec![Arc::default(); SHARDS] }
    }
}

impl Reverse {
    pub(super) fn owners(&self, address: IpAddr) -> &[AddressOwner] {
        let owners = self.shards.get(self.shard_of(address)).and_then(|shard| shard.get(&address));
        owners.map_or(&[], |owners| owners)
    }

    pub(super) fn insert(&mut self, address: IpAddr, owner: AddressOwner) {
        self.update(address, |owners| {
            if let Err(place) = owners.binary_search(&owner) {
                owners.insert(place, owner);
            }
        });
    }

    pub(super) fn remove(&mut self, address: IpAddr, owner: &AddressOwner) {
        self.update(address, |owners| owners.retain(|other| other != owner));
    }

    fn update(&mut self, address: IpAddr, change: impl FnOnce(&mut Vec<AddressOwner>)) {
        let mut owners = self.owners(address).to_vec();
        change(&mut owners);
        let index = self.shard_of(address);
        let Some(shard) = self.shards.get_mut(index).map(Arc::make_mut) else { return };
        if owners.is_empty() {
            shard.remove(&address);
        } else {
            shard.insert(address, owners.into());
        }
    }

    /// From the middle of the hash: the map inside a shard uses both ends.
    fn shard_of(&self, address: IpAddr) -> usize {
        (self.hasher.hash_one(address) >> 24) as usize % SHARDS
    }
}
