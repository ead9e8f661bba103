//! Where the addresses to publish come from: said by the operator, or read from a Service or from the nodes.
//! Addresses that cannot be found out any more stay as they were: DNS would else forget hosts that are served.

#[cfg(test)]
mod tests;

use super::Address;
use crate::Printable;
use crate::cluster::clients::Clients;
use crate::cluster::fault::{Fault, Sort};
use crate::cluster::outage::Outage;
use crate::cluster::received::Received;
use crate::cluster::reflector::{Event, Reflector};
use crate::cluster::resource::{NODES, SERVICES};
use crate::cluster::scope::Scope;
use config::ObjectName;
use k8s_openapi::api::core::v1::{Node, Service};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Nodes with this label take no traffic from outside (KEP-1143).
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Where the addresses to publish come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishedAddresses {
    /// These; at least one.
    Fixed(Vec<Address>),
    /// Those of a Service: of its load balancer, else its external ones, else its own.
    Service(ObjectName),
    /// Those of the nodes that are ready and take traffic from outside: external ones if any node has one, else
    /// internal ones.
    Nodes,
}

/// Keeps `addresses` up to date until `shutdown`; they stay `None` until some are known.
pub async fn follow_addresses(
    clients: Clients,
    published: PublishedAddresses,
    addresses: watch::Sender<Option<Arc<[Address]>>>,
    shutdown: impl Future<Output = ()>,
) {
    let following = async {
        match published {
            PublishedAddresses::Fixed(fixed) => {
                send(&addresses, fixed);
                std::future::pending::<()>().await;
            }
            PublishedAddresses::Service(service) => {
                follow(clients, Scope::one(SERVICES, &service), read_service, &addresses).await;
            }
            PublishedAddresses::Nodes => follow(clients, Scope::of(NODES), read_node, &addresses).await,
        }
    };
    tokio::select! {
        biased;
        () = shutdown => {}
        () = following => {}
    }
}

/// What one object has to offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Offer {
    preferred: Vec<Address>,
    /// In use where no object has preferred ones, not even one that offers nothing at present.
    other: Vec<Address>,
    has_preferred: bool,
}

type Read = fn(&Received) -> Result<Offer, serde_json::Error>;

async fn follow(clients: Clients, scope: Scope, read: Read, addresses: &watch::Sender<Option<Arc<[Address]>>>) {
    let mut outage = Outage::new(format!("read the addresses to publish from {scope}"));
    let client = match clients.watch() {
        Ok(client) => client,
        Err(reason) => return outage.failed(Sort::Other, &reason),
    };
    let mut reflector = Reflector::new(client, scope.clone());
    let mut offers = Offers::default();
    loop {
        let event = reflector.next().await;
        if let Event::Fault(fault) = &event {
            failed(&mut outage, &scope, fault);
            continue;
        }
        if !offers.take(event, read) {
            continue;
        }
        match offers.addresses() {
            none if none.is_empty() => {
                let reason = if offers.known.is_empty() {
                    "there is no such object"
                } else {
                    "it has no address that could be published"
                };
                outage.failed(Sort::Other, &reason);
            }
            found => {
                outage.over();
                send(addresses, found);
            }
        }
    }
}

fn failed(outage: &mut Outage, scope: &Scope, fault: &Fault) {
    match fault {
        Fault::Forbidden(reason) => {
            let plural = scope.resource.plural;
            outage.failed(fault.sort(), &format_args!("{reason} (grant get, list and watch on {plural})"));
        }
        fault => outage.failed(fault.sort(), fault),
    }
}

/// Tells addresses, sorted and each once, if they are other than before.
fn send(sender: &watch::Sender<Option<Arc<[Address]>>>, mut addresses: Vec<Address>) {
    addresses.sort();
    addresses.dedup();
    sender.send_if_modified(|published| {
        let is_other = published.as_deref() != Some(&*addresses);
        if is_other {
            let list: Vec<_> = addresses.iter().map(Address::to_string).collect();
            tracing::info!("addresses to publish in the status of Ingresses: {}", list.join(", "));
            *published = Some(addresses.into());
        }
        is_other
    });
}

