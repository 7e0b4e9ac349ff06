//! Refinery's own history code, run inside Bustard's transaction: a newtype over the open
//! transaction implements refinery's traits.
//!
//! In: the open transaction and a migration. Out: the changed history table.
//!
//! Refinery provides the query that reads the history, the statement that creates its
//! table, the verification, the checksum, and the statement that inserts a row. Its
//! statements are executed in Bustard's transaction. Its reads are answered with rows
//! that were read under the lock with its own query.

use refinery_core::traits::sync::{Migrate, Query, Transaction as RefineryTransaction, migrate};
use refinery_core::{Migration, SchemaVersion, Target};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::checksum::checksum;
use super::store::{Opened, Store};
use crate::diagnostic::Code;
use crate::engine::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Applied, History, LoadedMigration, MigrationId, Prefix, Statement, Width};

struct Inside<'t> {
    transaction: &'t mut dyn Transaction,
    applied: Vec<Migration>,
    /// The error of a statement. It is kept here because refinery's error type hides it.
    stopped: Option<Error>,
}

/// The error that refinery gets for a failed statement.
#[derive(Debug, thiserror::Error)]
#[error("the statement failed")]
struct Stopped;

impl<'t> Inside<'t> {
    fn new(transaction: &'t mut dyn Transaction, applied: Vec<Migration>) -> Self {
        Inside { transaction, applied, stopped: None }
    }

    /// Returns the database's error if the database caused the failure, and refinery's
    /// error otherwise.
    fn error(self, error: refinery_core::Error, message: String) -> Error {
        self.stopped.unwrap_or_else(|| Error::new(ErrorKind::Failed, message).caused_by(error))
    }
}

impl RefineryTransaction for Inside<'_> {
    type Error = Stopped;

    fn execute<'a, T: Iterator<Item = &'a str>>(&mut self, queries: T) -> Result<usize, Stopped> {
        let mut count = 0;
        for query in queries {
            let query = query.trim_end().trim_end_matches(';');
            if let Err(error) = self.transaction.execute(Statement::generated(query, None)) {
                self.stopped = Some(error);
                return Err(Stopped);
            }
            count += 1;
        }
        Ok(count)
    }
}

impl Query<Vec<Migration>> for Inside<'_> {
    /// Answers refinery's only query, [`applied_query`](crate::sql::applied_query), with the
    /// rows that it returned when the transaction began.
    fn query(&mut self, _: &str) -> Result<Vec<Migration>, Stopped> {
        Ok(self.applied.clone())
    }
}

impl Migrate for Inside<'_> {}

/// Refinery's table. Refinery's own code verifies and writes it if the version width
/// allows.
#[derive(Debug)]
pub(crate) struct RefineryTable;

impl Store for RefineryTable {
    /// The plan has already verified the history. This method repeats the verification with
    /// refinery's own code.
    fn open(&self, transaction: &mut dyn Transaction, table: &str, opened: &Opened<'_>) -> Result<()> {
        let Opened { files, history, same, allow_divergent, allow_missing } = *opened;
        let (files, applied) = both_sides(files, history, same)?;
        let mut inside = Inside::new(transaction, applied);
        match inside.get_unapplied_migrations(&files, !allow_divergent, !allow_missing, table) {
            Ok(_) => Ok(()),
            Err(error) => {
                let message = format!("refinery does not accept the history in {table}: {error}");
                Err(inside.error(error, message))
            }
        }
    }

    fn insert(
        &self,
        transaction: &mut dyn Transaction,
        table: &str,
        migration: &LoadedMigration,
        width: Width,
    ) -> Result<()> {
        if let Some(text) = migration.text.held().filter(|_| width == Width::NEW) {
            let row = unapplied(migration, text)?;
            let mut inside = Inside::new(transaction, Vec::new());
            return match migrate(&mut inside, vec![row], Target::Fake, table, true) {
                Ok(_) => Ok(()),
                Err(error) => Err(inside.error(error, "refinery could not write the history row".to_owned())),
            };
        }
        // Refinery is built for one width, and computes the checksum for that width of a text
        // in memory. So Bustard itself writes a row of the other width or of a large text.
        let applied_on = OffsetDateTime::now_utc().format(&Rfc3339).map_err(|error| {
            Error::new(ErrorKind::Failed, "this machine's clock shows no date that can be written")
                .caused_by(error)
        })?;
        let sum = checksum(migration, width)?;
        transaction.execute(Statement::generated(
            format!(
                "INSERT INTO {table} (version, name, applied_on, checksum) VALUES ({}, '{}', '{applied_on}', '{sum}')",
                migration.id.version, migration.id.name
            ),
            None,
        ))
    }

