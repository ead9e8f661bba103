//! An Ingress as it is kept: read once into the model's types, what cannot be served left out and reported.
//! Refusals are those of the API server (networking.k8s.io/v1 validation), each of one field and nothing else.

mod backend;
mod client_ca;
mod path;
mod policy;

pub use client_ca::ClientCa;

use super::annotations::{self, Annotations, choice};
use super::interner::Interner;
use super::kept::Named;
use crate::status::{Problem, Reason};
use config::{BackendKey, HostPattern, Kind, ObjectName, ObjectRef, PathMatch, RulePolicy};
use k8s_openapi::api::networking::v1 as k8s;
use std::cmp::Ordering;
use std::sync::Arc;

/// An Ingress.
#[derive(Debug, PartialEq)]
pub struct Ingress {
    /// Its name.
    pub object: Arc<ObjectRef>,
    /// `creationTimestamp` in seconds since the epoch.
    pub created: Option<i64>,
    /// `spec.ingressClassName`, else the annotation `kubernetes.io/ingress.class`.
    pub class: Option<Arc<str>>,
    /// `tidegate.dev/ssl-redirect`, else `nginx.ingress.kubernetes.io/ssl-redirect`.
    pub ssl_redirect: Option<bool>,
    /// `tidegate.dev/request-timeout`, `attempt-timeout`, `attempts` and `retry-on`; `None` where they say nothing.
    pub policy: Option<Arc<RulePolicy>>,
    /// `tidegate.dev/client-ca-secret`; `None`: clients need no certificate.
    pub client_ca: Option<Box<ClientCa>>,
    /// `spec.defaultBackend`.
    pub default_backend: Option<Box<IngressBackend>>,
    /// `spec.rules`, without those whose host is refused.
    pub rules: Box<[IngressRule]>,
    /// Whether `spec.rules` has any entry, even a refused one.
    pub has_rules: bool,
    /// `spec.tls`.
    pub tls: Box<[IngressTls]>,
    /// What is wrong with it.
    pub problems: Box<[Problem]>,
}

/// One entry of `spec.rules`.
#[derive(Debug, PartialEq)]
pub struct IngressRule {
    /// Whose requests it takes.
    pub host: HostPattern,
    /// Its paths, without those that are refused.
    pub paths: Box<[IngressPath]>,
    /// Where it is in the object.
    pub field: Arc<str>,
}

/// One entry of `spec.rules[].http.paths`.
#[derive(Debug, PartialEq)]
pub struct IngressPath {
    /// Its condition.
    pub path: PathMatch,
    /// Where its requests go.
    pub backend: IngressBackend,
    /// Where it is in the object.
    pub field: Arc<str>,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq)]
pub enum IngressBackend {
    /// To a Service port.
    Service(Arc<BackendKey>),
    /// To an object of another kind, which answers 503.
    Resource,
}

/// One entry of `spec.tls`.
#[derive(Debug, PartialEq)]
pub struct IngressTls {
    /// Its hosts, without those that are refused; `None`: it names none, and stands for every host of the Ingress.
    pub hosts: Option<Box<[HostPattern]>>,
    /// Its Secret; `None`: the default certificate.
    pub secret: Option<ObjectName>,
    /// Where it is in the object.
    pub field: Arc<str>,
}

impl Named for Ingress {
    const KIND: Kind = Kind::Ingress;

    fn object(&self) -> &Arc<ObjectRef> {
        &self.object
    }
}

