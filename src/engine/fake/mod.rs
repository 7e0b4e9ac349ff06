//! A third engine, in memory, for tests. Only the tests use it. It shows that the planner
//! and the executor need only the ports.
//!
//! The engine has its own SQL, histories and a lock, and counts invalidations. It keeps a
//! list of the migrations' statements. The statement `FAIL` fails.

mod dialect;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::inspector::{Ask, Definition, Inspector, Reference, Table};
use super::patience::Patience;
use super::registry::Registry;
use super::{Attempt, Connection, Opened, Opening, Row, Session, Transaction, Work, sealed};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Applied, ChangeCache, Function, History, HistoryTable, RegisterCache, Statement, UnregisterCache, Width,
};
use crate::sql::{Dialect, Manner, TableName};
use dialect::{FakeDialect, OWN};

/// The contents of the database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub histories: BTreeMap<String, Vec<Applied>>,
    /// The statements of migrations.
    pub ran: Vec<String>,
    pub caches: BTreeMap<String, Option<String>>,
    pub invalidations: usize,
    /// Statements on Bustard's own tables. They are not interpreted.
    pub records: usize,
}

/// The contents, and the events that are scheduled for the next attempts.
#[derive(Debug, Default)]
struct World {
    contents: Contents,
    /// The number of the next attempts that find the lock held.
    held: usize,
    /// The number of the next attempts that find a history table moved.
    moved: usize,
    attempts: usize,
}

/// A connection. Its clones share one database.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeDatabase(Arc<Mutex<World>>);

impl FakeDatabase {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contents(&self) -> Contents {
        self.world().contents.clone()
    }

    /// Changes the database, as another session would.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Contents)) {
        change(&mut self.world().contents);
    }

    /// Makes the next attempts find the lock held, and makes the attempts after them find a
    /// history table moved.
    pub(crate) fn disturb(&self, held: usize, moved: usize) {
        let mut world = self.world();
        (world.held, world.moved) = (held, moved);
    }

    pub(crate) fn attempts(&self) -> usize {
        self.world().attempts
    }
}

impl Connection for FakeDatabase {}

impl sealed::Connection for FakeDatabase {
    fn dialect(&self) -> &'static dyn Dialect {
        &FakeDialect
    }

    fn session(&mut self, _functions: bool, patience: Duration) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(FakeSession {
            database: self.clone(),
            places: Vec::new(),
            patience: Patience::new(patience),
        }))
    }
}

struct FakeSession {
    database: FakeDatabase,
    patience: Patience,
    places: Vec<(String, String)>,
}

fn places(tables: &[HistoryTable]) -> Vec<(String, String)> {
    tables.iter().map(|table| (table.app.clone(), format!("<{}>", table.name))).collect()
}

fn place<'p>(places: &'p [(String, String)], app: &str) -> &'p str {
    places.iter().find(|(label, _)| label == app).map_or("", |(_, place)| place)
}

fn histories(contents: &Contents, places: &[(String, String)]) -> Vec<History> {
    let one = |(_, place): &(String, String)| match contents.histories.get(place) {
        Some(applied) => {
            History { width: Some(Width::NEW), applied: applied.clone(), ..History::none(place) }
        }
        None => History::none(place),
    };
    places.iter().map(one).collect()
}

