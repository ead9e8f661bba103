//! Where things lie: the repository, what cargo built, the tools that were built beside it.

use anyhow::{Context as _, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The target folder that holds the running program, whatever it is called.
///
/// # Errors
/// Where the system does not say which file is running.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program")?;
    let folder = own.ancestors().nth(2).with_context(|| format!("{} is not in a target folder", own.display()))?;
    Ok(folder.to_owned())
}

/// A cargo of the toolchain that built this program, in the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(repository());
    command
}

/// Builds a Go program from `folder` of the repository into the target folder; Go itself sees whether anything is to be
/// done.
///
/// # Errors
/// Where Go is missing or the build fails.
pub(crate) fn go_tool(name: &str, folder: &str, package: &str) -> anyhow::Result<PathBuf> {
    let program = go_tool_path(name)?;
    let built = Command::new("go")
        .current_dir(repository().join(folder))
        .args(["build", "-trimpath", "-o"])
        .args([program.as_os_str(), package.as_ref()])
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("go does not start; {name} is built with it"))?;
    ensure!(built.success(), "{name} does not build");
    Ok(program)
}

/// Where [`go_tool`] puts a program.
///
/// # Errors
/// As [`target`].
pub(crate) fn go_tool_path(name: &str) -> anyhow::Result<PathBuf> {
    Ok(target()?.join("tools").join(name))
}

/// Whether `program` is in `PATH`.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
