//! The endpoints of a Service: sorted by address, and where they are many found by label too.

use super::PortName;
use serde::{Serialize, Serializer};
use smol_str::SmolStr;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

/// So many endpoints are looked through faster than an index.
const FEW: usize = 16;

/// One address behind a Service. Sorts by address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EndpointName {
    /// Where it is.
    pub address: IpAddr,
    /// Its label below the Service's name, in lower case: the host name, or [`EndpointName::dashed`]. Of up to 23 bytes,
    /// as that of every IPv4 address, it has no memory of its own. Behind an import it is two labels, of which the second
    /// one is the cluster: `web-0.east` (KEP-1645).
    #[serde(serialize_with = "text")]
    pub name: SmolStr,
    /// What it has in common with others.
    #[serde(flatten)]
    pub group: Arc<EndpointGroup>,
    /// The name of its Pod, in lower case, where it has no host name and the Pod's name can be a label; `None`: it has
    /// one, or is no Pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Arc<str>>,
}

/// What endpoints have in common, and many do: those of a slice in one topology zone, and mostly those of other Services.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct EndpointGroup {
    /// Their ports; empty: they have addresses but no SRV records.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub ports: Arc<[PortName]>,
    /// Their topology zone, in lower case (`topology.kubernetes.io/zone` of their nodes); `None`: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology: Option<Arc<str>>,
}

impl EndpointGroup {
    /// Those with these ports, whose topology zone is not known.
    #[must_use]
    pub fn with_ports(ports: impl Into<Arc<[PortName]>>) -> Arc<Self> {
        Arc::new(Self { ports: ports.into(), topology: None })
    }
}

fn text<S: Serializer>(text: &SmolStr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl EndpointName {
    /// Its label below the Service's name: the host name, else the Pod's name if that `is_by_pod`, else its address.
    #[must_use]
    pub fn label(&self, is_by_pod: bool) -> &str {
        self.pod.as_deref().filter(|_| is_by_pod).unwrap_or(&self.name)
    }

    /// The label of an endpoint without a host name, as CoreDNS spells it: `172-0-0-2`, `5678-abcd--1`, `fe80--0`.
    #[must_use]
    pub fn dashed(address: IpAddr) -> String {
        let mut label = address.to_string().replace(['.', ':'], "-");
        if label.ends_with('-') {
            label.push('0');
        }
        label
    }
}

/// Endpoints sorted by address, without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    sorted: Box<[EndpointName]>,
    /// `None` where there are few.
    by_label: Option<Box<ByLabel>>,
}

/// Places in the sorted endpoints, in the order of their labels and then of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ByLabel {
    name: Box<[u32]>,
    /// With Pods' names; empty where no endpoint has one, and both orders are the same.
    pod: Box<[u32]>,
}

impl Endpoints {
    /// In any order; O(n log n).
    pub(super) fn new(mut endpoints: Vec<EndpointName>) -> Self {
        endpoints.sort_unstable();
        endpoints.dedup();
        let by_label = (endpoints.len() > FEW).then(|| Box::new(ByLabel::of(&endpoints)));
        Self { sorted: endpoints.into(), by_label }
    }

    pub(super) fn labelled<'e>(&'e self, label: &'e str, is_by_pod: bool) -> Labelled<'e> {
        match &self.by_label {
            None => Labelled { label, is_by_pod, few: self.sorted.iter(), ..Labelled::default() },
            Some(index) => {
                let places = index.places(&self.sorted, label, is_by_pod).iter();
                Labelled { places, sorted: &self.sorted, ..Labelled::default() }
            }
        }
    }

    pub(super) fn at(&self, address: IpAddr) -> &[EndpointName] {
        let first = self.sorted.partition_point(|endpoint| endpoint.address < address);
        let rest = self.sorted.get(first..).unwrap_or_default();
        let count = rest.iter().take_while(|endpoint| endpoint.address == address).count();
        rest.get(..count).unwrap_or_default()
    }
}

/// The endpoints with one label.
#[derive(Debug, Clone, Default)]
pub struct Labelled<'e> {
    label: &'e str,
    is_by_pod: bool,
    /// All endpoints, where they are few.
    few: std::slice::Iter<'e, EndpointName>,
    /// Where those with the label are in `sorted`.
    places: std::slice::Iter<'e, u32>,
    sorted: &'e [EndpointName],
}

impl<'e> Iterator for Labelled<'e> {
    type Item = &'e EndpointName;

    fn next(&mut self) -> Option<&'e EndpointName> {
        let Self { label, is_by_pod, few, places, sorted } = self;
        let place = || places.next().and_then(|place| sorted.get(*place as usize));
        few.find(|endpoint| endpoint.label(*is_by_pod) == *label).or_else(place)
    }
}

impl ByLabel {
    fn of(sorted: &[EndpointName]) -> Self {
        let places = |is_by_pod: bool| {
            // No Service has more endpoints than an `u32` counts.
            let mut places: Vec<_> = (0u32..).zip(sorted).map(|(place, one)| (one.label(is_by_pod), place)).collect();
            places.sort_unstable();
            places.into_iter().map(|(_, place)| place).collect()
        };
        let has_pods = sorted.iter().any(|endpoint| endpoint.pod.is_some());
        Self { name: places(false), pod: if has_pods { places(true) } else { Box::default() } }
    }

    fn places(&self, sorted: &[EndpointName], label: &str, is_by_pod: bool) -> &[u32] {
        let places = if is_by_pod && !self.pod.is_empty() { &self.pod } else { &self.name };
        let of = |place: &u32| sorted.get(*place as usize).map_or("", |endpoint| endpoint.label(is_by_pod));
        let first = places.partition_point(|place| of(place) < label);
        let rest = places.get(first..).unwrap_or_default();
        rest.get(..rest.partition_point(|place| of(place) == label)).unwrap_or_default()
    }
}

impl Deref for Endpoints {
    type Target = [EndpointName];

    fn deref(&self) -> &[EndpointName] {
        &self.sorted
    }
}

impl Serialize for Endpoints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sorted.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoint() -> impl Strategy<Value = EndpointName> {
        let pod = prop::option::of(0..20u8);
        (0..40u8, 0..20u8, pod).prop_map(|(address, name, pod)| EndpointName {
            address: [10, 0, 0, address].into(),
            name: format!("n{name}").into(),
            group: EndpointGroup::with_ports([]),
            pod: pod.map(|pod| format!("n{pod}").into()),
        })
    }

    proptest! {
        #[test]
        fn an_index_finds_what_a_search_finds(
            endpoints in prop::collection::vec(endpoint(), 0..60),
            label in 0..21u8,
            address in 0..41u8,
            is_by_pod: bool,
        ) {
            let endpoints = Endpoints::new(endpoints);
            prop_assert!(endpoints.is_sorted());
            let label = format!("n{label}");
            let found: Vec<_> = endpoints.labelled(&label, is_by_pod).collect();
            let expected: Vec<_> = endpoints.iter().filter(|one| one.label(is_by_pod) == label).collect();
            prop_assert_eq!(found, expected);
            let address = IpAddr::from([10, 0, 0, address]);
            let expected: Vec<_> = endpoints.iter().filter(|one| one.address == address).collect();
            prop_assert_eq!(endpoints.at(address).iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn endpoints_without_a_host_name_are_called_by_their_address() {
        for (address, label) in
            [("172.0.0.2", "172-0-0-2"), ("5678:abcd::1", "5678-abcd--1"), ("fe80::", "fe80--0"), ("::", "--0")]
        {
            assert_eq!(EndpointName::dashed(address.parse().unwrap()), label);
        }
    }
}
