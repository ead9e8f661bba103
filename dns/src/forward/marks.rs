//! Questions that come back by ways on which our token is lost, since forwarders drop options: they leave the case of
//! letters alone, so what is asked again is spelled at random, and what comes in spelled so is ours, or well guessed.

use super::lock;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Mutex;

/// Bits of chance in spellings that have come back one after the other, with no wrong one in between, for us to be sure:
/// others spell at random too, and a short name is soon guessed.
const CERTAIN: u32 = 40;

/// Questions that are on their way.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<Spellings>);

#[derive(Debug, Default)]
struct Spellings {
    /// By the question, in wire form and lower case: how it is spelled, and whether it has come back so.
    of: HashMap<Vec<u8>, Vec<(Vec<u8>, bool)>>,
    /// Bits.
    evidence: u32,
}

/// A question with a spelling of its own, which is known for as long as this lives.
pub(super) struct Marked<'m> {
    marks: &'m Marks,
    plain: &'m [u8],
    question: Vec<u8>,
}

/// Whether a question that comes in is one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ours {
    No,
    /// Or chance.
    Perhaps,
    Yes,
}

impl Marks {
    /// Spells a question, in wire form and lower case, at random; never as it is, unless it is without letters.
    pub(super) fn mark<'m>(&'m self, question: &'m [u8]) -> Marked<'m> {
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
            lock(&self.0).of.entry(question.to_vec()).or_default().push((spelled.clone(), false));
        }
        Marked { marks: self, plain: question, question: spelled }
    }

    /// Whether a question, as it came in, is one of ours; `plain`: the same in lower case. Who asks in lower case waits
    /// for no lock.
    pub(super) fn know(&self, question: &[u8], plain: &[u8]) -> Ours {
        if question == plain {
            return Ours::No;
        }
        let Spellings { of, evidence } = &mut *lock(&self.0);
        let Some(spellings) = of.get_mut(plain) else { return Ours::No };
        let Some((_, is_back)) = spellings.iter_mut().find(|(spelled, _)| spelled == question) else {
            *evidence = 0;
            return Ours::No;
        };
        if !std::mem::replace(is_back, true) {
            *evidence = evidence.saturating_add(chance(plain));
        }
        if *evidence < CERTAIN { Ours::Perhaps } else { Ours::Yes }
    }
}

/// The bits that whoever guesses a spelling has to guess at least: the likeliest one is that with all letters large.
fn chance(plain: &[u8]) -> u32 {
    let name = plain.split_last_chunk::<4>().map_or(&[][..], |(name, _)| name);
    let letters = name.iter().filter(|byte| byte.is_ascii_lowercase()).count();
    u32::try_from(letters).unwrap_or(u32::MAX).saturating_sub(1)
}

impl Deref for Marked<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.question
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        let of = &mut lock(&self.marks.0).of;
        let Some(spellings) = of.get_mut(self.plain) else { return };
        if let Some(index) = spellings.iter().position(|(spelled, _)| *spelled == self.question) {
            spellings.swap_remove(index);
        }
        if spellings.is_empty() {
            of.remove(self.plain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str) -> Vec<u8> {
        let labels = name.split('.').flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat());
        labels.chain([0, 0, 1, 0, 1]).collect()
    }

    #[test]
    fn a_question_is_known_by_its_spelling_while_it_is_waited_for() {
        let marks = Marks::default();
        // The type, AAAA of class IN, is no letter whatever it looks like.
        for plain in [&b"\x07example\x03org\0\0\x1c\0\x01"[..], b"\x01a\0\0\x61\0\x01"] {
            let marked = marks.mark(plain);
            assert_ne!(&*marked, plain);
            assert_eq!(marked.to_ascii_lowercase(), plain);
            assert_eq!(marked.last_chunk::<4>(), plain.last_chunk::<4>());
            assert_eq!((marks.know(&marked, plain), marks.know(plain, plain)), (Ours::Perhaps, Ours::No));
            let spelled = marked.to_vec();
            drop(marked);
            assert_eq!(marks.know(&spelled, plain), Ours::No);
            assert!(lock(&marks.0).of.is_empty());
        }
        for plain in [&b"\0\0\x02\0\x01"[..], b"\x011\0\0\x01\0\x01", b""] {
            let marked = marks.mark(plain);
            assert_eq!(&*marked, plain);
            assert_eq!(marks.know(&marked, plain), Ours::No);
        }
        let long = [&[63][..], &[b'a'; 63], &[0, 0, 1, 0, 1]].concat();
        assert_ne!(*marks.mark(&long), *marks.mark(&long), "once in 2^63");
    }

    #[test]
    fn it_takes_many_letters_to_be_sure() {
        let marks = Marks::default();
        let long = question("a-name-with-forty-one-letters.in-it-of-which-each-counts");
        assert_eq!(marks.know(&marks.mark(&long), &long), Ours::Yes);
        // One with nine bits, five times.
        let marks = Marks::default();
        let short = question("example.org");
        for turn in 1..=5 {
            let marked = marks.mark(&short);
            let expected = if turn < 5 { Ours::Perhaps } else { Ours::Yes };
            assert_eq!([(); 3].map(|()| marks.know(&marked, &short)), [expected; 3], "{turn}");
        }
        // There is nothing to guess in one letter.
        let marks = Marks::default();
        let letter = question("1.a");
        for _ in 0..100 {
            assert_eq!(marks.know(&marks.mark(&letter), &letter), Ours::Perhaps);
        }
    }

    #[test]
    fn who_guesses_convinces_nobody() {
        let marks = Marks::default();
        let (short, other) = (question("ab.de"), question("example.org"));
        for _ in 0..20 {
            let marked = marks.mark(&short);
            for guess in 0_u8..16 {
                let mut spelled = short.clone();
                for (bit, index) in [1, 2, 4, 5].into_iter().enumerate() {
                    if guess & 1 << bit != 0 {
                        spelled[index].make_ascii_uppercase();
                    }
                }
                assert_ne!(marks.know(&spelled, &short), Ours::Yes);
            }
            // What is about other names says nothing.
            assert_eq!(marks.know(&other.to_ascii_uppercase(), &other), Ours::No);
            drop(marked);
        }
    }
}
