//! `tidegate dns`: serves the names of a cluster, or of manifests, and follows their changes.

use crate::cli::{DnsFlags, DnsPods, ObjectSourceFlags};
use crate::serve::{self, Ended, NamesAlone, Naming, Source};
use crate::settings::{naming, workers};
use crate::{logging, probes};
use controller::cluster::{Access, Watched};
use controller::{NameObjects, Selection};
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

/// Where CoreDNS, as kubeadm sets it up, is asked for its health, its readiness and its metrics.
const PROBE_PORTS: [u16; 3] = [8080, 8181, 9153];

/// Serves until a signal.
pub(crate) fn serve(flags: DnsFlags) -> anyhow::Result<ExitCode> {
    let DnsFlags {
        objects,
        watch_selector,
        namespace_selector,
        dns_bind,
        cluster_domain,
        answers,
        probes,
        lameduck,
        admin_bind,
        process,
    } = flags;
    logging::begin(&process);
    let names = NameObjects {
        pods: answers.dns_pods == DnsPods::Verified,
        labels: watch_selector,
        namespace_labels: namespace_selector,
    };
    let mut naming = naming(dns_bind, answers, &cluster_domain)?;
    if let Naming::Flags { settings, .. } = &mut naming {
        settings.records.only_declared = names.namespace_labels.is_some();
        let namespaces = objects.watch_namespace.iter().map(|name| Arc::from(name.as_str()));
        settings.records.namespaces = (!objects.watch_namespace.is_empty()).then(|| namespaces.collect());
    }
    let source = choose(objects, Selection::Names(names))?;
    let every_address = |port| Some(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
    let probes = probes::wanted(&probes, PROBE_PORTS.map(every_address));
    let workers = workers(&process);
    let bound = serve::bind_names(&naming, workers, &probes, admin_bind)?;
    match serve::serve_names(NamesAlone { naming, cluster_domain, workers, lameduck }, source, bound)? {
        Ended::Drained => Ok(ExitCode::SUCCESS),
        Ended::Killed(code) => Ok(ExitCode::from(code)),
    }
}

/// Where the objects come from. Nothing is written there.
fn choose(flags: ObjectSourceFlags, selection: Selection) -> anyhow::Result<Source> {
    let ObjectSourceFlags { manifests, kubeconfig, context, watch_namespace } = flags;
    if !manifests.is_empty() {
        return Ok(Source::Manifests { paths: manifests, selection });
    }
    let namespaces = watch_namespace.into_iter().map(Arc::from).collect();
    let watched = Watched { selection, namespaces, ..Watched::default() };
    Ok(Source::Cluster { access: Access::find(kubeconfig, context)?, watched, writing: None })
}
