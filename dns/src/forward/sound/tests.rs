use super::*;
use hickory_proto::op::Message;
use proptest::prelude::*;

const QUESTION: &[u8] = b"\x04name\x04test\0\0\x01\0\x01";

/// Where the question's name is.
const P: &[u8] = b"\xC0\x0C";

/// An answer of these records: owner, type and content.
fn message(records: &[(&[u8], u16, Vec<u8>)]) -> Vec<u8> {
    let mut message = vec![0, 9, 0x80, 0, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
    message.extend(QUESTION);
    for (owner, record_type, content) in records {
        let fields = [*record_type, 1, 0, 60, content.len() as u16].map(u16::to_be_bytes).concat();
        message.extend([owner, &fields[..], content].concat());
    }
    message
}

fn is_sound_with(record_type: u16, content: &[u8]) -> bool {
    // Something else stands behind it.
    is_sound(&message(&[(P, record_type, content.to_vec()), (P, 1, vec![192, 0, 2, 1])]))
}

/// One of each type that is known, but for SIG, which hickory has in no answer: its name, and its content.
fn whole() -> Vec<(&'static str, u16, Vec<u8>)> {
    let name = b"\x01a\xC0\x0C";
    vec![
        ("A", 1, vec![192, 0, 2, 1]),
        ("NS", 2, name.to_vec()),
        ("MD", 3, name.to_vec()),
        ("MF", 4, name.to_vec()),
        ("CNAME", 5, b"\x01a\x01b\0".to_vec()),
        ("SOA", 6, [P, b"\0", &[7; 20]].concat()),
        ("MB", 7, name.to_vec()),
        ("MG", 8, name.to_vec()),
        ("MR", 9, name.to_vec()),
        ("WKS", 11, vec![192, 0, 2, 1, 6]),
        ("PTR", 12, P.to_vec()),
        ("HINFO", 13, b"\x07RFC8482\0".to_vec()),
        ("MINFO", 14, [P, P].concat()),
        ("MX", 15, [b"\0\x01", P].concat()),
        ("TXT", 16, b"\x02ab\0".to_vec()),
        ("RP", 17, [P, b"\0"].concat()),
        ("AFSDB", 18, [b"\0\x01", P].concat()),
        ("X25", 19, b"\x0212".to_vec()),
        ("ISDN", 20, b"\x0212\x013".to_vec()),
        ("RT", 21, [b"\0\x01", P].concat()),
        ("NSAP-PTR", 23, name.to_vec()),
        ("KEY", 25, [&[1, 1, 3, 8][..], &[7; 40]].concat()),
        ("PX", 26, [b"\0\x01", P, P].concat()),
        ("AAAA", 28, vec![1; 16]),
        ("LOC", 29, vec![0; 16]),
        ("SRV", 33, [b"\0\x01\0\x02\0\x50", P].concat()),
        ("NAPTR", 35, [b"\0\x01\0\x02\x01S\x07SIP+D2U\0", P].concat()),
        ("KX", 36, [b"\0\x01", P].concat()),
        ("CERT", 37, vec![0, 1, 0, 2, 8, 7]),
        ("DNAME", 39, b"\x01a\0".to_vec()),
        ("DS", 43, [&[0, 1, 8, 2][..], &[7; 32]].concat()),
        ("SSHFP", 44, [&[1, 1][..], &[7; 20]].concat()),
        ("RRSIG", 46, [&[0, 1, 8, 2, 0, 0, 0, 60, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, b'a', 0][..], &[7; 9]].concat()),
        ("NSEC", 47, b"\x01a\0\0\x01\x40\x01\x01\x40".to_vec()),
        ("DNSKEY", 48, [&[1, 1, 3, 8][..], &[7; 40]].concat()),
        ("NSEC3", 50, [&[1, 0, 0, 0, 0, 20][..], &[7; 20], &[0, 1, 0x40]].concat()),
        ("NSEC3PARAM", 51, vec![1, 0, 0, 0, 1, 7]),
        ("TLSA", 52, [&[3, 1, 1][..], &[7; 32]].concat()),
        ("SMIMEA", 53, [&[3, 1, 1][..], &[7; 32]].concat()),
        ("CDS", 59, [&[0, 1, 8, 2][..], &[7; 32]].concat()),
        ("CDNSKEY", 60, [&[1, 1, 3, 8][..], &[7; 40]].concat()),
        ("CSYNC", 62, vec![0, 0, 0, 1, 0, 3, 0, 1, 0x40]),
        ("SVCB", 64, b"\0\x01\x01a\0\0\x03\0\x02\x01\xBB".to_vec()),
        ("HTTPS", 65, b"\0\x01\0\0\x01\0\x03\x02h2\0\x04\0\x04\xC0\0\x02\x01".to_vec()),
        ("NID", 104, vec![7; 10]),
        ("L32", 105, vec![7; 6]),
        ("L64", 106, vec![7; 10]),
        ("SPF", 99, b"\x02ab\0".to_vec()),
        ("LP", 107, [b"\0\x01", P].concat()),
        ("EUI48", 108, vec![0; 6]),
        ("EUI64", 109, vec![0; 8]),
        ("URI", 256, b"\0\x01\0\x01x:".to_vec()),
        ("CAA", 257, b"\0\x05issueca.test".to_vec()),
    ]
}

#[test]
fn a_record_of_any_type_has_the_shape_of_its_type() {
    for (name, record_type, content) in whole() {
        assert!(is_sound_with(record_type, &content), "{name}");
        assert!(!is_sound_with(record_type, b""), "{name}");
        assert!(!is_sound_with(record_type, &content[..1]) || content.len() == 1, "{name} of one byte");
        let has_end = !matches!(record_type, 11 | 25 | 37 | 43 | 44 | 46 | 48 | 52 | 53 | 59 | 60 | 256 | 257);
        assert_eq!(!is_sound_with(record_type, &[&content[..], b"xx"].concat()), has_end, "{name} and more");
        // A name or a text that says it is longer than what there is.
        if has_end {
            let cut = &content[..content.len() - 1];
            assert!(!is_sound_with(record_type, cut) || ["TXT", "SPF"].contains(&name), "{name} without its last byte");
        }
    }
}

#[test]
fn what_is_legal_passes() {
    for (what, record_type, content) in [
        ("an unknown type", 65_280, &b"\xC0\xFF\xEE"[..]),
        ("an unknown type without content", 65_280, b""),
        ("NULL", 10, b""),
        ("an empty text", 16, b"\0"),
        ("the root", 15, b"\0\0\0"),
        ("a SRV that says there is none", 33, b"\0\0\0\0\0\0\0"),
        ("NSEC3 of a name without types", 50, b"\x01\0\0\0\0\x01\x07"),
        ("HTTPS that leads elsewhere", 65, b"\0\0\xC0\x0C"),
        ("SIG", 24, b"\0\x01\x08\x02\0\0\0\x3C\x01\0\0\0\x01\0\0\0\0\x01\x01a\0\x07\x07"),
        ("deletion of DS", 59, b"\0\0\0\0\0"),
        ("a pointer to a pointer", 5, b"\xC0\x1B"),
    ] {
        assert!(is_sound_with(record_type, content), "{what}");
    }
}

#[test]
fn what_cannot_be_read_does_not_pass() {
    for (what, record_type, content) in [
        ("A, short", 1, &b"\x01\x02\x03"[..]),
        ("A, long", 1, b"\x01\x02\x03\x04\x05"),
        ("a label of no kind", 2, b"\x41abc\0"),
        ("SOA, the same", 6, b"\0\x6C\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("a pointer forward", 5, b"\xC0\xFF"),
        ("a pointer to itself", 5, b"\xC0\x27"),
        ("a pointer to what leads back to it", 5, b"\x01a\xC0\x26"),
        ("a pointer into the header", 5, b"\xC0\x00"),
        ("a name behind which there is more", 5, b"\xC0\x0Cjunk"),
        ("a name that goes on in the next record", 5, b"\x05a"),
        ("a text that does", 16, b"\x09ab"),
        ("a second one that does", 16, b"\x02ab\x09"),
        ("a tag that does", 257, b"\0\x20a"),
        ("types that do", 47, b"\0\0\x09\x40"),
        ("types in no order", 47, b"\0\x01\x01\x40\0\x01\x40"),
        ("an empty window of types", 47, b"\0\0\0"),
        ("a parameter that does", 65, b"\0\x01\0\0\x01\0\x09h2"),
        ("parameters in no order", 65, b"\0\x01\0\0\x04\0\0\0\x01\0\0"),
        ("a parameter twice", 65, b"\0\x01\0\0\x01\0\0\0\x01\0\0"),
    ] {
        assert!(!is_sound_with(record_type, content), "{what}");
    }
}

#[test]
fn an_owner_can_be_read_in_every_section() {
    // A pointer forward, to a name.
    let records = message(&[(b"\xC0\x40", 65_280, b"\x01a\0".repeat(9)), (P, 1, vec![192, 0, 2, 1])]);
    for counts in [[2, 0, 0], [0, 2, 0], [0, 0, 2], [1, 1, 0], [0, 1, 1]] {
        let mut records = records.clone();
        for (place, count) in [7, 9, 11].into_iter().zip(counts) {
            records[place] = count;
        }
        assert!(!is_sound(&records), "{counts:?}");
    }
}

#[test]
fn pointers_have_an_end() {
    // Each leads to the one before it, and the first to the question's name.
    let place = |index: usize| (12 + QUESTION.len() + 12 + 2 * index) as u16 | 0xC000;
    for (count, is_good) in [(1, true), (100, true), (1_000, false)] {
        let pointers: Vec<u8> =
            (0..count).flat_map(|index: usize| index.checked_sub(1).map_or(0xC00C, place).to_be_bytes()).collect();
        let chain = message(&[(P, 65_280, pointers), (P, 5, place(count - 1).to_be_bytes().to_vec())]);
        assert_eq!(is_sound(&chain), is_good, "{count}");
    }
}

/// Types of which another implementation wants nothing but their shape, as it does of the letters in NAPTR and CAA.
fn is_plain(record_type: u16) -> bool {
    matches!(record_type, 1..=34 | 39)
}

proptest! {
    /// What is sound another implementation reads too.
    #[test]
    fn others_read_what_is_sound(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        kinds in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let plain: Vec<_> = whole().into_iter().filter(|(_, kind, _)| is_plain(*kind)).collect();
        let records = kinds.iter().map(|kind| kind.get(&plain)).map(|(_, kind, content)| (P, *kind, content.clone()));
        let mut bytes = message(&records.collect::<Vec<_>>());
        let start = 12 + QUESTION.len();
        for (place, byte) in damage {
            let place = start + place.index(bytes.len() - start);
            bytes[place] = byte;
        }
        // It may have another type now.
        let mut cursor = Cursor::new(&bytes);
        cursor.take(start).unwrap();
        let are_plain = kinds.iter().all(|_| cursor.record().is_some_and(|record| is_plain(record.record_type)));
        if are_plain && is_sound(&bytes) {
            let read = Message::from_vec(&bytes);
            prop_assert!(read.is_ok(), "{read:?} {bytes:x?}");
        }
    }
}
