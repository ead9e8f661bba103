//! How long to wait after a fault: longer each time, at random within bounds, and not at all once things go well.

use super::fault::Fault;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
/// A server that is back is found within this.
const LAST: Duration = Duration::from_secs(5);
/// A server that has just begun forbids what it does not know the rules of yet, for a few seconds.
const REFUSED: Duration = Duration::from_secs(1);
/// After so many tries they are the rules, and not that it has just begun.
const REFUSALS: u32 = 10;
/// What is forbidden for good, or is not there, is asked for rarely: only somebody's hand changes that.
const RARE: Duration = Duration::from_secs(10);
const RARE_LAST: Duration = Duration::from_secs(60);

/// The wait after each of several faults in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    faults: u32,
    /// Of those the last ones that were refusals.
    refusals: u32,
}

impl Backoff {
    /// Things go well.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The wait after one more fault. `chance`, from 0 to 1, spreads what happens to many at once.
    pub(crate) fn after(&mut self, fault: &Fault, chance: f64) -> Duration {
        let chance = chance.clamp(0.0, 1.0);
        if matches!(fault, Fault::Forbidden(_)) {
            return self.after_refusal(chance);
        }
        self.refusals = 0;
        // Who is asked to wait does not come early, nor at once with all others.
        self.longer((FIRST, LAST), chance).max(fault.wait().mul_f64(1.0 + chance / 4.0))
    }

    /// However long the server was away before, it is one that has just begun.
    fn after_refusal(&mut self, chance: f64) -> Duration {
        let before = self.refusals;
        self.refusals = before.saturating_add(1);
        match before.checked_sub(REFUSALS) {
            None => spread(grown((REFUSED, LAST), before), chance),
            Some(before) => spread(grown((RARE, RARE_LAST), before), chance),
        }
    }

    /// The wait after it has turned out once more that what is asked for does not exist.
    pub(crate) fn after_absence(&mut self, chance: f64) -> Duration {
        self.longer((RARE, RARE_LAST), chance.clamp(0.0, 1.0))
    }

    fn longer(&mut self, bounds: (Duration, Duration), chance: f64) -> Duration {
        let whole = grown(bounds, self.faults);
        self.faults = self.faults.saturating_add(1);
        spread(whole, chance)
    }
}

fn grown((first, last): (Duration, Duration), faults: u32) -> Duration {
    first.saturating_mul(1 << faults.min(16)).min(last)
}

fn spread(whole: Duration, chance: f64) -> Duration {
    whole.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let fault = Fault::other("away");
        let waits: Vec<_> = (0..7).map(|_| backoff.after(&fault, 1.0).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.after(&fault, 0.0).as_millis(), 2500, "half of it at least");
        backoff.reset();
        assert_eq!(backoff.after(&fault, 1.0).as_millis(), 200);
    }

    #[test]
    fn who_is_asked_to_wait_does() {
        let mut backoff = Backoff::default();
        let busy = |seconds| Fault::Busy("busy".into(), Duration::from_secs(seconds));
        assert_eq!(backoff.after(&busy(8), 0.0).as_secs(), 8);
        assert_eq!(backoff.after(&busy(8), 1.0).as_secs(), 10, "not all at once");
        let waits: Vec<_> = (0..4).map(|_| backoff.after(&busy(1), 1.0).as_millis()).collect();
        assert_eq!(waits, [1250, 1600, 3200, 5000], "more than that where it fails again and again");
    }

    #[test]
    fn what_is_forbidden_is_asked_for_soon_and_later_rarely() {
        let mut backoff = Backoff::default();
        let away = Fault::other("away");
        assert!((0..9).all(|_| !backoff.after(&away, 1.0).is_zero()));
        let refused = Fault::Forbidden("no".into());
        let mut waits = |count| -> Vec<_> { (0..count).map(|_| backoff.after(&refused, 1.0).as_secs()).collect() };
        assert_eq!(waits(10), [1, 2, 4, 5, 5, 5, 5, 5, 5, 5], "a server that was away forbids for a moment");
        assert_eq!(waits(5), [10, 20, 40, 60, 60]);
        assert_eq!(backoff.after(&away, 0.0).as_millis(), 2500, "as before");
        assert_eq!(backoff.after(&refused, 0.0).as_millis(), 500, "another one has begun");
        backoff.reset();
        assert_eq!(backoff.after(&refused, 1.0).as_secs(), 1);
    }

    #[test]
    fn what_is_not_there_is_asked_for_rarely() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..4).map(|_| backoff.after_absence(1.0).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 60]);
    }
}
