//! What each client may ask: token buckets in a table of a fixed size. A client has a bucket in each of two rows, and is
//! held back where both are empty, so that it takes two chances for it to suffer from others (a count-min sketch).

use super::respond::{Responder, Response};
use crate::cookie::{ClientCookie, Malformed, Standing};
use crate::extended_error::ExtendedError;
use crate::host::Host;
use crate::message::{Says, Transport, write_code};
use crate::metrics::{Answered, Counted, Source};
use crate::question::{Head, Query, Refusal, is_of_zones};
use hickory_proto::op::ResponseCode;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Buckets of a row, of 16 bytes each. Any number of addresses shares them: whoever asks A questions a second in all keeps
/// at most A / N of a row's empty where N are allowed, and so one in (BUCKETS * N / A)² of the other clients is held back.
const BUCKETS: usize = 1 << 15;
/// What may be asked at once: so much time's worth.
const BURST: Duration = Duration::from_secs(2);

/// What each client has asked.
#[derive(Debug)]
pub(super) struct Clients {
    rows: [Box<[Bucket]>; 2],
    /// Nobody else can tell who shares a bucket with whom.
    hash: RandomState,
    /// When the times in the buckets begin.
    start: Instant,
    /// From one question to the next; nanoseconds.
    each: u64,
    /// Why a question is refused.
    why: Box<str>,
}

/// When it would be full again, as far as questions and refusals have emptied it, in nanoseconds from the start: what is
/// over is a full one (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug, Default)]
struct Bucket {
    questions: AtomicU64,
    refusals: AtomicU64,
}

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Answered,
    Refused,
    Dropped,
}

impl Clients {
    /// `rate`: questions a second of one client, and refusals beyond that.
    pub(super) fn new(rate: NonZeroU32, start: Instant) -> Self {
        Self {
            rows: [(); 2].map(|()| (0..BUCKETS).map(|_| Bucket::default()).collect()),
            hash: RandomState::new(),
            start,
            each: 1_000_000_000 / u64::from(rate.get()),
            why: format!("a client may ask {rate} questions a second here").into(),
        }
    }

    /// Counts a question of the client with this address. `is_proved`: surely it is at it; what others ask in its name
    /// takes nothing of that.
    fn ask(&self, address: IpAddr, is_proved: bool, now: Instant) -> Verdict {
        let hash = self.hash.hash_one((Host::of(address), is_proved));
        let buckets = self.rows.each_ref();
        // Each takes bits of its own.
        let [one, other] =
            [(buckets[0], hash), (buckets[1], hash >> 32)].map(|(row, hash)| row.get(hash as usize % row.len().max(1)));
        let (Some(one), Some(other)) = (one, other) else { return Verdict::Answered };
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        // Both are to pay.
        if self.take(&one.questions, now) | self.take(&other.questions, now) {
            Verdict::Answered
        } else if self.take(&one.refusals, now) | self.take(&other.refusals, now) {
            Verdict::Refused
        } else {
            Verdict::Dropped
        }
    }

    fn take(&self, until: &AtomicU64, now: u64) -> bool {
        let most = now.saturating_add(BURST.as_nanos() as u64);
        let taken = until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
            Some(until.max(now).saturating_add(self.each)).filter(|until| *until <= most)
        });
        taken.is_ok()
    }
}

impl Responder {
    /// Whether a client asks too much that sends what is not even a packet, such as a request for some other page: it
    /// counts as a question.
    pub(super) fn holds_back_noise(&self, peer: SocketAddr) -> bool {
        let clients = self.shared.clients.as_ref();
        let is_held_back =
            clients.is_some_and(|clients| clients.ask(peer.ip(), true, Instant::now()) != Verdict::Answered);
        if is_held_back {
            self.metrics.held_back.inc();
            self.metrics.dropped.with_label_values(&["client"]).inc();
        }
        is_held_back
    }

    /// What a client gets that asks too much; `None`: it does not. Its cookie is answered in any case.
    pub(super) fn hold_back(
        &self,
        clients: &Clients,
        (packet, read): (&[u8], &mut Result<Query<'_>, Refusal<'_>>),
        (peer, counted, transport): (SocketAddr, Counted, Transport),
        out: &mut Vec<u8>,
    ) -> Option<Response> {
        let read = match read {
            Ok(Query { head, asked }) => Ok((head, Some(*asked))),
            Err(Refusal::Code(head, asked, _)) => Ok((head, *asked)),
            Err(Refusal::CookieAlone(head)) => Ok((head, None)),
            Err(Refusal::Silence(reason)) => Err(*reason),
        };
        let read = read.map(|(head, asked)| {
            let cookie = self.shared.guards.answer_cookie(head, packet, peer.ip());
            (*head, asked, cookie)
        });
        let is_proved = transport != Transport::Udp || read.is_ok_and(|(head, ..)| has_good_cookie(&head));
        let verdict = clients.ask(peer.ip(), is_proved, Instant::now());
        if verdict == Verdict::Answered {
            return None;
        }
        self.metrics.held_back.inc();
        if verdict == Verdict::Dropped {
            self.metrics.dropped.with_label_values(&["client"]).inc();
            return Some(Response::HeldBack);
        }
        let (head, asked, cookie) = match read {
            Ok(read) => read,
            Err(reason) => return Some(self.silence(reason)),
        };
        let code = match cookie {
            Ok(()) => ResponseCode::Refused,
            Err(Malformed) => ResponseCode::FormErr,
        };
        write_code(out, &head, asked, (code, Says::default()));
        // Over UDP somebody else may get it, who has not asked.
        let why = if transport == Transport::Udp { "" } else { &clients.why };
        ExtendedError::Prohibited.add(why, out, (&head, transport));
        // A zone that is asked for would be sent where it is refused so far.
        let record_type = asked.map(|asked| asked.record_type).filter(|record_type| !is_of_zones(*record_type));
        let answered = Answered { question: Counted { record_type, ..counted }, source: Source::Itself, code };
        Some(self.limited(Response::Ready(answered), &head, (peer, transport), out))
    }
}

