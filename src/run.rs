//! `tidegate run`: serves a cluster, or manifests, and follows their changes.

use crate::cli::{DnsPods, ObjectFlags, ObjectSourceFlags, RunFlags, RunSourceFlags, WritingFlags};
use crate::logging::Log;
use crate::probes;
use crate::serve::{self, Ended, Program, Source, Writing};
use crate::settings::{Defaults, naming, settings, translate_settings};
use config::{AccessLogFormat, ControllerClass, ListenSettings, ServicePort};
use controller::Selection;
use controller::cluster::{Access, PublishedAddresses, Watched};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const DEFAULTS: Defaults = Defaults {
    access_log: AccessLogFormat::Json,
    drain_delay: Duration::from_secs(5),
    drain_timeout: Duration::from_secs(25),
};

/// The Lease that replicas of one installation share; that of one with a controller class of its own has that too.
const ELECTION_ID: &str = "tidegate-leader";
/// Characters of the name of a Lease (RFC 1123 subdomain).
const LEASE_NAME: usize = 253;

/// Serves until a signal.
pub(crate) fn run(flags: RunFlags) -> anyhow::Result<ExitCode> {
    let RunFlags { source, http_bind, https_bind, dns_bind, admin_bind, probes, objects, serve } = flags;
    let listen = ListenSettings {
        http: http_bind,
        https: https_bind,
        admin: admin_bind,
        advertised_https_port: serve.advertised_https_port,
    };
    let log = Log::begin(&serve.process)?;
    let by_flags = Selection::Everything {
        pods: serve.dns.zone.dns_pods == DnsPods::Verified,
        imports: serve.dns.zone.dns_clusterset_domain.is_some(),
        externals: false,
    };
    let mut naming = naming(vec![dns_bind], serve.dns.clone(), &objects.cluster_domain)?;
    let planned = naming.plan().map(dns::Plan::probes).unwrap_or_default();
    let selection = naming.plan().map_or(Ok(by_flags), selection_of)?;
    naming.accepts = |plan| selection_of(plan).map(drop);
    let source = choose(source, selection, &objects)?;
    let settings = settings(listen, translate_settings(objects), serve, DEFAULTS);
    naming.probes = probes.clone();
    let probes = probes::wanted(&probes, &planned);
    let bound = serve::bind(&settings, &naming, &probes)?;
    match serve::serve(Program { log: &log, settings, naming, source, bound }, |_| Ok(()))? {
        Ended::Drained => Ok(ExitCode::SUCCESS),
        Ended::Killed(code) => Ok(ExitCode::from(code)),
    }
}

/// What a Corefile asks for beside the objects that requests need.
///
/// # Errors
/// It chooses among objects that requests need, all of them.
fn selection_of(plan: &dns::Plan) -> anyhow::Result<Selection> {
    let dns::PlannedObjects { pods, imports, externals, labels, namespace_labels } = plan.objects().unwrap_or_default();
    let chooses = labels.is_some() || namespace_labels.is_some();
    anyhow::ensure!(
        !chooses,
        "--corefile: labels and namespace_labels are for `tidegate dns`; `run` reads all Services"
    );
    Ok(Selection::Everything { pods, imports, externals })
}

/// Where the objects come from.
fn choose(flags: RunSourceFlags, selection: Selection, objects: &ObjectFlags) -> anyhow::Result<Source> {
    let RunSourceFlags { objects: source, watch_selector, secret_namespace, writing } = flags;
    let ObjectSourceFlags { manifests, kubeconfig, context, watch_namespace } = source;
    if !manifests.is_empty() {
        return Ok(Source::Manifests { paths: manifests, selection });
    }
    let shared = |names: Vec<String>| names.into_iter().map(Arc::from).collect();
    let watched = Watched {
        selection,
        namespaces: shared(watch_namespace),
        selector: watch_selector.map(Arc::from),
        secret_namespaces: shared(secret_namespace),
        services: objects.default_backend.iter().map(ServicePort::service).collect(),
    };
    Ok(Source::Cluster {
        access: Access::find(kubeconfig, context)?,
        watched,
        writing: Some(what_is_written(writing, &objects.controller_class)),
    })
}

/// What is written to a cluster.
fn what_is_written(flags: WritingFlags, class: &ControllerClass) -> Writing {
    let WritingFlags {
        publish_service,
        publish_address,
        publish_node_addresses,
        update_status,
        election_id,
        election_namespace,
    } = flags;
    let published = match (publish_service, publish_address) {
        (Some(service), _) => Some(PublishedAddresses::Service(service)),
        (None, addresses) if !addresses.is_empty() => Some(PublishedAddresses::Fixed(addresses)),
        (None, _) => publish_node_addresses.unwrap_or_default().then_some(PublishedAddresses::Nodes),
    };
    Writing {
        published: published.filter(|_| update_status.unwrap_or(true)),
        election_id: election_id.unwrap_or_else(|| own_election_id(class)).into(),
        election_namespace: election_namespace.map(Arc::from),
    }
}

/// Two installations in one namespace must not take each other for a replica: only one of them would write.
fn own_election_id(class: &ControllerClass) -> String {
    if class.is_default() {
        return ELECTION_ID.to_owned();
    }
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let class = class.to_string();
    let name: String = format!("{ELECTION_ID}-{class}").chars().map(letter).take(LEASE_NAME - 9).collect();
    // Classes that differ in other characters alone are others still.
    format!("{}-{:08x}", name.trim_end_matches('-'), checksum(class.as_bytes()))
}

/// FNV-1a: the same in every version, since replicas of two may run side by side.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_lease_of_its_own() {
        let name = |class: &str| own_election_id(&class.parse().expect("a class"));
        assert_eq!(name("tidegate.dev/ingress"), "tidegate-leader");
        assert_eq!(name("example.com/edge"), "tidegate-leader-example-com-edge-cdff72d6");
        let names =
            ["example.com/edge", "example-com/edge", "example.com/Edge", "example.com/edge-", "example.com/edge_"];
        let distinct: std::collections::BTreeSet<_> = names.iter().map(|class| name(class)).collect();
        assert_eq!(distinct.len(), names.len(), "{distinct:?}");
        let long = name(&format!("example.com/{}", "e".repeat(200)));
        assert!(distinct.iter().chain([&long]).all(|name| {
            let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
            name.len() <= LEASE_NAME && name.chars().all(is_letter) && !name.ends_with('-')
        }));
    }
}
