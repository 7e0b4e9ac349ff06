//! The verbs of the migrator: each reads the state, plans and executes.
//!
//! In: a connection. Out: a report, a plan or the state.

use std::time::Duration;

use super::Migrator;
use crate::engine::{Connection, GLANCE, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::history::AppState;
use crate::plan::{Basis, Facts, Revert, RunPlan, Sources, Step, reverting_operations};
use crate::registry;
use crate::report::{AppStatus, Plan, Report, Status, Verb};
use crate::run::preflight::{self, Observation, observe};
use crate::run::{OnChange, Run, changed, describe};
use crate::sql::Dialect;

impl Migrator {
    /// Applies pending migrations.
    ///
    /// Each transaction takes the migration lock, compares the state with the state that
    /// the plan was made from, applies its migrations, writes the history, invalidates
    /// every cache and commits. If another run has changed the state, the plan is made
    /// again. If nothing is pending, the run takes no lock and writes nothing, except that
    /// it restores missing triggers.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). The failed transaction is rolled back.
    /// [`Error::applied`](crate::Error::applied) lists the migrations that had committed
    /// before the failure.
    ///
    /// ```
    /// # use bustard::{App, Migration, Migrator};
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// assert!(migrator.run(&mut connection)?.changed());
    /// assert!(!migrator.run(&mut connection)?.changed(), "nothing is pending");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(&self, connection: &mut impl Connection) -> Result<Report> {
        let sources = self.sources_for(connection)?;
        let mut session = self.session(connection, sources.has_functions(), self.lock_wait)?;
        self.run_on(&sources, &mut *session)
    }

    /// Plans what [`run`](Migrator::run) would do. Changes nothing.
    ///
    /// # Errors
    ///
    /// Returns the errors of `run` that can be found in advance.
    ///
    /// ```
    /// # use bustard::{App, Migration, Migrator};
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// let plan = migrator.plan(&mut connection)?;
    /// assert!(plan.steps.iter().any(|step| step.registers == ["bans"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan(&self, connection: &mut impl Connection) -> Result<Plan> {
        self.read_only(connection, |sources, session| {
            let (observed, plan) = preflight::plan(sources, session, true, |facts| self.choose_run(facts))?;
            let missing = observed.repairable();
            self.shown(sources, session.dialect(), &observed, &plan, Verb::Migrate, missing)
        })
    }

    /// Reverts migrations. Each migration is reverted before its dependencies.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`run`](Migrator::run). Also returns an error if one of the
    /// migrations cannot be reverted, or if another session has changed the database since
    /// the plan was made. In these two cases, nothing has been reverted.
    ///
    /// ```
    /// # use bustard::{App, Migration, Migrator, Revert};
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// # migrator.run(&mut connection)?;
    /// let report = migrator.revert(&mut connection, &Revert::Steps(1))?;
    /// assert_eq!(report.steps[0].unregistered, ["bans"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn revert(&self, connection: &mut impl Connection, to: &Revert) -> Result<Report> {
        let dialect = connection.dialect();
        self.change(connection, |facts| self.choose_revert(facts, to, dialect), None)
    }

    /// Plans what [`revert`](Migrator::revert) would do. Changes nothing.
    ///
    /// # Errors
    ///
    /// Returns the errors of `revert` that can be found in advance.
    ///
    /// ```
    /// # use bustard::{App, Migration, Migrator, Revert};
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// # migrator.run(&mut connection)?;
    /// let plan = migrator.plan_revert(&mut connection, &Revert::Steps(1))?;
    /// assert_eq!(plan.steps[0].unregisters, ["bans"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan_revert(&self, connection: &mut impl Connection, to: &Revert) -> Result<Plan> {
        self.read_only(connection, |sources, session| {
            let observed = observe(sources, session)?;
            let facts = sources.facts(&observed.histories, &observed.installed);
            facts.check(self.allow)?;
            let plan = facts.plan_revert(to, self.transaction)?;
            facts.judge_reverting(plan.migrations())?;
            let verb = Verb::Revert(to.clone());
            self.shown(sources, session.dialect(), &observed, &plan, verb, Vec::new())
        })
    }

    /// Executes a plan as it was shown. The plan comes from [`plan`](Migrator::plan),
    /// [`plan_revert`](Migrator::plan_revert) or [`plan_repair`](Migrator::plan_repair).
    ///
    /// If another session has changed the database since, a plan to migrate is made again. A
    /// plan to revert or to repair is refused, and the error names the change.
    ///
    /// ```
    /// use bustard::{App, Migration, Migrator, Revert};
    ///
    /// let mut connection = rusqlite::Connection::open_in_memory()?;
    /// let bans = Migration::new().register_cache("bans");
    /// let migrator = Migrator::new().app(App::new("main").migration("V1__bans", bans));
    /// migrator.run(&mut connection)?;
    ///
    /// let plan = migrator.plan_revert(&mut connection, &Revert::Steps(1))?;
    /// assert_eq!(plan.steps[0].unregisters, ["bans"]);
    /// assert_eq!(migrator.execute(&mut connection, &plan)?.steps.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`run`](Migrator::run), and
    /// [`ErrorKind::Failed`](crate::ErrorKind::Failed) for a refused plan. A refused plan
    /// changes nothing.
    pub fn execute(&self, connection: &mut impl Connection, plan: &Plan) -> Result<Report> {
        match &plan.planned {
            None => Err(Error::usage("the plan was not made by a migrator")),
            Some((Verb::Migrate, _)) => self.run(connection),
            Some((Verb::Revert(to), basis)) => {
                let dialect = connection.dialect();
                self.change(connection, |facts| self.choose_revert(facts, to, dialect), Some((plan, basis)))
            }
            Some((Verb::Repair(what), basis)) => self.repair_as(connection, what, Some((plan, basis))),
        }
    }

    /// Reports the state of every migration and every cache. Changes nothing.
    ///
    /// # Errors
    ///
    /// Returns only errors of the sources and of the connection. Diagnostics about the
    /// history are part of the status and not an error.
    ///
    /// ```
    /// # use bustard::{App, Migration, Migrator};
    /// # use bustard::report::State;
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// # migrator.run(&mut connection)?;
    /// let status = migrator.status(&mut connection)?;
    /// assert!(status.migrations.iter().all(|migration| migration.state == State::Applied));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status(&self, connection: &mut impl Connection) -> Result<Status> {
        self.read_only(connection, |sources, session| {
            let observed = observe(sources, session)?;
            let facts = sources.facts(&observed.histories, &observed.installed);
            facts.judge(self.fake)?;
            let mut warnings = sources.warnings_with(&facts);
            warnings.extend(session.warnings()?);
            let caches = match facts.has_registry() {
                // The registry may be damaged, or the role may not read it.
                true => registry::list_in(session).or_else(|error| match error.kind() {
                    ErrorKind::Database | ErrorKind::Failed => {
                        log::debug!("the caches cannot be listed: {error}");
                        Ok(Vec::new())
                    }
                    _ => Err(error),
                })?,
                false => Vec::new(),
            };
            Ok(super::status::status(&facts, &observed, caches, warnings))
        })
    }

    /// Reports the state of every app by label, including apps whose files no longer exist.
    /// Changes nothing. Leaves out Bustard's own tables, and apps whose histories this role
    /// may not read.
    ///
    /// # Errors
    ///
    /// Returns only errors of the sources and of the connection.
    ///
    /// ```
    /// # use bustard::{App, AppState, Migration, Migrator};
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// # migrator.run(&mut connection)?;
    /// let apps = migrator.list_apps(&mut connection)?;
    /// assert_eq!((apps[0].label.as_str(), apps[0].state), ("main", AppState::Enabled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list_apps(&self, connection: &mut impl Connection) -> Result<Vec<AppStatus>> {
        self.read_only(connection, super::apps::list)
    }

    /// Disables an app: runs no longer expect its migrations. They skip pending migrations
    /// of the app, and do not report applied migrations that are missing or divergent. The
    /// tables and caches of the app stay. Invalidates every cache, unless the app is
    /// already disabled.
    ///
    /// ```
    /// use bustard::{App, AppState, Migration, Migrator};
    ///
    /// let mut connection = rusqlite::Connection::open_in_memory()?;
    /// let bans = App::new("bans").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(bans.clone());
    /// migrator.run(&mut connection)?;
    /// migrator.disable(&mut connection, "bans")?;
    ///
    /// let more = bans.migration("V2__more", Migration::new().register_cache("more"));
    /// let migrator = Migrator::new().app(more);
    /// assert!(!migrator.run(&mut connection)?.changed());
    /// assert_eq!(migrator.list_apps(&mut connection)?[0].state, AppState::Disabled);
    ///
    /// migrator.enable(&mut connection, "bans")?;
    /// assert_eq!(migrator.run(&mut connection)?.steps.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) for `bustard`, for an app that
    /// is neither loaded nor in the database, and for an app with kept data. Returns
    /// [`ErrorKind::Failed`](crate::ErrorKind::Failed) if no `run` has created Bustard's
    /// own tables yet.
    pub fn disable(&self, connection: &mut impl Connection, app: &str) -> Result<Report> {
        self.set_state(connection, app, AppState::Disabled)
    }

    /// Enables an app after [`disable`](Migrator::disable): runs expect its migrations
    /// again.
    ///
    /// # Errors
    ///
    /// Returns the errors of `disable`.
    ///
    /// ```
    /// # use bustard::{App, Migration, Migrator};
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(app);
    /// # migrator.run(&mut connection)?;
    /// migrator.disable(&mut connection, "main")?;
    /// assert!(migrator.enable(&mut connection, "main")?.changed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enable(&self, connection: &mut impl Connection, app: &str) -> Result<Report> {
        self.set_state(connection, app, AppState::Enabled)
    }

    fn set_state(&self, connection: &mut impl Connection, app: &str, state: AppState) -> Result<Report> {
        let sources = self.sources(connection.dialect())?;
        let mut session = self.session(connection, false, self.lock_wait)?;
        let observed = observe(&sources, &mut *session)?;
        let facts = sources.facts(&observed.histories, &observed.installed);
        let history = session.history_table(app).to_owned();
        let choose = |facts: &Facts<'_>| facts.plan_state(app, state, &history);
        let plan = choose(&facts)?;
        let mut run = Run::new(self.options(), &sources, &facts);
        run.execute(&mut *session, plan, OnChange::PlanAgain(&choose))?;
        Ok(run.end(&mut *session))
    }

    /// Loads the sources for a database. If there is none yet, everything is pending and
    /// judged at once, so that a refused file makes no database.
    fn sources_for(&self, connection: &impl Connection) -> Result<Sources> {
        let sources = self.sources(connection.dialect())?;
        if connection.is_new() {
            sources.judge(self.fake)?;
        }
        Ok(sources)
    }

    fn run_on(&self, sources: &Sources, session: &mut dyn Session) -> Result<Report> {
        let choose = |facts: &Facts<'_>| self.choose_run(facts);
        let (observed, mut plan) = preflight::plan(sources, session, true, choose)?;
        let facts = sources.facts(&observed.histories, &observed.installed);
        let mut run = Run::new(self.options(), sources, &facts);
        run.warn(registry::gone(&observed.missing_triggers));
        let missing = observed.repairable();
        if plan.is_empty() && !missing.is_empty() {
            plan = facts.plan_steps(vec![Step::RestoreTriggers]);
            let restore = |facts: &Facts<'_>| Ok(facts.plan_steps(vec![Step::RestoreTriggers]));
            run.execute(session, plan, OnChange::PlanAgain(&restore))?;
        } else if !plan.is_empty() {
            run.execute(session, plan, OnChange::PlanAgain(&choose))?;
            // Every commit restores missing triggers.
            if run.has_committed() {
                run.restored(missing);
            }
        }
        if let Some(roles) = self.grant.as_deref()
            && !run.has_granted()
            && session.registry().grants_differ(session, roles)?
        {
            let grant = |facts: &Facts<'_>| Ok(facts.plan_steps(vec![Step::Grant]));
            let observed = observe(sources, session)?;
            let plan = grant(&sources.facts(&observed.histories, &observed.installed))?;
            run.execute(session, plan, OnChange::PlanAgain(&grant))?;
        }
        Ok(run.end(session))
    }

    /// Plans from the current state and executes the plan. With `shown`, returns an error
    /// if the current state differs from the state that the shown plan was made from.
    pub(super) fn change(
        &self,
        connection: &mut impl Connection,
        choose: impl Fn(&Facts<'_>) -> Result<RunPlan>,
        shown: Option<(&Plan, &Basis)>,
    ) -> Result<Report> {
        let sources = self.sources(connection.dialect())?;
        let mut session = self.session(connection, sources.has_functions(), self.lock_wait)?;
        let choose_now = |facts: &Facts<'_>| match shown.and_then(|(_, basis)| basis.difference(facts)) {
            Some(what) => Err(changed(&what)),
            None => choose(facts),
        };
        let (observed, plan) = preflight::plan(&sources, &mut *session, false, choose_now)?;
        let facts = sources.facts(&observed.histories, &observed.installed);
        if let Some((shown, _)) = shown {
            let now = describe::steps(&facts, session.dialect(), &plan)?;
            if let Some(what) = describe::difference(&shown.steps, &now) {
                return Err(changed(&what));
            }
        }
        let mut run = Run::new(self.options(), &sources, &facts);
        run.execute(&mut *session, plan, OnChange::Refuse)?;
        Ok(run.end(&mut *session))
    }

    /// Connects, and sets the trusted roles.
    pub(super) fn session<'c>(
        &self,
        connection: &'c mut impl Connection,
        functions: bool,
        patience: Duration,
    ) -> Result<Box<dyn Session + 'c>> {
        let mut session = connection.session(functions, patience)?;
        session.trust(&self.trust);
        Ok(session)
    }

    /// Connects for reading only, and sets the trusted roles.
    pub(super) fn look<'c>(&self, connection: &'c mut impl Connection) -> Result<Box<dyn Session + 'c>> {
        let mut session = connection.look(GLANCE.min(self.lock_wait))?;
        session.trust(&self.trust);
        Ok(session)
    }

    /// Reads the state. Changes nothing.
    pub(super) fn read_only<T>(
        &self,
        connection: &mut impl Connection,
        read: impl FnOnce(&Sources, &mut dyn Session) -> Result<T>,
    ) -> Result<T> {
        let sources = self.sources_for(connection)?;
        let mut session = self.look(connection)?;
        read(&sources, &mut *session)
    }

    pub(super) fn shown(
        &self,
        sources: &Sources,
        dialect: &'static dyn Dialect,
        observed: &Observation,
        plan: &RunPlan,
        verb: Verb,
        missing: Vec<crate::registry::MissingTrigger>,
    ) -> Result<Plan> {
        let facts = sources.facts(&observed.histories, &observed.installed);
        let warnings = sources.warnings_with(&facts).into_iter();
        let warnings = warnings.chain(registry::gone(&observed.missing_triggers)).collect();
        describe::plan(&facts, dialect, plan, verb, missing, warnings)
    }

    fn choose_run(&self, facts: &Facts<'_>) -> Result<RunPlan> {
        facts.check_version()?;
        facts.judge(self.fake)?;
        facts.check(self.allow)?;
        facts.plan_migrate(self.migrate())
    }

    fn choose_revert(
        &self,
        facts: &Facts<'_>,
        to: &Revert,
        dialect: &'static dyn Dialect,
    ) -> Result<RunPlan> {
        facts.check(self.allow)?;
        let plan = facts.plan_revert(to, self.transaction)?;
        facts.judge_reverting(plan.migrations())?;
        plan.migrations().try_for_each(|node| reverting_operations(facts, node, dialect).map(drop))?;
        Ok(plan)
    }
}
