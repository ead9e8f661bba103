//! What helm says after an installation.

use crate::tools::{helm, repository};

/// The chart's notes with these values, without a cluster.
fn notes(values: &[&str]) -> String {
    let chart = repository("deploy/helm/tidegate").display().to_string();
    let values = values.join(",");
    let namespace = ["--namespace", "edge", "--set", &values];
    let said = helm(&[&["install", "tidegate", &chart, "--dry-run=client"], &namespace[..]].concat());
    let said = said.unwrap_or_else(|error| panic!("{values}: {error}"));
    let (_, notes) = said.split_once("\nNOTES:\n").unwrap_or_else(|| panic!("{values}: {said}"));
    notes.to_owned()
}

#[test]
fn notes_tell_what_was_installed_and_nothing_else() {
    let controller = ("controller.enabled", "rollout status deployment/tidegate\n");
    let kube = ("kubeDns.enabled", "rollout status deployment/tidegate-dns\n");
    let node = ("dns.nodeLocal.enabled", "DNS is at 169.254.20.10 of each node");
    for installed in [[true, false, false], [false, true, false], [false, false, true], [true, true, true]] {
        let parts = [controller, kube, node].into_iter().zip(installed);
        let values: Vec<_> = parts.clone().map(|((value, _), is_on)| format!("{value}={is_on}")).collect();
        let said = notes(&values.iter().map(String::as_str).collect::<Vec<_>>());
        for ((value, sign), is_on) in parts {
            assert_eq!(said.contains(sign), is_on, "{value} of {values:?}: {said}");
        }
        assert_eq!(said.contains("ingressClassName"), installed[0], "{said}");
    }
}
