//! The difference between what is to be done and what has been done: which
//! steps a run takes, in which order, and why it must not. Pure: it sees the
//! loaded apps, their graph and the histories, and no connection.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use crate::app::{BUSTARD, LoadedApp, LoadedMigration};
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::graph::{Graph, Node};
use crate::history::{Applied, History, Width, recognises};

/// The one of Bustard's own migrations that makes room for tracked tables.
pub(crate) const TRACKS_TABLES: i64 = 2;

/// Everything that a plan is made from; histories are in the order of the apps.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'f> {
    pub apps: &'f [LoadedApp],
    pub graph: &'f Graph,
    pub histories: &'f [History],
    pub memory: &'f Memory,
}

/// The checksums and names of the history rows that have been recognised, since
/// a run asks again under each lock and would hash every file each time.
#[derive(Debug, Default)]
pub(crate) struct Memory(RefCell<HashMap<Node, (String, String)>>);

/// What may differ from the files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allow {
    pub missing: bool,
    pub divergent: bool,
    pub out_of_order: bool,
}

/// The state of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In the history and unchanged.
    Applied,
    /// To be applied.
    Pending,
    /// To be applied, but older than one that is applied already.
    OutOfOrder,
    /// In the history, but changed since.
    Divergent,
    /// In the history, but without a file.
    Missing,
}

/// What a revert goes back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revert {
    /// To just after this migration of this app; version 0 undoes all of the app.
    To {
        /// The app's label.
        app: String,
        /// The migration version that stays.
        version: i64,
    },
    /// This many migrations, the last in the plan's order first.
    Steps(usize),
}

