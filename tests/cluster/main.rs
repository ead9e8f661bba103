//! Tidegate in a real Kubernetes: each test has a control plane of its own, and Pods that are processes.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

mod dry_run;
mod following;
mod harness;
#[path = "../install/manifests.rs"]
#[expect(dead_code, reason = "the tests of the install manifests look closer")]
mod manifests;
mod publishing;
#[path = "../install/server.rs"]
mod server;
#[path = "../install/tools.rs"]
#[expect(dead_code, reason = "the tests of the install manifests look closer")]
mod tools;
