//! What became of one object, from what every stage of translation says about it.

use super::{Translator, backends, certificates, class, client_policies};
use crate::objects::{Ingress, Objects, SOURCE_CLUSTER, Slice};
use crate::status::{Problem, Reason, Status, Verdict};
use config::{Kind, ObjectName, ObjectRef};
use std::sync::Arc;

impl Translator {
    /// The status of an object; `None` where it has none.
    pub(super) fn status(&self, object: &ObjectRef, objects: &Objects) -> Option<Status> {
        let name = ObjectName::from(object);
        match object.kind {
            Kind::Ingress => objects.ingress(&name).map(|ingress| self.ingress_status(ingress, objects)),
            Kind::IngressClass => {
                objects.class(&object.name).map(|kept| match class::foreign_class(kept, &self.settings) {
                    Some(problem) => Status { verdict: Verdict::NotOurs, problems: vec![problem] },
                    None => Status::accepted(kept.problems.to_vec()),
                })
            }
            Kind::Secret => self.secret_status(&name, objects),
            Kind::Service => self.service_status(&name, objects),
            Kind::EndpointSlice | Kind::Endpoints => {
                let problems = objects.problems(object).filter(|problems| !problems.is_empty());
                problems.map(Status::accepted)
            }
            Kind::ServiceImport => import_status(&name, objects),
            Kind::Namespace | Kind::Pod | Kind::ConfigMap => None,
        }
    }

    fn ingress_status(&self, ingress: &Ingress, objects: &Objects) -> Status {
        if let Some(problem) = class::foreign(ingress, objects, &self.settings) {
            return Status { verdict: Verdict::NotOurs, problems: vec![problem] };
        }
        let mut problems = ingress.problems.to_vec();
        problems.extend(self.hosts.problems(ingress).cloned());
        problems.extend(certificates::ingress_problems(ingress, objects));
        problems.extend(self.certificates.conflicts(ingress).cloned());
        problems.extend(client_policies::secret_problem(ingress, objects));
        problems.extend(self.client_policies.conflicts(ingress).cloned());
        problems.extend(ingress.backends().filter_map(|(key, field)| {
            backends::missing(key, objects).map(|(reason, message)| Problem::at(field, reason, message))
        }));
        if self.hosts.serves(ingress) {
            Status::accepted(problems)
        } else {
            Status { verdict: Verdict::Refused, problems }
        }
    }

    fn secret_status(&self, name: &ObjectName, objects: &Objects) -> Option<Status> {
        let kept = objects.secret(name);
        let is_default = self.settings.ingress.default_tls_secret.as_ref() == Some(name);
        if !is_default && !kept.is_some_and(|kept| kept.exists && kept.is_tls) {
            return None;
        }
        let (reason, message) = certificates::secret_problem(name, objects)?;
        let is_served = kept.is_some_and(|kept| kept.problem.is_none() && kept.certificate.is_some());
        let verdict = if is_served { Verdict::AcceptedWithProblems } else { Verdict::Refused };
        let field = is_default.then(|| "--default-tls-secret".into());
        let problem = Problem { field, reason, message: message.into() };
        Some(Status { verdict, problems: vec![problem] })
    }

    fn service_status(&self, name: &ObjectName, objects: &Objects) -> Option<Status> {
        let service = objects.service(name);
        let mut problems = service.map(|service| service.problems.to_vec()).unwrap_or_default();
        let default = self.settings.ingress.default_backend.as_ref().map(|default| &default.0);
        if let Some(key) = default.filter(|key| backends::service_name(key) == *name)
            && let Some((reason, message)) = backends::missing(key, objects)
        {
            problems.push(Problem::at("--default-backend", reason, message));
        }
        problems.extend(service.and_then(|service| self.backends.silence(service, objects)));
        match (service, problems.is_empty()) {
            (_, true) => None,
            (Some(_), false) => Some(Status::accepted(problems)),
            (None, false) => Some(Status { verdict: Verdict::Refused, problems }),
        }
    }
}

/// The status of a ServiceImport; `None`: nothing is to be said of it.
fn import_status(name: &ObjectName, objects: &Objects) -> Option<Status> {
    let import = objects.import(name)?;
    let mut problems = import.problems.to_vec();
    let is_nowhere = |slice: &&Arc<Slice>| slice.import.as_ref().is_some_and(|import| import.cluster.is_none());
    problems.extend(objects.slices_of_import(name).iter().filter(is_nowhere).map(|slice| {
        let message = format!(
            "{} does not name its cluster in {SOURCE_CLUSTER}, by a label of DNS: its endpoints are called by their addresses, without one",
            slice.object
        );
        Problem::whole(Reason::NoCluster, message)
    }));
    match (problems.is_empty(), &import.kind) {
        (true, _) => None,
        (false, Some(_)) => Some(Status::accepted(problems)),
        (false, None) => Some(Status { verdict: Verdict::Refused, problems }),
    }
}
