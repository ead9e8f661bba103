//! What this process may use: CPUs and memory, by its cgroup and by the machine.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// Worker threads where none are asked for, at least 1: the quota rounded up, and no more than the CPUs we may run on.
pub(crate) fn default_workers() -> usize {
    let allowed = allowed(&read("/proc/self/status")).unwrap_or(1);
    let quota = quota(&read("/proc/self/cgroup"), Path::new(ROOT)).unwrap_or(allowed);
    quota.clamp(1, allowed)
}

/// Bytes of memory; `None`: the system does not say.
pub(crate) fn memory() -> Option<u64> {
    let limit = memory_limit(&read("/proc/self/cgroup"), Path::new(ROOT));
    limit.into_iter().chain(memory_total(&read("/proc/meminfo"))).min()
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

/// The quota in CPUs, rounded up; `None`: there is none.
fn quota(cgroups: &str, root: &Path) -> Option<usize> {
    let version_1 = |dir: &Path| ceil(number(&dir.join("cpu.cfs_quota_us"))?, number(&dir.join("cpu.cfs_period_us"))?);
    smallest(cgroups, root, "cpu", |dir| version_2(&read(dir.join("cpu.max"))), version_1)
}

/// The limit of memory in bytes; `None`: there is none.
fn memory_limit(cgroups: &str, root: &Path) -> Option<u64> {
    let version_1 = |dir: &Path| number(&dir.join("memory.limit_in_bytes"));
    smallest(cgroups, root, "memory", |dir| number(&dir.join("memory.max")), version_1)
}

/// `MemTotal` of proc(5), in bytes.
fn memory_total(meminfo: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(1024 * total.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

fn number<N: std::str::FromStr>(path: &Path) -> Option<N> {
    read(path).trim().parse().ok()
}

/// `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn version_2(text: &str) -> Option<usize> {
    let (limit, period) = text.trim().split_once(' ')?;
    ceil(limit.parse().ok()?, period.parse().ok()?)
}

fn ceil(limit: usize, period: usize) -> Option<usize> {
    (limit > 0 && period > 0).then(|| limit.div_ceil(period))
}

/// The smallest of what is found in the directories of the process' cgroup and of those above it, by the version of the
/// hierarchy. In a container the path may be one of the host's.
fn smallest<N: Ord>(
    cgroups: &str,
    root: &Path,
    controller: &str,
    version_2: impl Fn(&Path) -> Option<N>,
    version_1: impl Fn(&Path) -> Option<N>,
) -> Option<N> {
    let of_line = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let dirs = |root: &Path| -> Vec<PathBuf> {
            Path::new(path.trim_start_matches('/')).ancestors().map(|dir| root.join(dir)).collect()
        };
        if controllers.is_empty() {
            dirs(root).iter().filter_map(|dir| version_2(dir)).min()
        } else if controllers.split(',').any(|known| known == controller) {
            dirs(&root.join(controllers)).iter().filter_map(|dir| version_1(dir)).min()
        } else {
            None
        }
    };
    cgroups.lines().filter_map(of_line).min()
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

    /// A directory with these files.
    fn hierarchy(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        }
        root
    }

    #[test]
    fn the_smallest_quota_counts_rounded_up() {
        let root = hierarchy(&[
            ("cpu.max", "max 100000\n"),
            ("pods/cpu.max", "350000 100000\n"),
            ("pods/a/cpu.max", "max 100000\n"),
            ("pods/b/cpu.max", "150000 100000\n"),
            ("pods/c/cpu.max", "1000 100000\n"),
            ("cpu,cpuacct/docker/cpu.cfs_quota_us", "250000\n"),
            ("cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n"),
            ("cpu,cpuacct/free/cpu.cfs_quota_us", "-1\n"),
            ("cpu,cpuacct/free/cpu.cfs_period_us", "100000\n"),
        ]);
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
    fn the_smallest_limit_of_memory_counts() {
        let root = hierarchy(&[
            ("pods/memory.max", "1073741824\n"),
            ("pods/a/memory.max", "max\n"),
            ("pods/b/memory.max", "134217728\n"),
            ("memory/docker/memory.limit_in_bytes", "268435456\n"),
        ]);
        for (cgroups, expected) in [
            ("0::/pods/a\n", Some(1 << 30)),
            ("0::/pods/b\n", Some(128 << 20)),
            ("0::/\n", None),
            ("12:memory:/docker\n4:cpu,cpuacct:/docker\n", Some(256 << 20)),
        ] {
            assert_eq!(memory_limit(cgroups, root.path()), expected, "{cgroups}");
        }
        assert_eq!(memory_total("MemTotal:       2048 kB\nMemFree:  1 kB\n"), Some(2 << 20));
        assert_eq!(memory_total("MemFree:  1 kB\n"), None);
    }

    #[test]
    fn there_is_always_a_worker() {
        assert!(default_workers() >= 1);
    }
}
