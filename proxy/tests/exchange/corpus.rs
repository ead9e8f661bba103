//! Requests that are written down in `tests/corpus`: each goes through a proxy of its own, and what the backend saw of
//! it is compared byte by byte. Case 154, and the spellings of paths.

use crate::harness::frames::{ACK, END_HEADERS, END_STREAM, STATUS_200, frame, kind, literal};
use crate::harness::h2::Over;
use crate::harness::{Client, Origin, Running, Setup, field};
use tokio::task::JoinSet;

/// Fields that the proxy adds to each request, once.
const ADDED: [&str; 6] =
    ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-IP", "X-Request-ID"];

/// One case of a file.
#[derive(Default)]
struct Case {
    title: String,
    /// Each line that is sent, with its line end.
    sent: Vec<Vec<u8>>,
    seen: Vec<u8>,
    answers: Vec<String>,
    is_cut: bool,
    half_closes: bool,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        if mark == "==" {
            cases.push(Case { title: rest.to_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a title first");
        match (mark, rest) {
            (">", rest) => case.sent.push(bytes_of(rest)),
            ("|", rest) => case.seen.extend(bytes_of(rest)),
            ("<", rest) => case.answers.push(rest.to_owned()),
            (".", "cut") => case.is_cut = true,
            (".", "fin") => case.half_closes = true,
            _ => panic!("{}: what is {line:?}?", case.title),
        }
    }
    cases
}

/// The bytes of a line, with CRLF unless it ends in `\`.
fn bytes_of(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = line.bytes();
    while let Some(byte) = left.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match left.next() {
            None => return bytes,
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'0') => bytes.push(0),
            Some(b'\\') => bytes.push(b'\\'),
            Some(b'x') => bytes.push(hexadecimal(&mut left)),
            Some(other) => panic!("{line:?}: what is \\{}?", char::from(other)),
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn hexadecimal(left: &mut impl Iterator<Item = u8>) -> u8 {
    let mut digit = || char::from(left.next().expect("two digits")).to_digit(16).expect("a digit") as u8;
    digit() * 16 + digit()
}

/// A request without the fields that the proxy adds, each of which it must have once.
fn without_added(request: &[u8], title: &str) -> Vec<u8> {
    let head_len = request.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 2;
    let (head, rest) = request.split_at(head_len);
    let mut kept = Vec::new();
    let mut added = Vec::new();
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let name = String::from_utf8_lossy(line.split(|&byte| byte == b':').next().expect("a name")).into_owned();
        match ADDED.iter().find(|known| known.eq_ignore_ascii_case(&name)) {
            Some(_) => added.push(name),
            None => kept.extend_from_slice(line),
        }
    }
    assert_eq!(added, ADDED, "{title}");
    [&kept[..], rest].concat()
}

/// Sends a case, gives what the client got, and compares what the backend saw.
async fn run(case: &Case, client: impl AsyncFnOnce(&Running) -> Vec<String>) {
    let title = &case.title;
    let origin = Origin::start().await;
    let proxy = Setup::to(&[origin.address]).start().await;
    let answers = client(&proxy).await;
    assert_eq!(answers, case.answers, "{title}");
    drop(proxy);
    let (requests, has_more) = origin.saw().await;
    let seen: Vec<u8> = requests.iter().flat_map(|request| without_added(request, title)).collect();
    if case.is_cut && requests.is_empty() {
        return;
    }
    assert_eq!(seen.escape_ascii().to_string(), case.seen.escape_ascii().to_string(), "{title}");
    if !case.is_cut {
        assert!(!has_more, "{title}: more than whole requests");
        assert_eq!(requests.len(), answers.iter().filter(|status| *status == "200").count(), "{title}");
    }
}

/// The statuses that a client gets until its connection is closed, which a refusal must do by itself.
async fn statuses(mut client: Client, case: &Case) -> Vec<String> {
    client.send_bytes(&case.sent.concat()).await;
    let is_refused = case.answers.last().is_some_and(|status| status != "200");
    if case.half_closes || !is_refused {
        client.finish().await;
    }
    let (text, ended) = client.rest_and_end().await;
    assert_eq!(ended, crate::harness::Ended::Cleanly, "{}", case.title);
    let (mut statuses, mut rest) = (Vec::new(), &text[..]);
    while let Some((head, more)) = rest.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).expect("a status").to_owned();
        if status != "200" {
            assert_eq!(field(head, "connection"), Some("close"), "{}: {head}", case.title);
        }
        statuses.push(status);
        let length: usize = field(head, "content-length").expect("a length").parse().expect("a number");
        rest = &more[length..];
    }
    assert_eq!(rest, "", "{}", case.title);
    statuses
}

