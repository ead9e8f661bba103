//! One document of a manifest file: from text to the objects in it and what is wrong with them.
//! Lists are opened here; kinds that Tidegate does not read are passed over.

mod split;
#[cfg(test)]
mod tests;

pub(super) use split::{DocumentText, split};

use super::finding::{Finding, Severity};
use super::node::{Node, Value};
use super::typed;
use crate::object::READ;
use crate::objects::annotations::did_you_mean;
use crate::{Object, Printable};
use config::{Kind, ObjectRef};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An object as a file describes it.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) object: Object,
    pub(super) entry: Entry,
}

/// What is remembered of an object once it is handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) object: Arc<ObjectRef>,
    /// Where it begins, in the file's numbering.
    pub(super) line: u32,
    /// Hash of all of it that is read.
    pub(super) whole: u64,
    /// Hash of all that `metadata.generation` counts: not the metadata, not the status.
    pub(super) spec: u64,
}

/// What one document says; lines are the file's.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) objects: Vec<Described>,
    pub(super) findings: Vec<Finding>,
}

/// Reads a document of `file`; once `stop` is set, no more of its items.
pub(super) fn read(file: &Arc<Path>, document: &DocumentText<'_>, stop: &AtomicBool) -> Reading {
    let mut reader = DocumentReader { file, first_line: document.first_line, stop, reading: Reading::default() };
    match Node::parse(document.text) {
        Ok(node) => reader.read(&node, None, true),
        Err(error) => reader.refuse(error.line, None, error.message),
    }
    reader.reading
}

struct DocumentReader<'r> {
    file: &'r Arc<Path>,
    first_line: u32,
    stop: &'r AtomicBool,
    reading: Reading,
}

/// The `apiVersion` and `kind` that the items of a typed list need not repeat.
type ItemType<'t> = Option<(&'t str, &'t str)>;

impl DocumentReader<'_> {
    /// `opens_lists` is false for the items of a list.
    fn read(&mut self, node: &Node, item_type: ItemType<'_>, opens_lists: bool) {
        let given = |key| node.field(key).and_then(Node::text);
        let (default_version, default_kind) = item_type.unzip();
        match &node.value {
            Value::Null => return,
            Value::Map(_) => {}
            _ => return self.refuse(node.line, None, "not a map with apiVersion and kind"),
        }
        let Some(kind) = given("kind").or(default_kind) else {
            return self.refuse(node.line, None, "no kind: this is no Kubernetes object");
        };
        let object = object_name(kind, node);
        let Some(api_version) = given("apiVersion").or(default_version) else {
            return self.refuse(node.line, object, format!("no apiVersion beside kind {kind}"));
        };
        match kind.strip_suffix("List").filter(|item_kind| is_list(api_version, item_kind)) {
            Some(_) if !opens_lists => self.refuse(node.line, None, "a list within a list is not read"),
            Some(item_kind) => self.read_items(node, (!item_kind.is_empty()).then_some((api_version, item_kind))),
            None => self.read_object(node, api_version, kind),
        }
    }

    fn read_items(&mut self, list: &Node, item_type: ItemType<'_>) {
        match list.field("items").map(|items| (items.line, &items.value)) {
            Some((_, Value::List(items))) => {
                let items = items.iter().take_while(|_| !self.stop.load(Ordering::Relaxed));
                items.for_each(|item| self.read(item, item_type, false));
            }
            Some((_, Value::Null)) | None => {}
            Some((line, _)) => self.refuse(line, None, "items: not a list"),
        }
    }

    fn read_object(&mut self, node: &Node, api_version: &str, kind: &str) {
        let name = object_name(kind, node);
        let read = typed::read(node, |deserializer| Object::read(api_version, kind, deserializer).transpose());
        let (object, unknown) = match read {
            Ok((Some(object), unknown)) => (object, unknown),
            Ok((None, _)) => match refused_version(api_version, kind) {
                Some(versions) => {
                    let versions = versions.join(" or ");
                    let message = format!("apiVersion {api_version} is not read: {kind} is read as {versions}");
                    return self.refuse(node.line, name, message);
                }
                None => return self.pass_over(node, api_version, kind),
            },
            Err(error) => return self.refuse(error.line, name, error.message),
        };
        if let Err(message) = check_names(&object) {
            return self.refuse(node.line, name, message);
        }
        for field in unknown {
            let message = format!("unknown field {}", field.path);
            self.report(field.line, Severity::Warning, name.clone(), message);
        }
        let object = settle(object);
        let entry = Entry {
            object: Arc::new(object.object_ref()),
            line: self.line(node.line),
            // Of a Pod the status is what is read.
            whole: hash_except(node, if object.kind() == Kind::Pod { &[] } else { &["status"] }),
            spec: hash_except(node, &["status", "metadata", "apiVersion", "kind"]),
        };
        self.reading.objects.push(Described { object, entry });
    }

    /// A kind that is not read, unless it is one that is but for its spelling.
    fn pass_over(&mut self, node: &Node, api_version: &str, kind: &str) {
        let known: Vec<_> = READ.iter().map(|(known, _)| known.as_str()).collect();
        let suggestion =
            if is_built_in(api_version) && !known.contains(&kind) { did_you_mean(kind, &known) } else { String::new() };
        if suggestion.is_empty() {
            return tracing::debug!(file = %Printable(self.file.display()), api_version, kind, "passed over");
        }
        self.report(node.line, Severity::Warning, None, format!("kind {kind} is not read{suggestion}"));
    }

    fn refuse(&mut self, line: u32, object: Option<ObjectRef>, message: impl Into<String>) {
        self.report(line, Severity::Error, object, message.into());
    }

    fn report(&mut self, line: u32, severity: Severity, object: Option<ObjectRef>, message: String) {
        let line = Some(self.line(line));
        self.reading.findings.push(Finding { file: Arc::clone(self.file), line, severity, object, message });
    }

    fn line(&self, line: u32) -> u32 {
        self.first_line.saturating_add(line.saturating_sub(1))
    }
}

