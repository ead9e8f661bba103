//! `forward`: who is asked for names that are not known here, and how.

mod idle;
mod upstream;

pub(super) use idle::tell_idle_next;
pub(crate) use upstream::Upstream;

use super::item::{Item, name_of};
use super::print::Printed;
use super::question::Rcode;
use super::reading::{NO_START, Reading};
use super::span;
use super::tls::ClientTls;
use super::zone::Zone;
use crate::certificates::MOST_OF_FILE;
use crate::corefile::{Place, PlanError};
use config::DomainName;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Upstreams of one `forward`, files counted as one.
const MAX_UPSTREAMS: usize = 15;
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone)]
pub(crate) struct Forward {
    pub(crate) from: Zone,
    /// Names of this zone come here: `from` or, where a block is for a part of that alone, the first of its zones.
    pub(crate) served: Zone,
    /// At least one, at most 15.
    pub(crate) to: Vec<Upstream>,
    /// Names that are left to what follows.
    pub(crate) except: Vec<Zone>,
    /// Where each of them was written; empty without a Corefile.
    except_places: Vec<Place>,
    pub(crate) protocol: Protocol,
    pub(crate) policy: Policy,
    pub(crate) health: HealthCheck,
    /// Checks in a row that make an upstream count as down; 0: it never does.
    pub(crate) max_fails: u32,
    /// Tries for one question, 0: as many as there is time for; `None`: twice as many as there are upstreams.
    pub(crate) max_attempts: Option<u32>,
    /// Questions that wait at once, above which they are REFUSED; 0: no bound.
    pub(crate) max_concurrent: u32,
    pub(crate) connections: Connections,
    /// Codes for which the next `forward` is asked.
    pub(crate) next: Vec<Rcode>,
    /// Whether it is asked too where there are no records of the type.
    pub(crate) next_on_nodata: bool,
    /// Codes for which the next upstream is asked; never NOERROR.
    pub(crate) failover: Vec<Rcode>,
    /// Whether questions get SERVFAIL at once where all upstreams are down, instead of any being tried.
    pub(crate) fails_fast: bool,
    pub(crate) tls: ClientTls,
    /// Who tells the addresses of upstreams that are names; empty: the system's resolvers.
    pub(crate) resolvers: Vec<SocketAddr>,
    pub(crate) source_address: Option<IpAddr>,
}

/// What plain upstreams are asked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// What the question came over; TCP where the answer is cut.
    AsAsked,
    Tcp,
    /// UDP first, whatever the question came over.
    UdpFirst,
}

/// Which upstream is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Random,
    RoundRobin,
    Sequential,
}

/// How an upstream that failed is found to be well again: any answer is good.
#[derive(Debug, Clone)]
pub(crate) struct HealthCheck {
    pub(crate) interval: Duration,
    pub(crate) recursion_desired: bool,
    /// The name that is asked for.
    pub(crate) domain: Zone,
}

/// Connections that are kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connections {
    /// Without a question.
    pub(crate) expire: Duration,
    /// In all; `None`: as long as they work.
    pub(crate) max_age: Option<Duration>,
    /// To one upstream; 0: no bound.
    pub(crate) max_idle: u32,
    /// For an answer.
    pub(crate) read_timeout: Duration,
}

const POLICIES: [(&str, Policy); 3] =
    [("random", Policy::Random), ("round_robin", Policy::RoundRobin), ("sequential", Policy::Sequential)];

const OPTIONS: [&str; 21] = [
    "except",
    "expire",
    "failfast_all_unhealthy_upstreams",
    "failover",
    "force_tcp",
    "health_check",
    "max_age",
    "max_concurrent",
    "max_connect_attempts",
    "max_fails",
    "max_idle_conns",
    "next",
    "next_on_nodata",
    "policy",
    "prefer_udp",
    "read_timeout",
    "resolver",
    "source_address",
    "tls",
    "tls_servername",
    "to",
];

