//! What a plan asks for that this version does not do: the one place that says so.

use super::Plan;
use super::address::HttpAddress;
use super::block::Block;
use super::cache::Cache;
use super::forward::{Forward, Protocol, Upstream};
use super::key::Transport;
use super::kubernetes::{Exposed, Kubernetes, Pods};
use super::probes::Prometheus;
use super::zone::Zone;
use crate::corefile::Note;
use std::time::Duration;

/// Everything that the plan asks for and the server of this version does not do, in the order of the lines. Empty: the
/// server would do all of it.
#[must_use]
pub fn unserved(plan: &Plan) -> Vec<Note> {
    let mut notes: Vec<Note> = plan.blocks().iter().flat_map(of_block).collect();
    notes.sort();
    notes.dedup();
    notes
}

fn of_block(block: &Block) -> Vec<Note> {
    let mut asked: Vec<(&str, String)> = Vec::new();
    let whole = [
        ("tls", block.tls.is_some()),
        ("timeouts", block.timeouts.is_some()),
        ("cancel", block.cancel.is_some()),
        ("transfer", !block.transfers.is_empty()),
    ];
    asked.extend(whole.into_iter().filter(|(_, is_asked)| *is_asked).map(|(plugin, _)| (plugin, String::new())));
    let endpoint = |path: &str, address: HttpAddress, own: &str| format!("{path} at {address}; --admin-bind has {own}");
    let health = block.health.as_ref().map(|health| ("health", endpoint("/health", health.address, "/livez")));
    let ready = block.ready.as_ref().map(|ready| ("ready", endpoint("/ready", ready.address, "/readyz")));
    let metrics = |metrics: &Prometheus| endpoint("/metrics", metrics.address, "/metrics, with names of its own");
    let metrics = block.prometheus.as_ref().map(|part| ("prometheus", metrics(part)));
    asked.extend(health.into_iter().chain(ready).chain(metrics));
    if block.errors.as_ref().is_some_and(|errors| !errors.consolidated.is_empty()) {
        asked.push(("errors", "consolidate".to_owned()));
    }
    if !block.logs.is_empty() {
        asked.push(("log", String::new()));
    }
    asked.extend(block.cache.iter().flat_map(of_cache).map(|what| ("cache", what)));
    asked.extend(block.kubernetes.iter().flat_map(of_kubernetes).map(|what| ("kubernetes", what)));
    asked.extend(block.forwards.iter().flat_map(of_forward).map(|what| ("forward", what)));
    if let [_, others @ ..] = &block.forwards[..] {
        asked.extend(others.iter().map(|forward| ("forward", format!("a second one, of {}", forward.from))));
    }
    let encrypted = block.keys.iter().filter(|key| key.transport != Transport::Dns);
    asked.extend(encrypted.map(|key| ("", key.to_string())));
    let message = |what: &str| {
        if what.is_empty() { "not served yet".to_owned() } else { format!("not served yet: {what}") }
    };
    asked.into_iter().map(|(plugin, what)| block.note(plugin, message(&what))).collect()
}

/// What the one cache that there is does otherwise: it is of all names outside the zone.
fn of_cache(cache: &Cache) -> Vec<String> {
    let Cache { success, denial, servfail, prefetch, stale, .. } = cache;
    let is_root = cache.zones.iter().any(|zone| *zone == Zone::root());
    let wanted = [
        (!is_root).then(|| "names in some zones alone".to_owned()),
        (success.max_ttl != 30 && success.max_ttl == denial.max_ttl)
            .then(|| format!("{} s; --dns-cache-ttl {}s does", success.max_ttl, success.max_ttl)),
        (success.max_ttl != denial.max_ttl).then(|| "longest times of its own for success and denial".to_owned()),
        [success, denial]
            .iter()
            .any(|kept| kept.min_ttl.min(kept.max_ttl) != kept.max_ttl.min(5))
            .then(|| "shortest times other than 5 s".to_owned()),
        [success, denial].iter().any(|kept| kept.capacity != 9984).then(|| "a capacity; 10,000 in all".to_owned()),
        (*servfail != Duration::from_secs(5)).then(|| "servfail other than 5 s".to_owned()),
        prefetch.map(|_| "prefetch; what is asked for twice is fetched again in its last tenth".to_owned()),
        stale.map(|_| "serve_stale; what is over goes out for an hour where upstreams fail".to_owned()),
        cache.keeps_ttl.then(|| "keepttl".to_owned()),
    ];
    wanted.into_iter().flatten().collect()
}

fn of_kubernetes(kubernetes: &Kubernetes) -> Vec<String> {
    let Kubernetes { multicluster, pods, exposed, labels, .. } = kubernetes;
    let wanted = [
        (*pods == Pods::Verified).then(|| "pods verified".to_owned()),
        matches!(exposed, Exposed::Labelled(_)).then(|| "namespace_labels".to_owned()),
        labels.as_ref().map(|_| "labels".to_owned()),
        (!multicluster.is_empty()).then(|| "multicluster".to_owned()),
        kubernetes.no_endpoints.then(|| "noendpoints".to_owned()),
    ];
    wanted.into_iter().flatten().collect()
}

fn of_forward(forward: &Forward) -> Vec<String> {
    let upstreams = forward.to.iter().filter(|to| !matches!(to, Upstream::Plain(_)) && !is_system(to));
    let upstreams = upstreams.map(|upstream| format!("the upstream {upstream}"));
    let has_several = forward.to.len() > 1 || forward.to.iter().any(is_system);
    let wanted = [
        (forward.from != Zone::root()).then(|| format!("a zone of its own, {}", forward.from)),
        (!forward.except.is_empty()).then(|| "except".to_owned()),
        (forward.protocol == Protocol::Tcp).then(|| "force_tcp".to_owned()),
        has_several.then(|| "policy; the upstream that answered last is asked first".to_owned()),
        (forward.max_concurrent != 1000).then(|| "max_concurrent other than 1000".to_owned()),
        (!forward.next.is_empty() || forward.next_on_nodata).then(|| "next".to_owned()),
        (!forward.failover.is_empty()).then(|| "failover".to_owned()),
        forward.fails_fast.then(|| "failfast_all_unhealthy_upstreams".to_owned()),
        forward.source_address.map(|_| "source_address".to_owned()),
        Some("health_check; an upstream that fails is asked last".to_owned()),
    ];
    upstreams.chain(wanted.into_iter().flatten()).collect()
}

/// What the server asks where no flag says otherwise.
fn is_system(upstream: &Upstream) -> bool {
    matches!(upstream, Upstream::File(path) if path == "/etc/resolv.conf")
}
