//! `cache`: answers that are kept, and for how long.

use super::item::{Item, name_of};
use super::print::Printed;
use super::reading::Reading;
use super::span;
use super::zone::Zone;
use crate::corefile::{PlanError, Word};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Cache {
    /// Names whose answers are kept.
    pub(crate) zones: Vec<Zone>,
    /// Of answers with records.
    pub(crate) success: Kept,
    /// Of NXDOMAIN, and of answers without records.
    pub(crate) denial: Kept,
    /// Names of which no records are kept.
    pub(crate) no_success: Vec<Zone>,
    /// Names of which no denials are kept.
    pub(crate) no_denial: Vec<Zone>,
    /// For how long a SERVFAIL is kept; at most 5 minutes, 0: not at all.
    pub(crate) servfail: Duration,
    pub(crate) prefetch: Option<Prefetch>,
    pub(crate) stale: Option<Stale>,
    /// Whether answers keep the TTL with which they came.
    pub(crate) keeps_ttl: bool,
}

/// How many answers, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) capacity: u32,
    /// Seconds at most.
    pub(crate) max_ttl: u32,
    /// Seconds at least.
    pub(crate) min_ttl: u32,
}

/// Answers that are asked for often are fetched again before they end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefetch {
    /// Questions that make an answer worth it.
    pub(crate) amount: u32,
    /// No longer than this apart.
    pub(crate) within: Duration,
    /// The rest of its TTL at which it is fetched; 10 to 90.
    pub(crate) percentage: u32,
}

/// Answers that are over, and still better than none (RFC 8767).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stale {
    /// How long after their end.
    pub(crate) max_age: Duration,
    pub(crate) refresh: Refresh,
    /// The TTL that a client sees.
    pub(crate) ttl: Duration,
    /// How long an upstream that failed is not asked again.
    pub(crate) recheck: Duration,
    /// How long the upstream has to answer first; only with [`Refresh::Verify`].
    pub(crate) timeout: Duration,
    /// Whether records that are over count more than a newer denial.
    pub(crate) prefers_positive: bool,
}

/// When the upstream is asked for what is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// After the stale answer is given.
    Immediate,
    /// Before, and the stale answer is given where it fails.
    Verify,
}

const REFRESHES: [(&str, Refresh); 2] = [("immediate", Refresh::Immediate), ("verify", Refresh::Verify)];
const OPTIONS: [&str; 8] =
    ["denial", "disable", "keepttl", "prefetch", "serve_stale", "serve_stale_policy", "servfail", "success"];

/// What 0 is to CoreDNS.
const LEAST_CAPACITY: u32 = 1024;
const MAX_CAPACITY: u32 = 10_000_000;
/// A TTL has 31 bits (RFC 2181 §8).
const MAX_TTL: u32 = i32::MAX as u32;
const DAY: Duration = Duration::from_secs(86_400);

