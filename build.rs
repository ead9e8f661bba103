//! How the program is linked.

fn main() {
    // The places that are relocated when the program starts, as a bitmap: half a megabyte less to read, and to keep.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    println!("cargo:rerun-if-changed=build.rs");
}
