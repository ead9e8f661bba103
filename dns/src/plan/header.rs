//! `header`: flags of questions and answers that are set or cleared.

use super::item::{Item, name_of};
use super::print::Printed;
use super::reading::Reading;
use crate::corefile::{PlanError, Word};

/// Rules in their order.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) rules: Vec<HeaderRule>,
}

#[derive(Debug, Clone)]
pub(crate) struct HeaderRule {
    pub(crate) of: HeaderOf,
    pub(crate) is_set: bool,
    /// At least one.
    pub(crate) flags: Vec<Flag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderOf {
    Query,
    Response,
}

/// RFC 1035 §4.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    AuthoritativeAnswer,
    RecursionAvailable,
    RecursionDesired,
}

const SIDES: [(&str, HeaderOf); 2] = [("query", HeaderOf::Query), ("response", HeaderOf::Response)];
const ACTIONS: [(&str, bool); 2] = [("set", true), ("clear", false)];
const FLAGS: [(&str, Flag); 3] =
    [("aa", Flag::AuthoritativeAnswer), ("ra", Flag::RecursionAvailable), ("rd", Flag::RecursionDesired)];

impl Header {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        let mut rules = Vec::new();
        if !item.arguments().is_empty() {
            rules.push(rule(item, reading, item.arguments())?);
        }
        item.options(reading, |reading, option| {
            let words: Vec<Word> = std::iter::once(option.name_word()).chain(option.arguments()).cloned().collect();
            rules.push(rule(option, reading, &words)?);
            Ok(())
        });
        if rules.is_empty() && item.body().is_empty() { Err(item.error("has no rule")) } else { Ok(Self { rules }) }
    }

    pub(super) fn printed(&self) -> Printed {
        self.rules.iter().fold(Printed::new("header"), |printed, rule| {
            let option = Printed::new(name_of(&rule.of, &SIDES)).word(name_of(&rule.is_set, &ACTIONS));
            printed.option(option.words(rule.flags.iter().map(|flag| name_of(flag, &FLAGS))))
        })
    }
}

/// Reads `[query|response] set|clear FLAG...`; without the first it is about answers.
fn rule(item: Item<'_>, reading: &mut Reading<'_>, words: &[Word]) -> Result<HeaderRule, PlanError> {
    let (of, words) = match words {
        [side, rest @ ..] if SIDES.iter().any(|(name, _)| side.text.eq_ignore_ascii_case(name)) => {
            (item.choice_in_any_case(side, &SIDES)?, rest)
        }
        words => (HeaderOf::Response, words),
    };
    let [action, flags @ ..] = words else { return Err(item.error("takes set or clear, and flags")) };
    let is_set = item.choice_in_any_case(action, &ACTIONS)?;
    let flags: Vec<_> = flags.iter().map(|flag| item.choice_in_any_case(flag, &FLAGS)).collect::<Result<_, _>>()?;
    if flags.is_empty() {
        return Err(item.error("names no flag"));
    }
    let idle = flags.iter().filter(|flag| of == HeaderOf::Query && **flag != Flag::RecursionDesired);
    for flag in idle {
        let name = name_of(flag, &FLAGS);
        reading
            .note(item, format!("{name} changes nothing: it means nothing in a question, and no upstream is sent it"));
    }
    Ok(HeaderRule { of, is_set, flags })
}
