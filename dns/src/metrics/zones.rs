//! Numbers by server and zone, under CoreDNS's names, so that what was made to show its metrics shows these.
//! Each set of them is one row of cells: a thread counts into a row of its own, and adds up only what it touched.

mod cells;
mod collect;

use super::{Answered, Counted};
use crate::message::Transport;
use arc_swap::ArcSwap;
use cells::{CELLS, Cell};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use cells::Took;
pub(super) use collect::ZoneCollector;

/// Which server and zone a question is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ZoneId(usize);

/// How many ways there are in which questions come.
const PROTOCOLS: usize = 2;

type Row = [AtomicU64; CELLS];

/// All servers and zones that there have been.
#[derive(Default)]
pub(crate) struct Zones {
    all: ArcSwap<Vec<Arc<Zone>>>,
    adding: Mutex<()>,
}

/// One server and zone.
struct Zone {
    /// As `dns://:53`.
    server: String,
    zone: String,
    /// By protocol.
    rows: [Row; PROTOCOLS],
}

impl Zone {
    fn row(&self, transport: Transport) -> &Row {
        let [udp, tcp] = &self.rows;
        match transport {
            Transport::Udp => udp,
            Transport::Tcp => tcp,
        }
    }
}

impl Zones {
    /// That of a server and zone, the same one each time.
    pub(crate) fn id(&self, server: &str, zone: &str) -> ZoneId {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.all.load();
        if let Some(index) = all.iter().position(|known| known.server == server && known.zone == zone) {
            return ZoneId(index);
        }
        let rows = std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)));
        let mut more = Vec::clone(&all);
        more.push(Arc::new(Zone { server: server.to_owned(), zone: zone.to_owned(), rows }));
        let id = ZoneId(more.len() - 1);
        self.all.store(Arc::new(more));
        id
    }

    /// Counts an answer of that length.
    pub(crate) fn answered(&self, transport: Transport, counted: (Answered, (usize, usize)), said: (usize, Took)) {
        let (answered, indexes) = counted;
        self.in_row(transport, answered.question.zone, |row| {
            answered.each_cell(indexes, said, |cell, count| add(row, cell, count));
        });
    }

    /// Counts a question that gets no answer.
    pub(crate) fn asked(&self, transport: Transport, question: Counted) {
        self.in_row(transport, question.zone, |row| {
            question.each_cell(question.type_index(), |cell, count| add(row, cell, count));
        });
    }

    fn in_row(&self, transport: Transport, zone: ZoneId, count: impl FnOnce(&Row)) {
        if let Some(zone) = self.all.load().get(zone.0) {
            count(zone.row(transport));
        }
    }
}

fn add(row: &Row, cell: Cell, count: u64) {
    if let Some(cell) = row.get(cell) {
        cell.fetch_add(count, Ordering::Relaxed);
    }
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all.load();
        f.debug_list().entries(all.iter().map(|zone| (&zone.server, &zone.zone))).finish()
    }
}

/// What one thread has counted over UDP and nobody has seen yet.
#[derive(Default)]
pub(super) struct UnsharedZones(Vec<UnsharedZone>);

struct UnsharedZone {
    id: ZoneId,
    zone: Arc<Zone>,
    row: Box<[u64; CELLS]>,
    /// The cells that hold anything.
    touched: Vec<Cell>,
}

impl UnsharedZones {
    pub(super) fn answered(&mut self, zones: &Zones, counted: (Answered, (usize, usize)), said: (usize, Took)) {
        let (answered, indexes) = counted;
        let index = match self.0.iter().position(|zone| zone.id == answered.question.zone) {
            Some(index) => index,
            None => {
                let Some(zone) = zones.all.load().get(answered.question.zone.0).cloned() else { return };
                let touched = Vec::with_capacity(CELLS);
                self.0.push(UnsharedZone { id: answered.question.zone, zone, row: Box::new([0; CELLS]), touched });
                self.0.len() - 1
            }
        };
        let Some(UnsharedZone { row, touched, .. }) = self.0.get_mut(index) else { return };
        answered.each_cell(indexes, said, |cell, count| {
            if let Some(place) = row.get_mut(cell) {
                if *place == 0 {
                    touched.push(cell);
                }
                *place += count;
            }
        });
    }

    /// Adds all to what everybody sees.
    pub(super) fn share(&mut self) {
        for UnsharedZone { zone, row, touched, .. } in &mut self.0 {
            let shared = zone.row(Transport::Udp);
            for cell in touched.drain(..) {
                if let (Some(place), Some(shared)) = (row.get_mut(cell), shared.get(cell)) {
                    shared.fetch_add(std::mem::take(place), Ordering::Relaxed);
                }
            }
        }
    }
}

impl fmt::Debug for UnsharedZones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|zone| zone.id)).finish()
    }
}
