//! Certificates by server name, from `spec.tls` of all Ingresses; the oldest wins where two declare one host.
//! A change of an Ingress or a Secret rebuilds the names that it declares or covers, and no other.

mod problems;

pub(super) use problems::{ingress_problems, secret_problem};

use super::by_object::{ByObject, note_differences};
use super::{Stale, Transition, insert_by_age};
use crate::objects::{Ingress, IngressTls, Objects};
use crate::status::{Problem, Reason};
use config::{Certificate, CertificateTable, HostPattern, ObjectName};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The certificate table and what it was made from.
#[derive(Debug)]
pub(super) struct Certificates {
    /// By host of `spec.tls`.
    sources: FxHashMap<HostPattern, Sources>,
    /// By name, for every Secret that an Ingress names.
    secrets: FxHashMap<ObjectName, NamedSecret>,
    /// By subjectAltName, the Secrets whose certificates have it.
    covering: FxHashMap<HostPattern, BTreeSet<ObjectName>>,
    /// Those with an entry without hosts, the oldest first.
    hostless: Vec<Arc<Ingress>>,
    default: Option<ObjectName>,
    pub(super) table: Arc<CertificateTable>,
}

/// Who declares a host.
#[derive(Debug, Default)]
struct Sources {
    /// The oldest first.
    ingresses: Vec<Arc<Ingress>>,
    conflicts: Conflicts,
}

/// Who names a Secret.
#[derive(Debug, Default)]
struct NamedSecret {
    /// The oldest first.
    ingresses: Vec<Arc<Ingress>>,
    /// Its certificate, as it is in the table.
    certificate: Option<Arc<Certificate>>,
}

impl Certificates {
    pub(super) fn new(default: Option<ObjectName>) -> Self {
        let (sources, secrets, covering, hostless, table) = Default::default();
        Self { sources, secrets, covering, hostless, default, table }
    }

    /// Rebuilds the names that a change concerns.
    pub(super) fn update(
        &mut self,
        transitions: &[Transition],
        changed: impl Iterator<Item = ObjectName>,
        objects: &Objects,
        stale: &mut Stale,
    ) {
        let mut hosts = FxHashSet::default();
        let mut secrets = FxHashSet::default();
        for Transition { before, after } in transitions {
            before.iter().for_each(|ingress| self.forget(ingress));
            after.iter().for_each(|ingress| self.learn(ingress));
            for ingress in before.iter().chain(after) {
                hosts.extend(hosts_of(ingress).cloned());
                secrets.extend(ingress.secrets().cloned());
            }
        }
        for secret in changed {
            for ingress in self.secrets.get(&secret).iter().flat_map(|secret| &secret.ingresses) {
                hosts.extend(hosts_of(ingress).cloned());
                stale.insert(Arc::clone(&ingress.object));
            }
            secrets.insert(secret);
        }
        let mut names = FxHashSet::default();
        secrets.iter().for_each(|secret| self.take_certificate(secret, objects, &mut names));
        let covered: Vec<_> = names.into_iter().map(|name| self.covering_certificates(name)).collect();
        let declared: Vec<_> = hosts.into_iter().map(|host| self.choose(host, objects, stale)).collect();
        let default = self.default_certificates(objects);
        if let Some(table) = self.table.patched(declared, covered, default) {
            self.table = Arc::new(table);
        }
    }

    fn learn(&mut self, ingress: &Arc<Ingress>) {
        for host in hosts_of(ingress) {
            insert_by_age(&mut self.sources.entry(host.clone()).or_default().ingresses, ingress);
        }
        for secret in ingress.secrets() {
            insert_by_age(&mut self.secrets.entry(secret.clone()).or_default().ingresses, ingress);
        }
        if ingress.tls.iter().any(|tls| tls.hosts.is_none()) {
            insert_by_age(&mut self.hostless, ingress);
        }
    }

    fn forget(&mut self, ingress: &Arc<Ingress>) {
        let is_other = |known: &Arc<Ingress>| !Arc::ptr_eq(known, ingress);
        for host in hosts_of(ingress) {
            if let Some(sources) = self.sources.get_mut(host) {
                sources.ingresses.retain(is_other);
            }
        }
        for secret in ingress.secrets() {
            if let Some(secret) = self.secrets.get_mut(secret) {
                secret.ingresses.retain(is_other);
            }
        }
        self.hostless.retain(is_other);
    }

    /// Takes the certificate that a Secret has now, with the names that it covers and those that it did.
    fn take_certificate(&mut self, name: &ObjectName, objects: &Objects, names: &mut FxHashSet<HostPattern>) {
        let Some(secret) = self.secrets.get_mut(name) else { return };
        let is_named = !secret.ingresses.is_empty();
        let certificate = objects.secret(name).and_then(|kept| kept.certificate.clone()).filter(|_| is_named);
        let before = std::mem::replace(&mut secret.certificate, certificate.clone());
        if !is_named {
            self.secrets.remove(name);
        }
        for pattern in before.iter().flat_map(|certificate| certificate.patterns()) {
            if let Some(secrets) = self.covering.get_mut(&pattern) {
                secrets.remove(name);
                if secrets.is_empty() {
                    self.covering.remove(&pattern);
                }
            }
            names.insert(pattern);
        }
        for pattern in certificate.iter().flat_map(|certificate| certificate.patterns()) {
            self.covering.entry(pattern.clone()).or_default().insert(name.clone());
            names.insert(pattern);
        }
    }

