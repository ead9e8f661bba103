//! Both ends of HPACK (RFC 7541): what h2's own client sends stays, and a reader of the rewritten blocks keeps the same
//! dynamic table as one of the original ones.

use super::super::huffman::tests::decoded;
use super::*;
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, duplex};

/// An end that knows but a few names of the static table. Made apart from what is tested.
#[derive(Default)]
struct Reader {
    table: VecDeque<Entry>,
    most: usize,
}

impl Reader {
    fn new() -> Self {
        Self { most: 4096, ..Self::default() }
    }

    fn read(&mut self, mut block: &[u8]) -> Vec<Entry> {
        let mut fields = Vec::new();
        while let Some(&first) = block.first() {
            match first {
                0x80.. => fields.push(self.entry(number(&mut block, 0x7f))),
                0x40.. => {
                    let field = self.literal(&mut block, 0x3f);
                    fields.push(field.clone());
                    self.table.push_front(field);
                    self.evict();
                }
                0x20.. => {
                    self.most = number(&mut block, 0x1f);
                    self.evict();
                }
                _ => fields.push(self.literal(&mut block, 0x0f)),
            }
        }
        fields
    }

    fn literal(&self, block: &mut &[u8], mask: u8) -> Entry {
        let name = match number(block, mask) {
            0 => string(block),
            index => self.entry(index).0,
        };
        (name, string(block))
    }

    fn entry(&self, index: usize) -> Entry {
        match index {
            4 => (b":path".to_vec(), b"/".to_vec()),
            58 => (b"user-agent".to_vec(), Vec::new()),
            62.. => self.table[index - 62].clone(),
            _ => panic!("index {index}"),
        }
    }

    fn evict(&mut self) {
        while self.table.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>() > self.most {
            self.table.pop_back();
        }
    }
}

fn number(block: &mut &[u8], mask: u8) -> usize {
    let mut next = || {
        let (first, rest) = block.split_first().expect("a byte");
        *block = rest;
        *first
    };
    let mut number = usize::from(next() & mask);
    if number == usize::from(mask) {
        for shift in (0..).step_by(7) {
            let byte = next();
            number += usize::from(byte % 128) << shift;
            if byte < 128 {
                break;
            }
        }
    }
    number
}

fn string(block: &mut &[u8]) -> Vec<u8> {
    let is_huffman = block[0] >= 128;
    let length = number(block, 0x7f);
    let (string, rest) = block.split_at(length);
    *block = rest;
    if is_huffman { decoded(string).expect("the Huffman code") } else { string.to_vec() }
}

const GOOD: [&str; 4] = ["x-good", "a", "i0", "x!#$%&'*+-.^_`|~9"];
const BAD: [&str; 9] =
    ["X", "Te", "DNT", "X-Upper", "AAAA", "x y z", ":nope", "a\"bcd", "qQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQ"];

fn is_bad(name: &[u8]) -> bool {
    BAD.iter().any(|bad| bad.as_bytes() == name)
}

/// What chance says of a field: what it is, which name or entry, its value, and how it is written.
type Choice = (u8, usize, String, usize, bool);

/// A field as bytes; one of the `known` entries of the dynamic table may be named.
fn chosen(known: usize, (kind, which, value, how, is_huffman): &Choice) -> Vec<u8> {
    let named = |name: &str| field(name.as_bytes(), value.as_bytes(), HOWS[*how], *is_huffman);
    let index = known.checked_sub(1).map(|last| 62 + which % (last + 1));
    let mut block = match (kind, index) {
        (0..3, _) => return named(GOOD[which % GOOD.len()]),
        (3..5, _) => return named(BAD[which % BAD.len()]),
        (5, Some(index)) => return numbered(0x80, 0x7f, index),
        (6, Some(index)) => numbered(0x40, 0x3f, index),
        _ => numbered(0x40, 0x3f, 58),
    };
    text(&mut block, value.as_bytes(), *is_huffman);
    block
}

/// An integer of at most two bytes.
fn numbered(first: u8, mask: u8, number: usize) -> Vec<u8> {
    match number.checked_sub(mask.into()) {
        None => vec![first | number as u8],
        Some(rest @ 0..128) => vec![first | mask, rest as u8],
        Some(_) => panic!("{number}"),
    }
}

proptest! {
    #[test]
    fn both_sides_keep_the_same_table(
        heads in prop::collection::vec(
            (
                prop::option::weighted(0.1, 0..=30u8),
                prop::collection::vec((0..8u8, 0..100usize, "[ -~]{0,90}|[0ac]{0,20}", 0..3usize, any::<bool>()), 0..12),
            ),
            1..20,
        ),
    ) {
        let (mut client, mut proxy) = (Reader::new(), Reader::new());
        for (size, choices) in &heads {
            let mut block = Vec::new();
            let mut sent = Vec::new();
            if let Some(size) = size {
                block.push(0x20 | size);
                client.read(&block);
            }
            for choice in choices {
                let field = chosen(client.table.len(), choice);
                sent.extend(client.read(&field));
                block.extend(field);
            }
            let read = proxy.read(&screened(&block));
            if sent.iter().any(|(name, _)| is_bad(name)) {
                let paths = read.iter().filter(|(name, _)| name == b":path").count();
                prop_assert!(paths > 1 || read.iter().any(|(name, _)| is_refused(name)), "{:?}", read);
            } else {
                prop_assert_eq!(&read, &sent);
            }
            prop_assert_eq!(client.table.len(), proxy.table.len());
            for ((sent, value), (name, read)) in client.table.iter().zip(&proxy.table) {
                prop_assert_eq!(value, read);
                prop_assert_eq!(sent.len(), name.len());
                let is_right = if is_bad(sent) { is_refused(name) } else { sent == name };
                prop_assert!(is_right, "{} {}", sent.escape_ascii(), name.escape_ascii());
            }
        }
    }

    #[test]
    fn what_the_client_of_h2_sends_stays(
        heads in prop::collection::vec(
            ("/[a-z0-9/%~!$&'()*+,;=:@._-]{0,40}", prop::collection::vec(("[a-su-z][a-z0-9!#$%&'*+.^_`|~-]{0,20}", "[!-~]{0,60}"), 0..12)),
            1..12,
        ),
    ) {
        for block in blocks_of(heads) {
            prop_assert_eq!(screened(&block), block);
        }
    }
}

/// The header blocks that the client of h2 makes of paths and fields.
#[tokio::main(flavor = "current_thread")]
async fn blocks_of(heads: Vec<(String, Vec<(String, String)>)>) -> Vec<Vec<u8>> {
    let (near, mut far) = duplex(64 * 1024);
    let (mut sender, connection) = h2::client::handshake(near).await.expect("a handshake");
    let driver = tokio::spawn(connection);
    let wanted = heads.len();
    let mut answers = Vec::new();
    for (path, fields) in heads {
        let mut request = http::Request::builder().uri(format!("http://a.test{path}"));
        for (name, value) in fields {
            request = request.header(name, value);
        }
        sender = sender.ready().await.expect("open");
        answers.push(sender.send_request(request.body(()).expect("a request"), true).expect("sent"));
    }
    far.read_exact(&mut [0; 24]).await.expect("the preface");
    let mut blocks = Vec::new();
    while blocks.len() < wanted {
        let mut head = [0; 9];
        far.read_exact(&mut head).await.expect("a head");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        far.read_exact(&mut payload).await.expect("a payload");
        if head[3] == 1 {
            assert_eq!(head[4], 5, "END_HEADERS and END_STREAM, and no padding");
            blocks.push(payload);
        }
    }
    driver.abort();
    blocks
}
