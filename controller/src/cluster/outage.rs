//! Faults of one thing that is tried again and again, told once of each sort and once when they are over.

use super::fault::Sort;
use crate::Printable;
use std::collections::BTreeSet;
use std::fmt::Display;
use tokio::time::Instant;

/// Whether something fails at present.
#[derive(Debug)]
pub(crate) struct Outage {
    /// What cannot be done, as in "cannot … : reason".
    what: String,
    since: Option<Instant>,
    /// What has been told since then: a server that is back and refuses is other news than one that is away.
    told: BTreeSet<Sort>,
}

impl Outage {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), since: None, told: BTreeSet::new() }
    }

    /// It failed.
    pub(crate) fn failed(&mut self, sort: Sort, reason: &dyn Display) {
        self.since.get_or_insert_with(Instant::now);
        let reason = Printable(reason);
        if self.told.insert(sort) {
            tracing::warn!("cannot {}: {reason}; it is tried again until it succeeds", self.what);
        } else {
            tracing::debug!("cannot {}: {reason}", self.what);
        }
    }

    /// It succeeded.
    pub(crate) fn over(&mut self) {
        self.told.clear();
        if let Some(since) = self.since.take() {
            tracing::info!("can {} again, after {} s", self.what, since.elapsed().as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_log::logged;
    use std::io::ErrorKind;

    #[test]
    fn each_sort_of_fault_is_told_once_an_outage() {
        let log = logged(|| {
            let mut outage = Outage::new("write");
            for _ in 0..2 {
                outage.failed(Sort::Connection(ErrorKind::ConnectionRefused), &"refused");
                outage.failed(Sort::Status(403), &"forbidden: a");
                outage.failed(Sort::Status(403), &"forbidden:\nb");
            }
            outage.over();
            outage.failed(Sort::Status(403), &"forbidden:\nc");
        });
        let told: Vec<_> = log.lines().filter(|line| !line.starts_with("DEBUG")).collect();
        assert_eq!(
            told,
            [
                "WARN message=cannot write: refused; it is tried again until it succeeds",
                "WARN message=cannot write: forbidden: a; it is tried again until it succeeds",
                "INFO message=can write again, after 0 s",
                "WARN message=cannot write: forbidden:\\nc; it is tried again until it succeeds",
            ]
        );
        assert_eq!(log.lines().count(), 8, "{log}");
    }
}
