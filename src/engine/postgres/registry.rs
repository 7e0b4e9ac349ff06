//! The registry on PostgreSQL: calls of the SQL API in the schema `bustard`.

use sea_query::{Expr, ExprTrait, Order, PostgresQueryBuilder, Query};

use super::literal::literal;
use super::roles;
use crate::diagnostic::{Code, Diagnostic};
#[cfg(feature = "tokio")]
use crate::engine::registry::Calls;
use crate::engine::registry::Registry;
#[cfg(feature = "postgres")]
use crate::engine::{Row, registry::single};
use crate::engine::{Session, Transaction, sealed};
use crate::error::{Error, Result};
use crate::model::{ChangeCache, RegisterCache, Statement, UnregisterCache};
use crate::sql::{Manner, RegistrySql, TrackedTable};

/// The registry on PostgreSQL.
#[derive(Debug)]
pub(crate) struct PostgresRegistry;

const LIST: &str = "SELECT c.name, c.app, c.version, \
    pg_catalog.to_char(c.registered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), t.name \
    FROM bustard.caches AS c LEFT JOIN LATERAL pg_catalog.unnest(c.tables) WITH ORDINALITY AS t (name, i) ON true \
    ORDER BY c.name, t.i";

/// Folds in one message, which is one transaction: it is over if it fails. The first
/// statement sets the level, because the database may have another default.
pub(super) const FOLD: &str =
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE;SELECT bustard.fold()";

/// Does what `bustard.notify()` does, in half the time.
pub(super) const NOTIFY: &str = "NOTIFY bustard";

/// Listens for changes, and returns the process that serves the connection.
pub(super) const LISTEN: &str = "LISTEN bustard;SELECT pg_catalog.pg_backend_pid()";

pub(super) const UNLISTEN: &str = "UNLISTEN bustard";

pub(super) const ROLE: &str = "SELECT pg_catalog.quote_ident(CURRENT_USER::pg_catalog.text)";

/// Reads the lag of a hot standby in five columns: whether the server is a hot standby; the
/// process that receives its WAL; whether everything received is replayed; the age of the
/// last message from the primary; and the age of the last replayed commit. Both ages are in
/// microseconds. Most of the receiver's columns are NULL to roles without
/// `pg_read_all_stats`.
pub(super) const STANDBY: &str = "SELECT pg_catalog.pg_is_in_recovery(), w.pid, \
    COALESCE(w.latest_end_lsn OPERATOR(pg_catalog.<=) pg_catalog.pg_last_wal_replay_lsn(), \
        pg_catalog.pg_last_wal_receive_lsn() OPERATOR(pg_catalog.=) pg_catalog.pg_last_wal_replay_lsn()), \
    (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) LEAST(w.last_msg_send_time, w.last_msg_receipt_time)) \
        OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)::pg_catalog.int8, \
    (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.pg_last_xact_replay_timestamp()) \
        OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)::pg_catalog.int8 \
    FROM (SELECT) AS once LEFT JOIN pg_catalog.pg_stat_wal_receiver AS w ON true";

