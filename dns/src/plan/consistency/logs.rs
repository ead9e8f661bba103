//! Lines of `log` that no answer is written by: the first whose zone the client's name is in has it, whatever classes it
//! writes.

use super::asked::Asked;
use super::taken::{Taken, Taker, taker_of_all, tell_left_out};
use crate::plan::Block;
use crate::plan::reading::Reading;

pub(super) fn tell_idle(block: &Block, asked: &Asked<'_>, reading: &mut Reading<'_>) {
    let mut taken = Taken::default();
    for (nth, log) in block.logs.iter().enumerate() {
        let left_out = tell_left_out(block, ("log", nth), &log.zones, |zone| {
            let whole = taken.by(zone).filter(|_| asked.by_clients(zone));
            whole.or_else(|| taker_of_all(&asked.within_by_clients(zone), |zone| taken.by(zone)))
        });
        reading.notes.extend(left_out);
        let taker = Taker::new("log", block.place_of("log", nth));
        log.zones.iter().for_each(|zone| taken.add(zone, taker));
    }
}
