//! `dns64`: AAAA records made of A records for networks without IPv4 (RFC 6147).

use super::item::Item;
use super::print::Printed;
use super::reading::Reading;
use crate::corefile::{PlanError, Word};
use ipnet::Ipv6Net;
use std::net::Ipv6Addr;

#[derive(Debug, Clone)]
pub(crate) struct Dns64 {
    /// Of a length that RFC 6052 §2.2 has: 32, 40, 48, 56, 64 or 96.
    pub(crate) prefix: Ipv6Net,
    /// Whether names with AAAA records get them too.
    pub(crate) translates_all: bool,
    /// Whether questions over IPv4 are answered so too.
    pub(crate) allows_ipv4: bool,
}

/// The well-known prefix, 64:ff9b::/96 (RFC 6052 §2.1).
const WELL_KNOWN: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

impl Dns64 {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        let prefix = item.at_most_one("a prefix")?.map(|word| prefix(item, word)).transpose()?;
        let mut dns64 = Self { prefix: prefix.unwrap_or(WELL_KNOWN), translates_all: false, allows_ipv4: false };
        item.options(reading, |_, option| {
            match option.name() {
                "prefix" => dns64.prefix = self::prefix(option, option.one("a prefix")?)?,
                "translate_all" => dns64.translates_all = option.alone().map(|()| true)?,
                "allow_ipv4" => dns64.allows_ipv4 = option.alone().map(|()| true)?,
                _ => return Err(option.unknown(&["allow_ipv4", "prefix", "translate_all"])),
            }
            Ok(())
        });
        Ok(dns64)
    }

    pub(super) fn printed(&self) -> Printed {
        Printed::new("dns64")
            .word(self.prefix)
            .switch("translate_all", self.translates_all)
            .switch("allow_ipv4", self.allows_ipv4)
    }
}

fn prefix(item: Item<'_>, word: &Word) -> Result<Ipv6Net, PlanError> {
    let prefix = word.text.parse::<Ipv6Net>().ok().map(|prefix| prefix.trunc());
    let is_good = |prefix: &Ipv6Net| [32, 40, 48, 56, 64, 96].contains(&prefix.prefix_len());
    let wrong = || item.error(format!("{:?} is no IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits", word.text));
    prefix.filter(is_good).ok_or_else(wrong)
}
