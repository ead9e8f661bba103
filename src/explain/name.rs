//! What DNS answers for a name and why, with each question that a resolver asks on its way.

mod report;

use super::corefile::Planned;
use super::resolver::{self, Resolver};
use super::search::Found;
use crate::cli::{Asker, NameFlags, NamedFlags};
use crate::offline::World;
use crate::settings::{compatibility, narrow, zone_settings};
use anyhow::Context as _;
use config::{DomainName, Kind, ObjectName, ObjectRef};
use controller::{NameObjects, Object, Selection};
use dns::{
    Answer, Explanation, Name, NameText, PlannedObjects, Question, Reason, Record, RecordType, ResponseCode, Sections,
    ZoneSettings, explain,
};
use report::{Outcome, Report};
use std::net::{IpAddr, SocketAddr};

/// Where DNS is asked that says no port.
const USUAL_PORT: u16 = 53;

/// A name, and how it is asked for.
#[derive(Debug)]
pub(super) struct Asking {
    name: String,
    record_type: RecordType,
    from: Option<Asker>,
    zone: DomainName,
    /// The search list of the node.
    of_node: Vec<DomainName>,
    selection: Selection,
    /// Those whose objects count; empty: all.
    namespaces: Vec<String>,
    answering: Answering,
}

/// Who answers.
#[derive(Debug)]
enum Answering {
    Flags { settings: Box<ZoneSettings>, upstreams: Vec<SocketAddr>, at: Option<SocketAddr> },
    Corefile(Planned),
}

/// What is said to one question.
#[derive(Debug)]
pub(super) struct Said {
    /// Who asked it, where that counts.
    pub(super) client: Option<IpAddr>,
    pub(super) verdict: Verdict,
    pub(super) records: Vec<Record>,
    /// Whether the answer is the address that is asked, which is not known here.
    pub(super) is_where_asked: bool,
    pub(super) why: Vec<String>,
}