impl Session for FakeSession {
    fn dialect(&self) -> &'static dyn Dialect {
        &FakeDialect
    }

    fn registry(&self) -> &'static dyn Registry {
        &FakeRegistry
    }

    fn inspector(&self) -> &'static dyn Inspector {
        &FakeInspector
    }

    fn read_with(&mut self, tables: &[HistoryTable], _: &[&str]) -> Result<(Vec<History>, Vec<Vec<Row>>)> {
        self.places = places(tables);
        // There is no registry, so no query has a result.
        Ok((histories(&self.database.contents(), &self.places), Vec::new()))
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        answer(&self.database.contents(), sql)
    }

    fn history_table(&self, app: &str) -> &str {
        place(&self.places, app)
    }

    fn attempt(&mut self, opening: &Opening<'_>, work: Work<'_>) -> Result<Attempt> {
        let mut world = self.database.world();
        world.attempts += 1;
        if world.held > 0 {
            world.held -= 1;
            return Ok(Attempt::Held);
        }
        if world.moved > 0 {
            world.moved -= 1;
            return Ok(Attempt::Moved);
        }
        let mut transaction =
            FakeTransaction { contents: world.contents.clone(), places: places(opening.tables), of: None };
        let opened = Opened { histories: histories(&world.contents, &transaction.places), rows: None };
        if work(&mut transaction, opened)? {
            world.contents = transaction.contents;
        }
        Ok(Attempt::Done)
    }

    fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    fn lock_not_obtained(&mut self) -> Error {
        Error::new(ErrorKind::Locked, format!("the lock was held for {:?}", self.patience.limit()))
    }
}

struct FakeTransaction {
    contents: Contents,
    places: Vec<(String, String)>,
    of: Option<(String, String)>,
}

impl FakeTransaction {
    fn error(&self, message: String) -> Error {
        let error = Error::new(ErrorKind::Database, message);
        match &self.of {
            Some((app, migration)) => error.in_migration(app, migration),
            None => error,
        }
    }

    /// Runs statements on a history table and on the registry.
    fn generated(&mut self, sql: &str) -> Option<()> {
        if sql.starts_with(OWN) {
            self.contents.records += 1;
            return Some(());
        }
        let (verb, rest) = sql.split_at(sql.find('<').unwrap_or(sql.len()));
        let table = rest.split_inclusive('>').next().unwrap_or_default().to_owned();
        let rest = &rest[table.len()..];
        let verb = verb.split_whitespace().collect::<Vec<_>>().join(" ");
        let quoted: Vec<&str> = rest.split('\'').skip(1).step_by(2).collect();
        let version = |after: &str| {
            let digits = rest.rsplit_once(after)?.1.trim_start();
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse::<i64>().ok()
        };
        let history = &mut self.contents.histories;
        match verb.as_str() {
            "INVALIDATE ALL" => self.contents.invalidations += 1,
            "CREATE TABLE IF NOT EXISTS" => _ = history.entry(table).or_default(),
            "DROP TABLE IF EXISTS" => _ = history.remove(&table),
            "INSERT INTO" => {
                let [name, applied_on, checksum] = quoted[..] else { return None };
                let version = version("VALUES (")?;
                let (name, applied_on, checksum) = (name.into(), applied_on.into(), checksum.into());
                history.get_mut(&table)?.push(Applied { version, name, applied_on, checksum });
            }
            "DELETE FROM" => {
                let version = version("IS")?;
                history.get_mut(&table)?.retain(|applied| applied.version != version);
            }
            "UPDATE" => {
                let [name, checksum] = quoted[..] else { return None };
                let version = version("=")?;
                let row = history.get_mut(&table)?.iter_mut().find(|applied| applied.version == version)?;
                (row.name, row.checksum) = (name.to_owned(), checksum.to_owned());
            }
            _ => return None,
        }
        Some(())
    }
}

/// Lists caches. There are no triggers, so none is missing.
fn answer(contents: &Contents, sql: &str) -> Result<Vec<Row>> {
    match sql {
        "MISSING" | "REPEATABLES UNION ALL APPS" => Ok(Vec::new()),
        "CACHES" => {
            Ok(contents.caches.iter().map(|(name, app)| vec![Some(name.clone()), app.clone()]).collect())
        }
        _ => Err(Error::new(ErrorKind::Database, format!("the fake engine does not know {sql}"))),
    }
}

