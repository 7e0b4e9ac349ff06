//! The records of repeatable migrations, on both engines.
//!
//! In: what was installed. Out: the statements that write it down, and the query that
//! reads all of it, with whether this role may write and whether Bustard's own functions
//! are still as they were installed.

use sea_query::{Expr, Order, Query, SimpleExpr, Value};

use super::app_rows::{among, strange, text};
use super::repeatable_records::{list, parse_list};
use super::{Current, Installation, RecordedRevert, Repeatables};
use crate::engine::Row;
use crate::error::Result;
use crate::model::{Engine, Statement};

fn table(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Postgres => ("bustard", "repeatable"),
        Engine::Sqlite => ("main", "bustard_repeatable"),
    }
}

/// What the catalogue has under the name `name`, which is SQL: on PostgreSQL a hash of
/// a function's source and attributes, and of a view only that it is there, because how
/// PostgreSQL prints a view depends on its release and on the search path.
fn definition(engine: Engine, name: &str) -> String {
    match engine {
        Engine::Postgres => format!(
            "COALESCE((SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(\
             pg_catalog.concat_ws(' ', p.prosrc, p.prosecdef, p.provolatile, p.proparallel, p.proconfig), \
             ';' ORDER BY p.proargtypes::pg_catalog.text), 'UTF8')), 'hex') FROM pg_catalog.pg_proc AS p \
             JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace \
             WHERE n.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name \
             AND p.proname OPERATOR(pg_catalog.=) {name}::pg_catalog.name), \
             (SELECT 'view' FROM pg_catalog.pg_class AS k \
             JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace \
             WHERE n.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name \
             AND k.relname OPERATOR(pg_catalog.=) {name}::pg_catalog.name \
             AND k.relkind OPERATOR(pg_catalog.=) 'v'::pg_catalog.\"char\"))"
        ),
        Engine::Sqlite => {
            format!("(SELECT m.sql FROM main.sqlite_master AS m WHERE m.name = 'bustard_' || {name})")
        }
    }
}

/// The part of [`super::app_rows::query`] that is about repeatable migrations: all
/// records, Bustard's own compared with the catalogue. On PostgreSQL two more rows tell
/// what this role may not do.
pub(super) fn query(engine: Engine) -> String {
    let definition = definition(engine, "r.name");
    match engine {
        Engine::Postgres => format!(
            "SELECT 'repeatable', r.app, r.name, r.checksum, r.is_current::pg_catalog.int4, \
             pg_catalog.to_char(r.installed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), r.edition, \
             CASE WHEN r.is_current AND r.edition IS NOT NULL THEN \
             (COALESCE(r.definition, '') OPERATOR(pg_catalog.<>) COALESCE({definition}, ''))::pg_catalog.int4 END \
             FROM bustard.repeatable AS r \
             UNION ALL SELECT 'owner', NULL, pg_catalog.pg_get_userbyid(k.relowner)::pg_catalog.text, NULL, NULL, NULL, NULL, NULL \
             FROM pg_catalog.pg_class AS k \
             WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.cache'::pg_catalog.regclass::pg_catalog.oid \
             AND NOT pg_catalog.pg_has_role(k.relowner, 'USAGE') \
             UNION ALL SELECT 'read only', NULL, NULL, NULL, NULL, NULL, NULL, NULL \
             WHERE NOT (pg_catalog.has_table_privilege('bustard.repeatable', 'INSERT') \
             AND pg_catalog.has_table_privilege('bustard.repeatable', 'UPDATE'))"
        ),
        Engine::Sqlite => format!(
            "SELECT 'repeatable', r.app, r.name, r.checksum, r.is_current, r.installed_at, r.edition, \
             r.edition IS NOT NULL AND r.definition IS NOT {definition} FROM main.bustard_repeatable AS r"
        ),
    }
}

