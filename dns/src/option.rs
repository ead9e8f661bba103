//! EDNS options (RFC 6891 §6.1.2): found in a message, and added to a finished one of ours.

use crate::wire::{Cursor, OPT, RawRecord};

/// One option as bytes; `None`: the content is longer than its length can say.
pub(crate) fn option(code: u16, content: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(content.len()).ok()?;
    Some([&code.to_be_bytes(), &length.to_be_bytes(), content].concat())
}

/// The content of the first option with this code in a message's OPT record; `None`: there is none, or the message is
/// malformed before it.
pub(crate) fn find(code: u16, message: &[u8]) -> Option<&[u8]> {
    Cursor::new(record(message)?.content).option(code)
}

/// The high bits of a message's code, which its OPT record has (RFC 6891 §6.1.3).
pub(crate) fn code_high(message: &[u8]) -> u8 {
    let [high, ..] = record(message).map_or(0, |record| record.ttl).to_be_bytes();
    high
}

/// The first OPT record of a message.
fn record(message: &[u8]) -> Option<RawRecord<'_>> {
    let mut cursor = Cursor::new(message);
    // Most questions have none, and are read no further.
    let header = cursor.header().filter(|header| header.additionals > 0)?;
    cursor.skip_questions(&header)?;
    let mut records = (0..header.records()).map_while(|_| cursor.record());
    records.find(|record| record.record_type == OPT)
}

/// A list of options without those of this code; what is malformed in it, and what follows that, is left out.
pub(crate) fn others(code: u16, options: &[u8]) -> Vec<u8> {
    let (mut cursor, mut others, mut start) = (Cursor::new(options), Vec::with_capacity(options.len()), 0);
    while let Some((found, _)) = cursor.next_option() {
        if found != code {
            others.extend_from_slice(options.get(start..cursor.position()).unwrap_or_default());
        }
        start = cursor.position();
    }
    others
}

/// Adds options to the OPT record that ends a message, after those that it has. They are added whole or, where they
/// would make the message longer than `limit` bytes or there is no such record, not at all; says whether they were.
pub(crate) fn add(options: &[u8], message: &mut Vec<u8>, limit: usize) -> bool {
    let Some((length_at, length)) = options_of(message) else { return false };
    let length = u16::try_from(options.len()).ok().and_then(|more| length.checked_add(more));
    let fits = message.len() + options.len() <= limit;
    let (Some(length), true, Some(place)) = (length, fits, message.get_mut(length_at..length_at + 2)) else {
        return false;
    };
    place.copy_from_slice(&length.to_be_bytes());
    message.extend_from_slice(options);
    true
}

/// Where the length of the options stands in the OPT record that ends a message, and the length.
fn options_of(message: &[u8]) -> Option<(usize, u16)> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    cursor.skip_questions(&header)?;
    let last = (0..header.records()).try_fold(None, |_, _| cursor.record().map(Some))??;
    let is_it = last.record_type == OPT && last.is_root && cursor.position() == message.len();
    is_it.then_some((last.ttl_at + 4, u16::try_from(last.content.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Says, write_code};
    use crate::question::{CLASS_IN, ClientEdns, Head};
    use hickory_proto::op::{Message, ResponseCode};

    fn message(edns: Option<ClientEdns>) -> Vec<u8> {
        let head = Head { id: 1, flags: 0, class: CLASS_IN, edns };
        let mut message = Vec::new();
        write_code(&mut message, &head, None, (ResponseCode::NoError, Says::default()));
        message
    }

    #[test]
    fn options_follow_each_other() {
        let mut message = message(Some(ClientEdns::of(512)));
        for (code, content) in [(3, "name"), (65_001, "")] {
            assert!(add(&option(code, content.as_bytes()).unwrap(), &mut message, 512));
        }
        let edns = Message::from_vec(&message).unwrap().edns.unwrap();
        let found: Vec<u16> = edns.options().options.iter().map(|(code, _)| u16::from(*code)).collect();
        assert_eq!(found, [3, 65_001]);
    }

    #[test]
    fn others_are_whole_and_in_their_order() {
        let list = |all: &[(u16, &str)]| -> Vec<u8> {
            all.iter().flat_map(|(code, content)| option(*code, content.as_bytes()).unwrap()).collect()
        };
        let all = list(&[(10, "cookie"), (3, "name"), (10, ""), (15, "why")]);
        assert_eq!(others(10, &all), list(&[(3, "name"), (15, "why")]));
        assert_eq!(others(11, &all), all);
        assert_eq!(others(10, &all[..all.len() - 1]), list(&[(3, "name")]), "what is cut");
    }

    #[test]
    fn none_is_added_in_part() {
        let option = option(3, b"name").unwrap();
        for (mut message, limit) in
            [(message(None), 512), (message(Some(ClientEdns::of(512))), 12 + 11 + 7), (b"short".to_vec(), 512)]
        {
            let before = message.clone();
            assert!(!add(&option, &mut message, limit));
            assert_eq!(message, before);
        }
    }
}
