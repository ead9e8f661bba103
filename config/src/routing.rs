//! Listeners, hosts and rules, and the one function that finds a request's rule.
//! [`HostRules::new`] sorts once; [`RoutingTable::find`] relies on it, which is why both are in this module.

mod explain;
mod policy;
mod rule;
#[cfg(test)]
mod tests;

pub use explain::{Explanation, Loss};
pub use policy::{RulePolicy, StatusSet};
pub use rule::{
    Action, HttpsRedirect, Outcome, PathMatch, PlainHttp, Respond, Rule, RuleOrigin, Split, Target, is_acme_challenge,
    is_acme_token,
};

use crate::{CertificateTable, ClientPolicy, ClientPolicyTable, HostPattern, host::wildcard_suffix};
use foldhash::fast::RandomState;
use serde::Serialize;
use smallvec::SmallVec;
use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What is spoken on a listener's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Protocol {
    /// HTTP/1 and HTTP/2 in clear text.
    Http,
    /// The same over TLS.
    Https,
}

/// The name of a listener, by which the proxy's sockets find it in each snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerName {
    /// The plain port of `--http-bind`.
    Http,
    /// The TLS port of `--https-bind`.
    Https,
}

/// A port that we accept on, and what is served there.
#[derive(Debug, Clone, Serialize)]
pub struct Listener {
    /// Its name.
    pub name: ListenerName,
    /// What is spoken.
    pub protocol: Protocol,
    /// Certificates by server name; empty on a plain port.
    pub certificates: Arc<CertificateTable>,
    /// Rules by host.
    pub hosts: Arc<HostTable>,
}

/// All listeners.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RoutingTable {
    /// A handful, in no order.
    pub listeners: Vec<Listener>,
    /// Whose certificates hosts ask their clients for; `None`: no host asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_policies: Option<Arc<ClientPolicyTable>>,
}

/// What [`RoutingTable::find`] met.
#[derive(Debug, Clone, Copy)]
pub enum Found<'t> {
    /// A rule.
    Rule(&'t Rule),
    /// Nothing: 404.
    Miss(Miss<'t>),
}

/// Why no rule was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss<'t> {
    /// The snapshot has no such listener.
    Listener,
    /// No rule names the host, and none is for any host.
    Host,
    /// The host has rules, none of them for the path.
    Path(&'t HostRules),
}

impl<'t> Found<'t> {
    /// What becomes of the request, by the protocol of the port it came in on; `None`: nothing, 404.
    #[must_use]
    pub fn outcome(self, protocol: Protocol, path: &str) -> Option<Outcome<'t>> {
        match self {
            Self::Rule(rule) => Some(rule.outcome(protocol, path)),
            Self::Miss(Miss::Path(rules)) => rules.unmatched.redirect(protocol, path).map(Outcome::Redirect),
            Self::Miss(Miss::Listener | Miss::Host) => None,
        }
    }
}

impl RoutingTable {
    /// The listener of that name.
    #[must_use]
    pub fn listener(&self, name: ListenerName) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// The rule for a host and a path, both in canonical form (host empty: only rules for any host). The host is chosen
    /// first: exact name, wildcard, any; it owns the request even where none of its rules match (KEP-1453). Within a
    /// host the longest path wins, `Exact` before `Prefix`. O(depth of the host's deepest prefix), no allocation.
    #[must_use]
    pub fn find(&self, listener: ListenerName, host: &str, path: &str) -> Found<'_> {
        match self.listener(listener) {
            Some(listener) => listener.hosts.find(host, path),
            None => Found::Miss(Miss::Listener),
        }
    }

    /// What the host of that name, in canonical form, asks of its clients' certificates; empty: a client that names no
    /// host. `None`: nothing, which costs one branch where no host asks for any.
    #[must_use]
    pub fn client_policy(&self, listener: ListenerName, host: &str) -> Option<&Arc<ClientPolicy>> {
        let policies = self.client_policies.as_ref()?;
        let owner = self.listener(listener).and_then(|listener| listener.hosts.owner(host));
        policies.find(owner.map(|rules| &rules.host), host)
    }
}

/// Rules by host; cloning costs O(hosts), one reference count each.
#[derive(Debug, Clone, Default)]
pub struct HostTable {
    exact: HashSet<ByName, RandomState>,
    wildcard: HashSet<ByName, RandomState>,
    any: Option<Arc<HostRules>>,
}

/// Found by the name or suffix in their host, which so is kept once.
#[derive(Debug, Clone)]
struct ByName(Arc<HostRules>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        self.0.host.text()
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.host.text().hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.host.text() == other.0.host.text()
    }
}

impl Eq for ByName {}

impl HostTable {
    /// The rules that own a host: of its exact name, else its wildcard, else any.
    #[must_use]
    pub fn owner(&self, host: &str) -> Option<&Arc<HostRules>> {
        let wildcard = || self.wildcard.get(wildcard_suffix(host)?);
        self.exact.get(host).or_else(wildcard).map(|rules| &rules.0).or(self.any.as_ref())
    }