/// One row of the answer to it. `false` where it is about something else.
pub(super) fn read(repeatables: &mut Repeatables, row: &Row) -> Result<bool> {
    let [Some(kind), app, name, checksum, current, installed_at, edition, differs] = row.as_slice() else {
        return Err(strange());
    };
    match kind.as_str() {
        "owner" => repeatables.owner.clone_from(name),
        "read only" => repeatables.read_only = true,
        "repeatable" => {
            let (Some(app), Some(name), Some(checksum)) = (app.clone(), name.clone(), checksum.clone())
            else {
                return Err(strange());
            };
            if current.as_deref() != Some("1") {
                repeatables.replaced(app, name, checksum);
                return Ok(true);
            }
            let edition =
                edition.as_ref().map(|edition| edition.parse().map_err(|_| strange())).transpose()?;
            let edited = differs.as_deref() == Some("1");
            let installed_at = installed_at.clone().ok_or_else(strange)?;
            repeatables.installed(app, name, Current { checksum, installed_at, edition, edited });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Writes an installation down. Runs after the migration's own statements, because it
/// reads from the catalogue what they made of Bustard's own functions.
pub(crate) fn record(engine: Engine, installation: &Installation) -> [Statement; 2] {
    let Installation { app, name, checksum, edition, depends_on, revert, irreversible } = installation;
    let (app, name) = (app.as_str(), name.as_str());
    let mut replaced = Query::update();
    let (current, no, now) = match engine {
        Engine::Postgres => ("is_current", "false", "pg_catalog.now()"),
        Engine::Sqlite => ("is_current = 1", "0", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"),
    };
    replaced.table(table(engine)).value("is_current", Expr::cust(no)).and_where(Expr::cust(current));
    replaced.and_where(among(engine, "app", &[app])).and_where(among(engine, "name", &[name]));

    let definition = match edition {
        Some(_) => Expr::cust_with_values(definition(engine, place(engine)), [name]),
        None => SimpleExpr::Value(Value::String(None)),
    };
    let mut put = Query::insert();
    put.into_table(table(engine)).columns([
        "app",
        "name",
        "checksum",
        "is_current",
        "edition",
        "definition",
        "depends_on",
        "revert",
        "irreversible",
    ]);
    put.values_panic([
        app.into(),
        name.into(),
        checksum.as_str().into(),
        Expr::cust(if engine == Engine::Postgres { "true" } else { "1" }),
        (*edition).into(),
        definition,
        list(depends_on).into(),
        revert.as_str().into(),
        irreversible.clone().into(),
    ]);
    let mut again = sea_query::OnConflict::columns(["app", "name", "checksum"]);
    again.update_columns(["is_current", "edition", "definition", "depends_on", "revert", "irreversible"]);
    again.value("installed_at", Expr::cust(now));
    put.on_conflict(again);
    [text(engine, &replaced), text(engine, &put)].map(|sql| Statement::generated(sql, None))
}

/// Where a value stands in a custom expression.
fn place(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "$1",
        Engine::Sqlite => "?",
    }
}

/// Deletes the records of an app that was uninstalled.
pub(super) fn forget_app(engine: Engine, app: &str) -> Statement {
    let mut delete = Query::delete();
    delete.from_table(table(engine)).and_where(among(engine, "app", &[app]));
    Statement::generated(text(engine, &delete), None)
}

/// Asks for what drops the objects of these apps' repeatable migrations, for apps whose
/// files are gone.
pub(crate) fn reverts_query(engine: Engine, apps: &[&str]) -> String {
    let mut query = Query::select();
    query.columns(["app", "name", "checksum", "depends_on", "revert", "irreversible"]).from(table(engine));
    query.and_where(among(engine, "app", apps));
    query.and_where(Expr::cust(if engine == Engine::Postgres { "is_current" } else { "is_current = 1" }));
    query.order_by("app", Order::Asc).order_by("name", Order::Asc);
    text(engine, &query)
}

/// The answer to [`reverts_query`].
pub(crate) fn reverts(rows: Vec<Row>) -> Result<Vec<RecordedRevert>> {
    let one = |row: Row| {
        let [app, name, checksum, depends_on, revert, irreversible] = <[_; 6]>::try_from(row).ok()?;
        let (checksum, depends_on) = (checksum?, parse_list(&depends_on?)?);
        Some(RecordedRevert { app: app?, name: name?, checksum, depends_on, revert: revert?, irreversible })
    };
    rows.into_iter().map(|row| one(row).ok_or_else(strange)).collect()
}

/// Makes the owner of the registry's tables the owner of all that is in its schema: a
/// function that another role has created runs with that role's rights otherwise. Runs
/// after Bustard's own repeatable migrations.
pub(crate) fn settle_owner(engine: Engine) -> Option<Statement> {
    (engine == Engine::Postgres).then(|| Statement::generated(SETTLE_OWNER.to_owned(), None))
}

const SETTLE_OWNER: &str = "DO $$ DECLARE \
    owner pg_catalog.oid := (SELECT k.relowner FROM pg_catalog.pg_class AS k \
        WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.cache'::pg_catalog.regclass::pg_catalog.oid); \
    object pg_catalog.text; \
    BEGIN FOR object IN \
        SELECT pg_catalog.format('TABLE %s', k.oid::pg_catalog.regclass) FROM pg_catalog.pg_class AS k \
        WHERE k.relnamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid \
        AND k.relkind OPERATOR(pg_catalog.=) ANY ('{r,v}'::pg_catalog.\"char\"[]) \
        AND k.relowner OPERATOR(pg_catalog.<>) owner \
        UNION ALL SELECT pg_catalog.format('FUNCTION %s', p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc AS p \
        WHERE p.pronamespace OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.regnamespace::pg_catalog.oid \
        AND p.proowner OPERATOR(pg_catalog.<>) owner \
    LOOP EXECUTE pg_catalog.format('ALTER %s OWNER TO %I', object, pg_catalog.pg_get_userbyid(owner)); END LOOP; END $$";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: [&str; 8]) -> Row {
        columns.into_iter().map(|column| (!column.is_empty()).then(|| column.to_owned())).collect()
    }

    #[test]
    fn records_are_read_by_app_and_name() {
        let mut all = Repeatables::default();
        for (columns, about) in [
            (["repeatable", "main", "a", "1", "0", "t1", "", "0"], true),
            (["repeatable", "main", "a", "2", "1", "t2", "", "0"], true),
            (["repeatable", "bustard", "f", "3", "1", "t3", "4", "1"], true),
            (["owner", "", "anna", "", "", "", "", ""], true),
            (["app", "main", "\"x\"", "enabled", "", "", "", ""], false),
        ] {
            assert_eq!(read(&mut all, &row(columns)).expect("well formed"), about, "{columns:?}");
        }
        let a = all.find("main", "a").expect("recorded");
        let current = a.current.as_ref().expect("installed");
        assert_eq!((current.checksum.as_str(), current.installed_at.as_str()), ("2", "t2"));
        assert!(a.former.contains("1") && !current.edited);
        let f = all.find("bustard", "f").and_then(|f| f.current.as_ref()).expect("installed");
        assert!(f.edited && f.edition == Some(4));
        assert_eq!((all.edition(), all.owner.as_deref(), all.read_only), (Some(4), Some("anna"), false));
        for broken in [["repeatable", "main", "", "", "1", "", "", ""], ["", "", "", "", "", "", "", ""]] {
            assert!(read(&mut all, &row(broken)).is_err());
        }
    }
}
