//! `timeouts`: how long clients over TCP, TLS and HTTPS may take.

use super::item::Item;
use super::key::{Listener, Transport};
use super::print::Printed;
use super::reading::Reading;
use super::{Block, Plan, span};
use crate::corefile::PlanError;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// What counts where nobody says otherwise, as in CoreDNS.
pub(crate) const READ: Duration = Duration::from_secs(3);
pub(crate) const WRITE: Duration = Duration::from_secs(5);
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// What a block says of connections. Each option is for all blocks at its addresses, and that of the last block in the
/// file counts which says it, as in CoreDNS.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timeouts {
    pub(crate) read: Option<Duration>,
    pub(crate) write: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) questions: Option<Questions>,
}

/// How many may come over one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Questions {
    Unbounded,
    AtMost(u32),
}

impl Timeouts {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        item.no_arguments()?;
        let mut timeouts = Self::default();
        item.options(reading, |_, option| {
            let span = || option.seconds(option.one("a time")?, Duration::from_secs(1)..=DAY);
            match option.name() {
                "read" => timeouts.read = Some(span()?),
                "write" => timeouts.write = Some(span()?),
                "idle" => timeouts.idle = Some(span()?),
                "maxtcpqueries" => {
                    let word = option.one("a number, or -1 for no bound")?;
                    timeouts.questions = Some(match word.as_str() {
                        "-1" => Questions::Unbounded,
                        _ => Questions::AtMost(option.number(word, 1..=u32::MAX)?),
                    });
                }
                _ => return Err(option.unknown(&["idle", "maxtcpqueries", "read", "write"])),
            }
            Ok(())
        });
        if item.body().is_empty() { Err(item.error("has no option")) } else { Ok(timeouts) }
    }

    /// With what another block says of the rest.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            read: self.read.or(other.read),
            write: self.write.or(other.write),
            idle: self.idle.or(other.idle),
            questions: self.questions.or(other.questions),
        }
    }

    /// With the defaults of what is not among all that is `said` at its addresses.
    fn with_defaults(self, said: Self) -> Self {
        Self {
            read: self.read.or(said.read.is_none().then_some(READ)),
            write: self.write.or(said.write.is_none().then_some(WRITE)),
            idle: self.idle.or(said.idle.is_none().then_some(IDLE)),
            questions: self.questions.or(said.questions.is_none().then_some(Questions::Unbounded)),
        }
    }

    fn options(&self) -> [(&'static str, Option<String>); 4] {
        let Self { read, write, idle, questions } = self;
        let [read, write, idle] = [read, write, idle].map(|time| time.map(span::text));
        let questions = questions.map(|questions| questions.to_string());
        [("read", read), ("write", write), ("idle", idle), ("maxtcpqueries", questions)]
    }

    pub(super) fn printed(&self) -> Printed {
        let options = self.options().into_iter();
        options.fold(Printed::new("timeouts"), |printed, (name, value)| {
            printed.maybe(value.map(|value| Printed::new(name).word(value)))
        })
    }
}

/// Puts defaults in the place of options that no block says at a port: at one where another says it, a default would
/// count in that one's place.
pub(super) fn write_defaults(blocks: &mut [Block]) {
    let mut said: HashMap<(Transport, u16), Timeouts> = HashMap::new();
    for block in blocks.iter() {
        for key in &block.keys {
            let there = said.entry((key.transport, key.port)).or_default();
            *there = there.or(block.timeouts.unwrap_or_default());
        }
    }
    for block in blocks {
        let there = block.keys.iter().filter_map(|key| said.get(&(key.transport, key.port)));
        let said = there.fold(Timeouts::default(), |all, there| all.or(*there));
        block.timeouts = block.timeouts.map(|own| own.with_defaults(said));
    }
}

/// Tells of options that a later block at the same place says otherwise.
pub(super) fn tell_overruled(plan: &Plan, reading: &mut Reading<'_>) {
    let mut counting: HashMap<(Listener, &str), (String, &Block)> = HashMap::new();
    for block in plan.blocks.iter().rev() {
        for (option, value) in block.timeouts.iter().flat_map(Timeouts::options) {
            let Some(value) = value else { continue };
            let overruled = |(listener, _)| match counting.entry((listener, option)) {
                Entry::Vacant(entry) => {
                    entry.insert((value.clone(), block));
                    None
                }
                Entry::Occupied(entry) => {
                    let ((at, _), (other, by)) = (entry.key(), entry.get());
                    let message = || {
                        format!("{option} at {at} is {other}, as the block in {} says, the last one there", by.place)
                    };
                    (*other != value).then(|| block.note("timeouts", message()))
                }
            };
            // One is enough of a block with many addresses.
            let told: Vec<_> = block.listeners().filter_map(overruled).collect();
            reading.notes.extend(told.into_iter().next());
        }
    }
}

impl fmt::Display for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbounded => f.write_str("-1"),
            Self::AtMost(most) => most.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::System;

    /// What is understood of `timeouts`, a line each, and what is told.
    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let (plan, notes) = Plan::from_corefile(text, "Corefile", &System).expect("a good Corefile");
        let printed = |block: &Block| {
            let timeouts = block.timeouts.map(|timeouts| timeouts.printed().to_string()).unwrap_or_default();
            timeouts.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let (again, _) = Plan::from_corefile(&plan.to_string(), "Corefile", &System).expect("it was understood");
        assert_eq!(again.to_string(), plan.to_string());
        (plan.blocks.iter().map(printed).collect(), notes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_default_is_written_out_where_no_other_block_says_otherwise() {
        let text = "a.org {\n timeouts {\n read 10\n }\n}\n\
                    b.org {\n any\n}\n\
                    .:53 .:5353 {\n timeouts {\n write 1m\n maxtcpqueries -1\n }\n}\n\
                    a.org:5354 {\n timeouts {\n maxtcpqueries 7\n }\n}\n";
        let expected = [
            "timeouts { read 10s idle 10s }",
            "",
            "timeouts { write 1m idle 10s maxtcpqueries -1 }",
            "timeouts { read 3s write 5s idle 10s maxtcpqueries 7 }",
        ];
        assert_eq!(read(text), (expected.map(str::to_owned).to_vec(), Vec::new()));
    }

    #[test]
    fn what_a_later_block_says_otherwise_is_told() {
        let block = |key: &str, options: &str| format!("{key} {{\n timeouts {{\n {options}\n }}\n}}\n");
        let all = [
            block("a.org a.org:54", "read 10\n idle 20s"),
            block(".", "read 10\n idle 30s\n maxtcpqueries 5"),
            block("b.org b.org:54", "write 1m\n maxtcpqueries -1"),
            // Nobody else is there.
            block("b.org:55", "read 1s"),
        ];
        let (_, notes) = read(&all.concat());
        let told = |line: u32, what: &str| format!("Corefile:{line}: timeouts: {what}, the last one there");
        let expected = [
            told(2, "idle at :53 is 30s, as the block in Corefile:7 says"),
            told(8, "maxtcpqueries at :53 is -1, as the block in Corefile:14 says"),
        ];
        assert_eq!(notes, expected);
    }
}
