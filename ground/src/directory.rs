//! The directory and the name of a ground. Its owner holds a lock on a file in it, which the kernel frees when the owner
//! dies: what has no owner any more is swept by the next one.

use anyhow::Context as _;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where `ip netns` finds namespaces by their name.
const NAMESPACES: &str = "/run/netns";

/// Names a folder that logs are copied to when a ground ends.
const KEPT_LOGS: &str = "TIDEGATE_GROUND_LOGS";
/// What a dead owner started is killed, but not dead yet.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// A ground's directory; it and the namespace's name end with this.
pub(crate) struct Directory {
    path: PathBuf,
    name: String,
    _lock: File,
}

impl Directory {
    /// Sweeps what dead owners have left, and makes a new one.
    ///
    /// # Errors
    /// Where the system refuses it.
    pub(crate) fn create() -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidegate-{}-{number}", std::process::id());
        let all = all();
        let _turn = turn(&all)?;
        sweep_all(&all)?;
        let path = all.join(&name);
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let lock = File::create(lock_path(&path))?;
        lock.lock()?;
        Ok(Self { path, name, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Makes the namespace known to `ip netns` under the directory's name.
    ///
    /// # Errors
    /// Where the system refuses it.
    pub(crate) fn name_namespace(&self, namespace: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(NAMESPACES).context(NAMESPACES)?;
        let path = namespace_path(&self.name);
        File::create(&path).with_context(|| path.display().to_string())?;
        mount_bind(namespace, &path).with_context(|| path.display().to_string())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(folder) = std::env::var_os(KEPT_LOGS) {
            // Logs that cannot be kept are no reason to leave everything.
            drop(keep_logs(&self.path, &Path::new(&folder).join(&self.name)));
        }
        // Nobody is to sweep what is half removed. What stays in spite of this the next owner does sweep.
        let _turn = turn(&all());
        drop(remove(&self.path));
    }
}

/// Removes the directories and namespaces of owners that live no longer; gives their names.
///
/// # Errors
/// Where the system refuses it.
pub fn sweep() -> anyhow::Result<Vec<String>> {
    let all = all();
    let _turn = turn(&all)?;
    sweep_all(&all)
}

/// Whether the ground in `path` has an owner.
pub(crate) fn is_owned(path: &Path) -> bool {
    File::open(lock_path(path)).is_ok_and(|file| file.try_lock().is_err())
}

/// Where the namespace of a ground lies under its name.
pub(crate) fn namespace_path(name: &str) -> PathBuf {
    Path::new(NAMESPACES).join(name)
}

fn all() -> PathBuf {
    std::env::temp_dir().join("tidegate-ground")
}

/// One at a time makes and sweeps directories: a new one is not locked yet.
fn turn(all: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(all).with_context(|| all.display().to_string())?;
    let path = all.join("turn.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.lock()?;
    Ok(file)
}

fn sweep_all(all: &Path) -> anyhow::Result<Vec<String>> {
    let mut swept = Vec::new();
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        if path.is_dir() && !is_owned(&path) {
            remove(&path)?;
            swept.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    Ok(swept)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).context("a ground without a name")?;
    let namespace = namespace_path(name);
    if namespace.exists() {
        // The file is no mount where its owner died in between.
        let _ = unmount(&namespace, UnmountFlags::DETACH);
        fs::remove_file(&namespace).with_context(|| namespace.display().to_string())?;
    }
    let what = format!("{} is removed", path.display());
    crate::until(&what, LAST_WRITES, || Ok(Some(fs::remove_dir_all(path)?)))
}

/// Copies all files `*.log` below `from`.
fn keep_logs(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            keep_logs(&path, &target)?;
        } else if path.extension().is_some_and(|extension| extension == "log") {
            fs::create_dir_all(to)?;
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

fn lock_path(path: &Path) -> PathBuf {
    path.join("owner.lock")
}
