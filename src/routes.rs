//! The routing table as a person reads it: for `tidegate routes` and the admin endpoint's `/routes`.

use crate::cli::{Output, RoutesFlags};
use crate::offline::World;
use crate::settings::translate_settings;
use crate::text::{Table, json};
use config::{
    Action, CertificateTable, EndpointAddress, EndpointState, HostPattern, ListenerName, ObjectRef, PlainHttp, Rule,
    RulePolicy, Snapshot, Target,
};
use serde::Serialize;
use std::sync::Arc;

/// Endpoints in a row of the text before they are counted instead.
const SHOWN_ENDPOINTS: usize = 2;

/// Reads, translates and prints.
pub(crate) fn routes(flags: RoutesFlags) -> anyhow::Result<String> {
    let RoutesFlags { source, output, objects } = flags;
    let world = World::read(source.manifests, translate_settings(objects))?;
    world.tell_unread();
    render(&world.snapshot, output)
}

/// The routing table of a snapshot.
pub(crate) fn render(snapshot: &Snapshot, output: Output) -> anyhow::Result<String> {
    let routes = all(snapshot);
    Ok(match output {
        Output::Text => text(&routes),
        Output::Json => json(&routes)?,
    })
}

/// One rule.
#[derive(Debug, Serialize)]
pub(crate) struct Route<'s> {
    pub(crate) host: &'s HostPattern,
    pub(crate) path: String,
    #[serde(rename = "type")]
    pub(crate) path_type: &'static str,
    #[serde(flatten)]
    pub(crate) target: RouteTarget<'s>,
    pub(crate) tls: RouteTls<'s>,
    /// What the rule says of time and of tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<&'s RulePolicy>,
    pub(crate) object: &'s Arc<ObjectRef>,
    pub(crate) field: &'s Arc<str>,
}

/// Where a rule leads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RouteTarget<'s> {
    /// To these backends.
    Backends(Vec<RouteBackend<'s>>),
    /// To an answer made here.
    Respond {
        /// Its status code.
        status: u16,
        /// The reason word of the access log.
        reason: &'static str,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct RouteBackend<'s> {
    pub(crate) backend: String,
    pub(crate) weight: u32,
    /// `None`: no such Service port.
    pub(crate) endpoints: Option<Vec<RouteEndpoint<'s>>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RouteEndpoint<'s> {
    pub(crate) address: &'s EndpointAddress,
    pub(crate) state: EndpointState,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct RouteTls<'s> {
    /// Where the certificates come from; empty: the self-made one of the run.
    pub(crate) secrets: Vec<&'s ObjectRef>,
    /// Whether plain HTTP is sent to HTTPS.
    pub(crate) redirects: bool,
    /// Where the authorities of clients' certificates come from; `None`: clients need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca: Option<&'s ObjectRef>,
}

/// Every rule: hosts in order, and within a host the most specific path first.
pub(crate) fn all(snapshot: &Snapshot) -> Vec<Route<'_>> {
    // Both listeners have the same hosts; the TLS one knows the certificates as well.
    let Some(listener) = snapshot.routing.listener(ListenerName::Https) else { return Vec::new() };
    let mut hosts: Vec<_> = listener.hosts.iter().map(|rules| &**rules).collect();
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    let mut all = Vec::with_capacity(hosts.iter().map(|rules| rules.rules().len()).sum());
    for rules in hosts {
        let policies = snapshot.routing.client_policies.as_ref();
        let tls = RouteTls {
            secrets: secrets(&listener.certificates, &rules.host),
            redirects: false,
            client_ca: policies.and_then(|policies| policies.of(&rules.host)).map(|policy| &policy.source),
        };
        all.extend(rules.rules().iter().map(|rule| route(snapshot, &rules.host, rule, &tls)));
    }
    all
}

fn route<'s>(snapshot: &'s Snapshot, host: &'s HostPattern, rule: &'s Rule, tls: &RouteTls<'s>) -> Route<'s> {
    let display = rule.path.to_string();
    let (path_type, path) = match display.split_once(' ') {
        Some(("Exact", path)) => ("Exact", path),
        Some((_, path)) => ("Prefix", path),
        None => ("Prefix", display.as_str()),
    };
    Route {
        host,
        path: path.to_owned(),
        path_type,
        target: target(snapshot, &rule.action),
        tls: RouteTls { redirects: rule.plain_http == PlainHttp::RedirectToHttps, ..tls.clone() },
        policy: rule.policy.as_deref(),
        object: &rule.origin.object,
        field: &rule.origin.field,
    }
}

/// Where an action leads.
pub(crate) fn target<'s>(snapshot: &'s Snapshot, action: &'s Action) -> RouteTarget<'s> {
    match action {
        Action::Respond(respond) => RouteTarget::Respond { status: respond.status, reason: respond.reason },
        Action::Forward(split) => {
            RouteTarget::Backends(split.targets.iter().map(|target| backend(snapshot, target)).collect())
        }
    }
}

fn backend<'s>(snapshot: &'s Snapshot, target: &'s Target) -> RouteBackend<'s> {
    let endpoint = |endpoint: &'s config::Endpoint| RouteEndpoint { address: &endpoint.address, state: endpoint.state };
    let backend = snapshot.backends.find(&target.backend);
    RouteBackend {
        backend: target.backend.to_string(),
        weight: target.weight,
        endpoints: backend.map(|backend| backend.endpoints.iter().map(endpoint).collect()),
    }
}

/// The Secrets whose certificates are shown for a host.
pub(crate) fn secrets<'s>(certificates: &'s CertificateTable, host: &HostPattern) -> Vec<&'s ObjectRef> {
    let server_name = match host {
        HostPattern::Exact(name) => Some(name.to_string()),
        HostPattern::Wildcard(suffix) => Some(format!("*.{suffix}")),
        HostPattern::Any => None,
    };
    certificates.find(server_name.as_deref()).iter().map(|certificate| &certificate.source).collect()
}

