//! From flags to settings: the flags' words are clap's, the settings are the model's.

use crate::cgroup::default_workers;
use crate::cli::{
    AccessLogForm, DnsAnswerFlags, DnsCompat, DnsPods, DnsProtectionFlags, EncodedSlashes, ObjectFlags, PathFlags,
    ProbeFlags, ProcessFlags, ServeFlags, ZoneFlags,
};
use crate::serve::{Corefile, Naming, NamingOf};
use config::{
    AccessLogFormat, DnsCompatibility, DomainName, DrainSettings, IngressSettings, ListenSettings, PathSettings,
    Settings,
};
use controller::{NameObjects, TranslateSettings};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What holds where a flag is not given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) access_log: AccessLogFormat,
    pub(crate) drain_delay: Duration,
    pub(crate) drain_timeout: Duration,
}

/// All settings of a run.
pub(crate) fn settings(
    listen: ListenSettings,
    translation: TranslateSettings,
    serve: ServeFlags,
    defaults: Defaults,
) -> Settings {
    let TranslateSettings { ingress, cluster_domain } = translation;
    let paths = path_settings(serve.paths);
    let ServeFlags {
        process,
        dns: _,
        trusted_proxies,
        advertised_https_port: _,
        drain_delay,
        drain_timeout,
        access_log,
        paths: _,
    } = serve;
    Settings {
        listen,
        workers: workers(&process),
        ingress,
        cluster_domain,
        trusted_proxies,
        paths,
        drain: DrainSettings {
            delay: drain_delay.unwrap_or(defaults.drain_delay),
            timeout: drain_timeout.unwrap_or(defaults.drain_timeout),
        },
        access_log: access_log.map_or(defaults.access_log, |form| match form {
            AccessLogForm::Json => AccessLogFormat::Json,
            AccessLogForm::Text => AccessLogFormat::Text,
            AccessLogForm::Off => AccessLogFormat::Off,
        }),
    }
}

/// Worker threads.
pub(crate) fn workers(flags: &ProcessFlags) -> usize {
    flags.workers.map_or_else(default_workers, usize::from)
}

/// What DNS serves: the Corefile if there is one.
///
/// # Errors
/// The Corefile cannot be taken, or the zone of several clusters is the cluster's own.
pub(crate) fn naming(
    addresses: Vec<SocketAddr>,
    mut flags: DnsAnswerFlags,
    cluster_domain: &DomainName,
) -> anyhow::Result<Naming> {
    let compatibility = compatibility(flags.zone.dns_compat);
    let bounds = dns::Bounds { per_client: flags.dns_client_limit, ..dns::Bounds::default() };
    let protection = protection(flags.protection.clone(), compatibility)?;
    let of = match flags.corefile.take() {
        Some(path) => NamingOf::Corefile(Corefile::read(path, compatibility)?),
        None => {
            let mut settings = dns_settings(flags, cluster_domain.clone())?;
            settings.records = settings.records.bound_to(addresses.iter().map(SocketAddr::ip));
            NamingOf::Flags { addresses, settings: Box::new(settings) }
        }
    };
    let lameduck = match &of {
        NamingOf::Flags { .. } => Duration::ZERO,
        NamingOf::Corefile(corefile) => corefile.plan().0.probes().lameduck,
    };
    let (probes, lameduck) = (ProbeFlags::default(), watch::Sender::new(lameduck));
    Ok(Naming { of, bounds, protection, accepts: |_| Ok(()), probes, lameduck })
}

/// How DNS is protected.
///
/// # Errors
/// Flags do not go together.
fn protection(flags: DnsProtectionFlags, compatibility: DnsCompatibility) -> anyhow::Result<dns::Protection> {
    let DnsProtectionFlags {
        dns_cookie_secret: cookie_secret,
        dns_rate_limit,
        dns_rate_limit_exempt: exempt,
        dns_rate_limit_report_only: is_report_only,
    } = flags;
    anyhow::ensure!(
        cookie_secret.is_none() || compatibility == DnsCompatibility::Standard,
        "--dns-cookie-secret has no effect with --dns-compat coredns, which answers no cookies"
    );
    let rate_limit = dns_rate_limit.map(|rate| dns::RateLimit { rate, exempt, is_report_only });
    Ok(dns::Protection { cookie_secret, rate_limit })
}

