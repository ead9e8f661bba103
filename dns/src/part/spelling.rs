//! Names as text (RFC 1035 §5.1): the form that regular expressions and templates see, and back to bytes.

use crate::name::LONGEST;
use hickory_proto::rr::Name;
use std::fmt::{self, Write};

/// A name as zone files, `dig` and Corefiles spell it, with a dot at the end: the numbers of escapes are decimal
/// (RFC 1035 §5.1), where those of the library are octal.
#[derive(Debug, Clone, Copy)]
pub struct NameText<'n>(pub &'n Name);

impl fmt::Display for NameText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&told(&super::opened::wire(self.0)))
    }
}

/// A name in wire form as text, with a dot at the end. Bytes that are no plain characters of names are escaped; the case
/// stays.
pub(crate) fn text(wire: &[u8]) -> String {
    let mut text = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some((&length, after)) = rest.split_first() {
        let Some((label, next)) = after.split_at_checked(usize::from(length)) else { break };
        if label.is_empty() {
            break;
        }
        label.iter().for_each(|byte| push(&mut text, *byte));
        text.push('.');
        rest = next;
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// A name in wire form as people read it: as [`text`], but as one word.
pub(crate) fn told(wire: &[u8]) -> String {
    as_told(&text(wire))
}

/// What [`text`] has made, as people read it.
pub(crate) fn as_told(text: &str) -> String {
    // A space stands behind the backslash of its escape always.
    text.replace(' ', "032")
}

/// A label as text, escaped as in a name.
pub(crate) fn label(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    label.iter().for_each(|byte| push(&mut text, *byte));
    text
}

fn push(text: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' | b'"' | b'\'' | b'(' | b')' | b';' | b'@' | b' ' => text.extend(['\\', char::from(byte)]),
        b'!'..=b'~' => text.push(char::from(byte)),
        // A String takes everything.
        _ => drop(write!(text, "\\{byte:03}")),
    }
}

/// A name that is text, with or without a dot at the end, in wire form; `None`: a label is empty or longer than 63 bytes,
/// the name is longer than 255, or an escape is not whole.
pub(crate) fn wire(text: &str) -> Option<Vec<u8>> {
    if text == "." {
        return Some(vec![0]);
    }
    let (mut wire, mut label) = (Vec::with_capacity(text.len() + 2), Vec::new());
    let mut bytes = text.bytes();
    let mut is_open = false;
    while let Some(byte) = bytes.next() {
        is_open = byte != b'.';
        match byte {
            b'.' => end(&mut label, &mut wire)?,
            b'\\' => label.push(escaped(&mut bytes)?),
            byte => label.push(byte),
        }
    }
    if is_open || text.is_empty() {
        end(&mut label, &mut wire)?;
    }
    wire.push(0);
    (wire.len() <= LONGEST).then_some(wire)
}

/// The same as what is asked for.
#[must_use]
pub fn name(text: &str) -> Option<Name> {
    super::opened::name(&wire(text)?)
}

/// Puts a label behind those before it.
fn end(label: &mut Vec<u8>, wire: &mut Vec<u8>) -> Option<()> {
    let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
    wire.push(length);
    wire.append(label);
    Some(())
}

/// What follows a backslash: three digits, or any other character for itself.
fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, bytes.next()?, bytes.next()?];
    let is_number = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(&digits).ok().filter(|_| is_number)?.parse().ok()
}

/// Text in quotes or not, as the bytes that it stands for; `None`: an escape is not whole.
pub(crate) fn unquoted(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let mut bytes = inner.bytes();
    let mut plain = Vec::with_capacity(inner.len());
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'\\' { escaped(&mut bytes)? } else { byte });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::LowerName;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_is_the_same_after_being_text(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 0..4),
        ) {
            let mut name: Vec<u8> =
                labels.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).collect();
            name.push(0);
            let spelled = text(&name);
            prop_assert!(spelled.is_ascii() && spelled.ends_with('.'));
            prop_assert_eq!(wire(&spelled), Some(name.clone()).filter(|name| name.len() <= 255));
        }

        #[test]
        fn any_text_is_a_whole_name_or_none(text in ".{0,300}") {
            if let Some(name) = wire(&text) {
                prop_assert!(LowerName::read(&name).is_some());
            }
        }

        #[test]
        fn any_bytes_have_a_text(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(text(&bytes).ends_with('.'));
        }
    }

    #[test]
    fn escapes_are_decimal() {
        for (written, spelled) in [
            (r"\032x\\\032.test.", r"\032x\\\032.test."),
            (r"a\007b.\195\188.test", r"a\007b.\195\188.test."),
            (r"\065\.b.test.", r"A\.b.test."),
            (".", "."),
        ] {
            let name = name(written).unwrap();
            assert_eq!(NameText(&name).to_string(), spelled);
        }
    }

    #[test]
    fn what_is_no_name_has_no_wire_form() {
        for text in ["", "..", "a..b", ".a", "a\\", "a\\1", "a\\12x", "a\\256", &"a".repeat(64), &"a.".repeat(128)] {
            assert_eq!(wire(text), None, "{text}");
        }
        assert_eq!(wire("."), Some(vec![0]));
        assert_eq!(wire("A.b"), wire("A.b."));
        assert_eq!(wire("a\\.b\\065."), Some(b"\x04a.bA\0".to_vec()));
        assert_eq!(unquoted("\"a b\\\"c\""), Some(b"a b\"c".to_vec()));
    }
}
