//! The rows for apps and the records of their migrations, on both engines.

use sea_query::{
    Expr, ExprTrait, OnConflict, Order, PostgresQueryBuilder, Query, QueryStatementWriter, SimpleExpr,
    SqliteQueryBuilder, Value,
};

use super::repeatable_rows;
use crate::engine::Row;
use crate::error::{Error, ErrorKind, Result};
use crate::history::{AppState, Installed, InstalledApp, Record};
use crate::model::{Engine, Statement};

const RECORD: [&str; 7] =
    ["app", "version", "body_checksum", "depends_on", "required_by", "revert", "irreversible"];

pub(super) fn strange() -> Error {
    Error::new(ErrorKind::Failed, "Bustard's own tables hold a row that no Bustard has written")
        .help("only Bustard writes to its own tables: find out what else does")
}

fn apps(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Postgres => ("bustard", "app"),
        Engine::Sqlite => ("main", "bustard_app"),
    }
}

fn migrations(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Postgres => ("bustard", "migration"),
        Engine::Sqlite => ("main", "bustard_migration"),
    }
}

pub(super) fn text(engine: Engine, query: &impl QueryStatementWriter) -> String {
    match engine {
        Engine::Postgres => query.to_string(PostgresQueryBuilder),
        Engine::Sqlite => query.to_string(SqliteQueryBuilder),
    }
}

/// Whether a column has one of these values. Operators are qualified as everything
/// else is: the search path may name a schema that somebody else fills.
pub(super) fn among<V: Into<Value> + Clone>(
    engine: Engine,
    column: &'static str,
    values: &[V],
) -> SimpleExpr {
    if engine == Engine::Sqlite {
        return Expr::col(column).is_in(values.iter().cloned());
    }
    let places: Vec<String> =
        (1..=values.len()).map(|n| format!("{column} OPERATOR(pg_catalog.=) ${n}")).collect();
    let places = if places.is_empty() { "false".to_owned() } else { places.join(" OR ") };
    Expr::cust_with_values(format!("({places})"), values.iter().cloned())
}

/// Asks for the state of all apps, whether this role may change it, and which repeatable
/// migrations are installed: what a plan needs beside the histories.
pub(crate) fn query(engine: Engine) -> String {
    let repeatables = repeatable_rows::query(engine);
    let apps = match engine {
        Engine::Postgres => {
            "SELECT 'app', a.label, a.history, a.state, NULL, NULL, NULL, NULL FROM bustard.app AS a \
             UNION ALL SELECT 'guest', NULL, NULL, NULL, NULL, NULL, NULL, NULL \
             WHERE NOT pg_catalog.has_table_privilege('bustard.migration', 'INSERT')"
        }
        Engine::Sqlite => "SELECT 'app', label, history, state, NULL, NULL, NULL, NULL FROM main.bustard_app",
    };
    format!("{repeatables} UNION ALL {apps}")
}

/// The answer to it. `place` says where an app's history is, and nothing of others
/// than the migrator's own.
pub(crate) fn installed<'p>(rows: Vec<Row>, place: impl Fn(&str) -> &'p str) -> Result<Installed> {
    let mut installed = Installed::default();
    for row in rows {
        if repeatable_rows::read(&mut installed.repeatables, &row)? {
            continue;
        }
        let [kind, label, history, state, ..] = <[_; 8]>::try_from(row).map_err(|_| strange())?;
        let state = match (kind.as_deref(), state.as_deref()) {
            (Some("guest"), _) => {
                installed.guest = true;
                continue;
            }
            (Some("app"), Some("enabled")) => AppState::Enabled,
            (Some("app"), Some("disabled")) => AppState::Disabled,
            (Some("app"), Some("kept")) => AppState::DataKept,
            _ => return Err(strange()),
        };
        let (label, history) = label.zip(history).ok_or_else(strange)?;
        let here = place(&label);
        if here.is_empty() || here == history {
            installed.insert(InstalledApp { label, history, state });
        } else {
            installed.foreign.insert(label);
        }
    }
    Ok(installed)
}

/// Asks for all records of these apps, by app and version.
pub(crate) fn records_query(engine: Engine, labels: &[&str]) -> String {
    let mut query = Query::select();
    query.columns(RECORD).from(migrations(engine));
    query.and_where(among(engine, "app", labels));
    query.order_by("app", Order::Asc).order_by("version", Order::Asc);
    text(engine, &query)
}

