//! Questions that were taken out of a socket and are not answered yet: a queue while all can be answered in time, and a
//! stack otherwise, since whoever has waited longest has given up first.

use super::pace::IN_TIME;
use crate::server::datagrams::Ends;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

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
}

impl Backlog {
    /// None yet; there will be room for `most` bytes. `each`: how long an answer takes.
    pub(super) fn new(most: usize, each: Duration) -> Self {
        Self { held: VecDeque::new(), size: 0, most, each }
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
        let count = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        age.saturating_add(self.each.saturating_mul(count)) <= IN_TIME
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

    /// The next ones, at most `count`: the oldest first if all can be answered in time, else the newest first.
    pub(super) fn turn(&mut self, count: usize, now: Instant) -> Vec<Held> {
        let count = count.min(self.held.len());
        let turn: Vec<_> = match self.is_in_time(now) {
            true => self.held.drain(..count).collect(),
            false => self.held.drain(self.held.len() - count..).rev().collect(),
        };
        self.size -= turn.iter().map(Held::size).sum::<usize>();
        turn
    }

    /// `count` were answered, which took that time.
    pub(super) fn answered(&mut self, count: usize, took: Duration) {
        let Some(each) = u32::try_from(count).ok().and_then(|count| took.checked_div(count)) else { return };
        // That it can be done as fast is known then; that it was slow may be since the thread lost its turn once.
        self.each = each.min(self.each.saturating_mul(3).saturating_add(each) / 4);
    }
}