/// Builds the query of one poll. Its first row is the total, with the serving process,
/// whether the server is a hot standby, and which database it is. The rows of the caches follow, unless the total
/// equals the known total. Numbers are sent as text, because a minus would be an operator,
/// which the caller's search path could replace.
///
/// If keys are wanted, rows of `bustard.snapshot_keys()` follow, with their buckets in six more
/// columns. `keys` has the names of their caches, the known sources of each, and the mark.
pub(super) fn look(
    known: Option<(&str, &str)>,
    wanted: Option<&[&str]>,
    keys: Option<([String; 2], Option<&str>)>,
) -> String {
    let (n, nonce) = known.unzip();
    let mut arguments = vec![n.map(str::to_owned), nonce.map(str::to_owned), wanted.map(array)];
    let columns = "s.name, s.app, s.n, s.nonce, s.unfolded, server.process, server.standby, \
                   server.identity, server.system_identifier, server.oid";
    let server = "SELECT pg_catalog.pg_backend_pid() AS process, pg_catalog.pg_is_in_recovery() AS standby, \
                  d.identity, d.system_identifier, d.oid FROM bustard.this_database() AS d";
    let from = format!("bustard.snapshot($1, $2, $3) AS s LEFT JOIN ({server}) AS server ON s.name IS NULL");
    let mut select = format!("{columns} FROM {from}");
    if let Some(([names, sources], mark)) = keys {
        arguments.extend([Some(names), Some(sources), mark.map(str::to_owned)]);
        select = format!(
            "* FROM (WITH s AS MATERIALIZED (SELECT {select}) SELECT s.*, NULL::pg_catalog.text, NULL::pg_catalog.text, \
             NULL::boolean, NULL::bigint[], NULL::bigint[], NULL::bigint[] FROM s UNION ALL SELECT k.name, k.rule, k.sum_n, \
             k.sum_nonce, NULL::bigint, NULL::integer, NULL::boolean, NULL::pg_catalog.uuid, NULL::bigint, \
             NULL::pg_catalog.oid, k.sources, k.mark, k.is_delta, k.buckets, k.ns, k.nonces FROM s CROSS JOIN LATERAL \
             bustard.snapshot_keys(s.n, s.nonce, $1, $2, $4, $5, $6) AS k WHERE s.name IS NULL) AS l"
        );
    }
    Query::select().expr(Expr::cust_with_values(select, arguments)).to_string(PostgresQueryBuilder)
}

/// Writes an array as a text literal.
fn array(names: &[&str]) -> String {
    let elements: Vec<_> = names.iter().map(|name| Some(*name)).collect();
    array_of(&elements)
}

/// Writes an array, which may have nulls, as a text literal.
pub(super) fn array_of(elements: &[Option<&str>]) -> String {
    let quoted = |element: &Option<&str>| match element {
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        None => "NULL".to_owned(),
    };
    format!("{{{}}}", elements.iter().map(quoted).collect::<Vec<_>>().join(","))
}

fn call(function: &str, arguments: impl IntoIterator<Item = Option<String>>) -> String {
    let arguments: Vec<sea_query::Value> = arguments.into_iter().map(Into::into).collect();
    let places = (1..=arguments.len()).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
    Query::select()
        .expr(Expr::cust_with_values(format!("bustard.{function}({places})"), arguments))
        .to_string(PostgresQueryBuilder)
}

fn register(name: &str, app: Option<&str>) -> String {
    call("register_cache", [Some(name.to_owned()), app.map(str::to_owned)])
}

/// Registers the cache again with its last owner, which is still in its row, and with the
/// tables that it had.
fn register_again(name: &str) -> String {
    call("register_cache_again", [Some(name.to_owned())])
}

/// Registers the cache on tables. With `lenient`, skips tables that do not exist.
fn register_on(name: &str, app: Option<&str>, tables: &[TrackedTable], lenient: bool) -> String {
    on_tables("register_cache_on", name, app, tables, lenient)
}

/// Registers the cache. If this app has registered it already, replaces its tables.
fn ensure(name: &str, app: &str, tables: &[TrackedTable], lenient: bool) -> String {
    on_tables("ensure_cache", name, Some(app), tables, lenient)
}

/// Changes the tables of a cache of this app.
fn change_to(name: &str, app: &str, tables: &[TrackedTable], lenient: bool) -> String {
    on_tables("change_cache", name, Some(app), tables, lenient)
}

fn on_tables(
    function: &str,
    name: &str,
    app: Option<&str>,
    tables: &[TrackedTable],
    lenient: bool,
) -> String {
    let shown: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let array = text_array(shown.iter().map(String::as_str));
    let array = match lenient {
        false => array,
        true => format!(
            "ARRAY(SELECT t.tracked FROM ROWS FROM (pg_catalog.unnest({array}), pg_catalog.unnest({})) AS t (tracked, name) \
             WHERE pg_catalog.to_regclass(t.name) IS NOT NULL)",
            text_array(tables.iter().map(|tracked| tracked.table.as_str()))
        ),
    };
    let app = app.map_or_else(|| "NULL".to_owned(), literal);
    format!("SELECT bustard.{function}({}, {app}, VARIADIC {array})", literal(name))
}

