//! `tidegate explain`: what becomes of one request, and why of nothing else; or what is answered for one name.

mod client_certificate;
mod corefile;
mod name;
mod request;
mod resolver;
mod search;

use crate::cli::{ExplainFlags, NameFlags, Output};
use crate::offline::{Place, World};
use crate::routes::{RouteBackend, RouteTarget, secrets, target};
use crate::settings::{path_settings, translate_settings};
use crate::text::{Table, json};
use anyhow::Context as _;
use config::{
    ClientPolicy, EndpointState, HostPattern, HostRules, ListenerName, ObjectRef, Outcome, PathMatch, Protocol, Rule,
    RulePolicy,
};
use controller::Verdict;
use controller::objects::Ingress;
use request::{Refusal, Request};
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The field of a default backend.
const DEFAULT_BACKEND: &str = "spec.defaultBackend";

/// Reads, translates, and explains the request or the name.
pub(crate) fn explain(flags: ExplainFlags) -> anyhow::Result<String> {
    let ExplainFlags { target, name, method, headers, manifests, output, advertised_https_port, objects, paths } =
        flags;
    let translation = translate_settings(objects);
    if is_name(&target) {
        anyhow::ensure!(
            method.is_none() && headers.is_empty(),
            "-X and -H are for requests, and {target:?} is a name: the URL is {target}/"
        );
        let asking = name::Asking::new(&target, name, &translation.cluster_domain)?;
        anyhow::ensure!(
            !manifests.is_empty() || !asking.has_cluster(),
            "--manifests is needed: the Corefile has `kubernetes`, whose names they say"
        );
        let world = World::read_selected(manifests, translation, |object| asking.takes(object))?;
        world.tell_unread();
        return written(&asking.report(&world)?, output);
    }
    let NameFlags { record_type, from, search, corefile, at, .. } = name;
    let is_asked_somewhere = corefile.is_some() || at.is_some();
    let is_asked_like_a_name = record_type.is_some() || from.is_some() || !search.is_empty() || is_asked_somewhere;
    anyhow::ensure!(
        !is_asked_like_a_name,
        "--type, --from, --search, --corefile and --at are for names, and {target:?} is a URL"
    );
    let method = method.unwrap_or_else(|| "GET".to_owned());
    let request = Request::new(&target, method, &headers, path_settings(paths))?;
    let world = World::read(manifests, translation)?;
    world.tell_unread();
    let report = Report::new(&request, &world, advertised_https_port).context("the snapshot lacks a listener")?;
    written(&report, output)
}

/// Whether it is a name, or an address, and no URL.
fn is_name(target: &str) -> bool {
    // Parts of a network have names with a slash (RFC 2317), in zones that no host is in.
    let lower = target.trim_end_matches('.').to_ascii_lowercase();
    let is_reverse = !lower.contains(':') && [".in-addr.arpa", ".ip6.arpa"].iter().any(|zone| lower.ends_with(zone));
    target.parse::<IpAddr>().is_ok() || is_reverse || !target.contains(['/', ':', '?', '#'])
}

fn written(report: &(impl Serialize + fmt::Display), output: Output) -> anyhow::Result<String> {
    Ok(match output {
        Output::Text => report.to_string(),
        Output::Json => json(report)?,
    })
}

#[derive(Debug, Serialize)]
struct Report<'w> {
    method: &'w str,
    listener: ListenerName,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'w str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'w str>,
    /// For TLS: where the certificates for the server name come from; empty: self-made.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<Vec<&'w ObjectRef>>,
    /// What the host asks of its clients' certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate: Option<&'w Arc<ClientPolicy>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner<'w>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<ReportedRule>,
    /// What the rule says of time and of tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'w RulePolicy>,
    outcome: ReportedOutcome<'w>,
    near_misses: Vec<NearMiss>,
    /// Rules of the host that no reader would expect to match.
    unrelated: usize,
}

#[derive(Debug, Serialize)]
struct Owner<'w> {
    host: &'w HostPattern,
    rules: usize,
    /// Less specific hosts that match too.
    beaten: Vec<&'w HostPattern>,
}

