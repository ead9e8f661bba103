//! Rewrites in the head of a client's HTTP/2 request what the h2 crate would end the whole connection for, or would read
//! as something else, so that only the one stream is reset (RFC 9113 §8.1.1).

mod huffman;
#[cfg(test)]
mod tests;

use std::ops::Range;

/// `:path: /` of the static table (RFC 7541, Appendix A): one more than there may be makes a head malformed.
const PATH_ROOT: u8 = 0x84;
const PATH: &[u8] = b":path";
/// The codes of `i` and `0`: with five bits no text of as many characters is shorter.
const REFUSED: [(u8, u8); 2] = [(b'i', 0b00110), (b'0', 0b00000)];
/// Shorter names of `i` and `0` may be anybody's.
const SHORTEST_REFUSED: usize = 4;
/// What shorter names are made of: h2 takes it for a character of names, and no name has it (RFC 9110 §5.6.2). Its code
/// is long, so it is written as it is.
const QUOTE: u8 = b'"';

/// Whether h2 took a name that is none: one that was rewritten (`"`, `""`, `"""`, `i0i0`, `i0i0i`, …), or one with `"`
/// that came in pieces.
pub(crate) fn is_refused(name: &[u8]) -> bool {
    name.contains(&QUOTE) || is_rewritten(name)
}

fn is_rewritten(name: &[u8]) -> bool {
    name.len() >= SHORTEST_REFUSED
        && name.iter().zip(REFUSED.iter().cycle()).all(|(byte, (expected, _))| byte == expected)
}

/// Rewrites a whole header block in place, before h2 reads it. The length of the block, and of what goes into the dynamic
/// table the lengths of name and value, stay: so the states of HPACK on both sides are the same. Such an entry gets a name
/// by which later heads that refer to it are known: see [`is_refused`].
///
/// What cannot be read, or not be rewritten, stays as it is: h2 ends the connection for it, as RFC 9113 §5.4.1 allows.
/// The dynamic table is not followed: of a path whose name is told by an entry of it, h2 cuts the fragment off.
pub(crate) fn screen(block: &mut [u8]) {
    let mut at = 0;
    while let Some(&first) = block.get(at) {
        let end = match first {
            0x80.. => integer(block, at, 7).map(|(_, end)| end),
            0x20..=0x3f => integer(block, at, 5).map(|(_, end)| end),
            0x40..=0x7f => screen_literal(block, at, 6),
            ..=0x1f => screen_literal(block, at, 4),
        };
        match end {
            Some(end) => at = end,
            None => return,
        }
    }
}

/// A literal field; where it ends.
fn screen_literal(block: &mut [u8], begin: usize, prefix: u32) -> Option<usize> {
    let (index, at) = integer(block, begin, prefix)?;
    let name = if index == 0 { Some(Text::read(block, at)?) } else { None };
    let value = Text::read(block, name.as_ref().map_or(at, |name| name.place.end))?;
    let end = value.place.end;
    match &name {
        Some(name) if !name.is_name(block) => {
            // A string that cannot be read is an error of the connection, whatever its name (RFC 7541 §5.2).
            let (characters, _) = (name.characters(block)?, value.characters(block)?);
            let entry = (prefix == 6).then_some((characters, name.place.end - begin));
            malform(block.get_mut(begin..end)?, entry);
        }
        Some(name) if name.is(block, PATH) => value.refuse_fragment(block),
        None if matches!(index, 4 | 5) => value.refuse_fragment(block),
        _ => {}
    }
    Some(end)
}

/// Makes of a field one or several that are malformed. `entry`, if it goes into the dynamic table: the characters of its
/// name, and where its value begins.
fn malform(field: &mut [u8], entry: Option<(usize, usize)>) {
    let mut made = Vec::with_capacity(field.len());
    if let Some((characters, value)) = entry {
        made.push(0x40);
        push_refused(&mut made, characters);
        made.extend_from_slice(field.get(value..).unwrap_or_default());
    }
    if let Some(spare) = field.len().checked_sub(made.len()) {
        let (paths, rest) = field.split_at_mut(spare);
        paths.fill(PATH_ROOT);
        rest.copy_from_slice(&made);
    }
}

