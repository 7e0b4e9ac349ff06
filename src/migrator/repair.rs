//! Accepting an applied migration's file as it is now.

use super::apply::Run;
use super::{Direction, Done, How, Loaded, Migrator, Report};
use crate::engine::{Session, Transaction};
use crate::error::{Error, Result};
use crate::graph::Node;
use crate::history::checksum;
use crate::model::Statement;
use crate::plan::{Facts, State};

impl Migrator {
    pub(super) fn accept(
        &self,
        loaded: &Loaded,
        session: &mut dyn Session,
        app: &str,
        version: i64,
    ) -> Result<Report> {
        let mut run = Run::new(self, loaded);
        let seen = loaded.see(session)?;
        let facts = loaded.facts(&seen.histories, &seen.installed);
        facts.check_version()?;
        let node = facts.find(app, version)?;
        if is_as_applied(&facts, node) {
            return Ok(run.report(None));
        }
        run.begin(&facts);
        run.transaction(session, |run, transaction, facts| run.accept(transaction, facts, node))?;
        Ok(run.end(session, None))
    }
}

fn is_as_applied(facts: &Facts<'_>, node: Node) -> bool {
    facts.state(node) == State::Applied && !facts.has_other_dependencies(node)
}

impl Run<'_> {
    fn accept(&mut self, transaction: &mut dyn Transaction, facts: &Facts<'_>, node: Node) -> Result<bool> {
        facts.check_version()?;
        let app = &facts.apps[node.0].label;
        let loaded = facts.migration(node);
        match facts.state(node) {
            State::Applied if is_as_applied(facts, node) => return Ok(false),
            State::Applied | State::Divergent => {}
            _ => {
                return Err(Error::usage(format!(
                    "{} is not applied: there is nothing to repair",
                    facts.name(node)
                ))
                .help("`bustard migrate` applies it"));
            }
        }
        transaction.enter(app, &loaded.id.to_string());
        let table = transaction.history_table(app);
        let sum = checksum(&loaded.id, &loaded.text, facts.histories[node.0].width());
        let sql = format!(
            "UPDATE {table} SET name = '{}', checksum = '{sum}' WHERE version = {}",
            loaded.id.name, loaded.id.version
        );
        transaction.execute(Statement::generated(sql, None))?;
        self.replace_record(transaction, facts, node)?;
        self.invalidate(transaction, Direction::Up)?;
        self.open.push(Done {
            app: app.clone(),
            migration: loaded.id.clone(),
            direction: Direction::Up,
            how: How::Repaired,
            registered: Vec::new(),
            unregistered: Vec::new(),
            elapsed: self.started.elapsed(),
        });
        Ok(true)
    }
}
