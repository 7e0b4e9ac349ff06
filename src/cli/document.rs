//! The JSON documents of `--json`. Keys are stable: new keys may be added, and no
//! key is removed or changes its meaning. A key whose value is unknown is `null`.
//!
//! | command | document |
//! |---|---|
//! | `migrate`, `revert`, `repair`, `disable`, `enable` | `database`, `changed`, `steps`, `apps`, `restored_caches` (if there were any), `histories` (if a repair changed them), `new_identity` (if the database got one), `restored_triggers`, `caches_invalidated`, `granted` (the roles, if the run changed them), `notices`, `warnings`, `elapsed_ms` |
//! | `uninstall` | `plan` and the keys of `migrate`; if refused, `database`, `plan`, `error` |
//! | `plan` | `database`, `steps`, `apps`, `restored_caches` (if there are any), `new_identity` (if the database would get one), `missing_triggers`, `caches_invalidated`, `warnings` |
//! | `status`, `check` | `database`, `up_to_date`, `copied` (whether the database is a copy without an identity of its own), `migrations`, `disabled` (labels of apps whose migrations are not expected), `kept` (labels of apps with kept data, which the next run restores), `unregistered`, `missing_triggers`, `caches`, `warnings` |
//! | `graph` | `engine`, `apps` (the labels), `migrations` (in order), `edges` |
//! | `apps` | `database`, `apps` |
//! | `new` | `app`, `migration`, `file` |
//! | `caches`, `caches list` | `database`, `caches` |
//! | `caches get` | `database`, `name`, `version` |
//! | `caches valid` | `database`, `name`, `version`, `valid` |
//! | `caches invalidate`, `register`, `unregister` | `database` and `invalidated`, `registered`, `unregistered`: the names |
//! | `caches invalidate-all` | `database`, `caches_invalidated` |
//! | every command that fails | `error` |
//!
//! | object | keys |
//! |---|---|
//! | `database` | `engine` (`postgres`, `sqlite`), `name` (without password), `from` |
//! | `steps` of a run | `app`, `migration`, `direction` (`up`, `down`), `how` (`run`, `faked`, `repaired`), `registered`, `unregistered`, `elapsed_ms` |
//! | `plan` of an uninstall | `apps` (the labels, in order), `keep_data`, `forget`, `cascade`, `steps`, `tables` (`table`, `rows`), `drops` (one line each), `foreign_keys` of other apps' tables (`table`, `columns`, `references`), `caches` (the names), `dependants` (`app`, `migration`, `needs`), `obstacles`, `warnings` |
//! | `steps` of a plan | `app`, `migration`, `direction`, `operations`, `sql` (`null` without `--sql`), `registers`, `unregisters`, `irreversible`, `file` |
//! | `migrations` | `app`, `migration`, `state` (`applied`, `pending`, `out_of_order`, `divergent`, `missing`, `superseded`), `applied_on`, `file`, `diagnostic` (if the state stops a run: what differs and what to do) |
//! | `migrations` of a graph | `app`, `migration`, `file` |
//! | `edges` | `app`, `migration`, `needs_app`, `needs` (the dependency), `asked` (the directive: `depends_on`, `depends_on_app`, `required_by`), `file`, `line`, `column` |
//! | `apps` | `app`, `state` (`not_installed`, `enabled`, `disabled`, `data_kept`), `loaded` (whether its migrations are available), `version` (the highest applied, a string), `applied` and `pending` (numbers of migrations), `caches` |
//! | `apps` of a run or a plan | `app`, `state` (after the run) |
//! | `histories` | `app`, `before` (the table that was recorded), `table`, `new` (whether what was recorded is forgotten) |
//! | `unregistered`, `restored_caches` | `name`, `app`, `migration` (which registers it) |
//! | `missing_triggers`, `restored_triggers` | `cache`, `table`, `why` (`triggers`, `disabled`, `edited`, `renamed`, `gone`, `foreign`) |
//! | `caches` | `name`, `app`, `version` and `registered_at` (not in a status), `tables` (whose writes invalidate it) |
//! | `warnings`, `diagnostics`, `obstacles` | `code`, `severity` (`error`, `warning`, `note`), `message`, `file`, `line`, `column`, `help` |
//! | `notices` (what the server said while the migrations ran) | `app`, `migration`, `level` (`notice`, `warning`), `code` (the SQLSTATE), `message`, `detail`, `hint`, `omitted` (how many messages of this level it stands for; 0 for a message of the server) |
//! | `error` | `kind`, `code`, `message`, `app`, `migration`, `file`, `line`, `column`, `database` (`code`, `message`), `help`, `diagnostics`, `applied`, `notices` |
//!
//! A migration is written `V1__name`. A cache version is a string, because a JSON number
//! may not hold it. Times are RFC 3339 in UTC. `caches_invalidated` is the number of
//! tracked caches after the run, or 0 if the run changed nothing. `kind` is `usage`,
//! `source`, `divergent`, `missing`, `out_of_order`, `history`, `locked`, `connection`, `database`,
//! `cache`, `cancelled` or `failed`. `applied` lists the migrations that committed before
//! the failure, as `app:V1__name`. `code` is a stable word such as `duplicate-version`, see
//! [`Code`](bustard::diagnostic::Code). The code of an error with several `diagnostics` is
//! the code of the first diagnostic.

