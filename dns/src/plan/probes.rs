//! `health`, `ready`, `prometheus` and `pprof`: what is served over HTTP.

use super::address::HttpAddress;
use super::item::{Item, name_of};
use super::print::Printed;
use super::reading::Reading;
use super::span;
use crate::corefile::PlanError;
use std::time::Duration;

/// `/health`: whether the process lives.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    pub(crate) address: HttpAddress,
    /// For how long after SIGTERM questions are still answered, while `/ready` already says no.
    pub(crate) lameduck: Duration,
}

/// `/ready`: whether questions can be answered.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) address: HttpAddress,
    pub(crate) monitor: Monitor,
}

/// When readiness is looked at. It is one thing here, as of CoreDNS's `kubernetes`: names that were listed are there
/// without an API server too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Monitor {
    /// Once ready, always ready.
    UntilReady,
    Continuously,
}

/// `/metrics`.
#[derive(Debug, Clone)]
pub(crate) struct Prometheus {
    pub(crate) address: HttpAddress,
}

const MONITORS: [(&str, Monitor); 2] = [("until-ready", Monitor::UntilReady), ("continuously", Monitor::Continuously)];

fn address(item: Item<'_>, default: HttpAddress) -> Result<HttpAddress, PlanError> {
    match item.at_most_one("an address with a port")? {
        Some(word) => HttpAddress::parse(word.as_str()).map_err(|message| item.error(message)),
        None => Ok(default),
    }
}

impl Health {
    /// Reads a line, which may leave things to one `before` it.
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, before: Option<&Self>) -> Result<Self, PlanError> {
        let default = Self { address: HttpAddress::all(8080), lameduck: Duration::ZERO };
        let mut health = before.cloned().unwrap_or(default);
        health.address = address(item, health.address)?;
        item.options(reading, |_, option| match option.name() {
            "lameduck" => {
                let span = option.one("a time")?;
                health.lameduck = option.span(span, Duration::ZERO..=Duration::from_secs(600))?;
                Ok(())
            }
            _ => Err(option.unknown(&["lameduck"])),
        });
        Ok(health)
    }

    pub(super) fn printed(&self) -> Printed {
        let lameduck = Printed::new("lameduck").word(span::text(self.lameduck));
        Printed::new("health").word(self.address).option(lameduck)
    }
}

impl Ready {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        let mut ready = Self { address: address(item, HttpAddress::all(8181))?, monitor: Monitor::UntilReady };
        item.options(reading, |reading, option| match option.name() {
            "monitor" => {
                ready.monitor = option.choice(option.one("until-ready or continuously")?, &MONITORS)?;
                if ready.monitor == Monitor::Continuously {
                    let message = "continuously changes nothing: what was listed once is served until the process ends";
                    reading.note(option, message);
                }
                Ok(())
            }
            _ => Err(option.unknown(&["monitor"])),
        });
        Ok(ready)
    }

    pub(super) fn printed(&self) -> Printed {
        let monitor = Printed::new("monitor").word(name_of(&self.monitor, &MONITORS));
        Printed::new("ready").word(self.address).option(monitor)
    }
}

impl Prometheus {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        item.options(reading, |reading, option| match option.name() {
            "runtime_metrics" => {
                option.alone()?;
                reading.note(option, "changes nothing: its metrics are of the runtime of Go");
                Ok(())
            }
            _ => Err(option.unknown(&["runtime_metrics"])),
        });
        address(item, HttpAddress::local(9153)).map(|address| Self { address })
    }

    pub(super) fn printed(&self) -> Printed {
        Printed::new("prometheus").word(self.address)
    }
}

/// Go's profiler, which nothing here can stand for: what is asked for is well-formed, and is not there.
pub(super) fn read_pprof(item: Item<'_>, reading: &mut Reading<'_>) -> Result<(), PlanError> {
    address(item, HttpAddress::local(6053))?;
    item.options(reading, |_, option| match option.name() {
        "block" => option.at_most_one("a rate").map(|_| ()),
        _ => Err(option.unknown(&["block"])),
    });
    reading.note(item, "changes nothing: it is the profiler of Go, and nothing listens there");
    Ok(())
}
