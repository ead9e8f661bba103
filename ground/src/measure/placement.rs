//! On which cores processes may run.

use super::usage::family;
use anyhow::Context as _;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs;

/// Lets the process `root` and all that it has started run on `cores` alone; what they start from then on does so too.
///
/// # Errors
/// Where the kernel refuses it: there is no such core, or the process is gone.
pub(crate) fn place(root: u32, cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    // What a thread has started while the first pass came to it is met by the second.
    for _ in 0..2 {
        for id in family(root) {
            for thread in threads(id) {
                match sched_setaffinity(Some(thread), &set) {
                    // It has ended in between.
                    Err(rustix::io::Errno::SRCH) if id != root => {}
                    outcome => outcome.with_context(|| format!("process {id} cannot be moved to cores {cores:?}"))?,
                }
            }
        }
    }
    Ok(())
}

fn threads(id: u32) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| Pid::from_raw(task.file_name().to_str()?.parse().ok()?)).collect()
}