/// `List`, or the list of a kind; lists of kinds that are not read fall to the objects, which passes them over.
fn is_list(api_version: &str, item_kind: &str) -> bool {
    (item_kind.is_empty() && api_version == "v1") || READ.iter().any(|(kind, _)| kind.as_str() == item_kind)
}

/// The versions in which a kind is read that is given in another one.
fn refused_version(api_version: &str, kind: &str) -> Option<&'static [&'static str]> {
    let is_ours = |version: &&str| is_built_in(api_version) || group(version) == group(api_version);
    let read = READ.iter().find(|(known, versions)| known.as_str() == kind && versions.iter().any(is_ours));
    read.map(|&(_, versions)| versions)
}

/// Whether a version is of an API group of Kubernetes itself: kinds of the same name in groups of their own (Knative's
/// `Service`, OpenShift's `Ingress`) are other kinds.
fn is_built_in(api_version: &str) -> bool {
    let group = group(api_version);
    !group.contains('.') || group.ends_with(".k8s.io")
}

fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

fn object_name(kind: &str, node: &Node) -> Option<ObjectRef> {
    let (kind, _) = *READ.iter().find(|(known, _)| known.as_str() == kind)?;
    let metadata = node.field("metadata")?;
    let name = metadata.field("name")?.text()?;
    let namespace = metadata.field("namespace").and_then(Node::text).filter(|namespace| !namespace.is_empty());
    let namespace = if kind.is_namespaced() { namespace.unwrap_or("default") } else { "" };
    Some(ObjectRef::new(kind, namespace, name))
}

/// Names as the API server takes them (RFC 1123), since they stand in logs, metrics and DNS.
fn check_names(object: &Object) -> Result<(), String> {
    let metadata = object.metadata();
    let name = metadata.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err(match &metadata.generate_name {
            Some(_) => "metadata.generateName needs an API server: give metadata.name".to_owned(),
            None => "metadata.name is missing".to_owned(),
        });
    }
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("metadata.name is not made of lower-case letters, digits, - and .".to_owned());
    }
    match metadata.namespace.as_deref() {
        None | Some("") => Ok(()),
        Some(namespace) if namespace.len() <= 63 && is_label(namespace) => Ok(()),
        Some(_) => Err("metadata.namespace is not made of lower-case letters, digits and -".to_owned()),
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Does what the API server does to an object that it takes: sets the namespace, merges `stringData` into `data`.
fn settle(mut object: Object) -> Object {
    object.trim();
    let reference = object.object_ref();
    object.metadata_mut().namespace = (!reference.namespace.is_empty()).then(|| reference.namespace.to_string());
    if let Object::Secret(secret) = &mut object
        && let Some(text) = secret.string_data.take()
    {
        let bytes = |(key, text): (String, String)| (key, k8s_openapi::ByteString(text.into_bytes()));
        secret.data.get_or_insert_default().extend(text.into_iter().map(bytes));
    }
    object
}

fn hash_except(node: &Node, keys: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Value::Map(fields) = &node.value {
        fields.iter().filter(|field| !keys.contains(&field.key.as_str())).for_each(|field| field.hash(&mut hasher));
    }
    hasher.finish()
}
