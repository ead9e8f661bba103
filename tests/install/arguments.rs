//! What the manifests pass to the program is what it takes.

use crate::manifests::Manifests;
use std::process::Command;

/// Variables of the cluster in an argument, as a kubelet fills them in.
fn filled_in(argument: &str) -> String {
    argument
        .replace("$(POD_NAMESPACE)", "tidegate")
        .replace("$(POD_NAME)", "tidegate-1")
        .replace("$(POD_IP)", "10.1.0.1")
}

#[test]
fn the_program_takes_every_argument_that_it_is_given() {
    let overlays = ["deployment", "daemonset", "dns"].map(|name| (name.to_owned(), Manifests::overlay(name)));
    let values: [&[&str]; 6] = [
        &[],
        &["dns.service.enabled=true", "dns.service.type=NodePort"],
        &["dns.clustersetDomain=clusterset.local"],
        &["controller.kind=DaemonSet", "controller.hostNetwork=true"],
        &["controller.publishNodeAddresses=true", "controller.publishService.enabled=false"],
        &["controller.updateStatus=false", "controller.watchIngressWithoutClass=true"],
    ];
    let charts = values.map(|values| (format!("chart {values:?}"), Manifests::chart(values)));
    for (name, manifests) in overlays.into_iter().chain(charts) {
        let arguments: Vec<_> = manifests.arguments().into_iter().map(filled_in).collect();
        assert!(arguments.iter().any(|argument| argument.starts_with("--election-id=")), "{name}: {arguments:?}");
        // Everything before it is checked; nothing is begun.
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let output = command.args(&arguments).arg("--help").output().expect("it starts");
        assert!(output.status.success(), "{name}: {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn an_argument_that_does_not_exist_is_found_out() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.args(["run", "--election-idd=a", "--help"]).output().expect("it starts");
    assert!(!output.status.success());
}
