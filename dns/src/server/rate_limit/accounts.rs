//! Accounts of answers: so many of them, in one piece of memory that does not grow, whoever asks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Accounts that lie together, and among which a new one takes the place of another.
const WAYS: usize = 8;
/// What can be saved up.
const CREDIT: Duration = Duration::from_secs(1);
/// What can be owed: so long after an account was last overdrawn it is surely even.
const WINDOW: Duration = Duration::from_secs(15);

/// What one has had, by the clock of [`Accounts::time`].
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    key: u64,
    /// When it is even, if nothing more is taken: credit where that is past, debt where it is to come. As one number it
    /// says too whose account is to go: the one that has been even for longest is worth least.
    even_at: u64,
    /// Answers held back in a row.
    held_back: u32,
}

/// All of them. An account earns an answer each time one's cost has passed.
#[derive(Debug)]
pub(super) struct Accounts {
    sets: Box<[Mutex<[Account; WAYS]>]>,
    since: Instant,
    /// Of one answer; nanoseconds.
    cost: u64,
}

impl Accounts {
    /// `most`: how many accounts there may be, at least [`WAYS`]; `rate`: answers a second.
    pub(super) fn new(most: usize, rate: u32, since: Instant) -> Self {
        let sets = (0..(most / WAYS).max(1)).map(|_| Mutex::default()).collect();
        Self { sets, since, cost: (nanos(Duration::from_secs(1)) / u64::from(rate.max(1))).max(1) }
    }

    /// Takes an answer from the account with this key, a number that others cannot choose, that earns so many times the
    /// rate. `None`: it was there to be taken; else how many were not before it, in a row.
    pub(super) fn take(&self, (key, times): (u64, u64), now: Instant) -> Option<u32> {
        let now = self.time(now);
        let index = usize::try_from(key % self.sets.len() as u64).unwrap_or_default();
        let mut accounts = self.sets.get(index)?.lock().unwrap_or_else(PoisonError::into_inner);
        let account = match accounts.iter().position(|account| account.key == key) {
            Some(place) => accounts.get_mut(place)?,
            None => {
                let oldest = accounts.iter_mut().min_by_key(|account| account.even_at)?;
                *oldest = Account { key, ..Account::default() };
                oldest
            }
        };
        let cost = (self.cost / times.max(1)).max(1);
        let even_at = account.even_at.max(now - nanos(CREDIT)) + cost;
        account.even_at = even_at.min(now + nanos(WINDOW));
        let is_there = even_at <= now;
        let before = account.held_back;
        account.held_back = if is_there { 0 } else { before.wrapping_add(1) };
        (!is_there).then_some(before)
    }

    /// Nanoseconds; never less than can be saved up.
    fn time(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.since)) + nanos(CREDIT)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many of `count` answers at once there are.
    fn taken(accounts: &Accounts, key: u64, now: Instant, count: usize) -> usize {
        (0..count).filter(|_| accounts.take((key, 1), now).is_none()).count()
    }

    #[test]
    fn a_second_is_saved_up_and_fifteen_are_owed() {
        let since = Instant::now();
        let accounts = Accounts::new(64, 5, since);
        let at = |seconds: f64| since + Duration::from_secs_f64(seconds);
        assert_eq!(taken(&accounts, 1, at(0.0), 8), 5);
        assert_eq!(taken(&accounts, 2, at(0.0), 8), 5, "another has its own");
        // Three were owed.
        assert_eq!(taken(&accounts, 1, at(0.79), 1), 0);
        assert_eq!(taken(&accounts, 2, at(1.6), 8), 5);
        assert_eq!(taken(&accounts, 2, at(60.0), 8), 5, "no more than a second is saved up");
        // Whoever has asked for a thousand owes 15 s, and not 200.
        assert_eq!(taken(&accounts, 3, at(60.0), 1_000), 5);
        assert_eq!(taken(&accounts, 3, at(75.1), 1), 0);
        assert_eq!(taken(&accounts, 3, at(75.6), 1), 1, "even again, and one is earned");
        // A clock that another thread has read a moment before.
        assert_eq!(taken(&accounts, 4, since.checked_sub(SECOND).unwrap_or(since), 8), 5);
    }

    #[test]
    fn what_asks_within_its_rate_is_never_held_back() {
        let since = Instant::now();
        let accounts = Accounts::new(64, 5, since);
        let times = (0..1_000).map(|turn| since + SECOND * turn / 5);
        assert!(times.map(|now| accounts.take((9, 1), now)).all(|held_back| held_back.is_none()));
        // Half of what is twice as much.
        let times = (0..1_000).map(|turn| since + SECOND * 1_000 + SECOND * turn / 10);
        let held_back = times.filter(|now| accounts.take((9, 1), *now).is_some()).count();
        assert!((900..1_000).contains(&held_back), "{held_back}: whoever goes on is in debt for good");
    }

    #[test]
    fn those_held_back_are_counted_in_a_row() {
        let since = Instant::now();
        let accounts = Accounts::new(64, 1, since);
        let counts: Vec<_> = (0..4).map(|_| accounts.take((1, 1), since)).collect();
        assert_eq!(counts, [None, Some(0), Some(1), Some(2)]);
        assert_eq!(accounts.take((1, 1), since + SECOND * 5), None);
        assert_eq!(accounts.take((1, 1), since + SECOND * 5), Some(0));
    }

    /// Keys of one set: what a flood of made-up addresses does to an account.
    #[test]
    fn a_flood_of_others_moves_out_those_that_owe_nothing() {
        let since = Instant::now();
        let accounts = Accounts::new(WAYS, 10, since);
        assert_eq!(taken(&accounts, 1, since, 1_000), 10);
        let mut now = since;
        for key in 2..100_000 {
            now += Duration::from_micros(100);
            assert_eq!(accounts.take((key, 1), now), None, "a new one begins with credit");
        }
        assert_eq!(taken(&accounts, 1, now, 10), 0, "10 s later the flooded one still owes");
        assert_eq!(accounts.sets.len(), 1);
    }

    #[test]
    fn a_flood_of_debts_costs_no_more_memory_and_no_new_client_its_answer() {
        let since = Instant::now();
        let accounts = Accounts::new(WAYS, 1, since);
        for key in 1..1_000 {
            assert_eq!(taken(&accounts, key, since, 20), 1, "{key}");
        }
        assert_eq!(accounts.take((5_000, 1), since), None);
    }

    #[test]
    fn an_account_can_earn_several_times_the_rate() {
        let since = Instant::now();
        let accounts = Accounts::new(64, 5, since);
        let four = |now, count| (0..count).filter(|_| accounts.take((1, 4), now).is_none()).count();
        assert_eq!(four(since, 24), 20);
        // Four were owed, and 20 are earned.
        assert_eq!(four(since + SECOND, 24), 16);
        assert_eq!(taken(&accounts, 2, since, 8), 5, "others earn what they did");
    }

    #[test]
    fn any_rate_is_one() {
        let since = Instant::now();
        for rate in [0, 1, 3, 1_000_000_000, u32::MAX] {
            let accounts = Accounts::new(0, rate, since);
            let expected = usize::try_from(rate.clamp(1, 100)).unwrap();
            assert_eq!(taken(&accounts, 1, since, 100), expected, "{rate} a second");
        }
    }
}
