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
/// Questions with options that come to nothing, one after the other, where they were taken before: packets are lost, what
/// nobody answers says little about options, and where they are left out circles are found late.
const UNANSWERED: u32 = 10;
/// Questions that are to find out, and come to nothing, before those that another forwarder passes on go without options
/// too: where it is a circle, they find out.
const TRIALS: u32 = 3;

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
    /// `None`: they never were.
    until: Option<Instant>,
    span: Duration,
    /// Since when they were taken the last time.
    taken_since: Option<Instant>,
    /// Questions in a row that were to find out, and came to nothing.
    failed: u32,
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
    /// For a question that is asked now, while there is time for another try: `None`, it goes without options.
    /// `is_passed_on`: another forwarder's.
    pub(super) fn attempt(&self, now: Instant, is_passed_on: bool) -> Option<Attempt<'_>> {
        self.attempt_if(|left_out| match left_out.until {
            None => true,
            Some(_) if is_passed_on && left_out.failed < TRIALS => true,
            // One finds out, while others do not wait for the same.
            Some(until) => now >= until && left_out.trials == 0,
        })
    }

    /// The same for a later try.
    pub(super) fn late_attempt(&self) -> Option<Attempt<'_>> {
        self.attempt_if(|left_out| left_out.until.is_none())
    }

    fn attempt_if(&self, is_to_find_out: impl Fn(&LeftOut) -> bool) -> Option<Attempt<'_>> {
        if self.is_known() {
            return Some(Attempt { manner: self, is_trial: false });
        }
        let mut left_out = lock(&self.left_out);
        let is_trial = is_to_find_out(&left_out);
        left_out.trials += usize::from(is_trial);
        is_trial.then_some(Attempt { manner: self, is_trial })
    }

    /// Whether options are taken.
    pub(super) fn is_known(&self) -> bool {
        self.takes_options.load(Ordering::Relaxed)
    }
}

impl LeftOut {
    fn begin(&mut self, now: Instant, at_least: Duration) {
        let (span, since) = (self.span, self.taken_since.take());
        // What is taken for a short while now and then, as by one of several behind an address, is hardly worth trials.
        let is_new = since.is_some_and(|since| now.saturating_duration_since(since) > span);
        let next = if is_new { FIRST } else { span.saturating_mul(2).max(FIRST) };
        self.span = next.max(at_least).min(LONGEST);
        self.until = Some(now + self.span);
    }
}

impl Attempt<'_> {
    /// It was answered.
    pub(super) fn took(self, now: Instant) {
        let Manner { takes_options, unanswered, left_out } = self.manner;
        if self.is_trial {
            let mut left_out = lock(left_out);
            if !takes_options.swap(true, Ordering::Relaxed) {
                (left_out.taken_since, left_out.failed) = (Some(now), 0);
            }
        }
        // Mostly there is nothing to write, which others would have to read again.
        if unanswered.load(Ordering::Relaxed) > 0 {
            unanswered.store(0, Ordering::Relaxed);
        }
    }

    /// It came to nothing.
    pub(super) fn failed(self, now: Instant) {
        let Manner { takes_options, unanswered, left_out } = self.manner;
        if self.manner.is_known() && unanswered.fetch_add(1, Ordering::Relaxed).saturating_add(1) < UNANSWERED {
            return;
        }
        let mut left_out = lock(left_out);
        left_out.failed = left_out.failed.saturating_add(u32::from(self.is_trial));
        // Those that were on their way when it was found out change nothing else.
        let is_new = takes_options.swap(false, Ordering::Relaxed)
            || (self.is_trial && left_out.until.is_none_or(|until| now >= until));
        if is_new {
            unanswered.store(0, Ordering::Relaxed);
            left_out.begin(now, Duration::ZERO);
        }
    }

    /// It was refused because of its options.
    pub(super) fn refused(self, now: Instant) {
        let mut left_out = lock(&self.manner.left_out);
        self.manner.takes_options.store(false, Ordering::Relaxed);
        left_out.begin(now, LONGEST);
        left_out.failed = TRIALS;
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
        // Nothing is known, and what goes in a circle is to be found.
        let [one, two] = [(); 2].map(|()| manner.attempt(start, false).unwrap());
        let three = manner.late_attempt().unwrap();
        drop(one);
        two.failed(start);
        three.failed(start);
        let passed_on = |second| manner.attempt(start + Duration::from_secs(second), true);
        // It may be a circle, which is known by them.
        assert!(passed_on(29).is_some() && manner.attempt(start, false).is_none());
        passed_on(29).unwrap().failed(start + Duration::from_secs(29));
        assert!(passed_on(29).is_none() && manner.late_attempt().is_none());
        let tries: Vec<u64> = (1..4_000).filter(|second| at(&manner, start, *second, Failed)).collect();
        assert_eq!(tries, [30, 90, 210, 450, 930, 1_830, 2_730, 3_630]);
        let later = start + Duration::from_secs(5_000);
        let trial = manner.attempt(later, false).unwrap();
        assert!([false, true].iter().all(|is_passed_on| manner.attempt(later, *is_passed_on).is_none()));
        drop(trial);
        // It proved nothing.
        manner.attempt(later, false).unwrap().took(later);
        assert!(manner.is_known() && manner.late_attempt().is_some_and(|attempt| !attempt.is_trial));
    }

    #[test]
    fn what_took_them_is_asked_without_after_many_that_came_to_nothing() {
        let (manner, start) = (Manner::default(), Instant::now());
        let at = |second, end| at(&manner, start, second, end);
        assert!(at(0, Took));
        for _ in 0..9 {
            assert!((1..UNANSWERED).all(|_| at(1, Failed)) && at(1, Took), "nobody answers");
        }
        let late = manner.attempt(start, false).unwrap();
        assert!((0..UNANSWERED).all(|_| at(100, Failed)) && !manner.is_known());
        late.failed(start + Duration::from_secs(102));
        assert!(manner.attempt(start + Duration::from_secs(102), true).is_some(), "it may be a circle");
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
