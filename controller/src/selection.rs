//! Which objects of a source are of use: all that Tidegate reads, or those alone that names are made of.

use crate::{Batch, Change, Object};
use config::{Kind, LabelSelector};

/// Which objects are of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All kinds that Tidegate reads, Pods and ServiceImports aside.
    Everything {
        /// Whether Pods are of use too.
        pods: bool,
        /// Whether ServiceImports are of use too.
        imports: bool,
        /// Whether external addresses of Services are.
        externals: bool,
    },
    /// Those that names are made of: where nothing but names is served, nothing else is asked for, and no Secret is read.
    Names(NameObjects),
}

/// Which of the objects that names are made of are of use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameObjects {
    /// Whether Pods are: only where names of Pods are those that there are, or who asks is told by its address.
    pub pods: bool,
    /// Whether ServiceImports are: only where a zone has the Services of several clusters.
    pub imports: bool,
    /// Whether external addresses of Services are: only where a zone is made of them.
    pub externals: bool,
    /// Which Services, EndpointSlices, ServiceImports and Pods are; `None`: all.
    pub labels: Option<LabelSelector>,
    /// Which Namespaces are; `None`: all.
    pub namespace_labels: Option<LabelSelector>,
}

impl Default for Selection {
    fn default() -> Self {
        Self::Everything { pods: false, imports: false, externals: false }
    }
}

impl Selection {
    /// Whether objects of the kind are of use.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Everything { pods, .. } | Self::Names(NameObjects { pods, .. }), Kind::Pod) => *pods,
            (Self::Everything { imports, .. } | Self::Names(NameObjects { imports, .. }), Kind::ServiceImport) => {
                *imports
            }
            (Self::Everything { .. }, _) => true,
            (Self::Names(_), Kind::Service | Kind::EndpointSlice | Kind::Endpoints | Kind::Namespace) => true,
            (Self::Names(_), _) => false,
        }
    }

    /// Whether external addresses of Services are of use.
    #[must_use]
    pub fn has_externals(&self) -> bool {
        let (Self::Everything { externals, .. } | Self::Names(NameObjects { externals, .. })) = self;
        *externals
    }

    /// The labels that objects of the kind need; `None`: none.
    pub(crate) fn labels(&self, kind: Kind) -> Option<&LabelSelector> {
        match self {
            Self::Everything { .. } => None,
            Self::Names(names) if kind == Kind::Namespace => names.namespace_labels.as_ref(),
            Self::Names(names) => names.labels.as_ref(),
        }
    }

    /// Whether an object is of use.
    #[must_use]
    pub fn takes(&self, object: &Object) -> bool {
        self.has(object.kind()) && self.is_meant(object)
    }

    /// Leaves in a batch what is of use; an object that is not any more has ended.
    pub(crate) fn select(&self, batch: &mut Batch) {
        batch.changes.retain(|change| self.has(change.kind()));
        for change in &mut batch.changes {
            if let Change::Apply(object) = change
                && !self.is_meant(object)
            {
                *change = Change::Delete(object.object_ref());
            }
        }
    }

    fn is_meant(&self, object: &Object) -> bool {
        let labels = object.metadata().labels.as_ref();
        self.labels(object.kind()).is_none_or(|selector| match labels {
            Some(labels) => selector.matches(labels),
            None => selector.matches(&std::collections::BTreeMap::new()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::ObjectRef;
    use serde_json::json;

    fn object(kind: &str, name: &str, labels: &serde_json::Value) -> Object {
        let api_version = match kind {
            "EndpointSlice" => "discovery.k8s.io/v1",
            "ServiceImport" => "multicluster.x-k8s.io/v1beta1",
            _ => "v1",
        };
        let mut value = json!({"metadata": {"name": name, "namespace": "shop", "labels": labels}});
        if kind == "EndpointSlice" {
            value["addressType"] = json!("IPv4");
            value["endpoints"] = json!([]);
        }
        Object::read(api_version, kind, value).expect("a known kind").expect("valid")
    }

    /// What is left of such objects: `+` with the name of one that is of use, `-` of one that is not any more.
    fn selected(selection: &Selection, objects: &[Object]) -> Vec<String> {
        let changes = objects.iter().cloned().map(Change::Apply).collect();
        let mut batch = Batch { changes, ..Batch::default() };
        selection.select(&mut batch);
        let told = |change| match change {
            Change::Apply(object) => format!("+{}", object.object_ref()),
            Change::Delete(name) | Change::Refuse(name, _) => format!("-{name}"),
        };
        batch.changes.into_iter().map(told).collect()
    }

    #[test]
    fn labels_choose_among_kinds_that_names_are_made_of() {
        let (yes, no) = (json!({"team": "a"}), json!({}));
        let objects = [
            object("Service", "a", &yes),
            object("Service", "b", &no),
            object("EndpointSlice", "a", &yes),
            object("ServiceImport", "a", &yes),
            object("ServiceImport", "b", &no),
            object("Pod", "a", &yes),
            object("Pod", "b", &no),
            object("Namespace", "a", &yes),
            object("Namespace", "b", &json!({"dns": "on"})),
            object("Secret", "a", &yes),
            object("ConfigMap", "a", &yes),
        ];
        let names = NameObjects {
            pods: true,
            imports: true,
            externals: false,
            labels: Some("team=a".parse().expect("a selector")),
            namespace_labels: Some("dns".parse().expect("a selector")),
        };
        assert_eq!(
            selected(&Selection::Names(names.clone()), &objects),
            [
                "+Service shop/a",
                "-Service shop/b",
                "+EndpointSlice shop/a",
                "+ServiceImport shop/a",
                "-ServiceImport shop/b",
                "+Pod shop/a",
                "-Pod shop/b",
                "-Namespace a",
                "+Namespace b"
            ]
        );
        let without = Selection::Names(NameObjects { pods: false, imports: false, ..names });
        let is_left = |change: &String| change.contains("Pod") || change.contains("ServiceImport");
        assert!(!selected(&without, &objects).iter().any(is_left));
        assert_eq!(
            selected(&Selection::default(), &objects).len(),
            objects.len() - 4,
            "all but Pods and ServiceImports"
        );
        for (pods, imports) in [(true, false), (false, true)] {
            assert_eq!(
                selected(&Selection::Everything { pods, imports, externals: false }, &objects).len(),
                objects.len() - 2
            );
        }
    }

    #[test]
    fn the_end_of_what_is_not_of_use_is_not_told() {
        let ends = [("Secret", Kind::Secret), ("Service", Kind::Service)];
        let changes = ends.map(|(name, kind)| Change::Delete(ObjectRef::new(kind, "shop", name))).into();
        let mut batch = Batch { changes, ..Batch::default() };
        Selection::Names(NameObjects::default()).select(&mut batch);
        assert_eq!(batch.changes, [Change::Delete(ObjectRef::new(Kind::Service, "shop", "Service"))]);
    }
}
