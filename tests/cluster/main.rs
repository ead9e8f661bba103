//! Tidegate in a real Kubernetes: each test has a control plane of its own, and Pods that are processes.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

mod acme;
mod audit;
#[path = "../churn/authority.rs"]
#[expect(dead_code, reason = "the churn tests look at certificates too")]
mod authority;
#[path = "../churn/client.rs"]
#[expect(dead_code, reason = "the churn tests look closer at how connections end")]
mod client;
mod dns;
mod doors;
mod dry_run;
mod faults;
mod following;
mod harness;
mod install;
mod load;
#[path = "../install/manifests.rs"]
#[expect(dead_code, reason = "the tests of the install manifests look closer")]
mod manifests;
mod names;
#[path = "../churn/peer.rs"]
#[expect(dead_code, reason = "the backends of the churn tests are peers too")]
mod peer;
mod publishing;
mod relay;
mod rollouts;
#[path = "../install/server.rs"]
mod server;
#[path = "../churn/speech.rs"]
mod speech;
mod steady;
#[path = "../churn/tally.rs"]
mod tally;
mod tenants;
#[path = "../install/tools.rs"]
#[expect(dead_code, reason = "the tests of the install manifests look closer")]
mod tools;
#[path = "../churn/websockets.rs"]
mod websockets;
mod workloads;

use std::time::Duration;

/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(60);
