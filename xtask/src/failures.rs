//! Which tests failed and what they said, read from what `cargo test` prints.

use std::collections::VecDeque;

/// Lines kept of what one test said: its last ones hold why it failed.
const LINES: usize = 30;

/// The failed tests of the programs whose lines it is given.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    tests: Vec<Failure>,
    within: Part,
    /// Whether the last line was empty: a list of names comes after such a one, and what a test says may look like it.
    was_empty: bool,
}

/// What a line belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Other,
    /// What the last of the tests says.
    Words,
    /// The names of all.
    Names,
}

/// A test that failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: String,
    /// The last [`LINES`] of it.
    pub(crate) said: VecDeque<String>,
}

impl Failures {
    /// Reads the next line: a test's words begin with `---- NAME stdout ----` and end where those of the next one begin,
    /// or the list of names, or a backtrace.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.tests.push(Failure { name: name.to_owned(), said: VecDeque::new() });
            self.within = Part::Words;
        } else if self.was_empty && line == "failures:" {
            self.within = Part::Names;
        } else if line == "stack backtrace:" || line.starts_with("test result: ") {
            self.within = Part::Other;
        } else if self.within == Part::Names {
            self.name(line);
        } else if let Some(test) = self.tests.last_mut().filter(|_| self.within == Part::Words && !line.is_empty()) {
            if test.said.len() == LINES {
                test.said.pop_front();
            }
            test.said.push_back(line.to_owned());
        }
        self.was_empty = line.is_empty();
    }

    /// One that failed without a word is in the list alone.
    fn name(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("    ")
            && !self.tests.iter().any(|test| test.name == name)
        {
            self.tests.push(Failure { name: name.to_owned(), said: VecDeque::new() });
        }
    }

    pub(crate) fn into_tests(self) -> Vec<Failure> {
        self.tests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Failure> {
        let mut failures = Failures::default();
        text.lines().for_each(|line| failures.read(line));
        failures.into_tests()
    }

    #[test]
    fn each_failed_test_has_its_own_words() {
        let text = "
test a::b ... ok
test a::c ... FAILED

failures:

---- a::c stdout ----

thread 'a::c' panicked at a.rs:1:2:
failures:
no answer
stack backtrace:
   0: begin

---- a::d stdout ----
log


failures:
    a::c
    a::d
    a::silent

test result: FAILED. 1 passed; 2 failed; 0 ignored
test a::e ... ok
";
        let expected = [
            ("a::c", vec!["thread 'a::c' panicked at a.rs:1:2:", "failures:", "no answer"]),
            ("a::d", vec!["log"]),
            ("a::silent", vec![]),
        ];
        let failures = read(text);
        let found: Vec<(&str, Vec<&str>)> =
            failures.iter().map(|one| (&*one.name, one.said.iter().map(String::as_str).collect())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn of_many_words_the_last_are_kept() {
        let words: Vec<String> = (0..=LINES).map(|number| format!("line {number}")).collect();
        let failures = read(&format!("---- long stdout ----\n{}\n\nfailures:", words.join("\n")));
        assert_eq!(failures[0].said, words.get(1..).unwrap_or_default().to_vec());
    }

    #[test]
    fn what_passes_says_nothing() {
        assert_eq!(read("test a ... ok\ntest result: ok. 1 passed; 0 failed"), []);
    }
}
