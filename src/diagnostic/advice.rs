//! What to do about a diagnostic or an error.
//!
//! In: text and actions. Out: advice that is shown as commands or as calls of the library.

use std::borrow::Cow;
use std::fmt;

/// What to do next: a text that may contain [`Action`]s.
///
/// `Display` shows the actions as calls of the library.
/// [`for_command`](Advice::for_command) shows them as commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Cow<'static, str>),
    Action(Action),
}

/// Something that the library and the command can both do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Allow a difference from the files, for this run.
    Allow(Policy),
    /// Apply pending migrations.
    Migrate,
    /// Accept the current file of an applied migration.
    Repair {
        /// The label of the migration's app.
        app: String,
        /// The prefix and the version of the migration, such as `V1`.
        migration: String,
    },
    /// Record migrations as applied, and run only their cache operations.
    Fake,
    /// Start a new history of an app, so that everything is applied again.
    NewHistory {
        /// The label of the app.
        app: String,
    },
    /// Say in which table the history of an app is.
    MovedHistory {
        /// The label of the app.
        app: String,
        /// The table.
        table: String,
    },
    /// Remove the records and the caches of an app, and revert nothing.
    Forget {
        /// The label of the app.
        app: String,
    },
    /// Enable an app.
    Enable {
        /// The label of the app.
        app: String,
    },
    /// Uninstall an app.
    Uninstall {
        /// The label of the app.
        app: String,
    },
    /// Uninstall with all apps that depend on the app.
    Cascade,
    /// Uninstall, and keep the tables of the app.
    KeepData,
    /// Register a cache by hand.
    RegisterCache {
        /// The name of the cache.
        name: String,
    },
    /// Install repeatable migrations again.
    Repeat,
    /// Run each migration in its own transaction.
    TransactionEach,
    /// Wait longer for the locks of other sessions.
    LockWait,
    /// Show the state of all migrations.
    Status,
    /// Trust a role with Bustard's tables and with the histories.
    Trust {
        /// The name of the role.
        role: String,
    },
    /// Name the database by its URL.
    DatabaseUrl,
}

/// A difference from the files that a run may accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Applied migrations without a file.
    Missing,
    /// Applied migrations that differ from their files.
    Divergent,
    /// Pending migrations that are older than applied migrations.
    OutOfOrder,
}

impl Advice {
    /// Starts advice with a text.
    pub(crate) fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Advice { parts: vec![Part::Text(text.into())] }
    }

    /// Appends an action.
    pub(crate) fn then(mut self, action: Action) -> Self {
        self.parts.push(Part::Action(action));
        self
    }

    /// Appends a text.
    pub(crate) fn and(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    /// Appends other advice.
    pub(crate) fn and_then(mut self, other: Advice) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Returns the actions, in the order of the text.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Action(action) => Some(action),
        })
    }

    /// Returns the text with commands of a program such as `bustard`.
    pub fn for_command(&self, program: &str) -> String {
        self.shown(|action| action.as_command(program))
    }

    fn shown(&self, action: impl Fn(&Action) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.to_string(),
            Part::Action(one) => format!("`{}`", action(one)),
        };
        self.parts.iter().map(part).collect()
    }
}

impl From<&'static str> for Advice {
    fn from(text: &'static str) -> Self {
        Advice::text(text)
    }
}

impl From<String> for Advice {
    fn from(text: String) -> Self {
        Advice::text(text)
    }
}

impl From<Action> for Advice {
    fn from(action: Action) -> Self {
        Advice::default().then(action)
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(Action::as_call))
    }
}

