//! The checks of a plan. All functions are pure.
//!
//! In: facts and planned migrations. Out: errors, which stop a run before it begins, and
//! warnings.

use std::collections::HashMap;

use super::repeatable_state::RepeatableState;
use super::{Facts, State};
use crate::diagnostic::{Action, Advice, Code, Diagnostic, Policy};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Node;
use crate::history::{differences, has_text_of};
use crate::model::{Applied, BUSTARD, Width};

/// The differences between the history and the files that a run accepts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allow {
    pub missing: bool,
    pub divergent: bool,
    pub out_of_order: bool,
    /// Whether replaced texts of repeatable migrations are installed again.
    pub repeat: bool,
}

impl Facts<'_> {
    /// Returns all differences between the history and the files that `allow` does not accept,
    /// as one error. Skips disabled apps.
    pub(crate) fn check(&self, allow: Allow) -> Result<()> {
        self.check_database()?;
        let (mut divergent, mut late) = (Vec::new(), Vec::new());
        for &node in &self.graph.order {
            let (accepts, found) = match self.state(node) {
                State::Divergent => (allow.divergent, &mut divergent),
                State::OutOfOrder => (allow.out_of_order, &mut late),
                State::Superseded => (allow.repeat, &mut divergent),
                _ => continue,
            };
            if !accepts {
                found.extend(self.refusal(node));
            }
        }
        let missing = if allow.missing { Vec::new() } else { self.absent() };
        let kind = match (divergent.is_empty(), missing.is_empty(), late.is_empty()) {
            (true, true, true) => return Ok(()),
            (false, _, _) => ErrorKind::Divergent,
            (true, false, _) => ErrorKind::Missing,
            (true, true, false) => ErrorKind::OutOfOrder,
        };
        divergent.extend(missing);
        divergent.extend(late);
        Err(Error::from_diagnostics(kind, divergent))
    }

    /// Returns the diagnostic of a migration in a state that stops a run, with both values of
    /// what differs. Returns `None` for a disabled app.
    pub(crate) fn refusal(&self, node: Node) -> Option<Diagnostic> {
        if self.is_disabled(node.0) {
            return None;
        }
        let (code, message, advice, action) = match self.state(node) {
            State::Divergent => {
                let row = self.row(node);
                let when = row.map_or("", |row| &row.applied_on);
                let width = self.histories[node.0].width();
                let what = row.map(|row| differences(row, self.migration(node), width));
                let what = what.unwrap_or_default().join(", and ");
                let message = format!("was changed after it was applied on {when}: {what}");
                let advice = "restore the file and make the change in a new migration; or, if the \
                              database is as the file says, accept it: ";
                (Code::DivergentMigration, message, advice, self.repair(node))
            }
            State::OutOfOrder => {
                let message = "is pending, and a later migration of the app is applied already".to_owned();
                let advice = "give it a version above the applied ones, name it U… if the order does not matter, or \
                              allow it: ";
                (Code::OutOfOrderMigration, message, advice, Action::Allow(Policy::OutOfOrder))
            }
            State::Superseded => {
                let when = self.applied_on(node).unwrap_or_default();
                let message = format!(
                    "has a text that was replaced by a newer one on {when}: an older release is at work"
                );
                let advice = "deploy the newest release; or install this text again: ";
                (Code::SupersededMigration, message, advice, Action::Repeat)
            }
            _ => return None,
        };
        Some(self.about(code, node, &message).help(Advice::text(advice).then(action)))
    }

    /// Returns a diagnostic for each history row without a file. If all such rows of an app
    /// are newer than its files, the app gets only one diagnostic: the deployed release is
    /// too old.
    fn absent(&self) -> Vec<Diagnostic> {
        let missing: Vec<(usize, &Applied)> =
            self.missing().filter(|(app, _)| !self.is_disabled(*app)).collect();
        let mut found = Vec::new();
        for rows in missing.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((app, _)) = rows.first() else { continue };
            let label = &self.apps[*app].label;
            let newest = self.apps[*app].versioned().last().map(|last| &last.id);
            if let Some(newest) =
                newest.filter(|newest| rows.iter().all(|(_, row)| row.version > newest.version))
            {
                let names: Vec<String> =
                    rows.iter().map(|(_, row)| format!("V{}__{}", row.version, row.name)).collect();
                let (are, them) = if rows.len() == 1 { ("is", "it") } else { ("are", "them") };
                let message = format!(
                    "the database has a newer release of {label}: {} {are} applied, and the newest file is {newest}",
                    names.join(", ")
                );
                let advice = format!(
                    "deploy the release of {label} that has {them}; or revert {them} with that release first; or \
                     allow it: "
                );
                found.push(
                    Diagnostic::new(Code::NewerRelease, message)
                        .help(Advice::text(advice).then(Action::Allow(Policy::Missing))),
                );
                continue;
            }
            found.extend(rows.iter().map(|(_, row)| {
                let width = self.histories[*app].width();
                let renamed = self.apps[*app].versioned().iter().find(|file| has_text_of(row, file, width));
                let renamed = renamed.map_or_else(String::new, |file| format!(": {} has its text", file.id));
                let message = format!(
                    "{label}:V{}__{} is applied (on {}), and there is no file for it{renamed}",
                    row.version, row.name, row.applied_on
                );
                let advice =
                    Advice::text("restore the file, or deploy the release that has it; or allow it: ");
                Diagnostic::new(Code::MissingMigration, message)
                    .help(advice.then(Action::Allow(Policy::Missing)))
            }));
        }
        found
    }

    /// Refuses a database in which Bustard's own tables are newer than this release, and
    /// one in which a history is not where it was recorded.
    pub(crate) fn check_database(&self) -> Result<()> {
        self.check_version()?;
        self.check_places()
    }

    /// Refuses a database in which Bustard's own tables are newer than this release.
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
        .with_code(Code::NewerBustard)
        .help(format!("use a newer release than {}", env!("CARGO_PKG_VERSION"))))
    }

    /// Refuses a 64-bit version for a history table that was created with 32-bit versions.
    pub(super) fn check_width(&self, node: Node) -> Result<()> {
        let id = &self.migration(node).id;
        if self.histories[node.0].width() == Width::Int8 || i32::try_from(id.version).is_ok() {
            return Ok(());
        }
        let message =
            format!("{}: the app's history table has room for 32-bit versions only", self.name(node));
        let mut found = Diagnostic::new(Code::VersionTooWide, message);
        found.place.clone_from(&self.migration(node).file);
        let help = "give it a version below 2147483648: the feature `int8-versions` widens new tables, and an old one \
                    keeps its width, which is part of its checksums";
        Err(Error::from_diagnostics(ErrorKind::Source, vec![found.help(help)]))
    }

    /// Checks the rights that repeatable migrations require: to write their records, and, for
    /// Bustard's own functions, to replace them.
    pub(super) fn check_records(&self, steps: &[Node]) -> Result<()> {
        let known = &self.installed.repeatables;
        let repeatable = steps.iter().filter(|node| self.migration(**node).is_repeatable());
        let (own, others): (Vec<Node>, Vec<Node>) =
            repeatable.copied().partition(|node| self.apps[node.0].label == BUSTARD);
        if let (Some(owner), false) = (&known.owner, own.is_empty()) {
            let names: Vec<String> = own.iter().map(|node| self.migration(*node).id.to_string()).collect();
            let message = format!(
                "Bustard's own functions must be replaced ({}), and they belong to the role {owner}",
                names.join(", ")
            );
            return Err(Error::new(ErrorKind::Failed, message)
                .help(format!("migrate as {owner}, or as a member of that role")));
        }
        let mut found = Vec::new();
        for node in others {
            if known.read_only {
                let message = "cannot be recorded: this role may not write bustard.repeatable";
                found.push(self.about(Code::UnwritableRecords, node, message).help(
                    "migrate as the owner of the schema bustard; or let it grant SELECT, INSERT and UPDATE on bustard.repeatable",
                ));
            }
        }
        match found.is_empty() {
            true => Ok(()),
            false => Err(Error::from_diagnostics(ErrorKind::Failed, found)),
        }
    }

    /// Refuses pending migrations that depend on a disabled app.
    pub(super) fn check_enabled(&self, steps: &[Node]) -> Result<()> {
        let mut found = Vec::new();
        // If no app is disabled, the loop is skipped, because a run repeats this check
        // under each lock.
        let steps = if self.installed.all_enabled() { &[] } else { steps };
        for &node in steps {
            for asked in &self.migration(node).depends_on {
                let Some(needed) = self.apps.iter().position(|app| app.label == asked.app) else { continue };
                if !self.is_disabled(needed) {
                    continue;
                }
                let which = match self.apps[needed].find_which(&asked.which) {
                    Some(i) => self.name((needed, i)),
                    None => format!("the app {}", asked.app),
                };
                let message =
                    format!("{} depends on {which}, and the app {} is disabled", self.name(node), asked.app);
                let mut diagnostic = Diagnostic::new(Code::DisabledDependency, message);
                diagnostic.place = asked.place.clone().or_else(|| self.migration(node).file.clone());
                let enable = Action::Enable { app: asked.app.clone() };
                found.push(diagnostic.help(Advice::text("enable it first: ").then(enable)));
            }
        }
        match found.is_empty() {
            true => Ok(()),
            false => Err(Error::from_diagnostics(ErrorKind::Failed, found)),
        }
    }

    /// Returns the diagnostic of a copy: what the run does about it, or who can.
    pub(crate) fn copied(&self) -> Option<Diagnostic> {
        let (rest, advice) = match self.installed.keeps_identity {
            true => (
                ", and this role may not give it an identity of its own",
                Advice::text("as the role that owns Bustard's tables, run ").then(Action::Migrate),
            ),
            false => (
                ": the run gives it an identity of its own",
                Advice::text("if it is none, as after an upgrade of the server, this does no harm"),
            ),
        };
        let message = format!("this database is a copy of another one{rest}");
        self.installed.copied.then(|| Diagnostic::new(Code::CopiedDatabase, message).help(advice))
    }

    /// Returns the diagnostics that do not stop a run: those about the texts of pending
    /// migrations, changed dependencies, and dependencies that are applied too late.
    pub(crate) fn warnings(&self) -> Vec<Diagnostic> {
        let mut warnings: Vec<Diagnostic> = self.warnings_of_texts().chain(self.lost_elsewhere()).collect();
        warnings.extend(self.copied().filter(|_| self.installed.keeps_identity));
        let labels: HashMap<&str, usize> =
            self.apps.iter().enumerate().map(|(i, app)| (app.label.as_str(), i)).collect();
        for &node in self.graph.order.iter().filter(|node| !self.is_disabled(node.0)) {
            if self.has_other_dependencies(node) {
                let message = "is applied, and its dependencies were changed since";
                let advice =
                    Advice::text("nothing else was changed; ").then(self.repair(node)).and(" accepts it");
                warnings.push(self.about(Code::ChangedDependencies, node, message).help(advice));
            }
            if self.repeatable(node) == Some(RepeatableState::Edited) {
                let message = "is not what the database has: it was changed there, and is installed again";
                warnings.push(
                    self.about(Code::EditedFunction, node, message)
                        .help("Bustard's functions are its own; put yours into a schema of your own"),
                );
            }
            let migration = self.migration(node);
            let asked = (migration.depends_on.iter().map(|asked| (asked, true)))
                .chain(migration.required_by.iter().map(|asked| (asked, false)));
            for (asked, after) in asked {
                let app = labels.get(asked.app.as_str()).copied().filter(|app| *app != node.0);
                // A dependency on a whole app does not include its future migrations.
                let found = app.and_then(|app| Some((app, self.apps[app].find_which(&asked.which)?)));
                let Some(other) = found else { continue };
                let (first, second) = if after { (other, node) } else { (node, other) };
                // A changed repeatable migration runs again after migrations that once
                // followed it.
                if self.migration(first).is_repeatable()
                    || self.applied(first)
                    || !self.applied(second)
                    || self.is_disabled(first.0)
                {
                    continue;
                }
                let message = format!(
                    "{} is pending, and {}, which should come after it, is applied already",
                    self.name(first),
                    self.name(second)
                );
                let mut found = Diagnostic::new(Code::LateDependency, message);
                found.place = asked.place.clone().or_else(|| self.migration(node).file.clone());
                let advice = "it is applied all the same; check that it does not revert what is there";
                warnings.push(found.help(advice));
            }
        }
        warnings
    }

    fn about(&self, code: Code, node: Node, message: &str) -> Diagnostic {
        let mut found = Diagnostic::new(code, format!("{} {message}", self.name(node)));
        found.place.clone_from(&self.migration(node).file);
        found
    }

    fn repair(&self, node: Node) -> Action {
        let id = &self.migration(node).id;
        Action::Repair {
            app: self.apps[node.0].label.clone(),
            migration: format!("{}{}", id.prefix, id.version),
        }
    }
}
