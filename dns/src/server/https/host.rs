//! Which host a request is for. All are answered alike, but a request that two servers may read differently is for none.

use hyper::header::{self, HeaderMap};
use hyper::http::uri::Authority;
use hyper::{Uri, Version};

/// The port of URIs that name none (RFC 9110 §4.2.2).
const PORT: &str = "443";

/// Whether a request has one host that is valid: HTTP/1.1 a Host, without which it has 400 (RFC 9112 §3.2), and HTTP/2
/// `:authority`, Host, or both where they are the same (RFC 9113 §8.3.1). HTTP/1.0 may have none. Beside a whole URI in the
/// place of a path Host counts for nothing in HTTP/1.1 (RFC 9112 §3.2.2).
pub(super) fn is_told(version: Version, target: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => match Authority::try_from(host.as_bytes()) {
            Ok(host) => Some(host),
            Err(_) => return false,
        },
        (Some(_), Some(_)) => return false,
    };
    let authority = target.authority().filter(|_| version == Version::HTTP_2);
    match (&host, authority) {
        (None, None) => version != Version::HTTP_11,
        (Some(one), None) | (None, Some(one)) => host_and_port(one).is_some(),
        (Some(host), Some(authority)) => is_same(host, authority),
    }
}

/// Whether both are valid, and the same but for case and a port that is said or not (RFC 3986 §6.2.2.1, §6.2.3).
fn is_same(host: &Authority, authority: &Authority) -> bool {
    let both = host_and_port(host).zip(host_and_port(authority));
    both.is_some_and(|((host, port), (authority, other))| host.eq_ignore_ascii_case(authority) && port == other)
}

/// A host, and its port or the usual one (RFC 9110 §7.2). `None`: an https URI has no such authority, which always has a
/// host (§4.2.2) and no user (§4.2.4).
fn host_and_port(authority: &Authority) -> Option<(&str, &str)> {
    let host = authority.host();
    let port = match authority.as_str().strip_prefix(host)? {
        "" | ":" => PORT,
        port => port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?,
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn told(version: Version, hosts: &[&str]) -> bool {
        told_at("/dns-query", version, hosts)
    }

    fn told_at(target: &str, version: Version, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        is_told(version, &target.parse().unwrap(), &headers)
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
    fn authority_and_host_of_http_2_are_the_same() {
        for (authority, host) in [
            ("dns.test", "dns.test"),
            ("dns.test", "DNS.test:443"),
            ("Dns.test:443", "dns.test"),
            ("dns.test:", "dns.test:443"),
            ("dns.test:8443", "dns.test:8443"),
            ("[2001:DB8::1]", "[2001:db8::1]:443"),
        ] {
            assert!(told_at(&format!("https://{authority}/dns-query"), Version::HTTP_2, &[host]), "{authority} {host}");
        }
        for (authority, hosts) in [
            ("a.test", &["b.test"][..]),
            ("dns.test", &["dns.test."]),
            ("dns.test", &["dns.test:8443"]),
            ("dns.test:8443", &["dns.test"]),
            ("dns.test", &["dns.test/"]),
            ("dns.test", &["dns.test", "dns.test"]),
            ("user@dns.test", &["dns.test"]),
            ("user@dns.test", &[]),
        ] {
            let target = format!("https://{authority}/dns-query");
            assert!(!told_at(&target, Version::HTTP_2, hosts), "{authority} {hosts:?}");
        }
        // In HTTP/1.1 what the target says counts alone, but Host has to be there.
        for (hosts, expected) in [(&["b.test"][..], true), (&[], false)] {
            assert_eq!(told_at("https://a.test/dns-query", Version::HTTP_11, hosts), expected);
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