impl Cache {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, block: &[Zone]) -> Result<Self, PlanError> {
        let is_number = |word: &Word| word.text.parse::<i64>().is_ok();
        let (ttl, zones) = match item.arguments() {
            [ttl, zones @ ..] if is_number(ttl) => (Some(item.number(ttl, 1..=MAX_TTL)?), zones),
            zones => (None, zones),
        };
        let kept = |max_ttl| Kept { capacity: 9984, max_ttl: ttl.unwrap_or(max_ttl), min_ttl: 5 };
        let mut cache = Self {
            zones: item.zones_or(zones, block)?,
            success: kept(3600),
            denial: kept(1800),
            no_success: Vec::new(),
            no_denial: Vec::new(),
            servfail: Duration::from_secs(5),
            prefetch: None,
            stale: None,
            keeps_ttl: false,
        };
        let (mut prefers_positive, mut is_never_stale) = (None, false);
        let mut prefetch = Prefetch { amount: 0, within: Duration::from_secs(60), percentage: 10 };
        // The last lines that say a shortest TTL.
        let mut shortest = BTreeMap::new();
        item.options(reading, |_, option| {
            if option.arguments().len() > 2 {
                shortest.insert(option.name(), option);
            }
            match option.name() {
                "success" => cache.success.read(option)?,
                "denial" => cache.denial.read(option)?,
                "servfail" => {
                    cache.servfail = option.span(option.one("a time")?, Duration::ZERO..=Duration::from_secs(300))?;
                }
                "prefetch" => prefetch.read(option)?,
                "serve_stale" => {
                    cache.stale = Stale::read(option)?;
                    is_never_stale = cache.stale.is_none();
                }
                "serve_stale_policy" => {
                    option.choice_in_any_case(option.one("prefer_positive")?, &[("prefer_positive", ())])?;
                    prefers_positive = Some(option);
                }
                "keepttl" => cache.keeps_ttl = option.alone().map(|()| true)?,
                "disable" => cache.disable(option)?,
                _ => return Err(option.unknown(&OPTIONS)),
            }
            Ok(())
        });
        for (name, kept) in [("success", &cache.success), ("denial", &cache.denial)] {
            if let Some(option) = shortest.get(name)
                && kept.min_ttl > kept.max_ttl
            {
                let Kept { min_ttl, max_ttl, .. } = kept;
                let message = format!("the shortest TTL {min_ttl} is above the longest, {max_ttl}, and counts as that");
                reading.note(*option, message);
            }
        }
        cache.prefetch = (prefetch.amount > 0).then_some(prefetch);
        match (prefers_positive, &mut cache.stale) {
            (Some(option), None) if !is_never_stale => return Err(option.error("is nothing without serve_stale")),
            (is_set, Some(stale)) => stale.prefers_positive = is_set.is_some(),
            (_, None) => {}
        }
        Ok(cache)
    }

    fn disable(&mut self, option: Item<'_>) -> Result<(), PlanError> {
        let (which, zones) = match option.arguments() {
            [which, zones @ ..] => (which, zones),
            [] => return Err(option.error("takes success or denial, and zones")),
        };
        let is_success = option.choice(which, &[("success", true), ("denial", false)])?;
        let zones = option.zones_or(zones, &[Zone::root()])?;
        if is_success {
            self.no_success = zones;
        } else {
            self.no_denial = zones;
        }
        Ok(())
    }

    pub(super) fn printed(&self) -> Printed {
        let disabled =
            |which: &str, zones: &[Zone]| (!zones.is_empty()).then(|| Printed::new("disable").word(which).words(zones));
        Printed::new("cache")
            .words(&self.zones)
            .option(self.success.printed("success"))
            .option(self.denial.printed("denial"))
            .option(Printed::new("servfail").word(span::text(self.servfail)))
            .maybe(self.prefetch.map(Prefetch::printed))
            .maybe(self.stale.map(Stale::printed))
            .maybe(
                self.stale
                    .filter(|stale| stale.prefers_positive)
                    .map(|_| Printed::new("serve_stale_policy").word("prefer_positive")),
            )
            .maybe(disabled("success", &self.no_success))
            .maybe(disabled("denial", &self.no_denial))
            .switch("keepttl", self.keeps_ttl)
    }
}

impl Kept {
    /// Of what it does not say that of a line before it stays.
    fn read(&mut self, option: Item<'_>) -> Result<(), PlanError> {
        let (capacity, ttl, min_ttl) = match option.arguments() {
            [capacity] => (capacity, None, None),
            [capacity, ttl] => (capacity, Some(ttl), None),
            [capacity, ttl, min_ttl] => (capacity, Some(ttl), Some(min_ttl)),
            _ => return Err(option.error("takes a number of answers and, if need be, their longest and shortest TTL")),
        };
        let capacity = option.number(capacity, 0..=MAX_CAPACITY)?;
        self.capacity = if capacity == 0 { LEAST_CAPACITY } else { capacity };
        if let Some(ttl) = ttl {
            self.max_ttl = option.number(ttl, 1..=MAX_TTL)?;
        }
        if let Some(ttl) = min_ttl {
            self.min_ttl = option.number(ttl, 0..=MAX_TTL)?;
        }
        Ok(())
    }

