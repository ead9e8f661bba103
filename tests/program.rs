//! The whole program, started as its users start it and driven from outside: one module a subject.
//! Needs `curl`, `dig` and `kill` on the path; every port is one that is free, and nothing waits for a fixed time.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "program/backend.rs"]
mod backend;
#[path = "program/client.rs"]
mod client;
#[path = "program/client_certificates.rs"]
mod client_certificates;
#[path = "program/commands.rs"]
mod commands;
#[path = "program/corefile.rs"]
mod corefile;
#[path = "program/demo.rs"]
mod demo;
#[path = "program/dns.rs"]
mod dns;
#[path = "program/dns_life.rs"]
mod dns_life;
#[path = "program/flags.rs"]
mod flags;
#[path = "program/full_log.rs"]
mod full_log;
#[path = "program/manifests.rs"]
mod manifests;
#[path = "program/observing.rs"]
mod observing;
#[path = "program/reloading.rs"]
mod reloading;
#[path = "program/serving.rs"]
mod serving;
#[path = "program/stopping.rs"]
mod stopping;
#[path = "program/tidegate.rs"]
mod tidegate;
