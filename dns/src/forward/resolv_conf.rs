//! The system's resolvers.

use crate::file;
use crate::plan::address::on_link;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

const DNS: u16 = 53;
/// The largest file that is read; bytes.
const MOST: u64 = 1 << 20;

/// The resolvers that `/etc/resolv.conf` names, in its order; it may name none.
///
/// # Errors
/// The file cannot be read; the message names it.
pub fn system_upstreams() -> io::Result<Vec<SocketAddr>> {
    let path = "/etc/resolv.conf";
    match read(path) {
        Ok(text) => Ok(parse_resolv_conf(&text)),
        Err(error) => Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
    }
}

/// The text of a resolv.conf(5), which need not be UTF-8.
///
/// # Errors
/// It cannot be read, is no regular file, or is larger than 1 MiB.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<String> {
    file::read_lossily(path, MOST)
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
        let Some(upstream) = words.next().and_then(|word| on_link(word, DNS)) else {
            tracing::warn!(line, "resolv.conf: not an address, or there is no such interface");
            continue;
        };
        if !upstreams.contains(&upstream) {
            upstreams.push(upstream);
        }
    }
    upstreams
}

/// The first of its nameservers that [`parse_resolv_conf`] passes over.
pub(super) fn passed_over(text: &str) -> Option<&str> {
    let mut named = text.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    named.find_map(|rest| {
        let word = rest.starts_with(char::is_whitespace).then(|| rest.split_whitespace().next()).flatten();
        word.filter(|word| on_link(word, DNS).is_none())
    })
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
        assert!(parse_resolv_conf("nameserver fe80::1%lo\n")[0].to_string().starts_with("[fe80::1%"));
        assert_eq!(parse_resolv_conf("nameserver fe80::1%nosuch\n"), []);
    }
}
