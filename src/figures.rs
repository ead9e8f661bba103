//! What is counted of the control side: snapshots, and what they take to make.

mod cluster;
mod health;
mod log;
mod panics;
mod requests;

use cluster::ClusterMetrics;
use controller::cluster::{Leadership, Progress, RequestObserver};
use controller::run::{Figures, Programmed, Propagation};
pub(crate) use health::HealthMetrics;
pub(crate) use log::lost_lines;
pub(crate) use panics::count_panics;
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts, Registry, exponential_buckets,
};
use requests::RequestMetrics;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Gauges and histograms of one process.
#[derive(Debug)]
pub(crate) struct ControlMetrics {
    generation: IntGauge,
    age: Gauge,
    objects: IntGaugeVec,
    translate: Histogram,
    publish: Histogram,
    propagation: HistogramVec,
    programming: HistogramVec,
    leading: IntGauge,
    cluster: ClusterMetrics,
    requests: Arc<RequestMetrics>,
    published: Mutex<Option<Instant>>,
}

impl ControlMetrics {
    /// Registers all families.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        };
        Ok(Self {
            generation: registered(
                registry,
                IntGauge::new("tidegate_snapshot_generation", "Generation of the snapshot that is served."),
            )?,
            age: registered(
                registry,
                Gauge::new("tidegate_snapshot_age_seconds", "Time since what is served last changed."),
            )?,
            objects: registered(
                registry,
                IntGaugeVec::new(Opts::new("tidegate_objects", "Objects that the source has, by kind."), &["kind"]),
            )?,
            translate: registered(
                registry,
                histogram(
                    "tidegate_translate_duration_seconds",
                    "Time from changed objects to the parts of a snapshot.",
                    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0],
                ),
            )?,
            publish: registered(
                registry,
                histogram(
                    "tidegate_publish_duration_seconds",
                    "Time to swap a snapshot.",
                    &[0.000_001, 0.000_01, 0.0001, 0.001, 0.01],
                ),
            )?,
            propagation: registered(
                registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "tidegate_endpoint_propagation_seconds",
                        "Time from a change of a Service's Pods, as the cluster's controllers date it (to the second), \
                         to what is served with it: routes, or DNS names.",
                    )
                    .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0]),
                    &["of"],
                ),
            )?,
            programming: registered(
                registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "coredns_kubernetes_dns_programming_duration_seconds",
                        "Time from what triggered a change of a Service's endpoints to the snapshot that has it, by kind: \
                         cluster_ip, headless_with_selector, headless_without_selector (CoreDNS's name for Kubernetes' DNS \
                         programming latency).",
                    )
                    .buckets(exponential_buckets(0.001, 2.0, 20)?),
                    &["service_kind"],
                ),
            )?,
            leading: registered(
                registry,
                IntGauge::new(
                    "tidegate_leading",
                    "Whether this replica holds the Lease, and so writes to the cluster.",
                ),
            )?,
            cluster: ClusterMetrics::register(registry)?,
            requests: Arc::new(RequestMetrics::register(registry)?),
            published: Mutex::default(),
        })
    }

    /// Who counts requests to the API server.
    pub(crate) fn requests(&self) -> Arc<dyn RequestObserver> {
        Arc::<RequestMetrics>::clone(&self.requests)
    }

    /// Takes the figures of one translation.
    pub(crate) fn observe(&self, figures: &Figures) {
        let Figures { generation, objects, translate, publish, propagation, programmed } = figures;
        let Propagation { routes, names } = propagation;
        self.generation.set(i64::try_from(*generation).unwrap_or(i64::MAX));
        for (kind, count) in objects {
            self.objects.with_label_values(&[kind.as_str()]).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        self.translate.observe(translate.as_secs_f64());
        for Programmed { kind, took } in programmed {
            self.programming.with_label_values(&[kind.as_str()]).observe(took.as_secs_f64());
        }
        if let Some(publish) = publish {
            self.publish.observe(publish.as_secs_f64());
            for (of, took) in [("routes", routes), ("names", names)] {
                took.iter().for_each(|took| self.propagation.with_label_values(&[of]).observe(took.as_secs_f64()));
            }
            *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// Brings up to date what time changes; to be called before a scrape.
    pub(crate) fn refresh(&self, progress: Option<&Progress>, leadership: Option<Leadership>) {
        leadership.iter().for_each(|leadership| self.leading.set((*leadership == Leadership::Leading).into()));
        progress.iter().for_each(|progress| self.cluster.refresh(progress));
        if let Some(published) = *self.published.lock().unwrap_or_else(PoisonError::into_inner) {
            self.age.set(published.elapsed().as_secs_f64());
        }
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Kind;
    use controller::run::ProgrammedKind;
    use std::collections::BTreeSet;
    use std::fmt::Write;
    use std::time::Duration;

    /// What dashboards and checks for CoreDNS ask for: those of its mixin (Grafana 14981 and its kin), of Datadog, Elastic and
    /// netdata. Each with its type and all of its labels, as CoreDNS 1.15 has them.
    const ASKED_FOR: [(&str, &str, &str); 37] = [
        ("coredns_build_info", "gauge", "goversion revision version"),
        ("coredns_plugin_enabled", "gauge", "name server view zone"),
        ("coredns_dns_requests_total", "counter", "family proto server type view zone"),
        ("coredns_dns_request_duration_seconds", "histogram", "server view zone"),
        ("coredns_dns_request_size_bytes", "histogram", "proto server view zone"),
        ("coredns_dns_response_size_bytes", "histogram", "proto server view zone"),
        ("coredns_dns_do_requests_total", "counter", "server view zone"),
        ("coredns_dns_responses_total", "counter", "plugin rcode server view zone"),
        ("coredns_cache_entries", "gauge", "server type view zones"),
        ("coredns_cache_requests_total", "counter", "server view zones"),
        ("coredns_cache_hits_total", "counter", "server type view zones"),
        ("coredns_cache_misses_total", "counter", "server view zones"),
        ("coredns_cache_drops_total", "counter", "server view zones"),
        ("coredns_cache_evictions_total", "counter", "server type view zones"),
        ("coredns_forward_healthcheck_broken_total", "counter", ""),
        ("coredns_forward_max_concurrent_rejects_total", "counter", ""),
        ("coredns_proxy_request_duration_seconds", "histogram", "proxy_name rcode to"),
        ("coredns_proxy_healthcheck_failures_total", "counter", "proxy_name to"),
        ("coredns_acl_blocked_requests_total", "counter", "server view zone"),
        ("coredns_acl_filtered_requests_total", "counter", "server view zone"),
        ("coredns_acl_dropped_requests_total", "counter", "server view zone"),
        ("coredns_acl_allowed_requests_total", "counter", "server view"),
        ("coredns_autopath_success_total", "counter", "server"),
        ("coredns_dns64_requests_translated_total", "counter", "server"),
        ("coredns_hosts_entries", "gauge", "hostsfile"),
        ("coredns_hosts_reload_timestamp_seconds", "gauge", ""),
        ("coredns_local_localhost_requests_total", "counter", ""),
        ("coredns_reload_failed_total", "counter", ""),
        ("coredns_reload_version_info", "gauge", "hash value"),
        ("coredns_template_matches_total", "counter", "class server type view zone"),
        ("coredns_template_rr_failures_total", "counter", "class section server template type view zone"),
        ("coredns_panics_total", "counter", ""),
        ("coredns_health_request_duration_seconds", "histogram", ""),
        ("coredns_health_request_failures_total", "counter", ""),
        ("coredns_kubernetes_dns_programming_duration_seconds", "histogram", "service_kind"),
        ("coredns_kubernetes_rest_client_request_duration_seconds", "histogram", "host verb"),
        ("coredns_kubernetes_rest_client_requests_total", "counter", "code host method"),
    ];

    /// In the tables, which tests hold to what is collected: that of DNS is the crate's.
    #[test]
    fn what_dashboards_of_coredns_ask_for_is_there() {
        let read = |page| std::fs::read_to_string(format!("{}/docs/{page}.md", env!("CARGO_MANIFEST_DIR")));
        let tables = ["dns", "metrics"].map(|page| read(page).expect("a page of the documentation"));
        for (name, kind, labels) in ASKED_FOR {
            let row = tables.iter().find_map(|table| table.split_once(&format!("\n| `{name}` | ")));
            let (_, row) = row.unwrap_or_else(|| panic!("{name}"));
            let mut columns = row.split(" | ");
            assert_eq!(columns.next(), Some(kind), "{name}");
            let found = columns.next().expect("a column of labels").split(", ");
            let found: BTreeSet<_> = found.map(|label| label.trim_matches('`')).collect();
            assert_eq!(found.into_iter().collect::<Vec<_>>().join(" "), labels, "{name}");
        }
    }

    /// All families, each with a series.
    fn everything() -> Registry {
        let registry = Registry::new();
        let metrics = ControlMetrics::register(&registry).expect("registered");
        let objects = [(Kind::Ingress, 2)].into();
        let (translate, publish) = (Duration::from_millis(3), Some(Duration::from_micros(2)));
        let propagation = Propagation { routes: publish, names: publish };
        let programmed = vec![Programmed { kind: ProgrammedKind::ClusterIp, took: translate }];
        metrics.observe(&Figures { generation: 7, objects, translate, publish, propagation, programmed });
        metrics.refresh(None, None);
        metrics.cluster.show_all();
        metrics.requests.answered("GET", "10.96.0.1:443", None);
        metrics.requests.ended("GET", "10.96.0.1:443", translate);
        HealthMetrics::register(&registry).expect("registered");
        panics::register(&registry).expect("registered");
        let lost = lost_lines().expect("a family");
        lost.with_label_values(&["queue_full"]).inc();
        registry.register(Box::new(lost)).expect("registered");
        registry
    }

    /// `UPDATE_DOCS=1` rewrites the table.
    #[test]
    fn every_family_is_documented() {
        let registry = everything();
        let mut documented = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
        for family in registry.gather() {
            let kind = format!("{:?}", family.get_field_type()).to_ascii_lowercase();
            let labels = family.get_metric().iter().flat_map(|metric| metric.get_label());
            let labels = labels.map(|label| format!("`{}`", label.name())).collect::<BTreeSet<_>>();
            let labels = labels.into_iter().collect::<Vec<_>>().join(", ");
            writeln!(documented, "| `{}` | {kind} | {labels} | {} |", family.name(), family.help()).expect("written");
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let text = std::fs::read_to_string(path).expect("docs/metrics.md");
        let (begin, end) =
            ("<!-- begin: metrics of the configuration -->\n\n", "\n<!-- end: metrics of the configuration -->");
        let (before, rest) = text.split_once(begin).expect("the mark before the table");
        let (table, after) = rest.split_once(end).expect("the mark behind the table");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{begin}{documented}{end}{after}")).expect("written");
        } else {
            assert_eq!(table, documented, "UPDATE_DOCS=1 rewrites the table");
        }
    }
}