impl Ingress {
    pub(crate) fn read(ingress: k8s::Ingress, object: &Arc<ObjectRef>, names: &mut Interner) -> Self {
        let k8s::Ingress { metadata, spec, status: _ } = ingress;
        let k8s::IngressSpec { default_backend, ingress_class_name, rules, tls } = spec.unwrap_or_default();
        let mut problems = Vec::new();
        let annotations = Annotations::new(Kind::Ingress, metadata.annotations.as_ref(), &mut problems);
        annotations.report_nginx(&mut problems);
        let ssl_redirect = read_ssl_redirect(&annotations, &mut problems);
        let policy = policy::read(&annotations, &mut problems);
        let client_ca = client_ca::read(&annotations, &object.namespace, &mut problems);
        let class = read_class(ingress_class_name, &annotations, &mut problems).map(|class| names.intern(&class));
        let rules = rules.unwrap_or_default();
        let has_rules = !rules.is_empty();
        let mut reading = Reading { namespace: Arc::clone(&object.namespace), has_default: false, names, problems };
        let default_backend =
            default_backend.and_then(|backend| reading.backend(backend, &Arc::from("spec.defaultBackend")));
        reading.has_default = default_backend.is_some();
        if !has_rules && !reading.has_default {
            let message = "neither spec.rules nor a usable spec.defaultBackend is given";
            reading.problems.push(Problem::whole(Reason::NothingToServe, message));
        }
        let rules: Vec<_> =
            rules.into_iter().enumerate().filter_map(|(place, rule)| reading.rule(rule, place)).collect();
        let tls = tls.unwrap_or_default().into_iter().enumerate().map(|(place, tls)| reading.tls(tls, place)).collect();
        Self {
            created: metadata.creation_timestamp.map(|time| time.0.as_second()),
            class,
            ssl_redirect,
            policy,
            client_ca: client_ca.map(Box::new),
            default_backend: default_backend.map(Box::new),
            rules: rules.into(),
            has_rules,
            tls,
            problems: reading.problems.into(),
            object: Arc::clone(object),
        }
    }

    /// The older first, one without a timestamp last, then by namespace and name: who is first wins a conflict.
    #[must_use]
    pub fn cmp_age(&self, other: &Self) -> Ordering {
        let key = |ingress: &Self| (ingress.created.is_none(), ingress.created);
        key(self).cmp(&key(other)).then_with(|| self.object.cmp(&other.object))
    }

    /// Whether `spec.tls` lists the host, itself or by a wildcard, or has an entry for every host.
    #[must_use]
    pub fn has_tls(&self, host: &HostPattern) -> bool {
        let covers = |pattern: &HostPattern| match host {
            HostPattern::Exact(name) => pattern.matches(name),
            HostPattern::Wildcard(_) | HostPattern::Any => pattern == host,
        };
        self.tls.iter().any(|tls| tls.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(covers)))
    }

    /// Every Service port that it names.
    pub fn backends(&self) -> impl Iterator<Item = (&Arc<BackendKey>, &str)> {
        let paths = self.rules.iter().flat_map(|rule| &rule.paths).map(|path| (&path.backend, &*path.field));
        let default = self.default_backend.iter().map(|backend| (&**backend, "spec.defaultBackend"));
        default.chain(paths).filter_map(|(backend, field)| match backend {
            IngressBackend::Service(key) => Some((key, field)),
            IngressBackend::Resource => None,
        })
    }

    /// Every Secret of a certificate that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &ObjectName> {
        self.tls.iter().filter_map(|tls| tls.secret.as_ref())
    }

    /// The Secret of the authorities of clients' certificates that it names.
    #[must_use]
    pub fn client_ca(&self) -> Option<&ObjectName> {
        match self.client_ca.as_deref()? {
            ClientCa::Secret(name) => Some(name),
            ClientCa::Unusable => None,
        }
    }
}

