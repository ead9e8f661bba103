//! Host names in canonical form, and the patterns of rules.

use serde::Serialize;
use smol_str::SmolStr;
use std::fmt;

/// Why an authority is refused; each answers 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum HostError {
    #[error("host holds user information")]
    UserInformation,
    #[error("host holds a character that no host name has")]
    BadCharacter,
    #[error("host has a malformed port")]
    BadPort,
    #[error("host is too long")]
    TooLong,
    #[error("host is empty")]
    Empty,
}

/// The authority of a request: lower case, no trailing dot, port apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name or address as matched; IPv6 addresses keep their brackets.
    pub name: String,
    /// The port, if one was given.
    pub port: Option<u16>,
}

impl Host {
    /// Reads a Host field, `:authority` or the authority of an absolute-form target (RFC 3986 §3.2).
    ///
    /// # Errors
    /// [`HostError`] where it is no `host[:port]`.
    pub fn parse(authority: &[u8]) -> Result<Self, HostError> {
        if authority.len() > 261 {
            return Err(HostError::TooLong);
        }
        if authority.contains(&b'@') {
            return Err(HostError::UserInformation);
        }
        let name_len = match authority {
            [b'[', ..] => authority.iter().position(|&byte| byte == b']').ok_or(HostError::BadCharacter)? + 1,
            _ => authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len()),
        };
        let (name, port) = authority.split_at(name_len);
        let port = match port {
            [] | [b':'] => None,
            [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => Some(
                digits
                    .iter()
                    .try_fold(0u16, |port, digit| port.checked_mul(10)?.checked_add(u16::from(digit - b'0')))
                    .ok_or(HostError::BadPort)?,
            ),
            _ => return Err(HostError::BadPort),
        };
        Ok(Self { name: canonical_name(name)?, port })
    }

    /// Whether both name the same host on the same port, the default port of either scheme being no difference.
    #[must_use]
    pub fn is_same(&self, other: &Self, default_port: u16) -> bool {
        self.name == other.name && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

fn canonical_name(name: &[u8]) -> Result<String, HostError> {
    if let [b'[', inner @ .., b']'] = name {
        let address = std::str::from_utf8(inner).ok().and_then(|text| text.parse::<std::net::Ipv6Addr>().ok());
        return address.map(|address| format!("[{address}]")).ok_or(HostError::BadCharacter);
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if !name.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)) {
        return Err(HostError::BadCharacter);
    }
    Ok(name.iter().map(|&byte| char::from(byte.to_ascii_lowercase())).collect())
}

/// The host of a rule; a name of up to 23 bytes has no place in memory of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// One name, in lower case.
    Exact(SmolStr),
    /// `*.` and this suffix, in lower case: exactly one label stands for the star.
    Wildcard(SmolStr),
    /// Every host that no other pattern takes.
    Any,
}

impl HostPattern {
    /// Reads the host of an Ingress rule; `None` and the empty string mean any host.
    ///
    /// # Errors
    /// A message that says what is wrong, without the host itself.
    pub fn parse(host: Option<&str>) -> Result<Self, &'static str> {
        let Some(host) = host.filter(|host| !host.is_empty()) else { return Ok(Self::Any) };
        let (name, is_wildcard) = host.strip_prefix("*.").map_or((host, false), |suffix| (suffix, true));
        if name.contains('*') {
            return Err("the wildcard must be the whole first label");
        }
        if name.contains(':') || name.contains('/') {
            return Err("a host has no port and no path");
        }
        if name.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err("a host must be a name, not an address");
        }
        if name.len() > 253 {
            return Err("a host has at most 253 characters");
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !name.split('.').all(is_label) {
            return Err("a host is made of labels of letters, digits and -, joined by dots");
        }
        let name = SmolStr::from(name.to_ascii_lowercase());
        Ok(if is_wildcard { Self::Wildcard(name) } else { Self::Exact(name) })
    }

    /// The name, or the suffix of a wildcard; empty for any host.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Wildcard(text) => text,
            Self::Any => "",
        }
    }

    /// Whether `host`, in canonical form, is one of this pattern's.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Wildcard(suffix) => wildcard_suffix(host) == Some(suffix),
            Self::Any => true,
        }
    }
}

/// What a wildcard must be to match `host`: all past its first label.
pub(crate) fn wildcard_suffix(host: &str) -> Option<&str> {
    let (label, suffix) = host.split_once('.')?;
    (!label.is_empty()).then_some(suffix)
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl Serialize for HostPattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_form() {
        for (authority, name, port) in [
            ("example.com", "example.com", None),
            ("EXAMPLE.com:80", "example.com", Some(80)),
            ("example.com.", "example.com", None),
            ("example.com.:8443", "example.com", Some(8443)),
            ("example.com:", "example.com", None),
            ("[2001:DB8::1]:80", "[2001:db8::1]", Some(80)),
            ("10.0.0.1", "10.0.0.1", None),
        ] {
            assert_eq!(Host::parse(authority.as_bytes()), Ok(Host { name: name.into(), port }), "{authority}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (authority, error) in [
            ("a@b", HostError::UserInformation),
            ("a b", HostError::BadCharacter),
            ("a/b", HostError::BadCharacter),
            ("caf\u{e9}", HostError::BadCharacter),
            ("a:b", HostError::BadPort),
            ("a:65536", HostError::BadPort),
            ("a:80:80", HostError::BadPort),
            ("[::1", HostError::BadCharacter),
            ("", HostError::Empty),
            (".", HostError::Empty),
            (":80", HostError::Empty),
        ] {
            assert_eq!(Host::parse(authority.as_bytes()), Err(error), "{authority}");
        }
    }

    #[test]
    fn default_port_is_no_difference() {
        let host = |text: &str| Host::parse(text.as_bytes()).expect("valid");
        assert!(host("a").is_same(&host("A:80"), 80));
        assert!(!host("a").is_same(&host("a:81"), 80));
        assert!(!host("a").is_same(&host("b"), 80));
    }

    #[test]
    fn a_star_stands_for_exactly_one_label() {
        let pattern = HostPattern::parse(Some("*.Foo.com")).expect("valid");
        assert!(pattern.matches("bar.foo.com"));
        for host in ["foo.com", "baz.bar.foo.com", ".foo.com", "bar.foo.com.evil"] {
            assert!(!pattern.matches(host), "{host}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for host in ["*", "a.*.com", "*a.com", "a:80", "10.0.0.1", "a..b", "-a", "a b", "*.*.com", "*."] {
            assert!(HostPattern::parse(Some(host)).is_err(), "{host}");
        }
        assert_eq!(HostPattern::parse(Some("")), Ok(HostPattern::Any));
    }
}
