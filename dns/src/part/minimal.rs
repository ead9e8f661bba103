//! `minimal`: answers without what nobody asked for.

use crate::wire::{Cursor, Header, OPT, flag};

/// Takes the authority and additional sections out of a message with an answer, but for its OPT record. Denials,
/// delegations and errors stay whole: what they say is there. So does a message that is malformed.
pub(crate) fn make(message: &mut Vec<u8>) {
    if let Some((header, end, options)) = parts(message) {
        message.truncate(end);
        message.extend(options);
        header.put(message);
    }
}

/// The header of what is left, where the answers end, and the OPT record if there is one. `None`: nothing is to go.
fn parts(message: &[u8]) -> Option<(Header, usize, Vec<u8>)> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    if header.answers == 0 || header.flags & flag::CODE != 0 {
        return None;
    }
    cursor.skip_questions(&header)?;
    for _ in 0..header.answers {
        cursor.record()?;
    }
    let end = cursor.position();
    let mut options = Vec::new();
    for _ in 0..u32::from(header.authorities) + u32::from(header.additionals) {
        let start = cursor.position();
        let record = cursor.record()?;
        if record.record_type == OPT {
            options = message.get(start..cursor.position())?.to_vec();
        }
    }
    let additionals = u16::from(!options.is_empty());
    Some((Header { authorities: 0, additionals, ..header }, end, options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::harness::{client, text};
    use hickory_proto::op::Message;

    #[test]
    fn an_answer_keeps_its_answers_and_options_alone() {
        let client = client("example.org.", "MX");
        let records = "example.org. 60 MX 1 mail.example.org.
            | example.org. 60 NS ns.example.org.
            | mail.example.org. 60 A 192.0.2.1";
        let mut message = client.answer("NOERROR", records);
        make(&mut message);
        assert_eq!(text(&message), "No Error\nexample.org. 60 MX 1 mail.example.org.");
        assert!(Message::from_vec(&message).unwrap().edns.is_some());
    }

    #[test]
    fn what_is_no_answer_stays_whole() {
        let client = client("example.org.", "A");
        for (code, records) in [
            ("NXDOMAIN", "| org. 60 SOA ns.org. root.org. 1 60"),
            ("NXDOMAIN", "example.org. 60 CNAME gone.org.\n | org. 60 SOA ns.org. root.org. 1 60"),
            ("NOERROR", "| org. 60 SOA ns.org. root.org. 1 60"),
            ("NOERROR", "| example.org. 60 NS ns.example.org.\n | ns.example.org. 60 A 192.0.2.1"),
        ] {
            let before = client.answer(code, records);
            let mut message = before.clone();
            make(&mut message);
            assert_eq!(message, before, "{code} {records}");
        }
        // Cut in its middle, in any place.
        let whole = client.answer("NOERROR", "example.org. 60 A 192.0.2.1\n | example.org. 60 NS ns.example.org.");
        for end in 0..whole.len() {
            let mut message = whole[..end].to_vec();
            make(&mut message);
            assert_eq!(message, whole[..end]);
        }
    }
}
