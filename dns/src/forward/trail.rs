//! The forwarders that a question, or an answer, has passed: each adds a token of its own, and what comes back to one of
//! them is recognised, through other servers too (as RFC 8586 has it for HTTP). In an EDNS option, which others ignore.

use crate::option::{self, option};

/// Code of the option, of those for local use (RFC 6891 §9).
const CODE: u16 = 65_313;
/// Bytes of a token.
const TOKEN: usize = 8;
/// Forwarders in a row: more are a circle of them that cannot be recognised otherwise.
const MOST: usize = 16;

/// What the tokens are about. Some servers send options back as they came, which says nothing about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Question = 1,
    Answer = 2,
}

/// A forwarder of this process, as it is known to itself alone; random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token([u8; TOKEN]);

/// Tokens, one behind the other; mostly none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trail(Box<[u8]>);

impl Token {
    pub(super) fn new() -> Self {
        Self(rand::random())
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

    pub(super) fn holds(&self, token: Token) -> bool {
        self.0.as_chunks::<TOKEN>().0.contains(&token.0)
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.0.len() > MOST * TOKEN
    }

    /// The option of a question that `own` passes on.
    pub(super) fn question_option(&self, own: Token) -> Vec<u8> {
        self.with(own, Of::Question)
    }

    /// The option of an answer that `own` passes on.
    pub(super) fn answer_option(&self, own: Token) -> Vec<u8> {
        self.with(own, Of::Answer)
    }

    fn with(&self, own: Token, of: Of) -> Vec<u8> {
        let known = self.0.get(..MOST * TOKEN).unwrap_or(&self.0);
        // That is never longer than an option can be.
        option(CODE, &[&[of as u8], known, &own.0].concat()).unwrap_or_default()
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

    #[test]
    fn tokens_are_found_among_those_of_others() {
        let [own, other, third] = [(), (), ()].map(|()| Token::new());
        let none = Trail::of_question(&asked(&[]));
        assert!(none.is_empty() && !none.holds(own));
        let one = Trail::of_question(&asked(&none.question_option(other)));
        assert!(one.holds(other) && !one.holds(own));
        let others = [&[0, 10, 0, 2, 1, 2][..], &one.question_option(own)].concat();
        let two = Trail::of_question(&asked(&others));
        assert!(two.holds(other) && two.holds(own) && !two.holds(third));
        // What comes back as it was sent is no answer's.
        assert!(Trail::of_answer(&asked(&others)).is_empty());
        assert!(Trail::of_answer(&asked(&one.answer_option(own))).holds(own));
    }

    #[test]
    fn a_circle_of_strangers_has_an_end() {
        let mut trail = Trail::default();
        let mut count = 0;
        while !trail.is_too_long() {
            trail = Trail::of_question(&asked(&trail.question_option(Token::new())));
            count += 1;
        }
        assert_eq!(count, MOST + 1);
        let own = Token::new();
        assert!(Trail::of_question(&asked(&trail.question_option(own))).holds(own), "a long one is passed on cut");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(packet in prop::collection::vec(any::<u8>(), 0..200), content in prop::collection::vec(any::<u8>(), 0..40)) {
            let own = Token::new();
            prop_assert!(!Trail::of_question(&packet).holds(own));
            let mut options = CODE.to_be_bytes().to_vec();
            options.extend(content);
            prop_assert!(!Trail::of_question(&asked(&options)).holds(own));
        }
    }
}
