//! Repairing: files that were changed on purpose, histories that are in other tables than
//! the recorded ones, and the identity of a database.
//!
//! In: what to repair, and a connection. Out: a plan or a report.

use super::Migrator;
use crate::diagnostic::{Action, Advice};
use crate::engine::{Connection, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Node;
use crate::history::{AppState, InstalledApp};
use crate::model::{BUSTARD, HistoryTable};
use crate::plan::{Basis, Facts, Repair, RunPlan, Sources, State, Step, foreign_tables, places, suggest};
use crate::report::{Plan, Report, Verb};
use crate::run::preflight::{Observation, look, observe, observe_anywhere};
use crate::run::{OnChange, Run, changed};
use crate::sql::TableName;

/// What a role that does not own Bustard's tables cannot do.
const PLACE: &str = "the place of a history cannot be recorded";

impl Migrator {
    /// Accepts the current file of an applied migration or another place of a history, or gives
    /// the database a new identity. Ends by invalidating every cache. Runs no migration.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if there is no such migration, app or table, or the migration is
    /// not applied. [`ErrorKind::Failed`] if no `run` has created Bustard's own tables yet, or
    /// another session changes the database meanwhile.
    ///
    /// ```
    /// # use bustard::{App, Migration, Migrator, Repair};
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// # migrator.run(&mut connection)?;
    /// // The file is what was applied, so there is nothing to accept.
    /// assert!(!migrator.repair(&mut connection, &Repair::migration("main", 1))?.changed());
    ///
    /// connection.execute_batch("ALTER TABLE refinery_schema_history RENAME TO history")?;
    /// assert!(migrator.run(&mut connection).is_err());
    /// let moved = Repair::History { app: Some("main".into()), table: "history".into() };
    /// assert_eq!(migrator.repair(&mut connection, &moved)?.histories[0].table, "main.history");
    /// assert!(!migrator.run(&mut connection)?.changed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repair(&self, connection: &mut impl Connection, what: &Repair) -> Result<Report> {
        self.repair_as(connection, what, None)
    }

    /// Plans what [`repair`](Migrator::repair) would do. Changes nothing.
    ///
    /// # Errors
    ///
    /// As for `repair`.
    ///
    /// ```
    /// # use bustard::{App, Migration, Migrator, Repair};
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// # migrator.run(&mut connection)?;
    /// assert!(migrator.plan_repair(&mut connection, &Repair::migration("main", 1))?.steps.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan_repair(&self, connection: &mut impl Connection, what: &Repair) -> Result<Plan> {
        self.read_only(connection, |sources, session| {
            let (observed, plan) = plan(sources, session, what)?;
            let verb = Verb::Repair(what.clone());
            Ok(self.shown(sources, session.dialect(), &observed, &plan, verb, Vec::new()))
        })
    }

    /// Repairs. With `shown`, the current state must be the one that the shown plan was made
    /// from.
    pub(super) fn repair_as(
        &self,
        connection: &mut impl Connection,
        what: &Repair,
        shown: Option<(&Plan, &Basis)>,
    ) -> Result<Report> {
        if let Repair::Migration { app, version } = what {
            return self.change(connection, |facts| choose_migration(facts, app, *version), shown);
        }
        let sources = self.sources(connection.dialect())?;
        let mut session = connection.session(false, self.lock_wait)?;
        let (observed, plan) = plan(&sources, &mut *session, what)?;
        let facts = sources.facts(&observed.histories, &observed.installed);
        if let Some(what) = shown.and_then(|(_, basis)| basis.difference(&facts)) {
            return Err(changed(&what));
        }
        let mut run = Run::new(self.options(), &sources, &facts);
        run.execute(&mut *session, plan, OnChange::Refuse)?;
        Ok(run.end(&mut *session))
    }
}

