//! The state that a migration may leave in its session, and the statements that remove this
//! state.
//!
//! In: the state before the first migration of a transaction. Out: the statements that
//! end each migration, and those that follow a rollback. On a connection that Bustard
//! opened, everything that `DISCARD ALL` resets is reset. On a caller's connection only
//! what was added is removed, because the rest belongs to the caller.
//!
//! Bustard cannot undo LOAD and setseed, and cannot remove custom settings. On a caller's
//! connection it also keeps the last values of sequences, the values of custom settings,
//! and an advisory lock that the caller already held and a migration has taken again.

use super::quote_text;
use crate::engine::Row;

/// Settings that are restored to their value at the start of the transaction. `RESET` could
/// set another value, for example on a pooled connection. The role comes after the
/// session's user, because setting the user resets the role.
const SETTINGS: &[&str] = &[
    "session_authorization",
    "role",
    "client_encoding",
    "search_path",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "check_function_bodies",
    "row_security",
    "client_min_messages",
    "default_tablespace",
    "default_table_access_method",
    "session_replication_role",
    "standard_conforming_strings",
    "backslash_quote",
    "synchronous_commit",
    "xmloption",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
];

/// The number of settings at the start of the list that identify the user of the session.
const IDENTITY: usize = 2;

/// Runs pending checks as a commit would. This comes first, because the checks may refer to
/// objects that are then removed.
pub(super) const CHECK_CONSTRAINTS: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// Runs pending checks in the middle of a transaction. Names each constraint, and defers a
/// constraint again if it is declared as deferred. `ALL` would also affect the constraints
/// of later migrations.
pub(super) const CHECK_EACH_CONSTRAINT: &str = "DO $bustard$DECLARE n pg_catalog.text; d pg_catalog.bool; BEGIN \
    FOR n, d IN SELECT pg_catalog.format('%I.%I', s.nspname, c.conname), c.condeferred FROM pg_catalog.pg_constraint c \
        JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.connamespace \
        WHERE c.condeferrable AND NOT pg_catalog.pg_is_other_temp_schema(s.oid) LOOP \
    BEGIN EXECUTE pg_catalog.format('SET CONSTRAINTS %s IMMEDIATE', n); \
        IF d THEN EXECUTE pg_catalog.format('SET CONSTRAINTS %s DEFERRED', n); END IF; \
    EXCEPTION WHEN undefined_object OR insufficient_privilege OR wrong_object_type THEN NULL; END; \
    END LOOP; END$bustard$";

/// Resets everything but settings.
const DISCARD: &[&str] = &[
    // A time limit that a migration has set must not cancel the next statements.
    "RESET statement_timeout",
    "RESET SESSION AUTHORIZATION",
    "RESET ROLE",
    "CLOSE ALL",
    "UNLISTEN *",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    "DISCARD PLANS",
    // Statements of the driver's protocol stay, because the driver knows their names.
    "DO $bustard$DECLARE n pg_catalog.text; BEGIN \
        FOR n IN SELECT p.name FROM pg_catalog.pg_prepared_statements p WHERE p.from_sql LOOP \
        EXECUTE pg_catalog.format('DEALLOCATE %I', n); END LOOP; END$bustard$",
    // This does not change user and role.
    "RESET ALL",
    // The migration lock belongs to the transaction, and stays.
    "SELECT pg_catalog.pg_advisory_unlock_all()",
];

/// Queries for the state of a session. Each returns one column of text. All names are
/// qualified, because the caller chooses the search path.
const LISTS: &[&str] = &[
    // Temporary objects, except objects that are created and dropped together with another
    // object.
    "SELECT pg_catalog.format('%s/%s', d.classid, d.objid) FROM pg_catalog.pg_depend d \
        WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
        AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i WHERE i.classid OPERATOR(pg_catalog.=) d.classid \
        AND i.objid OPERATOR(pg_catalog.=) d.objid AND i.deptype OPERATOR(pg_catalog.=) 'i')",
    "SELECT c.name FROM pg_catalog.pg_cursors c WHERE NOT pg_catalog.starts_with(c.name, '<unnamed')",
    "SELECT p.name FROM pg_catalog.pg_prepared_statements p WHERE p.from_sql",
    "SELECT c FROM pg_catalog.pg_listening_channels() c",
    "SELECT pg_catalog.format('%s/%s/%s/%s', l.classid, l.objid, l.objsubid, l.mode) FROM pg_catalog.pg_locks l \
        WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
        AND l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.granted",
    "SELECT s.name FROM pg_catalog.pg_settings s WHERE s.source OPERATOR(pg_catalog.=) 'session' ORDER BY s.name",
    "SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.source OPERATOR(pg_catalog.=) 'session' ORDER BY s.name",
];

const OBJECTS: usize = 0;
const CURSORS: usize = 1;
const PREPARED: usize = 2;
const CHANNELS: usize = 3;
const LOCKS: usize = 4;
const NAMES: usize = 5;
const VALUES: usize = 6;

/// The state of a session before a transaction.
pub(super) struct SessionState {
    settings: Row,
    /// The results of [`LISTS`] for a caller's session; empty for a session that Bustard
    /// opened.
    lists: Row,
    /// The limit of its waits that the transaction has set for itself, in milliseconds. It
    /// ends with the transaction.
    wait: u128,
}

