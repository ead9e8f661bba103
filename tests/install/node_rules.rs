//! What gives a node's server the Service's address, and takes it back: its script with tools that only tell what they are
//! asked for.

use crate::tools::repository;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const SCRIPT: &str = "deploy/kustomize/components/node-local-service-address/rules.sh";

/// `nft`: writes how many rules there are then, and shows them.
const NFT: &str = r#"#!/bin/sh
case "$1" in
list) cat table 2>/dev/null; exit;;
-c) grep -c notrack > /dev/null; exit;;
esac
grep notrack > table && echo "rules $(grep -c '10.96.0.10.*notrack' table)" >> log || { rm table; echo "no rules" >> log; }
"#;
const IP: &str = r#"#!/bin/sh
case "$*" in
"-o address show to "*) cat "$5" 2>/dev/null;;
"-4 address add 10.96.0.10/32 dev lo scope host") echo "1: lo    inet" > 10.96.0.10; echo "address" >> log;;
"-4 address add 169.254.20.10/32 dev lo scope host") echo "1: lo    inet" > 169.254.20.10; echo "own address" >> log;;
"-4 address del 10.96.0.10/32 dev lo") rm 10.96.0.10; echo "no address" >> log;;
*) echo "ip $*" >> log; exit 1;;
esac
"#;
/// `wget`: the server is ready where the next line says so; after the last one the script is told to end, and the server
/// is asked for its health as long as lines say that it has one. One that hangs is no longer asked when its time is over.
const WGET: &str = r#"#!/bin/sh
case "$*" in
*http://169.254.20.10:8080/health)
  read -r now < ending || exit 1
  sed -i 1d ending
  echo "$now" >> log
  [ "$now" != hanging ] || { kill -s "$SIGNAL" $$; echo "asked beyond its time" >> log; }
  exit;;
*http://169.254.20.10:8080/ready) ;;
*) exit 1;;
esac
read -r now < turns || { kill -TERM "$PPID"; exit 0; }
sed -i 1d turns
case "$now" in
robbed) rm 10.96.0.10;;
robbed-too) rm 169.254.20.10;;
flushed) rm table;;
one-less) sed -i 1d table;;
taken) echo "7: kube-ipvs0    inet" >> 10.96.0.10;;
esac
echo "$now" >> log
case "$now" in starting | down) exit 1;; esac
"#;

/// `timeout`: what it ends a program with.
const TIMEOUT: &str = r#"#!/bin/sh
export SIGNAL=TERM
if [ "$1" = -s ]; then SIGNAL=$2; shift 2; fi
shift
exec "$@"
"#;

fn write_tool(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).expect("a tool can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it can be run");
}

/// What the script asks for in one command after the other, each with what it finds the server to be. At the end of each
/// the server answers once more, and then hangs.
fn told(commands: &[(&str, &[&str])]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (command, turns) in commands {
        let output = run_in(folder.path(), command, turns);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    log_of(folder.path())
}

fn run_in(folder: &Path, command: &str, turns: &[&str]) -> Output {
    for (name, text) in [("nft", NFT), ("ip", IP), ("wget", WGET), ("sleep", "#!/bin/sh\n"), ("timeout", TIMEOUT)] {
        write_tool(folder, name, text);
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let turns: String = turns.iter().map(|turn| format!("{turn}\n")).collect();
    fs::write(folder.join("turns"), turns).expect("the turns can be written");
    fs::write(folder.join("ending"), "serving\nhanging\n").expect("the end can be written");
    let mut run = Command::new("sh");
    run.arg(repository(SCRIPT)).arg(command).current_dir(folder);
    run.env("PATH", &path).env("SERVICE", "10.96.0.10").env("LOCAL", "169.254.20.10");
    run.output().expect("sh runs")
}

fn log_of(folder: &Path) -> Vec<String> {
    let log = fs::read_to_string(folder.join("log")).expect("a log");
    log.lines().map(str::to_owned).collect()
}

/// Two rules keep answers apart from connection tracking, four more questions.
#[test]
fn rules_are_there_as_long_as_the_server_is_ready_and_nothing_is_left() {
    let run: &[&str] = &["starting", "ready", "ready", "down", "down", "ready"];
    let (begin, run) = (told(&[("begin", &[])]), told(&[("begin", &[]), ("run", run)]));
    assert_eq!(begin, ["no rules", "own address", "address"]);
    assert_eq!(
        run[begin.len()..],
        [
            "starting",
            "rules 2",
            "ready",
            "rules 6",
            "ready",
            "down",
            "rules 2",
            "down",
            "ready",
            "rules 6",
            // SIGTERM: the server has answers on their way.
            "rules 2",
            "serving",
            "hanging",
            "no address",
            "no rules",
        ]
    );
}

#[test]
fn what_others_take_away_is_set_right_again() {
    let turns: &[&str] = &["ready", "robbed", "flushed", "one-less", "ready", "robbed-too", "ready"];
    let run = told(&[("begin", &[]), ("run", turns)]);
    let set_right = [
        "robbed",
        "address",
        "flushed",
        "rules 6",
        "one-less",
        "rules 6",
        "ready",
        "robbed-too",
        "own address",
        "ready",
    ];
    assert_eq!(run[3..5], ["ready", "rules 6"]);
    assert_eq!(run[5..15], set_right);
}

#[test]
fn what_one_before_has_left_is_known_and_taken_back() {
    // A Pod that was killed: the next one begins without rules, and finds the addresses there.
    let first: (&str, &[&str]) = ("begin", &[]);
    assert_eq!(told(&[first, first])[3..], ["no rules"]);
    // One that ends without ever having been ready leaves nothing either.
    let never_ready = ["down", "rules 2", "serving", "hanging", "no address", "no rules"];
    assert_eq!(told(&[first, ("run", &["down"])])[3..], never_ready);
}

#[test]
fn an_address_that_kube_proxy_has_taken_is_not_taken_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(run_in(folder.path(), "begin", &[]).status.success());
    let output = run_in(folder.path(), "run", &["ready", "taken"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("10.96.0.10 is on kube-ipvs0: kube-proxy in IPVS mode"), "{said}");
    assert_eq!(log_of(folder.path())[3..], ["ready", "rules 6", "taken", "no rules"]);
    assert!(!run_in(folder.path(), "begin", &[]).status.success(), "a Pod does not start with it either");
}

#[test]
fn it_does_not_run_without_the_address_or_a_command() {
    let run = |arguments: &[&str], service: Option<&str>| {
        let mut command = Command::new("sh");
        command.arg(repository(SCRIPT)).args(arguments).env_remove("SERVICE").env("LOCAL", "169.254.20.10");
        command.envs(service.map(|service| ("SERVICE", service)));
        String::from_utf8_lossy(&command.output().expect("sh runs").stderr).into_owned()
    };
    assert!(run(&["run"], None).contains("the address of the Service kube-dns"));
    assert!(run(&[], Some("10.96.0.10")).contains("rules.sh begin|run"));
    for (service, none) in [("None", "None"), ("10.96.0.10,fd00::g", "fd00::g"), ("10.96", "10.96"), (",", ",")] {
        assert!(run(&["begin"], Some(service)).contains(&format!("SERVICE: no IP address: {none}")), "{service}");
    }
}
