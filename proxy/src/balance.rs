//! The choice of an endpoint for one attempt: by load or in turn, around ejected and already tried ones.
//! O(1) while nothing is in the way, O(endpoints) else.

mod random;
#[cfg(test)]
mod tests;

pub use random::Random;
pub(crate) use random::mix;

use crate::health::{Moment, Standing};
use crate::live::{LiveBackend, Picked, Upstream};
use config::Balancing;
use std::sync::Arc;
use tokio::time::Instant;

/// Chooses an endpoint that is not in `tried`, the ids of this exchange's earlier attempts, unless all are; `None` only
/// where the backend has no endpoint.
///
/// Ejected endpoints are passed over as long as they are at most half. If more are ejected, the fault is likelier on
/// this side, and the rest must not bear all the load: then all take part, and an ejected one loses against one that is
/// not. An ejected endpoint is also preferred to trying the same one again.
#[must_use]
pub fn pick(backend: &LiveBackend, tried: &[u32], now: Instant, random: &Random) -> Option<Picked> {
    let endpoints = backend.candidates();
    let choice = Choice { backend, endpoints, now: backend.origin().at(now), random };
    // The snapshot that this exchange keeps may be older than the removal of an endpoint.
    let is_untried = |upstream: &Upstream| upstream.is_current() && !tried.contains(&upstream.id());
    let is_free = |upstream: &Upstream| is_untried(upstream) && upstream.health().admits(choice.now);

    let draw = choice.draw();
    if let Some(picked) = choice.among(draw, is_free).and_then(|upstream| choice.claim(upstream)) {
        return Some(picked);
    }
    if choice.most_are_ejected() {
        return choice
            .among(draw, is_untried)
            .or_else(|| choice.search(is_untried))
            .or_else(|| choice.search(|_| true))
            .map(|upstream| choice.force(upstream));
    }
    // A claim fails only where another worker was faster to probe a half-open endpoint, which then is not free any more.
    for _ in endpoints {
        let Some(upstream) = choice.search(is_free) else { break };
        if let Some(picked) = choice.claim(upstream) {
            return Some(picked);
        }
    }
    let upstream = choice.search(is_untried).or_else(|| choice.search(|_| true))?;
    Some(choice.force(upstream))
}

struct Choice<'a> {
    backend: &'a LiveBackend,
    endpoints: &'a [Arc<Upstream>],
    now: Moment,
    random: &'a Random,
}

/// Indexes of endpoints.
#[derive(Clone, Copy)]
enum Draw {
    Pair(usize, usize),
    Turn(usize),
}

impl<'a> Choice<'a> {
    fn draw(&self) -> Draw {
        match self.backend.backend.balancing {
            Balancing::LeastRequests => {
                let (first, second) = self.two_below(self.endpoints.len());
                Draw::Pair(first, second)
            }
            Balancing::RoundRobin => Draw::Turn(self.turn()),
        }
    }

    /// What was drawn, if all of it is eligible.
    fn among(&self, draw: Draw, is_eligible: impl Fn(&Upstream) -> bool) -> Option<&'a Arc<Upstream>> {
        let eligible = |index: usize| self.endpoints.get(index).filter(|upstream| is_eligible(upstream));
        match draw {
            Draw::Pair(first, second) => Some(self.lighter(eligible(first)?, eligible(second)?)),
            Draw::Turn(index) => eligible(index),
        }
    }

    /// An eligible endpoint, if there is any.
    fn search(&self, is_eligible: impl Fn(&Upstream) -> bool) -> Option<&'a Arc<Upstream>> {
        let eligible = || self.endpoints.iter().filter(|upstream| is_eligible(upstream));
        match self.backend.backend.balancing {
            Balancing::LeastRequests => {
                let (first, second) = self.two_below(eligible().count());
                // What is eligible may change between the passes.
                let first = eligible().nth(first).or_else(|| eligible().next())?;
                Some(eligible().nth(second).map_or(first, |second| self.lighter(first, second)))
            }
            // Passing over is a turn too: else the one behind a gap would get twice its share.
            Balancing::RoundRobin => (0..self.endpoints.len())
                .filter_map(|_| self.endpoints.get(self.turn()))
                .find(|upstream| is_eligible(upstream))
                .or_else(|| eligible().next()),
        }
    }

    /// Two different numbers below `count`, where there are two.
    fn two_below(&self, count: usize) -> (usize, usize) {
        if count < 2 {
            return (0, 0);
        }
        let first = self.random.below(count);
        let second = self.random.below(count - 1);
        (first, second + usize::from(second >= first))
    }

    fn turn(&self) -> usize {
        let count = self.endpoints.len().max(1) as u64;
        (self.backend.next_turn() % count) as usize
    }

    /// The less loaded of two. Equals take turns by age of their last pick: the endpoints of an idle backend are used
    /// evenly, and a new one is not flooded, as it would be by counting picks.
    fn lighter(&self, one: &'a Arc<Upstream>, other: &'a Arc<Upstream>) -> &'a Arc<Upstream> {
        let weight =
            |upstream: &Upstream| (!upstream.health().admits(self.now), upstream.in_flight(), upstream.last_pick());
        if weight(one) <= weight(other) { one } else { other }
    }

    fn most_are_ejected(&self) -> bool {
        let ejected = self.endpoints.iter().filter(|upstream| !upstream.health().admits(self.now)).count();
        ejected * 2 > self.endpoints.len()
    }

    fn claim(&self, upstream: &Arc<Upstream>) -> Option<Picked> {
        Some(self.picked(upstream, upstream.health().claim(self.now)?))
    }

    fn force(&self, upstream: &Arc<Upstream>) -> Picked {
        self.picked(upstream, upstream.health().force(self.now))
    }

    fn picked(&self, upstream: &Arc<Upstream>, standing: Standing) -> Picked {
        Picked::new(upstream, standing, self.now)
    }
}
