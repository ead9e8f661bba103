//! How `tidegate dns` starts and ends.

use crate::corefile::free_port;
use crate::dns::shop;
use crate::tidegate::{Process, output, text};
use std::process::Command;

#[test]
fn what_a_corefile_names_and_is_not_there_is_told_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("Corefile");
    for (line, expected) in [
        ("tls /nosuch.crt /nosuch.key", ":3: tls: /nosuch.crt: "),
        ("forward . /nosuch.conf", ":3: forward .: /nosuch.conf: "),
        ("autopath /nosuch.conf", ":3: autopath: /nosuch.conf: "),
        ("bind nosuch", ":3: bind: there is no interface nosuch "),
    ] {
        let key = if line.starts_with("tls") { "tls://." } else { "." };
        std::fs::write(&path, format!("{key}:{} {{\n    whoami\n    {line}\n}}\n", free_port())).expect("written");
        let path = path.to_str().expect("UTF-8");
        let refused = output(&["dns", "--log-level", "off", "--corefile", path]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.starts_with(&format!("tidegate: {path}{expected}")), "{said}");
    }
}

#[test]
fn the_domain_of_a_flag_is_not_for_a_corefile() {
    let refused = output(&["dns", "--corefile", "Corefile", "--cluster-domain", "example.internal"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--cluster-domain") && said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_low_limit_of_open_files_is_told() {
    let manifests = shop();
    let limited = "ulimit -n 1000 && exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_tidegate"), "dns", "--log-format", "json"]);
    command.args(["--dns-bind", "127.0.0.1:0", "--manifests"]).arg(manifests.path());
    command.args(["--health-bind", "off", "--ready-bind", "off", "--metrics-bind", "off"]);
    let (process, _) = Process::spawn(&mut command, 1);
    assert_eq!(process.logged("the limit of open files")["limit"], 1000);
    process.logged("names are served");
}
