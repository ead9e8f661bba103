//! Questions that come back by ways on which our token is lost, since forwarders drop options: they leave the case of
//! letters alone, so what is asked again is spelled at random, and what comes in spelled so is ours.

use super::lock;
use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Mutex;

/// Questions that are on their way, in wire form, as they are spelled.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<HashSet<Vec<u8>>>);

/// A question with a spelling of its own, which is known for as long as this lives.
pub(super) struct Marked<'m> {
    marks: &'m Marks,
    question: Vec<u8>,
}

impl Marks {
    /// Spells a question, in wire form and lower case, at random; never as it is, unless it is without letters.
    pub(super) fn mark(&self, question: &[u8]) -> Marked<'_> {
        let mut spelled = question.to_vec();
        if let Some((name, _)) = spelled.split_last_chunk_mut::<4>() {
            // No length of a label is a letter.
            let mut letters: Vec<&mut u8> = name.iter_mut().filter(|byte| byte.is_ascii_lowercase()).collect();
            let always = rand::random_range(0..letters.len().max(1));
            for (index, letter) in letters.iter_mut().enumerate() {
                if index == always || rand::random() {
                    letter.make_ascii_uppercase();
                }
            }
        }
        if spelled != question {
            lock(&self.0).insert(spelled.clone());
        }
        Marked { marks: self, question: spelled }
    }

    /// Whether a question, as it came in, is one of ours; `plain`: the same in lower case. Who asks in lower case waits
    /// for no lock.
    pub(super) fn know(&self, question: &[u8], plain: &[u8]) -> bool {
        question != plain && lock(&self.0).contains(question)
    }
}

impl Deref for Marked<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.question
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        lock(&self.marks.0).remove(&self.question);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_its_spelling_while_it_is_waited_for() {
        let marks = Marks::default();
        // The type, AAAA of class IN, is no letter whatever it looks like.
        for plain in [&b"\x07example\x03org\0\0\x1c\0\x01"[..], b"\x01a\0\0\x61\0\x01"] {
            let marked = marks.mark(plain);
            assert_ne!(&*marked, plain);
            assert_eq!(marked.to_ascii_lowercase(), plain);
            assert_eq!(marked.last_chunk::<4>(), plain.last_chunk::<4>());
            assert!(marks.know(&marked, plain) && !marks.know(plain, plain));
            let spelled = marked.to_vec();
            drop(marked);
            assert!(!marks.know(&spelled, plain));
        }
        for plain in [&b"\0\0\x02\0\x01"[..], b"\x011\0\0\x01\0\x01", b""] {
            let marked = marks.mark(plain);
            assert_eq!(&*marked, plain);
            assert!(!marks.know(&marked, plain));
        }
        let long = [&[63][..], &[b'a'; 63], &[0, 0, 1, 0, 1]].concat();
        assert_ne!(*marks.mark(&long), *marks.mark(&long), "once in 2^63");
    }
}
