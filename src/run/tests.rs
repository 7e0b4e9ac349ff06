//! Tests of the planner and the executor on a fake engine.
//!
//! In: migrations for the fake engine. Out: the statements that it has run.

use std::time::Duration;

use crate::engine::fake::FakeDatabase;
use crate::error::ErrorKind;
use crate::migrator::Migrator;
use crate::model::{App, Migration};
use crate::plan::Revert;

fn sql(up: &str, down: &str) -> Migration {
    Migration::new().sql(up).down(Migration::new().sql(down))
}

/// Returns a migrator with two apps. `bans` depends on `forum`.
fn migrator() -> Migrator {
    let forum = App::new("forum").migration("V1__users", sql("MAKE users", "UNMAKE users"));
    let forum = forum.migration("V2__posts", sql("MAKE posts", "UNMAKE posts"));
    let bans = sql("MAKE bans", "UNMAKE bans").depends_on("forum", 1);
    Migrator::new().app(App::new("bans").migration("V1__bans", bans)).app(forum)
}

const BANS: &str = "<refinery_schema_history_bans>";
const FORUM: &str = "<refinery_schema_history_forum>";

fn versions(database: &FakeDatabase, table: &str) -> Vec<i64> {
    let contents = database.contents();
    contents.histories.get(table).into_iter().flatten().map(|applied| applied.version).collect()
}

#[test]
fn migrations_are_planned_and_applied_in_order() {
    let mut database = FakeDatabase::default();
    let plan = migrator().plan(&mut database).unwrap();
    assert_eq!(plan.steps.len(), 3);
    assert_eq!(database.attempts(), 0, "planning opens no transaction");

    let report = migrator().run(&mut database).unwrap();
    assert_eq!(report.steps.len(), 3);
    let contents = database.contents();
    let position = |sql: &str| contents.ran.iter().position(|ran| ran == sql).unwrap();
    assert!(position("MAKE users") < position("MAKE bans"), "{:?}", contents.ran);
    assert!(position("MAKE users") < position("MAKE posts"));
    assert_eq!((versions(&database, FORUM), versions(&database, BANS)), (vec![1, 2], vec![1]));
    assert_eq!(contents.invalidations, database.attempts(), "each transaction invalidates");

    let report = migrator().run(&mut database).unwrap();
    assert!(!report.changed());
    assert_eq!(database.contents().ran.len(), 3);
}

#[test]
fn migrations_are_reverted_with_their_dependants() {
    let mut database = FakeDatabase::default();
    migrator().run(&mut database).unwrap();
    let report = migrator().revert(&mut database, &Revert::Steps(3)).unwrap();
    assert_eq!(report.steps.len(), 3);
    let ran = database.contents().ran;
    let position = |sql: &str| ran.iter().position(|ran| ran == sql).unwrap();
    assert!(position("UNMAKE bans") < position("UNMAKE users"), "{ran:?}");
    assert_eq!((versions(&database, FORUM), versions(&database, BANS)), (vec![], vec![]));
}

#[test]
fn nothing_of_a_failed_transaction_stays() {
    let mut database = FakeDatabase::default();
    let app = App::new("main").migration("V1__a", Migration::new().sql("MAKE a"));
    let app = app.migration("V2__b", Migration::new().sql("MAKE b; FAIL"));
    let error = Migrator::new().app(app).run(&mut database).unwrap_err();
    assert_eq!(
        (error.kind(), error.app(), error.migration()),
        (ErrorKind::Database, Some("main"), Some("V2__b"))
    );
    assert_eq!(error.applied(), Some(&["main:V1__a".to_owned()][..]));
    assert_eq!(database.contents().ran, ["MAKE a"]);
    assert_eq!(versions(&database, "<refinery_schema_history>"), [1]);
}

#[test]
fn a_run_waits_for_the_lock_and_looks_a_moved_table_up() {
    let mut database = FakeDatabase::default();
    database.disturb(2, 1);
    assert_eq!(migrator().run(&mut database).unwrap().steps.len(), 3);
    assert_eq!(database.attempts(), 6, "three transactions, and three attempts without a transaction");

    let mut database = FakeDatabase::default();
    database.disturb(usize::MAX, 0);
    let error = migrator().lock_wait(Duration::from_millis(20)).run(&mut database).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(error.message(), "the lock was held for 20ms");
    assert!(database.contents().ran.is_empty());
}

#[test]
fn a_plan_that_was_shown_is_refused_when_the_history_has_changed() {
    let mut database = FakeDatabase::default();
    migrator().run(&mut database).unwrap();
    let plan = migrator().plan_revert(&mut database, &Revert::Steps(1)).unwrap();
    let before = database.contents().histories;
    database.change(|contents| _ = contents.histories.get_mut(BANS).unwrap().pop());
    let error = migrator().execute(&mut database, &plan).unwrap_err();
    assert!(error.message().contains("has changed since the plan was made"), "{error}");
    assert_eq!(database.contents().ran.len(), 3);

    database.change(|contents| contents.histories = before);
    assert_eq!(migrator().execute(&mut database, &plan).unwrap().steps.len(), 1);
}