/// A refused name of so many characters. The one case without room for it is a name of three in two bytes, as `Aio` in
/// the Huffman code: it is left to h2.
fn push_refused(block: &mut Vec<u8>, characters: usize) {
    if characters < SHORTEST_REFUSED {
        block.push(characters as u8);
        block.extend(std::iter::repeat_n(QUOTE, characters));
        return;
    }
    let codes = REFUSED.iter().cycle().take(characters);
    let bits = codes.flat_map(|(_, code)| (0..5).rev().map(move |place| code >> place & 1));
    let length = (5 * characters).div_ceil(8);
    push_length(block, length);
    let mut bits = bits.chain(std::iter::repeat(1));
    block.extend((0..length).map(|_| bits.by_ref().take(8).fold(0, |byte, bit| byte << 1 | bit)));
}

/// The length of a Huffman-coded string.
fn push_length(block: &mut Vec<u8>, length: usize) {
    match length.checked_sub(0x7f) {
        None => block.push(0x80 | length as u8),
        Some(mut rest) => {
            block.push(0xff);
            while rest >= 0x80 {
                block.push(0x80 | rest as u8);
                rest >>= 7;
            }
            block.push(rest as u8);
        }
    }
}

/// An integer (RFC 7541 §5.1) below 2^28, and where it ends.
fn integer(block: &[u8], begin: usize, prefix: u32) -> Option<(usize, usize)> {
    let mask = (1 << prefix) - 1;
    let mut value = usize::from(*block.get(begin)?) & mask;
    if value < mask {
        return Some((value, begin + 1));
    }
    for (number, &byte) in block.get(begin + 1..)?.iter().take(4).enumerate() {
        value += usize::from(byte & 0x7f) << (7 * number);
        if byte < 0x80 {
            return Some((value, begin + 2 + number));
        }
    }
    None
}

/// A string literal (RFC 7541 §5.2).
struct Text {
    is_huffman: bool,
    place: Range<usize>,
}

impl Text {
    fn read(block: &[u8], at: usize) -> Option<Self> {
        let is_huffman = block.get(at)? & 0x80 != 0;
        let (length, begin) = integer(block, at, 7)?;
        let place = begin..begin.checked_add(length)?;
        (place.end <= block.len()).then_some(Self { is_huffman, place })
    }

    fn bytes<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        block.get(self.place.clone()).unwrap_or_default()
    }

    /// How many characters it has; `None`: it cannot be read.
    fn characters(&self, block: &[u8]) -> Option<usize> {
        let bytes = self.bytes(block);
        if !self.is_huffman {
            return Some(bytes.len());
        }
        huffman::symbols(bytes).try_fold(0, |count, symbol| symbol.map(|_| count + 1))
    }

    /// Whether all its characters are such as `holds` them; those that cannot be read are left to h2.
    fn all(&self, block: &[u8], mut holds: impl FnMut(u8) -> bool) -> bool {
        let bytes = self.bytes(block);
        if self.is_huffman {
            huffman::symbols(bytes).flatten().all(|symbol| holds(symbol.byte))
        } else {
            bytes.iter().all(|&byte| holds(byte))
        }
    }

    fn is(&self, block: &[u8], text: &[u8]) -> bool {
        let mut rest = text.iter();
        self.all(block, |byte| rest.next() == Some(&byte)) && rest.as_slice().is_empty()
    }

    /// Whether it is the name of a field of a request (RFC 9113 §8.2.1, §8.3.1).
    fn is_name(&self, block: &[u8]) -> bool {
        let mut is_empty = true;
        let is_field = self.all(block, |byte| {
            is_empty = false;
            is_name_byte(byte)
        });
        let pseudo = [PATH, b":method", b":scheme", b":authority", b":protocol", b":status"];
        (is_field && !is_empty) || pseudo.into_iter().any(|pseudo| self.is(block, pseudo))
    }

    /// Makes of each `#` in a path, which h2 would cut off with what follows, a `>`, which it refuses as a character of no
    /// path. Their codes differ in the last bit.
    fn refuse_fragment(&self, block: &mut [u8]) {
        let Some(bytes) = block.get_mut(self.place.clone()) else { return };
        if !self.is_huffman {
            bytes.iter_mut().filter(|byte| **byte == b'#').for_each(|byte| *byte = b'>');
            return;
        }
        if !may_hold_hash(bytes) {
            return;
        }
        let ends: Vec<_> = huffman::symbols(bytes).flatten().filter(|symbol| symbol.byte == b'#').collect();
        for huffman::Symbol { end, .. } in ends {
            if let Some(byte) = bytes.get_mut((end - 1) / 8) {
                *byte |= 0x80 >> ((end - 1) % 8);
            }
        }
    }
}

/// The code of `#` begins with nine ones, as no code of a common character does: a cheap look first.
fn may_hold_hash(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    pairs.into_iter().any(|(first, second)| first.trailing_ones() + second.leading_ones() >= 9)
}

fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&byte)
}
