mod both_sides;

use super::huffman::tests::encoded;
use super::*;
use proptest::prelude::*;

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Indexing,
    Plain,
    Never,
}

const HOWS: [How; 3] = [How::Indexing, How::Plain, How::Never];

fn text(block: &mut Vec<u8>, text: &[u8], is_huffman: bool) {
    if is_huffman {
        let code = encoded(text);
        push_length(block, code.len());
        block.extend(code);
    } else {
        let begin = block.len();
        push_length(block, text.len());
        block[begin] &= 0x7f;
        block.extend(text);
    }
}

fn field(name: &[u8], value: &[u8], how: How, is_huffman: bool) -> Vec<u8> {
    let mut block = vec![match how {
        How::Indexing => 0x40,
        How::Plain => 0,
        How::Never => 0x10,
    }];
    text(&mut block, name, is_huffman);
    text(&mut block, value, is_huffman);
    block
}

fn screened(block: &[u8]) -> Vec<u8> {
    let mut screened = block.to_vec();
    screen(&mut screened);
    screened
}

/// Name and value.
type Entry = (Vec<u8>, Vec<u8>);

/// What a decoder makes of a block: the number of each field's name in the tables, and name and value of what is put into
/// the dynamic table.
fn read(block: &[u8]) -> (Vec<usize>, Vec<Entry>) {
    let (mut fields, mut entries, mut at) = (Vec::new(), Vec::new(), 0);
    while at < block.len() {
        let (prefix, is_literal) = match block[at] {
            0x80.. => (7, false),
            0x40..=0x7f => (6, true),
            _ => (4, true),
        };
        let (index, mut end) = integer(block, at, prefix).expect("an integer");
        fields.push(index);
        if is_literal {
            let name = Text::read(block, end).expect("a name");
            let value = Text::read(block, name.place.end).expect("a value");
            end = value.place.end;
            if prefix == 6 {
                entries.push((characters(&name, block), characters(&value, block)));
            }
        }
        at = end;
    }
    (fields, entries)
}

fn characters(text: &Text, block: &[u8]) -> Vec<u8> {
    let mut characters = Vec::new();
    text.all(block, |byte| {
        characters.push(byte);
        true
    });
    characters
}

#[test]
fn what_is_well_formed_stays() {
    // RFC 7541, Appendix C.3 and C.4.
    let examples: [&[u8]; 4] = [
        b"\x82\x86\x84\x41\x0fwww.example.com",
        b"\x82\x86\x84\xbe\x58\x08no-cache",
        b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
        b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
    ];
    for block in examples {
        assert_eq!(screened(block), block);
    }
    for (how, is_huffman) in HOWS.into_iter().flat_map(|how| [(how, false), (how, true)]) {
        for name in ["x-a", "a_b", ":path", ":authority", ":protocol", "!#$%&'*+-.^_`|~9"] {
            let block = field(name.as_bytes(), b"Value #1", how, is_huffman);
            let is_path = name == ":path";
            assert_eq!(screened(&block) != block, is_path, "{name} {how:?} {is_huffman}");
        }
    }
}

#[test]
fn names_that_are_none_make_their_head_malformed() {
    let names = (b'A'..=b'Z').map(|letter| format!("x-{}q", char::from(letter)));
    let long = "X".repeat(300);
    let names =
        names.chain([long, "AAAAA".to_owned(), "x y ".to_owned(), ":unknown".to_owned(), "\u{e9}abc".to_owned()]);
    for name in names {
        for (how, is_huffman) in HOWS.into_iter().flat_map(|how| [(how, false), (how, true)]) {
            for value in ["", "a", "some longer Value", &"~".repeat(500)] {
                let bad = field(name.as_bytes(), value.as_bytes(), how, is_huffman);
                let block = [&[0x82][..], &bad, &field(b"after", b"1", How::Indexing, is_huffman)].concat();
                let screened = screened(&block);
                let (fields, entries) = read(&screened);
                assert_eq!(screened.len(), block.len());
                assert_eq!((fields.first(), fields.last()), (Some(&2), Some(&0)), "{fields:?}");
                let paths = fields.iter().filter(|field| **field == 4).count();
                if how == How::Indexing {
                    let (found, of_value) = &entries[0];
                    assert!(is_refused(found), "{}", found.escape_ascii());
                    assert_eq!((found.len(), &**of_value), (name.len(), value.as_bytes()));
                    assert_eq!(paths + 3, fields.len());
                } else {
                    assert!(paths >= 2, "{name} {value} {how:?} {is_huffman}: {fields:?}");
                    assert_eq!(paths + 2, fields.len());
                }
                assert_eq!(entries.last(), Some(&(b"after".to_vec(), b"1".to_vec())));
            }
        }
    }
}