/// The answer to it.
pub(crate) fn records(rows: Vec<Row>) -> Result<Vec<Record>> {
    let one = |row: Row| {
        let [app, version, body, needs, required_by, undo, obstacle] = <[_; 7]>::try_from(row).ok()?;
        let (needs, required_by) = (Record::parse_list(&needs?)?, Record::parse_list(&required_by?)?);
        let version = version?.parse().ok()?;
        Some(Record { app: app?, version, body: body?, needs, required_by, undo: undo?, obstacle })
    };
    rows.into_iter().map(|row| one(row).ok_or_else(strange)).collect()
}

/// Asks for the checksums without dependencies of these migrations.
pub(crate) fn bodies_query(engine: Engine, wanted: &[(&str, i64)]) -> String {
    let mut query = Query::select();
    query.columns(["app", "version", "body_checksum"]).from(migrations(engine));
    let (apps, versions): (Vec<&str>, Vec<i64>) = wanted.iter().copied().unzip();
    query.and_where(among(engine, "app", &apps)).and_where(among(engine, "version", &versions));
    text(engine, &query)
}

/// The answer to it, which may be about others as well.
pub(crate) fn bodies(rows: Vec<Row>) -> Result<Vec<(String, i64, String)>> {
    let one = |row: Row| {
        let [app, version, body] = <[_; 3]>::try_from(row).ok()?;
        Some((app?, version?.parse().ok()?, body?))
    };
    rows.into_iter().map(|row| one(row).ok_or_else(strange)).collect()
}

/// Writes the app's row, or replaces it.
pub(crate) fn put_app(engine: Engine, app: &InstalledApp) -> Statement {
    let mut put = Query::insert();
    put.into_table(apps(engine)).columns(["label", "history", "state"]);
    put.values_panic([app.label.as_str().into(), app.history.as_str().into(), state_name(app.state).into()]);
    put.on_conflict(OnConflict::column("label").update_columns(["history", "state"]).to_owned());
    Statement::generated(text(engine, &put), None)
}

/// Makes a cache that is not registered the app's: it may have been another's since.
pub(crate) fn give_cache(engine: Engine, cache: &str, app: &str) -> Statement {
    let table = match engine {
        Engine::Postgres => ("bustard", "cache"),
        Engine::Sqlite => ("main", "bustard_cache"),
    };
    let mut give = Query::update();
    give.table(table).value("app", app).and_where(among(engine, "name", &[cache]));
    Statement::generated(text(engine, &give), None)
}

/// Deletes the app's row and all its records.
pub(crate) fn delete_app(engine: Engine, label: &str) -> [Statement; 3] {
    let mut records = Query::delete();
    records.from_table(migrations(engine)).and_where(among(engine, "app", &[label]));
    let mut row = Query::delete();
    row.from_table(apps(engine)).and_where(among(engine, "label", &[label]));
    let [records, row] =
        [text(engine, &records), text(engine, &row)].map(|sql| Statement::generated(sql, None));
    [records, repeatable_rows::forget_app(engine, label), row]
}

/// Writes a record, or replaces it.
pub(crate) fn put_record(engine: Engine, record: &Record) -> Statement {
    let mut put = Query::insert();
    put.into_table(migrations(engine)).columns(RECORD);
    put.values_panic([
        record.app.as_str().into(),
        record.version.into(),
        record.body.as_str().into(),
        Record::list(&record.needs).into(),
        Record::list(&record.required_by).into(),
        record.undo.as_str().into(),
        record.obstacle.clone().into(),
    ]);
    let replaced = ["body_checksum", "depends_on", "required_by", "revert", "irreversible"];
    put.on_conflict(OnConflict::columns(["app", "version"]).update_columns(replaced).to_owned());
    Statement::generated(text(engine, &put), None)
}

/// Deletes a record.
pub(crate) fn delete_record(engine: Engine, app: &str, version: i64) -> Statement {
    let mut delete = Query::delete();
    delete.from_table(migrations(engine));
    delete.and_where(among(engine, "app", &[app])).and_where(among(engine, "version", &[version]));
    Statement::generated(text(engine, &delete), None)
}

/// A state as its row says it. Nobody has a row for an app that is not installed.
fn state_name(state: AppState) -> &'static str {
    match state {
        AppState::Disabled => "disabled",
        AppState::DataKept => "kept",
        AppState::NotInstalled | AppState::Enabled => "enabled",
    }
}
