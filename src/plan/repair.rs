//! What can be repaired.

/// What to repair.
///
/// ```
/// use bustard::Repair;
///
/// let what = Repair::migration("main", 3);
/// assert_eq!(what, Repair::Migration { app: "main".to_owned(), version: 3 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Accepts the current file of an applied migration: replaces the checksum and the name
    /// in the history.
    Migration {
        /// The app's label.
        app: String,
        /// The version of the migration.
        version: i64,
    },
    /// Forgets the recorded history of an app. The table that the configuration and the
    /// search path lead to is its history from now on, and is created if it does not exist.
    NewHistory {
        /// The app's label; `None` for every app whose history is lost.
        app: Option<String>,
    },
    /// Takes a table as the history of an app, wherever the configuration and the search path
    /// lead to.
    History {
        /// The app's label; `None` for the only app whose history is lost.
        app: Option<String>,
        /// The table, as written in SQL.
        table: String,
    },
    /// Gives the database a new identity, for a copy that cannot be told from the original: a
    /// promoted standby, a snapshot of a file system, a SQLite file.
    NewIdentity,
}

impl Repair {
    /// Accepts the current file of this migration.
    pub fn migration(app: impl Into<String>, version: i64) -> Self {
        Repair::Migration { app: app.into(), version }
    }
}
