//! What the manifests pass to the program is what it takes.

use crate::manifests::Manifests;
use std::process::Command;

/// Whether the program takes these arguments, all of them together, with a Corefile where it stands in a Pod: then it says
/// that it knows of no cluster, and begins nothing.
///
/// # Errors
/// What it says else.
pub(crate) fn tried(arguments: &[&str]) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("Corefile");
    std::fs::write(&path, ".:53 {\n    kubernetes cluster.local\n}\n").expect("a file can be written");
    let path = path.to_str().expect("UTF-8");
    let arguments = arguments.iter().map(|argument| argument.replace("/etc/coredns/Corefile", path));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.env_clear().args(arguments).arg("--context=nowhere").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("--context nowhere chooses from a kubeconfig, and none is given") { Ok(()) } else { Err(said) }
}

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
        let tried = tried(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(tried, Ok(()), "{name}: {arguments:?}");
    }
}

#[test]
fn arguments_that_do_not_exist_or_not_together_are_found_out() {
    for (arguments, expected) in [
        (&["run", "--election-idd=a"][..], "unexpected argument '--election-idd'"),
        (&["dns", "--corefile=/x", "--dns-ttl=5"], "cannot be used with"),
        (&["dns", "--dns-cookie-secret=/x", "--dns-compat=coredns"], "has no effect with --dns-compat coredns"),
    ] {
        let said = tried(arguments).expect_err("it is refused");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