    fn printed(&self, name: &str) -> Printed {
        // `cache 1` makes the longest shorter than the shortest, which then counts as the longest.
        Printed::new(name).word(self.capacity).word(self.max_ttl).word(self.min_ttl.min(self.max_ttl))
    }
}

impl Prefetch {
    /// Of what it does not say that of a line before it stays.
    fn read(&mut self, option: Item<'_>) -> Result<(), PlanError> {
        let (amount, within, percentage) = match option.arguments() {
            [amount] => (amount, None, None),
            [amount, within] => (amount, Some(within), None),
            [amount, within, percentage] => (amount, Some(within), Some(percentage)),
            _ => return Err(option.error("takes a number of questions and, if need be, a time and a percentage")),
        };
        self.amount = option.number(amount, 0..=1_000_000)?;
        if let Some(within) = within {
            self.within = option.span(within, Duration::from_millis(1)..=DAY)?;
        }
        if let Some(word) = percentage {
            let number = word.text.strip_suffix('%').and_then(|number| number.parse().ok());
            let wrong = || option.error(format!("{:?} is no percentage from 10% to 90%", word.text));
            self.percentage = number.filter(|number| (10..=90).contains(number)).ok_or_else(wrong)?;
        }
        Ok(())
    }

    fn printed(self) -> Printed {
        let percentage = format!("{}%", self.percentage);
        Printed::new("prefetch").word(self.amount).word(span::text(self.within)).word(percentage)
    }
}

impl Stale {
    /// `None`: no answer is given that is over.
    fn read(option: Item<'_>) -> Result<Option<Self>, PlanError> {
        // The TTL and the recheck are those that RFC 8767 §4 and §5 advise.
        let mut stale = Self {
            max_age: Duration::from_secs(3600),
            refresh: Refresh::Immediate,
            ttl: Duration::from_secs(30),
            recheck: Duration::from_secs(30),
            timeout: Duration::from_millis(1800),
            prefers_positive: false,
        };
        let [age, rest @ ..] = option.arguments() else { return Ok(Some(stale)) };
        stale.max_age = option.span(age, Duration::ZERO..=30 * DAY)?;
        let is_ever = |stale: Self| (!stale.max_age.is_zero()).then_some(stale);
        let [refresh, rest @ ..] = rest else { return Ok(is_ever(stale)) };
        stale.refresh = option.choice_in_any_case(refresh, &REFRESHES)?;
        let (timeout, rest) = match (stale.refresh, rest) {
            (Refresh::Verify, [timeout, rest @ ..]) => (Some(timeout), rest),
            (_, rest) => (None, rest),
        };
        if let Some(timeout) = timeout {
            stale.timeout = option.span(timeout, Duration::from_millis(1)..=Duration::from_secs(60))?;
        }
        let (ttl, recheck) = match rest {
            [] => (None, None),
            [ttl] => (Some(ttl), None),
            [ttl, recheck] => (Some(ttl), Some(recheck)),
            _ => return Err(option.error("has too many arguments")),
        };
        if let Some(ttl) = ttl {
            stale.ttl = option.span(ttl, Duration::ZERO..=DAY)?;
        }
        if let Some(recheck) = recheck {
            stale.recheck = option.span(recheck, Duration::ZERO..=DAY)?;
        }
        Ok(is_ever(stale))
    }

    fn printed(self) -> Printed {
        let printed = Printed::new("serve_stale").word(span::text(self.max_age));
        let printed = printed.word(name_of(&self.refresh, &REFRESHES));
        let timeout = (self.refresh == Refresh::Verify).then(|| span::text(self.timeout));
        printed.words(timeout).word(span::text(self.ttl)).word(span::text(self.recheck))
    }
}
