//! The effects of an uninstall, and the reasons to refuse it. The functions are pure.
//!
//! In: the records of apps, their histories, and the code of loaded apps. Out: the apps
//! with the operations that revert each applied migration. The operations come from the
//! code if the code was applied as it is now, otherwise from the record. So lost or changed
//! files do not prevent an uninstall.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use crate::diagnostic::{Action, Advice, Code, Diagnostic};
use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::history::{Installed, Likeness, Record, RecordedRevert, body_checksum, likeness, text_checksum};
use crate::model::{
    Applied, Dependency, History, HistoryTable, LoadedApp, LoadedMigration, Migration, MigrationId,
    Operation, Prefix, Which,
};
use crate::plan::{Sources, places};
use crate::report::{Dependant, Uninstall};
use crate::source;
use crate::sql::{Dialect, Effects};

/// The records of the database, beside the histories.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub installed: Installed,
    pub records: Vec<Record>,
    /// The installed repeatable migrations.
    pub repeatables: Vec<RecordedRevert>,
    /// The owners of all registered caches.
    pub owners: BTreeMap<String, Option<String>>,
    /// The last owners of caches that are no longer registered.
    pub former: BTreeMap<String, Option<String>>,
}

/// The migrations that an uninstall reverts, and its obstacles.
pub(crate) struct Removal {
    /// Bustard's own app, the uninstalled app, and the apps that depend on it.
    pub sources: Sources,
    /// The uninstalled apps, in the order in which their last migration is reverted.
    pub leaving: Vec<String>,
    /// The migrations to revert, in order.
    pub order: Vec<Node>,
    pub dependants: Vec<Dependant>,
    /// The diagnostics of migrations that cannot be reverted.
    pub stuck: HashMap<Node, Diagnostic>,
    pub obstacles: Vec<Diagnostic>,
}

impl Known {
    /// Refuses a history that is not where it was recorded, or not the recorded one.
    pub(crate) fn check_place(&self, app: &str, history: &History) -> Result<()> {
        places::refused(self.installed.lost(app, history).into_iter().collect())
    }

    /// Returns the app and all apps that depend on it, directly or indirectly.
    pub(crate) fn concerned(&self, app: &str) -> BTreeSet<String> {
        closure(app, self.records.iter(), &self.repeatables)
    }

    fn record(&self, app: &str, version: i64) -> Option<&Record> {
        self.records.iter().find(|record| record.app == app && record.version == version)
    }
}

fn closure<'r>(
    app: &str,
    records: impl Iterator<Item = &'r Record> + Clone,
    repeatables: &[RecordedRevert],
) -> BTreeSet<String> {
    let mut found = BTreeSet::from([app.to_owned()]);
    loop {
        let needing =
            records.clone().filter(|record| record.dependencies.iter().any(|(app, _)| found.contains(app)));
        let repeatables =
            repeatables.iter().filter(|one| one.depends_on.iter().any(|(app, _)| found.contains(app)));
        let labels = needing.map(|record| &record.app).chain(repeatables.map(|one| &one.app));
        let more: Vec<String> = labels.cloned().collect();
        let before = found.len();
        found.extend(more);
        if found.len() == before {
            return found;
        }
    }
}

