//! The codec on input that nobody wrote: it never panics, and where the input is cut into reads changes nothing.

use super::*;
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Small, so that the limits are met.
const LIMITS: HeadLimits = HeadLimits { line: 24, head: 96, fields: 3 };

/// Pieces that heads are made of, and pieces that break them.
const HEAD_PIECES: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"GET /123456789 HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 204\r\n",
    b"Host: a\r\n",
    b"A: b \t\r\n",
    b"GET",
    b" ",
    b"/",
    b"HTTP/1.1",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b":",
    b"\t",
    b"\0",
    b"\xff",
    b"x",
    b"xxxxxxxxxxxxxxxx",
];

/// Pieces that chunked bodies are made of, and pieces that break them.
const BODY_PIECES: &[&[u8]] = &[
    b"5\r\nhello\r\n",
    b"1\r\nx\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b"A: b\r\n",
    b"3;a=\"b\"\r\nabc\r\n",
    b"5",
    b"A",
    b"0",
    b";",
    b" ",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"x",
    b"ffffffffffffffff\r\n",
    b"00000000000000001\r\n",
];

fn text(pieces: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec(select(pieces).prop_map(<[u8]>::to_vec), 0..most).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 1 => vec(any::<u8>(), 0..most * 4)]
}

/// The text in one read, in two, cut at every place, and in reads of a byte.
fn readings(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let halves = (0..=text.len()).map(|at| vec![&text[..at], &text[at..]]);
    halves.chain(std::iter::once(text.chunks(1).collect()))
}

/// All heads that the text holds one after the other, and what is left of it; `Err` where it is refused.
fn heads(mut parser: HeadParser, reads: &[&[u8]]) -> Result<(Vec<String>, Vec<u8>), ()> {
    let (mut input, mut heads) = (BytesMut::new(), Vec::new());
    for read in reads {
        input.extend_from_slice(read);
        while let Some((line, fields)) = parser.advance(&mut input).map_err(|_| ())? {
            let request = RequestLine::parse(&fields, &line).map(|line| (line.method, line.target, line.version));
            let status = StatusLine::parse(&fields, &line).map(|line| (line.status, line.reason, line.version));
            let fields: Vec<_> = fields.iter().map(|field| (field.name, field.value)).collect();
            heads.push(format!("{request:?} {status:?} {fields:?}"));
        }
    }
    Ok((heads, input.to_vec()))
}

/// The body that the text holds, whether it ended, and what is left of the text; `Err` where it is refused.
fn body(mut decoder: Decoder, reads: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), ()> {
    let (mut input, mut body) = (BytesMut::new(), Vec::new());
    for read in reads {
        input.extend_from_slice(read);
        while let Decoded::Data(data) = decoder.decode(&mut input).map_err(|_| ())? {
            assert!(!data.is_empty());
            body.extend_from_slice(&data);
        }
    }
    Ok((body, decoder.is_done(), input.to_vec()))
}

proptest! {
    #[test]
    fn heads_are_the_same_however_they_are_cut(text in text(HEAD_PIECES, 12)) {
        for parser in [HeadParser::for_requests, HeadParser::for_responses] {
            let whole = heads(parser(LIMITS), &[&text]);
            for reads in readings(&text) {
                prop_assert_eq!(&heads(parser(LIMITS), &reads), &whole, "{:?}", reads);
            }
        }
    }

    #[test]
    fn bodies_are_the_same_however_they_are_cut(text in text(BODY_PIECES, 12)) {
        for decoder in [Decoder::chunked(), Decoder::Length(7), Decoder::UntilClose] {
            let whole = body(decoder.clone(), &[&text]);
            for reads in readings(&text) {
                prop_assert_eq!(&body(decoder.clone(), &reads), &whole, "{:?}", reads);
            }
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again(pieces in vec(vec(any::<u8>(), 1..40), 0..6), after in vec(any::<u8>(), 0..8)) {
        let whole = pieces.concat();
        for (encoder, decoder) in [
            (Encoder::Chunked, Decoder::chunked()),
            (Encoder::Length, Decoder::Length(whole.len() as u64)),
        ] {
            let mut encoded = Vec::new();
            for piece in &pieces {
                encoder.begin(&mut encoded, piece.len());
                encoded.extend_from_slice(piece);
                encoded.extend_from_slice(encoder.end_data());
            }
            encoded.extend_from_slice(encoder.finish());
            // Without its last byte it has not ended.
            if let Some((_, cut)) = encoded.split_last() {
                let (_, ended, _) = body(decoder.clone(), &[cut]).expect("well framed");
                prop_assert!(!ended);
            }
            encoded.extend_from_slice(&after);
            for reads in readings(&encoded) {
                prop_assert_eq!(body(decoder.clone(), &reads), Ok((whole.clone(), true, after.clone())));
            }
        }
    }

    /// As a request is forwarded: its head is read again as it was written.
    #[test]
    fn fields_are_read_again_as_they_are_written(
        names in vec("[A-Za-z!#$%&'*+.^_`|~-]{1,8}", 0..3),
        value in "[ -~\u{80}-\u{ff}]{0,12}",
    ) {
        let value = value.trim();
        let mut text = b"GET / HTTP/1.1\r\n".to_vec();
        for name in &names {
            text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        let limits = HeadLimits { line: 64, head: 256, fields: 3 };
        let (_, fields) = HeadParser::for_requests(limits).advance(&mut BytesMut::from(&text[..])).expect("valid").expect("whole");
        let read: Vec<_> = fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        let written: Vec<_> = names.iter().map(|name| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        prop_assert_eq!(read, written);
    }
}

/// The limits themselves, whatever piece the limit falls into.
#[test]
fn a_line_as_long_as_the_limit_is_not_too_long() {
    for (len, expected) in [(LIMITS.line, true), (LIMITS.line + 1, false)] {
        let line = format!("GET /{} HTTP/1.1", "x".repeat(len - 14));
        assert_eq!(line.len(), len);
        let text = format!("{line}\r\n\r\n");
        for reads in readings(text.as_bytes()) {
            assert_eq!(heads(HeadParser::for_requests(LIMITS), &reads).is_ok(), expected, "{reads:?}");
        }
    }
}

/// Trailers that end just where their limit does.
#[test]
fn trailers_have_a_limit() {
    for (len, expected) in [(64 * 1024 - 1, true), (64 * 1024, false), (64 * 1024 + 1, false), (64 * 1024 + 2, false)] {
        let text = format!("0\r\nA: {}\r\n\r\n", "x".repeat(len - 5));
        for step in [text.len(), 4096] {
            let reads: Vec<_> = text.as_bytes().chunks(step).collect();
            assert_eq!(body(Decoder::chunked(), &reads).is_ok_and(|(_, ended, _)| ended), expected, "{len} in {step}");
        }
    }
}