/// What reading the parts of one Ingress needs.
struct Reading<'n> {
    namespace: Arc<str>,
    has_default: bool,
    names: &'n mut Interner,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn report(&mut self, field: &Arc<str>, reason: Reason, message: String) {
        self.problems.push(Problem::at(Arc::clone(field), reason, message));
    }

    fn rule(&mut self, rule: k8s::IngressRule, place: usize) -> Option<IngressRule> {
        let k8s::IngressRule { host, http } = rule;
        let field = self.names.intern(&format!("spec.rules[{place}]"));
        let host = match read_host(host.as_deref(), "leave host out") {
            Ok(host) => host,
            Err(message) => {
                self.report(&Arc::from(format!("{field}.host")), Reason::BadHost, message);
                return None;
            }
        };
        let paths = http.map(|k8s::HTTPIngressRuleValue { paths }| paths).unwrap_or_default();
        if paths.is_empty() && !self.has_default {
            let message =
                format!("host {host} has no path and there is no usable spec.defaultBackend: requests get 404");
            self.report(&field, Reason::NothingToServe, message);
        }
        let paths = paths.into_iter().enumerate().filter_map(|(place, path)| self.path(path, &field, place)).collect();
        Some(IngressRule { host, paths, field })
    }

    fn path(&mut self, path: k8s::HTTPIngressPath, rule: &str, place: usize) -> Option<IngressPath> {
        let k8s::HTTPIngressPath { backend, path, path_type } = path;
        let field = self.names.intern(&format!("{rule}.http.paths[{place}]"));
        match path::read(path.as_deref().unwrap_or_default(), &path_type) {
            Ok(path) => {
                let path = self.names.intern_path(&path);
                Some(IngressPath { path, backend: self.backend(backend, &field)?, field })
            }
            Err((reason, message)) => {
                self.report(&field, reason, message);
                None
            }
        }
    }

    fn tls(&mut self, tls: k8s::IngressTLS, place: usize) -> IngressTls {
        let k8s::IngressTLS { hosts, secret_name } = tls;
        let field = self.names.intern(&format!("spec.tls[{place}]"));
        let hosts = hosts.filter(|hosts| hosts.iter().any(|host| !host.is_empty())).map(|hosts| {
            let hosts = hosts.iter().enumerate().filter(|(_, host)| !host.is_empty());
            let read = hosts.filter_map(|(place, host)| {
                let pattern = read_host(Some(host), "leave hosts out");
                let refused = |message| {
                    let field = Arc::from(format!("{field}.hosts[{place}]"));
                    self.report(&field, Reason::BadHost, message);
                };
                pattern.map_err(refused).ok()
            });
            read.collect()
        });
        let secret = secret_name
            .filter(|name| !name.is_empty())
            .map(|name| ObjectName { namespace: Arc::clone(&self.namespace), name: self.names.intern(&name) });
        IngressTls { hosts, secret, field }
    }
}

/// Reads a host; `for_any` is what to do instead of a star alone.
fn read_host(host: Option<&str>, for_any: &str) -> Result<HostPattern, String> {
    HostPattern::parse(host).map_err(|message| match host.unwrap_or_default() {
        "*" => format!("host *: a star stands for one label, as in *.example.com; for every host {for_any}"),
        host => format!("{host:?}: {message}"),
    })
}

fn read_ssl_redirect(annotations: &Annotations<'_>, problems: &mut Vec<Problem>) -> Option<bool> {
    // The spellings that ingress-nginx takes (Go's `strconv.ParseBool`).
    const NGINX: [(&str, bool); 12] = [
        ("true", true),
        ("false", false),
        ("1", true),
        ("t", true),
        ("T", true),
        ("TRUE", true),
        ("True", true),
        ("0", false),
        ("f", false),
        ("F", false),
        ("FALSE", false),
        ("False", false),
    ];
    let own = annotations.value(
        annotations::SSL_REDIRECT,
        |text| choice(text, &[("true", true), ("false", false)]),
        problems,
    );
    let nginx = annotations.value(annotations::NGINX_SSL_REDIRECT, |text| choice(text, &NGINX), problems);
    own.or(nginx)
}

fn read_class(field: Option<String>, annotations: &Annotations<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    let field = field.filter(|class| !class.is_empty());
    let annotation = annotations.text(annotations::CLASS).filter(|class| !class.is_empty());
    if let (Some(field), Some(annotation)) = (&field, annotation)
        && field != annotation
    {
        let message = format!("class {annotation:?} differs from spec.ingressClassName {field:?}, which counts");
        problems.push(Problem::at(annotations::field(annotations::CLASS), Reason::ClassesDiffer, message));
    }
    field.or_else(|| annotation.map(str::to_owned))
}
