//! Recognizes, by their first words, statements that a migration for PostgreSQL cannot
//! contain.

use crate::diagnostic::{Code, Diagnostic};
use crate::sql::lexer::TokenKind;
use crate::sql::{Admission, Unit};

const COPY_IN: &str = "move what follows the semicolon behind the rows, which begin on the next line";
const COPY_OUT: &str = "leave it out: its output is not read";
/// The advice for a statement that cannot run in a transaction.
pub(super) const NO_TRANSACTION: &str = "it needs `-- bustard: no transaction`, which is not supported yet: run it by hand, or write it so that it can run in a transaction";

pub(super) fn refuse(unit: &Unit<'_>) -> Admission {
    if unit.is(0, "COPY") {
        return copy(unit);
    }
    let alone = |what: &str| {
        let message = format!("`{what}` cannot run inside a transaction");
        Admission::NotInTransaction(Diagnostic::new(Code::NotInTransaction, message).help(NO_TRANSACTION))
    };
    for what in [
        "VACUUM",
        "CREATE DATABASE",
        "DROP DATABASE",
        "CREATE TABLESPACE",
        "DROP TABLESPACE",
        "ALTER SYSTEM",
        "DISCARD ALL",
        "DROP INDEX CONCURRENTLY",
        "CREATE INDEX CONCURRENTLY",
        "CREATE UNIQUE INDEX CONCURRENTLY",
        "REINDEX DATABASE",
        "REINDEX SYSTEM",
        "REINDEX SCHEMA",
    ] {
        if unit.starts(what) {
            return alone(what);
        }
    }
    if unit.is(0, "REINDEX") && (1..unit.len().min(8)).any(|n| unit.is(n, "CONCURRENTLY")) {
        return alone("REINDEX CONCURRENTLY");
    }
    if unit.is(0, "CLUSTER") && unit.len() == 1 {
        return alone("CLUSTER");
    }
    if let Some((name, help)) = text_setting(unit) {
        let message = format!("the statement changes `{name}`, which decides how the server reads text");
        return Admission::Refused(Diagnostic::new(Code::TextSetting, message).help(help));
    }
    if unit.starts("ALTER TABLE") && last_words(unit, &["CONCURRENTLY"]) && any(unit, "DETACH") {
        return alone("DETACH PARTITION CONCURRENTLY");
    }
    Admission::Admitted
}

/// The settings that decide how text is read, the values with which Bustard reads it, and the
/// advice for other values.
const TEXT_SETTINGS: &[(&str, &[&str], &str)] = &[
    (
        "standard_conforming_strings",
        &["on", "true", "tru", "tr", "t", "yes", "ye", "y", "1"],
        "leave it out, and write `E'…'` where backslashes are escapes: the file is read with \
         `standard_conforming_strings = on`",
    ),
    (
        "client_encoding",
        // A connection begins with UTF-8.
        &["utf8", "utf-8", "utf_8", "unicode", "default"],
        "leave it out, and save the file as UTF-8 (`pg_dump --encoding=UTF8`): the file is read and sent as UTF-8",
    ),
    (
        "backslash_quote",
        &["safe_encoding"],
        "leave it out, and write `''` for a quote in a string: the file is read with `backslash_quote = safe_encoding`",
    ),
];

/// Returns the setting that a statement gives another value, and the advice. Values that only
/// the server knows count as other values. A function may have such a setting for its body.
fn text_setting(unit: &Unit<'_>) -> Option<(&'static str, &'static str)> {
    let value = |n: usize| unit.token(n).trim_matches(['\'', '"']).to_lowercase();
    TEXT_SETTINGS.iter().find_map(|(name, allowed, help)| {
        let at = if unit.starts("SET LOCAL|SESSION") { 2 } else { 1 };
        let is_other = if unit.is(0, "SET") && unit.is(at, "NAMES") {
            // Without a value, it sets the default.
            *name == "client_encoding" && unit.len() > at + 1 && !allowed.contains(&value(at + 1).as_str())
        } else if unit.is(0, "SET") {
            value(at) == *name && !allowed.contains(&value(at + 2).as_str())
        } else if unit.is(0, "RESET") {
            value(1) == *name && !allowed.contains(&"default")
        } else if unit.is(0, "CREATE") {
            false
        } else {
            (0..unit.len()).any(|n| {
                unit.is(n, "set_config")
                    && unit.kind(n + 1) == Some(TokenKind::Open)
                    && value(n + 2) == *name
                    && !allowed.contains(&value(n + 4).as_str())
            })
        };
        is_other.then_some((*name, *help))
    })
}

