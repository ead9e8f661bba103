//! How the server is told to fail: each rule names the requests that it is for and what becomes of them.

use super::path::Verb;

/// Requests, and what becomes of them.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    resource: &'static str,
    verb: Option<Verb>,
    /// Within the query or the path.
    part: Option<String>,
    times: Option<usize>,
    answer: Answer,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This HTTP status, with a Status as body.
    Status(u16),
    /// A watch begins, and its first frame is an ERROR with this code.
    ErrorFrame(u16),
    /// 429, and in a field for how many seconds it is not to be asked, as Priority and Fairness answers.
    Busy(u32),
    /// No answer at all.
    Silence,
    /// The watch ends after so many frames.
    Cut { after: usize, how: Cut },
    /// The frames of the watch come in pieces of so many bytes.
    Split(usize),
    /// Each frame of the watch comes twice.
    Duplicate,
    /// After each frame comes the first one again.
    Stale,
    /// The object of that name comes in a shape that its kind does not have.
    Undecodable(&'static str),
}

/// How a watch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// As it does at its timeout.
    End,
    /// The connection is closed within the body.
    Fin,
    /// The connection is reset within the body.
    Reset,
}

impl Rule {
    /// A rule for all requests to a resource such as `ingresses`; always, until told otherwise.
    pub(crate) fn new(resource: &'static str, answer: Answer) -> Self {
        Self { resource, verb: None, part: None, times: None, answer }
    }

    /// For that verb only.
    pub(crate) fn verb(self, verb: Verb) -> Self {
        Self { verb: Some(verb), ..self }
    }

    /// For requests only that have this in their path and query.
    pub(crate) fn with(self, part: &str) -> Self {
        Self { part: Some(part.to_owned()), ..self }
    }

    /// So many times.
    pub(crate) fn times(self, times: usize) -> Self {
        Self { times: Some(times), ..self }
    }
}

/// The rules that hold.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    pub(crate) fn push(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What becomes of a request; each rule that says so is used once more.
    pub(crate) fn take(&mut self, resource: &str, verb: Verb, path_and_query: &str) -> Vec<Answer> {
        let mut answers = Vec::new();
        for rule in &mut self.0 {
            let is_meant = rule.resource == resource
                && rule.verb.is_none_or(|meant| meant == verb)
                && rule.part.as_ref().is_none_or(|part| path_and_query.contains(part.as_str()))
                && rule.times != Some(0);
            if is_meant {
                rule.times = rule.times.map(|times| times - 1);
                answers.push(rule.answer.clone());
            }
        }
        answers
    }
}
