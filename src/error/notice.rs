//! What a server says while a migration runs, beside its answers.

use std::fmt;

/// How important a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeLevel {
    /// `RAISE NOTICE` and `RAISE INFO`, and what the server itself says at these levels.
    Notice,
    /// `RAISE WARNING`, and the warnings of the server.
    Warning,
}

impl NoticeLevel {
    /// Returns the word for the level in documents: `notice` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeLevel::Notice => "notice",
            NoticeLevel::Warning => "warning",
        }
    }
}

/// A message that the server sent while a migration ran, and that did not stop it.
///
/// Of each migration and each level, only the first 50 messages are kept. The last notice
/// then tells how many others there were, in [`omitted`](Notice::omitted). Long texts are
/// cut, and secrets in them are hidden. The messages of Bustard's own statements, and those
/// of the levels `LOG` and `DEBUG`, are only logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// The app's label.
    pub app: String,
    /// The migration that was running, as `V1__name`.
    pub migration: String,
    /// The level.
    pub level: NoticeLevel,
    /// The SQLSTATE, if there is one.
    pub code: Option<String>,
    /// The message.
    pub message: String,
    /// The detail that belongs to the message.
    pub detail: Option<String>,
    /// The hint that belongs to the message.
    pub hint: Option<String>,
    /// The number of messages of this level that this notice stands for. It is 0 for a
    /// message of the server.
    pub omitted: u64,
}

/// Formats the migration and the message, on one line unless the message has several.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.app, self.migration, self.message)
    }
}