impl Removal {
    /// Computes the removal. `tables` and `histories` belong to Bustard's own app, which
    /// comes first in `code`, and then to the concerned apps in order.
    pub(crate) fn new(
        dialect: &'static dyn Dialect,
        what: &Uninstall,
        known: &Known,
        code: &[LoadedApp],
        tables: Vec<HistoryTable>,
        histories: &[History],
    ) -> Removal {
        let applied: HashMap<(&str, i64), &Applied> = (tables.iter().zip(histories))
            .flat_map(|(table, history)| {
                history.applied.iter().map(|row| ((table.app.as_str(), row.version), row))
            })
            .collect();
        let current = known
            .records
            .iter()
            .filter(|record| applied.contains_key(&(record.app.as_str(), record.version)));
        let concerned = closure(&what.app, current.clone(), &known.repeatables);
        let mut dependants = dependants(what, current, &concerned, &applied);
        dependants.extend(repeatable_dependants(what, &known.repeatables, &concerned));
        dependants.sort();
        let leaving = if what.cascade { concerned } else { BTreeSet::from([what.app.clone()]) };

        let mut dropped = all_dropping(dialect, &known.repeatables, &tables[1..], code);
        let there = |app: &str, version| applied.contains_key(&(app, version));
        retain_dependencies(&mut dropped, &tables[1..], there);
        let mut apps: Vec<LoadedApp> = code.iter().take(1).cloned().collect();
        let mut stuck = HashMap::new();
        for (table, history) in tables.iter().zip(histories).skip(1) {
            let a = apps.len();
            let code = code.iter().skip(1).find(|app| app.label == table.app);
            let mut migrations = Vec::new();
            for row in &history.applied {
                let record = known.record(&table.app, row.version);
                let (mut loaded, wrong) = reverting(dialect, &table.app, history, row, code, record);
                let needs = record.map_or(&[][..], |record| &record.dependencies);
                let required_by = record.map_or(&[][..], |record| &record.required_by);
                let there = |asked: &[(String, i64)]| -> Vec<Dependency> {
                    let there = asked.iter().filter(|(app, version)| {
                        tables[1..].iter().any(|t| t.app == *app) && applied.contains_key(&(app, *version))
                    });
                    let one = |(app, version): &(String, i64)| Dependency {
                        app: app.clone(),
                        which: Which::Version(*version),
                        place: None,
                    };
                    there.map(one).collect()
                };
                loaded.depends_on = there(needs);
                loaded.required_by = there(required_by);
                stuck.extend(wrong.map(|diagnostic| ((a, migrations.len()), diagnostic)));
                migrations.push(loaded);
            }
            for (loaded, wrong) in dropped.remove(&table.app).into_iter().flatten() {
                stuck.extend(wrong.map(|diagnostic| ((a, migrations.len()), diagnostic)));
                migrations.push(loaded);
            }
            apps.push(LoadedApp { label: table.app.clone(), history: None, migrations, edition: None });
        }

        let mut obstacles = Vec::new();
        let none = HashSet::new();
        let graph = Graph::new(&one_by_one(&apps), &none).or_else(|_| Graph::new(&apps, &none));
        let graph = graph.unwrap_or_else(|diagnostics| {
            obstacles.extend(diagnostics.into_iter().map(|(_, diagnostic)| diagnostic));
            Graph::default()
        });
        let order: Vec<Node> = match what.keep_data || what.forget {
            true => Vec::new(),
            false => {
                graph.order.iter().rev().copied().filter(|(a, _)| leaving.contains(&apps[*a].label)).collect()
            }
        };
        stuck.retain(|node, _| order.contains(node));
        let last = |label: &String| order.iter().rposition(|(a, _)| apps[*a].label == *label);
        let mut leaving: Vec<String> = leaving.into_iter().collect();
        leaving.sort_by_key(last);
        let sources = Sources::new(apps, graph, tables, Vec::new());
        let mut removal = Removal { sources, leaving, order, dependants, stuck, obstacles };
        removal.obstruct(what);
        removal.settle(known);
        removal
    }

    /// Adds the obstacles: dependent apps, and migrations that cannot be reverted.
    fn obstruct(&mut self, what: &Uninstall) {
        if !what.cascade {
            let mut needing: BTreeMap<&str, &Dependant> = BTreeMap::new();
            for dependant in &self.dependants {
                needing.entry(&dependant.app).or_insert(dependant);
            }
            self.obstacles.extend(needing.into_values().map(|Dependant { app, migration, needs }| {
                let message = format!("the app {app} depends on it: {app}:{migration} depends on {needs}");
                let advice = Advice::text(format!("uninstall {app} as well: "));
                Diagnostic::new(Code::DependentApp, message).help(advice.then(Action::Cascade))
            }));
        }
        let stuck = self.order.iter().filter_map(|node| self.stuck.get(node));
        self.obstacles.extend(stuck.cloned());
    }