fn text(routes: &[Route<'_>]) -> String {
    if routes.is_empty() {
        return "no routes\n".to_owned();
    }
    let mut table = Table::default();
    table.row(["HOST", "PATH", "TYPE", "BACKEND", "ENDPOINTS", "TLS", "OBJECT"].map(str::to_owned));
    for route in routes {
        let (backend, endpoints) = match &route.target {
            RouteTarget::Respond { status, reason } => (format!("answers {status} ({reason})"), String::new()),
            RouteTarget::Backends(backends) => (
                join(backends.iter().map(|of| {
                    if backends.len() > 1 { format!("{}×{}", of.backend, of.weight) } else { of.backend.clone() }
                })),
                join(backends.iter().map(|of| endpoints(of.endpoints.as_deref()))),
            ),
        };
        let object = route.object.to_string();
        table.row([
            route.host.to_string(),
            route.path.clone(),
            route.path_type.to_owned(),
            backend,
            endpoints,
            tls(&route.tls),
            object,
        ]);
    }
    table.to_string()
}

fn tls(tls: &RouteTls<'_>) -> String {
    let name = |secret: &&ObjectRef| format!("{}/{}", secret.namespace, secret.name);
    let secrets = if tls.secrets.is_empty() { "self-made".to_owned() } else { join(tls.secrets.iter().map(name)) };
    let redirects = tls.redirects.then(|| ", redirects".to_owned());
    let clients = tls.client_ca.as_ref().map(|source| format!(", clients by {}", name(source)));
    [Some(secrets), redirects, clients].into_iter().flatten().collect()
}

fn endpoints(endpoints: Option<&[RouteEndpoint<'_>]>) -> String {
    let Some(endpoints) = endpoints else { return "no such Service port".to_owned() };
    let show = |endpoint: &RouteEndpoint<'_>| match endpoint.state {
        EndpointState::Serving => endpoint.address.to_string(),
        EndpointState::Draining => format!("{} (draining)", endpoint.address),
    };
    match endpoints.len() {
        0 => "none".to_owned(),
        count if count <= SHOWN_ENDPOINTS => join(endpoints.iter().map(show)),
        count => {
            format!("{} and {} more", join(endpoints.iter().take(SHOWN_ENDPOINTS).map(show)), count - SHOWN_ENDPOINTS)
        }
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
