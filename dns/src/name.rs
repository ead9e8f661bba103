//! A name as the table knows names: in lower case, with the place of each label, on the stack.
//! The client's spelling stays in the packet, and in the reply.

use config::DomainName;
use hickory_proto::rr::Name;
use std::fmt;

/// The longest name in wire form, its root included (RFC 1035 §2.3.4); bytes.
pub(crate) const LONGEST: usize = 255;
/// Labels of the longest name.
pub(crate) const MOST_LABELS: usize = 127;

/// A name in wire form and lower case. Labels count from the left, from 0; the root is none of them.
#[derive(Clone)]
pub(crate) struct LowerName {
    bytes: [u8; LONGEST],
    /// With the root.
    len: u8,
    /// Where each label's length stands.
    starts: [u8; MOST_LABELS],
    count: u8,
}

impl LowerName {
    /// Reads a name in wire form; `None`: it is malformed, or longer than names are.
    pub(crate) fn read(wire: &[u8]) -> Option<Self> {
        let len = u8::try_from(wire.len()).ok()?;
        let mut name = Self { bytes: [0; LONGEST], len, starts: [0; MOST_LABELS], count: 0 };
        let bytes = name.bytes.get_mut(..wire.len())?;
        bytes.copy_from_slice(wire);
        // No length is a letter.
        bytes.make_ascii_lowercase();
        let mut at = 0;
        loop {
            match *bytes.get(usize::from(at))? {
                0 => break,
                length @ 1..=63 => {
                    *name.starts.get_mut(usize::from(name.count))? = at;
                    name.count += 1;
                    at = at.checked_add(1 + length)?;
                }
                64.. => return None,
            }
        }
        (at.checked_add(1)? == len).then_some(name)
    }

    /// The name that starts at a place in a message, where pointers lead on (RFC 1035 §4.1.4), which are followed towards
    /// the message's start alone. `None`: it is malformed.
    pub(crate) fn at(start: usize, message: &[u8]) -> Option<Self> {
        let (mut wire, mut len) = ([0; LONGEST], 0);
        let (mut at, mut bound) = (start, start);
        loop {
            match *message.get(at)? {
                0 => break,
                length @ 1..=63 => {
                    let label = message.get(at..=at + usize::from(length))?;
                    wire.get_mut(len..len + label.len())?.copy_from_slice(label);
                    len += label.len();
                    at += label.len();
                }
                high @ 192.. => {
                    at = usize::from(u16::from_be_bytes([high & 0x3F, *message.get(at + 1)?]));
                    if at >= bound {
                        return None;
                    }
                    bound = at;
                }
                64..192 => return None,
            }
        }
        Self::read(wire.get(..=len)?)
    }

    /// A name that a user wrote; those are never too long.
    pub(crate) fn of(domain: &DomainName) -> Option<Self> {
        let mut wire = [0; LONGEST];
        let mut at = 0;
        for label in domain.labels() {
            *wire.get_mut(at)? = u8::try_from(label.len()).ok()?;
            wire.get_mut(at + 1..at + 1 + label.len())?.copy_from_slice(label.as_bytes());
            at += 1 + label.len();
        }
        Self::read(wire.get(..=at)?)
    }

    /// How many labels it has.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// A label without its length; empty: there is none at this index.
    pub(crate) fn label(&self, index: usize) -> &[u8] {
        self.suffix(index).split_first().and_then(|(length, rest)| rest.get(..usize::from(*length))).unwrap_or_default()
    }

