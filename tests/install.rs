//! The install manifests: what kustomize and helm make of `deploy/`, and that both make the same.
//! Needs the kubectl and the helm that `cargo xtask tools` fetches, or those in `PATH`.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "install/agreement.rs"]
mod agreement;
#[path = "install/arguments.rs"]
mod arguments;
#[path = "install/chart.rs"]
mod chart;
#[path = "install/documents.rs"]
mod documents;
#[path = "install/kube_dns.rs"]
mod kube_dns;
#[path = "install/kustomize.rs"]
mod kustomize;
#[path = "install/manifests.rs"]
mod manifests;
#[path = "install/node_dns.rs"]
mod node_dns;
#[path = "install/node_rules.rs"]
mod node_rules;
#[path = "install/notes.rs"]
mod notes;
#[path = "install/refusals.rs"]
mod refusals;
#[path = "install/rights.rs"]
mod rights;
#[path = "install/security.rs"]
mod security;
#[path = "install/server.rs"]
mod server;
#[path = "install/tools.rs"]
mod tools;
#[path = "install/values.rs"]
mod values;
