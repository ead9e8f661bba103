//! What is made here passes the cache of its block without being kept: nobody else is to keep it for longer than an answer
//! that is, as in CoreDNS. Those that are to live less stay so.

use super::lifetime::Kind;
use super::{bounds, is_in, keeps, plan};
use crate::wire::{Cursor, OPT, flag};
use hickory_proto::op::ResponseCode;

/// The longest TTLs of a block's cache.
#[derive(Debug)]
pub(crate) struct Longest(plan::Cache);

impl Longest {
    pub(crate) fn of(plan: &plan::Cache) -> Self {
        Self(plan.clone())
    }

    /// Whether one of this many seconds is too long for some name.
    pub(crate) fn is_below(&self, ttl: u32) -> bool {
        [Kind::Records, Kind::Denial].into_iter().any(|kind| bounds(&self.0, kind).1 < ttl)
    }

    /// Shortens the TTLs of an answer about a name, in wire form and lower case. Allocates only where one is too long.
    pub(crate) fn shorten(&self, name: &[u8], message: &mut [u8]) {
        let Self(plan) = self;
        let Some(kind) = kind(message).filter(|kind| is_in(&plan.zones, name) && keeps(plan, *kind, name)) else {
            return;
        };
        let (_, most) = bounds(plan, kind);
        for at in longer(message, most).unwrap_or_default() {
            if let Some(place) = message.get_mut(at..at + 4) {
                place.copy_from_slice(&most.to_be_bytes());
            }
        }
    }
}

fn kind(message: &[u8]) -> Option<Kind> {
    let header = Cursor::new(message).header()?;
    let is_gone = ResponseCode::from(0, (header.flags & flag::CODE) as u8) == ResponseCode::NXDomain;
    Some(if is_gone || header.answers == 0 { Kind::Denial } else { Kind::Records })
}

/// Where the TTLs stand that are above `most`; `None`: the message is malformed.
fn longer(message: &[u8], most: u32) -> Option<Vec<usize>> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    cursor.skip_questions(&header)?;
    let mut places = Vec::new();
    for _ in 0..header.records() {
        let record = cursor.record()?;
        if record.record_type != OPT && record.ttl > most {
            places.push(record.ttl_at);
        }
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{block, client, text};

    fn shortened(cache: &str, (name, record_type): (&str, &str), code: &str, records: &str) -> String {
        let longest = Longest::of(block(cache).cache.as_ref().unwrap());
        let client = client(name, record_type);
        let mut message = client.answer(code, records);
        longest.shorten(client.name.suffix(0), &mut message);
        text(&message)
    }

    #[test]
    fn no_record_is_told_for_longer_than_it_would_be_kept() {
        let cache = "cache 60 example.org {\n success 100 30\n denial 100 20\n disable success own.example.org\n}";
        let asked = ("a.example.org.", "A");
        let records = "a.example.org. 300 CNAME b.test.\n b.test. 10 A 192.0.2.1\n | b.test. 31 NS ns.test.";
        assert_eq!(
            shortened(cache, asked, "NOERROR", records),
            "No Error\na.example.org. 30 CNAME b.test.\nb.test. 10 A 192.0.2.1\nauthority b.test. 30 NS ns.test."
        );
        let soa = |ttl: u32| format!("org. {ttl} SOA ns.org. h.org. 1 7200 1800 86400 500");
        let denied = |code, asked| shortened(cache, asked, code, "| org. 300 SOA ns.org. h.org. 1 500");
        assert_eq!(denied("NOERROR", asked), format!("No Error\nauthority {}", soa(20)));
        assert_eq!(denied("NXDOMAIN", asked), format!("Non-Existent Domain\nauthority {}", soa(20)));
        // An alias to what there is not.
        assert_eq!(
            shortened(cache, asked, "NXDOMAIN", "a.example.org. 300 CNAME b.test."),
            "Non-Existent Domain\na.example.org. 20 CNAME b.test."
        );
        // What is not kept lives as long as it says.
        let own = ("a.own.example.org.", "A");
        let record = "a.own.example.org. 300 A 192.0.2.1";
        assert_eq!(shortened(cache, own, "NOERROR", record), format!("No Error\n{record}"));
        assert_eq!(denied("NXDOMAIN", own), format!("Non-Existent Domain\nauthority {}", soa(20)));
        let record = "a.test. 300 A 192.0.2.1";
        assert_eq!(shortened(cache, ("a.test.", "A"), "NOERROR", record), format!("No Error\n{record}"));
    }

    #[test]
    fn what_is_malformed_stays() {
        let longest = Longest::of(block("cache 30").cache.as_ref().unwrap());
        let asked = client("a.test.", "A");
        let whole = asked.answer("NOERROR", "a.test. 60 A 192.0.2.1\n a.test. 60 A 192.0.2.2");
        for end in 0..whole.len() {
            let mut message = whole[..end].to_vec();
            longest.shorten(asked.name.suffix(0), &mut message);
            assert_eq!(message, whole[..end], "{end}");
        }
        assert!(longest.is_below(31) && !longest.is_below(30));
    }
}