/// Writes names as one array, because PostgreSQL refuses more than 100 arguments of a call.
fn text_array<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(literal).collect();
    format!("ARRAY[{}]::pg_catalog.text[]", names.join(", "))
}

fn install_triggers() -> String {
    call("install_triggers", [])
}

fn unregister(name: &str) -> String {
    call("unregister_cache", [Some(name.to_owned())])
}

/// Unregisters the cache. A cache that is already unregistered is no error, but an unknown
/// name is an error.
fn unregister_if_registered(name: &str) -> String {
    let former = "SELECT FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1 AND NOT c.active";
    let call = format!("bustard.unregister_cache($1) WHERE NOT EXISTS ({former})");
    Query::select().expr(Expr::cust_with_values(call, [name])).to_string(PostgresQueryBuilder)
}

/// Reverts a registration.
fn revert_register(name: &str) -> String {
    call("revert_register_cache", [Some(name.to_owned())])
}

fn get_version(name: &str) -> String {
    call("get_version", [Some(name.to_owned())])
}

fn key_version(name: &str, key: &[&str]) -> String {
    format!("SELECT bustard.get_version({}, {})", literal(name), text_array(key.iter().copied()))
}

fn invalidate_key(name: &str, key: &[&str]) -> String {
    format!("SELECT bustard.invalidate_key({}, {})", literal(name), text_array(key.iter().copied()))
}

fn key_identity(name: &str, key: &[&str]) -> String {
    let call = format!("bustard.identity({}, {})", literal(name), text_array(key.iter().copied()));
    format!("SELECT {IDENTITY} FROM {call} AS i, bustard.this_database() AS d")
}

fn invalidate(names: &[&str]) -> String {
    format!("SELECT bustard.invalidate(VARIADIC {})", text_array(names.iter().copied()))
}

fn invalidate_all() -> String {
    call("invalidate_all", [])
}

const IDENTITY: &str = "i.n, i.nonce, i.own, d.identity, d.system_identifier, d.oid";

fn identity(name: &str) -> String {
    let select = format!("{IDENTITY} FROM bustard.identity($1) AS i, bustard.this_database() AS d");
    Query::select().expr(Expr::cust_with_values(select, [name])).to_string(PostgresQueryBuilder)
}

impl RegistrySql for PostgresRegistry {
    fn list(&self) -> &'static str {
        LIST
    }

    fn names(&self) -> &'static str {
        "SELECT name FROM bustard.caches"
    }

    fn owned(&self) -> &'static str {
        "SELECT c.name, c.app FROM bustard.caches AS c ORDER BY c.name"
    }

    fn former(&self) -> &'static str {
        "SELECT c.name, c.app FROM bustard.cache AS c WHERE NOT c.active"
    }

    fn missing_triggers(&self) -> &'static str {
        "SELECT cache, relation, why FROM bustard.missing_triggers()"
    }

    fn owners(&self, names: &[&str]) -> String {
        Query::select()
            .columns(["name", "app"])
            .from(("bustard", "caches"))
            .and_where(Expr::col("name").is_in(names.iter().copied()))
            .order_by("name", Order::Asc)
            .to_string(PostgresQueryBuilder)
    }

    fn version(&self, name: &str) -> String {
        get_version(name)
    }

    fn identity(&self, name: &str) -> String {
        identity(name)
    }

    fn key_version(&self, name: &str, key: &[&str]) -> String {
        key_version(name, key)
    }

    fn key_identity(&self, name: &str, key: &[&str]) -> String {
        key_identity(name, key)
    }

    fn invalidate_all(&self) -> String {
        invalidate_all()
    }

    fn forget_all(&self, app: &str) -> String {
        let ids = "cache_id OPERATOR(pg_catalog.=) ANY (SELECT c.id FROM bustard.cache AS c \
                   WHERE c.app OPERATOR(pg_catalog.=) $1 AND NOT c.active)";
        let mut delete = Query::delete();
        delete.from_table(("bustard", "former_sources")).and_where(Expr::cust_with_values(ids, [app]));
        delete.to_string(PostgresQueryBuilder)
    }

    fn shown_register(
        &self,
        name: &str,
        tables: &[TrackedTable],
        owner: Option<&str>,
        manner: Manner,
    ) -> String {
        format!("{};", register_call(name, tables, owner, manner))
    }

    fn shown_change(
        &self,
        name: &str,
        tables: &[TrackedTable],
        owner: Option<&str>,
        manner: Manner,
    ) -> String {
        format!("{};", change_call(name, tables, owner, manner))
    }

    fn shown_unregister(&self, name: &str, reverts: bool, manner: Manner) -> String {
        format!("{};", unregister_call(name, reverts, manner))
    }

    fn notify(&self) -> Option<&'static str> {
        Some(NOTIFY)
    }
}

