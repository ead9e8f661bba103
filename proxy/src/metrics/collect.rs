//! A scrape: the sums over all workers as Prometheus has them.

use super::AccessLogCounts;
use super::family::{self, Family};
use super::label::{CodeClass, LabelValue, Tallies, Tally};
use super::series::{BUCKETS, RouteSeries};
use super::worker::Shard;
use config::{BackendKey, ObjectRef};
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Every family with its values. O(series of all workers).
pub(super) fn families(shards: &[Arc<Shard>], log: &AccessLogCounts, is_draining: bool) -> Vec<MetricFamily> {
    let mut families = of_workers(shards);
    families.extend(of_routes(shards));
    let dropped = [("queue_full", &log.queue_full), ("write_failed", &log.write_failed)];
    let dropped = dropped.map(|(reason, lines)| sample(&family::ACCESS_LOG_DROPPED, &[reason], lines.load(Relaxed)));
    families.push(single(&family::ACCESS_LOG_LINES, log.written.load(Relaxed)));
    families.push(family::ACCESS_LOG_DROPPED.of(dropped.into()));
    families.push(single(&family::DRAINING, u64::from(is_draining)));
    families
}

fn of_workers(shards: &[Arc<Shard>]) -> Vec<MetricFamily> {
    use family as f;
    let one =
        |family: &Family, tally: fn(&Shard) -> &Tally| single(family, shards.iter().map(|s| tally(s).value()).sum());
    vec![
        by_label(&f::CONNECTIONS, shards, |shard| &shard.connections),
        by_label(&f::CONNECTIONS_ACCEPTED, shards, |shard| &shard.accepted),
        by_label(&f::CONNECTIONS_REFUSED, shards, |shard| &shard.refused),
        by_label(&f::EXCHANGES, shards, |shard| &shard.exchanges),
        one(&f::HTTP2_STREAMS, |shard| &shard.http2_streams),
        one(&f::HTTP2_FLOODS, |shard| &shard.http2_floods),
        one(&f::HTTP2_UNREAD_UPLOADS, |shard| &shard.http2_unread_uploads),
        by_label(&f::TLS_HANDSHAKES, shards, |shard| &shard.handshakes),
        by_label(&f::TLS_RESUMPTIONS, shards, |shard| &shard.resumptions),
        by_label(&f::TLS_HANDSHAKE_FAILURES, shards, |shard| &shard.handshake_failures),
        by_label(&f::UPSTREAM_CONNECTIONS, shards, |shard| &shard.upstream_connections),
        by_label(&f::UPSTREAM_OPENED, shards, |shard| &shard.upstream_opened),
        by_label(&f::UPSTREAM_REUSED, shards, |shard| &shard.upstream_reused),
        one(&f::ENDPOINT_EJECTIONS, |shard| &shard.endpoint_ejections),
    ]
}

fn by_label<T: LabelValue>(family: &Family, shards: &[Arc<Shard>], tallies: fn(&Shard) -> &Tallies<T>) -> MetricFamily {
    let sum = |value| shards.iter().map(|shard| tallies(shard).value(value)).sum();
    family.of(T::ALL.iter().map(|&value| sample(family, &[value.label()], sum(value))).collect())
}

/// The same route and backend in each worker that met it; never empty.
type Group<'s> = &'s [Arc<RouteSeries>];

fn of_routes(shards: &[Arc<Shard>]) -> Vec<MetricFamily> {
    use family as f;
    let mut series: Vec<_> = shards.iter().flat_map(|shard| shard.series()).collect();
    series.sort_unstable_by(|a, b| a.cmp_key(b));
    let groups: Vec<Group<'_>> = series.chunk_by(|a, b| a.cmp_key(b).is_eq()).collect();
    let one = |family: &Family, tally: fn(&RouteSeries) -> &Tally| {
        let of_group = |group: &Group<'_>| sample(family, &route_labels(group), sum(group, |s| tally(s).value()));
        family.of(groups.iter().map(of_group).collect())
    };
    vec![
        by_route_and(&f::REQUESTS, &groups, |series, class: CodeClass| series.requests.value(class)),
        one(&f::REQUESTS_CUT, |series| &series.cut),
        f::REQUEST_DURATION.of(groups.iter().map(|group| duration(group)).collect()),
        one(&f::REQUESTS_IN_FLIGHT, |series| &series.in_flight),
        one(&f::REQUEST_BODY_BYTES, |series| &series.request_bytes),
        one(&f::RESPONSE_BODY_BYTES, |series| &series.response_bytes),
        by_route_and(&f::REQUEST_REASONS, &groups, |series, reason| {
            series.by_reason().map_or(0, |counted| counted.requests.value(reason))
        }),
        one(&f::UPSTREAM_ATTEMPTS, |series| &series.attempts),
        by_route_and(&f::UPSTREAM_FAILURES, &groups, |series, reason| {
            series.by_reason().map_or(0, |counted| counted.failures.value(reason))
        }),
    ]
}

/// One sample for each value that was counted at all: most reasons never are.
fn by_route_and<T: LabelValue>(
    family: &Family,
    groups: &[Group<'_>],
    count: impl Fn(&RouteSeries, T) -> u64,
) -> MetricFamily {
    let mut samples = Vec::new();
    for group in groups {
        for &value in T::ALL {
            let total = sum(group, |series| count(series, value));
            if total > 0 {
                let labels = route_labels(group);
                let labels: Vec<_> = labels.iter().map(|label| &**label).chain([value.label()]).collect();
                samples.push(sample(family, &labels, total));
            }
        }
    }
    family.of(samples)
}

fn sum(group: Group<'_>, count: impl Fn(&RouteSeries) -> u64) -> u64 {
    group.iter().map(|series| count(series)).sum()
}

/// In the order of the families' route labels.
fn route_labels(group: Group<'_>) -> [Cow<'_, str>; 6] {
    let mut labels = <[Cow<'_, str>; 6]>::default();
    let [kind, route_namespace, route_name, service_namespace, service_name, service_port] = &mut labels;
    if let Some(route) = group.first().and_then(|series| series.route.as_deref()) {
        let ObjectRef { kind: route_kind, namespace, name } = route;
        *kind = route_kind.as_str().into();
        *route_namespace = (&**namespace).into();
        *route_name = (&**name).into();
    }
    if let Some(BackendKey { namespace, service, port }) = group.first().and_then(|series| series.backend.as_deref()) {
        *service_namespace = (&**namespace).into();
        *service_name = (&**service).into();
        *service_port = port.to_string().into();
    }
    labels
}

fn duration(group: Group<'_>) -> Metric {
    let mut cumulative = 0;
    let mut count_up_to = |slot: usize| {
        cumulative += sum(group, |series| series.buckets.get(slot).map_or(0, Tally::value));
        cumulative
    };
    let mut histogram = Histogram::default();
    let buckets = BUCKETS.iter().enumerate().map(|(slot, &bound)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(seconds(bound));
        bucket.set_cumulative_count(count_up_to(slot));
        bucket
    });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(count_up_to(BUCKETS.len()));
    histogram.set_sample_sum(seconds(sum(group, |series| series.microseconds.value())));
    let mut metric = Metric::from_label(family::REQUEST_DURATION.label_pairs(&route_labels(group)));
    metric.set_histogram(histogram);
    metric
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn single(family: &Family, value: u64) -> MetricFamily {
    family.of(vec![family.sample::<&str>(&[], value as f64)])
}

fn sample<L: AsRef<str>>(family: &Family, labels: &[L], value: u64) -> Metric {
    family.sample(labels, value as f64)
}
