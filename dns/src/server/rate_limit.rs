//! Response rate limiting (RRL): that the server's answers are of no use to whoever asks in the name of a victim. It looks
//! at what would be sent over UDP, where nothing else shows who asks.

mod accounts;
mod kind;
mod reduced;

use crate::cookie::{ClientCookie, Standing};
use crate::metrics::RateLimitMetrics;
use crate::question::Head;
use accounts::Accounts;
use hickory_proto::op::ResponseCode;
use ipnet::IpNet;
use kind::Kind;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Instant;

/// Accounts at most; about 2.5 MB.
const MOST: usize = 100_000;
/// Leading bits of an address that make a client's network.
const NETWORK_V4: u32 = 24;
const NETWORK_V6: u32 = 56;

/// How many answers over UDP one network gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Answers a second to an IPv4 /24 or an IPv6 /56 of one kind: records of one name, no records or no name in one
    /// zone, or any error. A second's worth is saved up, 15 are owed.
    pub rate: NonZeroU32,
    /// Clients that get all they ask for.
    pub exempt: Vec<IpNet>,
    /// Whether it is only counted what would be held back.
    pub is_report_only: bool,
}

/// The same at work.
#[derive(Debug)]
pub(super) struct RateLimiter {
    limit: RateLimit,
    accounts: Accounts,
    /// Nobody can find out which clients share an account's place.
    hasher: RandomState,
    metrics: RateLimitMetrics,
}

/// Who gets an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    address: IpAddr,
    cookie: Option<Standing>,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent, as it is now, with this code.
    Sent(ResponseCode),
    /// It is not sent.
    Dropped,
}

impl Client {
    pub(super) fn new(address: IpAddr, head: &Head) -> Self {
        let cookie = match head.edns.map(|edns| edns.cookie) {
            Some(ClientCookie::Answered(cookie)) => Some(cookie.standing),
            _ => None,
        };
        Self { address: address.to_canonical(), cookie }
    }

    /// The start of its address that it shares with its network.
    fn network(&self) -> u128 {
        match self.address {
            // None of these is at the start of an IPv6 network.
            IpAddr::V4(address) => u128::from(address.to_bits() >> (u32::BITS - NETWORK_V4)),
            IpAddr::V6(address) => address.to_bits() >> (u128::BITS - NETWORK_V6) | 1 << 127,
        }
    }
}

impl RateLimiter {
    pub(super) fn new(limit: RateLimit, metrics: RateLimitMetrics) -> Self {
        let accounts = Accounts::new(MOST, limit.rate.get(), Instant::now());
        Self { limit, accounts, hasher: RandomState::new(), metrics }
    }

    /// Looks at a finished answer with this code that is about to be sent over UDP.
    pub(super) fn look(&self, message: &mut Vec<u8>, code: ResponseCode, client: Client, now: Instant) -> Verdict {
        if client.cookie == Some(Standing::Proved)
            || self.limit.exempt.iter().any(|network| network.contains(&client.address))
        {
            return Verdict::Sent(code);
        }
        let key = self.hasher.hash_one((client.network(), Kind::of(message, code).parts()));
        let Some(before) = self.accounts.take(key, now) else { return Verdict::Sent(code) };
        let RateLimitMetrics { slip, drop, badcookie } = &self.metrics;
        let (action, counter) = match client.cookie {
            Some(_) => (Action::BadCookie, badcookie),
            // The first one too: a client that means it must not wait for its own patience.
            None if before.is_multiple_of(2) => (Action::Slip, slip),
            None => (Action::Drop, drop),
        };
        counter.inc();
        if self.limit.is_report_only {
            return Verdict::Sent(code);
        }
        match action {
            Action::BadCookie => {
                reduced::bad_cookie(message);
                Verdict::Sent(ResponseCode::BADCOOKIE)
            }
            Action::Slip => {
                reduced::slip(message, code);
                Verdict::Sent(code)
            }
            Action::Drop => Verdict::Dropped,
        }
    }
}

/// What is done with an answer that is too many.
#[derive(Debug, Clone, Copy)]
enum Action {
    Slip,
    Drop,
    BadCookie,
}

#[cfg(test)]
mod tests;
