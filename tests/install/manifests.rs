//! Rendered manifests, and looking things up in them.

use crate::tools::{kustomize, repository, template};
use serde_json::Value;

/// Every object of a rendering.
#[derive(Debug)]
pub(crate) struct Manifests(pub(crate) Vec<Value>);

impl Manifests {
    pub(crate) fn parse(yaml: &str) -> Self {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        Self(documents.into_iter().filter(|document| !document.is_null()).collect())
    }

    /// An overlay of `deploy/kustomize`.
    pub(crate) fn overlay(name: &str) -> Self {
        Self::parse(&kustomize(&repository("deploy/kustomize/overlays").join(name)))
    }

    /// The chart, installed as `tidegate` in the namespace `tidegate`.
    pub(crate) fn chart(values: &[&str]) -> Self {
        Self::release("tidegate", values)
    }

    /// The chart, installed under another name.
    pub(crate) fn release(name: &str, values: &[&str]) -> Self {
        Self::parse(&template(name, values).unwrap_or_else(|error| panic!("{values:?}: {error}")))
    }

    pub(crate) fn find(&self, kind: &str, name: &str) -> &Value {
        let is_it = |object: &&Value| text(object, "/kind") == kind && text(object, "/metadata/name") == name;
        let found = self.0.iter().find(is_it);
        found.unwrap_or_else(|| panic!("no {kind} {name} in {:?}", self.names()))
    }

    pub(crate) fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> {
        let kind = kind.to_owned();
        self.0.iter().filter(move |object| text(object, "/kind") == kind)
    }

    /// The Deployment or DaemonSet.
    pub(crate) fn workload(&self) -> &Value {
        let mut found = self.0.iter().filter(|object| object.pointer("/spec/template").is_some());
        let workload = found.next().unwrap_or_else(|| panic!("no workload in {:?}", self.names()));
        assert!(found.next().is_none(), "two workloads in {:?}", self.names());
        workload
    }

    /// The one container of its Pods.
    pub(crate) fn container(&self) -> &Value {
        let containers = at(self.workload(), "/spec/template/spec/containers");
        assert_eq!(containers.as_array().map(Vec::len), Some(1), "{containers}");
        at(containers, "/0")
    }

    pub(crate) fn arguments(&self) -> Vec<&str> {
        let arguments = at(self.container(), "/args").as_array().expect("a list of arguments");
        arguments.iter().map(|argument| argument.as_str().expect("arguments are texts")).collect()
    }

    /// `Kind namespace/name` of each, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .0
            .iter()
            .map(|object| match object.pointer("/metadata/namespace") {
                Some(namespace) => {
                    let namespace = namespace.as_str().expect("a namespace is a text");
                    format!("{} {namespace}/{}", text(object, "/kind"), text(object, "/metadata/name"))
                }
                None => format!("{} {}", text(object, "/kind"), text(object, "/metadata/name")),
            })
            .collect();
        names.sort();
        names
    }
}

/// What is at a JSON pointer (RFC 6901).
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

/// The text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text in {value:#}"))
}
