//! What was measured as Markdown: a row for each server and set of questions, and the bars that Tidegate is held to.

use super::RATE;
use super::dnsperf::Seen;
use super::questions::Set;
use super::servers::Peer;
use crate::measure::{Figure, Usage, markdown, median};

/// The most CPU a query, against these peers.
const CPU_BARS: [(Peer, f64); 2] = [(Peer::Knot, 0.9), (Peer::Coredns, 0.3)];
/// Megabytes that may be resident: for a thousand Pods and Services, and besides.
const MEGABYTES_A_THOUSAND: f64 = 0.5;
const MEGABYTES_BESIDES: f64 = 20.0;
/// So much of [`RATE`] must have been reached.
const REACHED: f64 = 0.95;

/// A set of questions, and whether endpoints change while it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) set: Set,
    pub(super) is_changing: bool,
}

/// A server under a load.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    pub(super) peer: Peer,
    /// Answers a second as fast as it could.
    pub(super) per_second: f64,
    /// User and system microseconds of all its threads for an answer.
    pub(super) cpu: f64,
    pub(super) lost: u64,
    /// Answers with a response code that is not right.
    pub(super) wrong: u64,
    /// The 50th and the 99th percentile of the latency (µs) at half of that rate.
    pub(super) half: Option<(f64, f64)>,
    /// Bytes after the load.
    pub(super) resident: u64,
    /// Endpoint changes that were made each second.
    pub(super) changes: Option<f64>,
}

/// All that was measured.
#[derive(Default)]
pub(super) struct Run {
    pub(super) services: u32,
    /// As many as there are endpoints.
    pub(super) pods: u32,
    /// Each with its round.
    pub(super) measures: Vec<(Case, u32, Measure)>,
    /// What has bars, or none, of its own.
    pub(super) figures: Vec<Figure>,
}

impl Measure {
    /// Of a load, and what the server had used before and after it.
    pub(super) fn new(peer: Peer, set: Set, seen: &Seen, [before, after]: [Usage; 2]) -> Self {
        Self {
            peer,
            per_second: seen.per_second,
            cpu: (after.cpu - before.cpu).as_secs_f64() * 1e6 / seen.completed as f64,
            lost: seen.lost,
            wrong: seen.wrong(set.codes()),
            half: None,
            resident: after.resident,
            changes: None,
        }
    }
}

impl Case {
    fn title(self) -> String {
        if self.is_changing { format!("{}, {RATE} changes/s", self.set.title()) } else { self.set.title().to_owned() }
    }
}

impl Run {
    pub(super) fn print(&self) {
        println!("\n{} Services, {} endpoints\n", self.services, self.pods);
        print!("{}", markdown(&self.rows(), 2));
        let head = ["bar", "measured", "at most", "verdict"].map(str::to_owned).to_vec();
        let figures = self.bars().into_iter().chain(self.figures.iter().cloned());
        let rows: Vec<Vec<String>> = [head].into_iter().chain(figures.map(|figure| figure.cells().to_vec())).collect();
        println!("\n{}", markdown(&rows, 1));
    }

    /// Whether every bar is met, no answer was wrong and Tidegate has lost none.
    pub(super) fn is_met(&self) -> bool {
        let is_right = |measure: &Measure| measure.wrong == 0 && (measure.lost == 0 || measure.peer != Peer::Tidegate);
        self.measures.iter().all(|(_, _, measure)| is_right(measure))
            && self.bars().iter().chain(&self.figures).all(Figure::is_met)
    }

    /// In the order in which they were measured, each once.
    fn cases(&self) -> Vec<Case> {
        unique(self.measures.iter().map(|(case, _, _)| *case))
    }

    fn of(&self, case: Case, peer: Peer) -> impl Iterator<Item = (u32, &Measure)> {
        let of = move |(other, _, measure): &&(Case, u32, Measure)| *other == case && measure.peer == peer;
        self.measures.iter().filter(of).map(|(_, round, measure)| (*round, measure))
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let head = ["questions", "server", "queries/s", "lost", "wrong", "CPU µs/query", "to Knot", "to CoreDNS"];
        let head = head.into_iter().chain(["p50 µs", "p99 µs", "resident MB"]).map(str::to_owned).collect();
        let mut rows = vec![head];
        for case in self.cases() {
            for peer in unique(self.measures.iter().filter(|(other, ..)| *other == case).map(|(.., one)| one.peer)) {
                rows.push(self.row(case, peer));
            }
        }
        rows
    }

    fn row(&self, case: Case, peer: Peer) -> Vec<String> {
        let middle = |part: fn(&Measure) -> Option<f64>| median(self.of(case, peer).filter_map(|(_, one)| part(one)));
        let sum = |part: fn(&Measure) -> u64| self.of(case, peer).map(|(_, one)| part(one)).sum::<u64>();
        vec![
            case.title(),
            peer.name().to_owned(),
            number(middle(|one| Some(one.per_second)), 0),
            sum(|one| one.lost).to_string(),
            sum(|one| one.wrong).to_string(),
            number(middle(|one| Some(one.cpu)), 2),
            number(self.ratio(case, peer, Peer::Knot), 2),
            number(self.ratio(case, peer, Peer::Coredns), 2),
            number(middle(|one| Some(one.half?.0)), 0),
            number(middle(|one| Some(one.half?.1)), 0),
            number(middle(|one| Some(one.resident as f64 / 1e6)), 1),
        ]
    }

    /// The median of CPU a query against another's in the same round, so that noise is shared; not a number where that
    /// was not measured.
    fn ratio(&self, case: Case, peer: Peer, to: Peer) -> f64 {
        // What serves a file, and was not measured beside changes, is compared without them.
        let is_measured = self.of(case, to).next().is_some();
        let other = if is_measured { case } else { Case { is_changing: false, ..case } };
        median(self.of(case, peer).filter_map(|(round, one)| {
            let (_, other) = self.of(other, to).find(|(number, _)| *number == round)?;
            Some(one.cpu / other.cpu)
        }))
    }

    fn bars(&self) -> Vec<Figure> {
        let mut bars = Vec::new();
        for case in self.cases() {
            for (peer, limit) in CPU_BARS {
                let name = format!("{}: CPU a query to {}'s", case.title(), peer.name());
                bars.push(Figure::new(&name, self.ratio(case, Peer::Tidegate, peer), "").at_most(limit));
            }
            let changes = median(self.of(case, Peer::Tidegate).filter_map(|(_, one)| one.changes));
            if case.is_changing {
                // Where fewer were made the other figures are too good.
                let name = format!("{}: between two changes", case.title());
                let limit = 1e3 / f64::from(RATE) / REACHED;
                bars.push(Figure::new(&name, 1e3 / changes, "ms").at_most(limit));
            }
        }
        let resident = self.measures.iter().filter(|(_, _, one)| one.peer == Peer::Tidegate);
        let most = resident.map(|(_, _, one)| one.resident as f64 / 1e6).reduce(f64::max).unwrap_or(f64::NAN);
        let limit = f64::from(self.pods + self.services) / 1e3 * MEGABYTES_A_THOUSAND + MEGABYTES_BESIDES;
        let name = format!("most resident, {} Pods and {} Services", self.pods, self.services);
        bars.push(Figure::new(&name, most, "MB").at_most(limit));
        bars
    }
}

fn unique<Value: PartialEq>(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut unique = Vec::new();
    for value in values {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    unique
}

fn number(value: f64, digits: usize) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.digits$}") }
}

#[cfg(test)]
mod tests;
