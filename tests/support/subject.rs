//! A database under test. The tests of crashes and races use it in the same way on both
//! engines.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use postgres::{Client, NoTls};

use super::cluster::Cluster;
use super::database::Database;
use super::faults::faulty_bustard;
use super::process::{Outcome, PATIENCE, Running, wait_until};
use super::project::Project;

/// The key of the migration lock: the letters of "bustard".
pub const LOCK: i64 = 0x0062_7573_7461_7264;

/// Lets a copy count as the original, if it has Bustard's own tables. A run would give it
/// an identity of its own otherwise, and invalidate every cache.
const TAKE_PLACE: &str = "DO $$ BEGIN IF to_regclass('bustard.database') IS NOT NULL THEN \
    UPDATE bustard.database SET oid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()); \
    END IF; END $$";

/// The two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Sqlite,
}

/// A project and the database of its commands.
#[derive(Debug)]
pub struct Subject<'s> {
    pub project: &'s Project,
    place: Place<'s>,
    /// The path of the command `bustard`.
    program: PathBuf,
    /// The environment of every command.
    environment: Vec<(String, String)>,
}

#[derive(Debug)]
enum Place<'s> {
    Postgres(Database<'s>),
    Sqlite(PathBuf),
}

/// The contents of a database that a migration may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Objects with their columns and rows, history rows, records and registered caches,
    /// one line for each.
    pub content: String,
    /// The version of each cache.
    pub versions: BTreeMap<String, i64>,
}

impl<'s> Subject<'s> {
    /// Creates an empty database in the shared cluster, or chooses a SQLite file that does
    /// not exist yet.
    pub fn new(engine: Engine, project: &'s Project) -> Subject<'s> {
        match engine {
            Engine::Postgres => Subject::on(Cluster::shared(), project),
            Engine::Sqlite => Subject::of(project, Place::Sqlite(project.path().join(new_name()))),
        }
    }

    /// Creates an empty database in this cluster.
    pub fn on(cluster: &'s Cluster, project: &'s Project) -> Subject<'s> {
        Subject::of(project, Place::Postgres(Database::on(cluster)))
    }

    fn of(project: &'s Project, place: Place<'s>) -> Subject<'s> {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_bustard"));
        Subject { project, place, program, environment: Vec::new() }
    }

    /// Copies the database. No session may be connected to the original. Runs do not notice
    /// that it is a copy.
    pub fn copy(&self) -> Subject<'s> {
        let place = match &self.place {
            Place::Postgres(database) => {
                let copy = database.copy();
                copy.client().batch_execute(TAKE_PLACE).expect("the copy can be changed");
                Place::Postgres(copy)
            }
            Place::Sqlite(path) => {
                let copy = path.with_file_name(new_name());
                if path.exists() {
                    fs::copy(path, &copy).expect("the file can be copied");
                }
                Place::Sqlite(copy)
            }
        };
        let (program, environment) = (self.program.clone(), self.environment.clone());
        Subject { project: self.project, place, program, environment }
    }

    /// Sets an environment variable for all commands.
    pub fn env(mut self, name: &str, value: &str) -> Subject<'s> {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs all commands in a build with this fault.
    pub fn faulty(mut self, fault: &str) -> Subject<'s> {
        let (program, (name, value)) = faulty_bustard(fault);
        self.program = program;
        self.env(name, value)
    }

    pub fn engine(&self) -> Engine {
        match self.place {
            Place::Postgres(_) => Engine::Postgres,
            Place::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Returns the database, if it is on PostgreSQL.
    #[track_caller]
    pub fn database(&self) -> &Database<'s> {
        match &self.place {
            Place::Postgres(database) => database,
            Place::Sqlite(_) => panic!("the subject is a SQLite file"),
        }
    }

    pub fn url(&self) -> String {
        match &self.place {
            Place::Postgres(database) => database.url(),
            Place::Sqlite(path) => format!("sqlite:{}", path.display()),
        }
    }

    /// Returns a command on this database.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command_of(&self.program, arguments);
        command.env("DATABASE_URL", self.url());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn bustard(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments))
    }

    /// Starts a command.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Connects to the SQLite file. A missing file is created. The connection never waits
    /// for a lock.
    #[track_caller]
    pub fn sqlite(&self) -> rusqlite::Connection {
        match &self.place {
            Place::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the file opens");
                connection.busy_timeout(Duration::ZERO).expect("it can be set");
                connection
            }
            Place::Postgres(_) => panic!("the subject is in PostgreSQL"),
        }
    }

    /// Connects to PostgreSQL as soon as the server accepts connections.
    #[track_caller]
    pub fn client(&self) -> Client {
        let url = self.url();
        let mut client = None;
        wait_until("the server accepts the connection", || {
            client = Client::connect(&url, NoTls).ok();
            client.is_some()
        });
        client.expect("the client is connected")
    }

    /// Runs SQL for its effect.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        match self.engine() {
            Engine::Postgres => self.client().batch_execute(sql).expect("the SQL runs"),
            Engine::Sqlite => self.sqlite().execute_batch(sql).expect("the SQL runs"),
        }
    }

    /// Returns the number that a query returns.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i64 {
        match self.engine() {
            Engine::Postgres => self.client().query_one(sql, &[]).expect("the query runs").get(0),
            Engine::Sqlite => self.patient().query_row(sql, [], |row| row.get(0)).expect("the query runs"),
        }
    }

    /// Waits until no command is connected. After a client is killed, a server still
    /// finishes the statements that it has received.
    #[track_caller]
    pub fn quiet(&self) {
        if self.engine() == Engine::Postgres {
            let mut client = self.client();
            wait_until("the server has noticed that no session is connected", || {
                let others = "SELECT count(*) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
                client.query_one(others, &[]).expect("the query runs").get::<_, i64>(0) == 0
            });
        }
    }

    /// Reads all contents. No other session may write meanwhile.
    #[track_caller]
    pub fn state(&self) -> State {
        match self.engine() {
            Engine::Postgres => postgres_state(&mut self.client()).expect("the catalog is readable"),
            Engine::Sqlite => sqlite_state(&self.patient()).expect("the file is readable"),
        }
    }

    fn patient(&self) -> rusqlite::Connection {
        let connection = self.sqlite();
        connection.busy_timeout(PATIENCE).expect("it can be set");
        connection
    }
}

fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    format!("subject{}.sqlite", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn is_history(table: &str) -> bool {
    table.starts_with("refinery_schema_history")
}

fn line(content: &mut String, words: &[&str]) {
    content.push_str(&words.join(" "));
    content.push('\n');
}

/// Reads the state on PostgreSQL. History tables remain when their last row is deleted, so
/// the state contains only their rows.
fn postgres_state(client: &mut Client) -> Result<State, postgres::Error> {
    let mut state = State::default();
    let objects = "SELECT n.nspname::text, c.relkind::text, c.relname::text, \
            coalesce(string_agg(a.attname || ' ' || format_type(a.atttypid, NULL), ', ' ORDER BY a.attname), '') \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
        WHERE n.nspname IN ('public', 'bustard') GROUP BY 1, 2, 3 \
        UNION ALL SELECT n.nspname::text, 'function', p.proname::text, pg_get_function_arguments(p.oid) \
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'bustard') \
        UNION ALL SELECT 'trigger', '', g.tgname::text, c.relname::text \
        FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE NOT g.tgisinternal \
        UNION ALL SELECT 'schema', '', nspname::text, '' FROM pg_namespace WHERE nspname = 'bustard' \
        ORDER BY 1, 2, 3, 4";
    let (mut registry, mut records) = (false, false);
    for row in client.query(objects, &[])? {
        let (schema, kind, name, columns): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        registry |= schema == "bustard" && name == "caches";
        records |= schema == "bustard" && name == "migration";
        if is_history(&name) {
            if kind == "r" {
                let rows = format!(
                    "SELECT version::int8, name::text, checksum::text FROM {schema}.{name} ORDER BY 1"
                );
                for row in client.query(&rows, &[])? {
                    let version: i64 = row.get(0);
                    line(&mut state.content, &[&name, &version.to_string(), row.get(1), row.get(2)]);
                }
            }
            continue;
        }
        let mut rows = String::new();
        if schema == "public" && kind == "r" {
            let count: i64 = client.query_one(&format!("SELECT count(*) FROM public.{name}"), &[])?.get(0);
            rows = format!("{count} rows");
        }
        line(&mut state.content, &[&schema, &kind, &name, &columns, &rows]);
    }
    if records {
        for row in client.query(
            "SELECT concat_ws(' ', app, version, body_checksum, revert) FROM bustard.migration ORDER BY 1",
            &[],
        )? {
            line(&mut state.content, &["record", row.get(0)]);
        }
        let repeatables =
            "SELECT concat_ws(' ', app, name, checksum, is_current) FROM bustard.repeatable ORDER BY 1";
        for row in client.query(repeatables, &[])? {
            line(&mut state.content, &["repeatable", row.get(0)]);
        }
    }
    if registry {
        for row in client.query("SELECT name, app, version FROM bustard.caches ORDER BY name", &[])? {
            line(&mut state.content, &["cache", row.get(0), row.get(1)]);
            state.versions.insert(row.get(0), row.get(2));
        }
    }
    Ok(state)
}

