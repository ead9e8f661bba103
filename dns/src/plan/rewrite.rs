//! `rewrite`: questions that are answered as if they were others.

mod name;

pub(crate) use name::{Answer, NameMatch, NameRewrite, Piece, Substitute};

use super::item::{Item, name_of};
use super::print::Printed;
use super::question::{Rcode, rcode_or_number, record_type};
use super::reading::Reading;
use crate::corefile::{Line, PlanError, Word};
use crate::question::TypeName;
use hickory_proto::rr::RecordType;
use std::ops::RangeInclusive;

#[derive(Debug, Clone)]
pub(crate) struct Rewrite {
    pub(crate) after: After,
    pub(crate) rule: RewriteRule,
}

/// What follows where a rule took a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// No other rule.
    Stop,
    Continue,
}

#[derive(Debug, Clone)]
pub(crate) enum RewriteRule {
    Name(NameRewrite),
    /// Questions of a type become those of another.
    Type {
        from: RecordType,
        to: RecordType,
    },
    /// Records of matching names get a TTL within this range; seconds.
    Ttl {
        names: NameMatch,
        range: RangeInclusive<u32>,
    },
    /// Answers with a code, for matching names, get another.
    Rcode {
        names: NameMatch,
        from: Rcode,
        to: Rcode,
    },
}

const AFTERS: [(&str, After); 2] = [("stop", After::Stop), ("continue", After::Continue)];

impl Rewrite {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        let (after, words) = match item.arguments() {
            [first, rest @ ..] if AFTERS.iter().any(|(name, _)| first.text.eq_ignore_ascii_case(name)) => {
                (item.choice_in_any_case(first, &AFTERS)?, rest)
            }
            words => (After::Stop, words),
        };
        let rule = if item.has_body() {
            if let Some(word) = words.first() {
                return Err(item.error(format!("takes stop or continue before a block, not {:?}", word.text)));
            }
            let lines: Vec<Vec<Word>> = item.body().iter().map(words_of).collect();
            RewriteRule::read(item, reading, &lines)?
        } else {
            RewriteRule::read(item, reading, &[words.to_vec()])?
        };
        Ok(Self { after, rule })
    }

    pub(super) fn printed(&self) -> Printed {
        let printed = Printed::new("rewrite").word(name_of(&self.after, &AFTERS));
        match &self.rule {
            RewriteRule::Name(rewrite) => rewrite.printed(printed),
            RewriteRule::Type { from, to } => printed.word("type").word(TypeName(*from)).word(TypeName(*to)),
            RewriteRule::Ttl { names, range } => {
                let (start, end) = range.clone().into_inner();
                let range = if start == end { start.to_string() } else { format!("{start}-{end}") };
                printed.word("ttl").words(names.words()).word(range)
            }
            RewriteRule::Rcode { names, from, to } => printed.word("rcode").words(names.words()).word(from).word(to),
        }
    }
}

fn words_of(line: &Line) -> Vec<Word> {
    std::iter::once(&line.name).chain(&line.arguments).cloned().collect()
}

impl RewriteRule {
    /// The names that it is for; `None`: all.
    pub(super) fn names(&self) -> Option<&NameMatch> {
        match self {
            Self::Name(NameRewrite { names, .. }) | Self::Ttl { names, .. } | Self::Rcode { names, .. } => Some(names),
            Self::Type { .. } => None,
        }
    }

    /// Reads a rule from the words of a line, and its answers from those of the lines after it.
    fn read(item: Item<'_>, reading: &mut Reading<'_>, lines: &[Vec<Word>]) -> Result<Self, PlanError> {
        let [rule, answers @ ..] = lines else { return Err(item.error("has no rule")) };
        let [field, words @ ..] = &rule[..] else { return Err(item.error("has no rule")) };
        let kind = field.text.to_ascii_lowercase();
        if kind == "name" {
            return NameRewrite::read(item, reading, words, answers).map(Self::Name);
        }
        if let Some(word) = answers.first().and_then(|line| line.first()) {
            return Err(item.error(format!("only a rule for names has lines after it, not {:?}", word.text)));
        }
        match kind.as_str() {
            "type" => match words {
                [from, to] => Ok(Self::Type { from: record_type(item, from)?, to: record_type(item, to)? }),
                _ => Err(item.error("type takes two types of records")),
            },
            "ttl" => match words {
                [matched @ .., ttl] => {
                    Ok(Self::Ttl { names: NameMatch::read(item, reading, matched)?, range: ttl_range(item, ttl)? })
                }
                [] => Err(item.error("ttl takes names and seconds")),
            },
            "rcode" => match words {
                [matched @ .., from, to] => Ok(Self::Rcode {
                    names: NameMatch::read(item, reading, matched)?,
                    from: rcode_or_number(item, from)?,
                    to: rcode_or_number(item, to)?,
                }),
                _ => Err(item.error("rcode takes names and two response codes")),
            },
            kind @ ("class" | "edns0" | "cname") => Err(item.error(format!("{kind} is not supported"))),
            _ => Err(item.error(format!("{:?} is none of name, type, ttl, rcode", field.text))),
        }
    }
}

/// Seconds: `30`, `30-300`, `-300` or `30-`.
fn ttl_range(item: Item<'_>, word: &Word) -> Result<RangeInclusive<u32>, PlanError> {
    const MAX: u32 = i32::MAX as u32;
    let wrong = || item.error(format!("{:?} is no TTL in seconds, or two with '-' between", word.text));
    let number = |text: &str, default: u32| {
        let number = if text.is_empty() { Some(default) } else { text.parse().ok() };
        number.filter(|number| *number <= MAX).ok_or_else(wrong)
    };
    let range = match word.text.split_once('-') {
        None if word.text.is_empty() => return Err(wrong()),
        None => number(&word.text, 0)?..=number(&word.text, 0)?,
        Some(("", "")) => return Err(wrong()),
        Some((start, end)) => number(start, 0)?..=number(end, MAX)?,
    };
    if range.is_empty() { Err(wrong()) } else { Ok(range) }
}