impl Forward {
    /// With the defaults of the plugin, and nobody to ask.
    pub(crate) fn new(from: Zone) -> Self {
        Self {
            served: from.clone(),
            from,
            to: Vec::new(),
            except: Vec::new(),
            except_places: Vec::new(),
            protocol: Protocol::AsAsked,
            policy: Policy::Random,
            health: HealthCheck { interval: Duration::from_millis(500), recursion_desired: true, domain: Zone::root() },
            max_fails: 2,
            max_attempts: None,
            max_concurrent: 0,
            connections: Connections {
                expire: Duration::from_secs(10),
                max_age: None,
                max_idle: 0,
                read_timeout: Duration::from_secs(2),
            },
            next: Vec::new(),
            next_on_nodata: false,
            failover: Vec::new(),
            fails_fast: false,
            tls: ClientTls::default(),
            resolvers: Vec::new(),
            source_address: None,
        }
    }

    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        let [from, to @ ..] = item.some("a zone and upstreams")? else { return Err(item.error("takes a zone")) };
        let from = item.zones(std::slice::from_ref(from))?;
        let [from] = &from[..] else {
            return Err(item.error(format!("the network is {} zones, and only one can be forwarded", from.len())));
        };
        let mut forward = Self::new(from.clone());
        forward.add_upstreams(item, reading, to)?;
        let mut written = BTreeMap::new();
        item.options(reading, |reading, option| {
            written.insert(option.name(), option);
            forward.read_option(option, reading)
        });
        if forward.to.is_empty() {
            return Err(item.error("names no upstream"));
        }
        if forward.to.len() > MAX_UPSTREAMS {
            return Err(item.error(format!("names {} upstreams, more than {MAX_UPSTREAMS}", forward.to.len())));
        }
        let Connections { expire, max_age, .. } = forward.connections;
        if let Some(age) = max_age.filter(|age| *age < expire) {
            let (age, expire) = (span::text(age), span::text(expire));
            return Err(item.error(format!("max_age {age} is less than expire {expire}")));
        }
        forward.look_for_files(item, written.get("tls"), reading);
        forward.tell_idle(&written, reading);
        let has_tls = forward.tls.files().next().is_some() || forward.tls.server_name.is_some();
        if has_tls && !forward.to.iter().any(Upstream::is_tls) {
            reading.note(item, "tls and tls_servername change nothing: no upstream is tls://");
        }
        let has_own_name = |upstream: &Upstream| matches!(upstream, Upstream::Tls { server_name: Some(_), .. });
        if forward.tls.server_name.is_some() && forward.to.iter().any(has_own_name) {
            return Err(item.error("tls_servername and names after % in the upstreams may not stand together"));
        }
        for upstream in &forward.to {
            if matches!(upstream, Upstream::Tls { server_name: None, .. }) && forward.tls.server_name.is_none() {
                reading.note(item, format!("{upstream}: its certificate must be for this address; tls_servername or tls://ADDRESS%NAME says another name"));
            }
        }
        Ok(forward)
    }

    /// Whether it is asked for every name of a zone.
    pub(super) fn takes_all(&self, zone: &Zone) -> bool {
        self.from.contains(zone) && !self.except.iter().any(|left_out| left_out.meets(zone))
    }

    /// Whether the next `forward` may be asked after it.
    pub(super) fn may_ask_next(&self) -> bool {
        self.next_on_nodata || !self.next.is_empty()
    }

    fn add_upstreams(
        &mut self,
        item: Item<'_>,
        reading: &mut Reading<'_>,
        words: &[crate::corefile::Word],
    ) -> Result<(), PlanError> {
        for word in words {
            let upstream = Upstream::parse(word.as_str()).map_err(|message| item.error(message))?;
            if let Upstream::File(path) = &upstream {
                reading.needs_resolv_conf(item, path, NO_START);
            }
            self.to.push(upstream);
        }
        Ok(())
    }

    /// Beyond those that are upstreams; `tls`: the option. Without an upstream that needs them they are not read.
    fn look_for_files(&self, item: Item<'_>, tls: Option<&Item<'_>>, reading: &mut Reading<'_>) {
        if let Some(tls) = tls.filter(|_| self.to.iter().any(Upstream::is_tls)) {
            let PlanError(note) = tls.error("");
            self.tls.files().for_each(|file| reading.needs_file(&note, (file, MOST_OF_FILE), NO_START));
        }
        if self.resolvers.is_empty() && self.to.iter().any(|upstream| matches!(upstream, Upstream::Host { .. })) {
            let without = "a server does not start without it or `resolver`, since an upstream is a name";
            reading.needs_resolv_conf(item, "/etc/resolv.conf", without);
        }
    }

    fn read_option(&mut self, option: Item<'_>, reading: &mut Reading<'_>) -> Result<(), PlanError> {
        match option.name() {
            "to" => self.add_upstreams(option, reading, option.some("upstreams")?)?,
            "except" => {
                let zones = option.zones(option.some("zones")?)?;
                self.except_places.extend(zones.iter().map(|_| option.place().clone()));
                self.except.extend(zones);
            }
            "policy" => self.policy = option.choice(option.one("random, round_robin or sequential")?, &POLICIES)?,
            "health_check" => self.health = HealthCheck::read(option, &self.health)?,
            "max_fails" => self.max_fails = option.number(option.one("a number")?, 0..=u32::MAX)?,
            "max_connect_attempts" => {
                self.max_attempts = Some(option.number(option.one("a number")?, 0..=u32::MAX)?);
            }
            "max_concurrent" => self.max_concurrent = option.number(option.one("a number")?, 0..=10_000_000)?,
            "next" => self.next.extend(rcodes(option)?),
            "failover" => {
                let codes = rcodes(option)?;
                if codes.contains(&Rcode::NO_ERROR) {
                    return Err(option.error("NOERROR is no failure"));
                }
                self.failover.extend(codes);
            }
            "tls_servername" => {
                let name = option.one("a name")?.text.parse::<DomainName>();
                self.tls.server_name = Some(name.map_err(|error| option.error(error))?);
            }
            "tls" => self.tls.read_files(option)?,
            "resolver" => {
                for word in option.some("addresses")? {
                    let wrong = || option.error(format!("{:?} is no address", word.text));
                    self.resolvers.push(super::address::with_port(word.as_str(), 53).ok_or_else(wrong)?);
                }
            }
            "source_address" => {
                let word = option.one("an address")?;
                let wrong = |_| option.error(format!("{:?} is no address", word.text));
                self.source_address = Some(word.text.parse().map_err(wrong)?);
            }
            "doh_method" => return Err(option.error("is not supported: no upstream is asked over HTTPS")),
            _ => return self.read_switch_or_time(option),
        }
        Ok(())
    }

    fn read_switch_or_time(&mut self, option: Item<'_>) -> Result<(), PlanError> {
        let span_from = |least| option.span(option.one("a time")?, least..=24 * HOUR);
        match option.name() {
            "force_tcp" => self.protocol = option.alone().map(|()| Protocol::Tcp)?,
            // Where both stand, force_tcp counts.
            "prefer_udp" => {
                option.alone()?;
                if self.protocol == Protocol::AsAsked {
                    self.protocol = Protocol::UdpFirst;
                }
            }
            "next_on_nodata" => self.next_on_nodata = option.alone().map(|()| true)?,
            "failfast_all_unhealthy_upstreams" => self.fails_fast = option.alone().map(|()| true)?,
            "expire" => self.connections.expire = span_from(Duration::ZERO)?,
            "max_age" => {
                self.connections.max_age = Some(span_from(Duration::ZERO)?).filter(|age| !age.is_zero());
            }
            "read_timeout" => self.connections.read_timeout = span_from(Duration::from_millis(1))?,
            "max_idle_conns" => self.connections.max_idle = option.number(option.one("a number")?, 0..=1_000_000)?,
            _ => return Err(option.unknown(&OPTIONS)),
        }
        Ok(())
    }

    pub(super) fn printed(&self) -> Printed {
        let Connections { expire, max_age, max_idle, read_timeout } = self.connections;
        let span = |name: &str, span: Duration| Printed::new(name).word(span::text(span));
        Printed::new("forward")
            .word(&self.from)
            .words(&self.to)
            .list("except", &self.except)
            .switch("force_tcp", self.protocol == Protocol::Tcp)
            .switch("prefer_udp", self.protocol == Protocol::UdpFirst)
            .option(Printed::new("policy").word(name_of(&self.policy, &POLICIES)))
            .option(self.health.printed())
            .option(Printed::new("max_fails").word(self.max_fails))
            .maybe(self.max_attempts.map(|most| Printed::new("max_connect_attempts").word(most)))
            .option(Printed::new("max_concurrent").word(self.max_concurrent))
            .option(span("expire", expire))
            .maybe(max_age.map(|age| span("max_age", age)))
            .option(Printed::new("max_idle_conns").word(max_idle))
            .option(span("read_timeout", read_timeout))
            .list("next", &self.next)
            .switch("next_on_nodata", self.next_on_nodata)
            .list("failover", &self.failover)
            .switch("failfast_all_unhealthy_upstreams", self.fails_fast)
            .list("tls", self.tls.files())
            .list("tls_servername", &self.tls.server_name)
            .list("resolver", &self.resolvers)
            .list("source_address", self.source_address)
    }
}

