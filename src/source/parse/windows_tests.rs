//! Tests that a text parsed in windows means the same as the text parsed whole, with the
//! same places.
//!
//! In: texts, and sizes of windows. Out: nothing.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::engine::dialects::{POSTGRES, SQLITE};

/// Parts of files, among them those that must not be cut.
const PARTS: [&str; 48] = [
    "SELECT 1;\n",
    "INSERT INTO a VALUES (1, 'é🦀');\r\n",
    "SELECT 1; SELECT 'two'; SELECT 3; ",
    "SELECT 'a;\nb;\r\n''c;' AS \"d;\ne\";\n",
    "SELECT $$ ; -- bustard: down\n; $$, $é_1$ ; $$ ; $é_1$;\n",
    "SELECT E'it\\'s'\n  '\\'; b';\n",
    "/* a; /* b; */\n-- c;\n*/",
    "/* one */ SELECT 1 /* two */;\n",
    "-- a comment; 'with a quote\n",
    "-- a comment at the end of a line that ends twice\r\n",
    "-- bustard: register cache bans\n",
    "-- BUSTARD: unregister cache \"two words\"\r\n",
    "-- bustard: depends on forum V1\n",
    "-- bustard: down\n",
    " -- bustard: down\n",
    "; -- bustard: register cache late\n",
    "-- bustard down\n",
    "-- +goose Down\n",
    "/* migrate:down */\n",
    "\r-- bustard: register cache cr\r",
    "COMMIT;\n",
    "VACUUM;",
    "SELECT 1, COMMIT; BEGIN;\n",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN b END; END;\n",
    "CREATE TRIGGER t AFTER UPDATE ON a BEGIN UPDATE b SET c = 1; DELETE FROM d; END;\n",
    "CREATE RULE r AS ON INSERT TO a DO ALSO (INSERT INTO b VALUES (1); DELETE FROM c);\n",
    "CREATE ROLE r PASSWORD 'hunter2'; SELECT 'plain';\n",
    "\\connect x\n",
    ".read x\n",
    "\n\n\n",
    "        \t      ",
    ";;;",
    "SELECT 'unterminated",
    "\u{feff}",
    "COPY a FROM stdin;\n1\tit's;\n2\t-- bustard: down\n\\.x\n \\.\n\\.\n",
    "COPY a (b) FROM stdin (FORMAT csv);\r\n\"é\r\n🦀\"\r\nCOMMIT;\r\n\\.\r\n",
    "COPY b FROM stdin; -- rows\n\\\n\\.\r\r\nbustard\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\\.\n",
    "SELECT 1; COPY a FROM stdin; -- bustard: register cache beside\n\\.\n",
    "COPY a FROM stdin;\n",
    "COPY a FROM stdin; SELECT 1;\n1\n\\.\n",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC COPY a FROM stdin;\n1\n\\.\nEND;\n",
    "\\.\n",
    "BEGIN;\n",
    "COMMIT; ",
    "SET a = 1;\nRESET b;\n",
    "BEGIN; SELECT pg_catalog.lo_create('1');\nSELECT lo_close(0); COMMIT;\n",
    "\\restrict x\n",
    "BEGIN;\n-- bustard: register cache inside\nSELECT 1;\n",
];

/// Returns everything that a reading means, and the texts of lines separately.
fn meaning(reading: &Reading, dialect: &'static dyn Dialect) -> (Vec<String>, Vec<Option<String>>) {
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    let mut at = |place: Option<&Place>| {
        lines.push(place.and_then(Place::line_text).map(str::to_owned));
        place.map_or_else(String::new, Place::to_string)
    };
    let migration = &reading.migration;
    for finding in &reading.errors {
        let Finding { diagnostic, section, unrunnable } = finding;
        let place = at(diagnostic.place());
        all.push(format!("{:?} {} {place} {section:?} {unrunnable}", diagnostic.code(), diagnostic.message));
    }
    for warning in &reading.warnings {
        all.push(format!("{:?} {} {}", warning.code(), warning.message, at(warning.place())));
    }
    for Dependency { app, which, place } in migration.depends_on.iter().chain(&migration.required_by) {
        all.push(format!("{app} {which:?} {}", at(place.as_ref())));
    }
    for (n, operation) in migration.operations.iter().chain(migration.down.iter().flatten()).enumerate() {
        let down = n >= migration.operations.len();
        match operation {
            // A refused statement is never given out again.
            Operation::Sql(sql) if reading.errors.is_empty() => {
                sql.each_in_memory(dialect, &mut |statement| {
                    all.push(format!("{down} {:?} {}", statement.sql, at(statement.place.as_ref())));
                    Ok(())
                })
                .unwrap();
                all.push("end of an operation".to_owned());
            }
            // It may stand for a text that is nothing but errors.
            Operation::Sql(_) => {}
            other => all.push(format!("{down} {} {}", other.describe(dialect), at(other.place()))),
        }
    }
    (all, lines)
}