#[derive(Debug, Serialize)]
struct ReportedRule {
    rule: String,
    object: String,
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

impl ReportedRule {
    fn new(path: &PathMatch, object: &ObjectRef, field: &str, world: &World) -> Self {
        let place = world.place(object).map(Place::to_string);
        Self { rule: path.to_string(), object: object.to_string(), field: field.to_owned(), place }
    }

    fn of(rule: &Rule, world: &World) -> Self {
        Self::new(&rule.path, &rule.origin.object, &rule.origin.field, world)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ReportedOutcome<'w> {
    /// The request cannot be read in one way only.
    Refused(&'w Refusal),
    NoRoute {
        status: u16,
        reason: &'static str,
        why: String,
    },
    Redirect {
        status: u16,
        location: String,
    },
    /// Whoever sends it.
    Forbidden {
        status: u16,
        reason: &'static str,
        why: String,
    },
    #[serde(untagged)]
    Target(RouteTarget<'w>),
}

#[derive(Debug, Serialize)]
struct NearMiss {
    #[serde(flatten)]
    rule: ReportedRule,
    why: String,
}

impl<'w> Report<'w> {
    /// `None` where the snapshot has no such listener.
    fn new(request: &'w Request, world: &'w World, https_port: u16) -> Option<Self> {
        let mut report = Self {
            method: &request.method,
            listener: request.listener,
            host: None,
            path: None,
            certificates: None,
            client_certificate: None,
            owner: None,
            rule: None,
            policy: None,
            outcome: ReportedOutcome::NoRoute { status: 404, reason: "no_route", why: String::new() },
            near_misses: Vec::new(),
            unrelated: 0,
        };
        let routing = &world.snapshot.routing;
        let listener = routing.listener(request.listener)?;
        if listener.protocol == Protocol::Https {
            let server_name = HostPattern::parse(Some(&request.server_name)).unwrap_or(HostPattern::Any);
            report.certificates = Some(secrets(&listener.certificates, &server_name));
        }
        let (host, path) = match (&request.host, &request.path) {
            (Err(refusal), _) | (_, Err(refusal)) => {
                report.outcome = ReportedOutcome::Refused(refusal);
                return Some(report);
            }
            (Ok(host), Ok(path)) => (host, path),
        };
        (report.host, report.path) = (Some(host.name.as_str()), Some(path.path()));
        let explanation = routing.explain(request.listener, &host.name, path.path())?;
        report.owner = explanation.owner.map(|owner| Owner {
            host: &owner.host,
            rules: owner.rules().len(),
            beaten: explanation.beaten.iter().map(|rules| &rules.host).collect(),
        });
        let (near, far): (Vec<_>, Vec<_>) = explanation.others.into_iter().partition(|(_, loss)| loss.is_near());
        report.unrelated = far.len();
        let miss = |rule: &Rule, why: String| NearMiss { rule: ReportedRule::of(rule, world), why };
        report.near_misses.extend(near.into_iter().map(|(rule, loss)| miss(rule, loss.to_string())));
        let met = explanation.met;
        let owner_host = explanation.owner.map(|owner| owner.host.to_string()).unwrap_or_default();
        for beaten in explanation.beaten {
            let lost = beaten.rules().iter().find(|rule| rule.path.matches(path.path()));
            let why = format!("is for the host {}, which is less specific than {owner_host}", beaten.host);
            report.near_misses.extend(lost.map(|rule| miss(rule, why)));
        }
        if let (Some(owner), Some(met)) = (explanation.owner, met) {
            report.near_misses.extend(conflicts(owner, met, world));
        }
        report.near_misses.extend(not_ours(&host.name, path.path(), world));
        report.rule = met.map(|rule| ReportedRule::of(rule, world));
        report.policy = met.and_then(|rule| rule.policy.as_deref());
        let found = routing.find(request.listener, &host.name, path.path());
        report.outcome = match (found.outcome(listener.protocol, path.path()), explanation.owner) {
            (Some(Outcome::Redirect(_)), _) => {
                let port = if https_port == 443 { String::new() } else { format!(":{https_port}") };
                let location = format!("https://{}{port}{}", host.name, path.path_and_query());
                ReportedOutcome::Redirect { status: 308, location }
            }
            (Some(Outcome::Action(action)), _) => ReportedOutcome::Target(target(&world.snapshot, action)),
            (None, Some(owner)) => no_route(format!("no rule of the host {} is for this path", owner.host)),
            (None, None) => no_route("no rule is for this host".to_owned()),
        };
        let policy = |name| routing.client_policy(request.listener, name);
        let handshake = (listener.protocol == Protocol::Https).then(|| policy(&request.server_name));
        report.client_certificate = policy(&host.name);
        let refusal = report
            .client_certificate
            .and_then(|policy| client_certificate::refusal(policy, handshake, path.path(), &report.outcome));
        report.outcome = refusal.unwrap_or(report.outcome);
        Some(report)
    }
}

fn no_route(why: String) -> ReportedOutcome<'static> {
    ReportedOutcome::NoRoute { status: 404, reason: "no_route", why }
}

/// What asked for the same host and path, and came later.
fn conflicts(owner: &HostRules, met: &Rule, world: &World) -> Vec<NearMiss> {
    let mut misses = Vec::new();
    for ingress in ingresses(world).filter(|ingress| is_ours(ingress, world)) {
        if &*met.origin.field == DEFAULT_BACKEND && ingress.object != met.origin.object {
            let has_lost = ingress.default_backend.is_some()
                && (ingress.rules.iter().any(|rule| rule.host == owner.host)
                    || (!ingress.has_rules && owner.host == HostPattern::Any));
            let why = format!("is for what no rule takes too, and {} comes first by age and name", met.origin.object);
            let rule = ReportedRule::new(&met.path, &ingress.object, DEFAULT_BACKEND, world);
            misses.extend(has_lost.then_some(NearMiss { rule, why }));
        }
        let rules = ingress.rules.iter().filter(|rule| rule.host == owner.host);
        for path in rules.flat_map(|rule| &rule.paths).filter(|path| path.path == met.path) {
            if (&ingress.object, &path.field) == (&met.origin.object, &met.origin.field) {
                continue;
            }
            let why = if ingress.object == met.origin.object {
                format!("asks for the same host and path, and {} of the same object counts", met.origin.field)
            } else {
                format!("asks for the same host and path, and {} comes first by age and name", met.origin.object)
            };
            misses.push(NearMiss { rule: ReportedRule::new(&path.path, &ingress.object, &path.field, world), why });
        }
    }
    misses
}

/// What would take the request if it were of a class that is served.
fn not_ours(host: &str, path: &str, world: &World) -> Vec<NearMiss> {
    let mut misses = Vec::new();
    for ingress in ingresses(world).filter(|ingress| !is_ours(ingress, world)) {
        let rules = ingress.rules.iter().filter(|rule| rule.host.matches(host));
        let longest = rules.flat_map(|rule| &rule.paths).filter(|rule| rule.path.matches(path)).max_by(|a, b| {
            let length = |path: &PathMatch| path.to_string().len();
            length(&a.path).cmp(&length(&b.path))
        });
        let why = match &ingress.class {
            Some(class) => format!("is not ours: its class is {class}"),
            None => "is not ours: it has no class (see --watch-ingress-without-class)".to_owned(),
        };
        misses.extend(longest.map(|rule| {
            let rule = ReportedRule::new(&rule.path, &ingress.object, &rule.field, world);
            NearMiss { rule, why }
        }));
    }
    misses
}

/// By namespace and name.
fn ingresses(world: &World) -> impl Iterator<Item = &Arc<Ingress>> {
    let mut ingresses: Vec<_> = world.objects.ingresses().collect();
    ingresses.sort_by(|a, b| a.object.cmp(&b.object));
    ingresses.into_iter()
}

fn is_ours(ingress: &Ingress, world: &World) -> bool {
    world.statuses.find(&ingress.object).verdict != Verdict::NotOurs
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        let mut say = |name: &str, value: String| table.row([name.to_owned(), value]);
        say("method", self.method.to_owned());
        say("listener", if self.listener == ListenerName::Https { "https".to_owned() } else { "http".to_owned() });
        if let Some(secrets) = &self.certificates {
            let names: Vec<_> = secrets.iter().map(ToString::to_string).collect();
            say("certificate", if names.is_empty() { "self-made".to_owned() } else { names.join(", ") });
        }
        self.host.into_iter().for_each(|host| say("host", host.to_owned()));
        self.path.into_iter().for_each(|path| say("path", path.to_owned()));
        self.client_certificate.into_iter().for_each(|of| say("client certificate", client_certificate::row(of)));
        if let Some(owner) = &self.owner {
            let beaten: Vec<_> = owner.beaten.iter().map(ToString::to_string).collect();
            let beaten = if beaten.is_empty() { String::new() } else { format!(", before {}", beaten.join(" and ")) };
            say("owner", format!("the host {} with {} rules{beaten}", owner.host, owner.rules));
        }
        if let Some(ReportedRule { rule, object, field, place }) = &self.rule {
            say("rule", rule.clone());
            say("from", format!("{object} {field}"));
            place.iter().for_each(|place| say("described in", place.clone()));
        }
        self.policy.into_iter().for_each(|policy| say("time and tries", policy.to_string()));
        for (name, value) in self.outcome.rows() {
            say(name, value);
        }
        write!(f, "{table}")?;
        self.write_near_misses(f)
    }
}

impl Report<'_> {
    fn write_near_misses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.near_misses.is_empty() {
            writeln!(f, "\nnear misses")?;
        }
        let mut table = Table::default();
        for NearMiss { rule: ReportedRule { rule, object, field, place }, why } in &self.near_misses {
            let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            table.row([format!("  {rule}"), format!("{object} {field}{place}")]);
            table.below([why.clone()]);
        }
        write!(f, "{table}")?;
        if self.unrelated > 0 {
            writeln!(f, "\n{} other rules of the host are for other paths", self.unrelated)?;
        }
        Ok(())
    }
}