#[test]
fn what_cannot_be_read_stays() {
    // `X`, or `x`, with a byte of padding too much, in name or value; and EOS.
    let unreadable = [&b"\x82\xfc\xff"[..], b"\x82\xf3\xff", b"\x84\xff\xff\xff\xff", b"\x81\xf2"];
    for first in [0x00, 0x10, 0x40] {
        for string in unreadable {
            for block in [[&[first], string, b"\x01a"].concat(), [&[first], &b"\x05X-Bad"[..], string].concat()] {
                assert_eq!(screened(&block), block);
            }
        }
    }
}

/// Each name of up to three characters with an upper-case letter, of letters and digits of all lengths in the code.
#[test]
fn short_names_are_known_in_the_table() {
    let alphabet: Vec<_> = (b'A'..=b'Z').chain(*b"a0bjx-").collect();
    let one = alphabet.iter().map(|first| vec![*first]);
    let two = alphabet.iter().flat_map(|first| alphabet.iter().map(move |second| vec![*first, *second]));
    let three: Vec<_> =
        two.clone().flat_map(|two| alphabet.iter().map(move |third| [&two[..], &[*third]].concat())).collect();
    for name in one.chain(two).chain(three).filter(|name| name.iter().any(u8::is_ascii_uppercase)) {
        for is_huffman in [false, true] {
            let bad = field(&name, b"1", How::Indexing, is_huffman);
            let block = [&bad[..], &field(b"after", b"1", How::Indexing, is_huffman)].concat();
            let screened = screened(&block);
            let has_no_room = is_huffman && name.len() == 3 && encoded(&name).len() == 2;
            let (_, entries) = read(&screened);
            let expected = if has_no_room { name.clone() } else { vec![b'"'; name.len()] };
            assert_eq!(entries, [(expected, b"1".to_vec()), (b"after".to_vec(), b"1".to_vec())]);
            assert_eq!((screened.len(), screened == block), (block.len(), has_no_room), "{}", name.escape_ascii());
        }
    }
    assert_eq!(encoded(b"Aio").len(), 2);
}

#[test]
fn only_names_that_were_rewritten_are_refused() {
    assert!(is_refused(b"i0i0") && is_refused(b"i0i0i"));
    assert!(is_refused(b"a\"b") && is_refused(b"\""));
    assert!(!is_refused(b"i0i") && !is_refused(b"i0i0x") && !is_refused(b"x-a"));
}

#[test]
fn fragments_become_what_no_path_has() {
    for (path, expected) in [("/a#b", "/a>b"), ("#", ">"), ("/#?x#", "/>?x>"), ("/a?b", "/a?b"), ("/~~??", "/~~??")] {
        for (name, is_huffman) in [(&b":path"[..], false), (b":path", true), (b"", false), (b"", true)] {
            let block = |path: &str| match name {
                b"" => {
                    let mut block = vec![0x44];
                    text(&mut block, path.as_bytes(), is_huffman);
                    block
                }
                name => field(name, path.as_bytes(), How::Plain, is_huffman),
            };
            assert_eq!(screened(&block(path)), block(expected), "{path} {is_huffman}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_are_a_trap(block in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(screened(&block).len(), block.len());
    }

    #[test]
    fn good_fields_stay(
        fields in prop::collection::vec(("[a-z0-9-]{1,20}", ".{0,60}", 0..3usize, any::<bool>()), 0..20),
    ) {
        let fields = fields.iter().map(|(name, value, how, is_huffman)| {
            field(name.as_bytes(), value.as_bytes(), HOWS[*how], *is_huffman)
        });
        let block = fields.collect::<Vec<_>>().concat();
        prop_assert_eq!(screened(&block), block);
    }
}
