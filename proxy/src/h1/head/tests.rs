use super::*;

const LIMITS: HeadLimits = HeadLimits { line: 64, head: 256, fields: 4 };

/// Feeds `text` in pieces of `step` bytes.
fn read(mut parser: HeadParser, text: &[u8], step: usize) -> Result<Option<(Range<usize>, Fields)>, HeadError> {
    let mut input = BytesMut::new();
    for piece in text.chunks(step) {
        input.extend_from_slice(piece);
        if let Some(head) = parser.advance(&mut input)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn request(text: &str) -> Result<String, HeadError> {
    let mut seen: Option<Result<String, HeadError>> = None;
    for step in [1, 2, 7, text.len().max(1)] {
        let result = read(HeadParser::for_requests(LIMITS), text.as_bytes(), step).and_then(|head| {
            let Some((line, fields)) = head else { return Ok("incomplete".into()) };
            let line = RequestLine::parse(&fields, &line)?;
            let part = |span: &Range<usize>| String::from_utf8_lossy(fields.text(span)).into_owned();
            let list: Vec<_> = fields
                .iter()
                .map(|field| {
                    format!("{}={}", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value))
                })
                .collect();
            Ok(format!("{} {} {:?} {}", part(&line.method), part(&line.target), line.version, list.join("&")))
        });
        if let Some(before) = &seen {
            assert_eq!(before, &result, "in steps of {step}: {text:?}");
        }
        seen = Some(result);
    }
    seen.expect("at least one step")
}

#[test]
fn well_formed_requests_are_read() {
    for (text, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / Http11 Host=a"),
        ("\r\nGET /a?b HTTP/1.0\r\n\r\n", "GET /a?b Http10 "),
        ("BREW /\u{e9} HTTP/1.1\r\nA:\t b \t\r\nC:\r\n\r\n", "BREW /\u{e9} Http11 A=b&C="),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "incomplete"),
    ] {
        assert_eq!(request(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn ambiguous_requests_are_refused() {
    for (text, expected) in [
        ("GET / HTTP/1.1\nHost: a\n\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\n A: b\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\n: b\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nA\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\n\u{e9}: b\r\n\r\n", HeadError::Malformed),
        ("GET /a b HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET  / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET /\t HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET /\r\n\r\n", HeadError::Malformed),
        ("GET / FOO/1.1\r\n\r\n", HeadError::Malformed),
        ("GET / http/1.1\r\n\r\n", HeadError::Malformed),
        ("G@T / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        (" GET / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/2.0\r\n\r\n", HeadError::Version),
        ("nonsense\r\n\r\n", HeadError::Malformed),
        ("INVALID CONNECTION PREFACE\r\n\r\n", HeadError::NoVersion),
        ("GET / HTTP/1.2\r\n\r\n", HeadError::Version),
        ("\r\n\r\n\r\n\r\n\r\n\r\n", HeadError::Malformed),
    ] {
        assert_eq!(request(text), Err(expected), "{text:?}");
    }
}

#[test]
fn each_limit_has_its_error() {
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(60));
    let long_head = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(300));
    let many_fields = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(5));
    for (text, expected) in [
        (long_line, HeadError::LineTooLong),
        (long_head, HeadError::TooLarge),
        (many_fields, HeadError::TooLarge),
        ("x".repeat(65), HeadError::LineTooLong),
    ] {
        assert_eq!(request(&text), Err(expected), "{text:?}");
    }
}

#[test]
fn a_parser_reads_one_head_after_another() {
    let mut input = BytesMut::from(&b"GET /1 HTTP/1.1\r\n\r\nbodyGET /2 HTTP/1.1\r\nA: b\r\n\r\n"[..]);
    let mut parser = HeadParser::for_requests(LIMITS);
    let (line, fields) = parser.advance(&mut input).expect("valid").expect("complete");
    assert_eq!(fields.text(&RequestLine::parse(&fields, &line).expect("valid").target), b"/1");
    assert!(parser.has_begun(&input));
    assert_eq!(&input.split_to(4)[..], b"body");
    let (_, fields) = parser.advance(&mut input).expect("valid").expect("complete");
    assert_eq!(fields.len(), 1);
    assert!(input.is_empty() && !parser.has_begun(&input));
}

#[test]
fn status_lines() {
    let status = |text: &str| {
        let (line, fields) =
            read(HeadParser::for_responses(LIMITS), text.as_bytes(), 3)?.ok_or(HeadError::Malformed)?;
        let line = StatusLine::parse(&fields, &line)?;
        Ok(format!("{} {:?} {:?}", line.status, line.version, String::from_utf8_lossy(fields.text(&line.reason))))
    };
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Ok("200 Http11 \"OK\"")),
        ("HTTP/1.0 404 Not Found\r\n\r\n", Ok("404 Http10 \"Not Found\"")),
        ("HTTP/1.1 204\r\n\r\n", Ok("204 Http11 \"\"")),
        ("HTTP/1.1 204 \r\n\r\n", Ok("204 Http11 \"\"")),
        ("HTTP/1.1 200 OK\nA : b\n\n", Ok("200 Http11 \"OK\"")),
        ("HTTP/1.1 99\r\n\r\n", Err(HeadError::Malformed)),
        ("HTTP/1.1 600 X\r\n\r\n", Err(HeadError::Malformed)),
        ("HTTP/1.1 2000 X\r\n\r\n", Err(HeadError::Malformed)),
        ("HTTP/1.1  200 X\r\n\r\n", Err(HeadError::Malformed)),
        ("HTTP/2.0 200 X\r\n\r\n", Err(HeadError::Version)),
        ("garbage\r\n\r\n", Err(HeadError::Malformed)),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Err(HeadError::Malformed)),
    ] {
        assert_eq!(status(text).as_deref(), expected.as_deref(), "{text:?}");
    }
}