fn sqlite_state(connection: &rusqlite::Connection) -> Result<State, rusqlite::Error> {
    let mut state = State::default();
    let mut query = connection.prepare(
        "SELECT m.type, m.name, coalesce((SELECT group_concat(name || ' ' || type, ', ') \
            FROM (SELECT name, type FROM pragma_table_info(m.name) ORDER BY name)), '') \
         FROM sqlite_master m WHERE m.tbl_name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY 1, 2",
    )?;
    let objects = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(String, String, String)>, _>>()?;
    let registry = objects.iter().any(|(_, name, _)| name == "bustard_caches");
    let records = objects.iter().any(|(_, name, _)| name == "bustard_migration");
    for (kind, name, columns) in objects {
        if is_history(name.trim_start_matches("sqlite_autoindex_")) {
            if kind == "table" {
                let mut query = connection.prepare(&format!(
                    "SELECT version || ' ' || name || ' ' || checksum FROM {name} ORDER BY version"
                ))?;
                for row in query.query_map([], |row| row.get::<_, String>(0))? {
                    line(&mut state.content, &[&name, &row?]);
                }
            }
            continue;
        }
        let mut rows = String::new();
        if kind == "table" && !name.starts_with("bustard_") {
            let count: i64 =
                connection.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get(0))?;
            rows = format!("{count} rows");
        }
        line(&mut state.content, &[&kind, &name, &columns, &rows]);
    }
    if records {
        let mut query = connection.prepare(
            "SELECT app || ' ' || version || ' ' || body_checksum || revert FROM bustard_migration ORDER BY 1",
        )?;
        for row in query.query_map([], |row| row.get::<_, String>(0))? {
            line(&mut state.content, &["record", &row?]);
        }
        let mut query = connection.prepare(
            "SELECT app || ' ' || name || ' ' || checksum || ' ' || is_current FROM bustard_repeatable ORDER BY 1",
        )?;
        for row in query.query_map([], |row| row.get::<_, String>(0))? {
            line(&mut state.content, &["repeatable", &row?]);
        }
    }
    if registry {
        let mut query = connection.prepare("SELECT name, app, version FROM bustard_caches ORDER BY name")?;
        let caches = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for cache in caches {
            let (name, app, version): (String, String, i64) = cache?;
            line(&mut state.content, &["cache", &name, &app]);
            state.versions.insert(name, version);
        }
    }
    Ok(state)
}

/// Waits until a server process that was sent SIGKILL has ended. Returns whether the server
/// has noticed the kill and ended every connection, including the connection of `client`.
/// It does not notice the kill of a process that was about to exit.
pub fn server_noticed(client: &mut Client, pid: i32) -> bool {
    let (mut noticed, mut gone) = (false, false);
    wait_until("the server has noticed", || {
        let there = client.query("SELECT FROM pg_stat_activity WHERE pid = $1", &[&pid]);
        noticed = there.is_err();
        gone = there.is_ok_and(|rows| rows.is_empty());
        noticed || gone
    });
    noticed
}

/// Returns the server process of the command, and whether it holds the migration lock. The
/// process holds the lock from the beginning of a transaction to its end.
pub fn working_backend(client: &mut Client) -> Option<(i32, bool)> {
    let query = format!(
        "SELECT a.pid, EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' \
            AND l.granted AND l.classid = {} AND l.objid = {}) \
         FROM pg_stat_activity a WHERE a.datname = current_database() AND a.application_name = 'bustard'",
        LOCK >> 32,
        LOCK & 0xffff_ffff
    );
    let row = client.query_opt(&query, &[]).expect("the query runs")?;
    Some((row.get(0), row.get(1)))
}
