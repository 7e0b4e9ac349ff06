//! Tables without lines, which people can read and `awk` can split.

use comfy_table::presets::NOTHING;
pub use comfy_table::{Cell, Color};

/// Creates a table with this header.
pub fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = plain();
    table.set_header(header.iter().map(Cell::new).collect::<Vec<_>>());
    table
}

/// Creates a table without a header.
pub fn plain() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    // The table always has styles. The streams strip them if they are not terminals.
    table.load_style(NOTHING).force_no_tty().enforce_styling().style_text_only();
    table
}

/// Renders the table as text, with two spaces between columns.
pub fn render(mut table: comfy_table::Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    // `trim_fmt` would leave the blanks of empty last cells, so each line is trimmed here.
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
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

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let mut table = table(&["app", "migration"]);
        table.add_row(["forum", "V1__x"]);
        table.add_row(["bans", "V2__create_bans"]);
        table.add_row(["b", ""]);
        assert_eq!(render(table), "app    migration\nforum  V1__x\nbans   V2__create_bans\nb\n");
    }

    #[test]
    fn numbers_agree_with_their_noun() {
        assert_eq!(count(0, "cache"), "0 caches");
        assert_eq!(count(1, "cache"), "1 cache");
    }
}