    /// The certificates with a subjectAltName: that of the oldest Ingress first, and others of its namespace.
    fn covering_certificates(&self, name: HostPattern) -> (HostPattern, Vec<Arc<Certificate>>) {
        let secrets = self.covering.get(&name).into_iter().flatten();
        let mut named: Vec<_> = secrets
            .filter_map(|secret| {
                let NamedSecret { ingresses, certificate } = self.secrets.get(secret)?;
                Some((ingresses.first()?, certificate.as_ref()?))
            })
            .collect();
        named.sort_by(|(a, _), (b, _)| a.cmp_age(b));
        let namespace = named.first().map(|(ingress, _)| &ingress.object.namespace);
        let of_namespace = named.iter().filter(|(ingress, _)| Some(&ingress.object.namespace) == namespace);
        let certificates = of_namespace.map(|(_, certificate)| Arc::clone(certificate)).collect();
        (name, certificates)
    }

    /// The certificates of a host: the oldest that covers it, with others of its namespace for other kinds of key. One
    /// that does not cover it is better than none.
    fn choose(
        &mut self,
        host: HostPattern,
        objects: &Objects,
        stale: &mut Stale,
    ) -> (HostPattern, Vec<Arc<Certificate>>) {
        let Some(sources) = self.sources.get_mut(&host) else { return (host, Vec::new()) };
        let declarations: Vec<_> =
            sources.ingresses.iter().flat_map(|ingress| declarations(ingress, &host, objects)).collect();
        let (chosen, conflicts) = arbitrate(&host, &declarations);
        let before = std::mem::replace(&mut sources.conflicts, conflicts);
        note_differences(&before, &sources.conflicts, stale);
        if sources.ingresses.is_empty() {
            self.sources.remove(&host);
        }
        (host, chosen)
    }

    /// `--default-tls-secret`; without one, the certificates of the oldest Ingress that names one for no host in
    /// particular: "defaults to the wildcard host setting for the loadbalancer controller" (`IngressTLS.hosts`).
    fn default_certificates(&self, objects: &Objects) -> Vec<Arc<Certificate>> {
        let certificate = |secret: &ObjectName| objects.secret(secret)?.certificate.clone();
        if let Some(certificate) = self.default.as_ref().and_then(certificate) {
            return vec![certificate];
        }
        let of_ingress = |ingress: &Arc<Ingress>| {
            let hostless = ingress.tls.iter().filter(|tls| tls.hosts.is_none());
            hostless.filter_map(|tls| certificate(tls.secret.as_ref()?)).collect::<Vec<_>>()
        };
        self.hostless.iter().map(of_ingress).find(|certificates| !certificates.is_empty()).unwrap_or_default()
    }

    /// The hosts of an Ingress whose certificate is that of another.
    pub(super) fn conflicts(&self, ingress: &Ingress) -> impl Iterator<Item = &Problem> {
        let hosts: BTreeSet<_> = hosts_of(ingress).collect();
        let sources = hosts.into_iter().filter_map(|host| self.sources.get(host));
        sources.filter_map(|sources| sources.conflicts.find(&ingress.object)).flatten()
    }
}

/// A certificate as an Ingress declares it for a host.
struct Declaration<'i> {
    ingress: &'i Ingress,
    field: &'i Arc<str>,
    certificate: &'i Arc<Certificate>,
}

fn declarations<'i>(
    ingress: &'i Ingress,
    host: &HostPattern,
    objects: &'i Objects,
) -> impl Iterator<Item = Declaration<'i>> {
    let lists_host = move |tls: &&IngressTls| tls.hosts.as_ref().is_some_and(|hosts| hosts.contains(host));
    ingress.tls.iter().filter(lists_host).filter_map(move |tls| {
        let certificate = objects.secret(tls.secret.as_ref()?)?.certificate.as_ref()?;
        Some(Declaration { ingress, field: &tls.field, certificate })
    })
}

type Conflicts = ByObject<Vec<Problem>>;

/// The certificates that a host gets, and what is told to those whose are not among them.
fn arbitrate(host: &HostPattern, declarations: &[Declaration<'_>]) -> (Vec<Arc<Certificate>>, Conflicts) {
    let name = host.to_string();
    let mut conflicts = Conflicts::default();
    let mut covering = declarations.iter().filter(|declaration| declaration.certificate.covers(&name));
    let Some(owner) = covering.next().or(declarations.first()) else { return (Vec::new(), conflicts) };
    let mut chosen = vec![Arc::clone(owner.certificate)];
    for Declaration { ingress, field, certificate } in covering {
        let is_same_namespace = certificate.source.namespace == owner.certificate.source.namespace;
        if chosen.iter().any(|chosen| chosen.source == certificate.source) {
            continue;
        }
        if is_same_namespace && chosen.iter().all(|chosen| chosen.key_kind != certificate.key_kind) {
            chosen.push(Arc::clone(certificate));
            continue;
        }
        let message = format!(
            "host {host}: the certificate is that of {}, for {} of {}, which comes first by age and name",
            owner.certificate.source, owner.field, owner.ingress.object
        );
        let problem = Problem::at(Arc::clone(field), Reason::Conflict, message);
        conflicts.entry(&ingress.object).push(problem);
    }
    (chosen, conflicts)
}

fn hosts_of(ingress: &Ingress) -> impl Iterator<Item = &HostPattern> {
    ingress.tls.iter().filter_map(|tls| tls.hosts.as_ref()).flatten()
}