    /// Returns migrations that stay, and that a reverted migration names in `required by`.
    pub(crate) fn staying<'k>(&self, known: &'k Known) -> impl Iterator<Item = (&'k Record, (&'k str, i64))> {
        let goes = |(a, m): &Node| {
            let app = &self.sources.apps[*a];
            known.record(&app.label, app.migrations[*m].id.version)
        };
        let asked = self.order.iter().filter_map(goes).flat_map(|record| {
            record.required_by.iter().map(move |(app, version)| (record, (app.as_str(), *version)))
        });
        asked.filter(|(_, (app, version))| {
            !self.leaving.iter().any(|leaving| leaving == app) && known.record(app, *version).is_some()
        })
    }

    /// Removes cache operations that have no effect, take a cache from another app, or
    /// return a cache to an app that is not installed. They occur if the registry was
    /// changed by hand, or an app was uninstalled since.
    fn settle(&mut self, known: &Known) {
        let mut owners = known.owners.clone();
        let leaving = &self.leaving;
        let gone = |name: &String| {
            let owner = known.former.get(name).and_then(Option::as_ref);
            owner.is_some_and(|owner| !known.installed.apps.contains_key(owner))
        };
        for (a, m) in &self.order {
            let migration = self.sources.apps[*a].migrations[*m].migration_mut();
            if let Some(operations) = migration.and_then(|migration| migration.down.as_mut()) {
                operations.retain(|operation| match operation {
                    Operation::RegisterCache(register) => match owners.contains_key(&register.name) {
                        true => false,
                        false if register.keeps_owner && gone(&register.name) => false,
                        false => owners.insert(register.name.clone(), None).is_none(),
                    },
                    Operation::ChangeCache(change) => match owners.get(&change.name) {
                        None => false,
                        Some(owner) => owner.as_ref().is_none_or(|owner| leaving.contains(owner)),
                    },
                    Operation::UnregisterCache(unregister) => match owners.get(&unregister.name) {
                        None => false,
                        Some(Some(owner)) if !leaving.contains(owner) => false,
                        Some(_) => owners.remove(&unregister.name).is_some(),
                    },
                    Operation::Sql(_) | Operation::Schema(_) | Operation::Function(_) => true,
                });
            }
        }
    }

    /// Returns the registered caches of the uninstalled apps.
    pub(crate) fn caches(&self, owners: &BTreeMap<String, Option<String>>) -> Vec<String> {
        let leaves =
            |owner: &Option<String>| owner.as_ref().is_some_and(|owner| self.leaving.contains(owner));
        owners.iter().filter(|(_, owner)| leaves(owner)).map(|(name, _)| name.clone()).collect()
    }

    /// Returns what the reverting operations drop.
    pub(crate) fn effects(&self, dialect: &'static dyn Dialect) -> Result<Effects> {
        let mut effects = Effects::new(dialect.syntax());
        let down =
            self.order.iter().flat_map(|(a, m)| &self.sources.apps[*a].migrations[*m].migration().down);
        for operation in down.flatten() {
            match operation {
                Operation::Sql(sql) => sql.each(dialect, &mut |one| {
                    effects.read(&one.sql);
                    Ok(())
                })?,
                Operation::Schema(schema) => {
                    effects.read(&schema.sql(dialect).unwrap_or_default());
                }
                Operation::Function(function) => {
                    effects.unknown(&format!("the function {}", function.label()));
                }
                // A cache holds no data of its own.
                Operation::RegisterCache(_) | Operation::ChangeCache(_) | Operation::UnregisterCache(_) => {}
            }
        }
        Ok(effects)
    }
}

/// Adds dependencies on whole apps: an app is reverted before its dependencies.
fn one_by_one(apps: &[LoadedApp]) -> Vec<LoadedApp> {
    let mut apps = apps.to_vec();
    for app in &mut apps {
        let needed: BTreeSet<String> = (app.migrations.iter())
            .flat_map(|loaded| &loaded.depends_on)
            .map(|dependency| dependency.app.clone())
            .filter(|other| *other != app.label)
            .collect();
        if let Some(first) = app.migrations.first_mut() {
            let whole = needed.into_iter().map(|app| Dependency { app, which: Which::All, place: None });
            first.depends_on.extend(whole);
        }
    }
    apps
}

