//! The exchange, over real sockets on port 0: a raw client, the proxy, a scripted upstream.
//! The numbers in test names are those of the specification's case table.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod harness;

mod accounting;
mod attempt_timeouts;
mod blame;
mod bytewise;
mod churn;
mod client_certificates;
mod client_leaves;
mod clocks;
mod connections;
mod corpus;
mod cut_answers;
mod drain;
mod early_answers;
mod expect;
mod fuzz;
mod h2_bodies;
mod h2_floods;
mod h2_grpc;
mod h2_heads;
mod h2_limits;
mod h2_malformed_heads;
mod h2_siblings;
mod h2_unread;
mod h2_upstream;
mod h2_upstream_tunnels;
mod h2_upstream_websocket;
mod h2_websocket;
mod interim;
mod local_answers;
mod memory;
mod newcomers;
mod paused;
mod pool;
mod request_bodies;
mod request_heads;
mod responses;
mod retries;
mod rule_retries;
mod streaming;
mod tls;
mod tls_clients;
mod websocket;
