//! What a process and all that it has started have used, as Linux counts it.

use anyhow::Context as _;
use std::fs;
use std::time::Duration;

/// CPU time since its start, of all its threads, and memory now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Bytes.
    pub(crate) resident: u64,
}

impl Usage {
    /// That of a process by its id, and of all that it has started: pages that they share count once for each.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn of(root: u32) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for id in family(root) {
            let read = |name: &str| {
                let path = format!("/proc/{id}/{name}");
                fs::read_to_string(&path).context(path)
            };
            let usage = parse(&read("stat")?, &read("status")?, rustix::param::clock_ticks_per_second());
            let Self { cpu, resident } = usage.with_context(|| format!("/proc/{id} is not what it should be"))?;
            sum.cpu += cpu;
            sum.resident += resident;
        }
        Ok(sum)
    }
}

/// A process and all below it.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(id) = members.get(next).copied() {
        next += 1;
        let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        for children in tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()) {
            members.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    members
}

fn parse(stat: &str, status: &str, ticks: u64) -> Option<Usage> {
    // The name of the program, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let time = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let cpu = Duration::from_millis((time(11)? + time(12)?) * 1000 / ticks);
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident = resident.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
    Some(Usage { cpu, resident: resident * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_count() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 9 9 20 0 5 0 100 1000 10 1";
        let status = "Name:\ta\nVmHWM:\t 3000 kB\nVmRSS:\t 2048 kB\n";
        let usage = Usage { cpu: Duration::from_secs(2), resident: 2 << 20 };
        assert_eq!(parse(stat, status, 100), Some(usage));
        assert_eq!(parse(stat, "Name:\ta\n", 100), None);
    }

    #[test]
    fn what_a_process_has_started_counts_with_it() {
        let child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let own = std::process::id();
        assert!(family(own).contains(&child.id()));
        assert!(Usage::of(own).unwrap().resident > Usage::of(child.id()).unwrap().resident);
        // The end of its input ends it.
        child.wait_with_output().unwrap();
    }
}
