//! The preflight of a run.
//!
//! In: sources and a session. Out: the state of the database, and a plan with checked cache
//! operations.

use std::collections::BTreeMap;

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
    /// The owners of those caches that are registered and that a loaded migration registers.
    pub owners: BTreeMap<String, Option<String>>,
    pub missing_triggers: Vec<MissingTrigger>,
}

impl Observation {
    /// Returns whether nothing has changed between the two readings. The histories are read
    /// before the records and the registry. If another run commits in between, they contradict
    /// each other, so a contradiction is real only if a second reading is still the same.
    fn is_still(&self, before: &Observation) -> bool {
        self.histories == before.histories && self.installed == before.installed
    }

    /// Returns the missing triggers that a run can restore.
    pub(crate) fn repairable(&self) -> Vec<MissingTrigger> {
        self.missing_triggers.iter().filter(|table| table.is_repairable()).cloned().collect()
    }
}

/// Reads the state, in one round trip unless a checksum differs or a history is kept in
/// another table than the configuration says. Refuses a database in which a history is not
/// where it was recorded.
pub(crate) fn observe(sources: &Sources, session: &mut dyn Session) -> Result<Observation> {
    let mut observed = observe_anywhere(sources, session)?;
    loop {
        let Err(refused) = sources.facts(&observed.histories, &observed.installed).check_places() else {
            return Ok(observed);
        };
        let again = observe_anywhere(sources, session)?;
        if again.is_still(&observed) {
            return Err(refused);
        }
        observed = again;
    }
}

/// Reads the state like [`observe`], wherever the histories are.
pub(crate) fn observe_anywhere(sources: &Sources, session: &mut dyn Session) -> Result<Observation> {
    let observed = look(sources, session)?;
    let facts = sources.facts(&observed.histories, &observed.installed);
    let pinned: Vec<_> =
        facts.pinned().filter_map(|(app, recorded)| Some((app, recorded.table()?))).collect();
    if pinned.is_empty() {
        return Ok(observed);
    }
    for (app, table) in pinned {
        sources.keep_history_in(app, table);
    }
    look(sources, session)
}

/// Reads the state of the database, with the histories in the tables of `sources`.
pub(crate) fn look(sources: &Sources, session: &mut dyn Session) -> Result<Observation> {
    let dialect = session.dialect();
    let apps = app_rows::query(dialect);
    // If one of Bustard's own functions does not exist, the last query is left out first.
    let names = caches::registered_names(&sources.apps);
    let owners = registry::owners_query(dialect, &names);
    let queries = [apps.as_str(), owners.as_str(), registry::missing_triggers_query(dialect)];
    let (histories, answers) = session.read_with(&sources.tables(), &queries)?;
    let mut answers = answers.into_iter();
    let own = sources.facts(&histories, &Installed::default()).has_registry();
    let installed = match answers.next() {
        Some(rows) => app_rows::installed(rows)?,
        None if own => Installed::unreadable(),
        None => Installed::default(),
    };
    let owners = caches::owners_of(answers.next().unwrap_or_default());
    let missing_triggers = registry::missing_triggers(answers.next().unwrap_or_default());
    let observed = Observation { histories, installed, owners, missing_triggers };
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

/// Reads the state of the database, makes a plan, and checks its cache operations. With
/// `restore`, the plan also registers the caches again that applied migrations registered
/// and that are not registered.
pub(crate) fn plan(
    sources: &Sources,
    session: &mut dyn Session,
    restore: bool,
    choose: impl Fn(&Facts<'_>) -> Result<RunPlan>,
) -> Result<(Observation, RunPlan)> {
    let mut observed = observe(sources, session)?;
    loop {
        let facts = sources.facts(&observed.histories, &observed.installed);
        let mut plan = choose(&facts)?;
        if restore {
            plan.restore_caches(&facts, caches::lost(&facts, &observed.owners));
        }
        let Err(refused) = caches::check(&facts, &plan, session) else {
            return Ok((observed, plan));
        };
        let again = observe(sources, session)?;
        if again.is_still(&observed) {
            return Err(refused);
        }
        observed = again;
    }
}
