//! How `tidegate dns` starts and ends.

use crate::dns::shop;
use crate::tidegate::Process;
use std::process::Command;

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