/// Builds the warning about a fold that failed.
fn fold_failed(error: &Error) -> Diagnostic {
    let cause = error.server_message().unwrap_or(error.message());
    let message = format!("invalidations could not be folded: {cause}");
    Diagnostic::new(Code::FoldFailed, message).help(
        "reading versions becomes slow until `SELECT bustard.fold()` succeeds: see what the server says",
    )
}

/// Builds the warning about invalidations that have not been folded, if there are many.
#[cfg(feature = "postgres")]
pub(crate) fn overdue(rows: &[Row]) -> Option<Diagnostic> {
    let unfolded = single(rows)?.parse::<u64>().ok().filter(|unfolded| *unfolded > TOO_MANY)?;
    let message = format!("{unfolded} invalidations have not been folded, which makes reading versions slow");
    Some(Diagnostic::new(Code::FoldFailed, message).help(
        "run `SELECT bustard.fold()` and see what the server says; a CacheBuster, and each run that changes something, folds",
    ))
}

/// The number of unfolded events above which a warning is due.
#[cfg(feature = "_engine")]
pub(super) const TOO_MANY: u64 = 10_000;

/// Counts the unfolded events.
#[cfg(feature = "postgres")]
pub(super) const UNFOLDED: &str =
    "SELECT s.unfolded FROM bustard.snapshot(NULL, NULL, '{}') AS s WHERE s.name IS NULL";

fn register_call(name: &str, tables: &[TrackedTable], owner: Option<&str>, manner: Manner) -> String {
    match owner {
        None => register_again(name),
        Some(owner) if manner.repeatable => ensure(name, owner, tables, manner.lenient),
        owner if tables.is_empty() => register(name, owner),
        owner => register_on(name, owner, tables, manner.lenient),
    }
}

fn change_call(name: &str, tables: &[TrackedTable], owner: Option<&str>, manner: Manner) -> String {
    match owner {
        None => call("change_cache_back", [Some(name.to_owned())]),
        Some(owner) if manner.repeatable => ensure(name, owner, tables, manner.lenient),
        Some(owner) => change_to(name, owner, tables, manner.lenient),
    }
}

fn unregister_call(name: &str, reverts: bool, manner: Manner) -> String {
    match reverts {
        true => revert_register(name),
        false if manner.repeatable => unregister_if_registered(name),
        false => unregister(name),
    }
}

impl Registry for PostgresRegistry {
    fn register(&self, executor: &mut dyn sealed::Executor, name: &str, app: Option<&str>) -> Result<()> {
        executor.write(&register(name, app))
    }

    fn unregister(&self, executor: &mut dyn sealed::Executor, name: &str) -> Result<()> {
        executor.write(&unregister(name))
    }

