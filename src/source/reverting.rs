//! The text that reverts a migration. It is kept in the record of the migration, which
//! outlives the file.
//!
//! In: operations. Out: the text of a migration file with the same effect, or the reason
//! why no text has this effect. This module also reads the text again.

use std::path::Path;

use super::code::canonical_line;
use super::parse::{Directives, parse};
use crate::diagnostic::Diagnostic;
use crate::error::Result;
use crate::model::{Function, Operation, Statement};
use crate::sql::{Dialect, Text};

/// Writes operations as text, each on lines of its own. The second value says why the text
/// alone is not sufficient.
///
/// # Errors
///
/// Returns the error of reading a text in a file again.
pub(crate) fn write(
    operations: &[Operation],
    dialect: &'static dyn Dialect,
) -> Result<(String, Option<String>)> {
    let mut text = String::new();
    for operation in operations {
        match operation {
            Operation::Sql(sql) => {
                sql.each_in_memory(dialect, &mut |Statement { sql, .. }| {
                    text.push_str(&sql);
                    text.push_str(if sql.ends_with('\n') { "" } else { ";\n" });
                    Ok(())
                })?;
            }
            Operation::Function(function) => {
                let label = function.label().replace(char::is_control, " ");
                text.push_str(&format!("-- function {label}\n"));
            }
            Operation::Schema(_)
            | Operation::RegisterCache(_)
            | Operation::ChangeCache(_)
            | Operation::UnregisterCache(_) => {
                text.push_str(&canonical_line(operation, dialect));
                text.push('\n');
            }
        }
    }
    let irreversible = match operations.iter().find_map(Operation::function).map(Function::label) {
        Some(label) => Some(format!("the function {label} is in the app's code")),
        None if does_the_same(operations, &text, dialect)? => None,
        None => Some("its SQL cannot be told apart from the directives around it".to_owned()),
    };
    Ok((text, irreversible))
}

/// Reads the operations from a text of [`write`].
///
/// # Errors
///
/// Returns the diagnostics, with their places in a file of this name.
pub(crate) fn read(
    name: &Path,
    text: &str,
    dialect: &'static dyn Dialect,
) -> std::result::Result<Vec<Operation>, Vec<Diagnostic>> {
    let parsed = parse(&Text::new(name, text), dialect, Directives::Reverting);
    match parsed.errors.is_empty() {
        true => Ok(parsed.migration.operations),
        false => Err(parsed.errors.into_iter().map(|error| error.diagnostic).collect()),
    }
}

fn does_the_same(operations: &[Operation], text: &str, dialect: &'static dyn Dialect) -> Result<bool> {
    match read(Path::new(""), text, dialect) {
        Ok(read) => Ok(steps(&read, dialect)? == steps(operations, dialect)?),
        Err(_) => Ok(false),
    }
}

