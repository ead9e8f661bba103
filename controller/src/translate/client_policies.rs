//! Whose certificates the clients of a host must have, from the annotations of all its Ingresses; the oldest wins.
//! One Ingress that asks protects the whole host, and what cannot be had is a policy that no client meets.

use super::by_object::{ByObject, note_differences};
use super::hosts::hosts_of;
use super::{Stale, Transition, insert_by_age};
use crate::objects::annotations::{CLIENT_CA, field};
use crate::objects::{ClientCa, Ingress, Objects, secret_ref};
use crate::status::{Problem, Reason};
use config::{ClientPolicy, ClientPolicyTable, HostPattern, ObjectName};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// The policies and what they were made from; knows only Ingresses that ask for certificates.
#[derive(Debug, Default)]
pub(super) struct ClientPolicies {
    sources: FxHashMap<HostPattern, Sources>,
    /// By the Secret that they name.
    by_secret: FxHashMap<ObjectName, Vec<Arc<Ingress>>>,
    /// `None`: no host has one.
    pub(super) table: Option<Arc<ClientPolicyTable>>,
}

/// Who asks for the clients of a host to be verified.
#[derive(Debug, Default)]
struct Sources {
    /// The oldest first.
    ingresses: Vec<Arc<Ingress>>,
    conflicts: Conflicts,
}

type Conflicts = ByObject<Vec<Problem>>;

impl ClientPolicies {
    /// Rebuilds the hosts that a change of an Ingress or of a Secret concerns.
    pub(super) fn update(
        &mut self,
        transitions: &[Transition],
        secrets: &[ObjectName],
        objects: &Objects,
        stale: &mut Stale,
    ) {
        let mut hosts = FxHashSet::default();
        for Transition { before, after } in transitions {
            let asks = |ingress: &&Arc<Ingress>| ingress.client_ca.is_some();
            before.iter().filter(asks).for_each(|ingress| self.forget(ingress));
            after.iter().filter(asks).for_each(|ingress| self.learn(ingress));
            hosts.extend(before.iter().chain(after).filter(asks).flat_map(|ingress| protected_by(ingress)));
        }
        for ingress in secrets.iter().filter_map(|secret| self.by_secret.get(secret)).flatten() {
            hosts.extend(protected_by(ingress));
            stale.insert(Arc::clone(&ingress.object));
        }
        hosts.into_iter().for_each(|host| self.rebuild(&host, objects, stale));
        self.table.take_if(|table| table.is_empty());
    }

    fn learn(&mut self, ingress: &Arc<Ingress>) {
        for host in protected_by(ingress) {
            insert_by_age(&mut self.sources.entry(host).or_default().ingresses, ingress);
        }
        if let Some(secret) = ingress.client_ca() {
            insert_by_age(self.by_secret.entry(secret.clone()).or_default(), ingress);
        }
    }

    fn forget(&mut self, ingress: &Arc<Ingress>) {
        let is_other = |known: &Arc<Ingress>| !Arc::ptr_eq(known, ingress);
        for host in protected_by(ingress) {
            if let Some(sources) = self.sources.get_mut(&host) {
                sources.ingresses.retain(is_other);
            }
        }
        if let Some(secret) = ingress.client_ca()
            && let Some(ingresses) = self.by_secret.get_mut(secret)
        {
            ingresses.retain(is_other);
            if ingresses.is_empty() {
                self.by_secret.remove(secret);
            }
        }
    }

    /// Puts the policy of a host into the table, if it is not there. The first change copies the table.
    fn rebuild(&mut self, host: &HostPattern, objects: &Objects, stale: &mut Stale) {
        let Some(sources) = self.sources.get_mut(host) else { return };
        let before = std::mem::replace(&mut sources.conflicts, conflicts(host, &sources.ingresses));
        note_differences(&before, &sources.conflicts, stale);
        let policy = sources.ingresses.first().map(|ingress| policy(ingress, objects));
        if policy.is_none() {
            self.sources.remove(host);
        }
        if self.table.as_ref().and_then(|table| table.of(host)) != policy.as_ref() {
            Arc::make_mut(self.table.get_or_insert_default()).put(host, policy);
        }
    }

    /// The hosts of an Ingress whose policy is that of another.
    pub(super) fn conflicts(&self, ingress: &Ingress) -> impl Iterator<Item = &Problem> {
        let hosts = ingress.client_ca.as_ref().map(|_| protected_by(ingress)).unwrap_or_default();
        let sources = hosts.into_iter().filter_map(|host| self.sources.get(&host));
        sources.filter_map(|sources| sources.conflicts.find(&ingress.object)).flatten()
    }
}

/// What is wrong with the Secret that an Ingress names, whoever else names it.
pub(super) fn secret_problem(ingress: &Ingress, objects: &Objects) -> Option<Problem> {
    let name = ingress.client_ca()?;
    let kept = objects.secret(name);
    let effect = match kept.and_then(|kept| kept.authorities.as_ref()) {
        Some(_) => "its last good authorities count",
        None => "no client can be verified: requests over TLS are answered with 503",
    };
    if let Some(reason) = objects.secret_refusal(name) {
        let message = format!("Secret {name} may not be read: {reason}, {effect}");
        return Some(Problem::at(field(CLIENT_CA), Reason::SecretForbidden, message));
    }
    let (reason, message) = match kept {
        None => (Reason::SecretNotFound, format!("Secret {name} does not exist, {effect}")),
        Some(kept) if !kept.exists => {
            (Reason::SecretNotFound, format!("Secret {name} does not exist any more, {effect}"))
        }
        Some(kept) => {
            let problem = kept.authorities_problem.as_ref()?;
            (Reason::BadCertificate, format!("Secret {name}: {problem}, {effect}"))
        }
    };
    Some(Problem::at(field(CLIENT_CA), reason, message))
}

/// The hosts of an Ingress, each once: those of its rules, and those of `spec.tls`.
fn protected_by(ingress: &Ingress) -> Vec<HostPattern> {
    let of_tls = ingress.tls.iter().filter_map(|tls| tls.hosts.as_ref()).flatten();
    let mut hosts: Vec<_> = hosts_of(ingress).into_iter().chain(of_tls).cloned().collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn policy(ingress: &Ingress, objects: &Objects) -> Arc<ClientPolicy> {
    let Some(secret) = ingress.client_ca() else {
        return Arc::new(ClientPolicy::without_anchors((*ingress.object).clone()));
    };
    let known = objects.secret(secret).and_then(|kept| kept.authorities.clone());
    known.unwrap_or_else(|| Arc::new(ClientPolicy::without_anchors(secret_ref(secret))))
}

/// What is told to those whose annotation does not count, since an older one says something else.
fn conflicts(host: &HostPattern, ingresses: &[Arc<Ingress>]) -> Conflicts {
    let mut conflicts = Conflicts::default();
    let Some((winner, others)) = ingresses.split_first() else { return conflicts };
    let name = if *host == HostPattern::Any { "any host".to_owned() } else { format!("host {host}") };
    for loser in others.iter().filter(|other| other.client_ca != winner.client_ca) {
        let what = match winner.client_ca.as_deref() {
            Some(ClientCa::Secret(secret)) => format!("clients are verified with Secret {secret}"),
            _ => "no client can be verified".to_owned(),
        };
        let message = format!("{name}: {what}, for {}, which comes first by age and name", winner.object);
        conflicts.entry(&loser.object).push(Problem::at(field(CLIENT_CA), Reason::Conflict, message));
    }
    conflicts
}
