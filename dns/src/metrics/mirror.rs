//! Our own counters under the names of CoreDNS's plugins: counted once, and read by both names when they are asked for.
//! Nothing of it is on the way of a question.

use super::family::{Family, pair};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily};

/// A family that shows what another one counts.
pub(super) struct Mirror {
    family: &'static Family,
    description: Desc,
    of: Box<dyn Collector>,
    /// The label that a metric must have to be shown; `None`: all are.
    only: Option<(&'static str, &'static str)>,
    /// A label that all of them have besides.
    added: Option<(&'static str, &'static str)>,
}

impl Mirror {
    /// Of every metric of `of`, without the labels that the family does not have.
    ///
    /// # Errors
    /// The family's name or one of its labels cannot be one.
    pub(super) fn new(family: &'static Family, of: impl Collector + 'static) -> prometheus::Result<Self> {
        Ok(Self { family, description: family.description()?, of: Box::new(of), only: None, added: None })
    }

    /// Of those alone that have this label.
    pub(super) fn only(self, name: &'static str, value: &'static str) -> Self {
        Self { only: Some((name, value)), ..self }
    }

    /// With one label more.
    pub(super) fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { added: Some((name, value)), ..self }
    }

    fn shown(&self, mut metric: Metric) -> Option<Metric> {
        let is_shown = |(name, value): (&str, &str)| {
            metric.get_label().iter().any(|label| label.name() == name && label.value() == value)
        };
        if !self.only.is_none_or(is_shown) {
            return None;
        }
        let mut labels = metric.take_label();
        labels.retain(|label| self.family.labels.contains(&label.name()));
        labels.extend(self.added.map(|(name, value)| pair(name, value)));
        labels.sort_by(|one, other| one.name().cmp(other.name()));
        metric.set_label(labels);
        Some(metric)
    }
}

impl Collector for Mirror {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.of.collect();
        for family in &mut families {
            family.set_name(self.family.name.to_owned());
            family.set_help(self.family.help.to_owned());
            let metrics = std::mem::take(family.mut_metric());
            family.set_metric(metrics.into_iter().filter_map(|metric| self.shown(metric)).collect());
        }
        // A family without a metric is an error to the registry.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}
