//! Objects to snapshot and statuses: pure, total, and for each change only as much work as the change needs.

mod backends;
mod by_object;
mod certificates;
mod class;
mod client_policies;
mod hosts;
mod names;
mod statuses;
mod wanted;

use crate::objects::{Changes, Ingress, Kept, Objects, Replaced, secret_ref};
use crate::status::Statuses;
use backends::Backends;
use certificates::Certificates;
use client_policies::ClientPolicies;
use config::{
    BackendTable, DomainName, IngressSettings, Kind, Listener, ListenerName, NameTable, ObjectName, ObjectRef,
    Protocol, RoutingTable, Snapshot,
};
use hosts::Hosts;
use names::Names;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::sync::Arc;
use wanted::Wanted;

/// The settings that translation depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslateSettings {
    /// Which objects are ours and how Ingresses are read.
    pub ingress: IngressSettings,
    /// The cluster's DNS zone.
    pub cluster_domain: DomainName,
}

/// What objects mean: the parts of a snapshot, and what became of each object.
#[derive(Debug, Clone)]
pub struct Translation {
    /// Listeners, hosts, rules, certificates and what is asked of those of clients.
    pub routing: Arc<RoutingTable>,
    /// Service ports and their endpoints.
    pub backends: Arc<BackendTable>,
    /// The cluster's DNS zone.
    pub names: Arc<NameTable>,
    /// What became of each object.
    pub statuses: Arc<Statuses>,
}

impl Translation {
    /// The snapshot of that generation.
    #[must_use]
    pub fn snapshot(&self, generation: u64) -> Snapshot {
        let Self { routing, backends, names, statuses: _ } = self;
        Snapshot { generation, routing: Arc::clone(routing), backends: Arc::clone(backends), names: Arc::clone(names) }
    }
}

/// Translates from nothing.
#[must_use]
pub fn translate(objects: &Objects, settings: &TranslateSettings) -> Translation {
    let mut translator = Translator::new(settings.clone());
    translator.update(objects, &objects.everything());
    translator.translation
}

/// Translates again and again, from what has changed: parts whose inputs did not change are the same `Arc` as before.
#[derive(Debug)]
pub struct Translator {
    settings: TranslateSettings,
    /// The Ingresses that are ours, as they were last translated.
    ours: Kept<Ingress>,
    hosts: Hosts,
    certificates: Certificates,
    client_policies: ClientPolicies,
    backends: Backends,
    names: Names,
    wanted: Wanted,
    translation: Translation,
}

/// An Ingress of ours that came, changed or went.
type Transition = Replaced<Ingress>;

/// Objects whose status may have changed.
type Stale = FxHashSet<Arc<ObjectRef>>;

impl Translator {
    /// Knows no objects yet.
    #[must_use]
    pub fn new(settings: TranslateSettings) -> Self {
        let ingress = &settings.ingress;
        let hosts = Hosts::new(ingress);
        let certificates = Certificates::new(ingress.default_tls_secret.clone());
        let backends = Backends::new(ingress.default_backend.as_ref().map(|default| default.0.clone()));
        let names = Names::new(settings.cluster_domain.clone());
        let client_policies = ClientPolicies::default();
        let wanted = Wanted::new(ingress.default_tls_secret.clone());
        let translation = Translation {
            routing: build_routing(&hosts, &certificates, &client_policies),
            backends: Arc::clone(&backends.table),
            names: Arc::clone(&names.table),
            statuses: Arc::default(),
        };
        let ours = Kept::default();
        Self { settings, ours, hosts, certificates, client_policies, backends, names, wanted, translation }
    }

    /// Translates what has changed since the last call; always with the same `objects`.
    pub fn translate(&mut self, objects: &mut Objects) -> Translation {
        let changes = objects.take_changes();
        self.update(objects, &changes);
        self.translation.clone()
    }

    /// The Secrets that objects of ours name, and those that settings do; the same `Arc` as long as they are the same.
    #[must_use]
    pub fn wanted_secrets(&self) -> &Arc<BTreeSet<ObjectName>> {
        &self.wanted.names
    }

