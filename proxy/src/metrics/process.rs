//! Figures of the process as Prometheus clients name them, read from `/proc` at each scrape (proc(5)).
//! A figure that cannot be read is absent.

use super::family::{self, Family};
use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::fs;

/// Ticks a second of the times in `/proc`: USER_HZ, 100 wherever Rust runs on Linux.
const TICKS: f64 = 100.0;

/// Collects them.
#[derive(Debug)]
pub struct ProcessCollector {
    descriptions: Vec<Desc>,
    /// In seconds since the epoch.
    boot_time: Option<f64>,
}

impl ProcessCollector {
    /// Registers the families.
    ///
    /// # Errors
    /// [`prometheus::Error`] where one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<()> {
        let descriptions = family::of_process().map(Family::description).collect::<Result<_, _>>()?;
        let boot_time = read("/proc/stat").and_then(|stat| number_after(&stat, "btime"));
        registry.register(Box::new(Self { descriptions, boot_time }))
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The number behind a line's first word or words.
fn number_after(text: &str, words: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(words)?.split_whitespace().next()?.parse().ok())
}

/// The fields of `/proc/self/stat` behind the command's name, which may hold anything.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_whitespace().nth(number - 3)?.parse().ok()
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stat = read("/proc/self/stat").unwrap_or_default();
        let status = read("/proc/self/status").unwrap_or_default();
        let limits = read("/proc/self/limits").unwrap_or_default();
        let ticks = |number| Some(stat_field(&stat, number)? / TICKS);
        let kibibytes = |words| Some(number_after(&status, words)? * 1024.0);
        // The directory itself is open while it is read.
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as f64);
        let figures = [
            (&family::CPU_SECONDS, ticks(14).zip(ticks(15)).map(|(user, system)| user + system)),
            (&family::OPEN_FDS, open_fds),
            (&family::MAX_FDS, number_after(&limits, "Max open files")),
            (&family::VIRTUAL_MEMORY, kibibytes("VmSize:")),
            (&family::RESIDENT_MEMORY, kibibytes("VmRSS:")),
            (&family::START_TIME, self.boot_time.zip(ticks(22)).map(|(boot, since)| boot + since)),
            (&family::THREADS, number_after(&status, "Threads:")),
        ];
        let present = figures.into_iter().filter_map(|(family, value)| Some((family, value?)));
        present.map(|(family, value)| family.of(vec![family.sample::<&str>(&[], value)])).collect()
    }
}
