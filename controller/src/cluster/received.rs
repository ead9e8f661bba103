//! An object as the API server sent it: its identity is read at once, the rest only if it is of use.

use super::resource::Resource;
use crate::Object;
use config::ObjectRef;
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// An object with its metadata read.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) namespace: Option<Arc<str>>,
    pub(crate) name: Arc<str>,
    uid: Box<str>,
    /// Its `resourceVersion`.
    pub(crate) version: Arc<str>,
    text: Box<RawValue>,
}

/// An object that is not of the shape that its kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undecodable {
    pub(crate) object: ObjectRef,
    pub(crate) message: String,
}

#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Arc<str>,
    namespace: Option<Arc<str>>,
    #[serde(default)]
    uid: Box<str>,
    #[serde(default = "nothing")]
    resource_version: Arc<str>,
}

fn nothing() -> Arc<str> {
    Arc::from("")
}

impl<'de> Deserialize<'de> for Received {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Head { metadata } = serde_json::from_str(text.get()).map_err(de::Error::custom)?;
        let Metadata { name, namespace, uid, resource_version: version } = metadata;
        Ok(Self { namespace: namespace.filter(|namespace| !namespace.is_empty()), name, uid, version, text })
    }
}

impl Received {
    /// What tells this object, as it is, from any other: equal for equal ones, and as good as never for others.
    pub(crate) fn fingerprint(&self, hasher: &RandomState) -> u64 {
        hasher.hash_one((&self.uid, &self.version))
    }

    /// Its name as one of the model's kinds; `None` where the model has no such kind.
    pub(crate) fn object_ref(&self, resource: &Resource) -> Option<ObjectRef> {
        let kind = resource.model()?;
        let namespace = self.namespace.clone().unwrap_or_else(nothing);
        Some(ObjectRef::new(kind, namespace, Arc::clone(&self.name)))
    }

    /// Reads all of it as an object that the model does not have.
    ///
    /// # Errors
    /// Where it does not have the shape of `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text.get())
    }

    /// Reads all of it, and drops what nothing here reads.
    ///
    /// # Errors
    /// Where it does not have the shape of its kind.
    pub(crate) fn object(&self, resource: &Resource, name: &ObjectRef) -> Result<Object, Undecodable> {
        let mut deserializer = serde_json::Deserializer::from_str(self.text.get());
        let undecodable = |message| Undecodable { object: name.clone(), message };
        match Object::read(resource.api_version, resource.kind, &mut deserializer) {
            Some(Ok(mut object)) => {
                object.trim();
                Ok(object)
            }
            Some(Err(error)) => Err(undecodable(error.to_string())),
            None => Err(undecodable(format!("no object of the kind {} is read", resource.kind))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::{INGRESSES, SERVICES};
    use kube::core::WatchEvent;

    fn frame(text: &str) -> Received {
        match serde_json::from_str(text).expect("a frame") {
            WatchEvent::Added(received) | WatchEvent::Modified(received) => received,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_is_read_as_far_as_it_is_of_use() {
        let received = frame(
            r#"{"type":"ADDED","object":{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"shop",
               "uid":"u1","resourceVersion":"17","managedFields":[{"manager":"kubectl"}]},"spec":{"clusterIP":"10.0.0.1"}}}"#,
        );
        assert_eq!((&*received.name, &*received.version), ("web", "17"));
        let name = received.object_ref(SERVICES).expect("of the model");
        assert_eq!(name.to_string(), "Service shop/web");
        let object = received.object(SERVICES, &name).expect("a Service");
        assert_eq!(object.metadata().managed_fields, None);
    }

    #[test]
    fn an_object_of_another_shape_is_named() {
        let received = frame(
            r#"{"type":"MODIFIED","object":{"metadata":{"name":"web","namespace":"shop"},"spec":{"rules":"none"}}}"#,
        );
        let name = received.object_ref(INGRESSES).expect("of the model");
        let undecodable = received.object(INGRESSES, &name).expect_err("rules are a list");
        assert_eq!(undecodable.object, name);
        assert!(undecodable.message.contains("invalid type: string"), "{}", undecodable.message);
    }

    #[test]
    fn another_version_or_object_has_another_fingerprint() {
        let hasher = RandomState::new();
        let of = |uid: &str, version: &str| {
            let text = format!(
                r#"{{"type":"ADDED","object":{{"metadata":{{"name":"a","uid":"{uid}","resourceVersion":"{version}"}}}}}}"#
            );
            frame(&text).fingerprint(&hasher)
        };
        assert_eq!(of("u1", "1"), of("u1", "1"));
        assert_ne!(of("u1", "1"), of("u1", "2"));
        assert_ne!(of("u1", "1"), of("u2", "1"));
        assert_ne!(of("u1", "11"), of("u11", "1"));
    }
}
