//! Names of Pods, made from their addresses: `10-240-0-1.NAMESPACE.pod`.

use std::net::IpAddr;

/// The longest spelling of an address; bytes.
const LONGEST: usize = 45;

/// Which Pods have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodNames {
    /// None.
    Disabled,
    /// Every address has one in every namespace, whether such a Pod exists or not (kubeadm's `pods insecure`).
    Insecure,
    /// Those that there are, by each of their addresses (CoreDNS's `pods verified`).
    Verified,
}

/// The address that a label spells.
pub(super) fn address(names: PodNames, label: &str) -> Option<IpAddr> {
    match names {
        PodNames::Disabled => None,
        PodNames::Insecure | PodNames::Verified => spelled(label),
    }
}

/// Whether a label, in lower case, spells one.
pub(crate) fn is_address_label(label: &[u8]) -> bool {
    str::from_utf8(label).is_ok_and(|label| spelled(label).is_some())
}

/// CoreDNS's rule: three hyphens apart from each other make an IPv4 address.
fn spelled(label: &str) -> Option<IpAddr> {
    let mut text = [0; LONGEST];
    let text = text.get_mut(..label.len())?;
    text.copy_from_slice(label.as_bytes());
    let is_v4 = label.bytes().filter(|byte| *byte == b'-').count() == 3 && !label.contains("--");
    let part = if is_v4 { b'.' } else { b':' };
    text.iter_mut().filter(|byte| **byte == b'-').for_each(|byte| *byte = part);
    str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_spells_one_address() {
        for (label, expected) in [
            ("10-240-0-1", Some("10.240.0.1")),
            ("1234-abcd--1", Some("1234:abcd::1")),
            ("--1", Some("::1")),
            ("1-2-3--", Some("1:2:3::")),
            ("blah", None),
            ("10-240-0", None),
            ("10-240-0-256", None),
            ("10.240.0.1", Some("10.240.0.1")),
        ] {
            assert_eq!(address(PodNames::Insecure, label), expected.map(|text| text.parse().unwrap()), "{label}");
            assert_eq!(address(PodNames::Disabled, label), None);
        }
    }
}
