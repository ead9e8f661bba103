//! Tables for the terminal, medians, and the bars that Tidegate is held to.

/// A limit, and what was measured; `None`: nothing to measure it against.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) measured: Option<f64>,
    /// The highest value that meets it.
    pub(super) limit: f64,
    pub(super) unit: &'static str,
}

impl Bar {
    fn verdict(&self) -> String {
        let Some(measured) = self.measured else { return "not measured".to_owned() };
        let apart = (measured / self.limit - 1.0).abs() * 100.0;
        if measured <= self.limit { format!("met, {apart:.0} % under") } else { format!("NOT MET, {apart:.0} % over") }
    }
}

/// Prints which bars are met, and by how much.
pub(super) fn print_bars(bars: &[Bar]) {
    if bars.is_empty() {
        return;
    }
    println!("\nBars");
    let mut rows = vec![["", "measured", "at most", ""].map(str::to_owned).to_vec()];
    rows.extend(bars.iter().map(|bar| {
        let with_unit = |value: f64| format!("{value:.2} {}", bar.unit).trim().to_owned();
        let measured = bar.measured.map_or_else(|| "-".to_owned(), with_unit);
        vec![bar.name.clone(), measured, with_unit(bar.limit), bar.verdict()]
    }));
    print!("{}", table(&rows));
}

/// Rows in columns: the first column on the left, the others on the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        let line = format!("  {}", cells.collect::<Vec<_>>().join("  "));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["".to_owned(), "µs".to_owned()], vec!["nginx".to_owned(), "10.5".to_owned()]];
        assert_eq!(table(&rows), "           µs\n  nginx  10.5\n");
    }

    #[test]
    fn bar_says_by_how_much() {
        let bar = |measured| Bar { name: "x".to_owned(), measured, limit: 2.0, unit: "ms" };
        assert_eq!(bar(Some(2.0)).verdict(), "met, 0 % under");
        assert_eq!(bar(Some(1.5)).verdict(), "met, 25 % under");
        assert_eq!(bar(Some(3.0)).verdict(), "NOT MET, 50 % over");
        assert_eq!(bar(None).verdict(), "not measured");
    }
}
