//! `errors`: failures in the log, those that are many in one line.

use super::item::{Item, name_of};
use super::pattern::Pattern;
use super::print::Printed;
use super::reading::Reading;
use super::span;
use crate::corefile::PlanError;
use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub(crate) struct Errors {
    /// The first that fits a message counts, of which the question is no part.
    pub(crate) consolidated: Vec<Consolidated>,
}

/// Messages that are told once in a while, with their number.
#[derive(Debug, Clone)]
pub(crate) struct Consolidated {
    pub(crate) every: Duration,
    pub(crate) messages: Pattern,
    pub(crate) level: Level,
    /// Whether the first is told at once.
    pub(crate) shows_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

const LEVELS: [(&str, Level); 4] =
    [("error", Level::Error), ("warning", Level::Warning), ("info", Level::Info), ("debug", Level::Debug)];

impl Errors {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        // All that CoreDNS takes; it is where the log goes anyway.
        if item.at_most_one("stdout")?.is_some_and(|word| word.as_str() != "stdout") {
            return Err(item.error("takes no argument but stdout"));
        }
        let mut errors = Self::default();
        item.options(reading, |reading, option| match option.name() {
            "consolidate" => {
                errors.consolidated.push(Consolidated::read(option, reading)?);
                Ok(())
            }
            "stacktrace" => {
                option.alone()?;
                reading.note(option, "changes nothing: a panic is logged with its place anyway");
                Ok(())
            }
            _ => Err(option.unknown(&["consolidate", "stacktrace"])),
        });
        Ok(errors)
    }

    pub(super) fn printed(&self) -> Printed {
        self.consolidated.iter().fold(Printed::new("errors"), |printed, rule| printed.option(rule.printed()))
    }
}

impl Consolidated {
    fn read(option: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        let [every, messages, rest @ ..] = option.arguments() else {
            return Err(option.error("takes a time, a regular expression and, if need be, a level and show_first"));
        };
        let every = option.span(every, Duration::ZERO..=Duration::from_secs(86_400))?;
        let messages = reading.pattern(option, messages)?;
        let (level, shows_first) = match rest {
            [] => (Level::Error, false),
            [word] if word.as_str() == "show_first" => (Level::Error, true),
            [level] => (option.choice(level, &LEVELS)?, false),
            [level, word] if word.as_str() == "show_first" => (option.choice(level, &LEVELS)?, true),
            _ => return Err(option.error("takes a level and show_first after the regular expression, nothing else")),
        };
        Ok(Self { every, messages, level, shows_first })
    }

    fn printed(&self) -> Printed {
        let printed = Printed::new("consolidate").word(span::text(self.every)).word(&self.messages);
        printed.word(name_of(&self.level, &LEVELS)).words(self.shows_first.then_some("show_first"))
    }
}