impl Said {
    fn found(&self, asked: RecordType) -> Found {
        let is_asked_for = |record: &Record| record.record_type() == asked || asked == RecordType::ANY;
        match (self.is_where_asked || self.records.iter().any(is_asked_for), self.records.is_empty()) {
            (true, _) => Found::Records,
            (false, true) => Found::Nothing,
            (false, false) => Found::Others,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Code(ResponseCode),
    /// What upstreams say.
    Upstream,
    /// There is no answer.
    Silence,
}

impl Asking {
    /// # Errors
    /// The name is none, asks for what only a Pod's search list has, or for a second zone that is the first one; or the
    /// Corefile cannot be taken.
    pub(super) fn new(name: &str, flags: NameFlags, zone: &DomainName) -> anyhow::Result<Self> {
        let NameFlags {
            record_type,
            from,
            corefile,
            at,
            client,
            search: of_node,
            zone: mut of_zone,
            named,
            watch_namespace,
        } = flags;
        let (name, usual_type) = match name.parse::<IpAddr>() {
            Ok(address) => (Name::from(address).to_string(), RecordType::PTR),
            Err(_) => (name.to_owned(), RecordType::A),
        };
        resolver::name(&name).with_context(|| format!("{name:?} is no name"))?;
        anyhow::ensure!(from.is_some() || of_node.is_empty(), "--search is for the Pods that --from names");
        // Whoever asks may be a Pod that has no name.
        let all = NameObjects { pods: true, imports: true, externals: true, ..NameObjects::default() };
        let (answering, objects) = match corefile {
            Some(path) => {
                let planned = Planned::read(path, compatibility(of_zone.dns_compat), (at, client))?;
                let PlannedObjects { labels, namespace_labels, .. } = planned.objects().unwrap_or_default();
                (Answering::Corefile(planned), NameObjects { labels, namespace_labels, ..all })
            }
            None => {
                let NamedFlags { watch_selector: labels, namespace_selector: namespace_labels } = named;
                let objects = NameObjects { labels, namespace_labels, ..all };
                let upstreams = std::mem::take(&mut of_zone.dns_upstream);
                let mut settings = zone_settings(of_zone, zone)?;
                narrow(&mut settings, &objects, &watch_namespace);
                let at = at.map(|at| SocketAddr::new(at.ip.to_canonical(), at.port.unwrap_or(USUAL_PORT)));
                (Answering::Flags { settings: Box::new(settings), upstreams, at }, objects)
            }
        };
        let zone = match &answering {
            Answering::Corefile(planned) => planned.cluster_zone().unwrap_or(zone),
            Answering::Flags { .. } => zone,
        };
        let zone = zone.clone();
        let record_type = record_type.unwrap_or(usual_type);
        Ok(Self {
            name,
            record_type,
            from,
            zone,
            of_node,
            selection: Selection::Names(objects),
            namespaces: watch_namespace,
            answering,
        })
    }

    /// Whether a server would need a cluster, or manifests.
    pub(super) fn has_cluster(&self) -> bool {
        match &self.answering {
            Answering::Flags { .. } => true,
            Answering::Corefile(planned) => planned.objects().is_some(),
        }
    }

    /// Whether a server would have the object.
    pub(super) fn takes(&self, object: &Object) -> bool {
        let ObjectRef { kind, namespace, .. } = object.object_ref();
        let is_watched =
            self.namespaces.is_empty() || !kind.is_namespaced() || self.namespaces.contains(&namespace.to_string());
        is_watched && self.selection.takes(object)
    }

    /// Asks one question after the other until the search is over.
    ///
    /// # Errors
    /// Something that the Corefile names cannot be had here, or nothing listens where it is to be asked.
    pub(super) fn report(&self, world: &World) -> anyhow::Result<Report<'_>> {
        let asked = self.asked(world)?;
        let resolver = self.resolver(asked.as_ref(), world);
        let mut search = resolver.search_for(&self.name)?;
        let mut report = Report::new((&self.name, self.record_type), self.from.as_ref(), resolver);
        while let Some(name) = search.next_name() {
            let question = Question { name, record_type: self.record_type };
            let mut said = match (&self.answering, &asked) {
                (Answering::Flags { settings, upstreams, at }, _) => {
                    said(explain(&world.snapshot.names, &question, settings, *at), upstreams, world)
                }
                (Answering::Corefile(_), Some(asked)) => asked.said(&question, world)?,
                (Answering::Corefile(_), None) => break,
            };
            let turn = search.hear(said.verdict, said.found(self.record_type));
            said.why.extend(turn.map(str::to_owned));
            report.take(NameText(&question.name).to_string(), said, search.outcome());
        }
        if asked.is_some_and(|asked| asked.is_asked_from_here()) {
            report.notes.extend(report.client.zip(self.from.as_ref()).and_then(|(client, from)| {
                from.pod.as_ref().map(|_| format!("the manifests have no address of Pod {from}: {client} asks instead"))
            }));
        }
        let is_upstream = matches!(report.answer, Outcome::Upstream { .. });
        let note = if is_upstream && !self.has_clusterset() && names_import(&self.name, world) {
            Some(NO_CLUSTERSET)
        } else {
            (self.from.is_none() && !self.name.ends_with('.') && is_upstream).then_some(UNSEARCHED)
        };
        report.notes.extend(note.map(str::to_owned));
        report.notes.append(&mut search.notes);
        Ok(report)
    }

    /// How the Pod looks names up; who is none asks for the name as it is.
    fn resolver(&self, asked: Option<&super::corefile::Asked<'_>>, world: &World) -> Resolver {
        let Some(Asker { namespace, pod }) = &self.from else { return Resolver::default() };
        let name = pod.as_ref().map(|pod| ObjectRef::new(Kind::Pod, namespace.as_str(), pod.as_str()));
        let pod = name.as_ref().and_then(|name| world.pod(name));
        let own = pod.and_then(|pod| pod.resolver.as_deref().cloned()).unwrap_or_default();
        let is_here = |server: &str| {
            server.parse().is_ok_and(|ip| {
                world.is_service_of_dns(ip) || self.is_at(ip) || asked.is_some_and(|asked| asked.is_at(ip))
            })
        };
        let mut resolver = Resolver::new(&own, (namespace, &self.zone), &self.of_node, is_here);
        if let (Some(name), None) = (name, pod) {
            resolver.notes.push(format!("the manifests have no {name}: so would one ask that says nothing of DNS"));
        }
        resolver
    }
}

impl Asking {
    /// Whether the address is the one that is asked where flags say what is answered.
    fn is_at(&self, ip: IpAddr) -> bool {
        matches!(self.answering, Answering::Flags { at: Some(at), .. } if at.ip() == ip.to_canonical())
    }

    /// Whether there may be a zone of several clusters: a Corefile says it where it is asked for names of that zone.
    fn has_clusterset(&self) -> bool {
        match &self.answering {
            Answering::Flags { settings, .. } => !settings.multicluster.is_empty(),
            Answering::Corefile(_) => true,
        }
    }

