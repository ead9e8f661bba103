//! In which order upstreams are asked.

use crate::plan::forward::Policy;
use rand::seq::SliceRandom;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A policy with what it remembers.
#[derive(Debug)]
pub(super) enum Order {
    Random,
    /// Holds the turn.
    RoundRobin(AtomicUsize),
    Sequential,
    /// Holds the index of the one that answered last, which is asked first.
    LastGood(AtomicUsize),
}

impl Order {
    pub(super) fn of(policy: Policy) -> Self {
        match policy {
            Policy::Random => Self::Random,
            Policy::RoundRobin => Self::RoundRobin(AtomicUsize::new(0)),
            Policy::Sequential => Self::Sequential,
        }
    }

    /// Puts upstreams in the order in which they are to be asked for the next question.
    pub(super) fn arrange<T>(&self, upstreams: &mut [T]) {
        let count = upstreams.len().max(1);
        match self {
            Self::Random => upstreams.shuffle(&mut rand::rng()),
            Self::RoundRobin(turn) => upstreams.rotate_left(turn.fetch_add(1, Ordering::Relaxed) % count),
            Self::Sequential => {}
            Self::LastGood(index) => upstreams.rotate_left(index.load(Ordering::Relaxed) % count),
        }
    }

    /// The upstream at `index`, as they are configured, has answered.
    pub(super) fn answered(&self, index: usize) {
        if let Self::LastGood(last) = self {
            last.store(index, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn arranged(order: &Order) -> [char; 3] {
        let mut upstreams = ['a', 'b', 'c'];
        order.arrange(&mut upstreams);
        upstreams
    }

    #[test]
    fn each_policy_has_its_order() {
        let sequential = Order::of(Policy::Sequential);
        assert_eq!([arranged(&sequential), arranged(&sequential)], [['a', 'b', 'c']; 2]);
        let turns = Order::of(Policy::RoundRobin);
        let firsts: Vec<char> = (0..6).map(|_| arranged(&turns)[0]).collect();
        assert_eq!(firsts, ['a', 'b', 'c', 'a', 'b', 'c']);
        let random = Order::of(Policy::Random);
        // One of the six is missing once in 10^78.
        let all: BTreeSet<_> = (0..1000).map(|_| arranged(&random)).collect();
        assert_eq!(all.len(), 6);
        let last = Order::LastGood(AtomicUsize::new(0));
        assert_eq!(arranged(&last), ['a', 'b', 'c']);
        last.answered(2);
        assert_eq!(arranged(&last), ['c', 'a', 'b']);
        let none: &mut [char] = &mut [];
        last.arrange(none);
        turns.arrange(none);
    }
}