impl Facts<'_> {
    pub(crate) fn migration(&self, node: Node) -> &LoadedMigration {
        &self.apps[node.0].migrations[node.1]
    }

    fn row(&self, node: Node) -> Option<&Applied> {
        self.histories[node.0].find(self.migration(node).id.version)
    }

    fn applied(&self, node: Node) -> bool {
        self.row(node).is_some()
    }

    /// Whether the row is of this file.
    fn same(&self, node: Node, row: &Applied) -> bool {
        let recognised = |(sum, name): &(String, String)| *sum == row.checksum && *name == row.name;
        if self.memory.0.borrow().get(&node).is_some_and(recognised) {
            return true;
        }
        let same = recognises(row, self.migration(node), self.histories[node.0].width());
        if same {
            self.memory.0.borrow_mut().insert(node, (row.checksum.clone(), row.name.clone()));
        }
        same
    }

    /// How the migration stands.
    pub(crate) fn state(&self, node: Node) -> State {
        match self.row(node) {
            Some(row) if self.same(node, row) => State::Applied,
            Some(_) => State::Divergent,
            None if self.is_late(node) => State::OutOfOrder,
            None => State::Pending,
        }
    }

    /// A `V` below an applied `V`. (Refinery compares with whatever is highest,
    /// so that an applied high `U` makes every pending `V` below it look missing.)
    fn is_late(&self, node: Node) -> bool {
        let id = &self.migration(node).id;
        if id.prefix == crate::version::Prefix::U {
            return false;
        }
        let app = &self.apps[node.0];
        let newest = self.histories[node.0].applied.iter().rev().find(|row| {
            app.find(row.version).is_none_or(|i| app.migrations[i].id.prefix == crate::version::Prefix::V)
        });
        newest.is_some_and(|row| row.version > id.version)
    }

    /// Rows without a file, by app.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (usize, &Applied)> {
        self.apps.iter().zip(self.histories).enumerate().flat_map(|(i, (app, history))| {
            history.applied.iter().filter(|row| app.find(row.version).is_none()).map(move |row| (i, row))
        })
    }

    /// Everything at odds with the files that is not allowed, as one error.
    pub(crate) fn check(&self, allow: Allow) -> Result<()> {
        self.check_version()?;
        let (mut divergent, mut missing, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for &node in &self.graph.order {
            let migration = self.migration(node);
            // Most have none, and a run asks under each lock.
            let problem = |message: &str| {
                let problem = Problem::new(format!("{} {message}", self.name(node)));
                match &migration.file {
                    Some(file) => problem.at(file.clone()),
                    None => problem,
                }
            };
            match self.state(node) {
                State::Divergent if !allow.divergent => {
                    let when = self.row(node).map_or("", |row| &row.applied_on);
                    divergent.push(
                        problem(&format!("was changed after it was applied on {when}")).help(format!(
                            "put the file back as it was and make the change in a new migration; or, if the \
                             database is as the file says, accept it: bustard repair {}:{}{}",
                            self.apps[node.0].label, migration.id.prefix, migration.id.version
                        )),
                    );
                }
                State::OutOfOrder if !allow.out_of_order => late.push(
                    problem("is pending, and a later migration of the app is applied already")
                        .help("give it a version above the applied ones, name it U… if the order does not matter, or allow it: --allow-out-of-order"),
                ),
                _ => {}
            }
        }
        if !allow.missing {
            for (app, row) in self.missing() {
                let label = &self.apps[app].label;
                missing.push(
                    Problem::new(format!(
                        "{label}:V{}__{} is applied (on {}), and there is no file for it",
                        row.version, row.name, row.applied_on
                    ))
                    .help("bring the file back, or deploy the release that has it; or allow it: --allow-missing"),
                );
            }
        }
        let kind = match (divergent.is_empty(), missing.is_empty(), late.is_empty()) {
            (true, true, true) => return Ok(()),
            (false, _, _) => ErrorKind::Divergent,
            (true, false, _) => ErrorKind::Missing,
            (true, true, false) => ErrorKind::OutOfOrder,
        };
        divergent.extend(missing);
        divergent.extend(late);
        Err(Error::problems(kind, divergent))
    }

    /// Bustard's own tables must be ones that this Bustard knows.
    pub(crate) fn check_version(&self) -> Result<()> {
        let own = self.apps.iter().zip(self.histories).find(|(app, _)| app.label == BUSTARD);
        let newer =
            own.and_then(|(app, history)| history.applied.iter().find(|row| app.find(row.version).is_none()));
        let Some(row) = newer else { return Ok(()) };
        Err(Error::new(
            ErrorKind::Missing,
            format!(
                "this database was migrated by a newer Bustard: it has Bustard's own migration V{}",
                row.version
            ),
        )
        .help(format!("use a newer release than {}", env!("CARGO_PKG_VERSION"))))
    }

    /// Whether the registry knows of the tables whose writes invalidate a cache: that
    /// is from the second of Bustard's own migrations on.
    pub(crate) fn tracks_tables(&self) -> bool {
        let own = self.apps.iter().zip(self.histories).find(|(app, _)| app.label == BUSTARD);
        own.is_some_and(|(_, history)| history.find(TRACKS_TABLES).is_some())
    }

    /// The migration as messages name it.
    pub(crate) fn name(&self, node: Node) -> String {
        format!("{}:{}", self.apps[node.0].label, self.migration(node).id)
    }

    /// The node of a migration that the caller named.
    pub(crate) fn find(&self, app: &str, version: i64) -> Result<Node> {
        let index = self.app(app)?;
        self.apps[index].find(version).map(|i| (index, i)).ok_or_else(|| {
            let error = Error::usage(format!("the app {app} has no migration {version}"));
            let migrations = &self.apps[index].migrations;
            match (migrations.first(), migrations.last()) {
                (Some(first), Some(last)) => error.help(format!("it has {} to {}", first.id, last.id)),
                _ => error.help("it has none"),
            }
        })
    }

    fn app(&self, label: &str) -> Result<usize> {
        self.apps.iter().position(|app| app.label == label).ok_or_else(|| {
            let labels: Vec<&str> = self.apps.iter().map(|app| app.label.as_str()).collect();
            Error::usage(format!("there is no app {label}")).help(format!("there are: {}", labels.join(", ")))
        })
    }

    /// The pending migrations in order: all of them, or those that `target`
    /// needs, itself included.
    pub(crate) fn forward(&self, target: Option<(&str, i64)>) -> Result<Vec<Node>> {
        let wanted = match target {
            None => None,
            Some((app, version)) => Some(self.graph.with_needs(self.find(app, version)?)),
        };
        let pending = self.graph.order.iter().copied().filter(|node| !self.applied(*node));
        // Bustard's own tables are needed by whatever else is done at all.
        let own = target.is_some_and(|(app, _)| app == BUSTARD);
        let bustard = |node: &Node| self.apps[node.0].label == BUSTARD;
        let steps: Vec<Node> = pending
            .filter(|node| wanted.as_ref().is_none_or(|w| w.contains(node) || bustard(node) && !own))
            .collect();
        if target.is_some() && !own && steps.iter().all(bustard) {
            return Ok(Vec::new());
        }
        steps.iter().try_for_each(|node| self.fits(*node))?;
        Ok(steps)
    }

    /// Tables of refinery's that were made with 32-bit versions keep them.
    fn fits(&self, node: Node) -> Result<()> {
        let id = &self.migration(node).id;
        if self.histories[node.0].width() == Width::Int8 || i32::try_from(id.version).is_ok() {
            return Ok(());
        }
        let message =
            format!("{}: the app's history table has room for 32-bit versions only", self.name(node));
        let problem = match &self.migration(node).file {
            Some(file) => Problem::new(message).at(file.clone()),
            None => Problem::new(message),
        };
        let help = "give it a version below 2147483648: the feature `int8-versions` widens new tables, and an old one \
                    keeps its width, which is part of its checksums";
        Err(Error::problems(ErrorKind::Source, vec![problem.help(help)]))
    }

    /// One of the migrations, with an applied one that needs it and is not among them.
    pub(crate) fn needed(&self, nodes: &[Node]) -> Option<(Node, Node)> {
        let mut above: HashMap<Node, Node> = nodes.iter().map(|node| (*node, *node)).collect();
        for &node in &self.graph.order {
            let Some(&root) = self.graph.needs(node).iter().find_map(|needed| above.get(needed)) else {
                continue;
            };
            if self.applied(node) && !nodes.contains(&node) {
                return Some((root, node));
            }
            above.entry(node).or_insert(root);
        }
        None
    }

    /// The migrations to undo, in the order of undoing.
    pub(crate) fn backward(&self, revert: &Revert) -> Result<Vec<Node>> {
        let mut chosen: BTreeSet<Node> = BTreeSet::new();
        match revert {
            Revert::Steps(count) => {
                let applied = self.graph.order.iter().rev().copied().filter(|node| self.applied(*node));
                let own = |node: &Node| self.apps[node.0].label == BUSTARD;
                chosen.extend(applied.filter(|node| !own(node)).take(*count));
            }
            Revert::To { app, version } => {
                let index = self.app(app)?;
                if *version != 0 {
                    self.find(app, *version)?;
                }
                if app == BUSTARD {
                    return Err(Error::usage("Bustard's own migrations cannot be reverted"));
                }
                let gone = self.missing().find(|(i, row)| *i == index && row.version > *version);
                if let Some((_, row)) = gone {
                    let name = format!("{app}:V{}__{}", row.version, row.name);
                    return Err(Error::new(
                        ErrorKind::Missing,
                        format!("{name} cannot be undone: its file is missing"),
                    )
                    .help("bring the file back: it says what undoes the migration"));
                }
                let later = (0..self.apps[index].migrations.len()).map(|i| (index, i));
                chosen.extend(
                    later.filter(|node| self.migration(*node).id.version > *version && self.applied(*node)),
                );
            }
        }
        // Whatever needs one of them goes as well, also by way of one that is not applied.
        for &node in &self.graph.order {
            if self.graph.needs(node).iter().any(|needed| chosen.contains(needed)) {
                chosen.insert(node);
            }
        }
        let applied = |node: &Node| chosen.contains(node) && self.applied(*node);
        Ok(self.graph.order.iter().rev().copied().filter(applied).collect())
    }
}