#[track_caller]
fn check(text: &str, dialect: &'static dyn Dialect, size: impl Fn(Windows<'_>) -> Windows<'_>) {
    let file = Path::new("V1__a.sql");
    let whole = parse(&Text::new(file, text), dialect, Directives::Obeyed);
    let source = SourceText::from(text.to_owned());
    let windows = size(Windows::new(file, source.read().unwrap(), dialect.syntax()));
    let parts = in_windows(file, &source, dialect, windows).unwrap();
    let ((expected, lines), (found, parts)) = (meaning(&whole, dialect), meaning(&parts, dialect));
    assert_eq!(found, expected, "{dialect} {text:?}");
    // SQLite's comments go on behind a carriage return, and do not nest.
    let misread = ["E'it", "unterminated", "cr\r", "it's;"].iter().any(|part| text.contains(part));
    for (line, part) in lines.iter().zip(&parts) {
        // The part of a line that is cut between windows is shown as far as it is known.
        match part.as_deref() {
            None => {}
            // What hides secrets reads all strings alike, and after a string that it misreads
            // it hides more of a text than of a window.
            Some(shown)
                if misread && [shown, line.as_deref().unwrap_or_default()].concat().contains("***") => {}
            Some(part) if part.ends_with('…') => {
                let line = line.as_deref().unwrap_or_default();
                assert!(line.starts_with(part.trim_end_matches('…')), "{part:?} {line:?} {text:?}");
            }
            Some(_) => assert_eq!(part, line, "{text:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a7_windows_of_any_size_mean_the_same(
        parts in prop::collection::vec(0..PARTS.len(), 0..24),
        window in 1_usize..300,
        longest in 1_usize..600,
    ) {
        let text: String = parts.iter().map(|part| PARTS[*part]).collect();
        for dialect in [POSTGRES, SQLITE] {
            check(&text, dialect, |windows| windows.sized(window, longest, 48));
        }
    }
}

/// A generator of whole files, so that pairs of BEGIN and COMMIT are left out.
fn bracketed() -> impl Strategy<Value = String> {
    let before = prop::sample::select(vec!["", "SET a = 1;\n", "SELECT set_config('a', '', false); "]);
    let part = prop::sample::select(vec![
        PARTS[0],
        PARTS[1],
        "-- bustard: register cache bans\n",
        "COPY a FROM stdin;\n1\n2\n3\n4\n\\.\n",
        "BEGIN; SELECT lo_close(0); COMMIT;\n",
        "-- a comment\n",
    ]);
    let inside = prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat());
    let section = (before, inside, prop::sample::select(vec!["", "RESET a;\n", "SELECT 1;\n"]))
        .prop_map(|(before, inside, after)| format!("{before}BEGIN;\n{inside}COMMIT;\n{after}"));
    prop::collection::vec(section, 1..3).prop_map(|sections| sections.join("-- bustard: down\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a7_pairs_are_left_out_across_windows(
        text in bracketed(),
        window in 1_usize..100,
        longest in 1_usize..200,
    ) {
        for dialect in [POSTGRES, SQLITE] {
            check(&text, dialect, |windows| windows.sized(window, longest, 48));
        }
    }
}

#[test]
fn a7_rows_are_larger_than_a_window() {
    for length in [WINDOW - 40, WINDOW, 3 * WINDOW, 20 * WINDOW] {
        for (row, end) in [("1\tit's\n", "\\.\n"), ("é\r\n", "\\.\r\n"), ("x", "\n\\.")] {
            let rows = row.repeat(length / row.len());
            let text = format!("SELECT 1;\nCOPY a FROM stdin; -- 'rows\n{rows}{end}");
            check(&text, POSTGRES, |windows| windows);
            check(&format!("{text}\nSELECT 3; COMMIT;\n"), POSTGRES, |windows| windows);
            check(&text.replace(end, "\n"), POSTGRES, |windows| windows);
            check(&text.replace(end, &format!("\0{end}")), POSTGRES, |windows| windows);
        }
    }
}

/// Returns offsets of a text of this length around the border of a window, and around the
/// place where the window is cut.
fn border_sizes(length: usize) -> impl Iterator<Item = usize> {
    let around = |border: usize| (border - length - 1..=border + 1).step_by(3);
    around(WINDOW - 1024).chain(around(WINDOW))
}

#[test]
fn a7_places_at_the_border_of_a_window() {
    let borders = [
        "SELECT 'é🦀é🦀é🦀';\n",
        "INSERT INTO a\r\nVALUES (1);\r\n",
        "SELECT $a$ ; -- bustard: down\n ; $a$;\n",
        "-- bustard: register cache bans\n",
        "/* ; ;\n ; */\n",
        "SELECT 1; ",
        "-- bustard: down\n",
    ];
    for before in [&format!("SELECT '{}';\r\n", "é".repeat(2_000))] {
        for border in borders {
            for size in border_sizes(border.len()) {
                let mut text = before.repeat(size / before.len());
                let fill = size - text.len();
                text.push_str(if fill >= 3 { "--" } else { "" });
                text.push_str(&" ".repeat(fill - if fill >= 3 { 3 } else { 0 }));
                text.push_str(if fill >= 3 { "\n" } else { "" });
                assert_eq!(text.len(), size);
                text.push_str(border);
                text.push_str("SELECT 2; COMMIT;\nCREATE ROLE r PASSWORD 'hunter2'; ROLLBACK;\n");
                text.push_str(&before.repeat(2));
                check(&text, POSTGRES, |windows| windows);
            }
        }
    }
}

#[test]
fn a7_a_statement_is_as_large_as_a_window() {
    for length in [WINDOW - 20, WINDOW - 9, WINDOW, WINDOW + 1, 3 * WINDOW, 20 * WINDOW] {
        let text = format!("SELECT 1;\nSELECT '{}';\nSELECT 3;\nCOMMIT;\n", "é;\n".repeat(length / 4));
        check(&text, POSTGRES, |windows| windows);
    }
    // All statements on one line.
    let text =
        format!("{}COMMIT; -- bustard: down\n", format!("SELECT '{}'; ", "é".repeat(300)).repeat(2_000));
    check(&text, SQLITE, |windows| windows);
}
