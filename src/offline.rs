//! Manifests read once and translated, for the commands that serve nothing.

use crate::text::printable;
use config::{ObjectRef, Snapshot};
use controller::object::Pod;
use controller::source::{Finding, Loaded, Located, Severity, SourceError, load};
use controller::{Object, Objects, Statuses, TranslateSettings, run};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where an object is described.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<Path>,
    /// Counted from 1.
    pub(crate) line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What manifests hold and what that means.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) objects: Objects,
    pub(crate) snapshot: Snapshot,
    pub(crate) statuses: Arc<Statuses>,
    /// What is wrong with the files, in path order.
    pub(crate) findings: Vec<Finding>,
    /// Every object, in path order.
    pub(crate) names: Vec<ObjectRef>,
    /// Configurations of CoreDNS, in path order.
    pub(crate) corefiles: Vec<MountedCorefile>,
    /// Those that have ended too.
    pods: HashMap<ObjectRef, Pod>,
    /// Addresses of Services with the port of DNS, those that are left out too.
    servers: HashSet<IpAddr>,
    places: HashMap<ObjectRef, Place>,
}

/// The key `Corefile` of a ConfigMap, and the files that are beside it where that is mounted.
#[derive(Debug)]
pub(crate) struct MountedCorefile {
    pub(crate) name: ObjectRef,
    pub(crate) place: Place,
    pub(crate) files: BTreeMap<String, String>,
}

/// The key.
pub(crate) const COREFILE: &str = "Corefile";
/// The port.
const DNS: i32 = 53;

impl World {
    /// Reads and translates.
    ///
    /// # Errors
    /// Where a source cannot be read at all.
    pub(crate) fn read(sources: Vec<PathBuf>, settings: TranslateSettings) -> Result<Self, SourceError> {
        Self::read_selected(sources, settings, |_| true)
    }

    /// The same, where only some objects count.
    ///
    /// # Errors
    /// Where a source cannot be read at all.
    pub(crate) fn read_selected(
        sources: Vec<PathBuf>,
        settings: TranslateSettings,
        is_selected: impl Fn(&Object) -> bool,
    ) -> Result<Self, SourceError> {
        let Loaded { objects: located, findings } = load(sources)?;
        let mut names = Vec::with_capacity(located.len());
        let (mut places, mut corefiles) = (HashMap::with_capacity(located.len()), Vec::new());
        let (mut pods, mut servers) = (HashMap::new(), HashSet::new());
        let objects = located.into_iter().filter_map(|Located { object, file, line }| {
            let (name, place) = (object.object_ref(), Place { file, line });
            if let Object::ConfigMap(map) = &object
                && let Some(files) = map.data.as_ref().filter(|files| files.contains_key(COREFILE))
            {
                corefiles.push(MountedCorefile { name: name.clone(), place: place.clone(), files: files.clone() });
            }
            if let Object::Pod(pod) = &object {
                pods.insert(name.clone(), Pod::clone(pod));
            }
            if let Object::Service(service) = &object
                && let Some(spec) = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"))
                && spec.ports.iter().flatten().any(|port| port.port == DNS)
            {
                let addresses = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
                servers.extend(addresses.filter_map(|address| address.parse::<IpAddr>().ok()));
            }
            names.push(name.clone());
            places.insert(name, place);
            is_selected(&object).then_some(object)
        });
        let (objects, translation) = run::once(objects, settings);
        let snapshot = translation.snapshot(1);
        Ok(Self {
            objects,
            snapshot,
            statuses: translation.statuses,
            findings,
            names,
            corefiles,
            pods,
            servers,
            places,
        })
    }

    /// Tells on standard error what could not be read: without it the answer may be another one.
    pub(crate) fn tell_unread(&self) {
        for finding in self.findings.iter().filter(|finding| finding.severity == Severity::Error) {
            let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
            let object = finding.object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
            let text = printable(&format!("{}{line}: {object}{}", finding.file.display(), finding.message));
            // Where even that cannot be written, the answer has to do.
            let _ = writeln!(std::io::stderr().lock(), "tidegate: {text}");
        }
    }

    /// A Pod; `None`: there is none.
    pub(crate) fn pod(&self, pod: &ObjectRef) -> Option<&Pod> {
        self.pods.get(pod)
    }

    /// Whether a Service with the port of DNS has the address.
    pub(crate) fn is_service_of_dns(&self, address: IpAddr) -> bool {
        self.servers.contains(&address)
    }

    /// Where an object is; `None` for one that only settings name.
    pub(crate) fn place(&self, object: &ObjectRef) -> Option<&Place> {
        self.places.get(object)
    }
}
