//! Addresses and who has them, sorted, in pieces: a change copies the list of pieces and one of them, whether
//! 100,000 owners have an address each or all the same one.

use std::sync::Arc;

/// Owners in a piece at most. 100,000 make 400 to 800 pieces.
const PIECE: usize = 256;

/// Sorted by address and owner, without duplicates; no piece is empty.
#[derive(Debug, Clone)]
pub(super) struct Pieces<A, O> {
    pieces: Vec<Arc<Vec<(A, O)>>>,
}

impl<A, O> Default for Pieces<A, O> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<A: Copy + Ord, O: Ord + Clone> Pieces<A, O> {
    /// O(log n) comparisons; copies one piece if a clone shares it.
    pub(super) fn insert(&mut self, owned: (A, O)) {
        let index = self.piece_of(&owned).min(self.pieces.len().saturating_sub(1));
        let Some(piece) = self.pieces.get_mut(index) else {
            self.pieces.push(Arc::new(vec![owned]));
            return;
        };
        let piece = Arc::make_mut(piece);
        let Err(place) = piece.binary_search(&owned) else { return };
        piece.insert(place, owned);
        if piece.len() > PIECE {
            let upper = piece.split_off(PIECE / 2);
            // Addresses that come in order leave this half as it is for ever.
            piece.shrink_to_fit();
            self.pieces.insert(index + 1, Arc::new(upper));
        }
    }

    /// As cheap as [`Self::insert`].
    pub(super) fn remove(&mut self, owned: &(A, O)) {
        let index = self.piece_of(owned);
        let Some(piece) = self.pieces.get_mut(index) else { return };
        let Ok(place) = piece.binary_search(owned) else { return };
        if piece.len() == 1 {
            self.pieces.remove(index);
        } else {
            Arc::make_mut(piece).remove(place);
        }
    }

    /// All, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(A, O)> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    /// Index of the only piece that can hold it.
    fn piece_of(&self, owned: &(A, O)) -> usize {
        self.pieces.partition_point(|piece| piece.last().is_some_and(|last| last < owned))
    }

    fn starting_at(&self, first: A) -> impl Iterator<Item = &(A, O)> {
        let is_before = |(address, _): &(A, O)| *address < first;
        let index = self.pieces.partition_point(|piece| piece.last().is_some_and(is_before));
        let (head, rest) = match self.pieces.get(index..).and_then(<[_]>::split_first) {
            Some((head, rest)) => (head.get(head.partition_point(is_before)..), rest),
            None => (None, &[][..]),
        };
        head.unwrap_or_default().iter().chain(rest.iter().flat_map(|piece| piece.iter()))
    }

    pub(super) fn owners(&self, address: A) -> impl Iterator<Item = &O> {
        self.starting_at(address).take_while(move |(other, _)| *other == address).map(|(_, owner)| owner)
    }

    /// Whether anybody has an address from `first` to `last`; O(log n).
    pub(super) fn has_any(&self, first: A, last: A) -> bool {
        self.starting_at(first).next().is_some_and(|(address, _)| *address <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    fn owned(address: u8, owner: u16) -> (Ipv4Addr, u16) {
        (Ipv4Addr::from([10, 0, 0, address]), owner)
    }

    fn all(reverse: &Pieces<Ipv4Addr, u16>) -> Vec<(Ipv4Addr, u16)> {
        reverse.iter().copied().collect()
    }

    #[test]
    fn a_change_copies_one_piece() {
        let mut before = Pieces::default();
        (0..5_000).for_each(|service| before.insert(owned(1, service)));
        let mut after = before.clone();
        after.insert(owned(1, 9_999));
        after.remove(&owned(1, 9_999));
        let is_shared = |piece: &Arc<_>| before.pieces.iter().any(|other| Arc::ptr_eq(other, piece));
        assert_eq!(after.pieces.iter().filter(|piece| !is_shared(piece)).count(), 1);
        assert!(after.pieces.len() > 5_000 / PIECE && after.pieces.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(all(&before), all(&after));
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_set(
            changes in prop::collection::vec((any::<bool>(), 0..4u8, 0..900u16), 0..3_000),
            first in 0..5u8,
            length in 0..3u8,
        ) {
            let (mut reverse, mut expected) = (Pieces::default(), BTreeSet::new());
            for (is_new, address, service) in changes {
                let owned = owned(address, service);
                if is_new {
                    reverse.insert(owned);
                    expected.insert(owned);
                } else {
                    reverse.remove(&owned);
                    expected.remove(&owned);
                }
            }
            prop_assert!(reverse.pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
            prop_assert_eq!(all(&reverse), expected.iter().cloned().collect::<Vec<_>>());
            let (first, last) = (Ipv4Addr::from([10, 0, 0, first]), Ipv4Addr::from([10, 0, 0, first + length]));
            let found: Vec<_> = reverse.owners(first).collect();
            let of_first = expected.iter().filter(|(address, _)| *address == first);
            prop_assert_eq!(found, of_first.map(|(_, owner)| owner).collect::<Vec<_>>());
            let is_between = |(address, _): &(Ipv4Addr, u16)| (first..=last).contains(address);
            prop_assert_eq!(reverse.has_any(first, last), expected.iter().any(is_between));
        }
    }
}
