//! Answers over TLS and HTTPS as long as many others, so that a length tells little of the names (RFC 7830).

use crate::option;
use crate::wire::PADDING;

/// What lengths are multiples of (RFC 8467 §4.1); bytes.
const BLOCK: usize = 468;
/// Bytes of an option's code and length.
const START: usize = 4;
/// The longest message (RFC 1035 §4.2.2); bytes.
const LONGEST: usize = u16::MAX as usize;

/// Whether a client's answer has to be padded: it pads, or does so with nothing, which says as much (RFC 7830 §4).
pub(super) fn is_asked_for(packet: &[u8]) -> bool {
    option::find(PADDING, packet).is_some()
}

/// Pads a finished message of ours, to which nothing may be added after that; up to the longest there is where a whole
/// block is more, and not at all where no option has room or there is no EDNS in it.
pub(super) fn add(message: &mut Vec<u8>) {
    let least = message.len() + START;
    let padded = least.next_multiple_of(BLOCK).min(LONGEST);
    let Some(padding) = padded.checked_sub(least) else { return };
    if let Some(option) = option::option(PADDING, &vec![0; padding]) {
        option::add(&option, message, LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Says, write_code};
    use crate::question::{CLASS_IN, ClientEdns, Head};
    use hickory_proto::op::{Message, ResponseCode};

    /// A message of so many bytes, with EDNS at its end.
    fn message(bytes: usize) -> Vec<u8> {
        let head = Head { id: 1, flags: 0, class: CLASS_IN, edns: Some(ClientEdns::of(512)) };
        let mut message = Vec::new();
        write_code(&mut message, &head, None, (ResponseCode::NoError, Says::default()));
        if let Some(more) = bytes.checked_sub(message.len() + START) {
            let filler = option::option(65_001, &vec![1; more]).unwrap();
            assert!(option::add(&filler, &mut message, bytes));
        }
        message
    }

    #[test]
    fn lengths_are_multiples_and_never_more_than_there_may_be() {
        for (before, after) in [
            (23, 468),
            (463, 468),
            (464, 468),
            (465, 936),
            (468, 936),
            (65_516, 65_520),
            (65_517, 65_535),
            (65_531, 65_535),
            (65_532, 65_532),
            (65_535, 65_535),
        ] {
            let mut message = message(before);
            assert_eq!(message.len(), before);
            add(&mut message);
            assert_eq!(message.len(), after, "{before}");
            Message::from_vec(&message).unwrap();
            let padding = option::find(PADDING, &message);
            assert_eq!(padding.is_some(), after > before, "{before}");
            assert!(padding.unwrap_or_default().iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn without_edns_there_is_none() {
        let head = Head { id: 1, flags: 0, class: CLASS_IN, edns: None };
        let mut message = Vec::new();
        write_code(&mut message, &head, None, (ResponseCode::NoError, Says::default()));
        let before = message.clone();
        add(&mut message);
        assert_eq!(message, before);
    }
}
