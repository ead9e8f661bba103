//! DNS programming latency: from a change of a Service's endpoints to the snapshot that has it (Kubernetes SLI of that name).

use crate::batch::Trigger;
use crate::objects::{Objects, ServiceKind};
use jiff::Timestamp;
use std::time::Duration;

/// How long a change of endpoints took to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Programmed {
    /// What kind of Service it is about.
    pub kind: ProgrammedKind,
    /// From the trigger, by the clock of the cluster's controllers.
    pub took: Duration,
}

/// The kinds that the SLI tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgrammedKind {
    /// With an address of its own.
    ClusterIp,
    /// Without, and its endpoints are the Pods that it selects.
    HeadlessWithSelector,
    /// Without, and its endpoints are what others write.
    HeadlessWithoutSelector,
}

impl ProgrammedKind {
    /// The word in the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "cluster_ip",
            Self::HeadlessWithSelector => "headless_with_selector",
            Self::HeadlessWithoutSelector => "headless_without_selector",
        }
    }
}

/// What has just been published of changes; a Service that is not known, or is an alias, has no endpoints in DNS.
pub(super) fn programmed(triggers: &[Trigger], objects: &Objects) -> Vec<Programmed> {
    let now = Timestamp::now();
    let of = |trigger: &Trigger| {
        let service = objects.service(&trigger.service)?;
        let kind = match (&service.kind, service.has_selector) {
            (ServiceKind::ClusterIp(_), _) => ProgrammedKind::ClusterIp,
            (ServiceKind::Headless, true) => ProgrammedKind::HeadlessWithSelector,
            (ServiceKind::Headless, false) => ProgrammedKind::HeadlessWithoutSelector,
            (ServiceKind::External(_), _) => return None,
        };
        Some(Programmed { kind, took: since(trigger.at, now) })
    };
    triggers.iter().filter_map(of).collect()
}

/// A clock that is behind the cluster's is no reason for a negative time.
pub(super) fn since(trigger: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(trigger)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Object;
    use config::ObjectName;
    use serde_json::json;

    #[test]
    fn each_kind_of_service_is_told_apart() {
        let mut objects = Objects::new(None, Timestamp::UNIX_EPOCH);
        for (name, spec) in [
            ("address", json!({"clusterIP": "10.96.0.1", "selector": {"app": "a"}})),
            ("selected", json!({"clusterIP": "None", "selector": {"app": "a"}})),
            ("written", json!({"clusterIP": "None", "selector": {}})),
            ("alias", json!({"type": "ExternalName", "externalName": "example.org"})),
        ] {
            let service = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
            objects.apply(Object::read("v1", "Service", service).expect("a known kind").expect("valid"));
        }
        let trigger = |namespace: &str, name: &str| Trigger {
            service: ObjectName { namespace: namespace.into(), name: name.into() },
            at: Timestamp::UNIX_EPOCH,
        };
        for (namespace, name, expected) in [
            ("shop", "address", Some("cluster_ip")),
            ("shop", "selected", Some("headless_with_selector")),
            ("shop", "written", Some("headless_without_selector")),
            ("shop", "alias", None),
            ("shop", "unknown", None),
            ("bank", "selected", None),
        ] {
            let found = programmed(&[trigger(namespace, name)], &objects);
            let kinds: Vec<_> = found.iter().map(|one| one.kind.as_str()).collect();
            assert_eq!(kinds, expected.into_iter().collect::<Vec<_>>(), "{namespace}/{name}");
        }
    }

    #[test]
    fn a_clock_that_is_ahead_makes_no_negative_time() {
        let second = |second: i64| Timestamp::from_second(second).expect("a time");
        assert_eq!(since(second(10), second(12)), Duration::from_secs(2));
        assert_eq!(since(second(12), second(10)), Duration::ZERO);
        assert_eq!(since(Timestamp::MAX, Timestamp::MIN), Duration::ZERO);
    }
}
