//! An IngressClass as it is kept: whose it is.

use super::kept::Named;
use crate::status::{Problem, Reason};
use config::{Kind, ObjectRef};
use k8s_openapi::api::networking::v1 as k8s;
use std::sync::Arc;

/// An IngressClass.
#[derive(Debug, PartialEq)]
pub struct IngressClass {
    /// Its name.
    pub object: Arc<ObjectRef>,
    /// `spec.controller`.
    pub controller: Box<str>,
    /// What is wrong with it.
    pub problems: Box<[Problem]>,
}

impl Named for IngressClass {
    const KIND: Kind = Kind::IngressClass;

    fn object(&self) -> &Arc<ObjectRef> {
        &self.object
    }
}

impl IngressClass {
    pub(crate) fn read(class: k8s::IngressClass, object: &Arc<ObjectRef>) -> Self {
        let k8s::IngressClass { metadata: _, spec } = class;
        let k8s::IngressClassSpec { controller, parameters } = spec.unwrap_or_default();
        let problem = parameters.map(|parameters| {
            let message = format!("{} {} has no effect", parameters.kind, parameters.name);
            Problem::at("spec.parameters", Reason::NoEffect, message)
        });
        Self {
            object: Arc::clone(object),
            controller: controller.unwrap_or_default().into(),
            problems: problem.into_iter().collect(),
        }
    }
}