/// What all objects have to offer, by name.
#[derive(Default)]
struct Offers {
    known: BTreeMap<Arc<str>, Offer>,
    /// A list that has not ended.
    list: Option<BTreeMap<Arc<str>, Offer>>,
}

impl Offers {
    /// Takes in what is seen; whether that may change the addresses.
    fn take(&mut self, event: Event, read: Read) -> bool {
        match event {
            Event::Begin => self.list = Some(BTreeMap::new()),
            Event::Listed(received) | Event::Applied(received) => self.put(&received, read),
            Event::Deleted(received) => drop(self.list.as_mut().unwrap_or(&mut self.known).remove(&received.name)),
            Event::End(_) => self.known = self.list.take().unwrap_or_default(),
            // Nothing has changed, but a fault may be over.
            Event::Reached(_) | Event::Heard | Event::Fault(_) | Event::Absent(_) => {}
        }
        self.list.is_none()
    }

    fn put(&mut self, received: &Received, read: Read) {
        let name = Arc::clone(&received.name);
        let offer = match read(received) {
            Ok(offer) => offer,
            Err(error) => {
                let (object, error) = (Printable(&name), Printable(error));
                tracing::warn!(%object, %error, "cannot be read: its addresses stay as they were");
                let Some(offer) = self.known.get(&name) else { return };
                offer.clone()
            }
        };
        self.list.as_mut().unwrap_or(&mut self.known).insert(name, offer);
    }

    fn addresses(&self) -> Vec<Address> {
        let has_preferred = self.known.values().any(|offer| offer.has_preferred);
        let of = |offer: &Offer| if has_preferred { offer.preferred.clone() } else { offer.other.clone() };
        self.known.values().flat_map(of).collect()
    }
}

fn read_service(received: &Received) -> Result<Offer, serde_json::Error> {
    let Service { spec, status, .. } = received.read()?;
    let balancer = status.and_then(|status| status.load_balancer).and_then(|balancer| balancer.ingress);
    let balancer = balancer.into_iter().flatten().flat_map(|entry| entry.ip.into_iter().chain(entry.hostname));
    let spec = spec.unwrap_or_default();
    // One that waits for its address is not reached by the cluster's own.
    let is_balanced = spec.type_.as_deref() == Some("LoadBalancer");
    let own = spec.cluster_ips.filter(|own| !own.is_empty()).or(spec.cluster_ip.map(|own| vec![own]));
    let external_name = spec.external_name.filter(|name| !name.is_empty());
    let own =
        own.into_iter().flatten().chain(external_name).filter(|own| own != "None" && !own.is_empty() && !is_balanced);
    let preferred = [balancer.collect(), spec.external_ips.unwrap_or_default(), own.collect::<Vec<_>>()]
        .into_iter()
        .map(|texts| parse(&received.name, &texts))
        .find(|addresses| !addresses.is_empty())
        .unwrap_or_default();
    Ok(Offer { preferred, other: Vec::new(), has_preferred: true })
}

fn read_node(received: &Received) -> Result<Offer, serde_json::Error> {
    let Node { metadata, status, .. } = received.read()?;
    let status = status.unwrap_or_default();
    let entries = status.addresses.unwrap_or_default();
    let of = |kind: &str| -> Vec<Address> {
        let texts = entries.iter().filter(|entry| entry.type_ == kind).map(|entry| entry.address.clone());
        parse(&received.name, &texts.collect::<Vec<_>>())
    };
    let (external, internal) = (of("ExternalIP"), of("InternalIP"));
    let has_preferred = !external.is_empty();
    let mut conditions = status.conditions.iter().flatten();
    let is_ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let is_excluded = metadata.labels.is_some_and(|labels| labels.contains_key(EXCLUDED));
    if !is_ready || is_excluded {
        // One that is not ready still shows that external addresses are in use.
        return Ok(Offer { has_preferred: has_preferred && !is_excluded, ..Offer::default() });
    }
    Ok(Offer { preferred: external, other: internal, has_preferred })
}

fn parse(object: &str, texts: &[String]) -> Vec<Address> {
    let parse = |text: &String| {
        let refuse = |error: &super::AddressError| tracing::warn!(object, %error, "an address is not published");
        text.parse::<Address>().inspect_err(refuse).ok()
    };
    texts.iter().filter_map(parse).collect()
}
