//! The preflight of a run.
//!
//! In: sources and a session. Out: the state of the database, and a plan with checked cache
//! operations.

use super::caches;
use crate::engine::{Row, Session};
use crate::error::Result;
use crate::history::{Installed, app_rows};
use crate::model::History;
use crate::plan::{Facts, RunPlan, Sources};
use crate::registry::{self, MissingTrigger};
use crate::sql::Dialect;

/// The state of a database before a run.
#[derive(PartialEq, Eq)]
pub(crate) struct Observation {
    pub histories: Vec<History>,
    pub installed: Installed,
    pub missing_triggers: Vec<MissingTrigger>,
}

impl Observation {
    /// Returns the missing triggers that a run can restore.
    pub(crate) fn repairable(&self) -> Vec<MissingTrigger> {
        self.missing_triggers.iter().filter(|table| table.is_repairable()).cloned().collect()
    }
}

/// Reads the state, in one round trip unless a checksum differs.
pub(crate) fn observe(sources: &Sources, session: &mut dyn Session) -> Result<Observation> {
    let dialect = session.dialect();
    let apps = app_rows::query(dialect);
    // If a query fails because one of Bustard's own functions does not exist, `read_with`
    // repeats the reading without the last query.
    let queries = [apps.as_str(), registry::missing_triggers_query(dialect)];
    let (histories, answers) = session.read_with(&sources.tables, &queries)?;
    let mut answers = answers.into_iter();
    let rows = answers.next().unwrap_or_default();
    let installed = app_rows::installed(rows, |app| session.history_table(app))?;
    let missing_triggers = registry::missing_triggers(answers.next().unwrap_or_default());
    let observed = Observation { histories, installed, missing_triggers };
    settle(&sources.facts(&observed.histories, &observed.installed), dialect, |sql| session.rows(sql))?;
    Ok(observed)
}

/// Reads the records of migrations with other checksums, which show whether only
/// dependencies differ.
pub(crate) fn settle(
    facts: &Facts<'_>,
    dialect: &'static dyn Dialect,
    rows: impl FnOnce(&str) -> Result<Vec<Row>>,
) -> Result<()> {
    let doubtful = facts.doubtful();
    if doubtful.is_empty() {
        return Ok(());
    }
    let named =
        |node: &crate::graph::Node| (facts.apps[node.0].label.as_str(), facts.migration(*node).id.version);
    let wanted: Vec<(&str, i64)> = doubtful.iter().map(named).collect();
    let body_checksums = app_rows::body_checksums(rows(&app_rows::body_checksums_query(dialect, &wanted))?)?;
    facts.settle(&doubtful, &body_checksums);
    Ok(())
}

/// Reads the state of the database, makes a plan, and checks its cache operations.
pub(crate) fn plan(
    sources: &Sources,
    session: &mut dyn Session,
    choose: impl Fn(&Facts<'_>) -> Result<RunPlan>,
) -> Result<(Observation, RunPlan)> {
    let mut observed = observe(sources, session)?;
    loop {
        let facts = sources.facts(&observed.histories, &observed.installed);
        let plan = choose(&facts)?;
        let Err(refused) = caches::check(&facts, &plan, session) else {
            return Ok((observed, plan));
        };
        // The registry was read after the histories. If another run has committed in
        // between, the conflict with its caches may not be real.
        let again = observe(sources, session)?;
        if again.histories == observed.histories && again.installed == observed.installed {
            return Err(refused);
        }
        observed = again;
    }
}
