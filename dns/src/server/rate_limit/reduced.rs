//! What is left of an answer whose client may not be who it seems: nothing that is longer than a question.

use crate::option;
use crate::wire::{COOKIE, Cursor, Header, OPT, flag};
use hickory_proto::op::ResponseCode;

/// Takes everything out of a finished message of ours but the question and, in its OPT record, the cookie. A client that
/// means it is told to ask over TCP, where nobody else can in its name; errors stay as they are, since no client asks
/// again for them.
pub(super) fn slip(message: &mut Vec<u8>, code: ResponseCode) {
    let is_answer = matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
    let flags = if is_answer { flag::TRUNCATED } else { 0 };
    reduce(message, |header, _| header.flags |= flags);
}

/// Makes it BADCOOKIE instead (RFC 7873 §5.2.3), with the cookie that is to be brought next.
pub(super) fn bad_cookie(message: &mut Vec<u8>) {
    let code = ResponseCode::BADCOOKIE;
    reduce(message, |header, options| {
        header.flags &= !(flag::CODE | flag::AUTHORITATIVE | flag::TRUNCATED);
        header.flags |= u16::from(code.low());
        // The high bits stand behind the root, the type and the size (RFC 6891 §6.1.3).
        if let Some(place) = options.get_mut(5) {
            *place = code.high();
        }
    });
}

/// `change` sees the header and the OPT record, which may be none. A message that cannot be read stays as it is.
fn reduce(message: &mut Vec<u8>, change: impl FnOnce(&mut Header, &mut [u8])) {
    let Some((mut header, end, mut options)) = parts(message) else { return };
    (header.answers, header.authorities, header.additionals) = (0, 0, u16::from(!options.is_empty()));
    change(&mut header, &mut options);
    message.truncate(end);
    message.extend(options);
    header.put(message);
}

/// The header, where the question ends, and the OPT record with the cookie alone.
fn parts(message: &[u8]) -> Option<(Header, usize, Vec<u8>)> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    cursor.skip_questions(&header)?;
    let end = cursor.position();
    for _ in 0..header.records() {
        let start = cursor.position();
        let record = cursor.record()?;
        if record.record_type == OPT {
            let cookie = Cursor::new(record.content).option(COOKIE);
            let cookie = cookie.and_then(|content| option::option(COOKIE, content)).unwrap_or_default();
            let length = u16::try_from(cookie.len()).ok()?.to_be_bytes();
            let head = message.get(start..record.ttl_at + 4)?;
            return Some((header, end, [head, &length, &cookie].concat()));
        }
    }
    Some((header, end, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::client;
    use hickory_proto::op::Message;

    fn answer(code: &str, records: &str) -> Vec<u8> {
        let mut message = client("Big.Example.", "A").answer(code, records);
        for (code, content) in [(15, "why"), (COOKIE, "a client and its server."), (3, "name")] {
            assert!(option::add(&option::option(code, content.as_bytes()).unwrap(), &mut message, 4096));
        }
        message
    }

    fn options(message: &Message) -> Vec<(u16, u16)> {
        let edns = message.edns.as_ref().unwrap();
        edns.options().options.iter().map(|(code, option)| (u16::from(*code), option.len())).collect()
    }

    const RECORDS: &str = "big.example. 60 A 192.0.2.1\n big.example. 60 A 192.0.2.2 | example. 60 NS ns.example.";

    #[test]
    fn an_answer_becomes_one_that_is_cut_and_an_error_stays_one() {
        for (code, word, is_cut) in [
            (ResponseCode::NoError, "NOERROR", true),
            (ResponseCode::NXDomain, "NXDOMAIN", true),
            (ResponseCode::Refused, "REFUSED", false),
            (ResponseCode::ServFail, "SERVFAIL", false),
        ] {
            let mut message = answer(word, RECORDS);
            slip(&mut message, code);
            let read = Message::from_vec(&message).unwrap();
            assert_eq!((read.metadata.response_code, read.metadata.truncation), (code, is_cut));
            assert_eq!((read.queries.len(), read.answers.len(), read.authorities.len()), (1, 0, 0));
            assert_eq!(read.queries[0].name().to_string(), "Big.Example.");
            assert_eq!(options(&read), [(COOKIE, 24)]);
        }
    }

    #[test]
    fn a_bad_cookie_gets_a_question_s_worth() {
        for word in ["NOERROR", "NXDOMAIN", "SERVFAIL"] {
            let mut message = answer(word, RECORDS);
            bad_cookie(&mut message);
            let read = Message::from_vec(&message).unwrap();
            assert_eq!((read.metadata.response_code, read.metadata.truncation), (ResponseCode::BADCOOKIE, false));
            assert!(!read.metadata.authoritative && read.answers.is_empty());
            assert_eq!(options(&read), [(COOKIE, 24)]);
            assert_eq!(message.len(), 12 + 13 + 4 + 11 + 28);
        }
    }

    #[test]
    fn what_has_no_options_gets_none_and_what_is_cut_stays() {
        let mut plain = client("a.example.", "A");
        plain.head.edns = None;
        let mut message = plain.answer("NOERROR", "a.example. 60 A 192.0.2.1");
        slip(&mut message, ResponseCode::NoError);
        assert_eq!(message.len(), 12 + 11 + 4);
        assert_eq!(Message::from_vec(&message).unwrap().edns, None);
        let whole = answer("NOERROR", RECORDS);
        for end in 0..whole.len() {
            let mut message = whole[..end].to_vec();
            slip(&mut message, ResponseCode::NoError);
            assert!(message == whole[..end] || Message::from_vec(&message).is_ok(), "{end} bytes");
        }
    }
}