    fn invalidate(&self, executor: &mut dyn sealed::Executor, names: &[&str]) -> Result<()> {
        executor.write(&invalidate(names))
    }

    fn invalidate_key(&self, executor: &mut dyn sealed::Executor, name: &str, key: &[&str]) -> Result<()> {
        executor.write(&invalidate_key(name, key))
    }

    fn register_in(
        &self,
        transaction: &mut dyn Transaction,
        register: &RegisterCache,
        app: &str,
        manner: Manner,
    ) -> Result<()> {
        let sql = register_call(&register.name, &register.tables, register.owner(app), manner);
        transaction.execute_as_runner(Statement::generated(sql, register.place.clone()))
    }

    fn change_in(
        &self,
        transaction: &mut dyn Transaction,
        change: &ChangeCache,
        app: &str,
        manner: Manner,
    ) -> Result<()> {
        let sql = change_call(&change.name, &change.tables, change.owner(app), manner);
        transaction.execute_as_runner(Statement::generated(sql, change.place.clone()))
    }

    fn unregister_in(
        &self,
        transaction: &mut dyn Transaction,
        unregister: &UnregisterCache,
        manner: Manner,
    ) -> Result<()> {
        let sql = unregister_call(&unregister.name, unregister.reverts, manner);
        transaction.execute_as_runner(Statement::generated(sql, unregister.place.clone()))
    }

    fn release_in(&self, transaction: &mut dyn Transaction, name: &str, app: &str) -> Result<()> {
        let owned = "bustard.revert_register_cache(c.name) FROM bustard.caches AS c \
                     WHERE c.name OPERATOR(pg_catalog.=) $1 AND c.app OPERATOR(pg_catalog.=) $2";
        let sql =
            Query::select().expr(Expr::cust_with_values(owned, [name, app])).to_string(PostgresQueryBuilder);
        transaction.execute_as_runner(Statement::generated(sql, None))
    }

    fn install_triggers(&self, transaction: &mut dyn Transaction) -> Result<()> {
        transaction.execute(Statement::generated(install_triggers(), None))
    }

    /// Folds events in a short transaction of its own, and notifies the reading side.
    fn after_commit(&self, session: &mut dyn Session) -> Option<Diagnostic> {
        let Err(error) = session.rows(&format!("{FOLD};{NOTIFY}")) else { return None };
        if let Err(error) = session.rows(NOTIFY) {
            log::debug!("readers could not be notified: {error}");
        }
        match error.sqlstate() {
            // The role is not in `grant`. Others fold.
            Some("42501") => None,
            _ => Some(fold_failed(&error)),
        }
    }

    fn grants_differ(&self, session: &mut dyn Session, roles: &[String]) -> Result<bool> {
        roles::differ(session, roles)
    }

    fn set_grants(&self, transaction: &mut dyn Transaction, roles: &[String]) -> Result<bool> {
        roles::set(transaction, roles)
    }
}

#[cfg(feature = "tokio")]
impl Calls for PostgresRegistry {
    fn register(&self, name: &str, app: Option<&str>) -> String {
        register(name, app)
    }

    fn unregister(&self, name: &str) -> String {
        unregister(name)
    }

    fn version(&self, name: &str) -> String {
        get_version(name)
    }

    fn identity(&self, name: &str) -> String {
        identity(name)
    }

    fn key_version(&self, name: &str, key: &[&str]) -> String {
        key_version(name, key)
    }

    fn key_identity(&self, name: &str, key: &[&str]) -> String {
        key_identity(name, key)
    }

    fn invalidate(&self, names: &[&str]) -> String {
        invalidate(names)
    }

    fn invalidate_key(&self, name: &str, key: &[&str]) -> String {
        invalidate_key(name, key)
    }

    fn invalidate_all(&self) -> String {
        invalidate_all()
    }

    fn notify(&self) -> &'static str {
        NOTIFY
    }
}
