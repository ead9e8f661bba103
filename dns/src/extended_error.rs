//! Why an answer is as it is, said beside its code to clients that speak EDNS (RFC 8914).

use crate::message::Transport;
use crate::option;
use crate::question::Head;
use crate::wire::Cursor;

/// Code of the option (RFC 8914 §2).
const OPTION: u16 = 15;
/// So many of an upstream's are passed on.
const MOST: usize = 4;

/// What is said, by its number in the registry that RFC 8914 §4 begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtendedError {
    Other = 0,
    StaleAnswer = 3,
    CachedError = 13,
    NotReady = 14,
    Blocked = 15,
    Filtered = 17,
    Prohibited = 18,
    NotAuthoritative = 20,
    NoReachableAuthority = 22,
    InvalidData = 24,
}

impl ExtendedError {
    /// Adds it to a finished message of ours, as far as there is room: else without the text, or not at all.
    pub(crate) fn add(self, text: &str, message: &mut Vec<u8>, to: (&Head, Transport)) {
        add(self as u16, text, message, to);
    }
}

/// The same with a number that a user has chosen.
pub(crate) fn add(number: u16, text: &str, message: &mut Vec<u8>, (head, transport): (&Head, Transport)) {
    let limit = head.limit(transport);
    let texts = if text.is_empty() { &[""][..] } else { &[text, ""] };
    let options = texts.iter().map(|text| option::option(OPTION, &[&number.to_be_bytes(), text.as_bytes()].concat()));
    // The first that fits.
    options.flatten().any(|option| option::add(&option, message, limit));
}

/// Says what an upstream has said, whose EDNS options these are; a list that is malformed up to there, and no more than
/// [`MOST`] of them. A text that is none (RFC 8914 §2: UTF-8), or would be more than one line of a log, is left out.
pub(crate) fn pass_on(options: &[u8], message: &mut Vec<u8>, (head, transport): (&Head, Transport)) {
    if head.edns.is_none() {
        return;
    }
    let said = Cursor::new(options).options().filter(|(code, content)| *code == OPTION && content.len() >= 2);
    let said = said.map(|(_, content)| if is_line(content) { content } else { content.get(..2).unwrap_or_default() });
    for option in said.take(MOST).filter_map(|content| option::option(OPTION, content)) {
        option::add(&option, message, head.limit(transport));
    }
}

/// Whether text follows the number, without control characters.
fn is_line(content: &[u8]) -> bool {
    let text = content.get(2..).and_then(|text| str::from_utf8(text).ok());
    text.is_some_and(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Says, write_code};
    use crate::question::{CLASS_IN, ClientEdns};
    use hickory_proto::op::{Message, ResponseCode};
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

    fn said(edns: Option<ClientEdns>, padding: usize) -> (Option<Vec<u8>>, usize) {
        let head = Head { id: 1, flags: 0, class: CLASS_IN, edns };
        let mut message = Vec::new();
        write_code(&mut message, &head, None, (ResponseCode::ServFail, Says::default()));
        // As if there were an answer before the OPT record; it is taken out again to be read.
        let records = 12..12 + padding;
        if let Some(length) = padding.checked_sub(11) {
            let length = u16::try_from(length).unwrap().to_be_bytes();
            let answer = [&[0, 0, 10, 0, 1, 0, 0, 0, 0][..], &length, &vec![0; padding - 11]].concat();
            message.splice(12..12, answer);
            message[7] = 1;
        }
        ExtendedError::NotReady.add("why", &mut message, (&head, Transport::Udp));
        let len = message.len();
        message.drain(records);
        message[7] = 0;
        let read = Message::from_vec(&message).unwrap();
        assert_eq!(read.metadata.response_code, ResponseCode::ServFail);
        let option = read.edns.and_then(|edns| edns.option(EdnsCode::Unknown(OPTION)).cloned());
        let bytes = option.map(|option| match option {
            EdnsOption::Unknown(OPTION, bytes) => bytes,
            option => panic!("{option:?}"),
        });
        (bytes, len)
    }

    #[test]
    fn it_is_said_as_far_as_there_is_room() {
        let edns = Some(ClientEdns { is_dnssec_ok: true, ..ClientEdns::of(512) });
        assert_eq!(said(None, 0), (None, 12));
        assert_eq!(said(edns, 0), (Some(b"\x00\x0ewhy".to_vec()), 12 + 11 + 9));
        assert_eq!(said(edns, 480), (Some(b"\x00\x0ewhy".to_vec()), 512));
        assert_eq!(said(edns, 481), (Some(b"\x00\x0e".to_vec()), 510));
        assert_eq!(said(edns, 483), (Some(b"\x00\x0e".to_vec()), 512));
        assert_eq!(said(edns, 484), (None, 507));
    }
}
