//! Aligned columns without borders, as Docker prints them. Pure.

use crate::text;

/// Spaces between two columns.
const GAP: usize = 3;

/// Rows under a line of headings. Cells are what others wrote: they come out escaped.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. Missing cells are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| text::safe(&cell)).collect());
    }

    /// The text, one line per row, without spaces at the ends of lines. A column in which every cell is
    /// empty is left out.
    pub(crate) fn render(&self) -> String {
        let columns: Vec<usize> = (0..self.headings.len())
            .filter(|c| {
                self.rows.is_empty() || self.rows.iter().any(|row| !cell(row, *c).is_empty())
            })
            .collect();
        let headings: Vec<String> = self.headings.iter().map(ToString::to_string).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&headings).chain(&self.rows).collect();
        let widths: Vec<usize> = columns
            .iter()
            .map(|c| lines.iter().map(|row| text::width(cell(row, *c))).max().unwrap_or(0))
            .collect();
        let mut out = String::new();
        for row in lines {
            let mut line = String::new();
            for (column, width) in columns.iter().zip(&widths) {
                let cell = cell(row, *column);
                line.push_str(cell);
                line.push_str(&" ".repeat(width - text::width(cell) + GAP));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_vanish() {
        let mut table = Table::new(&["NAME", "NOTE", "NODE"]);
        table.row(["web.1".into(), String::new(), "node1".into()]);
        table.row(["a-longer-name.12".into()]);
        assert_eq!(
            table.render(),
            "NAME               NODE\nweb.1              node1\na-longer-name.12\n"
        );
    }

    #[test]
    fn a_table_without_rows_is_its_headings() {
        assert_eq!(Table::new(&["A", "B"]).render(), "A   B\n");
    }

    #[test]
    fn cells_are_escaped() {
        let mut table = Table::new(&["NAME"]);
        table.row(["x\x1b[2J\ny".into()]);
        assert_eq!(table.render(), "NAME\nx\\u{1b}[2J\\u{a}y\n");
    }
}