/// Returns the migrations of other apps that depend on removed migrations.
fn dependants<'r>(
    what: &Uninstall,
    records: impl Iterator<Item = &'r Record>,
    concerned: &BTreeSet<String>,
    applied: &HashMap<(&str, i64), &Applied>,
) -> Vec<Dependant> {
    let name = |app: &str, version: i64| match applied.get(&(app, version)) {
        Some(row) => format!("{app}:V{version}__{}", row.name),
        // Version 0 stands for a repeatable migration of the app.
        None if version == 0 => app.to_owned(),
        None => format!("{app}:V{version}"),
    };
    let mut found = Vec::new();
    for record in records.filter(|record| record.app != what.app) {
        for (app, version) in record.dependencies.iter().filter(|(app, _)| concerned.contains(app)) {
            let row = applied.get(&(record.app.as_str(), record.version));
            found.push(Dependant {
                app: record.app.clone(),
                migration: MigrationId {
                    version: record.version,
                    prefix: Prefix::V,
                    name: row.map_or_else(String::new, |row| row.name.clone()),
                },
                needs: name(app, *version),
            });
        }
    }
    found.sort();
    found
}

/// Returns the repeatable migrations of other apps that depend on removed migrations.
fn repeatable_dependants(
    what: &Uninstall,
    repeatables: &[RecordedRevert],
    concerned: &BTreeSet<String>,
) -> Vec<Dependant> {
    let mut found = Vec::new();
    for one in repeatables.iter().filter(|one| one.app != what.app) {
        let others = one.depends_on.iter().filter(|(app, _)| *app != one.app && concerned.contains(app));
        found.extend(others.map(|(app, which)| Dependant {
            app: one.app.clone(),
            migration: MigrationId::repeatable(&one.name),
            needs: match which {
                Which::All => app.clone(),
                Which::Version(version) => format!("{app}:V{version}"),
                Which::Repeatable(name) => format!("{app}:R__{name}"),
            },
        }));
    }
    found
}

/// Returns an applied migration with its reverting operations, or a diagnostic.
fn reverting(
    dialect: &'static dyn Dialect,
    app: &str,
    history: &History,
    row: &Applied,
    code: Option<&LoadedApp>,
    record: Option<&Record>,
) -> (LoadedMigration, Option<Diagnostic>) {
    let mut id = MigrationId { version: row.version, prefix: Prefix::V, name: row.name.clone() };
    let same = code.and_then(|code| {
        let found = &code.migrations[code.find(row.version)?];
        match likeness(row, found, history.width()) {
            Likeness::Same | Likeness::OtherDependencies => Some(found),
            Likeness::Different => {
                let same = record.is_some_and(|record| {
                    body_checksum(found).is_ok_and(|body| record.body_checksum == body)
                });
                same.then_some(found)
            }
        }
    });
    let mut file = None;
    let operations = if let Some(found) = same {
        id.prefix = found.id.prefix;
        file.clone_from(&found.file);
        found.migration().revert_operations().map_err(|operation| {
            let what = operation.describe(dialect);
            let message = format!("{app}:{id} cannot be reverted: {what}");
            let error =
                Diagnostic::new(Code::IrreversibleMigration, message).help(or_leave(Advice::default()));
            match operation.place().or(found.file.as_ref()) {
                Some(place) => error.at(place.clone()),
                None => error,
            }
        })
    } else {
        recorded(dialect, app, &id, record, code.is_some())
    };
    let (down, stuck) = match operations {
        Ok(operations) => (operations, same.and_then(LoadedMigration::refusal)),
        Err(error) => (Vec::new(), Some(error)),
    };
    let migration = Migration { down: Some(down), ..Migration::new() };
    (LoadedMigration::of(id, migration, file), stuck)
}

/// Repeatable migrations that drop something, by app. An unusable one has a diagnostic.
type Dropped = HashMap<String, Vec<(LoadedMigration, Option<Diagnostic>)>>;

fn all_dropping(
    dialect: &'static dyn Dialect,
    repeatables: &[RecordedRevert],
    tables: &[HistoryTable],
    code: &[LoadedApp],
) -> Dropped {
    let mut dropped = Dropped::new();
    for recorded in repeatables.iter().filter(|one| tables.iter().any(|table| table.app == one.app)) {
        let code = code.iter().skip(1).find(|app| app.label == recorded.app);
        let (loaded, wrong) = dropping(dialect, recorded, code);
        if wrong.is_some() || loaded.migration().down.iter().flatten().next().is_some() {
            dropped.entry(recorded.app.clone()).or_default().push((loaded, wrong));
        }
    }
    dropped
}