use bustard::diagnostic::Advice;
use bustard::registry::{self, MissingTriggerCause};
use bustard::report::{AppStatus, MigrationStatus, PlannedStep as Planned, StepReport, UnregisteredCache};
use bustard::{AppState, Database as Connected, DependencyKind, Engine, Place};
use serde::Serialize;

use super::failure::Failure;
use super::program;

/// The database that the command works on.
#[derive(Serialize)]
pub struct Database {
    engine: &'static str,
    name: String,
    from: String,
}

impl Database {
    pub fn new(database: &Connected, origin: &str) -> Self {
        Database {
            engine: engine(database.engine()),
            name: database.display_name(),
            from: origin.to_string(),
        }
    }
}

/// Returns an engine's name.
pub fn engine(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "postgres",
        Engine::Sqlite => "sqlite",
        _ => "other",
    }
}

/// A step of a run.
#[derive(Serialize)]
pub struct Step<'a> {
    app: &'a str,
    migration: String,
    direction: &'static str,
    how: &'static str,
    registered: &'a [String],
    unregistered: &'a [String],
    elapsed_ms: u64,
}

impl<'a> From<&'a StepReport> for Step<'a> {
    fn from(done: &'a StepReport) -> Self {
        let how = done.how.as_str();
        Step {
            app: &done.app,
            migration: done.migration.to_string(),
            direction: done.direction.as_str(),
            how,
            registered: &done.registered,
            unregistered: &done.unregistered,
            elapsed_ms: milliseconds(done.elapsed),
        }
    }
}

/// A step of a plan.
#[derive(Serialize)]
pub struct PlannedStep<'a> {
    app: &'a str,
    migration: String,
    direction: &'static str,
    operations: &'a [String],
    sql: Option<&'a [String]>,
    registers: &'a [String],
    unregisters: &'a [String],
    irreversible: Option<&'a str>,
    file: Option<String>,
}

impl<'a> PlannedStep<'a> {
    pub fn new(step: &'a Planned, sql: bool) -> Self {
        PlannedStep {
            app: &step.app,
            migration: step.migration.to_string(),
            direction: step.direction.as_str(),
            operations: &step.operations,
            sql: sql.then_some(&*step.sql),
            registers: &step.registers,
            unregisters: &step.unregisters,
            irreversible: step.irreversible.as_deref(),
            file: step.file.as_ref().map(file),
        }
    }
}

/// The state of a migration.
#[derive(Serialize)]
pub struct Migration<'a> {
    app: &'a str,
    migration: String,
    state: &'static str,
    applied_on: Option<&'a str>,
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic: Option<Diagnostic<'a>>,
}

impl<'a> From<&'a MigrationStatus> for Migration<'a> {
    fn from(status: &'a MigrationStatus) -> Self {
        let state = status.state.as_str();
        Migration {
            app: &status.app,
            migration: status.migration.to_string(),
            state,
            applied_on: status.applied_on.as_deref(),
            file: status.file.as_ref().map(file),
            diagnostic: status.diagnostic.as_ref().map(Diagnostic::from),
        }
    }
}

/// The state of an app.
#[derive(Serialize)]
pub struct App<'a> {
    app: &'a str,
    state: &'static str,
    loaded: bool,
    version: Option<String>,
    applied: usize,
    pending: usize,
    caches: &'a [String],
}

