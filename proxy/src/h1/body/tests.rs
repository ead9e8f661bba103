use super::*;

/// Feeds `text` in pieces of `step` bytes; gives the body and what follows it.
fn read(decoder: &Decoder, text: &[u8], step: usize) -> Result<(String, bool, String), BodyError> {
    let (mut decoder, mut input, mut body) = (decoder.clone(), BytesMut::new(), Vec::new());
    let mut ended = false;
    for piece in text.chunks(step) {
        input.extend_from_slice(piece);
        while !ended {
            match decoder.decode(&mut input)? {
                Decoded::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(&data);
                }
                Decoded::End => ended = true,
                Decoded::Starved => break,
            }
        }
    }
    Ok((String::from_utf8_lossy(&body).into_owned(), ended, String::from_utf8_lossy(&input).into_owned()))
}

fn every_step(decoder: &Decoder, text: &str) -> Result<(String, bool, String), BodyError> {
    let whole = read(decoder, text.as_bytes(), text.len().max(1));
    for step in 1..text.len() {
        assert_eq!(read(decoder, text.as_bytes(), step), whole, "in steps of {step}: {text:?}");
    }
    whole
}

#[test]
fn chunked_bodies_are_read() {
    for (text, body, ended, rest) in [
        ("0\r\n\r\n", "", true, ""),
        ("3\r\nabc\r\n0\r\n\r\nGET", "abc", true, "GET"),
        ("3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", true, ""),
        ("3 ;x=\"y\"\r\nabc\r\n0\r\nT: v\r\n\r\n", "abc", true, ""),
        ("3\r\nabc\r\n0\r\n", "abc", false, ""),
        ("3\r\nab", "ab", false, ""),
    ] {
        assert_eq!(every_step(&Decoder::chunked(), text), Ok((body.into(), ended, rest.into())), "{text:?}");
    }
}

#[test]
fn malformed_chunks_are_refused() {
    for text in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "0x3\r\nabc\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcX\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "11111111111111111\r\n",
        "3;a\0b\r\nabc\r\n",
        "3 x\r\nabc\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
    ] {
        assert_eq!(every_step(&Decoder::chunked(), text), Err(BodyError), "{text:?}");
    }
    let long = format!("3;{}\r\nabc\r\n", "x".repeat(9 * 1024));
    assert_eq!(read(&Decoder::chunked(), long.as_bytes(), 1000), Err(BodyError));
}

#[test]
fn a_length_takes_that_many_bytes() {
    assert_eq!(every_step(&Decoder::Length(3), "abcdef"), Ok(("abc".into(), true, "def".into())));
    assert_eq!(every_step(&Decoder::Length(3), "ab"), Ok(("ab".into(), false, String::new())));
    assert_eq!(every_step(&Decoder::EMPTY, "ab"), Ok((String::new(), true, "ab".into())));
}

#[test]
fn chunks_are_framed() {
    for len in [1, 9, 15, 16, 255, 256, 65536] {
        let mut output = Vec::new();
        Encoder::Chunked.begin(&mut output, len);
        assert_eq!(output, format!("{len:x}\r\n").into_bytes());
    }
    assert_eq!(Encoder::Length.finish(), b"");
    assert_eq!(Encoder::Chunked.finish(), b"0\r\n\r\n");
}
