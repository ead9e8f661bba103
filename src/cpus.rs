//! How many CPUs this process may use: the quota of its cgroup, rounded up, and no more than it may run on.

use std::fs;
use std::path::{Path, PathBuf};

/// Worker threads where none are asked for; at least 1.
pub(crate) fn default_workers() -> usize {
    let allowed = allowed(&read("/proc/self/status")).unwrap_or(1);
    let quota = quota(&read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")).unwrap_or(allowed);
    quota.clamp(1, allowed)
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// CPUs that the scheduler may put us on (`Cpus_allowed_list` of proc(5), such as `0-3,8`).
fn allowed(status: &str) -> Option<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    list.trim().split(',').map(count).sum::<Option<usize>>().filter(|&count| count > 0)
}

/// The smallest quota of the process' cgroup and those above it, in CPUs, rounded up; `None`: there is none.
fn quota(cgroups: &str, root: &Path) -> Option<usize> {
    cgroups
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let path = path.trim_start_matches('/');
            if controllers.is_empty() {
                smallest(root, path, |dir| version_2(&read(dir.join("cpu.max"))))
            } else if controllers.split(',').any(|controller| controller == "cpu") {
                let period = |dir: &Path| read(dir.join("cpu.cfs_period_us")).trim().parse().ok();
                let limit = |dir: &Path| read(dir.join("cpu.cfs_quota_us")).trim().parse().ok();
                smallest(&root.join(controllers), path, |dir| ceil(limit(dir)?, period(dir)?))
            } else {
                None
            }
        })
        .min()
}

/// `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn version_2(text: &str) -> Option<usize> {
    let (limit, period) = text.trim().split_once(' ')?;
    ceil(limit.parse().ok()?, period.parse().ok()?)
}

fn ceil(limit: usize, period: usize) -> Option<usize> {
    (limit > 0 && period > 0).then(|| limit.div_ceil(period))
}

/// The smallest of what `read` finds from `path` up to `root`. In a container the path may be one of the host's.
fn smallest(root: &Path, path: &str, read: impl Fn(&Path) -> Option<usize>) -> Option<usize> {
    let dirs: Vec<PathBuf> = Path::new(path).ancestors().map(|dir| root.join(dir)).collect();
    dirs.iter().filter_map(|dir| read(dir)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_cpus_are_counted() {
        for (list, count) in [("0-3", Some(4)), ("0", Some(1)), ("0-1,8,10-11", Some(5)), ("", None), ("x", None)] {
            assert_eq!(allowed(&format!("Name:\tx\nCpus_allowed_list:\t{list}\n")), count, "{list}");
        }
    }

    #[test]
    fn the_smallest_quota_counts_rounded_up() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        };
        write("cpu.max", "max 100000\n");
        write("pods/cpu.max", "350000 100000\n");
        write("pods/a/cpu.max", "max 100000\n");
        write("pods/b/cpu.max", "150000 100000\n");
        write("pods/c/cpu.max", "1000 100000\n");
        write("cpu,cpuacct/docker/cpu.cfs_quota_us", "250000\n");
        write("cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n");
        write("cpu,cpuacct/free/cpu.cfs_quota_us", "-1\n");
        write("cpu,cpuacct/free/cpu.cfs_period_us", "100000\n");
        for (cgroups, expected) in [
            ("0::/pods/a\n", Some(4)),
            ("0::/pods/b\n", Some(2)),
            ("0::/pods/c\n", Some(1)),
            ("0::/\n", None),
            ("0::/unknown/here\n", None),
            ("12:memory:/docker\n4:cpu,cpuacct:/docker\n", Some(3)),
            ("4:cpu,cpuacct:/free\n", None),
            ("", None),
        ] {
            assert_eq!(quota(cgroups, root.path()), expected, "{cgroups}");
        }
    }

    #[test]
    fn there_is_always_a_worker() {
        assert!(default_workers() >= 1);
    }
}
