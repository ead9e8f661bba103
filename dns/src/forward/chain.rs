//! What of an upstream's answer has to do with its question (RFC 5452 §6): records of the name that was asked for, and of
//! those that CNAMEs and DNAMEs lead to from there.

use crate::answer::Sections;
use crate::message::write_again;
use crate::name::{LONGEST, LowerName};
use crate::question::CLASS_IN;
use crate::wire::{Cursor, RawRecord};

const CNAME: u16 = 5;
const DNAME: u16 = 39;
const RRSIG: u16 = 46;
/// Names of a chain; what leads further is left out.
const MOST_NAMES: usize = 32;

/// A whole message without answers about other names. `None`: there are such, and it cannot be read without them.
pub(super) fn on_chain(message: Vec<u8>) -> Option<Vec<u8>> {
    let is_on_chain = judge(&message)?;
    if is_on_chain.iter().all(|is_kept| *is_kept) {
        return Some(message);
    }
    // Rare: names in the records that stay may point into those that go.
    let mut sections = Sections::read(&message).filter(|read| read.answers.len() == is_on_chain.len())?;
    let mut kept = is_on_chain.into_iter();
    sections.answers.retain(|_| kept.next() == Some(true));
    write_again(&message, &sections)
}

/// Of each answer whether it stays. `None`: the message is malformed.
fn judge(message: &[u8]) -> Option<Vec<bool>> {
    let mut cursor = Cursor::new(message);
    let answers = cursor.header().filter(|header| header.questions == 1)?.answers;
    let (asked, ..) = cursor.question()?;
    let mut records = Vec::with_capacity(usize::from(answers));
    let mut links = Vec::new();
    for _ in 0..answers {
        let owner = LowerName::at(cursor.position(), message)?.suffix(0).to_vec();
        let RawRecord { record_type, class, content, .. } = cursor.record()?;
        if class == CLASS_IN && matches!(record_type, CNAME | DNAME) {
            let target = LowerName::at(cursor.position() - content.len(), message)?;
            links.push((owner.clone(), record_type, target.suffix(0).to_vec()));
        }
        let covered = content.first_chunk().map(|covered| u16::from_be_bytes(*covered));
        let is_for_all_below = record_type == DNAME || (record_type == RRSIG && covered == Some(DNAME));
        records.push((class, owner, is_for_all_below));
    }
    let chain = chain(asked.to_ascii_lowercase(), &links);
    let is_on_chain = |(class, owner, is_for_all_below): (u16, Vec<u8>, bool)| {
        let is_below = || is_for_all_below && chain.iter().any(|name| above(name, &owner).is_some());
        class == CLASS_IN && (chain.contains(&owner) || is_below())
    };
    Some(records.into_iter().map(is_on_chain).collect())
}

