//! Objects by kind and name, with one rising version for all of them and everything that happened since the start.

use super::path::Resource;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Kind, namespace and name.
pub(crate) type Key = (&'static str, String, String);

/// All objects, now and before.
#[derive(Debug, Default)]
pub(crate) struct Store {
    version: u64,
    compacted: u64,
    objects: BTreeMap<Key, Value>,
    /// In order of version.
    history: Vec<Happened>,
    /// Lists half read: what is left of them, by number.
    pages: Vec<(u64, Vec<Value>)>,
}

/// One change, or a bookmark where there is neither a before nor an after.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    pub(crate) version: u64,
    pub(crate) kind: &'static str,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// How a version compares with those that are kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compacted;

impl Store {
    /// The version of the last change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The object as it is now.
    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        let resource = Resource::of_kind(kind).expect("a kind that the server keeps");
        self.objects.get(&(resource.kind, namespace.to_owned(), name.to_owned()))
    }

    /// All objects of a kind, by name.
    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((of, ..), _)| *of == kind).map(|(_, object)| object)
    }

    /// What happened from the change number `from` on.
    pub(crate) fn happened(&self, from: usize) -> &[Happened] {
        self.history.get(from..).unwrap_or_default()
    }

    /// The number of the first change after `version`.
    pub(crate) fn after(&self, version: u64) -> Result<usize, Compacted> {
        if version < self.compacted {
            return Err(Compacted);
        }
        Ok(self.history.partition_point(|happened| happened.version <= version))
    }

    /// The number that the next change will have.
    pub(crate) fn end(&self) -> usize {
        self.history.len()
    }

    /// Creates or replaces; what the server gives is given. The version, which is the old one where nothing differs.
    pub(crate) fn put(&mut self, mut object: Value) -> u64 {
        let (resource, key) = key(&mut object);
        let before = self.objects.get(&key).cloned();
        let version = self.version + 1;
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        for field in ["uid", "creationTimestamp"] {
            if let Some(before) = &before {
                metadata.insert(field.to_owned(), before["metadata"][field].clone());
            }
        }
        let uid = format!("00000000-0000-4000-8000-{version:012}");
        metadata.entry("uid").or_insert_with(|| json!(uid));
        metadata.entry("creationTimestamp").or_insert_with(|| json!("2026-01-01T00:00:00Z"));
        let old_version = before.as_ref().map(|before| before["metadata"]["resourceVersion"].clone());
        if let Some(old_version) = old_version {
            metadata.insert("resourceVersion".to_owned(), old_version.clone());
            if before.as_ref() == Some(&object) {
                return old_version.as_str().and_then(|version| version.parse().ok()).expect("given by us");
            }
        }
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.version = version;
        self.objects.insert(key, object.clone());
        self.history.push(Happened { version, kind: resource.kind, before, after: Some(object) });
        version
    }

    /// Removes; what was removed.
    pub(crate) fn delete(&mut self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = Resource::of_kind(kind).expect("a kind that the server keeps");
        let mut object = self.objects.remove(&(resource.kind, namespace.to_owned(), name.to_owned()))?;
        self.version += 1;
        // A deleted object comes with the version of its deletion.
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let happened =
            Happened { version: self.version, kind: resource.kind, before: Some(object.clone()), after: None };
        self.history.push(happened);
        Some(object)
    }

    /// Forgets what was before now.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.version;
        self.pages.clear();
    }

    /// Tells watches the current version.
    pub(crate) fn bookmark(&mut self) {
        self.history.push(Happened { version: self.version, kind: "", before: None, after: None });
    }

    /// Keeps the rest of a list and its version; the token to go on with.
    pub(crate) fn keep_page(&mut self, version: u64, rest: Vec<Value>) -> String {
        self.pages.push((version, rest));
        format!("page-{}", self.pages.len() - 1)
    }

    /// The rest of a list; `None` once it was compacted.
    pub(crate) fn page(&self, token: &str) -> Option<(u64, Vec<Value>)> {
        self.pages.get(token.strip_prefix("page-")?.parse::<usize>().ok()?).cloned()
    }
}

/// The resource and key of an object; it gets the namespace `default` where it needs one.
fn key(object: &mut Value) -> (&'static Resource, Key) {
    let kind = object["kind"].as_str().expect("an object with kind");
    let resource = Resource::of_kind(kind).expect("a kind that the server keeps");
    assert_eq!(object["apiVersion"], resource.api_version, "{kind}");
    let metadata = &mut object["metadata"];
    let namespace = match metadata["namespace"].as_str() {
        _ if !resource.is_namespaced() => String::new(),
        Some(namespace) => namespace.to_owned(),
        None => {
            metadata["namespace"] = json!("default");
            "default".to_owned()
        }
    };
    let name = metadata["name"].as_str().expect("an object with a name").to_owned();
    (resource, (resource.kind, namespace, name))
}
