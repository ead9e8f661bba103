//! What tells one installation's IngressClasses from another's: `spec.controller`, as an API server takes it.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Octets of `spec.controller` (`validateIngressClassSpec` of Kubernetes).
const LONGEST: usize = 250;
/// Octets of its domain (RFC 1123 §2.1).
const LONGEST_DOMAIN: usize = 253;
/// What a path may have besides letters and digits (`IsDomainPrefixedPath` of Kubernetes).
const OF_PATHS: &[u8] = b"/-._~%!$&'()*+,;=:";

/// The value of `spec.controller` by which IngressClasses belong to an installation: a domain and a path, such as
/// `example.com/ingress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ControllerClass(Arc<str>);

impl ControllerClass {
    /// That of the only installation of a cluster.
    pub const DEFAULT: &'static str = "tidegate.dev/ingress";

    /// The value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is what it is where nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self.0 == *Self::DEFAULT
    }
}

impl Default for ControllerClass {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for ControllerClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ControllerClass {
    type Err = String;

    /// # Errors
    /// What no IngressClass can have: it would be nobody's.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_valid = text.len() <= LONGEST
            && text.split_once('/').is_some_and(|(domain, path)| is_domain(domain) && is_path(path));
        if is_valid {
            Ok(Self(text.into()))
        } else {
            Err(format!("not a domain and a path such as {} (at most {LONGEST} characters)", Self::DEFAULT))
        }
    }
}

/// A subdomain as Kubernetes has them (RFC 1123).
fn is_domain(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let ends = [label.bytes().next(), label.bytes().last()];
        ends.into_iter().all(|byte| byte.is_some_and(is_inner))
            && label.bytes().all(|byte| is_inner(byte) || byte == b'-')
    };
    text.len() <= LONGEST_DOMAIN && text.split('.').all(is_label)
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || OF_PATHS.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_what_an_api_server_takes() {
        for good in [ControllerClass::DEFAULT, "k8s.io/internal-nginx", "a/b", "a.b-c.9/x/y%20(z)", "localhost/A:b"] {
            assert_eq!(good.parse::<ControllerClass>().map(|class| class.to_string()), Ok(good.to_owned()));
        }
        let long = format!("a/{}", "b".repeat(LONGEST));
        for bad in ["", "tidegate", "/", "a/", "/b", "A.dev/b", "-a/b", "a-/b", "a..b/c", "a.dev/b c", "a.dev/é", &long]
        {
            let refused = bad.parse::<ControllerClass>().expect_err(bad);
            assert!(refused.contains("such as tidegate.dev/ingress"), "{refused}");
        }
        assert!(format!("a/{}", "b".repeat(LONGEST - 2)).parse::<ControllerClass>().is_ok());
    }
}
