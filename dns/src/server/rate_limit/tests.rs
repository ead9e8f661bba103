//! Who is held back, from what, and what is sent instead.

use super::*;
use crate::cookie::Cookies;
use crate::metrics::Metrics;
use crate::part::harness::client as asker;
use hickory_proto::op::Message;
use prometheus::Registry;
use std::time::Duration;

fn limiter(rate: u32, exempt: &[&str], is_report_only: bool) -> RateLimiter {
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let exempt = exempt.iter().map(|network| network.parse().unwrap()).collect();
    let limit = RateLimit { rate: NonZeroU32::new(rate).unwrap(), exempt, is_report_only };
    RateLimiter::new(limit, metrics.rate_limit)
}

fn from(address: &str) -> Client {
    Client { address: address.parse::<IpAddr>().unwrap().to_canonical(), cookie: None }
}

const SOA: &str = "| example. 60 SOA ns.example. root.example. 1 60";

/// What becomes of an answer about a name: `+` it is sent, `~` cut, `-` not at all, `!` BADCOOKIE.
fn one(limiter: &RateLimiter, (name, code, records): (&str, &str, &str), client: Client, now: Instant) -> char {
    let before = asker(name, "A").answer(code, records);
    let mut message = before.clone();
    let code = Message::from_vec(&before).unwrap().metadata.response_code;
    match limiter.look(&mut message, code, client, now) {
        Verdict::Dropped => '-',
        Verdict::Sent(ResponseCode::BADCOOKIE) => '!',
        Verdict::Sent(sent) => {
            assert_eq!(sent, code);
            if message == before { '+' } else { '~' }
        }
    }
}

fn several(limiter: &RateLimiter, what: (&str, &str, &str), client: Client, count: usize) -> String {
    let now = Instant::now();
    (0..count).map(|_| one(limiter, what, client, now)).collect()
}

const RECORDS: (&str, &str, &str) = ("a.example.", "NOERROR", "a.example. 60 A 192.0.2.1");

#[test]
fn every_second_answer_that_is_too_many_is_cut_and_the_others_are_not_sent() {
    let limiter = limiter(3, &[], false);
    assert_eq!(several(&limiter, RECORDS, from("192.0.2.1"), 8), "+++~-~-~");
    let RateLimitMetrics { slip, drop, badcookie } = &limiter.metrics;
    assert_eq!([slip.get(), drop.get(), badcookie.get()], [3, 2, 0]);
}

#[test]
fn a_network_is_one_client_and_each_kind_of_answer_is_apart() {
    for (first, same, other) in [
        ("192.0.2.1", "192.0.2.255", "192.0.3.1"),
        ("192.0.2.1", "::ffff:192.0.2.7", "::192.0.2.1"),
        ("2001:db8:0:ff::1", "2001:db8:0:11::", "2001:db8:0:100::1"),
        ("::", "::c0:0:0:1", "0.0.0.0"),
    ] {
        let limiter = limiter(1, &[], false);
        assert_eq!(several(&limiter, RECORDS, from(first), 2), "+~", "{first}");
        assert_eq!(several(&limiter, RECORDS, from(same), 1), "-", "{same} is in the network of {first}");
        assert_eq!(several(&limiter, RECORDS, from(other), 2), "+~", "{other} is not in that of {first}");
    }
    let limiter = limiter(1, &[], false);
    let client = from("192.0.2.1");
    for (what, outcome) in [
        (RECORDS, "+~"),
        (("A.Example.", "NOERROR", "a.example. 60 A 192.0.2.1"), "-~"),
        (("b.example.", "NOERROR", "b.example. 60 A 192.0.2.1"), "+~"),
        (("a.example.", "NOERROR", SOA), "+~"),
        (("c.example.", "NOERROR", SOA), "-~"),
        (("a.example.", "NXDOMAIN", SOA), "+~"),
        (("x.y.example.", "NXDOMAIN", SOA), "-~"),
    ] {
        let found = several(&limiter, what, client, outcome.len());
        assert_eq!(found, outcome, "{what:?}");
    }
    // Another network, since there are four times as many of all kinds.
    let client = from("198.51.100.1");
    for (what, outcome) in [
        (("x.example.", "NXDOMAIN", SOA), "+~"),
        (("x.test.", "NXDOMAIN", "| test. 60 SOA ns.test. root.test. 1 60"), "+~"),
        (("a.example.", "REFUSED", ""), "+"),
        (("b.example.", "SERVFAIL", ""), "+"),
    ] {
        let found = several(&limiter, what, client, outcome.len());
        // Errors cut are as they were: there is nothing in them.
        assert_eq!(found, outcome, "{what:?}");
    }
    assert_eq!(several(&limiter, ("c.example.", "REFUSED", ""), client, 3), "-+-");
}

