//! What is fixed at start, read once from flags and environment.

use crate::{ControllerClass, DomainName, ObjectRef, PathSettings};
use ipnet::IpNet;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl From<&ObjectRef> for ObjectName {
    fn from(object: &ObjectRef) -> Self {
        Self { namespace: Arc::clone(&object.namespace), name: Arc::clone(&object.name) }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl std::str::FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.into(), name: name.into() })
            }
            _ => Err(format!("{text:?} is not NAMESPACE/NAME")),
        }
    }
}

/// `NAMESPACE/SERVICE:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ServicePort(pub crate::BackendKey);

impl ServicePort {
    /// The Service that it is of.
    #[must_use]
    pub fn service(&self) -> ObjectName {
        ObjectName { namespace: Arc::clone(&self.0.namespace), name: Arc::clone(&self.0.service) }
    }
}

impl std::str::FromStr for ServicePort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAMESPACE/SERVICE:PORT");
        let (service, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let ObjectName { namespace, name } = service.parse().map_err(|_| wrong())?;
        let port = match port.parse::<u16>() {
            Ok(0) => return Err(wrong()),
            Ok(number) => crate::BackendPort::Number(number),
            Err(_) if port.is_empty() || port.bytes().all(|byte| byte.is_ascii_digit()) => return Err(wrong()),
            Err(_) => crate::BackendPort::Name(port.into()),
        };
        Ok(Self(crate::BackendKey { namespace, service: name, port }))
    }
}

/// Form of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AccessLogFormat {
    Json,
    Text,
    Off,
}

/// How names are answered that CoreDNS answers wrongly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum DnsCompatibility {
    /// As the standards have it: a name exists for all types or none, and so do its parents (RFC 8020); ANY gets one
    /// record (RFC 8482).
    #[default]
    Standard,
    /// As CoreDNS 1.15 does: no such name is what TXT gets at the zone, `svc`, `pod` and namespaces, and everybody at
    /// `dns`, `_tcp.SERVICE.NAMESPACE.svc` and, for other types than TXT, `dns-version`; ANY gets no record. Where nobody
    /// is set to be asked a question fails.
    CoreDns,
}

/// Which objects are ours and how Ingresses are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IngressSettings {
    /// `spec.controller` of the IngressClasses that are ours, whatever their name.
    pub controller: ControllerClass,
    /// Class names that are ours without an IngressClass object.
    pub classes: Vec<String>,
    /// Whether an Ingress without any class is ours.
    pub without_class: bool,
    /// Where requests go that no rule takes; `None`: 404.
    pub default_backend: Option<ServicePort>,
    /// Certificate for names that none covers; `None`: the self-made one of the run.
    pub default_tls_secret: Option<ObjectName>,
    /// Whether plain HTTP on a host with TLS is redirected, where no annotation says otherwise.
    pub ssl_redirect: bool,
}

impl Default for IngressSettings {
    fn default() -> Self {
        Self {
            controller: ControllerClass::default(),
            classes: vec!["tidegate".to_owned()],
            without_class: false,
            default_backend: None,
            default_tls_secret: None,
            ssl_redirect: true,
        }
    }
}

/// Addresses that are bound at start; port 0 lets the system choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenSettings {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
    /// The admin endpoint.
    pub admin: SocketAddr,
    /// Port in redirects to HTTPS; `None`: the bound one.
    pub advertised_https_port: Option<u16>,
}

/// How the process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DrainSettings {
    /// Time from SIGTERM in which new connections are still taken.
    pub delay: Duration,
    /// Time after that in which running exchanges may end.
    pub timeout: Duration,
}

/// All settings of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// What is bound.
    pub listen: ListenSettings,
    /// Worker threads; at least 1.
    pub workers: usize,
    /// How Ingresses are read.
    pub ingress: IngressSettings,
    /// The cluster's DNS zone.
    pub cluster_domain: DomainName,
    /// Peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How request paths are read.
    pub paths: PathSettings,
    /// How the process stops.
    pub drain: DrainSettings,
    /// Form of the access log.
    pub access_log: AccessLogFormat,
}
