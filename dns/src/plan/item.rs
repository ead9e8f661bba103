//! A plugin or one of its options while it is read: arguments become values, and faults get their place and subject.

mod overruled;

use super::reading::{MAX_ZONES, Reading};
use super::span;
use super::unsupported;
use super::zone::Zone;
use crate::corefile::{Line, Note, Place, PlanError, Word};
use overruled::Written;
use std::cell::Cell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'l> {
    plugin: &'l str,
    option: Option<&'l str>,
    line: &'l Line,
    zones_left: &'l Cell<usize>,
}

impl<'l> Item<'l> {
    pub(super) fn plugin(line: &'l Line, zones_left: &'l Cell<usize>) -> Self {
        Self { plugin: line.name.as_str(), option: None, line, zones_left }
    }

    pub(super) fn name(&self) -> &'l str {
        self.line.name.as_str()
    }

    /// The name as the word that it is: of some options it is a value.
    pub(super) fn name_word(&self) -> &'l Word {
        &self.line.name
    }

    /// Where it was written.
    pub(super) fn place(&self) -> &'l Place {
        &self.line.name.place
    }

    pub(super) fn arguments(&self) -> &'l [Word] {
        &self.line.arguments
    }

    pub(super) fn has_body(&self) -> bool {
        self.line.body.is_some()
    }

    pub(super) fn body(&self) -> &'l [Line] {
        self.line.body.as_deref().unwrap_or_default()
    }

    pub(super) fn error(&self, message: impl Display) -> PlanError {
        let subject = match self.option {
            Some(option) => format!("{}: {option}", self.plugin),
            None => self.plugin.to_owned(),
        };
        PlanError(Note { place: self.place().clone(), subject, message: message.to_string(), is_missing: false })
    }

    /// Reads each option; what is wrong with one does not keep the others from being read. Those that a later one
    /// overrules are told.
    pub(super) fn options(
        &self,
        reading: &mut Reading<'_>,
        mut take: impl FnMut(&mut Reading<'_>, Item<'l>) -> Result<(), PlanError>,
    ) {
        let mut written = Written::default();
        for line in self.body() {
            let option = Self { option: Some(line.name.as_str()), line, ..*self };
            written.add(option, reading);
            let taken = if option.has_body() { Err(option.error("takes no block")) } else { take(reading, option) };
            reading.keep(taken);
        }
    }

    /// This option is none of the plugin's; `known` are.
    pub(super) fn unknown(&self, known: &[&str]) -> PlanError {
        if let Some(instead) = unsupported::option(self.plugin, self.name()) {
            return self.error(format!("this option of CoreDNS is not supported: {instead}"));
        }
        let hint = match closest(self.name(), known.iter().copied()) {
            Some(near) => format!("unknown option; did you mean {near}?"),
            None if known.is_empty() => "unknown option: there are none".to_owned(),
            None => format!("unknown option; there are {}", known.join(", ")),
        };
        self.error(hint)
    }

    pub(super) fn no_body(&self) -> Result<(), PlanError> {
        if self.has_body() { Err(self.error("takes no block")) } else { Ok(()) }
    }

    /// Neither arguments nor options.
    pub(super) fn alone(&self) -> Result<(), PlanError> {
        self.no_body()?;
        self.no_arguments()
    }

    pub(super) fn no_arguments(&self) -> Result<(), PlanError> {
        match self.arguments() {
            [] => Ok(()),
            [first, ..] => Err(self.error(format!("takes no argument, but has {:?}", first.text))),
        }
    }

    /// The only argument.
    pub(super) fn one(&self, what: &str) -> Result<&'l Word, PlanError> {
        match self.arguments() {
            [word] => Ok(word),
            words => Err(self.error(format!("takes one argument, {what}, but has {}", words.len()))),
        }
    }

    /// The only argument, if there is one.
    pub(super) fn at_most_one(&self, what: &str) -> Result<Option<&'l Word>, PlanError> {
        if self.arguments().is_empty() { Ok(None) } else { self.one(what).map(Some) }
    }

    /// All arguments, at least one.
    pub(super) fn some(&self, what: &str) -> Result<&'l [Word], PlanError> {
        match self.arguments() {
            [] => Err(self.error(format!("takes {what}, but has none"))),
            words => Ok(words),
        }
    }

    pub(super) fn number(&self, word: &Word, range: RangeInclusive<u32>) -> Result<u32, PlanError> {
        let wrong = || self.error(format!("{:?} is no number from {} to {}", word.text, range.start(), range.end()));
        // "+5" is a number to Rust.
        let is_number = word.text.bytes().all(|letter| letter.is_ascii_digit());
        let number = word.text.parse().ok().filter(|number| is_number && range.contains(number));
        number.ok_or_else(wrong)
    }

    pub(super) fn span(&self, word: &Word, range: RangeInclusive<Duration>) -> Result<Duration, PlanError> {
        let wrong = || {
            let (from, to) = (span::text(*range.start()), span::text(*range.end()));
            self.error(format!("{:?} is no time from {from} to {to}", word.text))
        };
        span::parse(word.as_str()).filter(|span| range.contains(span)).ok_or_else(wrong)
    }

    /// The same where a number without a unit is seconds.
    pub(super) fn seconds(&self, word: &Word, range: RangeInclusive<Duration>) -> Result<Duration, PlanError> {
        match word.as_str().parse::<u32>().map(|seconds| Duration::from_secs(seconds.into())) {
            Ok(span) if range.contains(&span) => Ok(span),
            _ => self.span(word, range),
        }
    }

    /// Zones, and the reverse zones of networks.
    pub(super) fn zones(&self, words: &[Word]) -> Result<Vec<Zone>, PlanError> {
        let mut zones = Vec::new();
        for word in words {
            let parsed = Zone::parse_all(without_port(word.as_str())).map_err(|error| self.error(error))?;
            self.count_zones(parsed.len())?;
            zones.extend(parsed);
        }
        Ok(zones)
    }

    /// The zones that are named, else those of the block.
    pub(super) fn zones_or(&self, words: &[Word], block: &[Zone]) -> Result<Vec<Zone>, PlanError> {
        if !words.is_empty() {
            return self.zones(words);
        }
        self.count_zones(block.len())?;
        Ok(block.to_vec())
    }

    fn count_zones(&self, count: usize) -> Result<(), PlanError> {
        let left = self.zones_left.get().checked_sub(count);
        self.zones_left.set(left.ok_or_else(|| self.error(format!("more than {MAX_ZONES} zones in all")))?);
        Ok(())
    }

    /// The value of the one of `choices` that a word names.
    pub(super) fn choice<T: Copy>(&self, word: &Word, choices: &[(&str, T)]) -> Result<T, PlanError> {
        let found = choices.iter().find(|(name, _)| *name == word.as_str());
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.error(format!("{:?} is none of {}", word.text, names.join(", ")))
        })
    }

    /// The same where upper case is no other word, as CoreDNS has it in some places.
    pub(super) fn choice_in_any_case<T: Copy>(&self, word: &Word, choices: &[(&str, T)]) -> Result<T, PlanError> {
        let found = choices.iter().find(|(name, _)| word.text.eq_ignore_ascii_case(name));
        found.map_or_else(|| self.choice(word, choices), |(_, value)| Ok(*value))
    }
}

/// A zone as a key has it, where the port says nothing.
fn without_port(text: &str) -> &str {
    let zone = text
        .rsplit_once(':')
        .filter(|(_, port)| !port.is_empty() && port.bytes().all(|letter| letter.is_ascii_digit()));
    zone.map_or(text, |(zone, _)| zone)
}

/// The name of `choices` whose value this is.
pub(super) fn name_of<T: PartialEq>(value: &T, choices: &'static [(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, other)| other == value).map_or("", |(name, _)| *name)
}

/// The known word that a mistyped one is at most two letters from.
pub(super) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let limit = if word.len() < 5 { 1 } else { 2 };
    let near = known.into_iter().map(|other| (distance(word, other), other)).filter(|(distance, _)| *distance <= limit);
    near.min().map(|(_, other)| other)
}

/// Letters to put in, take out or replace to make one of the other. Words that differ in length more than counts are as
/// far apart as that.
fn distance(word: &str, other: &str) -> usize {
    let difference = word.len().abs_diff(other.len());
    if difference > 2 {
        return difference;
    }
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in word.chars().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        for (pair, another) in row.windows(2).zip(other.chars()) {
            let [above_left, above] = pair else { continue };
            left = (above_left + usize::from(letter != another)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