/// What DNS answers. Resolvers of the system that cannot be read are logged.
///
/// # Errors
/// The zone of several clusters is the cluster's own.
fn dns_settings(flags: DnsAnswerFlags, cluster_domain: DomainName) -> anyhow::Result<dns::Settings> {
    let DnsAnswerFlags { corefile: _, mut zone, dns_cache_ttl, dns_client_limit: _, protection: _ } = flags;
    let upstreams = std::mem::take(&mut zone.dns_upstream);
    let upstreams = if upstreams.is_empty() {
        dns::system_upstreams().unwrap_or_else(|error| {
            tracing::warn!(%error, "no resolver for names outside the zone");
            Vec::new()
        })
    } else {
        upstreams
    };
    let max_ttl = u32::try_from(dns_cache_ttl.as_secs_f64().ceil() as u64).unwrap_or(u32::MAX);
    let records = zone_settings(zone, &cluster_domain)?;
    let mut settings = dns::Settings { records, ..dns::Settings::new(cluster_domain, upstreams) };
    (settings.cache.max_ttl, settings.cache.max_denial_ttl) = (max_ttl, max_ttl);
    Ok(settings)
}

/// What is said of names.
///
/// # Errors
/// The zone of several clusters is the cluster's own, whose names would be gone.
pub(crate) fn zone_settings(flags: ZoneFlags, cluster_domain: &DomainName) -> anyhow::Result<dns::ZoneSettings> {
    let ZoneFlags { dns_upstream: _, dns_ttl: ttl, dns_pods, dns_clusterset_domain, dns_compat } = flags;
    anyhow::ensure!(
        dns_clusterset_domain.as_ref() != Some(cluster_domain),
        "--dns-clusterset-domain: {cluster_domain} is --cluster-domain, which has the Services of this cluster"
    );
    let multicluster: Vec<_> = dns_clusterset_domain.into_iter().collect();
    Ok(dns::ZoneSettings {
        ttl,
        pods: match dns_pods {
            DnsPods::Disabled => dns::PodNames::Disabled,
            DnsPods::Insecure => dns::PodNames::Insecure,
            DnsPods::Verified => dns::PodNames::Verified,
        },
        zones: multicluster.clone(),
        multicluster,
        compatibility: compatibility(dns_compat),
        ..dns::ZoneSettings::default()
    })
}

/// Leaves the names of these namespaces alone; none: of all that the objects are of.
pub(crate) fn narrow(records: &mut dns::ZoneSettings, objects: &NameObjects, namespaces: &[String]) {
    records.only_declared = objects.namespace_labels.is_some();
    let exposed = namespaces.iter().map(|name| Arc::from(name.as_str()));
    records.namespaces = (!namespaces.is_empty()).then(|| exposed.collect());
}

/// Whose mistakes are kept.
pub(crate) fn compatibility(flag: DnsCompat) -> DnsCompatibility {
    match flag {
        DnsCompat::None => DnsCompatibility::Standard,
        DnsCompat::Coredns => DnsCompatibility::CoreDns,
    }
}

/// What translation depends on.
pub(crate) fn translate_settings(flags: ObjectFlags) -> TranslateSettings {
    let ObjectFlags {
        controller_class: controller,
        ingress_class,
        watch_ingress_without_class: without_class,
        default_backend,
        default_tls_secret,
        cluster_domain,
        ssl_redirect,
    } = flags;
    let classes = match ingress_class {
        // Two installations that both know classes by the same name would both serve those without an object.
        names if !names.is_empty() || !controller.is_default() => names,
        _ => IngressSettings::default().classes,
    };
    let ingress =
        IngressSettings { controller, classes, without_class, default_backend, default_tls_secret, ssl_redirect };
    TranslateSettings { ingress, cluster_domain }
}

/// How request paths are read.
pub(crate) fn path_settings(flags: PathFlags) -> PathSettings {
    let encoded_slashes = match flags.encoded_slashes {
        EncodedSlashes::Keep => config::EncodedSlashes::Keep,
        EncodedSlashes::Reject => config::EncodedSlashes::Reject,
    };
    PathSettings { merge_slashes: flags.merge_slashes, encoded_slashes }
}