/// What gets four answers a second of each name gets 16 of all, however many names there are.
#[test]
fn endless_names_get_no_more_than_four_times_the_rate() {
    let limiter = limiter(4, &[], false);
    let now = Instant::now();
    let ask = |name: &str, client| {
        let records = format!("{name} 60 A 192.0.2.1");
        one(&limiter, (name, "NOERROR", &records), client, now)
    };
    let found: String = (0..24).map(|number| ask(&format!("n{number}.example."), from("192.0.2.1"))).collect();
    assert_eq!(found, "++++++++++++++++~-~-~-~-");
    assert_eq!(ask("a.example.", from("192.0.3.1")), '+', "another network has its own");
    // Those of Pods can be made up, and are of one kind.
    let pods: String =
        (0..8).map(|host| ask(&format!("10-0-0-{host}.n{host}.pod.example."), from("10.0.0.1"))).collect();
    assert_eq!(pods, "++++~-~-");
    assert_eq!(ask("a.example.", from("10.0.0.1")), '+', "too many of one kind leave the others theirs");
}

#[test]
fn a_good_cookie_proves_the_client_and_another_gets_it_asked_again() {
    let limiter = limiter(2, &[], false);
    let (cookies, address) = (Cookies::random(), "192.0.2.1".parse().unwrap());
    let with = |content: &[u8]| {
        let mut head = asker("a.example.", "A").head;
        let cookie = cookies.answer(content, address).unwrap();
        head.edns.as_mut().unwrap().cookie = ClientCookie::Answered(cookie);
        (Client::new(address, &head), cookie)
    };
    let (new, cookie) = with(&[7; 8]);
    assert_eq!(several(&limiter, RECORDS, new, 5), "++!-!");
    assert_eq!(several(&limiter, RECORDS, with(&[7; 24]).0, 3), "-!-", "one that is not good");
    assert_eq!(several(&limiter, RECORDS, from("192.0.2.1"), 2), "~-", "who has none is in the same network");
    assert_eq!([limiter.metrics.badcookie.get(), limiter.metrics.drop.get()], [3, 4]);
    let (proved, _) = with(&cookie.to_option()[4..]);
    assert_eq!(several(&limiter, RECORDS, proved, 100), "+".repeat(100));
}

#[test]
fn who_is_exempt_gets_all_and_who_is_only_counted_too() {
    let networks = ["10.0.0.0/8", "2001:db8::/32", "::ffff:172.16.0.0/108", "::ffff:192.0.2.1/128"];
    let exempt = limiter(1, &networks, false);
    for client in ["10.9.8.7", "::ffff:10.9.8.7", "2001:db8::1", "172.31.0.1", "::ffff:172.16.0.1", "192.0.2.1"] {
        assert_eq!(several(&exempt, RECORDS, from(client), 9), "+".repeat(9), "{client}");
    }
    for client in ["11.0.0.1", "172.32.0.1", "192.0.2.2", "::1"] {
        assert_eq!(several(&exempt, RECORDS, from(client), 3), "+~-", "{client}");
    }
    let [all, every_v4] = ["::/0", "::ffff:0.0.0.0/96"].map(|network| limiter(1, &[network], false));
    assert_eq!(several(&all, RECORDS, from("2001:db8::1"), 3), "+++");
    assert_eq!(several(&all, RECORDS, from("192.0.2.1"), 3), "+~-", "no address of IPv4 is one of IPv6");
    assert_eq!(several(&every_v4, RECORDS, from("192.0.2.1"), 3), "+++");
    let counting = limiter(1, &[], true);
    assert_eq!(several(&counting, RECORDS, from("10.0.0.1"), 9), "+".repeat(9));
    assert_eq!([counting.metrics.slip.get(), counting.metrics.drop.get()], [4, 4]);
}

/// As many made-up clients as there are accounts, and more: the one that is flooded stays limited, and a client that asks
/// now and then is answered.
#[test]
fn a_flood_in_many_names_frees_no_victim_and_harms_no_bystander() {
    let limiter = limiter(5, &[], false);
    let mut now = Instant::now();
    let victim = from("192.0.2.1");
    let flooded: String = (0..1_000).map(|_| one(&limiter, RECORDS, victim, now)).collect();
    assert_eq!(flooded.matches('+').count(), 5);
    let message = asker("a.example.", "A").answer("NOERROR", RECORDS.2);
    for number in 0..150_000_u32 {
        now += Duration::from_micros(50);
        let address = std::net::Ipv4Addr::from_bits(0x1000_0000 + (number << 8)).into();
        let made_up = Client { address, cookie: None };
        let verdict = limiter.look(&mut message.clone(), ResponseCode::NoError, made_up, now);
        assert_eq!(verdict, Verdict::Sent(ResponseCode::NoError));
        if number % 10_000 == 0 {
            assert_eq!(one(&limiter, RECORDS, from("198.51.100.7"), now), '+');
        }
    }
    assert_ne!(one(&limiter, RECORDS, victim, now), '+', "7.5 s later it owes half of its debt");
}
