//! Every bound and clock of the proxy in one place; each field says what it stops.

use std::time::Duration;

/// Sizes in bytes unless a field says otherwise.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field has its reason beside it")]
pub struct Limits {
    // Heads.
    pub request_line: usize,
    pub head: usize,
    pub fields: usize,
    pub interim_heads: usize,
    // Bodies and buffers.
    pub read: usize,
    pub output: usize,
    pub read_ahead: usize,
    pub replay: usize,
    /// Of a request's body.
    pub upload: u64,
    pub drained_upload: u64,
    pub lingered_input: usize,
    // Clocks.
    pub hello: Duration,
    pub first_request: Duration,
    pub idle: Duration,
    /// After about this (a tenth more or less, so that clients do not come back all at once) a connection of a client takes
    /// no more requests, so that new replicas get their share of long-lived clients.
    pub connection_age: Duration,
    pub head_total: Duration,
    pub body_idle: Duration,
    pub connect: Duration,
    pub tls: Duration,
    pub upstream_head: Duration,
    pub upstream_idle: Duration,
    pub write: Duration,
    pub tunnel: Duration,
    pub half_closed: Duration,
    pub linger_idle: Duration,
    pub linger_total: Duration,
    pub drained_upload_time: Duration,
    pub late_answer: Duration,
    // HTTP/2 downstream.
    pub h2_streams: u32,
    /// What a stream may upload before the upstream takes it: small beside the connection's, so that streams whose upstreams
    /// stall leave something to their siblings.
    pub h2_window: u32,
    pub h2_connection_window: u32,
    /// Unread uploads of all HTTP/2 clients of a worker, past which new connections get the short window.
    pub h2_unread: u64,
    /// Not below 65,535, with which every connection begins (RFC 9113 §6.9.2).
    pub h2_short_connection_window: u32,
    pub h2_idle: Duration,
    pub h2_ping_idle: Duration,
    pub h2_ping_timeout: Duration,
    pub h2_malformed: u32,
    pub h2_resets: u32,
    pub h2_reset_window: Duration,
    // Upstream.
    /// Tries of a request that reach an endpoint, where its rule does not say.
    pub attempts: u32,
    /// The longest before another attempt at the same endpoint; a tenth is the shortest.
    pub retry_pause: Duration,
    /// How long from the first failure of an endpoint that refuses requests wait for another one, where there is none.
    pub newcomer: Duration,
    /// How long a request that endpoints have lost waits for the news that they have left, where its attempts are used up.
    /// Shorter than the news of a Pod that a request has brought down.
    pub departure: Duration,
    pub pool_idle: Duration,
    pub pool_per_endpoint: usize,
    pub pool_requests: u32,
    pub upstream_streams: usize,
    /// What a stream of an upstream may send before the client takes it; the connection's window has room for all of them.
    pub upstream_window: u32,
    /// How long an upstream may take nothing of the uploads on a connection before others go to another one.
    pub upstream_stall: Duration,
    pub upstream_ping_idle: Duration,
    pub upstream_ping_timeout: Duration,
    /// Connections at once over all workers; 0: from RLIMIT_NOFILE.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        let s = Duration::from_secs;
        Self {
            request_line: 8 * KIB,
            head: 64 * KIB,
            fields: 100,
            interim_heads: 16,
            read: 64 * KIB,
            output: 64 * KIB,
            read_ahead: 16 * KIB,
            replay: 64 * KIB,
            upload: u64::MAX,
            drained_upload: 64 * 1024,
            lingered_input: 256 * KIB,
            hello: s(10),
            first_request: s(10),
            idle: s(75),
            connection_age: s(3600),
            head_total: s(10),
            body_idle: s(60),
            connect: s(5),
            tls: s(5),
            upstream_head: s(60),
            upstream_idle: s(60),
            write: s(60),
            tunnel: s(3600),
            half_closed: s(60),
            linger_idle: s(2),
            linger_total: s(10),
            drained_upload_time: s(2),
            late_answer: s(1),
            h2_streams: 128,
            h2_window: 64 * 1024,
            h2_connection_window: 1024 * 1024,
            h2_unread: 64 * 1024 * 1024,
            h2_short_connection_window: 64 * 1024,
            h2_idle: s(180),
            h2_ping_idle: s(60),
            h2_ping_timeout: s(10),
            h2_malformed: 32,
            h2_resets: 200,
            h2_reset_window: s(30),
            attempts: 3,
            retry_pause: Duration::from_millis(50),
            newcomer: s(1),
            departure: Duration::from_millis(250),
            pool_idle: s(60),
            pool_per_endpoint: 256,
            pool_requests: 10_000,
            upstream_streams: 128,
            upstream_window: 64 * 1024,
            upstream_stall: s(2),
            upstream_ping_idle: s(30),
            upstream_ping_timeout: s(10),
            connections: 0,
        }
    }
}
