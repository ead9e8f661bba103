//! One problem as an Event in the API server, or as one more of its series.

use super::agenda::Report;
use crate::cluster::clients::Clients;
use crate::cluster::fault::Fault;
use crate::cluster::resource::{
    ENDPOINT_SLICES, INGRESS_CLASSES, INGRESSES, NAMESPACES, Resource, SECRETS, SERVICE_IMPORTS, SERVICES,
};
use crate::{Printable, Problem};
use config::{Kind, ObjectRef};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;
use std::sync::Arc;

const CONTROLLER: &str = "tidegate.dev/ingress";
const ACTION: &str = "Translate";
/// Octets of a note and of the name of an instance (`ValidateEventCreate` of Kubernetes).
const NOTE: usize = 1024;
const INSTANCE: usize = 128;
/// Octets of an Event's name that come from its object's; the rest of 253 is a dot and a hash.
const NAME: usize = 253 - 17;
/// The namespace of Events on what has none.
const DEFAULT_NAMESPACE: &str = "default";

/// Writes Events.
pub(super) struct Reporter {
    client: Client,
    instance: String,
    /// The installation.
    manager: Arc<str>,
}

impl Reporter {
    pub(super) fn new(clients: &Clients, identity: &str, manager: &Arc<str>) -> Self {
        Self { client: clients.calls(), instance: cut(identity, INSTANCE).to_owned(), manager: Arc::clone(manager) }
    }