/// Returns the effect of operations, regardless of the grouping of statements.
fn steps(operations: &[Operation], dialect: &'static dyn Dialect) -> Result<Vec<String>> {
    let mut steps = Vec::new();
    for operation in operations {
        match operation {
            Operation::Sql(sql) => sql.each_in_memory(dialect, &mut |statement| {
                steps.push(statement.sql);
                Ok(())
            })?,
            Operation::Schema(schema) => steps.extend(schema.sql(dialect)),
            Operation::Function(_) => {}
            Operation::RegisterCache(_) | Operation::ChangeCache(_) | Operation::UnregisterCache(_) => {
                steps.push(canonical_line(operation, dialect));
            }
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};
    use crate::model::Migration;
    use crate::source::Diagnostics;
    use crate::source::code::built;

    fn revert_of(migration: &Migration, dialect: &'static dyn Dialect) -> Vec<Operation> {
        let mut found = Diagnostics::default();
        let loaded = built("app", "V1__x", migration, dialect, &mut found).expect("a good name");
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        loaded.migration().revert_operations().expect("it can be reverted")
    }

    /// Returns the effects of operations as text, in order.
    fn effect(operations: &[Operation], dialect: &'static dyn Dialect) -> Vec<String> {
        let one = |operation: &Operation| match operation {
            Operation::RegisterCache(register) => {
                vec![format!("{:?} {:?} {}", register.name, register.tables, register.keeps_owner)]
            }
            Operation::ChangeCache(change) => {
                vec![format!("{:?} to {:?} {}", change.name, change.tables, change.reverts)]
            }
            Operation::UnregisterCache(unregister) => {
                vec![format!("{:?} {}", unregister.name, unregister.reverts)]
            }
            other => steps(std::slice::from_ref(other), dialect).unwrap(),
        };
        operations.iter().flat_map(one).collect()
    }

    const SQL: [&str; 7] = [
        "DROP TABLE a -- gone",
        "DELETE FROM b WHERE c = '; -- bustard: down'; /* ; */ DROP TABLE \"b;\" /* -- */",
        "\n\nDROP VIEW v\n-- why\n;;",
        "UPDATE a\r\nSET b = 'é🦀''',\r\n    c = 1",
        "CREATE TRIGGER t AFTER DELETE ON a BEGIN DELETE FROM b; SELECT 1; END",
        "INSERT INTO a VALUES (';', $$ ; -- bustard: down\n$$)",
        "-- function x\nSELECT 1",
    ];

    fn add(migration: Migration, (kind, name): &(usize, String)) -> Migration {
        match kind {
            0..=6 => migration.sql(SQL[*kind]),
            7 => migration.register_cache(name),
            8 => migration.register_cache_on(name, ["ban by id", "\"Odd, name\".x by (a, \"b, (c\")", "x"]),
            9 => migration.unregister_cache(name),
            10 => migration.change_cache_on(name, ["ban by \"by\"", "\"Odd, name\".x"]),
            _ => migration.schema(sea_query::Table::drop().table(name.clone())),
        }
    }

    fn operations() -> impl Strategy<Value = Vec<(usize, String)>> {
        let odd = [" ~", "é\"", "again", "back", "on", "--", "a, b"].map(str::to_owned);
        let name = prop_oneof!["[a-c.-]{1,2}", prop::sample::select(odd.to_vec())];
        prop::collection::vec((0_usize..=11, name), 0..6)
    }

    proptest! {
        #[test]
        fn a_written_revert_is_read_with_the_same_effect(up in operations(), down in operations()) {
            for dialect in [POSTGRES, SQLITE] {
                // PostgreSQL has no such triggers, and SQLite has no dollar quotes.
                let foreign = if dialect.variant() == "postgres" { 4 } else { 5 };
                let build = |operations: &[(usize, String)]| {
                    operations.iter().filter(|(kind, _)| *kind != foreign).fold(Migration::new(), add)
                };
                let revert = revert_of(&build(&up).down(build(&down)), dialect);
                let (text, irreversible) = write(&revert, dialect).unwrap();
                prop_assert_eq!(irreversible, None, "{}", text);
                let again = read(Path::new("x"), &text, dialect).expect("it is read");
                prop_assert_eq!(effect(&again, dialect), effect(&revert, dialect), "{}", text);
            }
        }
    }

    #[test]
    fn a_function_is_irreversible() {
        let function = Operation::Function(Function::new("fill\nslugs", |_| Ok(())));
        let (text, irreversible) = write(&[function], SQLITE).unwrap();
        assert_eq!(text, "-- function fill slugs\n");
        assert!(irreversible.is_some_and(|why| why.contains("the app's code")));
    }

    #[test]
    fn ambiguous_text_is_irreversible() {
        let down = Migration::new().sql("'open").register_cache("x");
        let revert = revert_of(&Migration::new().down(down), POSTGRES);
        assert!(write(&revert, POSTGRES).unwrap().1.is_some_and(|why| why.contains("told apart")));
    }
}