    /// What the Corefile makes of questions; `None`: there is none.
    fn asked(&self, world: &World) -> anyhow::Result<Option<super::corefile::Asked<'_>>> {
        match &self.answering {
            Answering::Flags { .. } => Ok(None),
            Answering::Corefile(planned) => planned.asked(self.from.as_ref(), world).map(Some),
        }
    }
}

/// A reason, with where the Service is described that it is about, and what there is where nothing is ready.
pub(super) fn told(reason: &Reason, world: &World) -> String {
    let mut text = reason.to_string();
    if let Reason::NoNamespace(namespace) = reason
        && let Some(place) = world.place(&ObjectRef::new(Kind::Namespace, "", namespace.as_str()))
    {
        return format!("namespace {namespace} is left out by its labels ({place})");
    }
    let Some(object) = reason.service() else { return text };
    let name = ObjectName::from(object);
    let (slices, exists) = match object.kind {
        Kind::ServiceImport => (world.objects.slices_of_import(&name), world.objects.import(&name).is_some()),
        _ => (world.objects.slices(&name), world.objects.service(&name).is_some()),
    };
    if let Reason::NoEndpoint(_) | Reason::HiddenService(_) = reason {
        let addresses: usize = slices.iter().map(|slice| slice.endpoints.len()).sum();
        text += &match (slices.len(), addresses) {
            (0, _) => ": no EndpointSlice is for it".to_owned(),
            (_, 0) => ": its EndpointSlices have no address".to_owned(),
            (_, addresses) => format!(": of {addresses} addresses in its EndpointSlices none is ready"),
        };
    }
    if matches!(reason, Reason::NoService(_)) {
        if exists {
            text = format!("{object} has no names: {}", why_none(object, world));
        } else if world.place(object).is_some() {
            text = format!("{object} is left out by its labels");
        }
    }
    match world.place(object) {
        Some(place) => format!("{text} ({place})"),
        None => text,
    }
}

/// Why there are no names of what there is.
fn why_none(object: &ObjectRef, world: &World) -> String {
    if object.kind == Kind::Service {
        return "DNS cannot lead to what its externalName is".to_owned();
    }
    let problems = world.statuses.entry(object).map(|status| &status.problems[..]).unwrap_or_default();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Whether the name is one that a ServiceImport would have in some zone.
fn names_import(name: &str, world: &World) -> bool {
    let name = name.to_ascii_lowercase();
    let mut imports = world.names.iter().filter(|object| object.kind == Kind::ServiceImport);
    imports.any(|import| {
        let own = format!("{}.{}.svc.", import.name, import.namespace);
        name.starts_with(&own) || name.contains(&format!(".{own}"))
    })
}

/// Whether the answer has no record because it is not known which address is asked.
pub(super) fn is_where_asked(Sections { answers, .. }: &Sections, reasons: &[Reason]) -> bool {
    answers.is_empty() && reasons.last() == Some(&Reason::AskedAddress)
}

/// What is said where flags say what is answered.
fn said(Explanation { answer, reasons }: Explanation, upstreams: &[SocketAddr], world: &World) -> Said {
    let mut why: Vec<_> = reasons.iter().map(|reason| told(reason, world)).collect();
    let (sections, led_to) = match answer {
        Answer::Zone(sections) => (sections, None),
        Answer::Alias { sections, target } => (sections, Some(format!("{target} is"))),
        Answer::Outside => (Sections::default(), Some("it is".to_owned())),
    };
    why.extend(led_to.as_ref().map(|what| asked_of(what, upstreams)));
    let verdict = if led_to.is_some() { Verdict::Upstream } else { Verdict::Code(sections.code) };
    let is_where_asked = is_where_asked(&sections, &reasons);
    Said { client: None, verdict, records: sections.answers, is_where_asked, why }
}

/// What is easily forgotten.
const NO_CLUSTERSET: &str =
    "ServiceImports have names in the zone that --dns-clusterset-domain says, and none without it";
/// The same.
const UNSEARCHED: &str = "a Pod would search for a name without a dot at its end: --from NS walks its list";

fn asked_of(what: &str, upstreams: &[SocketAddr]) -> String {
    if upstreams.is_empty() {
        return format!("{what} asked of the resolvers of the machine that Tidegate runs on");
    }
    let upstreams: Vec<_> = upstreams.iter().map(ToString::to_string).collect();
    format!("{what} asked of {}", upstreams.join(", "))
}
