//! What gives a node's server the Service's address, and takes it back: its script with tools that only tell what they are
//! asked for.

use crate::tools::repository;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// `nft`: writes how many rules it is given, and knows whether there is a table.
const NFT: &str = r#"#!/bin/sh
case "$1" in
list) if [ -e table ]; then echo "table ip tidegate_node_dns"; fi; exit 0;;
-f) said=$(cat);;
esac
case "$said" in
*notrack*) touch table; echo "rules $(echo "$said" | grep -c '10.96.0.10.*notrack')" >> log;;
*) rm -f table; echo "no rules" >> log;;
esac
"#;
const IP: &str = r#"#!/bin/sh
case "$*" in
*show*) if [ -e address ]; then echo "    inet 10.96.0.10/32 scope host lo"; fi;;
"address add 10.96.0.10/32 dev lo scope host") touch address; echo "address" >> log;;
"address del 10.96.0.10/32 dev lo") rm address; echo "no address" >> log;;
*) exit 1;;
esac
"#;
/// `wget`: the server is ready where the next line says so; after the last one the script is told to end.
const WGET: &str = r#"#!/bin/sh
read -r now < turns || { kill -TERM "$PPID"; exit 0; }
sed -i 1d turns
case "$now" in
robbed) rm address;;
flushed) rm table;;
esac
echo "$now" >> log
case "$now" in ready | robbed | flushed) ;; *) exit 1;; esac
"#;

fn write_tool(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).expect("a tool can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it can be run");
}

/// What the script asks for in one command after the other, each with what it finds the server to be.
fn told(commands: &[(&str, &[&str])]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sleep = "#!/bin/sh\n";
    for (name, text) in [("nft", NFT), ("ip", IP), ("wget", WGET), ("sleep", sleep)] {
        write_tool(folder.path(), name, text);
    }
    let script = repository("deploy/kustomize/components/node-local-service-address/rules.sh");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    for (command, turns) in commands {
        let turns: String = turns.iter().map(|turn| format!("{turn}\n")).collect();
        fs::write(folder.path().join("turns"), turns).expect("the turns can be written");
        let mut run = Command::new("sh");
        run.arg(&script).arg(command).current_dir(folder.path()).env("PATH", &path).env("SERVICE", "10.96.0.10");
        let output = run.output().expect("sh runs");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let log = fs::read_to_string(folder.path().join("log")).expect("a log");
    log.lines().map(str::to_owned).collect()
}

#[test]
fn rules_are_there_as_long_as_the_server_is_ready_and_nothing_is_left() {
    assert_eq!(
        told(&[("begin", &[]), ("run", &["starting", "ready", "ready", "down", "down", "ready"])]),
        [
            "no rules",
            "address", // begin
            "starting",
            "ready",
            "rules 6",
            "ready",
            "down",
            "no rules",
            "down",
            "ready",
            "rules 6", // run
            "no rules",
            "no address", // SIGTERM
        ]
    );
}

#[test]
fn what_others_take_away_is_set_right_again() {
    let run = told(&[("begin", &[]), ("run", &["ready", "robbed", "flushed", "ready"])]);
    assert_eq!(
        run[2..],
        ["ready", "rules 6", "robbed", "address", "rules 6", "flushed", "rules 6", "ready", "no rules", "no address"]
    );
}

#[test]
fn what_one_before_has_left_is_known_and_taken_back() {
    // A Pod that was killed: the next one begins without rules, and finds the address there.
    let first: (&str, &[&str]) = ("begin", &[]);
    assert_eq!(told(&[first, first]), ["no rules", "address", "no rules"]);
    // One that ends without ever having been ready leaves nothing either.
    assert_eq!(told(&[first, ("run", &["down"])])[2..], ["down", "no rules", "no address"]);
}

#[test]
fn it_does_not_run_without_the_address_or_a_command() {
    let script = repository("deploy/kustomize/components/node-local-service-address/rules.sh");
    let run = |arguments: &[&str], service: Option<&str>| {
        let mut command = Command::new("sh");
        command.arg(&script).args(arguments).env_remove("SERVICE").envs(service.map(|service| ("SERVICE", service)));
        String::from_utf8_lossy(&command.output().expect("sh runs").stderr).into_owned()
    };
    assert!(run(&["run"], None).contains("the address of the Service kube-dns"));
    assert!(run(&[], Some("10.96.0.10")).contains("rules.sh begin|run"));
    assert!(run(&["begin"], Some("fd00:96::a")).contains("no IPv4 address: fd00:96::a"));
}
