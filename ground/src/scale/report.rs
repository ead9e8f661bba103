//! Figures, each beside the bar that Tidegate is held to.

/// Something that was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    name: String,
    measured: f64,
    unit: &'static str,
    /// The highest value that meets its bar; `None`: there is no bar.
    limit: Option<f64>,
}

impl Figure {
    pub(super) fn new(name: &str, measured: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), measured, unit, limit: None }
    }

    /// With a bar.
    pub(super) fn at_most(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Whether it meets its bar; what has none does.
    pub(super) fn is_met(&self) -> bool {
        self.limit.is_none_or(|limit| self.measured <= limit)
    }

    fn verdict(&self) -> String {
        let Some(limit) = self.limit else { return String::new() };
        let apart = (self.measured / limit - 1.0).abs() * 100.0;
        if self.is_met() { format!("met, {apart:.0} % under") } else { format!("NOT MET, {apart:.0} % over") }
    }
}

/// One line a figure: what it is, what was measured, its bar, whether that is met.
pub(super) fn table(figures: &[Figure]) -> String {
    let width = figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("  {:width$}  {:>18}  {:>18}\n", "", "measured", "at most");
    for figure in figures {
        let with_unit = |value: f64| format!("{value:.2} {}", figure.unit);
        let limit = figure.limit.map(with_unit).unwrap_or_default();
        let measured = with_unit(figure.measured);
        let line = format!("  {:width$}  {measured:>18}  {limit:>18}  {}", figure.name, figure.verdict());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The lowest of `values` that `percent` of them do not exceed; not a number of nothing, which meets no bar.
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&values, percent)), [100.0, 198.0, 200.0]);
        assert_eq!(percentile(&[7.0], 99), 7.0);
        assert!(!Figure::new("none", percentile(&[], 99), "ms").at_most(1.0).is_met());
    }

    #[test]
    fn each_figure_stands_beside_its_bar() {
        let figures = [
            Figure::new("start", 1.5, "s"),
            Figure::new("p99", 8.0, "ms").at_most(20.0),
            Figure::new("CPU", 10.0, "%").at_most(5.0),
        ];
        let text = table(&figures);
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let expected = [
            "measured at most",
            "start 1.50 s",
            "p99 8.00 ms 20.00 ms met, 60 % under",
            "CPU 10.00 % 5.00 % NOT MET, 100 % over",
        ];
        assert_eq!(lines, expected);
        assert_eq!(figures.map(|figure| figure.is_met()), [true, true, false]);
    }
}
