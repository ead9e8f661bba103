//! `dns64`: AAAA records made of A records, for clients that reach IPv4 through a translator alone (RFC 6147).

use super::opened::{self, Opened};
use crate::message::Transport;
use crate::plan;
use crate::question::{CLASS_IN, Query};
use crate::wire::flag;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::AAAA;
use hickory_proto::rr::{RData, Record, RecordType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The TTL at most of what is made where nobody says how long there is no AAAA record (RFC 6147 §5.1.7); seconds.
const DEFAULT_TTL: u32 = 600;
/// The octet of an address that holds none of the IPv4 address (RFC 6052 §2.2).
const RESERVED: usize = 8;

/// How addresses are made, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Dns64 {
    prefix: Ipv6Addr,
    /// Of the prefix.
    octets: usize,
    translates_all: bool,
    allows_ipv4: bool,
}

impl Dns64 {
    pub(crate) fn new(plan: &plan::Dns64) -> Self {
        Self {
            prefix: plan.prefix.network(),
            octets: usize::from(plan.prefix.prefix_len() / 8),
            translates_all: plan.translates_all,
            allows_ipv4: plan.allows_ipv4,
        }
    }

    /// Whether its answer may have to be made: of a question for AAAA records over IPv6, or over IPv4 where that is
    /// allowed, unless the client validates by itself (RFC 6147 §5.5).
    pub(crate) fn wants(&self, query: &Query<'_>, client: IpAddr) -> bool {
        let validates =
            query.head.flags & flag::CHECKING_DISABLED != 0 && query.head.edns.is_some_and(|edns| edns.is_dnssec_ok);
        query.asked.record_type == RecordType::AAAA
            && query.head.class == CLASS_IN
            && (self.allows_ipv4 || client.to_canonical().is_ipv6())
            && !validates
    }

    /// Whether an answer is to be made in place of this one, and so [`Self::question`] is to be asked: there is such a
    /// name, but it has no AAAA record that is one (RFC 6147 §5.1). Errors count as that (§5.1.2); a message that is cut
    /// or malformed does not.
    pub(crate) fn is_lacking(&self, aaaa: &[u8]) -> bool {
        let Some(Opened { sections, says, .. }) = Opened::read(aaaa) else { return false };
        let has_address = || sections.answers.iter().any(is_address);
        sections.code != ResponseCode::NXDomain && !says.is_truncated && (self.translates_all || !has_address())
    }

    /// The question for A records in place of one for AAAA records.
    pub(crate) fn question(query: &Query<'_>) -> Vec<u8> {
        let words = [RecordType::A.into(), CLASS_IN].into_iter().flat_map(u16::to_be_bytes);
        query.asked.name().iter().copied().chain(words).collect()
    }

    /// The answer to a question for AAAA records, of the answer that lacks them and of that to [`Self::question`], whose
    /// CNAMEs, authority and additional records it keeps (RFC 6147 §5.3).
    pub(crate) fn synthesise(&self, query: &Query<'_>, aaaa: &[u8], a: &[u8], transport: Transport) -> Vec<u8> {
        let known = Opened::read(aaaa);
        let made = Opened::read(a).filter(|made| {
            // Whoever has IPv6 addresses alone keeps them, whatever is to be translated.
            let has_more = made.sections.answers.iter().any(|record| record.record_type() == RecordType::A);
            has_more || !known.as_ref().is_some_and(|known| known.sections.answers.iter().any(is_address))
        });
        match (made, known) {
            (Some(mut made), known) => {
                let longest = known.and_then(|known| known.denial_ttl()).unwrap_or(DEFAULT_TTL);
                let answers = &mut made.sections.answers;
                // Signatures of what was there before.
                answers.retain(|record| record.record_type() != RecordType::RRSIG);
                answers.iter_mut().for_each(|record| self.translate(record, longest));
                made.close(query, transport)
            }
            (None, Some(known)) => known.close(query, transport),
            (None, None) => opened::failure(query),
        }
    }

    fn translate(&self, record: &mut Record, longest: u32) {
        if let RData::A(address) = &record.data {
            let address = self.embed(address.0);
            (record.ttl, record.data) = (record.ttl.min(longest), RData::AAAA(AAAA(address)));
        }
    }

    /// The address that stands for an IPv4 address behind the translator (RFC 6052 §2.2).
    fn embed(&self, address: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.prefix.octets();
        let places = octets.iter_mut().enumerate().skip(self.octets).filter(|(index, _)| *index != RESERVED);
        places.zip(address.octets()).for_each(|((_, place), octet)| *place = octet);
        octets.into()
    }
}

