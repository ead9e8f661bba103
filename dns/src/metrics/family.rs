//! What a metric family is; `list` has them all.

mod list;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::collections::HashMap;

pub(super) use list::*;

/// A metric family.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// Those whose numbers live in a metric of their own.
impl Family {
    pub(super) fn counter(&self, registry: &Registry) -> prometheus::Result<IntCounter> {
        registered(registry, IntCounter::new(self.name, self.help)?)
    }

    pub(super) fn counters(&self, registry: &Registry) -> prometheus::Result<IntCounterVec> {
        registered(registry, IntCounterVec::new(Opts::new(self.name, self.help), self.labels)?)
    }

    pub(super) fn gauge(&self, registry: &Registry) -> prometheus::Result<IntGauge> {
        registered(registry, IntGauge::new(self.name, self.help)?)
    }

    /// With bounds in seconds.
    pub(super) fn histograms(&self, registry: &Registry, bounds: &[f64]) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(self.name, self.help).buckets(bounds.to_vec());
        registered(registry, HistogramVec::new(options, self.labels)?)
    }
}

/// Those that are put together when they are asked for.
impl Family {
    pub(super) fn description(&self) -> prometheus::Result<Desc> {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }

    pub(super) fn descriptions<'f>(families: impl IntoIterator<Item = &'f &'f Self>) -> prometheus::Result<Vec<Desc>> {
        families.into_iter().map(|family| family.description()).collect()
    }

    /// In the order that Prometheus has them.
    pub(super) fn pairs(&self, values: &[&str]) -> Vec<LabelPair> {
        let mut pairs: Vec<_> = self.labels.iter().zip(values).map(|(name, value)| pair(name, value)).collect();
        pairs.sort_by(|one, other| one.name().cmp(other.name()));
        pairs
    }

    /// A sample of a counter or a gauge.
    pub(super) fn sample(&self, values: &[&str], value: f64) -> Metric {
        let mut metric = Metric::from_label(self.pairs(values));
        if self.kind == MetricType::GAUGE {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        } else {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        metric
    }

    /// One that was ever counted.
    pub(super) fn counted(&self, values: &[&str], count: u64) -> Option<Metric> {
        (count > 0).then(|| self.sample(values, count as f64))
    }

    /// With these samples; `None`: there are none, which is an error to the registry.
    pub(super) fn of(&self, metrics: Vec<Metric>) -> Option<MetricFamily> {
        if metrics.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(metrics);
        Some(family)
    }
}

/// A label.
pub(super) fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
