//! Figures, each beside the bar that Tidegate is held to.

/// Something that was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    name: String,
    measured: f64,
    unit: &'static str,
    /// The highest value that meets its bar; `None`: there is no bar.
    limit: Option<f64>,
}

impl Figure {
    pub(crate) fn new(name: &str, measured: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), measured, unit, limit: None }
    }

    /// With a bar.
    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Whether it meets its bar; what has none does.
    pub(crate) fn is_met(&self) -> bool {
        self.limit.is_none_or(|limit| self.measured <= limit)
    }

    /// What it is, what was measured, its bar, whether that is met.
    pub(crate) fn cells(&self) -> [String; 4] {
        let with_unit = |value: f64| format!("{value:.2} {}", self.unit).trim().to_owned();
        let limit = self.limit.map(with_unit).unwrap_or_default();
        let measured = if self.measured.is_nan() { "-".to_owned() } else { with_unit(self.measured) };
        [self.name.clone(), measured, limit, self.verdict()]
    }

    fn verdict(&self) -> String {
        let Some(limit) = self.limit else { return String::new() };
        if self.measured.is_nan() {
            return "NOT MEASURED".to_owned();
        }
        let apart = (self.measured / limit - 1.0).abs() * 100.0;
        if self.is_met() { format!("met, {apart:.0} % under") } else { format!("NOT MET, {apart:.0} % over") }
    }
}

/// One line a figure: what it is, what was measured, its bar, whether that is met.
pub(crate) fn table(figures: &[Figure]) -> String {
    let rows: Vec<[String; 4]> = figures.iter().map(Figure::cells).collect();
    let width = rows.iter().map(|[name, ..]| name.chars().count()).max().unwrap_or(0);
    let mut text = format!("  {:width$}  {:>18}  {:>18}\n", "", "measured", "at most");
    for [name, measured, limit, verdict] in rows {
        let line = format!("  {name:width$}  {measured:>18}  {limit:>18}  {verdict}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A Markdown table; the first row is its head, and the columns after the first `left` ones are numbers.
pub(crate) fn markdown(rows: &[Vec<String>], left: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(3)).collect();
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate();
        text.push_str(&line(
            cells
                .map(
                    |(column, (cell, width))| {
                        if column < left { format!("{cell:width$}") } else { format!("{cell:>width$}") }
                    },
                )
                .collect(),
        ));
        if number == 0 {
            let rule = |(column, width): (usize, &usize)| {
                if column < left { "-".repeat(*width) } else { format!("{}:", "-".repeat(width - 1)) }
            };
            text.push_str(&line(widths.iter().enumerate().map(rule).collect()));
        }
    }
    text
}

/// The middle value, or the mean of the two in the middle; not a number of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(values.len() / 2), at(values.len().saturating_sub(1) / 2))
}

/// The lowest of `values` that `percent` of them do not exceed; not a number of nothing, which meets no bar.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
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
    fn median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn numbers_of_a_markdown_table_stand_on_the_right() {
        let rows = [["server", "µs"], ["Knot", "7.12"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(markdown(&rows, 1), "| server |   µs |\n| ------ | ---: |\n| Knot   | 7.12 |\n");
    }

    #[test]
    fn what_was_not_measured_meets_no_bar() {
        let figure = Figure::new("CPU", f64::NAN, "").at_most(0.9);
        assert!(!figure.is_met());
        assert_eq!(figure.cells(), ["CPU", "-", "0.90", "NOT MEASURED"]);
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
