//! What a rule names (a Service port) and the addresses that serve it.

use crate::ObjectRef;
use rustc_hash::FxHashSet;
use serde::Serialize;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

/// The port of a Service as an Ingress names it: by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BackendPort {
    /// `service.port.number`.
    Number(u16),
    /// `service.port.name`.
    Name(Arc<str>),
}

impl fmt::Display for BackendPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The join between the routing table and the backend table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendKey {
    /// Namespace of the Service.
    pub namespace: Arc<str>,
    /// Name of the Service.
    pub service: Arc<str>,
    /// Port of the Service as the route spells it.
    pub port: BackendPort,
}

impl BackendKey {
    /// The Service that this key names.
    #[must_use]
    pub fn service_ref(&self) -> ObjectRef {
        ObjectRef::new(crate::Kind::Service, Arc::clone(&self.namespace), Arc::clone(&self.service))
    }
}

/// `shop/web:80`.
impl fmt::Display for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.service, self.port)
    }
}

impl Serialize for BackendKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is spoken to the endpoints, from the Service port's `appProtocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendProtocol {
    /// HTTP/1.1; also what `kubernetes.io/ws` means.
    Http1,
    /// HTTP/2 with prior knowledge (`kubernetes.io/h2c`).
    H2c,
    /// HTTP/2 or HTTP/1.1 over TLS, as ALPN says (`https`).
    Https,
}

/// Whose word on an endpoint's certificate is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Any certificate: encryption without identity, as ingress-nginx does for Pods (`proxy-ssl-verify: off`).
    Any,
    /// The public roots, with the server name verified.
    PublicRoots,
}

/// How TLS is spoken to the endpoints of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct UpstreamTls {
    /// Server name sent and, unless `trust` is [`Trust::Any`], verified; `None`: the endpoint's address.
    pub server_name: Option<Arc<str>>,
    /// Whose word is taken.
    pub trust: Trust,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balancing {
    /// The less loaded of two random endpoints.
    #[default]
    LeastRequests,
    /// One after the other.
    RoundRobin,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointAddress {
    /// A Pod or a hand-written address.
    Socket(SocketAddr),
    /// A host name that is resolved when a connection is made (`ExternalName`).
    Name(Arc<str>, u16),
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => write!(f, "{address}"),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl Serialize for EndpointAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether an endpoint takes new requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// Ready.
    Serving,
    /// Terminating but still serving: used only where nothing else serves (KEP-1669).
    Draining,
}

/// One address of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Whether it takes new requests.
    pub state: EndpointState,
}

/// A Service port and its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Its name in rules.
    pub key: BackendKey,
    /// What is spoken to its endpoints.
    pub protocol: BackendProtocol,
    /// Set where `protocol` is [`BackendProtocol::Https`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// How an endpoint is chosen.
    pub balancing: Balancing,
    /// Sorted by address, without duplicates; empty: every request gets 503.
    pub endpoints: Vec<Endpoint>,
}

/// Backends by key; cloning costs O(backends), one reference count each.
#[derive(Debug, Clone, Default)]
pub struct BackendTable {
    backends: FxHashSet<ByKey>,
}

/// Found by the key in the backend, which so is kept once.
#[derive(Debug, Clone)]
struct ByKey(Arc<Backend>);

impl Borrow<BackendKey> for ByKey {
    fn borrow(&self) -> &BackendKey {
        &self.0.key
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

impl BackendTable {
    /// The backend of that key, if its Service and port exist; O(1).
    #[must_use]
    pub fn find(&self, key: &BackendKey) -> Option<&Arc<Backend>> {
        self.backends.get(key).map(|backend| &backend.0)
    }

    /// All backends, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.backends.iter().map(|backend| &backend.0)
    }

    /// Sets a backend, or removes it; for a table that is being built.
    pub fn put(&mut self, key: &BackendKey, backend: Option<Arc<Backend>>) {
        match backend {
            Some(backend) => drop(self.backends.replace(ByKey(backend))),
            None => drop(self.backends.remove(key)),
        }
    }

    /// How many backends there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }
}

impl FromIterator<Arc<Backend>> for BackendTable {
    fn from_iter<I: IntoIterator<Item = Arc<Backend>>>(backends: I) -> Self {
        Self { backends: backends.into_iter().map(ByKey).collect() }
    }
}

/// Sorted by key, so that two equal tables read the same.
impl Serialize for BackendTable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<_> = self.iter().collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        serializer.collect_seq(sorted)
    }
}
