//! Rules by host: the Ingresses of a host merged, the oldest winning where two ask for the same path.
//! A change of an Ingress rebuilds the hosts that it names or named, and no other.

use super::by_object::{ByObject, note_differences};
use super::{Stale, Transition, insert_by_age};
use crate::objects::{Ingress, IngressBackend, IngressPath};
use crate::status::{Problem, Reason};
use config::{
    Action, BackendKey, HostPattern, HostRules, HostTable, IngressSettings, PathMatch, PlainHttp, Respond, Rule,
    RuleOrigin, Split, Target,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map::Entry;
use std::sync::Arc;

const DEFAULT_BACKEND: &str = "spec.defaultBackend";

/// The host table and what it was made from.
#[derive(Debug)]
pub(super) struct Hosts {
    sources: FxHashMap<HostPattern, Sources>,
    pub(super) table: Arc<HostTable>,
    /// The rule of `--default-backend`, the last of every host.
    last_resort: Option<Rule>,
    ssl_redirect: bool,
    default_field: Arc<str>,
}

/// What one host was made from.
#[derive(Debug, Default)]
struct Sources {
    /// The oldest first.
    ingresses: Vec<Arc<Ingress>>,
    losses: Losses,
}

type Losses = ByObject<Loss>;

/// What an Ingress lost on a host.
#[derive(Debug, Default, PartialEq)]
struct Loss {
    problems: Vec<Problem>,
    /// Whether no rule of the host is from it.
    is_total: bool,
}

impl Hosts {
    pub(super) fn new(settings: &IngressSettings) -> Self {
        let last_resort = settings.default_backend.as_ref().map(|service| {
            let object = Arc::new(service.0.service_ref());
            Rule {
                origin: RuleOrigin { object, field: "--default-backend".into() },
                path: PathMatch::prefix("/"),
                plain_http: PlainHttp::Serve,
                action: forward(&Arc::new(service.0.clone())),
                policy: None,
            }
        });
        let any = last_resort.iter().map(|rule| Arc::new(HostRules::new(HostPattern::Any, vec![rule.clone()])));
        Self {
            sources: FxHashMap::default(),
            table: Arc::new(any.collect()),
            last_resort,
            ssl_redirect: settings.ssl_redirect,
            default_field: DEFAULT_BACKEND.into(),
        }
    }

    /// Rebuilds the hosts of the Ingresses that changed.
    pub(super) fn update(&mut self, transitions: &[Transition], stale: &mut Stale) {
        let mut hosts = FxHashSet::default();
        for Transition { before, after } in transitions {
            if let Some(ingress) = before {
                for host in hosts_of(ingress) {
                    if let Some(sources) = self.sources.get_mut(host) {
                        sources.ingresses.retain(|known| !Arc::ptr_eq(known, ingress));
                    }
                    hosts.insert(host);
                }
            }
            if let Some(ingress) = after {
                for host in hosts_of(ingress) {
                    insert_by_age(&mut self.sources.entry(host.clone()).or_default().ingresses, ingress);
                    hosts.insert(host);
                }
            }
        }
        hosts.into_iter().for_each(|host| self.rebuild(host, stale));
    }

    /// Puts the rules of a host into the table, if they are not there. The first change copies the table.
    fn rebuild(&mut self, host: &HostPattern, stale: &mut Stale) {
        let ingresses = self.sources.get(host).map_or(&[][..], |sources| &sources.ingresses);
        let is_empty = ingresses.is_empty();
        let (rules, losses) = self.assemble(host, ingresses);
        if let Some(sources) = self.sources.get_mut(host) {
            let before = std::mem::replace(&mut sources.losses, losses);
            note_differences(&before, &sources.losses, stale);
        }
        if is_empty {
            self.sources.remove(host);
        }
        // Nobody is left who names the host; any host stays, if only for the last resort.
        let is_gone = is_empty && (*host != HostPattern::Any || rules.rules().is_empty());
        let rules = (!is_gone).then_some(rules);
        if self.table.rules(host).map(Arc::as_ref) != rules.as_ref() {
            Arc::make_mut(&mut self.table).put(host, rules.map(Arc::new));
        }
    }

    fn assemble(&self, host: &HostPattern, ingresses: &[Arc<Ingress>]) -> (HostRules, Losses) {
        let mut assembly = Assembly::new(host, ingresses.len());
        let has_tls = ingresses.iter().any(|ingress| ingress.has_tls(host));
        for (place, ingress) in ingresses.iter().enumerate() {
            let plain_http = self.plain_http(ingress, has_tls);
            for path in ingress.rules.iter().filter(|rule| rule.host == *host).flat_map(|rule| &rule.paths) {
                let IngressPath { path, backend, field } = path;
                assembly.add(place, rule(ingress, field, path.clone(), plain_http, backend));
            }
        }
        // Every rule comes before every default backend, however old.
        for (place, ingress) in ingresses.iter().enumerate() {
            if let Some(backend) = &ingress.default_backend {
                let plain_http = self.plain_http(ingress, has_tls);
                assembly.add(place, rule(ingress, &self.default_field, PathMatch::prefix("/"), plain_http, backend));
            }
        }
        let (rules, losses) = assembly.finish(ingresses, self.last_resort.as_ref());
        // The host redirects, also what is 404 then; where Ingresses disagree, as the first of them says.
        let first = ingresses.first().map_or(PlainHttp::Serve, |ingress| self.plain_http(ingress, has_tls));
        let takes_all = rules.rules().iter().any(|rule| rule.path == PathMatch::prefix("/"));
        (if takes_all { rules } else { rules.with_unmatched(first) }, losses)
    }

    /// `has_tls` says whether any Ingress of the host declares TLS for it.
    fn plain_http(&self, ingress: &Ingress, has_tls: bool) -> PlainHttp {
        let redirects = has_tls && ingress.ssl_redirect.unwrap_or(self.ssl_redirect);
        if redirects { PlainHttp::RedirectToHttps } else { PlainHttp::Serve }
    }

    /// What an Ingress lost to others, host by host.
    pub(super) fn problems(&self, ingress: &Ingress) -> impl Iterator<Item = &Problem> {
        let losses =
            hosts_of(ingress).into_iter().filter_map(|host| self.sources.get(host)?.losses.find(&ingress.object));
        losses.flat_map(|loss| &loss.problems)
    }

    /// Whether any rule of the table is from an Ingress.
    pub(super) fn serves(&self, ingress: &Ingress) -> bool {
        let is_total = |host| self.sources.get(host)?.losses.find(&ingress.object).map(|loss| loss.is_total);
        hosts_of(ingress).into_iter().any(|host| is_total(host) != Some(true))
    }
}

/// The rules of one host, as far as they are known.
struct Assembly<'h> {
    host: &'h HostPattern,
    rules: Vec<Rule>,
    taken: FxHashMap<PathMatch, usize>,
    losses: Losses,
    /// By the place of the Ingress: whether a rule is from it.
    serves: Vec<bool>,
}

