//! Reads the Huffman code of HPACK (RFC 7541 §5.2 and Appendix B). The code is canonical: the lengths say it all.

/// Bits of each symbol's code.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
const LONGEST: usize = 30;

/// The symbols in the order of their codes, and where those of each length begin.
struct Codes {
    symbols: [u8; 256],
    /// By length: the first code, the place of its symbol, and how many there are.
    by_length: [(u32, usize, u32); LONGEST + 1],
}

static CODES: Codes = Codes::new();

impl Codes {
    #[expect(clippy::indexing_slicing, reason = "at compile time it would not compile")]
    const fn new() -> Self {
        let mut codes = Self { symbols: [0; 256], by_length: [(0, 0, 0); LONGEST + 1] };
        let (mut length, mut code, mut place) = (1, 0, 0);
        while length <= LONGEST {
            code <<= 1;
            let (first_code, first_place) = (code, place);
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == length {
                    codes.symbols[place] = symbol as u8;
                    code += 1;
                    place += 1;
                }
                symbol += 1;
            }
            codes.by_length[length] = (first_code, first_place, code - first_code);
            length += 1;
        }
        codes
    }
}

/// By the next eight bits, the symbol that they begin with and the length of its code; length 0: a longer one. Names
/// consist of such.
static SHORT: [(u8, u8); 256] = short();

#[expect(clippy::indexing_slicing, reason = "at compile time it would not compile")]
const fn short() -> [(u8, u8); 256] {
    let codes = Codes::new();
    let mut short = [(0, 0); 256];
    let mut length = 1;
    while length <= 8 {
        let (first_code, first_place, count) = codes.by_length[length];
        let mut number = 0;
        while number < count as usize {
            let begin = (first_code as usize + number) << (8 - length);
            let mut next = begin;
            while next < begin + (1 << (8 - length)) {
                short[next] = (codes.symbols[first_place + number], length as u8);
                next += 1;
            }
            number += 1;
        }
        length += 1;
    }
    short
}

/// A symbol and the bit after its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) byte: u8,
    pub(super) end: usize,
}

/// The symbols of a string; `None` in the place of what is none, which ends it.
pub(super) fn symbols(string: &[u8]) -> impl Iterator<Item = Option<Symbol>> {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let begin = at.take()?;
        if is_padding(string, begin) {
            return None;
        }
        let symbol = symbol(string, begin);
        at = symbol.map(|symbol| symbol.end);
        Some(symbol)
    })
}

fn symbol(string: &[u8], begin: usize) -> Option<Symbol> {
    let (first, second) = (string.get(begin / 8)?, string.get(begin / 8 + 1).unwrap_or(&0));
    let next = u16::from_be_bytes([*first, *second]) << (begin % 8) >> 8;
    if let Some(&(byte, length)) = SHORT.get(usize::from(next))
        && length != 0
        && begin + usize::from(length) <= string.len() * 8
    {
        return Some(Symbol { byte, end: begin + usize::from(length) });
    }
    let mut code = 0;
    for (length, &(first_code, first_place, count)) in CODES.by_length.iter().enumerate().skip(1) {
        code = code << 1 | u32::from(bit(string, begin + length - 1)?);
        if let Some(place) = code.checked_sub(first_code).filter(|place| *place < count) {
            let byte = *CODES.symbols.get(first_place + place as usize)?;
            return Some(Symbol { byte, end: begin + length });
        }
    }
    None
}

/// Less than a byte of ones fills the last byte.
fn is_padding(string: &[u8], begin: usize) -> bool {
    let end = string.len() * 8;
    end - begin < 8 && (begin..end).all(|at| bit(string, at) == Some(true))
}

fn bit(string: &[u8], at: usize) -> Option<bool> {
    Some(string.get(at / 8)? & (0x80 >> (at % 8)) != 0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The code of each byte of a text.
    pub(in super::super) fn encoded(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let (first_code, first_place, count) = CODES.by_length[length];
            let of_length = &CODES.symbols[first_place..][..count as usize];
            let code = first_code + of_length.iter().position(|symbol| symbol == byte).expect("a symbol") as u32;
            bits.extend((0..length).rev().map(|place| code >> place & 1 != 0));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
    }

    pub(in super::super) fn decoded(string: &[u8]) -> Option<Vec<u8>> {
        symbols(string).map(|symbol| symbol.map(|symbol| symbol.byte)).collect()
    }

    /// RFC 7541, Appendix C.4 and C.6.
    #[test]
    fn examples_of_the_rfc_are_read() {
        let examples: [(&str, &[u8]); 5] = [
            ("www.example.com", b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"),
            ("no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            ("custom-key", b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f"),
            (
                "Mon, 21 Oct 2013 20:13:21 GMT",
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
            ),
            ("", b""),
        ];
        for (text, string) in examples {
            assert_eq!(decoded(string).as_deref(), Some(text.as_bytes()), "{text}");
            assert_eq!(encoded(text.as_bytes()), string, "{text}");
        }
    }

    #[test]
    fn every_byte_is_read() {
        for byte in 0..=255 {
            let text = [b'a', byte, byte, b'z'];
            assert_eq!(decoded(&encoded(&text)).as_deref(), Some(&text[..]));
        }
    }

    #[test]
    fn what_is_no_code_is_told() {
        // A whole byte of padding, padding that is not of ones, and the end-of-string symbol.
        for string in [&[0xff][..], &[0x1f, 0xff], &[0x00], &[0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(symbols(string).last(), Some(None), "{string:?}");
        }
    }
}
