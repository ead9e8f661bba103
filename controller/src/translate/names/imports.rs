//! The names of Services of several clusters (KEP-1645, specification.md): those of ServiceImports and of the slices that
//! are behind them.

use super::repeated::Repeated;
use super::{own_ports, slice_endpoint, slice_ports};
use crate::objects::{Import, ImportKind, Readiness, Slice, is_label};
use config::{EndpointName, ServiceNames};
use std::sync::Arc;

/// The names of a ServiceImport; `None`: it has none.
pub(super) fn import_names(import: &Import, slices: &[Arc<Slice>], repeated: &mut Repeated) -> Option<ServiceNames> {
    let mut endpoints = || slices.iter().flat_map(|slice| endpoints(import, slice, repeated)).collect();
    match import.kind.as_ref()? {
        ImportKind::Headless => Some(ServiceNames::headless(endpoints())),
        // What cannot be reached has no name: what its address will be nobody knows.
        ImportKind::ClusterSetIp(addresses) if addresses.is_empty() => None,
        // Its endpoints are behind its address, and have no names (KEP-1645 §2.4.1).
        ImportKind::ClusterSetIp(addresses) => {
            let ports = own_ports(&import.ports, repeated);
            Some(ServiceNames::cluster_ip(addresses.iter().copied(), ports, Vec::new()))
        }
    }
}

fn endpoints(import: &Import, slice: &Slice, repeated: &mut Repeated) -> Vec<EndpointName> {
    let ports = slice_ports(&import.ports, slice, repeated);
    let cluster = slice.import.as_ref().and_then(|import| import.cluster.as_deref());
    let ready = slice.endpoints.iter().filter(|endpoint| endpoint.readiness == Readiness::Ready);
    ready.map(|endpoint| of_cluster(slice_endpoint(endpoint, &ports, repeated), cluster)).collect()
}

/// The endpoint with its cluster behind its labels, if its slice says which that is; else it is called by its address, since
/// a host's name could be that of a cluster.
fn of_cluster(endpoint: EndpointName, cluster: Option<&str>) -> EndpointName {
    let Some(cluster) = cluster else {
        return EndpointName { name: EndpointName::dashed(endpoint.address).into(), pod: None, ..endpoint };
    };
    // One that is no label cannot be told from that of a cluster.
    let name =
        if is_label(&endpoint.name) { endpoint.name.to_string() } else { EndpointName::dashed(endpoint.address) };
    let pod = endpoint.pod.map(|pod| format!("{pod}.{cluster}").into());
    EndpointName { name: format!("{name}.{cluster}").into(), pod, ..endpoint }
}
