//! Output for people (aligned tables) and for programs (JSON).

use std::fmt;

/// Rows in aligned columns, each with indented lines below it if it has any.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<(Vec<String>, Vec<String>)>,
}

impl Table {
    /// Adds a row. Control characters, which objects may hold, are escaped.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push((cells.into_iter().map(|cell| printable(&cell)).collect(), Vec::new()));
    }

    /// Adds lines below the last row.
    pub(crate) fn below(&mut self, lines: impl IntoIterator<Item = String>) {
        if let Some((_, below)) = self.rows.last_mut() {
            below.extend(lines.into_iter().map(|line| printable(&line)));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = Vec::new();
        for (cells, _) in &self.rows {
            widths.resize(widths.len().max(cells.len()), 0);
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (cells, below) in &self.rows {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
            for line in below {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

/// Text in which nothing moves a terminal's cursor or hides what follows.
pub(crate) fn printable(text: &str) -> String {
    controller::Printable(text).to_string()
}

/// Pretty JSON that ends in a line end.
pub(crate) fn json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut table = Table::default();
        table.row(["a".to_owned(), "é".to_owned(), "x".to_owned()]);
        table.below(["why".to_owned()]);
        table.row(["bcd".to_owned(), "ef\u{1b}[2J".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "a    é            x\n    why\nbcd  ef\\u{1b}[2J\n");
    }
}