fn rcodes(option: Item<'_>) -> Result<Vec<Rcode>, PlanError> {
    option.some("response codes")?.iter().map(|word| Rcode::read(option, word)).collect()
}

impl HealthCheck {
    /// `before`: what was said before, of which `no_rec` stays, as in CoreDNS.
    fn read(option: Item<'_>, before: &Self) -> Result<Self, PlanError> {
        let [interval, rest @ ..] = option.some("a time")? else { return Err(option.error("takes a time")) };
        let mut rest = rest;
        // 0 is one after the other; this is as often.
        let interval = option.span(interval, Duration::ZERO..=HOUR)?.max(Duration::from_millis(1));
        let mut check = Self { interval, recursion_desired: before.recursion_desired, domain: Zone::root() };
        while let [word, after @ ..] = rest {
            rest = match (word.as_str(), after) {
                ("no_rec", after) => {
                    check.recursion_desired = false;
                    after
                }
                ("domain", [domain, after @ ..]) => {
                    check.domain = Zone::parse(domain.as_str()).map_err(|error| option.error(error))?;
                    after
                }
                ("domain", []) => return Err(option.error("domain takes a name")),
                (other, _) => return Err(option.error(format!("{other:?} is none of no_rec, domain"))),
            };
        }
        Ok(check)
    }

    fn printed(&self) -> Printed {
        let printed = Printed::new("health_check").word(span::text(self.interval));
        printed.words((!self.recursion_desired).then_some("no_rec")).word("domain").word(&self.domain)
    }
}
