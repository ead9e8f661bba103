//! `tidegate dns`: serves the names of a cluster, or of manifests, and follows their changes.

use crate::cli::{DnsFlags, DnsPods, ObjectSourceFlags};
use crate::logging::Log;
use crate::probes;
use crate::serve::{self, Ended, NamesAlone, NamingOf, Source};
use crate::settings::{naming, narrow, workers};
use controller::cluster::{Access, Watched};
use controller::{NameObjects, Selection};
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Serves until a signal.
pub(crate) fn serve(flags: DnsFlags) -> anyhow::Result<ExitCode> {
    let DnsFlags { objects, named: by_name, dns_bind, cluster_domain, answers, probes, lameduck, admin_bind, process } =
        flags;
    let log = Log::begin(&process)?;
    let by_flags = NameObjects {
        pods: answers.zone.dns_pods == DnsPods::Verified,
        imports: answers.zone.dns_clusterset_domain.is_some(),
        externals: false,
        labels: by_name.watch_selector,
        namespace_labels: by_name.namespace_selector,
    };
    let mut naming = naming(dns_bind, answers, &cluster_domain)?;
    if let NamingOf::Flags { settings, .. } = &mut naming.of {
        narrow(&mut settings.records, &by_flags, &objects.watch_namespace);
    }
    let (names, planned) = match naming.plan() {
        None => (Some(by_flags), usual_probes()),
        Some(plan) => (plan.objects().map(named), plan.probes()),
    };
    let source = choose(objects, names)?;
    let lameduck = match (lameduck, naming.plan()) {
        (None, Some(_)) => naming.lameduck.subscribe(),
        (flag, _) => watch::channel(flag.unwrap_or(planned.lameduck)).1,
    };
    naming.probes = probes.clone();
    let probes = probes::wanted(&probes, &planned);
    let workers = workers(&process);
    let bound = serve::bind_names(&naming, workers, &probes, admin_bind)?;
    match serve::serve_names(NamesAlone { log: &log, naming, cluster_domain, workers, lameduck }, source, bound)? {
        Ended::Drained => Ok(ExitCode::SUCCESS),
        Ended::Killed(code) => Ok(ExitCode::from(code)),
    }
}

/// As kubeadm sets CoreDNS up.
fn usual_probes() -> dns::Probes {
    let everywhere = |port| vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)];
    dns::Probes {
        health: everywhere(8080),
        ready: everywhere(8181),
        metrics: everywhere(9153),
        lameduck: Duration::from_secs(5),
    }
}

fn named(objects: dns::PlannedObjects) -> NameObjects {
    let dns::PlannedObjects { pods, imports, externals, labels, namespace_labels } = objects;
    NameObjects { pods, imports, externals, labels, namespace_labels }
}

/// Where the objects come from that there are names of. Nothing is written there.
fn choose(flags: ObjectSourceFlags, names: Option<NameObjects>) -> anyhow::Result<Source> {
    let ObjectSourceFlags { manifests, kubeconfig, context, watch_namespace } = flags;
    if !manifests.is_empty() {
        return Ok(Source::Manifests { paths: manifests, selection: Selection::Names(names.unwrap_or_default()) });
    }
    let Some(names) = names else { return Ok(Source::Nothing) };
    let selection = Selection::Names(names);
    let namespaces = watch_namespace.into_iter().map(Arc::from).collect();
    let watched = Watched { selection, namespaces, ..Watched::default() };
    Ok(Source::Cluster { access: Access::find(kubeconfig, context)?, watched, writing: None })
}
