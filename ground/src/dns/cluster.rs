//! The cluster whose names are asked for: as objects for an API server, and as a zone file with the same records.

use super::stored::store_all;
use super::{CHANGED, NAMESPACE};
use crate::measure::Writer;
use crate::measure::objects::{create_all, service, services, slice, slices};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

pub(super) const ZONE: &str = "cluster.local";
/// The range that the API server takes addresses of Services from; it begins with those that it gives out itself.
pub(super) const SERVICE_RANGE: &str = "10.96.0.0/12";
const FIRST_SERVICE: u32 = u32::from_be_bytes([10, 96, 1, 0]);
const FIRST_ENDPOINT: u32 = u32::from_be_bytes([10, 128, 0, 1]);
/// Where the addresses start that only changes use.
const FIRST_CHANGED: u32 = u32::from_be_bytes([10, 192, 0, 1]);
const NAMESPACES: u32 = 50;
/// More Services than these are not created but stored.
const CREATED: u32 = 20_000;
/// One in so many Services is headless.
const HEADLESS: u32 = 10;
const ENDPOINTS: u32 = 2;
const HEADLESS_ENDPOINTS: u32 = 4;
const PORT: u16 = 80;

/// Services by their numbers: nine in ten with an address and two endpoints, one in ten headless with four.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    pub(super) services: u32,
}

/// A Service by its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service(pub(super) u32);

impl Cluster {
    pub(super) fn all(self) -> impl Iterator<Item = Service> {
        (0..self.services).map(Service)
    }

    /// Endpoints, and Pods if each had one.
    pub(super) fn endpoints(self) -> u32 {
        self.all().map(Service::endpoint_count).sum()
    }

    /// Makes all of it, and a headless Service for the changes that are waited for; says how many objects there are.
    ///
    /// # Errors
    /// Where the API server refuses one, or etcd.
    pub(super) async fn create(self, writer: &Writer) -> anyhow::Result<usize> {
        for number in 0..NAMESPACES {
            let namespace = json!({"metadata": {"name": format!("ns{number}")}});
            writer.create("/api/v1/namespaces", &namespace).await?;
        }
        let measured = [
            (services(NAMESPACE), service(CHANGED, "None")),
            (slices(NAMESPACE), measured_slice(Ipv4Addr::from_bits(FIRST_CHANGED - 1))),
        ];
        if self.services > CREATED {
            let count = create_all(writer, measured.into_iter()).await? + NAMESPACES as usize;
            return Ok(count + store_all(self).await?);
        }
        let objects = self.all().flat_map(Service::objects).chain(measured);
        Ok(create_all(writer, objects).await? + NAMESPACES as usize)
    }

    /// The zone with what the specification of Kubernetes' DNS gives each Service, in the form of RFC 1035 §5.
    pub(super) fn zone_file(self) -> String {
        let mut text = format!(
            "$ORIGIN {ZONE}.\n$TTL 5\n@ SOA ns.dns hostmaster 1 7200 1800 86400 5\n@ NS ns.dns\nns.dns A 127.0.0.1\n"
        );
        for service in self.all() {
            for (owner, data) in service.records() {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{owner} {data}");
            }
        }
        text
    }
}

impl Service {
    /// With its namespace, as it stands in the zone.
    pub(super) fn owner(self) -> String {
        format!("{}.{}.svc", self.name(), self.namespace())
    }

    pub(super) fn namespace(self) -> String {
        format!("ns{}", self.0 % NAMESPACES)
    }

    pub(super) fn is_headless(self) -> bool {
        self.0 % HEADLESS == HEADLESS - 1
    }

    /// Its slice where it has as many endpoints as before, with addresses that belong to change number `change` alone.
    pub(super) fn changed_slice(self, change: u32) -> Value {
        let addresses: Vec<Ipv4Addr> = (0..self.endpoint_count()).map(|index| changed_address(change, index)).collect();
        slice(&self.name(), PORT, &addresses)
    }

    pub(super) fn name(self) -> String {
        format!("svc-{}", self.0)
    }