impl Transaction for FakeTransaction {
    fn dialect(&self) -> &'static dyn Dialect {
        &FakeDialect
    }

    fn registry(&self) -> &'static dyn Registry {
        &FakeRegistry
    }

    fn inspector(&self) -> &'static dyn Inspector {
        &FakeInspector
    }

    fn enter(&mut self, app: &str, migration: &str) {
        self.of = Some((app.to_owned(), migration.to_owned()));
    }

    fn execute(&mut self, statement: Statement) -> Result<()> {
        let sql = statement.sql.as_str();
        match (&statement.place, sql) {
            (Some(_), "FAIL") => Err(self.error("FAIL fails".to_owned())),
            (Some(_), sql) => {
                self.contents.ran.push(sql.to_owned());
                Ok(())
            }
            (None, sql) => match self.generated(sql) {
                Some(()) => Ok(()),
                None => Err(self.error(format!("the fake engine does not know {sql}"))),
            },
        }
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        answer(&self.contents, sql)
    }

    fn history_table(&self, app: &str) -> &str {
        place(&self.places, app)
    }

    fn makes_history(&mut self, _app: &str) {}

    fn end_migration(&mut self, _last: bool) -> Result<()> {
        Ok(())
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        self.contents.ran.push(format!("function {}", function.label()));
        Ok(())
    }
}

#[derive(Debug)]
struct FakeRegistry;

impl Registry for FakeRegistry {
    fn register(&self, _: &mut dyn sealed::Executor, name: &str, _: Option<&str>) -> Result<()> {
        Err(Error::usage(format!("{name}: the fake engine registers in migrations only")))
    }

    fn unregister(&self, executor: &mut dyn sealed::Executor, name: &str) -> Result<()> {
        self.register(executor, name, None)
    }

    fn invalidate(&self, executor: &mut dyn sealed::Executor, names: &[&str]) -> Result<()> {
        self.register(executor, names[0], None)
    }

    fn invalidate_key(&self, executor: &mut dyn sealed::Executor, name: &str, _: &[&str]) -> Result<()> {
        self.register(executor, name, None)
    }

    fn register_in(
        &self,
        transaction: &mut dyn Transaction,
        register: &RegisterCache,
        app: &str,
        _: Manner,
    ) -> Result<()> {
        let sql = format!("REGISTER {} OF {app}", register.name);
        transaction.execute(Statement::generated(sql, register.place.clone()))
    }

    fn change_in(
        &self,
        transaction: &mut dyn Transaction,
        change: &ChangeCache,
        app: &str,
        _: Manner,
    ) -> Result<()> {
        let sql = format!("CHANGE {} OF {app}", change.name);
        transaction.execute(Statement::generated(sql, change.place.clone()))
    }

    fn unregister_in(
        &self,
        transaction: &mut dyn Transaction,
        unregister: &UnregisterCache,
        _: Manner,
    ) -> Result<()> {
        let sql = format!("UNREGISTER {}", unregister.name);
        transaction.execute(Statement::generated(sql, unregister.place.clone()))
    }

    fn release_in(&self, _: &mut dyn Transaction, _: &str, _: &str) -> Result<()> {
        Ok(())
    }

    fn install_triggers(&self, _: &mut dyn Transaction) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct FakeInspector;

impl Inspector for FakeInspector {
    fn tables(&self, _: Ask<'_>, _: &[TableName], _: &[String]) -> Result<Vec<Table>> {
        Ok(Vec::new())
    }

    fn count(&self, _: Ask<'_>, tables: &[Table]) -> Result<Vec<u64>> {
        Ok(vec![0; tables.len()])
    }

    fn references(&self, _: Ask<'_>, _: &[Table]) -> Result<Vec<Reference>> {
        Ok(Vec::new())
    }

    fn dangling(&self, _: Ask<'_>, _: &[Table]) -> Result<Vec<Reference>> {
        Ok(Vec::new())
    }

    fn views_and_triggers(&self, _: Ask<'_>, _: &[Table]) -> Result<Vec<Definition>> {
        Ok(Vec::new())
    }
}