/// Removes dependencies on unapplied migrations. `there` is whether a version is applied.
fn retain_dependencies(dropped: &mut Dropped, tables: &[HistoryTable], there: impl Fn(&str, i64) -> bool) {
    let name = |app: &str, name: &str| (app.to_owned(), name.to_owned());
    let names: HashSet<(String, String)> =
        dropped.iter().flat_map(|(app, all)| all.iter().map(|(one, _)| name(app, &one.id.name))).collect();
    for (loaded, _) in dropped.values_mut().flatten() {
        loaded.depends_on.retain(|asked| match &asked.which {
            Which::All => tables.iter().any(|table| table.app == asked.app),
            Which::Version(version) => there(&asked.app, *version),
            Which::Repeatable(repeatable) => names.contains(&name(&asked.app, repeatable)),
        });
    }
}

/// Returns an installed repeatable migration with the operations that drop its objects: its
/// `down`, from the code if the code is what was installed, and otherwise from the record.
fn dropping(
    dialect: &'static dyn Dialect,
    recorded: &RecordedRevert,
    code: Option<&LoadedApp>,
) -> (LoadedMigration, Option<Diagnostic>) {
    let (app, id) = (&recorded.app, MigrationId::repeatable(&recorded.name));
    let found = code.and_then(|code| Some(&code.migrations[code.find_repeatable(&recorded.name)?]));
    let same = found.filter(|found| text_checksum(found) == recorded.checksum);
    let operations = match (same, &recorded.irreversible) {
        (Some(found), _) => Ok(found.migration().revert_repeatable()),
        (None, Some(why)) => {
            let message = format!("{app}:{id} cannot be dropped from what is recorded: {why}");
            let help = "run the host's command, which has the app's code as it was installed; or ";
            Err(Diagnostic::new(Code::UnusableRecord, message).help(or_leave(help.into())))
        }
        (None, None) => {
            let place = format!("{app} {id} (recorded in the database)");
            source::reverting::read(Path::new(&place), &recorded.revert, dialect).map_err(|errors| {
                errors.into_iter().next().unwrap_or_else(|| {
                    let message = format!("{app}:{id} cannot be dropped: its record is unreadable");
                    Diagnostic::new(Code::UnusableRecord, message)
                })
            })
        }
    };
    let asked = |(label, which): &(String, Which)| Dependency {
        app: label.clone(),
        which: which.clone(),
        place: None,
    };
    let (down, wrong) = match operations {
        Ok(operations) => (operations, same.and_then(LoadedMigration::refusal)),
        Err(diagnostic) => (Vec::new(), Some(diagnostic)),
    };
    let depends_on = recorded.depends_on.iter().map(asked).collect();
    let migration = Migration { down: Some(down), depends_on, ..Migration::new() };
    let file = same.and_then(|found| found.file.clone());
    (LoadedMigration::of(id, migration, file), wrong)
}

/// Adds the advice that the tables can stay.
fn or_leave(advice: Advice) -> Advice {
    advice.then(Action::KeepData).and(" leaves its tables where they are")
}

/// Reads the operations that revert a migration from its record.
fn recorded(
    dialect: &'static dyn Dialect,
    app: &str,
    id: &MigrationId,
    record: Option<&Record>,
    has_code: bool,
) -> Result<Vec<Operation>, Diagnostic> {
    let Some(record) = record else {
        let message = format!("{app}:{id} is applied, and what reverts it is not recorded");
        let error = Diagnostic::new(Code::UnusableRecord, message);
        return Err(error.help(or_leave("uninstall it with its file in place; or ".into())));
    };
    if let Some(why) = &record.irreversible {
        let message = format!("{app}:{id} cannot be reverted from what is recorded: {why}");
        let advice = match has_code {
            true => "its file is not the applied one: restore it; or ",
            false => "if the app's code can revert it, run the host's command, which has it; or ",
        };
        return Err(Diagnostic::new(Code::UnusableRecord, message).help(or_leave(advice.into())));
    }
    let place = format!("{app} {id} (recorded in the database)");
    source::reverting::read(Path::new(&place), &record.revert, dialect).map_err(|errors| {
        errors.into_iter().next().unwrap_or_else(|| {
            let message = format!("{app}:{id} cannot be reverted: its record is unreadable");
            Diagnostic::new(Code::UnusableRecord, message)
        })
    })
}
