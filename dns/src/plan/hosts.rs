//! `hosts`: names and addresses from a hosts(5) file and from the Corefile itself.

use super::item::Item;
use super::print::Printed;
use super::question::Fallthrough;
use super::reading::Reading;
use super::span;
use super::zone::Zone;
use crate::corefile::PlanError;
use crate::part::hosts::MOST_OF_FILE;
use config::{DomainName, DomainNameError};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// Looked at again and again; it need not exist yet.
    pub(crate) file: String,
    /// Names that are looked for.
    pub(crate) zones: Vec<Zone>,
    /// Beyond the file's.
    pub(crate) entries: Vec<HostEntry>,
    /// Seconds.
    pub(crate) ttl: u32,
    /// Whether addresses have names too.
    pub(crate) has_reverse: bool,
    /// How often the file is looked at; 0: once.
    pub(crate) reload: Duration,
    pub(crate) fallthrough: Fallthrough,
}

/// An address with its names, at least one.
#[derive(Debug, Clone)]
pub(crate) struct HostEntry {
    pub(crate) address: IpAddr,
    pub(crate) names: Vec<HostName>,
}

/// A name, or all names with one label before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostName {
    /// Whether it was written with `*.` before it.
    pub(crate) is_wild: bool,
    pub(crate) domain: DomainName,
}

impl FromStr for HostName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, DomainNameError> {
        let (is_wild, domain) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        Ok(Self { is_wild, domain: domain.parse()? })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_wild { write!(f, "*.{}", self.domain) } else { self.domain.fmt(f) }
    }
}

/// What is read where no file is named.
const DEFAULT_FILE: &str = "/etc/hosts";

impl Hosts {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, block: &[Zone]) -> Result<Self, PlanError> {
        let (file, zones) = match item.arguments() {
            [] => (None, &[][..]),
            [file, zones @ ..] => (Some(file.as_str()), zones),
        };
        let mut hosts = Self {
            file: file.unwrap_or(DEFAULT_FILE).to_owned(),
            zones: item.zones_or(zones, block)?,
            entries: Vec::new(),
            ttl: 3600,
            has_reverse: true,
            reload: Duration::from_secs(5),
            fallthrough: Fallthrough::default(),
        };
        item.options(reading, |reading, option| hosts.read_option(option, reading));
        if let Some(file) = file {
            let without = if hosts.reload.is_zero() {
                "it counts as empty, and is looked for again with another Corefile or SIGUSR1 alone"
            } else {
                "it counts as empty until there is one"
            };
            let PlanError(note) = item.error("");
            reading.needs_file(&note, (file, MOST_OF_FILE), without);
        }
        Ok(hosts)
    }

    fn read_option(&mut self, option: Item<'_>, reading: &mut Reading<'_>) -> Result<(), PlanError> {
        match option.name() {
            "ttl" => self.ttl = option.number(option.one("seconds")?, 1..=65_535)?,
            "no_reverse" => self.has_reverse = option.alone().map(|()| false)?,
            "reload" => {
                self.reload = option.span(option.one("a time")?, Duration::ZERO..=Duration::from_secs(86_400))?;
            }
            "fallthrough" => self.fallthrough = Fallthrough::read(option)?,
            "fallthrough_unsupported" => return Err(option.error("is not supported")),
            // A zone after % is no part of what is told, as CoreDNS has it.
            name => match name.split('%').next().unwrap_or(name).parse() {
                Ok(address) => {
                    let names = names(option)?;
                    for name in names.iter().filter(|name| !self.holds(name)) {
                        reading.note(option, format!("{name} changes nothing: it is in none of the zones of hosts"));
                    }
                    self.entries.push(HostEntry { address, names });
                }
                Err(_) if name.contains([':', '.']) => return Err(option.error("is no address")),
                Err(_) => {
                    return Err(option.unknown(&["ADDRESS NAME...", "fallthrough", "no_reverse", "reload", "ttl"]));
                }
            },
        }
        Ok(())
    }

    /// Whether a name is in one of its zones: others are passed over.
    fn holds(&self, name: &HostName) -> bool {
        Zone::parse(name.domain.as_str()).is_ok_and(|name| self.zones.iter().any(|zone| zone.contains(&name)))
    }

    pub(super) fn printed(&self) -> Printed {
        let printed = Printed::new("hosts").word(&self.file).words(&self.zones);
        let entry = |entry: &HostEntry| Printed::new(&entry.address.to_string()).words(&entry.names);
        let printed = self.entries.iter().fold(printed, |printed, host| printed.option(entry(host)));
        printed
            .option(Printed::new("ttl").word(self.ttl))
            .switch("no_reverse", !self.has_reverse)
            .option(Printed::new("reload").word(span::text(self.reload)))
            .list("fallthrough", &self.fallthrough.0)
    }
}

fn names(option: Item<'_>) -> Result<Vec<HostName>, PlanError> {
    let name = |word: &crate::corefile::Word| {
        word.text.parse().map_err(|error: DomainNameError| option.error(format!("{:?} is no name: {error}", word.text)))
    };
    option.some("names")?.iter().map(name).collect()
}