/// Whether whoever asks has a cookie that was sent to the address that it has.
fn has_good_cookie(head: &Head) -> bool {
    let cookie = head.edns.map(|edns| edns.cookie);
    matches!(cookie, Some(ClientCookie::Answered(cookie)) if cookie.standing == Standing::Proved)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 10;

    fn clients(start: Instant) -> Clients {
        Clients::new(NonZeroU32::new(RATE).unwrap(), start)
    }

    /// How many questions of so many at once are answered, refused and dropped.
    fn asked(clients: &Clients, address: &str, count: usize, now: Instant) -> [usize; 3] {
        let address = address.parse().unwrap();
        let verdicts: Vec<_> = (0..count).map(|_| clients.ask(address, false, now)).collect();
        [Verdict::Answered, Verdict::Refused, Verdict::Dropped]
            .map(|verdict| verdicts.iter().filter(|found| **found == verdict).count())
    }

    #[test]
    fn a_client_may_ask_so_much_a_second_and_twice_that_at_once() {
        let start = Instant::now();
        let clients = clients(start);
        assert_eq!(asked(&clients, "192.0.2.1", 50, start), [20, 20, 10]);
        let later = |millis| start + Duration::from_millis(millis);
        assert_eq!(asked(&clients, "192.0.2.1", 3, later(99)), [0, 0, 3]);
        assert_eq!(asked(&clients, "192.0.2.1", 3, later(100)), [1, 1, 1]);
        assert_eq!(asked(&clients, "192.0.2.1", 12, later(600)), [5, 5, 2]);
        // What is not asked is not kept for ever.
        assert_eq!(asked(&clients, "192.0.2.1", 21, later(60_000)), [20, 1, 0]);
    }

    #[test]
    fn a_rate_is_kept_to_over_time() {
        let start = Instant::now();
        let clients = clients(start);
        let mut answered = 0;
        for millis in 0..10_000 {
            answered += asked(&clients, "192.0.2.1", 1, start + Duration::from_millis(millis))[0];
        }
        assert_eq!(answered, 20 + 99);
    }

    #[test]
    fn each_client_has_what_it_may_ask() {
        let start = Instant::now();
        let clients = clients(start);
        assert_eq!(asked(&clients, "192.0.2.1", 100, start)[0], 20);
        // The same host over IPv6 sockets.
        assert_eq!(asked(&clients, "::ffff:192.0.2.1", 100, start)[0], 0);
        assert_eq!(asked(&clients, "2001:db8:0:1::1", 100, start)[0], 20);
        assert_eq!(asked(&clients, "2001:db8:0:1:ffff::2", 100, start)[0], 0, "of the same network");
        assert_eq!(asked(&clients, "2001:db8:0:2::1", 100, start)[0], 20);
        assert_eq!(asked(&clients, "fe80::1", 100, start)[0], 20);
        assert_eq!(asked(&clients, "fe80::2", 100, start)[0], 20, "another host");
    }

    #[test]
    fn what_is_asked_in_a_clients_name_takes_nothing_of_what_it_surely_asks() {
        let start = Instant::now();
        let clients = clients(start);
        assert_eq!(asked(&clients, "192.0.2.1", 100, start), [20, 20, 60]);
        let address = "192.0.2.1".parse().unwrap();
        let verdicts: Vec<_> = (0..50).map(|_| clients.ask(address, true, start)).collect();
        assert_eq!(verdicts[..20], [Verdict::Answered; 20]);
        assert_eq!(verdicts[20..40], [Verdict::Refused; 20], "it is held to its rate all the same");
        assert_eq!(verdicts[40..], [Verdict::Dropped; 10]);
    }

    #[test]
    fn no_number_of_addresses_takes_what_others_may_ask() {
        let start = Instant::now();
        let clients = clients(start);
        // The /64 networks of a /52, each with all that it may ask: an eighth of the buckets of each row is empty.
        for network in 0..4096_u128 {
            let address = std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | network << 64);
            asked(&clients, &address.to_string(), 40, start);
        }
        let held_back = (0..10_000_u32).filter(|host| {
            let address = std::net::Ipv4Addr::from_bits(0x0A00_0000 + host).to_string();
            asked(&clients, &address, 1, start)[0] == 0
        });
        // One in 72 by chance, give or take: with one row it would be one in 8.5.
        let held_back = held_back.count();
        assert!((40..320).contains(&held_back), "{held_back} of 10,000");
    }
}
