//! The look before anything is changed: histories, how apps stand, and the steps
//! that a run would take, with their cache operations tried out.

use super::{Direction, Loaded, Migrator, caches};
use crate::engine::{Row, Session};
use crate::error::Result;
use crate::graph::Node;
use crate::history::{Installed, app_rows};
use crate::model::History;
use crate::plan::Facts;
use crate::registry::{self, UntrackedTable};
use crate::sql::Dialect;

/// What a database looks like.
#[derive(PartialEq, Eq)]
pub(super) struct Seen {
    pub histories: Vec<History>,
    pub installed: Installed,
    pub untracked: Vec<UntrackedTable>,
}

/// What there is to do.
pub(super) struct Found {
    pub seen: Seen,
    pub steps: Vec<Node>,
    /// The apps whose data was kept and which come back.
    pub returning: Vec<usize>,
}

impl Found {
    pub(super) fn is_nothing(&self) -> bool {
        self.steps.is_empty() && self.returning.is_empty()
    }

    /// Where triggers are missing that a run puts back.
    pub(super) fn repairable(self) -> Vec<UntrackedTable> {
        let mut untracked = self.seen.untracked;
        untracked.retain(UntrackedTable::is_repairable);
        untracked
    }
}

impl Loaded {
    /// Reads everything, in one round trip unless a checksum differs.
    pub(super) fn see(&self, session: &mut dyn Session) -> Result<Seen> {
        let dialect = session.dialect();
        let queries = [registry::untracked_query(dialect), app_rows::apps_query(dialect)];
        let (histories, answers) = session.read_with(&self.tables, &queries)?;
        let mut answers = answers.into_iter();
        let untracked = registry::untracked(answers.next().unwrap_or_default());
        let rows = answers.next().unwrap_or_default();
        let installed = app_rows::installed(rows, |app| session.history_table(app))?;
        let seen = Seen { histories, installed, untracked };
        settle(&self.facts(&seen.histories, &seen.installed), dialect, |sql| session.rows(sql))?;
        Ok(seen)
    }
}

/// Has records decide where checksums differ.
pub(super) fn settle(
    facts: &Facts<'_>,
    dialect: &'static dyn Dialect,
    rows: impl FnOnce(&str) -> Result<Vec<Row>>,
) -> Result<()> {
    let doubtful = facts.doubtful();
    if doubtful.is_empty() {
        return Ok(());
    }
    let named = |node: &Node| (facts.apps[node.0].label.as_str(), facts.migration(*node).id.version);
    let wanted: Vec<(&str, i64)> = doubtful.iter().map(named).collect();
    let bodies = app_rows::bodies(rows(&app_rows::bodies_query(dialect, &wanted))?)?;
    facts.settle(&doubtful, &bodies);
    Ok(())
}

impl Migrator {
    /// What the database looks like before anything is changed, and the steps to
    /// take, with their cache operations tried out.
    pub(super) fn look(
        &self,
        loaded: &Loaded,
        session: &mut dyn Session,
        direction: Direction,
        choose: impl Fn(&Facts<'_>) -> Result<Vec<Node>>,
    ) -> Result<Found> {
        let mut seen = loaded.see(session)?;
        loop {
            let facts = loaded.facts(&seen.histories, &seen.installed);
            facts.check(self.allow)?;
            let steps = choose(&facts)?;
            let returning = match direction {
                Direction::Up => facts.returning(self.wanted())?,
                Direction::Down => Vec::new(),
            };
            let Err(refused) = caches::check(&facts, &steps, &returning, direction, session) else {
                return Ok(Found { seen, steps, returning });
            };
            // The registry has been read after the history. If another run has
            // committed in between, its caches only look as if they were in the way.
            let again = loaded.see(session)?;
            if again.histories == seen.histories && again.installed == seen.installed {
                return Err(refused);
            }
            seen = again;
        }
    }
}
