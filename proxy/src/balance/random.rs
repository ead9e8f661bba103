//! Random numbers for choosing and for jitter, not for secrets: one generator a worker, seeded by the caller.

use std::cell::Cell;
use std::time::Duration;

/// SplitMix64.
#[derive(Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// The same seed gives the same numbers.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// Any number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mix(self.0.get())
    }

    /// A number below `bound`; 0 if that is 0. Biased by less than `bound` / 2⁶⁴.
    #[must_use]
    pub fn below(&self, bound: usize) -> usize {
        ((u128::from(self.number()) * bound as u128) >> 64) as usize
    }

    /// A time shorter than `bound`; zero if that is zero.
    #[must_use]
    pub fn time_below(&self, bound: Duration) -> Duration {
        bound.mul_f64((self.number() >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Each bit of the result depends on each bit of `number`.
pub(crate) fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
