//! The system's resolvers.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::path::Path;

const DNS: u16 = 53;

/// The resolvers that `/etc/resolv.conf` names, in its order; it may name none.
///
/// # Errors
/// The file cannot be read; the message names it.
pub fn system_upstreams() -> io::Result<Vec<SocketAddr>> {
    let path = Path::new("/etc/resolv.conf");
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse_resolv_conf(&text)),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

/// The `nameserver` lines of a resolv.conf(5), each once; lines that name no address are passed over, as resolvers do.
/// `fe80::1%eth0` is an address on the link of that interface (RFC 4007 §11).
#[must_use]
pub fn parse_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let mut upstreams = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let Some(upstream) = words.next().and_then(|word| address(word, interface)) else {
            tracing::warn!(line, "resolv.conf: not an address, or there is no such interface");
            continue;
        };
        if !upstreams.contains(&upstream) {
            upstreams.push(upstream);
        }
    }
    upstreams
}

fn address(word: &str, interface: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    match word.split_once('%') {
        None => word.parse().ok().map(|address| SocketAddr::new(address, DNS)),
        Some((address, scope)) => {
            let scope = scope.parse().ok().or_else(|| interface(scope))?;
            Some(SocketAddrV6::new(address.parse().ok()?, DNS, 0, scope).into())
        }
    }
}

/// The number of an interface that has an address.
fn interface(name: &str) -> Option<u32> {
    let interfaces = if_addrs::get_if_addrs().inspect_err(|error| tracing::warn!(%error, "no interface is known"));
    interfaces.ok()?.into_iter().find(|interface| interface.name == name)?.index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameserver_lines_are_upstreams() {
        let text = "# nameserver 9.9.9.9\nsearch ns.svc.cluster.local\n nameserver 10.0.0.1\nnameserver\t::1 # ours\n\
                    nameserver 10.0.0.1\nnameserver nonsense\nnameserver\noptions ndots:5\n";
        let expected: Vec<SocketAddr> = vec!["10.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(parse_resolv_conf(text), expected);
    }

    #[test]
    fn an_address_may_be_on_the_link_of_an_interface() {
        let interface = |name: &str| (name == "eth0").then_some(7);
        for (word, expected) in [
            ("fe80::1%eth0", Some("[fe80::1%7]:53")),
            ("fe80::1%3", Some("[fe80::1%3]:53")),
            ("fe80::1%eth1", None),
            ("fe80::1%", None),
            ("10.0.0.1%eth0", None),
        ] {
            assert_eq!(address(word, interface).map(|address| address.to_string()).as_deref(), expected, "{word}");
        }
        assert!(parse_resolv_conf("nameserver fe80::1%lo\n")[0].to_string().starts_with("[fe80::1%"));
        assert_eq!(parse_resolv_conf("nameserver fe80::1%nosuch\n"), []);
    }
}
