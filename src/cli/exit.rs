//! What the command's exit codes mean. Scripts rely on them, so they are listed
//! once, here, and in the help.

use std::process::ExitCode;

use bustard::ErrorKind;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// StepReport, or nothing to do.
    StepReport,
    /// It failed, and none of the following says why.
    Failed,
    /// The command line, the configuration or the migration files are wrong;
    /// the database was not touched.
    Usage,
    /// The answer is no: migrations are pending, the cache version is not current,
    /// an uninstall was not confirmed.
    No,
    /// Divergent, missing or out-of-order migrations.
    Refused,
    /// The migration lock was not obtained in time.
    Locked,
    /// Stopped by this signal, after rolling back.
    Signal(u8),
}

impl Exit {
    /// The exit code for an error of this kind.
    pub fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage | ErrorKind::Source => Exit::Usage,
            ErrorKind::Divergent | ErrorKind::Missing | ErrorKind::OutOfOrder => Exit::Refused,
            ErrorKind::Locked => Exit::Locked,
            _ => Exit::Failed,
        }
    }

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::StepReport => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::No => 3,
            Exit::Refused => 4,
            Exit::Locked => 5,
            // The shell's own convention for processes that a signal ended.
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
            (Exit::StepReport, 0),
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
