//! Messages of several statements, and which of them failed.
//!
//! In: statements, each with its migration. Out: one message; or the error, with the
//! statement and the migration that it is about.

use super::lock::READ_TEXT;
use super::notices::{Notices, Sent};
use super::queued::Queued;
use super::session_state::{CHECK_CONSTRAINTS, CHECK_EACH_CONSTRAINT};
use super::simple_query::Link;
use crate::diagnostic::Advice;
use crate::engine::Failure;
use crate::engine::postgres::rights::{self, GUARD, REFUSED};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Form;

/// Stands between the statements of a message.
pub(super) const SEPARATOR: &str = ";\n";

const UNKNOWN_SETTING: &str = "this server does not know the setting, perhaps because the dump is from a newer one: remove the line if \
    nothing depends on it";

/// Sends statements in one message. The server parses a whole message before it runs the
/// first statement, so a setting that decides how it reads text affects the next message. A
/// statement of a migration may change such a setting by code that it calls, so the message
/// ends by setting it back.
pub(super) fn flush_together(
    link: &mut impl Link,
    queued: &[Queued],
    notices: &mut Notices<'_>,
) -> Result<()> {
    if queued.is_empty() {
        return Ok(());
    }
    let sent = Sent::new(queued);
    let hear = &mut |completed, message: &_| notices.hear(&sent, completed, message);
    let mut message = message(queued);
    if queued.iter().any(|one| one.statement.form != Form::Generated) {
        message = format!("{message}{SEPARATOR}{READ_TEXT}");
    }
    let answer = link.send_and_hear(&message, false, hear);
    notices.collect(&sent);
    match answer.failure {
        None => Ok(()),
        Some(failure) => Err(blame(queued, answer.completed, failure)),
    }
}

/// Joins statements to one message.
pub(super) fn message(queued: &[Queued]) -> String {
    queued.iter().map(|one| one.statement.sql.as_str()).collect::<Vec<_>>().join(SEPARATOR)
}

/// Finds the statement that failed: by the position, if the server returns one, otherwise
/// by the number of completed statements.
pub(super) fn blame(queued: &[Queued], completed: usize, mut failure: Failure) -> Error {
    if failure.kind == ErrorKind::Connection {
        return lost(queued, failure);
    }
    let mut index = completed.min(queued.len() - 1);
    if let Some(offset) = failure.offset {
        let mut start = 0;
        for (i, one) in queued.iter().enumerate() {
            let length = one.statement.sql.chars().count() + SEPARATOR.len();
            if offset < start + length || i + 1 == queued.len() {
                index = i;
                failure.offset = Some(offset - start);
                break;
            }
            start += length;
        }
    }
    let one = &queued[index];
    let checks = [CHECK_CONSTRAINTS, CHECK_EACH_CONSTRAINT].contains(&one.statement.sql.as_str());
    let was_guard =
        failure.server_message.code.as_deref() == Some(REFUSED) && one.statement.sql.contains(GUARD);
    let unknown_setting = failure.server_message.code.as_deref() == Some("42704")
        && one.statement.sql.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SET "));
    let error = match was_guard {
        true => rights::taken_meanwhile(failure.of(&one.statement)),
        false if checks => at_commit(failure),
        false if unknown_setting => failure.of(&one.statement).help(UNKNOWN_SETTING),
        false => failure.of(&one.statement),
    };
    in_migration(error, one.migration.as_ref())
}

/// Names the migration, if it is known.
pub(super) fn in_migration(error: Error, migration: Option<&(String, String)>) -> Error {
    match migration {
        Some((app, migration)) => error.in_migration(app, migration),
        None => error,
    }
}

/// Builds the error of a connection that was lost before the reply: the outcome of the
/// message is unknown. Names the migration if the message has only one.
pub(super) fn lost(queued: &[Queued], failure: Failure) -> Error {
    let mut migrations = queued.iter().filter_map(|one| one.migration.as_ref());
    let first = migrations.next();
    let only = first.filter(|first| migrations.all(|other| other == *first));
    let is_explained = failure.advice.is_some();
    let error = in_migration(failure.into_error(), only);
    if is_explained {
        return error.and_help("running again is safe".into());
    }
    error.help("is the server still there? running again is safe")
}

/// Builds the error of a check at the end of a migration or of its transaction.
pub(super) fn at_commit(mut failure: Failure) -> Error {
    failure.server_message.context = None;
    let advice = Advice::text(
        "every statement succeeded, but a check at the commit failed, such as a deferred constraint",
    );
    let advice = match failure.advice.take() {
        Some((_, specific)) => advice.and(": ").and_then(specific),
        None => advice,
    };
    failure.into_error_of_migration().with_message("the database refused to commit").help(advice)
}