/// The names that links (owner, type, target) lead to from this one, itself first.
fn chain(asked: Vec<u8>, links: &[(Vec<u8>, u16, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut names = vec![asked];
    let mut at = 0;
    while let Some(name) = names.get(at).cloned() {
        for (owner, record_type, target) in links {
            let led = match *record_type {
                CNAME => (*owner == name).then(|| target.clone()),
                _ => above(&name, owner).map(|before| [before, target].concat()),
            };
            let led = led.filter(|led| led.len() <= LONGEST && names.len() < MOST_NAMES && !names.contains(led));
            names.extend(led);
        }
        at += 1;
    }
    names
}

/// What a name has before `owner`, which it is below; `None`: it is not.
fn above<'n>(name: &'n [u8], owner: &[u8]) -> Option<&'n [u8]> {
    let mut at = 0;
    while let Some(length @ 1..) = name.get(at) {
        at += 1 + usize::from(*length);
        if name.get(at..) == Some(owner) {
            return name.get(..at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::option;
    use crate::part::harness::{client, text};
    use proptest::prelude::*;

    /// What is left of an answer to a question about this name.
    fn left(name: &str, records: &str) -> Vec<String> {
        let message = client(name, "A").answer("NOERROR", records);
        let whole = text(&message);
        let left = text(&on_chain(message).unwrap());
        assert!(left.lines().all(|line| whole.lines().any(|other| other == line)), "{left}");
        left.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn records_of_the_chain_stay_in_any_order() {
        for records in [
            "Www.example.org. 60 A 192.0.2.1\n www.example.org. 60 A 192.0.2.2",
            "www.example.org. 60 CNAME a.cdn.test.\n a.cdn.test. 60 CNAME b.cdn.test.\n b.cdn.test. 60 A 192.0.2.1",
            "b.cdn.test. 60 A 192.0.2.1\n a.cdn.test. 60 CNAME b.cdn.test.\n www.example.org. 60 CNAME a.cdn.test.",
            "www.example.org. 60 TXT x",
            "",
        ] {
            assert_eq!(
                left("www.example.org.", records).len(),
                records.split('\n').filter(|line| !line.is_empty()).count()
            );
        }
    }

    #[test]
    fn what_was_not_asked_for_goes() {
        let own = "unrelated.test. 60 A 192.0.2.1";
        for other in [
            "victim.test. 60 A 203.0.113.6",
            "test. 60 A 203.0.113.6",
            "a.unrelated.test. 60 A 203.0.113.6",
            "victim.test. 60 CNAME unrelated.test.",
        ] {
            assert_eq!(left("unrelated.test.", &format!("{own}\n {other}")), [own], "{other}");
            assert_eq!(left("unrelated.test.", &format!("{other}\n {own}")), [own], "{other}");
            assert_eq!(left("unrelated.test.", other), [""; 0], "{other}");
        }
        // Pointers into what goes lead somewhere else, and other sections stay.
        let denied = "victim.test. 60 CNAME x.test.\n www.test. 60 CNAME x.test. | x.test. 60 SOA x.test. h.test. 1 60";
        let rest = left("www.test.", denied);
        assert_eq!(rest[0], "www.test. 60 CNAME x.test.");
        assert_eq!(rest.len(), 2);
    }

    #[test]
    fn what_stays_is_whole_however_long_and_with_all_else_that_was_said() {
        let target = format!("{0}.{0}.example.", "x".repeat(35));
        let mut records = format!("www.test. 60 CNAME {target}\n");
        (0..4_000).for_each(|index| {
            records.push_str(&format!("{target} 60 A 192.0.{}.{}\n", index / 250, index % 250));
        });
        let client = client("www.test.", "A");
        let own = client.answer("NOERROR", &records);
        assert!(own.len() > 64_000);
        let with_options = |mut message: Vec<u8>| {
            // AA, AD and CD, and the high bits of a code.
            (message[2], message[3]) = (message[2] | 4, message[3] | 0x30);
            let opt_at = message.len() - 11;
            message[opt_at + 5] = 1;
            assert!(option::add(&option::option(15, b"\0\x06bogus").unwrap(), &mut message, 65_535));
            message
        };
        let stray = client.answer("NOERROR", &format!("victim.test. 60 A 192.0.2.1\n{records}"));
        let (left, own) = (on_chain(with_options(stray)).unwrap(), with_options(own));
        assert!(left == own, "{} bytes of {}", left.len(), own.len());
    }

    /// A record with content of its own.
    fn raw(owner: &[u8], record_type: u16, content: &[u8]) -> Vec<u8> {
        let fields = [record_type, 1, 0, 60, content.len() as u16].map(u16::to_be_bytes).concat();
        [owner, &fields, content].concat()
    }

    #[test]
    fn a_dname_leads_on_with_all_below_it_and_signatures_stay_with_what_they_sign() {
        let below = |owner: &[u8], covered: u16| raw(owner, RRSIG, &[&covered.to_be_bytes()[..], &[0; 20]].concat());
        let records = [
            (raw(b"\x07example\x03org\0", DNAME, b"\x03net\0"), true),
            (below(b"\x07example\x03org\0", DNAME), true),
            (below(b"\x07example\x03org\0", 1), false),
            // Its CNAME may be missing.
            (raw(b"\x03www\x03net\0", 1, &[192, 0, 2, 1]), true),
            (below(b"\x03www\x03net\0", 1), true),
            (raw(b"\x03net\0", 1, &[192, 0, 2, 1]), false),
            (raw(b"\x03com\0", DNAME, b"\x03net\0"), false),
        ];
        let head = [0, 9, 0x80, 0, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
        let question = b"\x03www\x07example\x03org\0\0\x01\0\x01";
        let all: Vec<u8> = records.iter().flat_map(|(record, _)| record.clone()).collect();
        let judged = judge(&[&head[..], question, &all].concat()).unwrap();
        assert_eq!(judged, records.map(|(_, is_kept)| is_kept));
    }

    /// In content of types that the decoder does not know too.
    #[test]
    fn names_that_pointed_to_what_goes_are_written_out() {
        let question = b"\x03www\x04test\0\0\xFF\0\x01";
        let stray = raw(b"\x06Victim\0", 1, &[192, 0, 2, 1]);
        let place = (12 + question.len()) as u8;
        let message = |record: &[u8], count| {
            // With EDNS before what is last.
            let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
            let head = [0, 9, 0x80, 0, 0, 1, 0, count, 0, 0, 0, 2];
            let last = raw(b"\xC0\x0C", 39, b"\x01y\xC0\x10");
            [&head[..], question, record, &opt, &last].concat()
        };
        for (record_type, before, names, after) in [
            (5, 0, 1, 0),
            (7, 0, 1, 0),
            (14, 0, 2, 0),
            (15, 2, 1, 0),
            (17, 0, 2, 0),
            (18, 2, 1, 0),
            (26, 2, 2, 0),
            (33, 6, 1, 0),
            (39, 0, 1, 0),
            (46, 18, 1, 64),
        ] {
            let content = |name: &[u8]| [&vec![1; before], &*name.repeat(names), &vec![2; after]].concat();
            let record = raw(b"\xC0\x0C", record_type, &content(&[1, b'X', 0xC0, place]));
            let left = on_chain(message(&[stray.clone(), record].concat(), 2)).unwrap();
            let mut cursor = Cursor::new(&left);
            let header = cursor.header().unwrap();
            cursor.question().unwrap();
            assert_eq!(header.records(), 3, "{record_type}");
            let records: Vec<_> = (0..3).map(|_| cursor.record().unwrap()).collect();
            assert_eq!(records[0].content, content(b"\x01X\x06Victim\0"), "{record_type}");
            assert_eq!(records[1].content, b"\x01y\x04test\0", "{record_type}");
        }
    }

    #[test]
    fn records_of_another_class_have_nothing_to_do_with_it() {
        let mut records = [raw(b"\xC0\x0C", CNAME, b"\x01b\0"), raw(b"\x01b\0", 1, &[192, 0, 2, 1])];
        for (class, is_kept) in [(1, true), (3, false)] {
            records[0][5] = class;
            let message = [b"\0\x09\x80\0\0\x01\0\x02\0\0\0\0\x01a\0\0\x01\0\x01", &records.concat()[..]].concat();
            assert_eq!(judge(&message).unwrap(), [is_kept; 2]);
        }
    }

    #[test]
    fn a_chain_has_an_end() {
        let links: Vec<_> = (1..100u8).map(|index| (vec![1, index, 0], CNAME, vec![1, index + 1, 0])).collect();
        assert_eq!(chain(vec![1, 1, 0], &links).len(), MOST_NAMES);
        let circle = [(vec![1, 1, 0], CNAME, vec![1, 2, 0]), (vec![1, 2, 0], CNAME, vec![1, 1, 0])];
        assert_eq!(chain(vec![1, 1, 0], &circle).len(), 2);
        // A DNAME to below itself makes the name longer each time.
        let longer = [(vec![1, 2, 0], DNAME, vec![1, 1, 1, 2, 0])];
        assert_eq!(chain(vec![1, 1, 1, 2, 0], &longer).len(), MOST_NAMES);
    }

    proptest! {
        /// Whatever comes is read without a panic, and what is left is of the chain.
        #[test]
        fn what_is_damaged_is_read_or_refused(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let records = "a.test. 60 CNAME b.test.\n c.test. 60 A 192.0.2.2\n b.test. 60 A 192.0.2.1";
            let mut message = client("a.test.", "A").answer("NOERROR", records);
            for (place, byte) in damage {
                let place = place.index(message.len());
                message[place] = byte;
            }
            for message in [message.clone(), message[..cut.index(message.len())].to_vec()] {
                if let Some(left) = on_chain(message) {
                    prop_assert!(judge(&left).is_some_and(|all| all.iter().all(|is_kept| *is_kept)));
                }
            }
        }
    }
}
