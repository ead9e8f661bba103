//! A ServiceImport as it is kept: a Service of several clusters (KEP-1645).

use super::interner::Interner;
use super::kept::Named;
use super::service::{ServicePort, read_port};
use super::slice::is_label;
use crate::object::{ServiceImport, ServiceImportSpec};
use crate::status::{Problem, Reason};
use config::{Kind, ObjectRef};
use k8s_openapi::api::core::v1 as k8s;
use std::net::IpAddr;
use std::sync::Arc;

/// A ServiceImport.
#[derive(Debug, PartialEq)]
pub struct Import {
    /// Its name, which is that of the Services that it stands for.
    pub object: Arc<ObjectRef>,
    /// What it is; `None` where that is not to be known, and then it has no names.
    pub kind: Option<ImportKind>,
    /// `spec.ports`, without those that are refused.
    pub ports: Arc<[ServicePort]>,
    /// What is wrong with it.
    pub problems: Box<[Problem]>,
}

/// `spec.type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportKind {
    /// `ClusterSetIP`: `spec.ips`, empty as long as nobody has assigned one.
    ClusterSetIp(Box<[IpAddr]>),
    /// `Headless`: it stands for the endpoints of all clusters.
    Headless,
}

impl Named for Import {
    const KIND: Kind = Kind::ServiceImport;

    fn object(&self) -> &Arc<ObjectRef> {
        &self.object
    }
}

impl Import {
    pub(crate) fn read(import: ServiceImport, object: &Arc<ObjectRef>, names: &mut Interner) -> Self {
        let ServiceImport { metadata: _, spec: ServiceImportSpec { type_, ips, ports } } = import;
        let mut problems = Vec::new();
        let kind = read_kind(type_.as_deref(), &ips, &mut problems);
        if kind.as_ref().is_some_and(|kind| *kind != ImportKind::Headless) && ports.is_empty() {
            let message = "no port is given: it has addresses and no SRV records";
            problems.push(Problem::at("spec.ports", Reason::BadPort, message));
        }
        let ports = ports.into_iter().enumerate();
        let ports = ports.filter_map(|(place, port)| read_import_port(port, place, names, &mut problems));
        let ports = ports.collect::<Vec<_>>();
        // The API server takes dots and 253 letters for the name of any kind but its own.
        let is_named = is_label(&object.name);
        if !is_named {
            let message = "a Service's name is one label of at most 63 letters: it has no names";
            problems.push(Problem::at("metadata.name", Reason::BadName, message));
        }
        Self {
            object: Arc::clone(object),
            kind: kind.filter(|_| is_named),
            ports: names.intern_service_ports(&ports),
            problems: problems.into(),
        }
    }
}

fn read_kind(word: Option<&str>, ips: &[String], problems: &mut Vec<Problem>) -> Option<ImportKind> {
    match word {
        Some("Headless") => return Some(ImportKind::Headless),
        Some("ClusterSetIP") => {}
        _ => {
            let message = match word {
                Some(word) => format!("{word:?} is neither ClusterSetIP nor Headless: it has no names"),
                None => "neither ClusterSetIP nor Headless is given: it has no names".to_owned(),
            };
            problems.push(Problem::at("spec.type", Reason::BadType, message));
            return None;
        }
    }
    let mut addresses = Vec::new();
    for (place, text) in ips.iter().enumerate() {
        match text.parse::<IpAddr>() {
            Ok(address) if !address.to_canonical().is_unspecified() => addresses.push(address.to_canonical()),
            _ => {
                let message = format!("{text:?} is no address: it is left out");
                problems.push(Problem::at(format!("spec.ips[{place}]"), Reason::BadAddress, message));
            }
        }
    }
    if addresses.is_empty() {
        let message = "no address has been assigned to it yet: it has no names until then";
        problems.push(Problem::at("spec.ips", Reason::NoAddress, message));
    }
    Some(ImportKind::ClusterSetIp(addresses.into()))
}

fn read_import_port(
    port: k8s::ServicePort,
    place: usize,
    names: &mut Interner,
    problems: &mut Vec<Problem>,
) -> Option<ServicePort> {
    // Nothing is sent there: what is spoken is of no matter.
    let port = k8s::ServicePort { app_protocol: None, target_port: None, ..port };
    let mut port = read_port(port, place, names, problems)?;
    // With an underscore before it.
    if let Some(name) = port.name.take_if(|name| !is_label(&format!("_{name}"))) {
        let message = format!("{name:?} is no label: the port has no name of its own");
        problems.push(Problem::at(format!("spec.ports[{place}].name"), Reason::BadPort, message));
    }
    Some(port)
}
