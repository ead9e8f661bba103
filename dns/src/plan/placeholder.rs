//! Placeholders of NodeLocal DNSCache's manifest, which who installs it, or its program, fills in: as words they would
//! be names of hosts and interfaces that nobody has.

use crate::corefile::{Line, PlanError, Section, Word};

const BEGIN: &str = "__PILLAR__";

/// Each with what belongs there.
const KNOWN: [(&str, &str); 5] = [
    ("__PILLAR__DNS__DOMAIN__", "the cluster's domain, such as cluster.local"),
    ("__PILLAR__LOCAL__DNS__", "the address that Pods of the node ask, such as 169.254.20.10"),
    ("__PILLAR__DNS__SERVER__", "the address of the Service kube-dns, such as 10.96.0.10, or nothing"),
    (
        "__PILLAR__CLUSTER__DNS__",
        "the address of another Service in front of the cluster's DNS servers, such as kube-dns-upstream",
    ),
    ("__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf, or the addresses of resolvers for names outside the cluster"),
];

/// An error for each word that was never filled in.
pub(super) fn errors(sections: &[Section]) -> Vec<PlanError> {
    let mut errors = Vec::new();
    for section in sections {
        errors.extend(section.keys.iter().filter_map(error));
        in_lines(&section.lines, &mut errors);
    }
    errors
}

/// No deeper than the parser goes.
fn in_lines(lines: &[Line], errors: &mut Vec<PlanError>) {
    for Line { name, arguments, body } in lines {
        errors.extend(std::iter::once(name).chain(arguments).filter_map(error));
        in_lines(body.as_deref().unwrap_or_default(), errors);
    }
}

fn error(word: &Word) -> Option<PlanError> {
    let from = word.as_str().get(word.as_str().find(BEGIN)?..)?;
    let known = KNOWN.iter().find(|(placeholder, _)| from.starts_with(placeholder));
    let (placeholder, belongs) = known.copied().unwrap_or((from, "what the manifest that it comes from says"));
    Some(PlanError::syntax(&word.place, format!("{placeholder} was never filled in: put {belongs}, in its place")))
}
