//! Plugins of a value or two: `bufsize`, `cancel`, `chaos`, `loadbalance`, `local`, `metadata`, `nsid`, `reload`.

use super::item::{Item, name_of};
use super::print::Printed;
use super::reading::Reading;
use super::span;
use super::zone::Zone;
use crate::corefile::{PlanError, Word};
use crate::question::MAX_UDP;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// How often the Corefile is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reload {
    pub(crate) interval: Duration,
    /// By how much that differs among replicas; at most half of it, 0: not at all.
    pub(crate) jitter: Duration,
}

/// What CHAOS questions for the server's version and authors get.
#[derive(Debug, Clone)]
pub(crate) struct Chaos {
    /// `None`: the program's own.
    pub(crate) version: Option<String>,
    pub(crate) authors: Vec<String>,
}

/// Which names are this host's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    /// `localhost`, what is below it, and reverse names of loopback.
    Exact,
    /// Those that begin with `localhost` too: a resolver has put its search list after it.
    WithSearchList,
}

/// `localhost_prefix`.
const PREFIXES: [(&str, Local); 2] = [("on", Local::WithSearchList), ("off", Local::Exact)];

impl Reload {
    pub(super) fn read(item: Item<'_>) -> Result<Self, PlanError> {
        item.no_body()?;
        let span = |word: &Word, least| item.span(word, Duration::from_secs(least)..=24 * HOUR);
        let (interval, jitter) = match item.arguments() {
            [] => (Duration::from_secs(30), Duration::from_secs(15)),
            [interval] => (span(interval, 2)?, Duration::from_secs(15)),
            [interval, none] if span::parse(none.as_str()) == Some(Duration::ZERO) => {
                (span(interval, 2)?, Duration::ZERO)
            }
            [interval, jitter] => (span(interval, 2)?, span(jitter, 1)?),
            _ => return Err(item.error("takes at most an interval and a jitter")),
        };
        Ok(Self { interval, jitter: jitter.min(interval / 2) })
    }

    pub(super) fn printed(&self) -> Printed {
        Printed::new("reload").word(span::text(self.interval)).word(span::text(self.jitter))
    }
}

/// Names for which plugins tell of questions.
pub(super) fn read_metadata(item: Item<'_>, block: &[Zone]) -> Result<Vec<Zone>, PlanError> {
    item.no_body()?;
    item.zones_or(item.arguments(), block)
}

/// The size that answers over UDP keep to, whatever a client says; bytes, at most [`MAX_UDP`].
pub(super) fn read_bufsize(item: Item<'_>, reading: &mut Reading<'_>) -> Result<u16, PlanError> {
    item.no_body()?;
    let Some(word) = item.at_most_one("a size in bytes")? else { return Ok(MAX_UDP) };
    let size = item.number(word, 512..=4096)?;
    if size > MAX_UDP.into() {
        reading.note(item, format!("counts as {MAX_UDP}: no answer over UDP is longer, whatever a client takes"));
    }
    Ok(u16::try_from(size).unwrap_or(MAX_UDP).min(MAX_UDP))
}

/// How long a question may take in all.
pub(super) fn read_cancel(item: Item<'_>) -> Result<Duration, PlanError> {
    item.no_body()?;
    match item.at_most_one("a time")? {
        Some(word) => item.span(word, Duration::from_millis(1)..=HOUR),
        None => Ok(Duration::from_millis(5001)),
    }
}

/// What the server calls itself (RFC 5001); empty: the name of its host.
pub(super) fn read_nsid(item: Item<'_>) -> Result<String, PlanError> {
    item.no_body()?;
    let words: Vec<_> = item.arguments().iter().map(Word::as_str).collect();
    let name = words.join(" ");
    if name.len() > 128 { Err(item.error("is longer than 128 bytes")) } else { Ok(name) }
}

/// `round_robin`, be it written or not; what else CoreDNS has is refused.
pub(super) fn read_loadbalance(item: Item<'_>, reading: &mut Reading<'_>) -> Result<(), PlanError> {
    match item.at_most_one("a policy")?.map(Word::as_str) {
        None | Some("round_robin") => {}
        Some(other) => return Err(item.error(format!("{other:?} is not supported; round_robin is"))),
    }
    item.options(reading, |_, option| Err(option.unknown(&[])));
    Ok(())
}

