//! Questions that were taken out of a socket and are not answered yet: a queue while all can be answered in time, and a
//! stack otherwise, since whoever has waited longest has given up first.

use super::pace::{IN_TIME, WATCHED};
use crate::server::datagrams::Ends;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Once the newest go first they do until the rest takes no longer than this: one answer more or less would otherwise
/// choose the oldest, all of them in the last moment.
const LITTLE: Duration = Duration::from_millis(100);

/// A question that waits.
#[derive(Debug)]
pub(super) struct Held {
    /// When it was taken; it came before that.
    at: Instant,
    ends: Ends,
    packet: Box<[u8]>,
}

impl Held {
    pub(super) fn datagram(&self) -> (Option<&[u8]>, &Ends) {
        (Some(&self.packet), &self.ends)
    }

    pub(super) fn ends(&mut self) -> &mut Ends {
        &mut self.ends
    }

    /// Bytes that it takes. For each datagram in a socket the kernel counts some hundred bytes more.
    fn size(&self) -> usize {
        size_of::<Self>() + self.packet.len()
    }
}

/// All that wait.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Oldest first.
    held: VecDeque<Held>,
    size: usize,
    /// The most bytes that they may take.
    most: usize,
    /// How long an answer takes.
    each: Duration,
    /// Since that was last found out: the time of so many answers.
    watched: (Duration, u32),
    is_newest_first: bool,
}

impl Backlog {
    /// None yet; there will be room for `most` bytes. `each`: how long an answer takes.
    pub(super) fn new(most: usize, each: Duration) -> Self {
        let (held, watched) = Default::default();
        Self { held, size: 0, most, each, watched, is_newest_first: false }
    }

    /// How long an answer takes of late.
    pub(super) fn each(&self) -> Duration {
        self.each
    }

    pub(super) fn push(&mut self, packet: &[u8], ends: &Ends, now: Instant) {
        let held = Held { at: now, ends: *ends, packet: packet.into() };
        self.size += held.size();
        self.held.push_back(held);
    }

    /// Whether all can be answered in time, one after the other.
    fn is_in_time(&self, now: Instant) -> bool {
        let age = self.held.front().map(|oldest| now.saturating_duration_since(oldest.at)).unwrap_or_default();
        age.saturating_add(self.work()) <= IN_TIME
    }

    /// How long it takes to answer all.
    fn work(&self) -> Duration {
        self.each.saturating_mul(u32::try_from(self.held.len()).unwrap_or(u32::MAX))
    }

    /// Whether what is in the socket waits there as well as here: more would cost the oldest their turn, which they can
    /// still have.
    pub(super) fn leaves_the_rest(&self, now: Instant) -> bool {
        self.size >= self.most && self.is_in_time(now)
    }

    /// Throws away those that are too old to be of use, and where not all can be answered in time the oldest of those
    /// for which there is no room; how many.
    pub(super) fn forget_late(&mut self, now: Instant) -> u64 {
        let (mut count, is_in_time) = (0, self.is_in_time(now));
        while let Some(oldest) = self.held.front()
            && (now.saturating_duration_since(oldest.at) > IN_TIME || !is_in_time && self.size > self.most)
        {
            self.size -= oldest.size();
            self.held.pop_front();
            count += 1;
        }
        count
    }

    /// The next ones, at most `count`: the oldest first as long as all can be answered in time, else the newest first.
    pub(super) fn turn(&mut self, count: usize, now: Instant) -> Vec<Held> {
        let count = count.min(self.held.len());
        self.is_newest_first = !self.is_in_time(now) || self.is_newest_first && self.work() > LITTLE;
        let turn: Vec<_> = match self.is_newest_first {
            true => self.held.drain(self.held.len() - count..).rev().collect(),
            false => self.held.drain(..count).collect(),
        };
        self.size -= turn.iter().map(Held::size).sum::<usize>();
        turn
    }

    /// `count` were answered, which took that time.
    pub(super) fn answered(&mut self, count: usize, took: Duration) {
        let (spent, answered) = &mut self.watched;
        *spent = spent.saturating_add(took);
        *answered = answered.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        // A thread with a part of a core has its turns and its pauses, which count together.
        if *spent >= WATCHED {
            self.each = spent.checked_div(*answered).unwrap_or(self.each);
            self.watched = Default::default();
        }
    }
}