/// Whether a record is the address of a host that speaks IPv6 (RFC 6147 §5.1.4).
fn is_address(record: &Record) -> bool {
    matches!(&record.data, RData::AAAA(address) if address.0.to_ipv4_mapped().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{Client, block, client, text};
    use crate::question::ClientEdns;
    use hickory_proto::op::Message;

    fn dns64(options: &str) -> Dns64 {
        Dns64::new(&block(&format!("dns64 {options}")).dns64.unwrap())
    }

    fn asked() -> Client {
        client("V4.Example.", "AAAA")
    }

    fn answer(record_type: &str, code: &str, records: &str) -> Vec<u8> {
        client("v4.example.", record_type).answer(code, records)
    }

    fn made(options: &str, aaaa: &[u8], a: &[u8]) -> String {
        text(&dns64(options).synthesise(&asked().query(), aaaa, a, Transport::Udp))
    }

    /// The table of RFC 6052 §2.4.
    #[test]
    fn an_address_is_embedded_around_the_reserved_octet() {
        for (prefix, expected) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
            ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
        ] {
            let found = dns64(prefix).embed("192.0.2.33".parse().unwrap());
            assert_eq!(found, expected.parse::<Ipv6Addr>().unwrap(), "{prefix}");
        }
    }

    #[test]
    fn it_is_for_ipv6_clients_that_ask_for_ipv6_addresses() {
        let wants = |options: &str, asked: &Client, address: &str| {
            dns64(options).wants(&asked.query(), address.parse().unwrap())
        };
        let allows = "{\n allow_ipv4\n}";
        assert!(wants("", &asked(), "2001:db8::1"));
        assert!(!wants("", &asked(), "192.0.2.1"));
        assert!(!wants("", &asked(), "::ffff:192.0.2.1"));
        assert!(wants(allows, &asked(), "192.0.2.1"));
        assert!(!wants(allows, &client("v4.example.", "A"), "2001:db8::1"));
        for (is_dnssec_ok, flags, expected) in [(true, 0x0110, false), (true, 0x0100, true), (false, 0x0110, true)] {
            let mut asked = asked();
            asked.head.flags = flags;
            asked.head.edns = Some(ClientEdns { is_dnssec_ok, ..ClientEdns::of(1232) });
            assert_eq!(wants("", &asked, "2001:db8::1"), expected, "{is_dnssec_ok} {flags:x}");
        }
    }

    #[test]
    fn a_name_without_ipv6_addresses_is_lacking() {
        let soa = "| example. 60 SOA ns.example. root.example. 1 60";
        let cut = |mut message: Vec<u8>| {
            message[2] |= 2;
            message
        };
        for (message, is_lacking, always) in [
            (answer("AAAA", "NOERROR", soa), true, true),
            (answer("AAAA", "NOERROR", "v4.example. 5 CNAME b.example."), true, true),
            (answer("AAAA", "NOERROR", "v4.example. 5 AAAA ::ffff:192.0.2.1"), true, true),
            (answer("AAAA", "NOERROR", "v4.example. 5 AAAA 2001:db8::1"), false, true),
            (answer("AAAA", "NXDOMAIN", soa), false, false),
            (answer("AAAA", "SERVFAIL", ""), true, true),
            (cut(answer("AAAA", "NOERROR", "")), false, false),
            (b"short".to_vec(), false, false),
        ] {
            assert_eq!(dns64("").is_lacking(&message), is_lacking, "{message:?}");
            assert_eq!(dns64("{\n translate_all\n}").is_lacking(&message), always, "{message:?}");
        }
    }

    #[test]
    fn addresses_are_made_and_the_rest_stays() {
        let aaaa = answer("AAAA", "NOERROR", "| example. 300 SOA ns.example. root.example. 1 40");
        let records = "v4.example. 600 CNAME b.example.\n b.example. 30 A 192.0.2.1\n b.example. 60 A 192.0.2.2
            | example. 60 NS ns.example.
            | ns.example. 60 A 192.0.2.53";
        assert_eq!(
            made("", &aaaa, &answer("A", "NOERROR", records)),
            "No Error
V4.Example. 600 CNAME b.example.
b.example. 30 AAAA 64:ff9b::c000:201
b.example. 40 AAAA 64:ff9b::c000:202
authority example. 60 NS ns.example.
additional ns.example. 60 A 192.0.2.53"
        );
        // Nobody says how long there is none.
        let aaaa = answer("AAAA", "SERVFAIL", "");
        let a = answer("A", "NOERROR", "v4.example. 3600 A 192.0.2.1");
        assert_eq!(made("", &aaaa, &a), "No Error\nV4.Example. 600 AAAA 64:ff9b::c000:201");
    }

    #[test]
    fn where_there_is_nothing_to_make_it_of_the_answer_says_so() {
        let soa = "| example. 60 SOA ns.example. root.example. 1 60";
        let lacking = answer("AAAA", "NOERROR", soa);
        let denied = "authority example. 60 SOA ns.example. root.example. 1 7200 1800 86400 60";
        assert_eq!(made("", &lacking, &answer("A", "NOERROR", soa)), format!("No Error\n{denied}"));
        assert_eq!(made("", &lacking, &answer("A", "SERVFAIL", "")), "Server Failure");
        assert_eq!(made("", &lacking, b"short"), format!("No Error\n{denied}"));
        assert_eq!(made("", b"short", b"short"), "Server Failure");
        let full = answer("AAAA", "NOERROR", "v4.example. 5 AAAA 2001:db8::1");
        let all = "{\n translate_all\n}";
        assert_eq!(made(all, &full, &answer("A", "NOERROR", soa)), "No Error\nV4.Example. 5 AAAA 2001:db8::1");
        let a = answer("A", "NOERROR", "v4.example. 9 A 192.0.2.1");
        assert_eq!(made(all, &full, &a), "No Error\nV4.Example. 9 AAAA 64:ff9b::c000:201");
    }

    #[test]
    fn what_is_made_is_longer_and_is_cut_to_what_the_client_takes() {
        let records: String = (0..75).map(|index| format!("v4.example. 5 A 192.0.2.{index}\n")).collect();
        let a = answer("A", "NOERROR", &records);
        assert!(a.len() <= 1232 + 32, "{}", a.len());
        let aaaa = answer("AAAA", "NOERROR", "");
        let asked = asked();
        let message = dns64("").synthesise(&asked.query(), &aaaa, &a, Transport::Udp);
        let read = Message::from_vec(&message).unwrap();
        assert!(message.len() <= 1232 && read.metadata.truncation && read.answers.len() < 75, "{}", message.len());
        assert_eq!(Dns64::question(&asked.query()), client("V4.Example.", "A").wire);
    }
}
