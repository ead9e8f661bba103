//! The model of Tidegate and its meaning: plain immutable values, no I/O.
//! The controller builds a [`Snapshot`], [`Publisher`] swaps it in, the proxy and the DNS server answer from it.

mod backend;
mod certificate;
mod client_policy;
mod controller_class;
mod duration;
mod host;
mod label_selector;
mod names;
mod object_ref;
mod path;
mod publish;
mod routing;
mod settings;
mod snapshot;

pub use backend::{
    Backend, BackendKey, BackendPort, BackendProtocol, BackendTable, Balancing, Endpoint, EndpointAddress,
    EndpointState, Trust, UpstreamTls,
};
pub use certificate::{Certificate, CertificateTable, KeyKind, PrivateKey};
pub use client_policy::{ClientPolicy, ClientPolicyTable, TrustAnchor};
pub use controller_class::ControllerClass;
pub use duration::parse_duration;
pub use host::{Host, HostError, HostPattern};
pub use label_selector::LabelSelector;
pub use names::{
    AddressOwner, DomainName, DomainNameError, EndpointGroup, EndpointName, Labelled, NameChange, NameTable, Owners,
    PortName, ServiceNames, Transport,
};
pub use object_ref::{Kind, ObjectRef};
pub use path::{CanonicalPath, EncodedSlashes, PathError, PathSettings, canonical_rule_path};
pub use publish::{Publisher, Reader, Subscriber, publisher};
pub use routing::{
    Action, Explanation, Found, HostRules, HostTable, HttpsRedirect, Listener, ListenerName, Loss, Miss, Outcome,
    PathMatch, PlainHttp, Protocol, Respond, RoutingTable, Rule, RuleOrigin, RulePolicy, Split, StatusSet, Target,
    is_acme_challenge, is_acme_token,
};
pub use settings::{
    AccessLogFormat, DnsCompatibility, DrainSettings, IngressSettings, ListenSettings, ObjectName, ServicePort,
    Settings,
};
pub use snapshot::Snapshot;
