//! What became of each object: accepted or not, and why not; made in the same run as the snapshot.

use config::ObjectRef;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// All of it is served; its problems, if any, are notices.
    Accepted,
    /// It is served, in part or not as its author may expect.
    AcceptedWithProblems,
    /// Nothing of it is served.
    Refused,
    /// It is for another controller, and none of our business.
    NotOurs,
}

/// The cause of a problem, one word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Reason {
    /// An address is malformed or must not be used.
    BadAddress,
    /// An annotation has a value that it cannot have.
    BadAnnotation,
    /// A backend names no Service port, or two things at once.
    BadBackend,
    /// A Secret's certificate or key cannot be used.
    BadCertificate,
    /// A host is no host name.
    BadHost,
    /// A name cannot be a label of a longer one.
    BadName,
    /// A path cannot be in a request.
    BadPath,
    /// A `pathType` that does not exist.
    BadPathType,
    /// A port number out of range.
    BadPort,
    /// A `type` that does not exist.
    BadType,
    /// A certificate's validity is over.
    CertificateExpired,
    /// A certificate's validity has not begun.
    CertificateNotYetValid,
    /// The class of the field is not the one of the annotation.
    ClassesDiffer,
    /// Another object, or an earlier field, has what this one asks for.
    Conflict,
    /// The class belongs to another controller.
    ForeignClass,
    /// A certificate does not cover a host that it is declared for.
    HostNotCovered,
    /// A ServiceImport has no address yet: a notice, since somebody else assigns it.
    NoAddress,
    /// An EndpointSlice behind a ServiceImport does not say which cluster its endpoints are in.
    NoCluster,
    /// An `externalName` is an address, to which no name leads in DNS: a notice, since Ingresses do.
    NoName,
    /// A Service that requests go to has no endpoint that could take them: a notice, since that comes and goes.
    NoEndpoint,
    /// Neither a class nor the setting to take Ingresses without one.
    NoClass,
    /// Something that is read, but has no effect.
    NoEffect,
    /// Neither a rule nor a default backend.
    NothingToServe,
    /// A Service has no such port for TCP.
    PortNotFound,
    /// A backend that is no Service.
    ResourceBackend,
    /// A Secret may not be read.
    SecretForbidden,
    /// A Secret does not exist.
    SecretNotFound,
    /// A Service does not exist.
    ServiceNotFound,
    /// A `tidegate.dev/` annotation that does not exist.
    UnknownAnnotation,
    /// An `appProtocol` that does not exist.
    UnknownProtocol,
}

/// One thing that is wrong with an object, or a notice about what it meets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Where, such as `spec.rules[0].http.paths[1]`; `None`: the object as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Arc<str>>,
    /// The cause.
    pub reason: Reason,
    /// What is wrong and what becomes of it, naming the thing.
    pub message: Box<str>,
}

impl Problem {
    /// Whether the object itself is as it should be, and all of it is served.
    #[must_use]
    pub fn is_notice(&self) -> bool {
        matches!(self.reason, Reason::NoAddress | Reason::NoEndpoint | Reason::NoName)
    }

    /// A problem of a field.
    pub(crate) fn at(field: impl Into<Arc<str>>, reason: Reason, message: impl Into<Box<str>>) -> Self {
        Self { field: Some(field.into()), reason, message: message.into() }
    }

    /// A problem of the object as a whole.
    pub(crate) fn whole(reason: Reason, message: impl Into<Box<str>>) -> Self {
        Self { field: None, reason, message: message.into() }
    }
}

/// `spec.rules[0].host: BadHost: a host has no port and no path`.
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "{:?}: {}", self.reason, self.message)
    }
}

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The verdict.
    pub verdict: Verdict,
    /// In the order of the object's fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// The status of an object without an entry.
static ACCEPTED: Status = Status { verdict: Verdict::Accepted, problems: Vec::new() };

impl Status {
    /// Accepted, with or without problems.
    pub(crate) fn accepted(problems: Vec<Problem>) -> Self {
        let verdict =
            if problems.iter().all(Problem::is_notice) { Verdict::Accepted } else { Verdict::AcceptedWithProblems };
        Self { verdict, problems }
    }
}

/// Statuses by object. Every Ingress and IngressClass has one; of other kinds only those objects that have a problem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statuses(
    /// `None`: accepted without problems, as most are.
    BTreeMap<Arc<ObjectRef>, Option<Arc<Status>>>,
);

impl Statuses {
    /// The status of an object; an object without an entry is accepted.
    #[must_use]
    pub fn find(&self, object: &ObjectRef) -> &Status {
        self.entry(object).unwrap_or(&ACCEPTED)
    }

    /// Every entry, sorted by object.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<ObjectRef>, &Status)> {
        self.0.iter().map(|(object, status)| (object, status.as_deref().unwrap_or(&ACCEPTED)))
    }

    /// Each object whose status is other than before, with its entries; O(entries), most of which are the same `Arc`.
    pub(crate) fn differences<'s>(
        before: &'s Self,
        after: &'s Self,
    ) -> impl Iterator<Item = (&'s ObjectRef, Option<&'s Status>, Option<&'s Status>)> {
        let (mut old, mut new) = (before.0.iter().peekable(), after.0.iter().peekable());
        let next = move || {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let old = if order.is_le() { old.next() } else { None };
            let new = if order.is_ge() { new.next() } else { None };
            Some((old, new))
        };
        let is_same = |old: &Option<Arc<Status>>, new: &Option<Arc<Status>>| match (old, new) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new) || old == new,
            (old, new) => old == new,
        };
        let pairs = std::iter::from_fn(next).filter(move |pair| match pair {
            (Some((_, old)), Some((_, new))) => !is_same(old, new),
            _ => true,
        });
        pairs.filter_map(|(old, new)| {
            let (object, _) = old.or(new)?;
            let status = |(_, status): (_, &'s Option<Arc<Status>>)| status.as_deref().unwrap_or(&ACCEPTED);
            Some((&**object, old.map(status), new.map(status)))
        })
    }

    /// The entry of an object, if it has one.
    #[must_use]
    pub fn entry(&self, object: &ObjectRef) -> Option<&Status> {
        self.0.get(object).map(|status| status.as_deref().unwrap_or(&ACCEPTED))
    }

    /// Sets or removes an entry.
    pub(crate) fn set(&mut self, object: &Arc<ObjectRef>, status: Option<Status>) {
        match status {
            Some(status) => {
                let status = (status != ACCEPTED).then(|| Arc::new(status));
                self.0.insert(Arc::clone(object), status);
            }
            None => drop(self.0.remove(object)),
        }
    }
}

/// A map from object to status.
impl Serialize for Statuses {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
