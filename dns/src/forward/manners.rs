//! Whether an upstream takes questions with options of ours. Some refuse them, and there are firewalls and servers that
//! drop what has any, so that nothing is said at all: who waits for an answer must not pay for it, and what was so once
//! may change. What is true over UDP says nothing about connections.

use super::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long options are left out where a question with them came to nothing; longer each time. There may be another
/// reason, as where the upstream was down.
const FIRST: Duration = Duration::from_secs(30);
/// How long at most, and where the upstream has said that it does not take them.
const LONGEST: Duration = Duration::from_secs(900);
/// Questions with options that come to nothing, one after the other, where they were taken before: packets are lost.
const UNANSWERED: u32 = 3;

/// What is known of an upstream.
#[derive(Debug, Default)]
pub(super) struct Manners {
    pub(super) over_udp: Manner,
    pub(super) over_stream: Manner,
}

/// The same over one of them.
#[derive(Debug, Default)]
pub(super) struct Manner {
    takes_options: AtomicBool,
    /// Questions in a row with options that came to nothing, since they are taken.
    unanswered: AtomicU32,
    left_out: Mutex<LeftOut>,
}

/// How options are left out where they are not known to be taken.
#[derive(Debug, Default)]
struct LeftOut {
    /// `None`: they were not tried yet.
    until: Option<Instant>,
    span: Duration,
    /// Since when they were taken the last time.
    taken_since: Option<Instant>,
    /// Questions on their way that are to find out.
    trials: usize,
}

/// A question with options; where it is dropped without a word nothing came of it.
#[derive(Debug)]
pub(super) struct Attempt<'m> {
    manner: &'m Manner,
    /// Whether it is to find out.
    is_trial: bool,
}

impl Manner {
    /// For a question that is asked now: `None`, it goes without options. `is_passed_on`: another forwarder's.
    pub(super) fn attempt(&self, now: Instant, is_passed_on: bool) -> Option<Attempt<'_>> {
        self.known().or_else(|| {
            let mut left_out = lock(&self.left_out);
            let is_trial = match left_out.until {
                Some(until) if now < until => false,
                // One finds out, while others do not wait for the same; but what may go in a circle is known by its option.
                None if is_passed_on => true,
                Some(_) | None => left_out.trials == 0,
            };
            left_out.trials += usize::from(is_trial);
            is_trial.then_some(Attempt { manner: self, is_trial })
        })
    }

    /// The same for one that finds nothing out.
    pub(super) fn known(&self) -> Option<Attempt<'_>> {
        let is_known = self.takes_options.load(Ordering::Relaxed);
        is_known.then_some(Attempt { manner: self, is_trial: false })
    }

    fn leave_out(&self, now: Instant, at_least: Duration) {
        self.takes_options.store(false, Ordering::Relaxed);
        let mut left_out = lock(&self.left_out);
        let (span, since) = (left_out.span, left_out.taken_since.take());
        // What is taken for a short while now and then, as by one of several behind an address, is hardly worth trials.
        let is_new = since.is_some_and(|since| now.saturating_duration_since(since) > span);
        let next = if is_new { FIRST } else { span.saturating_mul(2).max(FIRST) };
        left_out.span = next.max(at_least).min(LONGEST);
        left_out.until = Some(now + left_out.span);
    }
}

impl Attempt<'_> {
    /// It was answered.
    pub(super) fn took(self, now: Instant) {
        if self.is_trial {
            lock(&self.manner.left_out).taken_since = Some(now);
            self.manner.takes_options.store(true, Ordering::Relaxed);
        }
        if self.manner.unanswered.load(Ordering::Relaxed) > 0 {
            self.manner.unanswered.store(0, Ordering::Relaxed);
        }
    }

    /// It came to nothing.
    pub(super) fn failed(self, now: Instant) {
        let count = || self.manner.unanswered.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let is_enough = match self.is_trial {
            true => lock(&self.manner.left_out).until.is_none_or(|until| now >= until),
            false => count() >= UNANSWERED && self.manner.takes_options.load(Ordering::Relaxed),
        };
        // Those that were on their way when it was found out change nothing.
        if is_enough {
            self.manner.unanswered.store(0, Ordering::Relaxed);
            self.manner.leave_out(now, Duration::ZERO);
        }
    }

    /// It was refused because of its options.
    pub(super) fn refused(self, now: Instant) {
        self.manner.leave_out(now, LONGEST);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            lock(&self.manner.left_out).trials -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a question with options.
    #[derive(Clone, Copy)]
    enum End {
        Took,
        Failed,
        Refused,
    }

    use End::{Failed, Refused, Took};

    /// Asks at this second; whether with options.
    fn at(manner: &Manner, start: Instant, second: u64, end: End) -> bool {
        let now = start + Duration::from_secs(second);
        let Some(attempt) = manner.attempt(now, false) else { return false };
        match end {
            Took => attempt.took(now),
            Failed => attempt.failed(now),
            Refused => attempt.refused(now),
        }
        true
    }

    #[test]
    fn options_are_left_out_for_a_while_and_tried_again_by_one() {
        let (manner, start) = (Manner::default(), Instant::now());
        let trial = manner.attempt(start, false).unwrap();
        assert!(trial.is_trial && manner.attempt(start, false).is_none(), "others do not wait for it");
        drop(trial);
        // It proved nothing.
        let trial = manner.attempt(start, false).unwrap();
        // What another forwarder has passed on may be in a circle.
        let passed_on = manner.attempt(start, true).unwrap();
        trial.failed(start);
        passed_on.failed(start);
        let passed_on = || manner.attempt(start + Duration::from_secs(29), true).is_some();
        assert!(!passed_on());
        let tries: Vec<u64> = (1..4_000).filter(|second| at(&manner, start, *second, Failed)).collect();
        assert_eq!(tries, [30, 90, 210, 450, 930, 1_830, 2_730, 3_630]);
        assert!(manner.known().is_none());
        assert!(at(&manner, start, 5_000, Took));
        let known = manner.known().unwrap();
        assert!(!known.is_trial && manner.attempt(start, false).is_some());
    }

    #[test]
    fn what_took_them_is_asked_without_after_several_that_came_to_nothing() {
        let (manner, start) = (Manner::default(), Instant::now());
        let at = |second, end| at(&manner, start, second, end);
        assert!(at(0, Took));
        for _ in 0..9 {
            assert!(at(1, Failed) && at(1, Failed) && at(1, Took), "packets are lost");
        }
        let late = manner.attempt(start, false).unwrap();
        assert!((0..UNANSWERED).all(|_| at(100, Failed)));
        late.failed(start + Duration::from_secs(102));
        assert_eq!([129, 130].map(|second| at(second, Took)), [false, true]);
        // They were not for long.
        assert!((0..UNANSWERED).all(|_| at(140, Failed)));
        assert_eq!([199, 200].map(|second| at(second, Took)), [false, true]);
        assert!((0..UNANSWERED).all(|_| at(300, Failed)));
        assert_eq!([329, 330].map(|second| at(second, Took)), [false, true]);
    }

    #[test]
    fn what_refuses_options_gets_none_for_long() {
        let (manner, start) = (Manner::default(), Instant::now());
        let at = |second, end| at(&manner, start, second, end);
        assert!(at(0, Took) && at(0, Refused));
        assert_eq!([0, 899, 900, 901].map(|second| at(second, Refused)), [false, false, true, false]);
        assert!(at(1_800, Took) && at(1_801, Took));
    }
}
