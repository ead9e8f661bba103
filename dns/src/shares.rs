//! What is left for others: of what all clients share, each may have a part at most.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much each client has; none is known who has nothing.
#[derive(Debug, Clone)]
pub(crate) struct Shares<C> {
    most: usize,
    held: Arc<Mutex<HashMap<C, usize>>>,
}

/// Some of them, of which a client may have several; free again where this is dropped.
#[derive(Debug)]
pub(crate) struct Share<C: Eq + Hash> {
    held: Arc<Mutex<HashMap<C, usize>>>,
    client: C,
    count: usize,
}

impl<C: Copy + Eq + Hash> Shares<C> {
    /// `most`: how many one client may have.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }

    /// So many more for this client; `None`: it may not have all of them. O(1), under a lock.
    pub(crate) fn take(&self, client: C, count: usize) -> Option<Share<C>> {
        let mut held = lock(&self.held);
        let all = held.get(&client).copied().unwrap_or_default().saturating_add(count);
        (all <= self.most).then(|| {
            held.insert(client, all);
            Share { held: Arc::clone(&self.held), client, count }
        })
    }

    /// Whether less than a quarter of what this client may have is left. O(1), under a lock.
    pub(crate) fn is_scarce(&self, client: C) -> bool {
        let held = lock(&self.held).get(&client).copied().unwrap_or_default();
        self.most.saturating_sub(held) < self.most.div_ceil(4)
    }

    /// How many clients have something.
    #[cfg(test)]
    pub(crate) fn clients(&self) -> usize {
        lock(&self.held).len()
    }
}

impl<C: Eq + Hash> Drop for Share<C> {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(count) = held.get_mut(&self.client) {
            *count = count.saturating_sub(self.count);
            if *count == 0 {
                held.remove(&self.client);
            }
        }
    }
}

fn lock<C>(held: &Mutex<HashMap<C, usize>>) -> MutexGuard<'_, HashMap<C, usize>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_and_who_has_none_is_forgotten() {
        let shares = Shares::new(2);
        let held = [shares.take(1, 1).unwrap(), shares.take(1, 1).unwrap()];
        assert!(shares.take(1, 1).is_none());
        let other = shares.take(2, 1).unwrap();
        drop(held);
        assert_eq!(shares.clients(), 1);
        assert!(shares.take(1, 3).is_none());
        assert!(shares.take(1, 2).is_some());
        drop(other);
        assert_eq!(shares.clients(), 0);
    }
}
