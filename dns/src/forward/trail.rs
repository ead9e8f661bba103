//! The forwarders that a question, or an answer, has passed: each adds a token of its own, and what comes back to one of
//! them is recognised, through other servers too (as RFC 8586 has it for HTTP). In an EDNS option, which others ignore.
//! A token is good for one question: who sends options of its own can make none, and harms nobody with what it has seen.

use crate::option::{self, option};
use siphasher::sip::SipHasher24;
use std::fmt;
use std::hash::Hasher;

/// Code of the option, of those for local use (RFC 6891 §9).
const CODE: u16 = 65_313;
/// Bytes of a token.
const TOKEN: usize = 8;
/// Tokens that are passed on, the last ones: those before may be a client's.
const MOST: usize = 16;

/// What the tokens are about. Some servers send options back as they came, which says nothing about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Question = 1,
    Answer = 2,
}

/// What a forwarder of this process makes its tokens with; random.
pub(super) struct Secret([u8; 16]);

/// Tokens, one behind the other; mostly none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trail(Box<[u8]>);

impl Secret {
    pub(super) fn new() -> Self {
        Self(rand::random())
    }

    fn token(&self, of: Of, question: &[u8]) -> [u8; TOKEN] {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&[of as u8]);
        hasher.write(question);
        hasher.finish().to_le_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Trail {
    /// That of a client's packet.
    pub(crate) fn of_question(packet: &[u8]) -> Self {
        Self::read(packet, Of::Question).unwrap_or_default()
    }

    /// That of an upstream's answer.
    pub(super) fn of_answer(message: &[u8]) -> Self {
        Self::read(message, Of::Answer).unwrap_or_default()
    }

    /// `None`: there is none.
    fn read(message: &[u8], of: Of) -> Option<Self> {
        let (kind, tokens) = option::find(CODE, message)?.split_first()?;
        (*kind == of as u8).then(|| Self(tokens.into()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this question, in lower case, or the answer to it has passed the forwarder with that secret.
    pub(super) fn is_of(&self, own: &Secret, of: Of, question: &[u8]) -> bool {
        !self.is_empty() && self.0.as_chunks::<TOKEN>().0.contains(&own.token(of, question))
    }

    /// The option of this question, in lower case, or of the answer to it, that the forwarder with that secret passes on.
    pub(super) fn passed_on(&self, own: &Secret, of: Of, question: &[u8]) -> Vec<u8> {
        let tokens = self.0.as_chunks::<TOKEN>().0;
        let last = tokens.get(tokens.len().saturating_sub(MOST - 1)..).unwrap_or_default();
        // That is never longer than an option can be.
        option(CODE, &[&[of as u8], last.as_flattened(), &own.token(of, question)].concat()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::Ask;
    use hickory_proto::rr::RecordType;
    use proptest::prelude::*;

    fn asked(options: &[u8]) -> Vec<u8> {
        let ask = Ask::own(b"\x01a\0", RecordType::A, true);
        ask.to_message(7, ask.question(), options)
    }

    const QUESTION: &[u8] = b"\x01a\0\0\x01\0\x01";

    #[test]
    fn tokens_are_found_among_those_of_others() {
        let [own, other, third] = [(), (), ()].map(|()| Secret::new());
        let passes = |trail: &Trail, secret: &Secret| trail.passed_on(secret, Of::Question, QUESTION);
        let is_of = |trail: &Trail, secret: &Secret| trail.is_of(secret, Of::Question, QUESTION);
        let none = Trail::of_question(&asked(&[]));
        assert!(none.is_empty() && !is_of(&none, &own));
        let one = Trail::of_question(&asked(&passes(&none, &other)));
        assert!(is_of(&one, &other) && !is_of(&one, &own));
        let others = [&[0, 10, 0, 2, 1, 2][..], &passes(&one, &own)].concat();
        let two = Trail::of_question(&asked(&others));
        assert!(is_of(&two, &other) && is_of(&two, &own) && !is_of(&two, &third));
        // What comes back as it was sent is no answer's.
        assert!(Trail::of_answer(&asked(&others)).is_empty());
        let answer = Trail::of_answer(&asked(&one.passed_on(&own, Of::Answer, QUESTION)));
        assert!(answer.is_of(&own, Of::Answer, QUESTION));
        // Whoever is told that makes no question's of it, nor one about something else.
        assert!(!is_of(&answer, &own) && !answer.is_of(&own, Of::Answer, b"\x01b\0\0\x01\0\x01"));
    }

    #[test]
    fn what_a_client_sends_keeps_no_circle_from_being_known() {
        let mut trail = Trail([7; 100 * TOKEN + 3].into());
        let own = Secret::new();
        trail = Trail::of_question(&asked(&trail.passed_on(&own, Of::Question, QUESTION)));
        for _ in 1..MOST {
            assert!(trail.is_of(&own, Of::Question, QUESTION));
            trail = Trail::of_question(&asked(&trail.passed_on(&Secret::new(), Of::Question, QUESTION)));
        }
        assert!(trail.is_of(&own, Of::Question, QUESTION));
        assert_eq!(trail.0.len(), MOST * TOKEN);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(packet in prop::collection::vec(any::<u8>(), 0..200), content in prop::collection::vec(any::<u8>(), 0..40)) {
            let own = Secret::new();
            prop_assert!(!Trail::of_question(&packet).is_of(&own, Of::Question, QUESTION));
            let mut options = CODE.to_be_bytes().to_vec();
            options.extend(content);
            prop_assert!(!Trail::of_question(&asked(&options)).is_of(&own, Of::Question, QUESTION));
        }
    }
}
