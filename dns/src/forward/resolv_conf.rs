//! The system's resolvers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

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
#[must_use]
pub fn parse_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let mut upstreams = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            tracing::warn!(line, "resolv.conf: not an address");
            continue;
        };
        let upstream = SocketAddr::new(address, 53);
        if !upstreams.contains(&upstream) {
            upstreams.push(upstream);
        }
    }
    upstreams
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
}
