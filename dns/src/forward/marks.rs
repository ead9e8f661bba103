//! Questions that come back: forwarders leave the case of letters alone, so what is asked again is spelled at random, and
//! what comes in spelled so is ours.

use super::lock;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Letters that a name needs to be known by its spelling. A client that spells at random too, and asks for the same just
/// then, is taken for us once in 256 times, and gets SERVFAIL where no upstream answers anyway.
const LETTERS: usize = 9;
/// How long it is expected that more come back.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Questions that are on their way.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// How they are spelled; by the question, in wire form and lower case.
    spelled: Mutex<HashMap<Vec<u8>, Vec<Vec<u8>>>>,
    /// When the last one came back.
    last: Mutex<Option<Instant>>,
}

/// A question with a spelling of its own, which is known for as long as this lives.
pub(super) struct Marked<'m> {
    marks: &'m Marks,
    plain: &'m [u8],
    question: Vec<u8>,
}

impl Marks {
    /// Spells a question, in wire form and lower case, at random; as it is where it has few letters, never else.
    pub(super) fn mark<'m>(&'m self, question: &'m [u8]) -> Marked<'m> {
        let mut spelled = question.to_vec();
        if let Some((name, _)) = spelled.split_last_chunk_mut::<4>() {
            // No length of a label is a letter.
            let mut letters: Vec<&mut u8> = name.iter_mut().filter(|byte| byte.is_ascii_lowercase()).collect();
            if letters.len() >= LETTERS {
                let always = rand::random_range(0..letters.len());
                for (index, letter) in letters.iter_mut().enumerate() {
                    if index == always || rand::random() {
                        letter.make_ascii_uppercase();
                    }
                }
            }
        }
        if spelled != question {
            lock(&self.spelled).entry(question.to_vec()).or_default().push(spelled.clone());
        }
        Marked { marks: self, plain: question, question: spelled }
    }

    /// Whether a question, as it came in, is one of ours; `plain`: the same in lower case. Who asks in lower case waits
    /// for no lock.
    pub(super) fn know(&self, question: &[u8], plain: &[u8]) -> bool {
        let is_ours = question != plain
            && lock(&self.spelled).get(plain).is_some_and(|known| known.iter().any(|spelled| spelled == question));
        if is_ours {
            *lock(&self.last) = Some(Instant::now());
        }
        is_ours
    }

    /// Whether one has come back lately: the next ones need not wait for their second try to be known.
    pub(super) fn has_come_back(&self) -> bool {
        lock(&self.last).is_some_and(|last| last.elapsed() < REMEMBERED)
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
        let all = &mut lock(&self.marks.spelled);
        let Some(spellings) = all.get_mut(self.plain) else { return };
        if let Some(index) = spellings.iter().position(|spelled| *spelled == self.question) {
            spellings.swap_remove(index);
        }
        if spellings.is_empty() {
            all.remove(self.plain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_question_is_known_by_its_spelling_while_it_is_waited_for() {
        let marks = Marks::default();
        // The type, AAAA of class IN, is no letter whatever it looks like.
        for plain in [&b"\x07example\x03org\0\0\x1c\0\x01"[..], b"\x0aabcdefgh1i\0\0\x61\0\x01"] {
            let marked = marks.mark(plain);
            assert_ne!(&*marked, plain);
            assert_eq!(marked.to_ascii_lowercase(), plain);
            assert_eq!(marked.last_chunk::<4>(), plain.last_chunk::<4>());
            assert_eq!((marks.know(&marked, plain), marks.know(plain, plain)), (true, false));
            let spelled = marked.to_vec();
            drop(marked);
            assert!(!marks.know(&spelled, plain) && lock(&marks.spelled).is_empty());
        }
        // Few letters are soon guessed.
        for plain in [&b"\0\0\x02\0\x01"[..], b"\x08abcdefgh\x011\0\0\x01\0\x01", b""] {
            let marked = marks.mark(plain);
            assert_eq!(&*marked, plain);
            assert!(!marks.know(&marked, plain));
        }
        let long = [&[63][..], &[b'a'; 63], &[0, 0, 1, 0, 1]].concat();
        assert_ne!(*marks.mark(&long), *marks.mark(&long), "once in 2^63");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_back_is_remembered_for_a_minute() {
        let (marks, plain) = (Marks::default(), b"\x07example\x03org\0\0\x01\0\x01");
        let marked = marks.mark(plain);
        assert!(!marks.know(plain, plain) && !marks.has_come_back());
        assert!(marks.know(&marked, plain) && marks.has_come_back());
        tokio::time::advance(REMEMBERED - Duration::from_secs(1)).await;
        assert!(marks.has_come_back());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!marks.has_come_back());
    }
}
