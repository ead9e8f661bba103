//! The backend of a rule: a Service port by number or by name, or an object of another kind.

use super::{IngressBackend, Reading};
use crate::objects::service::port_number;
use crate::status::Reason;
use config::{BackendKey, BackendPort};
use k8s_openapi::api::networking::v1 as k8s;
use std::sync::Arc;

impl Reading<'_> {
    /// Reads a backend; `None`, which is reported, where it names nothing or two things.
    pub(super) fn backend(&mut self, backend: k8s::IngressBackend, field: &Arc<str>) -> Option<IngressBackend> {
        let k8s::IngressBackend { resource, service } = backend;
        match (resource, service) {
            (None, Some(service)) => match self.service(service) {
                Ok(key) => Some(IngressBackend::Service(key)),
                Err(message) => {
                    self.report(field, Reason::BadBackend, message);
                    None
                }
            },
            (Some(resource), None) => {
                let message = format!(
                    "backend {} {}: only Services can be backends, requests get 503",
                    resource.kind, resource.name
                );
                self.report(field, Reason::ResourceBackend, message);
                Some(IngressBackend::Resource)
            }
            (Some(_), Some(_)) => {
                self.report(field, Reason::BadBackend, "backend names both a service and a resource".to_owned());
                None
            }
            (None, None) => {
                self.report(field, Reason::BadBackend, "backend names neither a service nor a resource".to_owned());
                None
            }
        }
    }

    fn service(&mut self, service: k8s::IngressServiceBackend) -> Result<Arc<BackendKey>, String> {
        let k8s::IngressServiceBackend { name: service, port } = service;
        if service.is_empty() {
            return Err("backend service has no name".to_owned());
        }
        let k8s::ServiceBackendPort { name, number } = port.unwrap_or_default();
        // Zero and the empty string are how Go writes that there is none.
        let port = match (name.filter(|name| !name.is_empty()), number.filter(|number| *number != 0)) {
            (Some(name), None) => BackendPort::Name(self.names.intern(&name)),
            (None, Some(number)) => match port_number(number) {
                Some(number) => BackendPort::Number(number),
                None => return Err(format!("port {number} of service {service} is not from 1 to 65535")),
            },
            (Some(_), Some(_)) => return Err(format!("port of service {service} has both a name and a number")),
            (None, None) => return Err(format!("port of service {service} has neither a name nor a number")),
        };
        let (namespace, service) = (Arc::clone(&self.namespace), self.names.intern(&service));
        Ok(self.names.intern_backend(&BackendKey { namespace, service, port }))
    }
}