    /// Tells a problem. One that this process or another one has told is there already.
    pub(super) async fn tell(&self, report: &Report) -> Result<(), Fault> {
        let uid = self.uid(&report.object).await?;
        let event = self.event(report, uid);
        let namespace = event.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        if report.is_repetition && repeat(&events, &event).await? {
            return Ok(());
        }
        match events.create(&PostParams::default(), &event).await.map_err(|error| Fault::from(&error)) {
            Ok(_) | Err(Fault::Conflict(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// What tells the object from an earlier one of the same name; `kubectl describe` looks for it. Only metadata is
    /// asked for: nothing of a Secret is read. `None` where we may not even do that; the Event is then still in the list
    /// of its namespace.
    async fn uid(&self, object: &ObjectRef) -> Result<Option<String>, Fault> {
        let mut next = resource(object.kind);
        let mut missing = Ok(None);
        while let Some(resource) = next {
            match self.uid_as(object, resource).await {
                // The server may have an older version alone.
                Err(fault @ Fault::NotFound(_)) => (next, missing) = (resource.older, Err(fault)),
                found => return found,
            }
        }
        missing
    }

    async fn uid_as(&self, object: &ObjectRef, resource: &Resource) -> Result<Option<String>, Fault> {
        let (group, version) = resource.api_version.split_once('/').unwrap_or(("", resource.api_version));
        let kind = GroupVersionKind::gvk(group, version, resource.kind);
        let kind = ApiResource::from_gvk_with_plural(&kind, resource.plural);
        let client = self.client.clone();
        let objects: Api<DynamicObject> = if object.kind.is_namespaced() {
            Api::namespaced_with(client, &object.namespace, &kind)
        } else {
            Api::all_with(client, &kind)
        };
        match objects.get_metadata(&object.name).await.map_err(|error| Fault::from(&error)) {
            Ok(found) => Ok(found.metadata.uid),
            Err(Fault::Forbidden(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn event(&self, Report { object, problem, .. }: &Report, uid: Option<String>) -> Event {
        let note = note(problem);
        let reason = format!("{:?}", problem.reason);
        let text = |text: &str| Some(text.to_owned());
        let namespace = text(if object.kind.is_namespaced() { &object.namespace } else { DEFAULT_NAMESPACE });
        let uid_text = uid.as_deref().unwrap_or_default();
        let name = event_name(&object.name, &[&self.manager, uid_text, object.kind.as_str(), &reason, &note]);
        let regarding = ObjectReference {
            api_version: resource(object.kind).map(|resource| resource.api_version.to_owned()),
            kind: text(object.kind.as_str()),
            namespace: text(&object.namespace).filter(|namespace| !namespace.is_empty()),
            name: text(&object.name),
            uid,
            ..ObjectReference::default()
        };
        Event {
            metadata: ObjectMeta { name: Some(name), namespace, ..ObjectMeta::default() },
            event_time: Some(MicroTime(Timestamp::now())),
            type_: text("Warning"),
            reason: Some(reason),
            note: Some(note),
            action: text(ACTION),
            reporting_controller: text(CONTROLLER),
            reporting_instance: Some(self.instance.clone()),
            regarding: Some(regarding),
            ..Event::default()
        }
    }
}

/// Counts one more time; `false` where the Event has expired.
async fn repeat(events: &Api<Event>, event: &Event) -> Result<bool, Fault> {
    let name = event.metadata.name.as_deref().unwrap_or_default();
    let parameters = PatchParams::default();
    // A patch of nothing shows what is there, without the right to get Events. Another leader may have counted.
    let before =
        match events.patch(name, &parameters, &Patch::Merge(json!({}))).await.map_err(|error| Fault::from(&error)) {
            Ok(before) => before,
            Err(Fault::NotFound(_)) => return Ok(false),
            Err(fault) => return Err(fault),
        };
    let count = before.series.map_or(1, |series| series.count).saturating_add(1);
    let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(Timestamp::now())}});
    match events.patch(name, &parameters, &Patch::Merge(series)).await.map_err(|error| Fault::from(&error)) {
        Ok(_) => Ok(true),
        Err(Fault::NotFound(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}

fn resource(kind: Kind) -> Option<&'static Resource> {
    let resources = [INGRESSES, INGRESS_CLASSES, SERVICES, ENDPOINT_SLICES, SERVICE_IMPORTS, NAMESPACES, SECRETS];
    resources.into_iter().find(|resource| resource.model() == Some(kind))
}

/// `spec.rules[0].host: what is wrong`, as far as there is room for it.
fn note(problem: &Problem) -> String {
    let Problem { field, message, .. } = problem;
    let field = field.as_deref().map(|field| format!("{field}: ")).unwrap_or_default();
    cut(&Printable(format_args!("{field}{message}")).to_string(), NOTE).to_owned()
}

/// The beginning of a text that has at most so many octets.
fn cut(text: &str, octets: usize) -> &str {
    text.get(..text.floor_char_boundary(octets)).unwrap_or_default()
}

/// The same name for the same texts, in each replica and version of an installation: who comes second finds it there.
fn event_name(object: &str, texts: &[&str]) -> String {
    let object = cut(object, NAME).trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
    format!("{object}.{:016x}", hash(texts))
}

/// FNV-1a, of 64 bits: it is the same for ever, which the standard library's is not.
fn hash(texts: &[&str]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    // No octet of a text is the one that ends it.
    let octets = texts.iter().flat_map(|text| text.bytes().chain([0xff]));
    octets.fold(BASIS, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn a_note_is_cut_at_a_character() {
        let long = note(&Problem::at("spec", Reason::BadHost, "\u{e9}".repeat(1000)));
        assert!(long.starts_with("spec: \u{e9}"));
        assert_eq!(long.len(), NOTE);
        let odd = note(&Problem::at("spec.", Reason::BadHost, "\u{e9}".repeat(1000)));
        assert_eq!(odd.len(), NOTE - 1);
        assert_eq!(note(&Problem::whole(Reason::BadHost, "a\u{1b}b")), "a\\u{1b}b");
    }

    #[test]
    fn names_of_events_are_names_and_stay_the_same() {
        assert_eq!(hash(&[]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(event_name("web", &["uid", "BadHost", "text"]), event_name("web", &["uid", "BadHost", "text"]));
        assert_ne!(event_name("web", &["ab", "c"]), event_name("web", &["a", "bc"]));
        let long = event_name(&format!("{}-.{}", "a".repeat(234), "b".repeat(17)), &[]);
        assert_eq!(long, format!("{}.cbf29ce484222325", "a".repeat(234)));
        assert!(event_name(&"a".repeat(253), &[]).len() <= 253);
    }
}
