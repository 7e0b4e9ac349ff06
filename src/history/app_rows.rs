//! The statements for the records of apps and of their migrations.
//!
//! In: records. Out: statements that write them, queries, and records from the rows.

use sea_query::{Expr, OnConflict, Order, Query};

use super::repeatable_rows;
use super::rows::{among, strange};
use crate::engine::Row;
use crate::error::Result;
use crate::history::{AppState, Evidence, Installed, InstalledApp, Record};
use crate::model::Statement;
use crate::sql::{self, Dialect};

const RECORD: [&str; 7] =
    ["app", "version", "body_checksum", "depends_on", "required_by", "revert", "irreversible"];

fn apps(dialect: &'static dyn Dialect) -> (&'static str, String) {
    dialect.own_table("app")
}

fn migrations(dialect: &'static dyn Dialect) -> (&'static str, String) {
    dialect.own_table("migration")
}

/// Returns the query for the data that a plan needs beside the histories: the state of all
/// apps, whether the current role may change it, and the installed repeatable migrations.
pub(crate) fn query(dialect: &'static dyn Dialect) -> String {
    let records = dialect.records();
    format!("{} UNION ALL {}", records.repeatables(), records.apps())
}

/// Parses the answer to [`query`].
pub(crate) fn installed(rows: Vec<Row>) -> Result<Installed> {
    let mut installed = Installed::default();
    for row in rows {
        if repeatable_rows::read(&mut installed.repeatables, &row)? {
            continue;
        }
        let [kind, label, history, state, exists, applied_on, first, pinned] =
            <[_; 8]>::try_from(row).map_err(|_| strange())?;
        let state = match (kind.as_deref(), state.as_deref()) {
            (Some("guest"), _) => {
                installed.guest = true;
                continue;
            }
            (Some("incomplete"), _) => {
                installed.incomplete = true;
                continue;
            }
            (Some("copy"), _) => {
                (installed.copied, installed.keeps_identity) = (true, label.as_deref() != Some("1"));
                continue;
            }
            (Some("app"), Some("enabled")) => AppState::Enabled,
            (Some("app"), Some("disabled")) => AppState::Disabled,
            (Some("app"), Some("kept")) => AppState::DataKept,
            _ => return Err(strange()),
        };
        let (label, history) = label.zip(history).ok_or_else(strange)?;
        let is = |flag: Option<String>| flag.as_deref() == Some("1");
        let first = first.and_then(|version| version.parse().ok()).zip(applied_on);
        installed.evidence.insert(label.clone(), Evidence { exists: is(exists), first });
        installed.insert(InstalledApp { label, history, state, pinned: is(pinned) });
    }
    Ok(installed)
}

/// Returns the query for all records of these apps, by app and version.
pub(crate) fn records_query(dialect: &'static dyn Dialect, labels: &[&str]) -> String {
    let mut query = Query::select();
    query.columns(RECORD).from(migrations(dialect));
    query.and_where(among(dialect, "app", labels));
    query.order_by("app", Order::Asc).order_by("version", Order::Asc);
    dialect.write(sql::Query::Select(&query))
}

/// Parses the answer to [`records_query`].
pub(crate) fn records(rows: Vec<Row>) -> Result<Vec<Record>> {
    let one = |row: Row| {
        let [app, version, body_checksum, dependencies, required_by, revert, irreversible] =
            <[_; 7]>::try_from(row).ok()?;
        Some(Record {
            app: app?,
            version: version?.parse().ok()?,
            body_checksum: body_checksum?,
            dependencies: Record::parse_list(&dependencies?)?,
            required_by: Record::parse_list(&required_by?)?,
            revert: revert?,
            irreversible,
        })
    };
    rows.into_iter().map(|row| one(row).ok_or_else(strange)).collect()
}

/// Returns the query for the body checksums of these migrations.
pub(crate) fn body_checksums_query(dialect: &'static dyn Dialect, wanted: &[(&str, i64)]) -> String {
    let mut query = Query::select();
    query.columns(["app", "version", "body_checksum"]).from(migrations(dialect));
    let (apps, versions): (Vec<&str>, Vec<i64>) = wanted.iter().copied().unzip();
    query.and_where(among(dialect, "app", &apps)).and_where(among(dialect, "version", &versions));
    dialect.write(sql::Query::Select(&query))
}

/// Parses the answer to [`body_checksums_query`]. It may contain other migrations too.
pub(crate) fn body_checksums(rows: Vec<Row>) -> Result<Vec<(String, i64, String)>> {
    let one = |row: Row| {
        let [app, version, body_checksum] = <[_; 3]>::try_from(row).ok()?;
        Some((app?, version?.parse().ok()?, body_checksum?))
    };
    rows.into_iter().map(|row| one(row).ok_or_else(strange)).collect()
}

