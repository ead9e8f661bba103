//! The DNS server from outside: what the zone says, and how it is carried.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod addresses;
mod as_coredns;
mod authority;
mod blocks;
mod cache;
mod clients;
mod cookies;
mod corefile;
mod distrust;
mod encrypted;
mod endings;
mod explained;
mod extended_errors;
mod floods;
mod forward;
mod handover;
mod harness;
mod hostile;
mod http2;
mod idle;
mod led;
mod loadbalance;
mod loops;
mod metrics;
mod missing;
mod padding;
mod parts;
mod rate_limit;
mod requests;
mod steps;
mod tcp;
mod transfer;
mod udp;
mod unmet;
mod untaken;
mod upstream_edns;
mod waiting;
mod zone;
