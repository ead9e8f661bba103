//! A domain name that a user wrote, in canonical form.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A domain name in lower case, without the trailing dot: at most 253 characters in labels of 1 to 63 letters, digits,
/// hyphens and underscores (RFC 1035 §2.3.4); never the spelling of an IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct DomainName(Arc<str>);

/// Why a text is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainNameError {
    /// Nothing but, at most, a dot.
    #[error("a domain name must not be empty")]
    Empty,
    /// More than 253 characters.
    #[error("a domain name has at most 253 characters")]
    TooLong,
    /// A label that DNS or Kubernetes has no room for.
    #[error("a domain name is made of labels of 1 to 63 letters, digits, '-' and '_', joined by dots")]
    BadLabel,
    /// An address where a name belongs.
    #[error("an address is no domain name")]
    Address,
}

impl DomainName {
    /// The default zone of a cluster.
    #[must_use]
    pub fn cluster_local() -> Self {
        Self(Arc::from("cluster.local"))
    }

    /// The name without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its labels, leftmost first; never empty.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

impl FromStr for DomainName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, DomainNameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() {
            Err(DomainNameError::Empty)
        } else if name.parse::<std::net::IpAddr>().is_ok() {
            Err(DomainNameError::Address)
        } else if !name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(is_letter)) {
            Err(DomainNameError::BadLabel)
        } else if name.len() > 253 {
            Err(DomainNameError::TooLong)
        } else {
            Ok(Self(name.to_ascii_lowercase().into()))
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
