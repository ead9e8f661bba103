//! Whether an upstream takes questions with options of ours. Some refuse them, and there are firewalls that drop them, so
//! that nothing is said at all: until one was answered that may be why, and afterwards it is not.

use super::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long options are left out where a question with them was not answered; longer each time. There may be another
/// reason, as where the upstream was down.
const FIRST: Duration = Duration::from_secs(30);
/// How long at most, and where the upstream has said that it does not take them.
const LONGEST: Duration = Duration::from_secs(900);

/// What is known of an upstream.
#[derive(Debug, Default)]
pub(super) struct Manners {
    takes_options: AtomicBool,
    left_out: Mutex<Option<LeftOut>>,
}

/// Options are left out.
#[derive(Debug)]
struct LeftOut {
    until: Instant,
    span: Duration,
}

impl Manners {
    /// Whether a question that is asked now has options. Once in a while one tries them again where they are left out.
    pub(super) fn wants_options(&self, now: Instant) -> bool {
        if self.are_known() {
            return true;
        }
        match &mut *lock(&self.left_out) {
            Some(left_out) if now < left_out.until => false,
            Some(left_out) => {
                // Not the others too, which would all wait for the same.
                left_out.span = left_out.span.saturating_mul(2).min(LONGEST);
                left_out.until = now + left_out.span;
                true
            }
            None => true,
        }
    }

    /// Whether a question with options was answered.
    pub(super) fn are_known(&self) -> bool {
        self.takes_options.load(Ordering::Relaxed)
    }

    /// A question with options was answered.
    pub(super) fn take_options(&self) {
        if !self.are_known() {
            *lock(&self.left_out) = None;
            self.takes_options.store(true, Ordering::Relaxed);
        }
    }

    /// A question with options was not answered.
    pub(super) fn doubt(&self, now: Instant) {
        if !self.are_known() {
            lock(&self.left_out).get_or_insert(LeftOut { until: now + FIRST, span: FIRST });
        }
    }

    /// Questions are refused because of their options.
    pub(super) fn refuse_options(&self, now: Instant) {
        *lock(&self.left_out) = Some(LeftOut { until: now + LONGEST, span: LONGEST });
        self.takes_options.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_left_out_for_a_while_and_tried_again_by_one() {
        let (manners, start) = (Manners::default(), Instant::now());
        let wants = |at: u64| manners.wants_options(start + Duration::from_secs(at));
        assert!(wants(0) && wants(0));
        manners.doubt(start);
        // Those that were on their way too change nothing.
        manners.doubt(start + Duration::from_secs(2));
        assert_eq!(
            [wants(0), wants(29), wants(30), wants(30), wants(89), wants(90)],
            [false, false, true, false, false, true]
        );
        let tries: Vec<u64> = (91..4_000).filter(|at| wants(*at)).collect();
        assert_eq!(tries, [210, 450, 930, 1_830, 2_730, 3_630]);
        manners.take_options();
        manners.doubt(start + Duration::from_secs(4_000));
        assert!(wants(4_000));
    }

    #[test]
    fn what_refuses_options_gets_none_for_long() {
        let (manners, start) = (Manners::default(), Instant::now());
        manners.take_options();
        manners.refuse_options(start);
        let wants = |at: u64| manners.wants_options(start + Duration::from_secs(at));
        assert_eq!([wants(0), wants(899), wants(900), wants(901)], [false, false, true, false]);
    }
}