/// What comes of a request over HTTP/2: a status, or how it failed. Unless all of the connection did, it goes on.
async fn outcome(proxy: &Running, fields: &[(String, String)], body: Option<&[u8]>) -> String {
    let mut client = proxy.frames(Over::Clear).await;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let ends = if body.is_none() { END_STREAM } else { 0 };
    client.send(kind::HEADERS, END_HEADERS | ends, 1, &literal(&fields)).await;
    if let Some(body) = body {
        client.send_bytes(&frame(kind::DATA, END_STREAM, 1, body)).await;
    }
    let ends_it = |kind: u8, stream: u32| {
        kind == kind::GOAWAY || (stream == 1 && (kind == kind::HEADERS || kind == kind::RST_STREAM))
    };
    let found = client.find(|frame| ends_it(frame.kind, frame.stream)).await;
    // RFC 7541, Appendix A, and `:status: 405` with its value in Huffman's code.
    let outcome = match (found.kind, &found.payload[..]) {
        (kind::GOAWAY, _) => return "goaway".to_owned(),
        (kind::RST_STREAM, _) => "reset",
        (_, [STATUS_200, ..]) => "200",
        (_, [0x8c, ..]) => "400",
        (_, [0x48, 0x83, 0x68, 0x0d, ..]) => "405",
        (_, payload) => panic!("what status is {payload:x?}?"),
    };
    client.send(kind::PING, 0, 0, b"go on...").await;
    client.find(|frame| frame.kind == kind::PING && frame.flags & ACK != 0).await;
    outcome.to_owned()
}

/// Runs all, a few at a time, and names those that failed.
async fn all<T, F: Future<Output = ()> + Send + 'static>(
    cases: impl IntoIterator<Item = T>,
    title: impl Fn(&T) -> String,
    run: impl Fn(T) -> F,
) {
    const AT_ONCE: usize = 8;
    let (mut running, mut failed) = (JoinSet::new(), Vec::new());
    let mut finished = |ended: Result<Option<String>, _>| failed.extend(ended.expect("no panic"));
    for case in cases {
        if running.len() == AT_ONCE {
            finished(running.join_next().await.expect("one of them"));
        }
        let (title, case) = (title(&case), run(case));
        running.spawn(async move { tokio::spawn(case).await.err().map(|error| format!("{title}: {error}")) });
    }
    while let Some(ended) = running.join_next().await {
        finished(ended);
    }
    assert!(failed.is_empty(), "{} cases failed:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test]
async fn case_154_a_backend_sees_one_request_or_none() {
    let text = [include_str!("../corpus/smuggling.txt"), include_str!("../corpus/syntax.txt")].concat();
    let run = async |case: Case| {
        run(&case, async |proxy: &Running| statuses(proxy.client().await, &case).await).await;
    };
    all(cases(&text), |case| case.title.clone(), run).await;
}

#[tokio::test]
async fn case_154_what_http2_carries_is_one_request_of_http1_or_none() {
    let run = async |case: Case| {
        let mut lines = case.sent.iter();
        let fields: Vec<_> = lines.by_ref().take_while(|line| line != &b"\r\n").map(|line| field_of(line)).collect();
        let body = (fields.len() < case.sent.len()).then(|| lines.flatten().copied().collect::<Vec<u8>>());
        run(&case, async |proxy: &Running| vec![outcome(proxy, &fields, body.as_deref()).await]).await;
    };
    all(cases(include_str!("../corpus/h2.txt")), |case| case.title.clone(), run).await;
}

fn field_of(line: &[u8]) -> (String, String) {
    let line = std::str::from_utf8(line).expect("text");
    let line = line.strip_suffix("\r\n").unwrap_or(line);
    let colon = line.get(1..).and_then(|line| line.find(": ")).expect("a field") + 1;
    (line[..colon].to_owned(), line[colon + 2..].to_owned())
}

#[tokio::test]
async fn paths_have_one_form_over_both_versions() {
    let lines = include_str!("../corpus/paths.txt").lines();
    let spellings = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let run = async |line: &'static str| {
        let mut words = line.split_whitespace();
        let (asked, expected) = (words.next().expect("a target"), words.next().expect("a path or a status"));
        // Other backslashes are meant.
        let path = bytes_of(&(asked.replace('\\', "\\\\").replace("\\\\x", "\\x") + "\\"));
        let case = |expected: &str| {
            let mut case = Case { title: asked.to_owned(), answers: vec!["400".to_owned()], ..Case::default() };
            if expected != "400" {
                case.answers = vec!["200".to_owned()];
                case.seen = format!("GET {expected} HTTP/1.1\r\nHost: a.test\r\n\r\n").into_bytes();
            }
            case.sent = vec![[b"GET ", &path[..], b" HTTP/1.1\r\nHost: a.test\r\n\r\n"].concat()];
            case
        };
        let h1 = case(expected);
        run(&h1, async |proxy: &Running| statuses(proxy.client().await, &h1).await).await;

        let text = String::from_utf8(path.clone()).expect("text");
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", &text[..])];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        run(&case(words.next().unwrap_or(expected)), async |proxy: &Running| {
            let outcome = outcome(proxy, &fields, None).await;
            vec![if outcome == "reset" { "400".to_owned() } else { outcome }]
        })
        .await;
    };
    all(spellings, |line| (*line).to_owned(), run).await;
}
