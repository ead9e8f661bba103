//! `rewrite`: questions that are answered as if they were others, and answers made to fit the question again.

mod back;
mod names;

use super::spelling;
use crate::name::LowerName;
use crate::plan::{self, After, RewriteRule};
use crate::question::{Asked, CLASS_IN};
use back::{Back, Given, Part};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use names::Names;
use std::ops::RangeInclusive;
use std::sync::Arc;

pub(crate) use back::Rewritten;

/// The rules of a block, in their order.
#[derive(Debug)]
pub(crate) struct Rewrites(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    is_last: bool,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Name { names: Names, to: plan::Substitute, answers: Vec<Answer> },
    Type { from: RecordType, to: RecordType },
    Ttl { names: Names, range: RangeInclusive<u32> },
    Code { names: Names, from: ResponseCode, to: ResponseCode },
}

/// How answers to a question with another name are made to fit.
#[derive(Debug)]
enum Answer {
    /// The other way round.
    Auto,
    Given(Arc<Given>),
}

/// What becomes of a question.
#[derive(Debug)]
pub(crate) enum Rewriting {
    /// No rule is for it.
    Same,
    /// It is to be answered as if it were another, or its answer is to be changed.
    Other(Rewritten),
    /// A rule makes a name of it that is none, which gets SERVFAIL.
    Invalid,
}

/// What a rule makes of a question.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Made<'t> {
    /// Another one, which the rules after it see.
    Question(&'t str, RecordType),
    /// The same one, whose answer is changed.
    Answer,
    /// What is no name.
    NoName,
}

impl Rewrites {
    pub(crate) fn new(rewrites: &[plan::Rewrite]) -> Self {
        let rule = |rewrite: &plan::Rewrite| Rule {
            is_last: rewrite.after == After::Stop,
            change: Change::new(&rewrite.rule),
        };
        Self(rewrites.iter().map(rule).collect())
    }

    /// Applies each rule to what those before it have made, to the first that is for the question and says `stop`.
    /// `tell` is told what each rule, by its place among all of the block, makes of it.
    pub(crate) fn apply(&self, name: &LowerName, record_type: RecordType, tell: impl Fn(usize, Made<'_>)) -> Rewriting {
        let mut text = spelling::text(name.suffix(0));
        let (mut wire, mut record_type, mut backs, mut is_same) = (None, record_type, Vec::new(), true);
        for (index, Rule { is_last, change }) in self.0.iter().enumerate() {
            match change {
                Change::Name { names, to, answers } => {
                    let Some(next) = names.rewritten(&text, to) else { continue };
                    let Some(name) = spelling::wire(&next) else {
                        tell(index, Made::NoName);
                        return Rewriting::Invalid;
                    };
                    // As the next rule would see it had it been asked for.
                    let next = spelling::text(&name).to_ascii_lowercase();
                    backs.extend(answers.iter().map(|answer| match answer {
                        Answer::Auto => names.back(&text, &next, to),
                        Answer::Given(given) => Back::Given(Arc::clone(given)),
                    }));
                    (wire, text) = (Some(name), next);
                }
                Change::Type { from, to } if *from == record_type => record_type = *to,
                Change::Ttl { names, range } if names.holds(&text) => backs.push(Back::Ttl(range.clone())),
                Change::Code { names, from, to } if names.holds(&text) => {
                    backs.push(Back::Code { from: *from, to: *to });
                }
                _ => continue,
            }
            is_same = false;
            tell(index, change.made(&text, record_type));
            if *is_last {
                break;
            }
        }
        if is_same {
            return Rewriting::Same;
        }
        let mut wire = wire.unwrap_or_else(|| name.suffix(0).to_vec());
        wire.extend([record_type.into(), CLASS_IN].into_iter().flat_map(u16::to_be_bytes));
        Rewriting::Other(Rewritten { wire, record_type, backs })
    }
}

impl Change {
    fn new(rule: &RewriteRule) -> Self {
        match rule {
            RewriteRule::Name(plan::NameRewrite { names, to, answers }) => {
                let part_of = |part, names: &plan::Pattern, to: &plan::Substitute| {
                    Answer::Given(Arc::new(Given { part, names: names.clone(), to: to.clone() }))
                };
                let names = Names::new(names);
                let given = |answer: &plan::Answer| match answer {
                    plan::Answer::Auto => None,
                    plan::Answer::Name { names, to } => Some(part_of(Part::Owner, names, to)),
                    plan::Answer::Value { names, to } => Some(part_of(Part::Value, names, to)),
                };
                // Of one name it is known what it was; CoreDNS always turns it back. Wherever `auto` stands among the others
                // it is done once and is the last to be undone, as there: what they match is what was answered.
                let is_auto = |answer: &plan::Answer| matches!(answer, plan::Answer::Auto);
                let turns_back = matches!(names, Names::Exact(_)) || answers.iter().any(is_auto);
                let auto = turns_back.then_some(Answer::Auto);
                let answers = auto.into_iter().chain(answers.iter().filter_map(given)).collect();
                Self::Name { names, to: to.clone(), answers }
            }
            RewriteRule::Type { from, to } => Self::Type { from: *from, to: *to },
            RewriteRule::Ttl { names, range } => Self::Ttl { names: Names::new(names), range: range.clone() },
            RewriteRule::Rcode { names, from, to } => {
                let [from, to] = [from, to].map(|code| ResponseCode::from(0, code.0));
                Self::Code { names: Names::new(names), from, to }
            }
        }
    }

    /// What it has made where this is the question now.
    fn made<'t>(&self, name: &'t str, record_type: RecordType) -> Made<'t> {
        match self {
            Self::Name { .. } | Self::Type { .. } => Made::Question(name, record_type),
            Self::Ttl { .. } | Self::Code { .. } => Made::Answer,
        }
    }
}

impl Rewritten {
    /// The question that is to be answered.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { wire: &self.wire, record_type: self.record_type }
    }
}

#[cfg(test)]
mod tests;