    /// Every host with its rules, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<HostRules>> {
        self.exact.iter().chain(&self.wildcard).map(|rules| &rules.0).chain(&self.any)
    }

    /// The rules of exactly that host.
    #[must_use]
    pub fn rules(&self, host: &HostPattern) -> Option<&Arc<HostRules>> {
        match host {
            HostPattern::Exact(name) => self.exact.get(name.as_str()).map(|rules| &rules.0),
            HostPattern::Wildcard(suffix) => self.wildcard.get(suffix.as_str()).map(|rules| &rules.0),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// Sets the rules of a host, or removes them; for a table that is being built.
    pub fn put(&mut self, host: &HostPattern, rules: Option<Arc<HostRules>>) {
        match (host, rules) {
            (HostPattern::Exact(_), Some(rules)) => drop(self.exact.replace(ByName(rules))),
            (HostPattern::Wildcard(_), Some(rules)) => drop(self.wildcard.replace(ByName(rules))),
            (HostPattern::Exact(name), None) => drop(self.exact.remove(name.as_str())),
            (HostPattern::Wildcard(suffix), None) => drop(self.wildcard.remove(suffix.as_str())),
            (HostPattern::Any, rules) => self.any = rules,
        }
    }

    fn find(&self, host: &str, path: &str) -> Found<'_> {
        let Some(rules) = self.owner(host) else { return Found::Miss(Miss::Host) };
        rules.find(path).map_or(Found::Miss(Miss::Path(rules)), Found::Rule)
    }
}

impl FromIterator<Arc<HostRules>> for HostTable {
    /// Of two entries with the same host the later one counts.
    fn from_iter<I: IntoIterator<Item = Arc<HostRules>>>(hosts: I) -> Self {
        let mut table = Self::default();
        for rules in hosts {
            let host = rules.host.clone();
            table.put(&host, Some(rules));
        }
        table
    }
}

/// Sorted by host, so that two equal tables read the same.
impl Serialize for HostTable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<_> = self.iter().collect();
        sorted.sort_by(|a, b| a.host.cmp(&b.host));
        serializer.collect_seq(sorted)
    }
}

/// The rules of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostRules {
    /// Whose they are.
    pub host: HostPattern,
    /// The one rule of most hosts lies here: a request to a host that is asked rarely pays for each place in memory that
    /// it looks at.
    rules: SmallVec<[Rule; 1]>,
    /// What plain ports do with paths that no rule takes.
    #[serde(skip_serializing_if = "PlainHttp::is_served")]
    unmatched: PlainHttp,
    #[serde(skip)]
    index: Option<Box<Index>>,
}

/// Paths of a host with many rules; rules are numbered by their place in `rules`.
#[derive(Debug, Clone)]
struct Index {
    exact: HashMap<Arc<str>, usize, RandomState>,
    prefix: HashMap<Arc<str>, usize, RandomState>,
    /// Lengths in bytes of the longest: what is longer is not looked up, whatever a client sends.
    longest_exact: usize,
    longest_prefix: usize,
}

/// It follows from the rules.
impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}

/// Up to this many rules a scan is as fast as an index, and smaller.
const SCANNED_RULES: usize = 8;

impl HostRules {
    /// Sorts the rules by precedence. Of two with the same path and type the first given counts.
    #[must_use]
    pub fn new(host: HostPattern, mut rules: Vec<Rule>) -> Self {
        rules.sort_by(|a, b| a.path.cmp_precedence(&b.path));
        rules.dedup_by(|later, first| later.path == first.path);
        let index = (rules.len() > SCANNED_RULES).then(|| Box::new(Index::new(&rules)));
        // Not `from(rules)`, which would keep the place and the spare room of one rule.
        Self { host, rules: rules.into_iter().collect(), unmatched: PlainHttp::Serve, index }
    }

    /// The same, with what plain ports do with paths that no rule takes.
    #[must_use]
    pub fn with_unmatched(self, unmatched: PlainHttp) -> Self {
        Self { unmatched, ..self }
    }

    /// The rules, most specific first.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn find(&self, path: &str) -> Option<&Rule> {
        match &self.index {
            Some(index) => self.rules.get(index.find(path)?),
            None => self.rules.iter().find(|rule| rule.path.matches(path)),
        }
    }
}

impl Index {
    fn new(rules: &[Rule]) -> Self {
        let (mut exact, mut prefix) = (HashMap::default(), HashMap::default());
        for (number, rule) in rules.iter().enumerate() {
            match &rule.path {
                PathMatch::Exact(path) => exact.insert(Arc::clone(path), number),
                PathMatch::Prefix(path) => prefix.insert(Arc::clone(path), number),
            };
        }
        let longest = |paths: &HashMap<Arc<str>, usize, _>| paths.keys().map(|path| path.len()).max().unwrap_or(0);
        Self { longest_exact: longest(&exact), longest_prefix: longest(&prefix), exact, prefix }
    }

    fn find(&self, path: &str) -> Option<usize> {
        if path.len() <= self.longest_exact
            && let Some(&number) = self.exact.get(path)
        {
            return Some(number);
        }
        // Element boundaries from the longest down: the whole path, then each place before a slash.
        let mut end = path.len();
        loop {
            if end <= self.longest_prefix
                && let Some(&number) = self.prefix.get(path.get(..end)?)
            {
                return Some(number);
            }
            let within = end.min(self.longest_prefix.saturating_add(1));
            end = path.get(..within).or_else(|| path.get(..end))?.rfind('/')?;
        }
    }
}
