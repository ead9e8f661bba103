//! Where Ingresses are served, as clients and DNS are to be told.

use serde_json::{Value, json};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// Octets of a DNS name and of one of its labels (RFC 1035 §2.3.4).
const NAME: usize = 253;
const LABEL: usize = 63;

/// An address to publish.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IP address.
    Ip(IpAddr),
    /// A DNS name in lower case.
    Name(Arc<str>),
}

/// What is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address}: {reason}; an address to publish is an IP address or a DNS name, such as 192.0.2.1 or lb.example.com"
)]
pub struct AddressError {
    /// As it was given.
    pub address: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Address {
    /// As an entry of `status.loadBalancer.ingress`.
    pub(super) fn entry(&self) -> Value {
        match self {
            Self::Ip(address) => json!({"ip": address.to_string()}),
            Self::Name(name) => json!({"hostname": &**name}),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |reason| Err(AddressError { address: crate::Printable(text).to_string(), reason });
        if let Ok(address) = text.parse::<IpAddr>() {
            let is_none = address.is_unspecified() || address.is_multicast();
            return if is_none { refuse("nobody can connect to it") } else { Ok(Self::Ip(address)) };
        }
        match fault_of_name(text) {
            Some(reason) => refuse(reason),
            None => Ok(Self::Name(text.to_ascii_lowercase().into())),
        }
    }
}

/// What keeps a text from being a host name (RFC 1123 §2.1).
fn fault_of_name(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.contains(['/', '[', ']']) || text.contains(':') {
        return Some("no scheme, port, brackets or path may be there");
    }
    if text.len() > NAME {
        return Some("it is longer than 253 characters");
    }
    for label in text.split('.') {
        if label.is_empty() {
            return Some("a part of it between dots is empty");
        }
        if label.len() > LABEL {
            return Some("a part of it between dots is longer than 63 characters");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Some("it has characters that are no letters, digits, hyphens or dots");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some("a part of it begins or ends with a hyphen");
        }
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|byte| byte.is_ascii_digit()).then_some("it looks like an IP address and is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_addresses_or_names() {
        for (text, expected) in [
            ("192.0.2.1", json!({"ip": "192.0.2.1"})),
            ("2001:DB8::1", json!({"ip": "2001:db8::1"})),
            ("LB.example.com", json!({"hostname": "lb.example.com"})),
            ("localhost", json!({"hostname": "localhost"})),
            ("3.pool.example", json!({"hostname": "3.pool.example"})),
        ] {
            assert_eq!(text.parse::<Address>().map(|address| address.entry()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_says_why() {
        let long = "a.".repeat(127) + "aa";
        let label = "a".repeat(64);
        for (text, expected) in [
            ("", "empty"),
            ("0.0.0.0", "nobody can connect"),
            ("::", "nobody can connect"),
            ("224.0.0.1", "nobody can connect"),
            ("http://lb.example.com", "no scheme"),
            ("lb.example.com:80", "port"),
            ("[2001:db8::1]", "brackets"),
            ("lb.example.com.", "is empty"),
            ("a..b", "is empty"),
            ("a b", "characters"),
            ("*.example.com", "characters"),
            ("a_b.example", "characters"),
            ("-a.example", "hyphen"),
            ("300.1.1.1", "looks like an IP address"),
            ("10.0.0", "looks like an IP address"),
            (&long, "253"),
            (&label, "63"),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = "a\u{1b}b".parse::<Address>().expect_err("a control character").to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}