    fn update(&mut self, objects: &Objects, changes: &Changes) {
        let mut stale: Stale = changes.objects.clone();
        // What settings name has a status even if no such object ever comes.
        let ingress = &self.settings.ingress;
        stale.extend(ingress.default_backend.iter().map(|key| Arc::new(key.0.service_ref())));
        stale.extend(ingress.default_tls_secret.iter().map(|name| Arc::new(secret_ref(name))));

        let transitions = self.transitions(objects, &mut stale);
        self.wanted.update(&transitions);
        self.hosts.update(&transitions, &mut stale);
        let of_kind = |kind| changes.objects.iter().filter(move |object| object.kind == kind);
        let secrets: Vec<_> = of_kind(Kind::Secret).map(|object| ObjectName::from(&**object)).collect();
        self.client_policies.update(&transitions, &secrets, objects, &mut stale);
        self.certificates.update(&transitions, secrets.into_iter(), objects, &mut stale);
        self.backends.update(&transitions, &changes.services, objects, &mut stale);
        stale.extend(changes.imports.iter().map(|import| {
            Arc::new(ObjectRef::new(Kind::ServiceImport, Arc::clone(&import.namespace), Arc::clone(&import.name)))
        }));
        for service in of_kind(Kind::Service) {
            stale.extend(self.backends.named_by(&ObjectName::from(&**service)).cloned());
        }

        if !self.is_routing_current() {
            self.translation.routing = build_routing(&self.hosts, &self.certificates, &self.client_policies);
        }
        self.translation.backends = Arc::clone(&self.backends.table);
        self.names.update(changes, objects);
        self.translation.names = Arc::clone(&self.names.table);
        self.update_statuses(&stale, objects);
    }

    fn is_routing_current(&self) -> bool {
        let routing = &self.translation.routing;
        let has_same_policies = match (&routing.client_policies, &self.client_policies.table) {
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (before, after) => before.is_none() && after.is_none(),
        };
        has_same_policies
            && routing.listener(ListenerName::Https).is_some_and(|listener| {
                Arc::ptr_eq(&listener.hosts, &self.hosts.table)
                    && Arc::ptr_eq(&listener.certificates, &self.certificates.table)
            })
    }

    /// Which Ingresses of ours came, changed or went; those whose class changed are stale even if they did not.
    fn transitions(&mut self, objects: &Objects, stale: &mut Stale) -> Vec<Transition> {
        let classes: FxHashSet<_> = stale
            .iter()
            .filter(|object| object.kind == Kind::IngressClass)
            .map(|object| Arc::clone(&object.name))
            .collect();
        if !classes.is_empty() {
            let is_concerned =
                |ingress: &&Arc<Ingress>| ingress.class.as_ref().is_some_and(|class| classes.contains(class));
            stale.extend(objects.ingresses().filter(is_concerned).map(|ingress| Arc::clone(&ingress.object)));
        }
        let mut transitions = Vec::new();
        for object in stale.iter().filter(|object| object.kind == Kind::Ingress) {
            let name = ObjectName::from(&**object);
            let ours = |ingress: &&Arc<Ingress>| class::foreign(ingress, objects, &self.settings).is_none();
            let after = objects.ingress(&name).filter(ours).cloned();
            let before = match &after {
                Some(after) => self.ours.insert(Arc::clone(after)),
                None => self.ours.remove(object),
            };
            let is_same = match (&before, &after) {
                (Some(before), Some(after)) => Arc::ptr_eq(before, after),
                (before, after) => before.is_none() && after.is_none(),
            };
            if !is_same {
                transitions.push(Transition { before, after });
            }
        }
        transitions
    }

    fn update_statuses(&mut self, stale: &Stale, objects: &Objects) {
        for object in stale {
            let status = self.status(object, objects);
            if self.translation.statuses.entry(object) != status.as_ref() {
                Arc::make_mut(&mut self.translation.statuses).set(object, status);
            }
        }
    }
}

fn build_routing(hosts: &Hosts, certificates: &Certificates, policies: &ClientPolicies) -> Arc<RoutingTable> {
    let listener =
        |name, protocol, certificates| Listener { name, protocol, certificates, hosts: Arc::clone(&hosts.table) };
    Arc::new(RoutingTable {
        listeners: vec![
            listener(ListenerName::Http, Protocol::Http, Arc::default()),
            listener(ListenerName::Https, Protocol::Https, Arc::clone(&certificates.table)),
        ],
        client_policies: policies.table.clone(),
    })
}

/// Puts an Ingress into its place by age, once.
fn insert_by_age(ingresses: &mut Vec<Arc<Ingress>>, ingress: &Arc<Ingress>) {
    let place = ingresses.partition_point(|known| known.cmp_age(ingress).is_lt());
    if ingresses.get(place).is_none_or(|known| !Arc::ptr_eq(known, ingress)) {
        // Most lists have one entry for good.
        if ingresses.is_empty() {
            ingresses.reserve_exact(1);
        }
        ingresses.insert(place, Arc::clone(ingress));
    }
}
