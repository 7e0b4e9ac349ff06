//! The exit codes of the command. Scripts rely on them, so they are defined once,
//! here. The help text lists them.

use std::process::ExitCode;

use bustard::ErrorKind;

/// The outcome of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success, or nothing to do.
    Done,
    /// A failure for which there is no other exit code.
    Failed,
    /// The command line, the configuration or the migration files are invalid. The
    /// database is unchanged.
    Usage,
    /// Migrations are pending, the cache version is not current, or the user did not
    /// confirm an uninstall.
    No,
    /// Divergent, missing or out-of-order migrations, or a history that is not where it was
    /// recorded.
    Refused,
    /// The migration lock was not acquired in time.
    Locked,
    /// Stopped by this signal, after a rollback.
    Signal(u8),
}

impl Exit {
    /// Returns the outcome for an error of this kind.
    pub fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage | ErrorKind::Source => Exit::Usage,
            ErrorKind::Divergent | ErrorKind::Missing | ErrorKind::OutOfOrder | ErrorKind::History => {
                Exit::Refused
            }
            ErrorKind::Locked => Exit::Locked,
            _ => Exit::Failed,
        }
    }

    /// Returns the exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::No => 3,
            Exit::Refused => 4,
            Exit::Locked => 5,
            // This is the convention of shells for a process that a signal ended.
            Exit::Signal(number) => 128 + number,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_as_documented() {
        let codes = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::No, 3),
            (Exit::Refused, 4),
            (Exit::Locked, 5),
            (Exit::Signal(2), 130),
            (Exit::Signal(15), 143),
        ];
        for (exit, code) in codes {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
