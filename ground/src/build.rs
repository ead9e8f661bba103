//! Builds the programs of a ground with Go, once: a program is built again when its pins change, and two builds at once
//! wait for each other.

use crate::binaries::{self, COREDNS, PINS, Pin};
use anyhow::{Context as _, bail, ensure};
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::{Command, Stdio};

/// Builds what `KUBEBUILDER_ASSETS` does not hold and what is not built yet. `tell` hears of what takes time.
///
/// # Errors
/// Without Go, and where a program does not build.
pub fn build(tell: impl FnMut(&str)) -> anyhow::Result<()> {
    build_all(&PINS, tell)
}

/// As [`build`], the `CoreDNS` that Tidegate is compared with.
///
/// # Errors
/// As [`build`].
pub fn build_coredns(tell: impl FnMut(&str)) -> anyhow::Result<()> {
    build_all(&[COREDNS], tell)
}

fn build_all(pins: &[Pin], mut tell: impl FnMut(&str)) -> anyhow::Result<()> {
    let folder = binaries::folder()?;
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let _lock = lock(&folder, &mut tell)?;
    for pin in pins {
        if pin.asset().is_none() && !pin.is_built(&folder)? {
            tell(&format!(
                "building {} from tests/ground/{} (the first time this takes minutes)",
                pin.name, pin.module
            ));
            build_one(pin, &folder)?;
        }
    }
    Ok(())
}

/// Held until the file is dropped; the kernel frees it when this program dies.
fn lock(folder: &Path, tell: &mut impl FnMut(&str)) -> anyhow::Result<File> {
    let path = folder.join("build.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            tell("waiting for another build of the ground");
            file.lock()?;
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn build_one(pin: &Pin, folder: &Path) -> anyhow::Result<()> {
    let unfinished = folder.join(format!("{}.unfinished", pin.name));
    let status = Command::new("go")
        .current_dir(pin.module_folder())
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-ldflags", pin.linker_flags, "-o"])
        .arg(&unfinished)
        .arg(pin.package)
        .stdin(Stdio::null())
        .status();
    let status = match status {
        Ok(status) => status,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let name = pin.name;
            bail!(
                "{name} is built with Go, which is not installed: install Go 1.26 or newer, or name a folder that holds {name} in KUBEBUILDER_ASSETS"
            )
        }
        Err(error) => return Err(error).context("go does not start"),
    };
    ensure!(status.success(), "{} does not build from tests/ground/{}", pin.name, pin.module);
    fs::rename(&unfinished, folder.join(pin.name))?;
    fs::write(pin.stamp_path(folder), pin.stamp()?)?;
    Ok(())
}
