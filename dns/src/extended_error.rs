//! Why an answer is as it is, said beside its code to clients that speak EDNS (RFC 8914).

use crate::message::Transport;
use crate::question::Head;

/// Code of the option (RFC 8914 §2).
const OPTION: u16 = 15;
/// Bytes of one without text: the option's code and length, and the number.
const BARE: usize = 6;

/// What is said, by its number in the registry that RFC 8914 §4 begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtendedError {
    Other = 0,
    StaleAnswer = 3,
    CachedError = 13,
    NotReady = 14,
    NotAuthoritative = 20,
    NoReachableAuthority = 22,
    InvalidData = 24,
}

impl ExtendedError {
    /// Adds it to a finished message of ours, whose OPT record is the last one and without options. As far as there is
    /// room: else without the text, or not at all.
    pub(crate) fn add(self, text: &str, message: &mut Vec<u8>, (head, transport): (&Head, Transport)) {
        let room = head.limit(transport).saturating_sub(message.len());
        if head.edns.is_none() || room < BARE {
            return;
        }
        let text = if BARE + text.len() > room { "" } else { text };
        // No text of ours is longer than a message.
        let content = u16::try_from(2 + text.len()).unwrap_or(u16::MAX);
        if let Some(length_of_options) = message.last_chunk_mut() {
            *length_of_options = content.saturating_add(4).to_be_bytes();
        }
        message.extend([OPTION, content, self as u16].iter().flat_map(|word| word.to_be_bytes()));
        message.extend(text.as_bytes());
    }
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
        // As if there were records before the OPT record; they are taken out again to be read.
        let records = 12..12 + padding;
        message.splice(12..12, std::iter::repeat_n(0, padding));
        ExtendedError::NotReady.add("why", &mut message, (&head, Transport::Udp));
        let len = message.len();
        message.drain(records);
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
        let edns = Some(ClientEdns { payload: 512, is_dnssec_ok: true });
        assert_eq!(said(None, 0), (None, 12));
        assert_eq!(said(edns, 0), (Some(b"\x00\x0ewhy".to_vec()), 12 + 11 + 9));
        assert_eq!(said(edns, 480), (Some(b"\x00\x0ewhy".to_vec()), 512));
        assert_eq!(said(edns, 481), (Some(b"\x00\x0e".to_vec()), 510));
        assert_eq!(said(edns, 483), (Some(b"\x00\x0e".to_vec()), 512));
        assert_eq!(said(edns, 484), (None, 507));
    }
}
