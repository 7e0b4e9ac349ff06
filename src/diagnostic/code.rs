//! The registry of codes: every kind of finding, with its stable word and its meaning.
//!
//! In: a word. Out: a code, its severity and its meaning.

use std::fmt;
use std::str::FromStr;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// The finding stops a run.
    Error,
    /// A run continues. The result may differ from what was intended.
    Warning,
    /// The finding is information only.
    Note,
}

impl Severity {
    /// Returns the word for the severity: `error`, `warning` or `note`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($(#[doc = $meaning:literal] $code:ident: $word:literal, $severity:ident;)*) => {
        /// The kind of finding of a diagnostic or an error.
        ///
        /// ```
        /// use bustard::diagnostic::Code;
        ///
        /// assert_eq!("dependency-cycle".parse(), Ok(Code::DependencyCycle));
        /// assert_eq!(Code::DependencyCycle.meaning(), "Migrations depend on one another in a cycle.");
        /// assert!(Code::ALL.contains(&Code::DependencyCycle));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $meaning] $code,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Code] = &[$(Code::$code,)*];

            /// Returns the stable word for the code, such as `duplicate-version`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$code => $word,)*
                }
            }

            /// Returns the meaning of the code, in one line.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Code::$code => $meaning.trim_ascii(),)*
                }
            }

            /// Returns the severity, which says whether a finding with this code stops a
            /// run.
            pub fn severity(self) -> Severity {
                match self {
                    $(Code::$code => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    // Files and names.
    /// A file or directory of migrations cannot be read.
    UnreadableSource: "unreadable-source", Error;
    /// A file of migrations has changed while Bustard was using it.
    ChangedSource: "changed-source", Error;
    /// A path that must be a regular file is a directory, a named pipe, a socket or a device.
    NotARegularFile: "not-a-regular-file", Error;
    /// A file is larger than Bustard reads.
    FileTooLarge: "file-too-large", Error;
    /// A directory of migrations is expected, and the path is a file.
    NotADirectory: "not-a-directory", Error;
    /// A directory contains no migration.
    EmptyDirectory: "empty-directory", Error;
    /// A link to a directory is not followed.
    LinkNotFollowed: "link-not-followed", Warning;
    /// A file or path is not UTF-8.
    NotUtf8: "not-utf8", Error;
    /// The name of a migration does not have the form `V{version}__{name}`.
    InvalidMigrationName: "invalid-migration-name", Error;
    /// The name of a migration is longer than the history table allows.
    NameTooLong: "name-too-long", Error;
    /// The version of a migration needs 64 bits, and only 32 are available.
    VersionTooWide: "version-too-wide", Error;
    /// Two migrations of an app have the same version.
    DuplicateVersion: "duplicate-version", Error;
    /// Two repeatable migrations of an app have the same name.
    DuplicateRepeatable: "duplicate-repeatable", Error;
    /// A migration in Rust must be compiled into the command of the host.
    RustMigration: "rust-migration", Error;
    /// A Rust file does not define `pub fn migration()`.
    MissingMigrationFunction: "missing-migration-function", Error;
    /// A migration of refinery has no SQL because it comes from a history table.
    MigrationWithoutSql: "migration-without-sql", Error;
    /// A migration contains no operation.
    EmptyMigration: "empty-migration", Warning;

    // Apps.
    /// The label of an app is not lower case letters, digits and `_`.
    InvalidLabel: "invalid-label", Error;
    /// The label `bustard` is reserved for Bustard's own tables.
    ReservedLabel: "reserved-label", Error;
    /// Two apps have the same label.
    DuplicateLabel: "duplicate-label", Error;
    /// The name of a history table is empty or too long.
    InvalidHistoryTable: "invalid-history-table", Error;
    /// Two apps use the same history table.
    SharedHistoryTable: "shared-history-table", Error;
    /// Two apps have the same migrations.
    SharedMigrations: "shared-migrations", Error;

    // SQL.
    /// The SQL contains a zero byte.
    ZeroByte: "zero-byte", Error;
    /// The SQL ends inside a string, a comment or a quoted name.
    UnterminatedSql: "unterminated-sql", Error;
    /// A line is a command of psql or of the sqlite3 shell, not SQL.
    ShellCommand: "shell-command", Error;
    /// A statement begins or ends a transaction.
    TransactionControl: "transaction-control", Error;
    /// BEGIN and COMMIT around a migration are left out, because it has a transaction.
    SkippedTransaction: "skipped-transaction", Note;
    /// A statement cannot run inside a transaction.
    NotInTransaction: "not-in-transaction", Error;
    /// COPY reads from or writes to the client.
    ClientCopy: "client-copy", Error;
    /// A statement opens or closes another database file.
    AttachedDatabase: "attached-database", Error;
    /// A PRAGMA does not take effect inside a transaction.
    IneffectivePragma: "ineffective-pragma", Error;
    /// `PRAGMA foreign_keys` is skipped because it does nothing inside a transaction.
    SkippedPragma: "skipped-pragma", Warning;
    /// A statement changes a setting that decides how the server reads text.
    TextSetting: "text-setting", Error;
    /// sea-query cannot write a schema statement for the engine.
    UnsupportedSchemaStatement: "unsupported-schema-statement", Error;

    // Directives.
    /// A comment begins like a directive, but is not a directive.
    UnknownDirective: "unknown-directive", Error;
    /// A comment is almost a directive.
    DirectiveNearMiss: "directive-near-miss", Error;
    /// A file contains a marker of another migration tool.
    ForeignMarker: "foreign-marker", Error;
    /// A directive lacks a word, or has a word that is not valid there.
    InvalidDirective: "invalid-directive", Error;
    /// A directive is in a place where it has no effect.
    MisplacedDirective: "misplaced-directive", Error;
    /// A directive is not supported yet.
    UnsupportedDirective: "unsupported-directive", Error;
    /// The name of a cache is empty, too long, or contains a control character.
    InvalidCacheName: "invalid-cache-name", Error;
    /// The name of a table is not valid SQL.
    InvalidTableName: "invalid-table-name", Error;

    // Dependencies.
    /// A migration depends on an app that does not exist.
    UnknownApp: "unknown-app", Error;
    /// A migration depends on a migration that does not exist.
    UnknownDependency: "unknown-dependency", Error;
    /// A migration depends on its own app as a whole.
    SelfDependency: "self-dependency", Error;
    /// Migrations depend on one another in a cycle.
    DependencyCycle: "dependency-cycle", Error;

    // Plans.
    /// An applied migration differs from its file.
    DivergentMigration: "divergent-migration", Error;
    /// An applied migration has no file.
    MissingMigration: "missing-migration", Error;
    /// The database was migrated with a newer release of an app.
    NewerRelease: "newer-release", Error;
    /// The database was migrated with a newer release of Bustard.
    NewerBustard: "newer-bustard", Error;
    /// A pending migration is older than an applied migration.
    OutOfOrderMigration: "out-of-order-migration", Error;
    /// The text of a repeatable migration was replaced by a newer text.
    SupersededMigration: "superseded-migration", Error;
    /// The role may not record a repeatable migration.
    UnwritableRecords: "unwritable-records", Error;
    /// A function of Bustard was changed in the database, and is installed again.
    EditedFunction: "edited-function", Warning;
    /// A pending migration depends on an app that is disabled.
    DisabledDependency: "disabled-dependency", Error;
    /// The dependencies of an applied migration were changed.
    ChangedDependencies: "changed-dependencies", Warning;
    /// A pending migration should have been applied before a migration that is applied.
    LateDependency: "late-dependency", Warning;
    /// A migration cannot be reverted.
    IrreversibleMigration: "irreversible-migration", Error;

    // Rights.
    /// An object of Bustard or a history belongs to a role that is not trusted.
    UntrustedOwner: "untrusted-owner", Error;
    /// A trigger, rule or policy on a table of Bustard or on a history is not Bustard's.
    UntrustedCode: "untrusted-code", Error;
    /// A role that is not trusted has rights to change a table of Bustard or a history.
    ForeignGrant: "foreign-grant", Warning;
    /// The database is a copy of another one.
    CopiedDatabase: "copied-database", Warning;

    // Caches.
    /// A cache is registered already.
    DuplicateCache: "duplicate-cache", Error;
    /// A cache is not registered.
    UnknownCache: "unknown-cache", Error;
    /// A migration changes a cache that its app has not registered.
    ForeignCache: "foreign-cache", Error;
    /// Invalidations could not be folded, or have not been for a long time.
    FoldFailed: "fold-failed", Warning;

    // Uninstalling.
    /// Another app depends on the app that is uninstalled.
    DependentApp: "dependent-app", Error;
    /// A foreign key of another table refers to a table that is dropped.
    ReferencedTable: "referenced-table", Error;
    /// The history table of an app has disappeared.
    LostHistory: "lost-history", Error;
    /// A table on which a cache is registered does not exist any more.
    TrackedTableGone: "tracked-table-gone", Warning;
    /// The history table of an app that is not configured has disappeared.
    UnconfiguredHistoryLost: "unconfigured-history-lost", Warning;
    /// The history of an app is recorded in another table than the one that is found.
    HistoryElsewhere: "history-elsewhere", Error;
    /// The table has another history than the one that was recorded.
    ReplacedHistory: "replaced-history", Error;
    /// The statements that revert a migration are not recorded, or cannot be used.
    UnusableRecord: "unusable-record", Error;
    /// The app that is uninstalled is still configured.
    AppStillConfigured: "app-still-configured", Warning;
    /// The search path does not lead to the history table of the app.
    HistoryOffSearchPath: "history-off-search-path", Warning;
    /// A migration that should come later stays applied.
    LaterMigrationStays: "later-migration-stays", Warning;
    /// A view or trigger may use a table that is dropped.
    DependentObject: "dependent-object", Warning;

    // Failures of runs and of the reading side.
    /// The call, the options or the configuration are not valid.
    InvalidUsage: "invalid-usage", Error;
    /// The migration lock was not obtained in time.
    LockTimeout: "lock-timeout", Error;
    /// There is no connection to the database.
    ConnectionFailed: "connection-failed", Error;
    /// The database refused a statement.
    StatementFailed: "statement-failed", Error;
    /// The table of an app's history has another shape.
    InvalidHistory: "invalid-history", Error;
    /// The database was changed after the plan was shown.
    OutdatedPlan: "outdated-plan", Error;
    /// A Rust function of a migration failed.
    FunctionFailed: "function-failed", Error;
    /// The cache versions are not known at the moment.
    StaleSnapshot: "stale-snapshot", Error;
    /// A store of cached values did not answer as expected.
    StoreFailed: "store-failed", Error;
    /// The run was cancelled.
    Cancelled: "cancelled", Error;
    /// An operation failed for a reason that has no code of its own.
    Failed: "failed", Error;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a word that is not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCode(());

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such code")
    }
}

impl std::error::Error for UnknownCode {}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(word: &str) -> Result<Self, UnknownCode> {
        Code::ALL.iter().copied().find(|code| code.as_str() == word).ok_or(UnknownCode(()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_unique_and_in_kebab_case() {
        let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            let word = code.as_str();
            assert!(
                word.split('-').all(|part| !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
            );
            assert_eq!(word.parse(), Ok(*code));
            let meaning = code.meaning();
            assert!(
                meaning.ends_with('.') && !meaning.contains('\n') && meaning.len() < 100,
                "{word}: {meaning}"
            );
        }
        assert_eq!("no-such-code".parse::<Code>(), Err(UnknownCode(())));
    }
}
