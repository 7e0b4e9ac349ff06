//! The statements for the records of repeatable migrations.
//!
//! In: an installation, or rows. Out: the statements that record it, or the records.

use sea_query::{Order, Query, SimpleExpr, Value};

use super::repeatable_records::{list, parse_list};
use super::rows::{among, strange};
use super::{Current, Installation, RecordedRevert, Repeatables};
use crate::engine::Row;
use crate::error::Result;
use crate::model::Statement;
use crate::sql::{self, Dialect};

fn table(dialect: &'static dyn Dialect) -> (&'static str, String) {
    dialect.own_table("repeatable")
}

/// Parses one row of the answer to the query for apps and repeatable migrations. Returns
/// `false` if the row is about something else.
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

/// Records an installation. The statements run after the migration's own statements,
/// because they read the definitions of Bustard's own functions from the catalogue.
pub(crate) fn record(dialect: &'static dyn Dialect, installation: &Installation) -> [Statement; 2] {
    let Installation { app, name, checksum, edition, depends_on, revert, irreversible } = installation;
    let (app, name) = (app.as_str(), name.as_str());
    let mut replaced = Query::update();
    let records = dialect.records();
    replaced.table(table(dialect)).value("is_current", records.boolean(false));
    replaced.and_where(records.is_current());
    replaced.and_where(among(dialect, "app", &[app])).and_where(among(dialect, "name", &[name]));

    let definition = match edition {
        Some(_) => records.definition(name),
        None => SimpleExpr::Value(Value::String(None)),
    };
    let mut put = Query::insert();
    put.into_table(table(dialect)).columns([
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
        records.boolean(true),
        (*edition).into(),
        definition,
        list(depends_on).into(),
        revert.as_str().into(),
        irreversible.clone().into(),
    ]);
    let mut again = sea_query::OnConflict::columns(["app", "name", "checksum"]);
    again.update_columns(["is_current", "edition", "definition", "depends_on", "revert", "irreversible"]);
    again.value("installed_at", records.now());
    put.on_conflict(again);
    [dialect.write(sql::Query::Update(&replaced)), dialect.write(sql::Query::Insert(&put))]
        .map(|sql| Statement::generated(sql, None))
}

/// Deletes the records of an app that was uninstalled.
pub(super) fn forget_app(dialect: &'static dyn Dialect, app: &str) -> Statement {
    let mut delete = Query::delete();
    delete.from_table(table(dialect)).and_where(among(dialect, "app", &[app]));
    Statement::generated(dialect.write(sql::Query::Delete(&delete)), None)
}

/// Returns the query for the recorded texts that drop the objects of these apps' repeatable
/// migrations. The texts are used if the files no longer exist.
pub(crate) fn reverts_query(dialect: &'static dyn Dialect, apps: &[&str]) -> String {
    let mut query = Query::select();
    query.columns(["app", "name", "checksum", "depends_on", "revert", "irreversible"]).from(table(dialect));
    query.and_where(among(dialect, "app", apps));
    query.and_where(dialect.records().is_current());
    query.order_by("app", Order::Asc).order_by("name", Order::Asc);
    dialect.write(sql::Query::Select(&query))
}

/// Parses the answer to [`reverts_query`].
pub(crate) fn reverts(rows: Vec<Row>) -> Result<Vec<RecordedRevert>> {
    let one = |row: Row| {
        let [app, name, checksum, depends_on, revert, irreversible] = <[_; 6]>::try_from(row).ok()?;
        let (checksum, depends_on) = (checksum?, parse_list(&depends_on?)?);
        Some(RecordedRevert { app: app?, name: name?, checksum, depends_on, revert: revert?, irreversible })
    };
    rows.into_iter().map(|row| one(row).ok_or_else(strange)).collect()
}

/// Gives all objects in the registry's schema to the owner of its tables. Otherwise a
/// function that another role has created runs with that role's rights. The statement runs
/// after Bustard's own repeatable migrations.
pub(crate) fn settle_owner(dialect: &'static dyn Dialect) -> Option<Statement> {
    dialect.records().settle_owner().map(|sql| Statement::generated(sql, None))
}

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