    fn delete(&self, transaction: &mut dyn Transaction, table: &str, version: i64) -> Result<()> {
        let equals = transaction.dialect().equals();
        let sql = format!("DELETE FROM {table} WHERE version {equals} {version}");
        transaction.execute(Statement::generated(sql, None))
    }

    fn replace(
        &self,
        transaction: &mut dyn Transaction,
        table: &str,
        id: &MigrationId,
        checksum: &str,
    ) -> Result<()> {
        let equals = transaction.dialect().equals();
        let sql = format!(
            "UPDATE {table} SET name = '{}', checksum = '{checksum}' WHERE version {equals} {}",
            id.name, id.version
        );
        transaction.execute(Statement::generated(sql, None))
    }

    fn drop(&self, transaction: &mut dyn Transaction, table: &str) -> Result<()> {
        transaction.execute(Statement::generated(format!("DROP TABLE IF EXISTS {table}"), None))
    }
}

fn unapplied(migration: &LoadedMigration, text: &str) -> Result<Migration> {
    Migration::unapplied(&migration.id.to_string(), text).map_err(|error| {
        Error::new(ErrorKind::Source, format!("refinery does not accept the name {}", migration.id))
            .with_code(Code::InvalidMigrationName)
            .at(migration.file.clone())
            .caused_by(error)
    })
}

/// Returns the files and the history as refinery compares them.
///
/// The files are given without their texts, which would be copied: applied ones with their
/// checksums, and others, whose checksums are not compared, with an empty text.
///
/// The history is given as refinery would have read it, with two differences. The checksum
/// of the other width, of other line ends or of other dependencies is replaced by that of
/// the file, because refinery does not know these forms. The highest `V` comes last,
/// because refinery takes the last row for the newest, and would report every `V` below an
/// applied `U` as missing.
fn both_sides(
    files: &[LoadedMigration],
    history: &History,
    same: &dyn Fn(usize) -> bool,
) -> Result<(Vec<Migration>, Vec<Migration>)> {
    let mut theirs = files.iter().map(|file| unapplied(file, "")).collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<(bool, Migration)> = Vec::with_capacity(history.applied.len());
    for row in &history.applied {
        let file = files.binary_search_by_key(&row.version, |file| file.id.version).ok();
        let (version, date) = (schema_version(row)?, applied_on(row)?);
        let mut sum = row.checksum.parse().unwrap_or_default();
        if let Some(i) = file {
            let of_file = checksum(&files[i], Width::NEW)?;
            theirs[i] = Migration::applied(version, files[i].id.name.clone(), date, of_file);
            if same(i) {
                sum = of_file;
            }
        }
        let versioned = file.is_none_or(|i| files[i].id.prefix == Prefix::V);
        rows.push((versioned, Migration::applied(version, row.name.clone(), date, sum)));
    }
    rows.sort_by_key(|(versioned, migration)| (*versioned, migration.version()));
    Ok((theirs, rows.into_iter().map(|(_, migration)| migration).collect()))
}

fn applied_on(row: &Applied) -> Result<OffsetDateTime> {
    OffsetDateTime::parse(&row.applied_on, &Rfc3339).map_err(|error| {
        let message = format!(
            "the history says that migration {} was applied on {:?}, which is not a date",
            row.version, row.applied_on
        );
        Error::new(ErrorKind::Failed, message).caused_by(error)
    })
}

#[allow(
    clippy::unnecessary_fallible_conversions,
    clippy::useless_conversion,
    reason = "the width of SchemaVersion depends on the feature"
)]
fn schema_version(row: &Applied) -> Result<SchemaVersion> {
    SchemaVersion::try_from(row.version).map_err(|_| {
        Error::new(ErrorKind::Failed, format!("the history has the 64-bit version {}", row.version))
            .help("build bustard with its feature `int8-versions`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_refinerys() {
        let theirs = <Inside<'_> as Migrate>::get_applied_migrations_query("main.\"x\"");
        let words = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(theirs.trim_end_matches(';')), words(&crate::sql::applied_query("main.\"x\"")));
    }
}