impl Action {
    /// Returns the action as a command line, or as an option of the command that was run.
    pub fn as_command(&self, program: &str) -> String {
        match self {
            Action::Allow(Policy::Missing) => "--allow-missing".to_owned(),
            Action::Allow(Policy::Divergent) => "--allow-divergent".to_owned(),
            Action::Allow(Policy::OutOfOrder) => "--allow-out-of-order".to_owned(),
            Action::Migrate => format!("{program} migrate"),
            Action::Repair { app, migration } => format!("{program} repair {app}:{migration}"),
            Action::Fake => format!("{program} migrate --fake"),
            Action::NewHistory { app } => format!("{program} repair --history new {app}"),
            Action::MovedHistory { app, table } => format!("{program} repair --history {table} {app}"),
            Action::Forget { app } => format!("{program} uninstall --forget {app}"),
            Action::Enable { app } => format!("{program} enable {app}"),
            Action::Uninstall { app } => format!("{program} uninstall {app}"),
            Action::Cascade => "--cascade".to_owned(),
            Action::KeepData => "--keep-data".to_owned(),
            Action::RegisterCache { name } => format!("{program} caches register {name}"),
            Action::Repeat => "--repeat".to_owned(),
            Action::TransactionEach => "--transaction each".to_owned(),
            Action::LockWait => "--lock-wait".to_owned(),
            Action::Status => format!("{program} status"),
            Action::Trust { role } => format!("[registry] trust = [{role:?}]"),
            Action::DatabaseUrl => "--database-url".to_owned(),
        }
    }

    /// Returns the action as a call of the library.
    pub fn as_call(&self) -> String {
        match self {
            Action::Allow(Policy::Missing) => "Migrator::allow_missing(true)".to_owned(),
            Action::Allow(Policy::Divergent) => "Migrator::allow_divergent(true)".to_owned(),
            Action::Allow(Policy::OutOfOrder) => "Migrator::allow_out_of_order(true)".to_owned(),
            Action::Migrate => "Migrator::run".to_owned(),
            Action::Repair { app, migration } => {
                let version = migration.trim_start_matches(|c: char| !c.is_ascii_digit());
                format!("Migrator::repair(…, &Repair::migration({app:?}, {version}))")
            }
            Action::Fake => "Migrator::fake(true)".to_owned(),
            Action::NewHistory { app } => {
                format!("Migrator::repair(…, &Repair::NewHistory {{ app: Some({app:?}) }})")
            }
            Action::MovedHistory { app, table } => {
                format!("Migrator::repair(…, &Repair::History {{ app: Some({app:?}), table: {table:?} }})")
            }
            Action::Forget { app } => {
                format!("Migrator::uninstall(…, Uninstall::new({app:?}).forget(true))")
            }
            Action::Enable { app } => format!("Migrator::enable(…, {app:?})"),
            Action::Uninstall { app } => format!("Migrator::uninstall(…, Uninstall::new({app:?}))"),
            Action::Cascade => "Uninstall::cascade".to_owned(),
            Action::KeepData => "Uninstall::keep_data".to_owned(),
            Action::RegisterCache { name } => format!("registry::register(…, {name:?})"),
            Action::Repeat => "Migrator::repeat(true)".to_owned(),
            Action::TransactionEach => "Migrator::transaction(TransactionMode::Each)".to_owned(),
            Action::LockWait => "Migrator::lock_wait".to_owned(),
            Action::Status => "Migrator::status".to_owned(),
            Action::Trust { role } => format!("Migrator::trust([{role:?}])"),
            Action::DatabaseUrl => "a URL".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_shown_as_commands_or_as_calls() {
        let repair = Action::Repair { app: "main".into(), migration: "U12".into() };
        let advice =
            Advice::text("allow it: ").then(Action::Allow(Policy::OutOfOrder)).and("; or ").then(repair);
        assert_eq!(
            advice.for_command("forum"),
            "allow it: `--allow-out-of-order`; or `forum repair main:U12`"
        );
        assert_eq!(
            advice.to_string(),
            "allow it: `Migrator::allow_out_of_order(true)`; or `Migrator::repair(…, &Repair::migration(\"main\", 12))`"
        );
        assert_eq!(advice.actions().count(), 2);
    }
}
