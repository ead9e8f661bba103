//! The DNS server: names of the cluster's zone from the snapshot, all others from upstream.
//! [`answer()`] is the meaning, pure; [`Server`] carries packets.

mod answer;
mod cache;
mod certificates;
mod cookie;
mod corefile;
mod extended_error;
mod file;
mod forward;
mod host;
mod message;
mod metrics;
mod name;
mod option;
mod part;
mod plan;
mod question;
mod reply;
mod room;
mod server;
mod serving;
mod shares;
mod transfer;
mod wire;
mod written;

pub use answer::{
    Answer, Explanation, ExternalZones, Fallthrough, PodNames, Reason, RecordText, ReverseZones, Sections,
    ZoneSettings, answer, answer_packet, explain,
};
pub use cache::CacheSettings;
pub use corefile::{Environment, Note, Place, PlanError, Refusal, System};
pub use forward::{parse_resolv_conf, system_upstreams};
pub use hickory_proto::op::ResponseCode;
pub use hickory_proto::rr::{Name, Record, RecordType};
pub use part::spelling::{NameText, name as spelled_name};
pub use plan::{Block, Listener, Plan, PlannedObjects, Probes, Transport, Zone, ZoneError};
pub use question::{Question, TypeName};
pub use server::{
    Bounds, Explained, Explainer, Found, Outcome, Prepared, Protection, RateLimit, Reloads, Server, Settings, Sockets,
    Step, bind, bind_all, of_host,
};
pub use serving::{At, addresses};
pub use written::LOGGED;