impl<'a> From<&'a AppStatus> for App<'a> {
    fn from(status: &'a AppStatus) -> Self {
        App {
            app: &status.label,
            state: app_state(status.state),
            loaded: status.loaded,
            version: status.version.map(|version| version.to_string()),
            applied: status.applied,
            pending: status.pending,
            caches: &status.caches,
        }
    }
}

/// The state of an app after a run.
#[derive(Serialize)]
pub struct AppChange<'a> {
    app: &'a str,
    state: &'static str,
}

impl<'a> From<&'a bustard::report::AppChange> for AppChange<'a> {
    fn from(change: &'a bustard::report::AppChange) -> Self {
        AppChange { app: &change.app, state: app_state(change.state) }
    }
}

/// A history that a repair takes for another table.
#[derive(Serialize)]
pub struct HistoryChange<'a> {
    app: &'a str,
    before: &'a str,
    table: &'a str,
    new: bool,
}

impl<'a> From<&'a bustard::report::HistoryChange> for HistoryChange<'a> {
    fn from(change: &'a bustard::report::HistoryChange) -> Self {
        HistoryChange { app: &change.app, before: &change.before, table: &change.table, new: change.new }
    }
}

fn app_state(state: AppState) -> &'static str {
    match state {
        AppState::NotInstalled => "not_installed",
        AppState::Enabled => "enabled",
        AppState::Disabled => "disabled",
        AppState::DataKept => "data_kept",
        _ => "other",
    }
}

/// A migration of the graph.
#[derive(Serialize)]
pub struct GraphMigration<'a> {
    app: &'a str,
    migration: String,
    file: Option<String>,
}

impl<'a> From<&'a bustard::GraphMigration> for GraphMigration<'a> {
    fn from(one: &'a bustard::GraphMigration) -> Self {
        let file = one.file.as_ref().map(file);
        GraphMigration { app: &one.app, migration: one.migration.to_string(), file }
    }
}

/// A dependency between two migrations.
#[derive(Serialize)]
pub struct GraphEdge<'a> {
    app: &'a str,
    migration: String,
    needs_app: &'a str,
    needs: String,
    asked: &'static str,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
}

impl<'a> From<&'a bustard::GraphEdge> for GraphEdge<'a> {
    fn from(edge: &'a bustard::GraphEdge) -> Self {
        let place = edge.place.as_ref();
        GraphEdge {
            app: &edge.app,
            migration: edge.migration.to_string(),
            needs_app: &edge.needs_app,
            needs: edge.needs.to_string(),
            asked: match edge.asked {
                DependencyKind::DependsOn => "depends_on",
                DependencyKind::DependsOnApp => "depends_on_app",
                DependencyKind::RequiredBy => "required_by",
                _ => "other",
            },
            file: place.map(file),
            line: place.and_then(Place::line),
            column: place.and_then(Place::column),
        }
    }
}

/// A cache that an applied migration registers and the registry does not contain.
#[derive(Serialize)]
pub struct Unregistered<'a> {
    name: &'a str,
    app: &'a str,
    migration: String,
}

impl<'a> From<&'a UnregisteredCache> for Unregistered<'a> {
    fn from(cache: &'a UnregisteredCache) -> Self {
        Unregistered { name: &cache.name, app: &cache.app, migration: cache.migration.to_string() }
    }
}

/// A table of a registered cache that lacks triggers, was renamed or was dropped.
#[derive(Serialize)]
pub struct CacheTables<'a> {
    name: &'a str,
    app: Option<&'a str>,
    tables: &'a [String],
}

impl<'a> From<&'a registry::TrackedCache> for CacheTables<'a> {
    fn from(cache: &'a registry::TrackedCache) -> Self {
        CacheTables { name: &cache.name, app: cache.app.as_deref(), tables: &cache.tables }
    }
}

#[derive(Serialize)]
pub struct MissingTrigger<'a> {
    cache: &'a str,
    table: &'a str,
    why: &'static str,
}

impl<'a> From<&'a registry::MissingTrigger> for MissingTrigger<'a> {
    fn from(table: &'a registry::MissingTrigger) -> Self {
        let why = match table.why {
            MissingTriggerCause::Triggers => "triggers",
            MissingTriggerCause::Disabled => "disabled",
            MissingTriggerCause::Edited => "edited",
            MissingTriggerCause::Renamed => "renamed",
            MissingTriggerCause::Gone => "gone",
            MissingTriggerCause::Foreign => "foreign",
            MissingTriggerCause::Keys => "keys",
            _ => "other",
        };
        MissingTrigger { cache: &table.cache, table: &table.table, why }
    }
}