impl<'h> Assembly<'h> {
    fn new(host: &'h HostPattern, ingresses: usize) -> Self {
        let (rules, taken, losses) = Default::default();
        Self { host, rules, taken, losses, serves: vec![false; ingresses] }
    }

    fn add(&mut self, place: usize, rule: Rule) {
        match self.taken.entry(rule.path.clone()) {
            Entry::Vacant(free) => {
                free.insert(self.rules.len());
                self.rules.push(rule);
                if let Some(serves) = self.serves.get_mut(place) {
                    *serves = true;
                }
            }
            Entry::Occupied(taken) => {
                if let Some(problem) =
                    self.rules.get(*taken.get()).and_then(|winner| conflict(self.host, winner, &rule))
                {
                    self.losses.entry(&rule.origin.object).problems.push(problem);
                }
            }
        }
    }

    fn finish(mut self, ingresses: &[Arc<Ingress>], last_resort: Option<&Rule>) -> (HostRules, Losses) {
        for (ingress, _) in ingresses.iter().zip(&self.serves).filter(|(_, serves)| !**serves) {
            self.losses.entry(&ingress.object).is_total = true;
        }
        self.rules.extend(last_resort.cloned());
        (HostRules::new(self.host.clone(), self.rules), self.losses)
    }
}

/// What is told to the Ingress of a rule that another takes the place of.
fn conflict(host: &HostPattern, winner: &Rule, loser: &Rule) -> Option<Problem> {
    let is_default = |rule: &Rule| &*rule.origin.field == DEFAULT_BACKEND;
    let host = if *host == HostPattern::Any { "any host".to_owned() } else { format!("host {host}") };
    let RuleOrigin { object, field } = &winner.origin;
    let message = if *object == loser.origin.object {
        // Twice the same is harmless, and a default backend is meant for what no rule takes.
        if is_default(loser) || winner.action == loser.action {
            return None;
        }
        format!("{host}: {} is given twice, {field} counts", loser.path)
    } else if is_default(winner) {
        format!("{host}: the default backend is that of {object}, which comes first by age and name")
    } else if is_default(loser) {
        format!("{host}: {field} of {object} takes every request that no other rule takes")
    } else {
        format!("{host}: {} goes to {field} of {object}, which comes first by age and name", loser.path)
    };
    Some(Problem::at(Arc::clone(&loser.origin.field), Reason::Conflict, message))
}

/// The hosts that an Ingress has a say in, each once; without rules, any.
pub(super) fn hosts_of(ingress: &Ingress) -> Vec<&HostPattern> {
    if !ingress.has_rules && ingress.default_backend.is_some() {
        return vec![&HostPattern::Any];
    }
    let mut hosts: Vec<_> = ingress.rules.iter().map(|rule| &rule.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// The rule that an Ingress has in `field`.
fn rule(ingress: &Ingress, field: &Arc<str>, path: PathMatch, plain_http: PlainHttp, backend: &IngressBackend) -> Rule {
    Rule {
        origin: RuleOrigin { object: Arc::clone(&ingress.object), field: Arc::clone(field) },
        path,
        plain_http,
        action: action(backend),
        policy: ingress.policy.clone(),
    }
}

fn action(backend: &IngressBackend) -> Action {
    match backend {
        IngressBackend::Service(key) => forward(key),
        IngressBackend::Resource => Action::Respond(Respond { status: 503, reason: "resource_backend" }),
    }
}

fn forward(backend: &Arc<BackendKey>) -> Action {
    Action::Forward(Split { targets: [Target { weight: 1, backend: Arc::clone(backend) }].into() })
}