    /// Puts the first labels into these places; `None`: one of them is no text, or there are fewer.
    pub(crate) fn texts<'p, 'n>(&'n self, places: &'p mut [&'n str]) -> Option<&'p [&'n str]> {
        // The length before a label is ASCII: where all together are text, each of them is.
        let text = str::from_utf8(self.bytes.get(..self.start(places.len()))?).ok()?;
        let starts = self.starts.get(..self.count()).filter(|starts| starts.len() >= places.len())?;
        for (place, start) in places.iter_mut().zip(starts) {
            let (length, rest) = text.get(usize::from(*start)..)?.split_at_checked(1)?;
            *place = rest.get(..usize::from(*length.as_bytes().first()?))?;
        }
        Some(places)
    }

    /// Where a label starts in the wire form; the root's place for the index behind the last one.
    pub(crate) fn start(&self, index: usize) -> usize {
        let starts = self.starts.get(..self.count()).unwrap_or_default();
        starts.get(index).map_or(usize::from(self.len).saturating_sub(1), |start| usize::from(*start))
    }

    /// In wire form from this label on.
    pub(crate) fn suffix(&self, index: usize) -> &[u8] {
        self.bytes.get(self.start(index)..usize::from(self.len)).unwrap_or_default()
    }

    /// The index of the zone's first label, and so how many labels are below the zone; `None`: the name is outside.
    pub(crate) fn depth_below(&self, zone: &DomainName) -> Option<usize> {
        let zone = zone.as_str().as_bytes();
        // In wire form a length stands before each label, where in text a dot stands between two, and the root behind all.
        let start = usize::from(self.len).checked_sub(zone.len() + 2)?;
        let starts = self.starts.get(..self.count())?;
        let index = starts.iter().rposition(|at| usize::from(*at) == start)?;
        let is_dot = |at: usize| zone.get(at).is_none_or(|byte| *byte == b'.');
        let is_its = |label: usize| {
            let (label, at) = (self.label(label), self.start(label) - start);
            // A dot within a label parts nothing.
            zone.get(at..at + label.len()) == Some(label) && is_dot(at + label.len()) && !label.contains(&b'.')
        };
        (index..self.count()).all(is_its).then_some(index)
    }
}

/// Puts a name as the library has it into `wire`, in wire form.
pub(crate) fn put(name: &Name, wire: &mut Vec<u8>) {
    for label in name.iter() {
        // hickory holds labels to 63 bytes.
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
}

impl PartialEq for LowerName {
    fn eq(&self, other: &Self) -> bool {
        self.suffix(0) == other.suffix(0)
    }
}

impl Eq for LowerName {}

impl fmt::Debug for LowerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.count()).try_for_each(|index| write!(f, "{}.", self.label(index).escape_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::serialize::binary::BinEncodable;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_has_the_labels_that_another_implementation_reads(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 0..6),
        ) {
            let Ok(name) = Name::from_labels(labels.iter().map(Vec::as_slice)) else { return Ok(()) };
            let read = LowerName::read(&name.to_bytes().unwrap()).unwrap();
            let expected: Vec<_> = labels.iter().map(|label| label.to_ascii_lowercase()).collect();
            let found: Vec<_> = (0..read.count()).map(|index| read.label(index).to_vec()).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(read.label(read.count()), b"");
            prop_assert_eq!(read.suffix(read.count()), b"\0");
        }

        #[test]
        fn labels_are_texts_where_each_of_them_is_one(
            labels in prop::collection::vec(prop::sample::select(
                vec![&b"a"[..], b"web-0", b"a.b", "\u{e4}".as_bytes(), b"\xC3", b"\xA4", b"\xA4x", b"\xFF"],
            ), 0..5),
            wanted in 0..6_usize,
        ) {
            let wire: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8], *label].concat()).collect();
            let name = LowerName::read(&[&wire[..], &[0]].concat()).unwrap();
            let each = labels.get(..wanted).map(|labels| labels.iter().map(|label| str::from_utf8(label)).collect());
            let expected: Option<Vec<_>> = each.and_then(Result::ok);
            let mut places = vec![""; wanted];
            prop_assert_eq!(name.texts(&mut places), expected.as_deref());
        }

        #[test]
        fn a_name_is_below_the_zones_that_its_last_labels_spell(
            labels in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "a.b", "."]), 0..4),
            zone in prop::collection::vec(prop::sample::select(vec!["a", "b", "ab"]), 1..4),
        ) {
            let wire: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
            let name = LowerName::read(&[&wire[..], &[0]].concat()).unwrap();
            let depth = labels.len().checked_sub(zone.len()).filter(|depth| labels[*depth..] == zone);
            prop_assert_eq!(name.depth_below(&zone.join(".").parse().unwrap()), depth);
        }

        #[test]
        fn only_whole_names_are_read(wire in prop::collection::vec(0..70u8, 0..300)) {
            use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
            let mut decoder = BinDecoder::new(&wire);
            let is_whole = Name::read(&mut decoder).is_ok() && decoder.is_empty();
            prop_assert_eq!(LowerName::read(&wire).is_some(), is_whole);
        }
    }

    #[test]
    fn a_name_in_a_message_is_read_through_its_pointers_and_no_circle_of_them() {
        // Places: 0 org, 5 Example.org, 15 a.Example.org, 19 a pointer to that.
        let message = b"\x03org\0\x07Example\xC0\x00\x01a\xC0\x05\xC0\x0F";
        let read = |place: usize| LowerName::at(place, message).map(|name| format!("{name:?}"));
        let expected = ["org.", "example.org.", "a.example.org.", "a.example.org."];
        assert_eq!([0, 5, 15, 19].map(|place| read(place).unwrap()), expected);
        for (what, bytes) in [
            ("itself", &b"\xC0\x00"[..]),
            ("itself behind a label", b"\x01a\xC0\x00"),
            ("forward", b"\xC0\x02\x01a\0"),
            ("nowhere", b"\xFF\xFF"),
            ("half of one", b"\xC0"),
            ("a label that is cut", b"\x05a"),
            ("no end", b"\x01a"),
            ("a label of another kind", b"\x41a\0"),
        ] {
            assert_eq!(LowerName::at(0, bytes), None, "{what}");
        }
        let long = [&[63][..], &[b'a'; 63]].concat().repeat(4);
        assert_eq!(LowerName::at(0, &[&long[..], &[0]].concat()), None, "257 bytes");
    }

    #[test]
    fn a_zone_is_a_whole_number_of_labels() {
        let zone: DomainName = "cluster.local".parse().unwrap();
        for (name, depth) in [
            ("cluster.local", Some(0)),
            ("a.b.cluster.local", Some(2)),
            ("notcluster.local", None),
            ("local", None),
            ("cluster.local.org", None),
        ] {
            assert_eq!(LowerName::of(&name.parse().unwrap()).unwrap().depth_below(&zone), depth, "{name}");
        }
        // A dot inside a label parts nothing.
        assert_eq!(LowerName::read(b"\x0dcluster.local\0").unwrap().depth_below(&zone), None);
        assert_eq!(LowerName::read(b"\0").unwrap().depth_below(&zone), None);
    }
}