fn plan(sources: &Sources, session: &mut dyn Session, what: &Repair) -> Result<(Observation, RunPlan)> {
    match what {
        Repair::Migration { app, version } => {
            let observed = observe(sources, session)?;
            let facts = sources.facts(&observed.histories, &observed.installed);
            let plan = choose_migration(&facts, app, *version)?;
            Ok((observed, plan))
        }
        Repair::NewIdentity => {
            let observed = observe(sources, session)?;
            let facts = sources.facts(&observed.histories, &observed.installed);
            check(&facts, None, "the identity of the database cannot be changed")?;
            let plan = facts.plan_steps(vec![Step::NewIdentity]);
            Ok((observed, plan))
        }
        Repair::NewHistory { app } => plan_new(sources, session, app.as_deref()),
        Repair::History { app, table } => plan_moved(sources, session, app.as_deref(), table),
    }
}

/// Plans accepting a file. The plan is empty if the file is the applied one.
fn choose_migration(facts: &Facts<'_>, app: &str, version: i64) -> Result<RunPlan> {
    facts.check_database()?;
    let node: Node = facts.find(app, version)?;
    match facts.state(node) {
        State::Applied if !facts.has_other_dependencies(node) => Ok(facts.plan_steps(Vec::new())),
        State::Applied | State::Divergent => Ok(facts.plan_steps(vec![Step::Accept(node)])),
        State::Pending | State::OutOfOrder | State::Missing | State::Superseded => {
            let message = format!("{} is not applied: there is nothing to repair", facts.name(node));
            Err(Error::new(ErrorKind::Usage, message).help(Advice::from(Action::Migrate).and(" applies it")))
        }
    }
}

/// Plans new histories, in the tables that the configuration and the search path lead to.
fn plan_new(
    sources: &Sources,
    session: &mut dyn Session,
    label: Option<&str>,
) -> Result<(Observation, RunPlan)> {
    let observed = observe_anywhere(sources, session)?;
    let facts = sources.facts(&observed.histories, &observed.installed);
    check(&facts, label, PLACE)?;
    let chosen: Vec<usize> = match label {
        None => (0..facts.apps.len()).filter(|app| facts.is_lost(*app)).collect(),
        Some(label) => match facts.apps.iter().position(|app| app.label == label) {
            Some(app) if facts.is_lost(app) => vec![app],
            Some(_) => {
                let message =
                    format!("the history of {label} is where it was recorded: a new one is not needed");
                return Err(Error::usage(message));
            }
            None => {
                let forget = Advice::from(Action::Forget { app: label.to_owned() });
                return Err(Error::usage(format!("{label} is not configured: it cannot have a new history"))
                    .help(forget.and(" removes what is recorded of it")));
            }
        },
    };
    let before = observed.installed.clone();
    let dialect = session.dialect();
    for &app in &chosen {
        sources.keep_history_in(app, HistoryTable::of(&sources.apps[app], dialect));
    }
    let observed = look(sources, session)?;
    let facts = sources.facts(&observed.histories, &observed.installed);
    let step = |app: &usize| {
        let recorded = before.apps.get(&facts.apps[*app].label)?;
        let state = match recorded.state {
            AppState::Disabled => AppState::Disabled,
            _ => AppState::Enabled,
        };
        let history = facts.histories[*app].place.clone();
        let app = InstalledApp { history, state, pinned: false, ..recorded.clone() };
        Some(Step::SetHistory { app, new: true })
    };
    let plan = facts.plan_steps(chosen.iter().filter_map(step).collect());
    Ok((observed, plan))
}