/// Inserts or replaces the record of an app.
pub(crate) fn put_app(dialect: &'static dyn Dialect, app: &InstalledApp) -> Statement {
    let mut put = Query::insert();
    put.into_table(apps(dialect)).columns(["label", "history", "state", "pinned"]);
    put.values_panic([
        app.label.as_str().into(),
        app.history.as_str().into(),
        state_name(app.state).into(),
        dialect.records().boolean(app.pinned),
    ]);
    put.on_conflict(OnConflict::column("label").update_columns(["history", "state", "pinned"]).to_owned());
    Statement::generated(dialect.write(sql::Query::Insert(&put)), None)
}

/// Makes the app the owner of an unregistered cache, which another app may have owned
/// in the meantime.
pub(crate) fn give_cache(dialect: &'static dyn Dialect, cache: &str, app: &str) -> Statement {
    let table = dialect.own_table("cache");
    let mut give = Query::update();
    give.table(table).value("app", app).and_where(among(dialect, "name", &[cache]));
    Statement::generated(dialect.write(sql::Query::Update(&give)), None)
}

/// Gives the database a new identity.
pub(crate) fn new_identity(dialect: &'static dyn Dialect) -> Statement {
    Statement::generated(dialect.records().new_identity().to_owned(), None)
}

/// Deletes the record of an app, and the records of all its migrations.
pub(crate) fn delete_app(dialect: &'static dyn Dialect, label: &str) -> [Statement; 3] {
    let mut records = Query::delete();
    records.from_table(migrations(dialect)).and_where(among(dialect, "app", &[label]));
    let mut row = Query::delete();
    row.from_table(apps(dialect)).and_where(among(dialect, "label", &[label]));
    let [records, row] =
        [dialect.write(sql::Query::Delete(&records)), dialect.write(sql::Query::Delete(&row))]
            .map(|sql| Statement::generated(sql, None));
    [records, repeatable_rows::forget_app(dialect, label), row]
}

/// Inserts or replaces the record of a migration. `history` is the table that its row is
/// in.
pub(crate) fn put_record(dialect: &'static dyn Dialect, record: &Record, history: &str) -> Statement {
    let mut put = Query::insert();
    put.into_table(migrations(dialect)).columns(RECORD.into_iter().chain(["applied_on"]));
    let equals = dialect.equals();
    let applied_on =
        format!("(SELECT h.applied_on FROM {history} AS h WHERE h.version {equals} {})", record.version);
    put.values_panic([
        record.app.as_str().into(),
        record.version.into(),
        record.body_checksum.as_str().into(),
        Record::list(&record.dependencies).into(),
        Record::list(&record.required_by).into(),
        record.revert.as_str().into(),
        record.irreversible.clone().into(),
        Expr::cust(applied_on),
    ]);
    let replaced = ["body_checksum", "depends_on", "required_by", "revert", "irreversible", "applied_on"];
    put.on_conflict(OnConflict::columns(["app", "version"]).update_columns(replaced).to_owned());
    Statement::generated(dialect.write(sql::Query::Insert(&put)), None)
}

/// Makes the records of an app's migrations agree with a history: deletes those that it
/// does not have, and takes over the dates of the others.
pub(crate) fn match_records(dialect: &'static dyn Dialect, app: &str, history: &str) -> [Statement; 2] {
    let (equals, (schema, table)) = (dialect.equals(), migrations(dialect));
    let mut delete = Query::delete();
    delete.from_table(migrations(dialect)).and_where(among(dialect, "app", &[app]));
    let row = format!("FROM {history} AS h WHERE h.version {equals} {schema}.{table}.version");
    delete.and_where(Expr::cust(format!("NOT EXISTS (SELECT 1 {row})")));
    let mut date = Query::update();
    date.table(migrations(dialect)).value("applied_on", Expr::cust(format!("(SELECT h.applied_on {row})")));
    date.and_where(among(dialect, "app", &[app]));
    [dialect.write(sql::Query::Delete(&delete)), dialect.write(sql::Query::Update(&date))]
        .map(|sql| Statement::generated(sql, None))
}

/// Deletes the record of a migration.
pub(crate) fn delete_record(dialect: &'static dyn Dialect, app: &str, version: i64) -> Statement {
    let mut delete = Query::delete();
    delete.from_table(migrations(dialect));
    delete.and_where(among(dialect, "app", &[app])).and_where(among(dialect, "version", &[version]));
    Statement::generated(dialect.write(sql::Query::Delete(&delete)), None)
}

/// Returns the word for a state in the database. An app that is not installed has no
/// record.
fn state_name(state: AppState) -> &'static str {
    match state {
        AppState::Disabled => "disabled",
        AppState::DataKept => "kept",
        AppState::NotInstalled | AppState::Enabled => "enabled",
    }
}
