//! The resolver of musl, which is that of Alpine: a program that asks it, to be run in a Pod.

use crate::tools::repository;
use anyhow::{Context as _, ensure};
use std::process::Command;
use tempfile::TempDir;

pub(crate) struct Musl {
    /// Where Pods find it too, which see this machine's files.
    _folder: TempDir,
    program: String,
}

impl Musl {
    pub(crate) fn build() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let program = folder.path().join("resolve");
        let mut compiler = Command::new("musl-gcc");
        compiler.args(["-static", "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
        compiler.arg(repository("tests/cluster/dns/resolve.c"));
        ensure!(compiler.status().context("musl-gcc does not start")?.success(), "{compiler:?}");
        Ok(Self { _folder: folder, program: program.display().to_string() })
    }

    /// The command that says what a name leads to, or an address.
    pub(crate) fn resolves<'c>(&'c self, word: &'c str) -> [&'c str; 2] {
        [&self.program, word]
    }
}