/// Plans taking `table` as a history. The plan is empty if it is recorded there.
fn plan_moved(
    sources: &Sources,
    session: &mut dyn Session,
    label: Option<&str>,
    table: &str,
) -> Result<(Observation, RunPlan)> {
    let name = TableName::parse(table)
        .map_err(|(_, why)| Error::usage(format!("{table:?} is not a table: {why}")))?;
    let first = look(sources, session)?;
    let facts = sources.facts(&first.histories, &first.installed);
    check(&facts, label, PLACE)?;
    let label = match label {
        Some(label) => label.to_owned(),
        None => only_lost(&facts)?,
    };
    let (schema, name) = name.parts();
    let place = HistoryTable { app: label.clone(), schema, name };
    let no_table = || {
        Error::usage(format!("there is no table {table}"))
            .help("name the table that has the history now, with its schema")
    };
    let recorded = first.installed.apps.get(&label);
    let Some(app) = facts.apps.iter().position(|app| app.label == label) else {
        let found = session.read(std::slice::from_ref(&place))?.pop();
        let history = found.filter(|history| history.width.is_some()).ok_or_else(no_table)?;
        check_free(&facts, &label, &history.place)?;
        let observed = look(sources, session)?;
        let facts = sources.facts(&observed.histories, &observed.installed);
        let moved = recorded.filter(|recorded| recorded.history != history.place);
        let step = moved.map(|recorded| {
            let app = InstalledApp { history: history.place, pinned: false, ..recorded.clone() };
            Step::SetHistory { app, new: false }
        });
        let plan = facts.plan_steps(step.into_iter().collect());
        return Ok((observed, plan));
    };
    let configured = first.histories[app].place.clone();
    sources.keep_history_in(app, place);
    let observed = look(sources, session)?;
    let facts = sources.facts(&observed.histories, &observed.installed);
    let history = &facts.histories[app];
    if history.width.is_none() {
        return Err(no_table());
    }
    check_free(&facts, &label, &history.place)?;
    let pinned = history.place != configured;
    let now = InstalledApp {
        label,
        history: history.place.clone(),
        state: recorded.map_or(AppState::Enabled, |recorded| recorded.state),
        pinned,
    };
    let same = recorded == Some(&now) && !facts.is_lost(app);
    let step = (!same).then_some(Step::SetHistory { app: now, new: false });
    let plan = facts.plan_steps(step.into_iter().collect());
    Ok((observed, plan))
}

/// Checks that the app exists, and that this role may write the records. If it may not, the
/// error says `what` cannot be done.
fn check(facts: &Facts<'_>, label: Option<&str>, what: &str) -> Result<()> {
    facts.check_version()?;
    facts.needs_records()?;
    if facts.installed.guest {
        return Err(foreign_tables(what));
    }
    let Some(label) = label else { return Ok(()) };
    if label == BUSTARD {
        return Err(Error::usage("Bustard's own history has a fixed place"));
    }
    let loaded = facts.apps.iter().map(|app| app.label.as_str());
    let mut known: Vec<&str> = loaded.chain(facts.installed.apps.keys().map(String::as_str)).collect();
    known.retain(|known| *known != BUSTARD);
    match known.contains(&label) {
        true => Ok(()),
        false => {
            known.sort_unstable();
            known.dedup();
            Err(suggest(Error::usage(format!("there is no app {label}")), label, &known))
        }
    }
}

/// Returns the label of the only app whose history is lost.
fn only_lost(facts: &Facts<'_>) -> Result<String> {
    let configured =
        (0..facts.apps.len()).filter(|app| facts.is_lost(*app)).map(|app| &facts.apps[app].label);
    let gone = facts.installed.gone_elsewhere(|label| facts.apps.iter().any(|app| app.label == label));
    let lost: Vec<&String> = configured.chain(gone).collect();
    match lost.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(Error::usage("every history is where it was recorded")
            .help("to take another table all the same, name the app as well")),
        lost => {
            let labels: Vec<&str> = lost.iter().map(|label| label.as_str()).collect();
            Err(Error::usage("several histories are lost")
                .help(format!("name the app: {}", labels.join(", "))))
        }
    }
}

/// Refuses a table that is the history of another app.
fn check_free(facts: &Facts<'_>, label: &str, place: &str) -> Result<()> {
    let recorded = facts.installed.apps.values().map(|app| (&app.label, app.history.as_str()));
    let configured =
        facts.apps.iter().zip(facts.histories).map(|(app, history)| (&app.label, history.place.as_str()));
    let other = recorded.chain(configured).find(|(other, history)| *other != label && *history == place);
    match other {
        None => Ok(()),
        Some((other, _)) => {
            Err(Error::usage(format!("{} is the history of the app {other}", places::shown(place))))
        }
    }
}
