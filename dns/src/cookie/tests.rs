//! What a COOKIE option gets, by the examples of RFC 9018 and at the edges of time.

use super::*;

const FIRST: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

fn cookies(secrets: &str) -> Cookies {
    Cookies::new(Secrets::parse(secrets).unwrap())
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// The content that the answer has, and whether the client is proved.
fn answered(cookies: &Cookies, now: u32, content: &[u8], client: &str) -> (String, bool) {
    let Cookie { content, standing } = cookies.answer_at(now, content, client.parse().unwrap()).unwrap();
    (content.iter().map(|byte| format!("{byte:02x}")).collect(), standing == Standing::Proved)
}

/// RFC 9018 appendix A.
#[test]
fn the_examples_of_the_standard_are_met() {
    let rolled = "445536bcd2513298075a5d379663c962\ndd3bdf9344b678b185a6f5cb60fca715";
    for (what, secrets, client, question, now, answer, is_proved) in [
        (
            "A.1, a new client",
            FIRST,
            "198.51.100.100",
            "2464c4abcf10c957",
            1_559_731_985,
            "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
            false,
        ),
        (
            "A.2, the same one later",
            FIRST,
            "198.51.100.100",
            "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
            1_559_734_385,
            "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
            true,
        ),
        (
            // An hour and 52 minutes later, as the example has it: too old to prove anything.
            "A.3, reserved bytes",
            FIRST,
            "203.0.113.203",
            "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
            1_559_734_700,
            "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
            false,
        ),
        (
            "A.4, of the secret before",
            rolled,
            "2001:db8:220:1:59de:d0f4:8769:82b8",
            "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
            1_559_741_961,
            "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
            true,
        ),
    ] {
        let found = answered(&cookies(secrets), now, &bytes(question), client);
        assert_eq!(found, (answer.to_owned(), is_proved), "{what}");
    }
    let reserved = bytes("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
    let (_, is_proved) = answered(&cookies(FIRST), 0x5cf7_8f71, &reserved, "203.0.113.203");
    assert!(is_proved, "reserved bytes that are not zero");
}

#[test]
fn a_cookie_is_good_for_an_hour_and_replaced_after_half_of_it() {
    let (cookies, client) = (cookies(FIRST), "192.0.2.9");
    // Once amid the numbers, and once where they begin again.
    for made in [1_559_731_985_u32, u32::MAX - 1_000] {
        let (first, _) = answered(&cookies, made, &[7; 8], client);
        for (seconds, is_kept, is_proved) in [
            (0, true, true),
            (1_800, true, true),
            (1_801, false, true),
            (3_600, false, true),
            (3_601, false, false),
            (-300, true, true),
            (-301, false, false),
            (i32::MAX, false, false),
            (i32::MIN, false, false),
        ] {
            let now = made.wrapping_add_signed(seconds);
            let (next, proved) = answered(&cookies, now, &bytes(&first), client);
            assert_eq!((next == first, proved), (is_kept, is_proved), "{seconds} s later");
            let (_, proved) = answered(&cookies, now, &bytes(&next), client);
            assert!(proved, "what it got {seconds} s later is good");
        }
    }
}

#[test]
fn a_cookie_is_good_for_its_client_alone() {
    let (cookies, now) = (cookies(FIRST), 1_559_731_985);
    let (good, _) = answered(&cookies, now, &[7; 8], "192.0.2.9");
    let is_proved = |content: &[u8], client| answered(&cookies, now, content, client).1;
    let good = bytes(&good);
    assert!(is_proved(&good, "192.0.2.9"));
    assert!(is_proved(&good, "::ffff:192.0.2.9"), "the same client through a socket of IPv6");
    for client in ["192.0.2.8", "2001:db8::9", "::192.0.2.9"] {
        assert!(!is_proved(&good, client), "{client}");
    }
    for place in 0..good.len() {
        let mut other = good.clone();
        other[place] ^= 1;
        assert!(!is_proved(&other, "192.0.2.9"), "byte {place}");
    }
    assert!(!answered(&Cookies::random(), now, &good, "192.0.2.9").1, "a cookie of another server");
}

#[test]
fn lengths_that_no_cookie_has_are_malformed() {
    let cookies = cookies(FIRST);
    for len in 0..64 {
        let found = cookies.answer_at(0, &vec![1; len], "192.0.2.9".parse().unwrap());
        let expected = match len {
            8 => Ok(Standing::New),
            16..=40 => Ok(Standing::Unproved),
            _ => Err(Malformed),
        };
        assert_eq!(found.map(|cookie| cookie.standing), expected, "{len} bytes");
    }
}