impl SessionState {
    /// Builds the query of the state. It has one row.
    pub(super) fn query(own: bool) -> String {
        let settings = SETTINGS.iter().map(|name| format!("pg_catalog.current_setting('{name}')"));
        let lists = LISTS.iter().filter(|_| !own).map(|query| format!("ARRAY({query})::pg_catalog.text"));
        format!("SELECT {}", settings.chain(lists).collect::<Vec<_>>().join(","))
    }

    /// Reads the row of this query.
    pub(super) fn of(mut row: Row, wait: u128) -> SessionState {
        let lists = row.split_off(SETTINGS.len().min(row.len()));
        SessionState { settings: row, lists, wait }
    }

    /// Returns the role, if it is known.
    pub(super) fn role(&self) -> Option<&str> {
        let at = SETTINGS.iter().position(|name| *name == "role")?;
        self.settings.get(at)?.as_deref()
    }

    /// Builds the statements that end a migration, after its constraints are checked.
    pub(super) fn end(&self) -> Vec<String> {
        if self.lists.is_empty() {
            let discard = DISCARD.iter().map(|sql| (*sql).to_owned());
            discard.chain([self.restore_settings(SETTINGS.len())]).collect()
        } else {
            vec![
                "SET LOCAL statement_timeout = 0".to_owned(),
                self.restore_settings(IDENTITY),
                self.remove_added(),
            ]
        }
    }

    /// Restores the first settings. Sets only values that differ: only a superuser may set
    /// some of them, even to their current value.
    fn restore_settings(&self, count: usize) -> String {
        let before = SETTINGS
            .iter()
            .zip(&self.settings)
            .take(count)
            .filter_map(|(name, value)| Some(format!("('{name}',{})", quote_text(value.as_deref()?))));
        format!(
            "SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES {}) s (name, value) \
             WHERE (pg_catalog.current_setting(s.name) OPERATOR(pg_catalog.=) s.value) IS NOT TRUE",
            before.collect::<Vec<_>>().join(",")
        )
    }

    /// Builds the statement that removes what a migration has added to a caller's session.
    fn remove_added(&self) -> String {
        let before = |list: usize| {
            let list = self.lists.get(list).and_then(Option::as_deref).unwrap_or("{}");
            format!("{}::text[]", quote_text(list))
        };
        let added =
            |list: usize| format!("SELECT s FROM ({}) a(s) WHERE s <> ALL ({})", LISTS[list], before(list));
        // Each loop may change its list, because the list is read completely before the
        // loop begins. The search path is restored last, because it decides what the names
        // in this block mean.
        let block = format!(
            "DECLARE x text; k text; p text[]; held boolean;
            BEGIN
            PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            PERFORM set_config('client_min_messages', 'error', true);
            FOR x IN {cursors} LOOP EXECUTE format('CLOSE %I', x); END LOOP;
            UNLISTEN *;
            FOREACH x IN ARRAY {channels} LOOP EXECUTE format('LISTEN %I', x); END LOOP;
            FOR x IN {objects} LOOP
                SELECT format('DROP %s IF EXISTS %s CASCADE', replace(o.type, 'statistics object', 'statistics'), o.identity)
                INTO k FROM pg_identify_object(split_part(x, '/', 1)::oid, split_part(x, '/', 2)::oid, 0) o;
                IF k IS NOT NULL THEN EXECUTE k; END IF;
            END LOOP;
            FOR x IN {prepared} LOOP EXECUTE format('DEALLOCATE %I', x); END LOOP;
            FOR x IN {locks} LOOP
                p := string_to_array(x, '/');
                k := CASE p[3] WHEN '1' THEN format('%L::bigint', p[1]::bigint << 32 | p[2]::bigint)
                    ELSE format('%L::int, %L::int', p[1]::bigint << 32 >> 32, p[2]::bigint << 32 >> 32) END;
                k := format('SELECT pg_advisory_unlock%s(%s)', CASE p[4] WHEN 'ShareLock' THEN '_shared' ELSE '' END, k);
                LOOP EXECUTE k INTO held; EXIT WHEN NOT held; END LOOP;
            END LOOP;
            SELECT string_agg(c, ';' ORDER BY n = 'search_path', n) INTO k FROM (
                SELECT s.name, format('RESET %I', s.name) FROM pg_settings s
                WHERE s.source = 'session' AND s.name <> ALL ({names})
                AND (s.name, s.setting) <> ('lock_timeout', '{wait}')
                AND (s.name, s.setting, s.reset_val) NOT IN (('standard_conforming_strings', 'on', 'on'),
                    ('client_encoding', 'UTF8', 'UTF8'), ('backslash_quote', 'safe_encoding', 'safe_encoding'))
                AND s.name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
                UNION ALL
                SELECT b.name, format('SELECT pg_catalog.set_config(%L, %L, false)', b.name, b.setting)
                FROM unnest({names}, {values}) b(name, setting) JOIN pg_settings s USING (name)
                WHERE (s.setting, s.source) IS DISTINCT FROM (b.setting, 'session')
                AND s.name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
            ) r(n, c);
            EXECUTE k;
            END",
            cursors = added(CURSORS),
            channels = before(CHANNELS),
            objects = added(OBJECTS),
            prepared = added(PREPARED),
            locks = added(LOCKS),
            names = before(NAMES),
            wait = self.wait,
            values = before(VALUES),
        );
        format!("DO {}", quote_text(&block))
    }
}