/// Rejects `COPY` to the client, because Bustard does not read its data, and `COPY` from the
/// client if something else than its rows follows.
fn copy(unit: &Unit<'_>) -> Admission {
    if unit.rows_are_misplaced() {
        let message = "something follows `COPY … FROM stdin;` on the same line";
        return Admission::Refused(Diagnostic::new(Code::ClientCopy, message).help(COPY_IN));
    }
    let mut depth = 0;
    for n in 1..unit.len() {
        match unit.kind(n) {
            Some(TokenKind::Open) => depth += 1,
            Some(TokenKind::Close) => depth -= 1,
            _ if depth != 0 => {}
            _ if unit.is(n, "STDOUT") && unit.is(n - 1, "TO") => {
                let message = "`COPY … TO STDOUT` cannot be in a migration";
                return Admission::Refused(Diagnostic::new(Code::ClientCopy, message).help(COPY_OUT));
            }
            _ => {}
        }
    }
    Admission::Admitted
}

fn last_words(unit: &Unit<'_>, words: &[&str]) -> bool {
    let from = unit.len().saturating_sub(words.len());
    words.iter().enumerate().all(|(n, word)| unit.is(from + n, word))
}

fn any(unit: &Unit<'_>, word: &str) -> bool {
    (0..unit.len()).any(|n| unit.is(n, word))
}

#[cfg(test)]
mod tests {
    use super::super::POSTGRES;
    use super::*;
    use crate::sql::tests::judged_as;

    #[test]
    fn copy_from_and_to_the_client() {
        let judged = |sql| judged_as(sql, POSTGRES);
        assert_eq!(judged("COPY a (b, c) FROM stdin WITH (FORMAT csv);\n1\n\\.\n"), Admission::Admitted);
        assert_eq!(judged("COPY a FROM stdin; -- c\n\\.\n"), Admission::Admitted);
        assert!(matches!(judged("COPY a FROM stdin; SELECT 1\n1\n\\.\n"), Admission::Refused(_)));
        assert!(matches!(judged("copy a to stdout"), Admission::Refused(_)));
        assert_eq!(judged("COPY a FROM '/stdin'"), Admission::Admitted);
        assert_eq!(judged("COPY (SELECT 1 FROM stdin) TO '/x'"), Admission::Admitted);
    }

    #[test]
    fn kind8_settings_that_change_how_text_is_read() {
        for sql in [
            "SET standard_conforming_strings = off",
            "set session Standard_Conforming_Strings to 'off'",
            "SET LOCAL \"standard_conforming_strings\" = 0",
            "SET standard_conforming_strings TO DEFAULT",
            "SET standard_conforming_strings FROM CURRENT",
            "RESET standard_conforming_strings",
            "SELECT set_config('standard_conforming_strings', 'off', false)",
            "SELECT 1, pg_catalog.set_config('client_encoding', x, true) FROM y",
            "SET client_encoding = 'LATIN1'",
            "set local client_encoding to win1252",
            "SET NAMES 'x'",
            "SET SESSION NAMES 'sjis'",
            "SET backslash_quote = off",
            "SET backslash_quote TO on",
            "RESET backslash_quote",
        ] {
            let Admission::Refused(why) = judged_as(sql, POSTGRES) else { panic!("{sql}") };
            assert_eq!(why.code(), Code::TextSetting, "{sql}");
        }
        for sql in [
            "SET client_encoding = 'UTF8'",
            "SET SESSION client_encoding TO DEFAULT",
            "SET NAMES 'utf-8'",
            "SET NAMES",
            "RESET client_encoding",
            "SET a = 'LATIN1'",
            "SET standard_conforming_strings = on",
            "SET LOCAL standard_conforming_strings TO 'TRUE'",
            "SET backslash_quote = safe_encoding",
            "SELECT pg_catalog.set_config('standard_conforming_strings', 'on', false)",
            "SELECT set_config('search_path', '', false)",
            "ALTER ROLE a SET standard_conforming_strings = off",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET standard_conforming_strings = off AS 'SELECT 1'",
        ] {
            assert_eq!(judged_as(sql, POSTGRES), Admission::Admitted, "{sql}");
        }
    }

    #[test]
    fn statements_that_run_only_outside_transactions() {
        for sql in [
            "VACUUM FULL a",
            "CREATE INDEX CONCURRENTLY a ON b (c)",
            "CREATE UNIQUE INDEX CONCURRENTLY a ON b (c)",
            "DROP INDEX CONCURRENTLY IF EXISTS a",
            "REINDEX TABLE CONCURRENTLY a",
            "REINDEX (VERBOSE, CONCURRENTLY) INDEX a",
            "ALTER SYSTEM SET a = 1",
            "CREATE DATABASE a",
            "CLUSTER",
            "ALTER TABLE a DETACH PARTITION b CONCURRENTLY",
        ] {
            assert!(matches!(judged_as(sql, POSTGRES), Admission::NotInTransaction(_)), "{sql}");
        }
        for sql in [
            "REFRESH MATERIALIZED VIEW CONCURRENTLY a",
            "CREATE INDEX a ON b (c)",
            "CLUSTER a",
            "REINDEX TABLE a",
            "ALTER TABLE a DETACH PARTITION b",
            "ALTER TYPE a ADD VALUE 'b'",
            "CREATE INDEX \"concurrently\" ON a (b)",
        ] {
            assert_eq!(judged_as(sql, POSTGRES), Admission::Admitted, "{sql}");
        }
    }
}