/// A warning, or a diagnostic of an error.
#[derive(Serialize)]
pub struct Diagnostic<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    help: Option<String>,
}

impl<'a> From<&'a bustard::Diagnostic> for Diagnostic<'a> {
    fn from(diagnostic: &'a bustard::Diagnostic) -> Self {
        let place = diagnostic.place();
        Diagnostic {
            code: diagnostic.code().as_str(),
            severity: diagnostic.severity().as_str(),
            message: diagnostic.message(),
            file: place.map(file),
            line: place.and_then(Place::line),
            column: place.and_then(Place::column),
            help: diagnostic.advice().map(help),
        }
    }
}

/// A message of the server.
#[derive(Serialize)]
pub struct Notice<'a> {
    app: &'a str,
    migration: &'a str,
    level: &'static str,
    code: Option<&'a str>,
    message: &'a str,
    detail: Option<&'a str>,
    hint: Option<&'a str>,
    omitted: u64,
}

impl<'a> From<&'a bustard::report::Notice> for Notice<'a> {
    fn from(notice: &'a bustard::report::Notice) -> Self {
        Notice {
            app: &notice.app,
            migration: &notice.migration,
            level: notice.level.as_str(),
            code: notice.code.as_deref(),
            message: &notice.message,
            detail: notice.detail.as_deref(),
            hint: notice.hint.as_deref(),
            omitted: notice.omitted,
        }
    }
}

/// The document of a command that failed.
#[derive(Serialize)]
pub struct Failed<'a> {
    error: FailedError<'a>,
}

#[derive(Default, Serialize)]
struct FailedError<'a> {
    kind: &'static str,
    code: &'static str,
    message: String,
    app: Option<&'a str>,
    migration: Option<&'a str>,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    database: Option<ServerMessage<'a>>,
    help: Option<String>,
    diagnostics: Vec<Diagnostic<'a>>,
    applied: Option<&'a [String]>,
    notices: Vec<Notice<'a>>,
}

#[derive(Serialize)]
struct ServerMessage<'a> {
    code: Option<&'a str>,
    message: &'a str,
}

impl<'a> Failed<'a> {
    pub fn new(failure: &'a Failure) -> Self {
        let (kind, code) = (failure.kind(), failure.code().as_str());
        let error = match failure {
            Failure::Library(error) => {
                let only = match error.diagnostics() {
                    [only] => Some(only),
                    _ => None,
                };
                FailedError {
                    kind,
                    code,
                    message: error.message().to_owned(),
                    app: error.app(),
                    migration: error.migration(),
                    file: error.place().map(file),
                    line: error.place().and_then(Place::line),
                    column: error.place().and_then(Place::column),
                    database: error
                        .server_message()
                        .map(|message| ServerMessage { code: error.sqlstate(), message }),
                    help: error.advice().or_else(|| only?.advice()).map(help),
                    diagnostics: error.diagnostics().iter().map(Diagnostic::from).collect(),
                    applied: error.applied(),
                    notices: error.notices().iter().map(Notice::from).collect(),
                }
            }
            Failure::Usage(usage) => FailedError {
                kind,
                code,
                message: usage.message.clone(),
                file: usage.file.as_ref().map(|file| file.display().to_string()),
                help: usage.help.clone(),
                ..FailedError::default()
            },
            Failure::Panicked(words) => {
                FailedError { kind, code, message: format!("panicked: {words}"), ..FailedError::default() }
            }
            Failure::Output(_) => {
                FailedError { kind, code, message: failure.to_string(), ..FailedError::default() }
            }
        };
        Failed { error }
    }
}

/// Converts to whole milliseconds.
pub fn milliseconds(duration: std::time::Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

fn help(advice: &Advice) -> String {
    advice.for_command(&program::name())
}

fn file(place: &Place) -> String {
    let shown = place.to_string();
    let position = place.line().zip(place.column()).map(|(line, column)| format!(":{line}:{column}"));
    position.and_then(|position| shown.strip_suffix(&position)).unwrap_or(&shown).to_owned()
}
