//! Which host a request is for. All are answered alike, but a request that two servers may read differently is for none.

use hyper::Version;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;

/// Whether a request has one Host that is valid, without which HTTP/1.1 has 400 (RFC 9112 §3.2). HTTP/2 has `:authority`
/// in its place (RFC 9113 §8.3.1), and HTTP/1.0 none.
pub(super) fn is_told(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(host), None) => is_valid(host),
        (Some(_), Some(_)) => false,
    }
}

/// Whether it is a host with or without a port (RFC 9110 §7.2). An https URI always has a host (§4.2.2).
fn is_valid(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let port = authority.as_str().strip_prefix(authority.host());
    let is_port =
        |port: &str| port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    !authority.host().is_empty() && port.is_some_and(|port| port.is_empty() || is_port(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: Version, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        is_told(version, &headers)
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in
            ["dns.test", "dns.test.", "DNS.test:443", "dns.test:", "192.0.2.1:8443", "[2001:db8::1]", "[::1]:443"]
        {
            assert!(told(Version::HTTP_11, &[host]), "{host}");
        }
        for host in [
            "",
            ":443",
            "dns test",
            "dns.test/",
            "a.test, b.test",
            "user@dns.test",
            "dns.test:https",
            "dns.test:443:443",
            "2001:db8::1",
            "[::1",
            "[::1]x",
            "dns.test?",
            "https://dns.test",
            "d\u{f6}ns.test",
        ] {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                assert!(!told(version, &[host]), "{host} {version:?}");
            }
        }
    }

    #[test]
    fn none_is_missing_but_in_1_1_and_two_are_too_many() {
        for (version, without) in [(Version::HTTP_10, true), (Version::HTTP_11, false), (Version::HTTP_2, true)] {
            assert_eq!(told(version, &[]), without, "{version:?}");
            assert!(!told(version, &["dns.test", "dns.test"]), "{version:?}");
        }
    }
}
