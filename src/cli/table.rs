//! Tables without lines, which people can read and `awk` can split.

use comfy_table::presets::NOTHING;

use super::lines::{Lines, Paint, one_line, paint};

/// A table. Its cells are of one line each.
pub struct Table(comfy_table::Table);

/// The text of a cell.
pub struct Cell(String);

impl Cell {
    pub fn new(text: impl ToString) -> Self {
        Cell(one_line(&text.to_string()))
    }

    /// Colours the text.
    pub fn paint(self, colour: Paint) -> Self {
        Cell(paint(colour, &self.0))
    }
}

impl Table {
    /// Creates a table with this header.
    pub fn new(header: &[&str]) -> Self {
        let mut table = Table::plain();
        table.0.set_header(header.to_vec());
        table
    }

    /// Creates a table without a header.
    pub fn plain() -> Self {
        let mut table = comfy_table::Table::new();
        // It neither looks at the terminal nor colours anything: `output` does.
        table.load_style(NOTHING).force_no_tty();
        Table(table)
    }

    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.0.add_row(cells.map(|cell| cell.0));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Renders the table as text, with two spaces between columns.
    pub fn render(mut self) -> Lines {
        for column in self.0.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut lines = Lines::default();
        // Not `trim_fmt`, which does not trim the blanks of empty last cells.
        self.0.lines().for_each(|line| lines.line(line.trim_end()));
        lines
    }
}

/// Formats a number with its noun: `1 cache`, `2 caches`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Reports whether a migration of this app is Bustard's own. These migrations share a line
/// and are not counted, because users did not write them.
pub fn is_own(app: &str) -> bool {
    app == "bustard"
}

/// The text of the line that Bustard's own migrations share.
pub const OWN: &str = "own tables";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::lines::rendered;

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let mut table = Table::new(&["app", "migration"]);
        table.row(["forum", "V1__x"].map(Cell::new));
        table.row([Cell::new("bans"), Cell::new("V2__create_bans").paint(Paint::Red)]);
        table.row(["b", ""].map(Cell::new));
        table.row(["a\nb", "\x1b[1mc"].map(Cell::new));
        let text = rendered(table.render().as_str());
        let expected = "app    migration\nforum  V1__x\nbans   \x1b[1;31mV2__create_bans\x1b[0m\nb\na\\nb   \\u{1b}[1mc\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn numbers_agree_with_their_noun() {
        assert_eq!(count(0, "cache"), "0 caches");
        assert_eq!(count(1, "cache"), "1 cache");
    }
}