impl ReportedOutcome<'_> {
    fn rows(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Refused(Refusal { status, reason, why }) => {
                vec![("action", format!("answers {status} ({reason}): {why}"))]
            }
            Self::NoRoute { status, reason, why } | Self::Forbidden { status, reason, why } => {
                vec![("action", format!("answers {status} ({reason}): {why}"))]
            }
            Self::Redirect { status, location } => vec![("action", format!("redirects with {status} to {location}"))],
            Self::Target(RouteTarget::Respond { status, reason }) => {
                vec![("action", format!("answers {status} ({reason})"))]
            }
            Self::Target(RouteTarget::Backends(backends)) => backends.iter().flat_map(forward_rows).collect(),
        }
    }
}

fn forward_rows(backend: &RouteBackend<'_>) -> Vec<(&'static str, String)> {
    let mut rows = vec![("action", format!("forwards to {}", backend.backend))];
    match &backend.endpoints {
        None => rows
            .push(("endpoints", "none: there is no such Service port, so the answer is 503 (no_backend)".to_owned())),
        Some(endpoints) if endpoints.is_empty() => {
            rows.push(("endpoints", "none is ready, so the answer is 503 (no_endpoint)".to_owned()));
        }
        Some(endpoints) => {
            let has_serving = endpoints.iter().any(|endpoint| endpoint.state == EndpointState::Serving);
            let state = |state| match (state, has_serving) {
                (EndpointState::Serving, _) => "serving",
                (EndpointState::Draining, true) => "draining, not used while others serve",
                (EndpointState::Draining, false) => "draining, used since none other serves",
            };
            rows.extend(endpoints.iter().map(|of| ("endpoint", format!("{} {}", of.address, state(of.state)))));
        }
    }
    rows
}

#[cfg(test)]
mod tests;