impl Local {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        item.no_arguments()?;
        let mut local = Self::WithSearchList;
        item.options(reading, |_, option| match option.name() {
            "localhost_prefix" => {
                local = option.choice(option.one("on or off")?, &PREFIXES)?;
                Ok(())
            }
            _ => Err(option.unknown(&["localhost_prefix"])),
        });
        Ok(local)
    }

    pub(super) fn printed(self) -> Printed {
        Printed::new("local").option(Printed::new("localhost_prefix").word(name_of(&self, &PREFIXES)))
    }
}

impl Chaos {
    pub(super) fn read(item: Item<'_>) -> Result<Self, PlanError> {
        item.no_body()?;
        let mut words = item.arguments().iter().map(|word| word.as_str().to_owned());
        let chaos = Self { version: words.next(), authors: words.collect() };
        // A TXT record's string (RFC 1035 §3.3).
        let is_long = |text: &&String| text.len() > 255;
        match chaos.version.iter().chain(&chaos.authors).find(is_long) {
            Some(_) => Err(item.error("has a text of more than 255 bytes")),
            None => Ok(chaos),
        }
    }

    pub(super) fn printed(&self) -> Printed {
        Printed::new("chaos").words(&self.version).words(&self.authors)
    }
}

#[cfg(test)]
mod tests {
    use crate::corefile::System;
    use crate::part::harness::block;
    use crate::plan::Plan;

    #[test]
    fn what_the_readmes_of_coredns_show_is_understood() {
        let clocks = |[read, write, idle, most]: [&str; 4]| {
            format!("timeouts {{ read {read} write {write} idle {idle} maxtcpqueries {most} }}")
        };
        for (written, understood) in [
            ("reload 30s 0s", "reload 30s 0s".to_owned()),
            ("reload 30s 0", "reload 30s 0s".to_owned()),
            ("timeouts {\n read 10\n write 1m\n}", clocks(["10s", "1m", "10s", "-1"])),
            ("timeouts {\n read 1h\n maxtcpqueries -1\n}", clocks(["1h", "5s", "10s", "-1"])),
            ("timeouts {\n idle 86400\n maxtcpqueries 1\n}", clocks(["3s", "5s", "24h", "1"])),
            ("bind 127.0.0.1 ::1 {\n except ::2\n}\n bind lo", "bind 127.0.0.1 ::1 { except ::2 } bind lo".to_owned()),
        ] {
            let printed = block(written).to_string();
            let words: Vec<_> = printed.split_whitespace().collect();
            assert_eq!(words.join(" "), format!(".:53 {{ {understood} }}"), "{written}");
        }
    }

    /// What `import` brings stands beside what the block has. As CoreDNS's `setup.go` of each has it: `health` reads all its
    /// lines, `reload` the first alone.
    #[test]
    fn what_coredns_takes_twice_is_taken() {
        let twice = "reload 10s 0s\nhealth :8081 {\n lameduck 5s\n}\nloadbalance\n\
                     reload 20s\nhealth {\n lameduck 7s\n}\nloadbalance round_robin\nhealth :8082\n";
        let (plan, notes) = Plan::from_corefile(&format!(". {{\n{twice}}}\n"), "Corefile", &System).unwrap();
        let printed = plan.blocks()[0].to_string();
        let words: Vec<_> = printed.split_whitespace().collect();
        assert_eq!(words.join(" "), ".:53 { reload 10s 0s health :8082 { lameduck 7s } loadbalance }");
        let notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            notes,
            [
                "Corefile:7: reload: stands in Corefile:2 already: that line counts, and not this one",
                "Corefile:8: health: stands in Corefile:3 already: of what both say this line counts",
                "Corefile:11: loadbalance: stands in Corefile:6 already: this line changes nothing",
                "Corefile:12: health: stands in Corefile:8 already: of what both say this line counts",
            ]
        );
        for wrong in ["health\nhealth x", "reload\nreload 1s", "loadbalance\nloadbalance weighted f"] {
            assert!(Plan::from_corefile(&format!(". {{\n{wrong}\n}}\n"), "Corefile", &System).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_size_is_above_what_is_ever_sent() {
        for (written, size) in [("bufsize", 1232), ("bufsize 512", 512), ("bufsize 1232", 1232), ("bufsize 4096", 1232)]
        {
            assert_eq!(block(written).bufsize, Some(size), "{written}");
        }
    }
}
