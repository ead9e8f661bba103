//! How the program is linked.

use std::env;
use std::process::Command;

/// The first glibc that starts a program with packed relocations; older ones refuse it (GLIBC_ABI_DT_RELR).
const UNPACKS: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is_native = env::var("TARGET").ok() == env::var("HOST").ok();
    if is_native && glibc().is_some_and(|version| version >= UNPACKS) {
        // The places that are relocated when the program starts, as a bitmap: half a megabyte less to read, and to keep.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this host's; `None`: it has none, or does not say.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