    pub(super) fn address(self) -> Option<Ipv4Addr> {
        (!self.is_headless()).then(|| Ipv4Addr::from_bits(FIRST_SERVICE + self.0))
    }

    fn endpoint_count(self) -> u32 {
        if self.is_headless() { HEADLESS_ENDPOINTS } else { ENDPOINTS }
    }

    fn endpoints(self) -> Vec<Ipv4Addr> {
        let first = FIRST_ENDPOINT + self.0 * HEADLESS_ENDPOINTS;
        (first..first + self.endpoint_count()).map(Ipv4Addr::from_bits).collect()
    }

    pub(super) fn objects(self) -> [(String, Value); 2] {
        let (name, namespace) = (self.name(), self.namespace());
        let address = self.address().map_or_else(|| "None".to_owned(), |address| address.to_string());
        [(services(&namespace), service(&name, &address)), (slices(&namespace), slice(&name, PORT, &self.endpoints()))]
    }

    fn records(self) -> Vec<(String, String)> {
        let owner = self.owner();
        let port = format!("_http._tcp.{owner}");
        let dashed = |endpoint: &Ipv4Addr| format!("{}.{owner}", endpoint.to_string().replace('.', "-"));
        let mut records = Vec::new();
        if let Some(address) = self.address() {
            records.push((owner.clone(), format!("A {address}")));
            records.push((port.clone(), format!("SRV 0 100 {PORT} {owner}")));
        }
        for endpoint in self.endpoints() {
            let host = dashed(&endpoint);
            if self.is_headless() {
                records.push((owner.clone(), format!("A {endpoint}")));
                records.push((port.clone(), format!("SRV 0 {} {PORT} {host}", 100 / HEADLESS_ENDPOINTS)));
            }
            records.push((host, format!("A {endpoint}")));
        }
        records
    }
}

/// The slice of the Service whose changes are waited for, with this endpoint.
pub(super) fn measured_slice(address: Ipv4Addr) -> Value {
    slice(CHANGED, PORT, &[address])
}

/// An address that no Service begins with, of change number `change`.
pub(super) fn changed_address(change: u32, index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_CHANGED + change * HEADLESS_ENDPOINTS + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_has_both_kinds_of_service() {
        let zone = Cluster { services: 10 }.zone_file();
        let lines: Vec<&str> = zone.lines().skip(5).collect();
        let with_address = [
            "svc-0.ns0.svc A 10.96.1.0",
            "_http._tcp.svc-0.ns0.svc SRV 0 100 80 svc-0.ns0.svc",
            "10-128-0-1.svc-0.ns0.svc A 10.128.0.1",
            "10-128-0-2.svc-0.ns0.svc A 10.128.0.2",
        ];
        assert_eq!(&lines[..4], with_address);
        let headless = [
            "svc-9.ns9.svc A 10.128.0.40",
            "_http._tcp.svc-9.ns9.svc SRV 0 25 80 10-128-0-40.svc-9.ns9.svc",
            "10-128-0-40.svc-9.ns9.svc A 10.128.0.40",
        ];
        assert_eq!(&lines[lines.len() - 3..], headless);
        assert_eq!(Cluster { services: 10 }.endpoints(), 22);
    }

    #[test]
    fn objects_hold_what_the_zone_says() {
        let [(path, service), (_, slice)] = Service(9).objects();
        assert_eq!(path, "/api/v1/namespaces/ns9/services");
        assert_eq!(service["spec"]["clusterIP"], "None");
        assert_eq!(slice["endpoints"].as_array().unwrap().len(), 4);
        assert_eq!(slice["endpoints"][3]["addresses"][0], "10.128.0.40");
        assert_eq!(Service(0).objects()[0].1["spec"]["clusterIP"], "10.96.1.0");
    }

    #[test]
    fn changes_never_repeat_an_address() {
        assert_eq!(changed_address(0, 3).to_bits() + 1, changed_address(1, 0).to_bits());
        let last = Service(999_999).endpoints().last().copied().unwrap();
        assert!(last < changed_address(0, 0));
    }
}
