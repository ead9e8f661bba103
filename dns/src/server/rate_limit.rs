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
use ipnet::{IpNet, Ipv4Net};
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
/// So many times the rate is what a network gets of all kinds together, since there are as many kinds as names (BIND's
/// all-per-second, which is to be four times the others or more).
const ALL: u64 = 4;
/// Leading bits of the IPv6 addresses that stand for those of IPv4 (RFC 4291 §2.5.5.2).
const MAPPED: u8 = 96;

/// How many answers over UDP one network gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Answers a second to an IPv4 /24 or an IPv6 /56 of one kind: records of one name or of all Pods, no records or no
    /// name in one zone, or any error; four times as many of all kinds. A second's worth is saved up, 15 are owed.
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
    pub(super) fn new(mut limit: RateLimit, metrics: RateLimitMetrics) -> Self {
        limit.exempt.iter_mut().for_each(|network| *network = canonical(*network));
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
        let network = client.network();
        let one_kind = self.hasher.hash_one((network, Kind::of(message, code).parts()));
        // Only what its own kind has left is taken from all: too many of one leave the others theirs.
        let before = self.accounts.take((one_kind, 1), now);
        let Some(before) = before.or_else(|| self.accounts.take((self.hasher.hash_one(network), ALL), now)) else {
            return Verdict::Sent(code);
        };
        let RateLimitMetrics { slip, drop, badcookie } = &self.metrics;
        // The first one too: a client that means it must not wait for its own patience.
        let (action, counter) = match client.cookie {
            _ if !before.is_multiple_of(2) => (Action::Drop, drop),
            // Anybody can make up a client's part, and so it is answered no more often (RFC 7873 §5.2.3).
            Some(_) => (Action::BadCookie, badcookie),
            None => (Action::Slip, slip),
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

/// The network as clients' addresses are looked at.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let (address, length) = (mapped.addr().to_ipv4_mapped(), mapped.prefix_len().checked_sub(MAPPED));
    let network_v4 = address.zip(length).and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    network_v4.map_or(network, IpNet::V4)
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
