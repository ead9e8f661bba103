//! What is said of a name, as text and as JSON.

use super::{Said, Verdict};
use crate::cli::Asker;
use crate::explain::resolver::Resolver;
use crate::explain::search::Found;
use crate::text::Table;
use dns::{RecordText, RecordType, ResponseCode, TypeName};
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;

/// In place of a code.
const SILENCE: &str = "no answer";
/// The same, where it is not known.
const UPSTREAM: &str = "upstream";

/// What is said of a name.
#[derive(Debug, Serialize)]
pub(in crate::explain) struct Report<'a> {
    pub(super) name: &'a str,
    #[serde(rename = "type", serialize_with = "type_name")]
    pub(super) record_type: RecordType,
    /// `None`: somebody who asks for this very name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text_of_some")]
    pub(super) from: Option<&'a Asker>,
    /// Where the questions come from, where that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<IpAddr>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) search: Vec<String>,
    /// `None`: nothing is searched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ndots: Option<usize>,
    pub(super) questions: Vec<Asked>,
    /// Whether others are asked, whose answers count and not these.
    pub(super) is_elsewhere: bool,
    pub(super) answer: Outcome,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) notes: Vec<String>,
}

/// A question that is asked.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    question: String,
    /// `None`: it is what upstreams say.
    code: Option<String>,
    records: Vec<String>,
    why: Vec<String>,
}

/// What the application gets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The records of that question.
    Records { question: String },
    /// What upstreams say to that question, or where they have nothing, to those after it, if there are any.
    Upstream { question: String, is_last: bool },
    /// Nothing.
    None { code: String },
}

impl<'a> Report<'a> {
    /// Of a name that nothing has been asked about yet.
    pub(super) fn new(
        (name, record_type): (&'a str, RecordType),
        from: Option<&'a Asker>,
        Resolver { search, ndots, is_elsewhere, notes }: Resolver,
    ) -> Self {
        Self {
            name,
            record_type,
            from,
            client: None,
            search,
            ndots: from.map(|_| ndots),
            questions: Vec::new(),
            is_elsewhere,
            answer: Outcome::None { code: word(Verdict::Code(ResponseCode::NXDomain)) },
            notes,
        }
    }

    /// Takes what is said to a question, and what the search comes to with it where no record was asked for.
    pub(super) fn take(&mut self, question: String, said: Said, outcome: Verdict) {
        let found = said.found(self.record_type);
        let Said { client, verdict, records, is_where_asked: _, mut why } = said;
        self.client = self.client.or(client);
        // Where another address is asked, of another family.
        why.extend(client.filter(|_| client != self.client).map(|client| format!("asked from {client}")));
        match (&mut self.answer, verdict) {
            (Outcome::Upstream { is_last, .. }, _) => *is_last = false,
            (answer, Verdict::Upstream) => *answer = Outcome::Upstream { question: question.clone(), is_last: true },
            (answer, Verdict::Code(ResponseCode::NoError)) if found == Found::Records => {
                *answer = Outcome::Records { question: question.clone() };
            }
            (answer, _) => *answer = Outcome::None { code: word(outcome) },
        }
        let code = (verdict != Verdict::Upstream).then(|| word(verdict));
        let records = records.iter().map(|record| RecordText(record).to_string()).collect();
        self.questions.push(Asked { question, code, records, why });
    }
}

/// Codes as `dig` writes them.
fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Code(code) => format!("{code:?}").to_uppercase(),
        Verdict::Upstream => UPSTREAM.to_owned(),
        Verdict::Silence => SILENCE.to_owned(),
    }
}

fn type_name<S: Serializer>(of: &RecordType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&TypeName(*of))
}

fn text_of_some<S: Serializer>(value: &Option<&Asker>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(asker) => serializer.collect_str(asker),
        None => serializer.serialize_none(),
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = Table::default();
        let mut say = |name: &str, value: String| head.row([name.to_owned(), value]);
        say("name", self.name.to_owned());
        say("type", TypeName(self.record_type).to_string());
        if let Some(from) = self.from {
            let who = if from.pod.is_some() { format!("Pod {from}") } else { format!("Pods of {from}") };
            say("asked by", who);
            let search = self.search.join(" ");
            say("search", if search.is_empty() { "none".to_owned() } else { search });
        }
        self.ndots.into_iter().for_each(|ndots| say("ndots", ndots.to_string()));
        self.client.into_iter().for_each(|client| say("client", client.to_string()));
        writeln!(f, "{head}")?;
        let mut questions = Table::default();
        for Asked { question, code, records, why, .. } in &self.questions {
            questions.row([question.clone(), code.clone().unwrap_or_else(|| UPSTREAM.to_owned())]);
            questions.below(why.iter().chain(records).cloned());
        }
        writeln!(f, "{questions}")?;
        let mut end = Table::default();
        let of = if self.is_elsewhere { "here" } else { "answer" };
        end.row([of.to_owned(), self.answer.to_string()]);
        self.notes.iter().for_each(|note| end.row(["note".to_owned(), note.clone()]));
        write!(f, "{end}")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { question } => write!(f, "that to {question}"),
            Self::Upstream { question, is_last: true } => write!(f, "what upstreams say to {question}"),
            Self::Upstream { question, is_last: false } => {
                write!(f, "what upstreams say to {question}, or where they have nothing, to the questions after it")
            }
            Self::None { code } => write!(f, "none ({code})"),
        }
    }
}
