//! What the server says beside its answers: notices and warnings.
//!
//! In: messages of the server, with the statements that were sent and how many of them had
//! completed. Out: a bounded number of notices, each with its migration.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio_postgres::error::{DbError, Severity};

use super::failure::{log, server_message};
use super::queued::Queued;
use super::session_state::{CHECK_CONSTRAINTS, CHECK_EACH_CONSTRAINT};
use crate::diagnostic::secrets;
use crate::error::{Notice, NoticeLevel, ServerMessage};
use crate::model::{BUSTARD, Form};

/// The number of messages of each level that are kept of a migration.
const KEPT: u64 = 50;

const HIDDEN: &str = "the text is not shown, because the rows of the COPY may contain secrets";

const LEVELS: [NoticeLevel; 2] = [NoticeLevel::Notice, NoticeLevel::Warning];

/// A message of the server.
struct Message {
    level: NoticeLevel,
    content: ServerMessage,
}

impl Message {
    /// Returns `None` for a message of a level that is only logged.
    fn of(message: &DbError) -> Option<Message> {
        let level = match message.parsed_severity() {
            Some(Severity::Warning) => NoticeLevel::Warning,
            // The server sends INFO whatever `client_min_messages` says.
            Some(Severity::Notice | Severity::Info) => NoticeLevel::Notice,
            _ => {
                log(message);
                return None;
            }
        };
        Some(Message { level, content: server_message(message) })
    }
}

/// A number of messages of each level.
#[derive(Clone, Copy, Default)]
struct Counts {
    notices: u64,
    warnings: u64,
}

impl Counts {
    fn of(&mut self, level: NoticeLevel) -> &mut u64 {
        match level {
            NoticeLevel::Notice => &mut self.notices,
            NoticeLevel::Warning => &mut self.warnings,
        }
    }
}

/// Which messages of a migration are kept.
#[derive(Clone, Copy, Default)]
struct Quota {
    kept: Counts,
    omitted: Counts,
}

impl Quota {
    /// Counts a message. Returns whether it is kept.
    fn keep(&mut self, level: NoticeLevel) -> bool {
        let keeps = *self.kept.of(level) < KEPT;
        let counts = if keeps { &mut self.kept } else { &mut self.omitted };
        *counts.of(level) += 1;
        keeps
    }
}

/// The messages of a connection whose driver hands them over while one of its calls waits.
/// They are taken out after the call.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Messages>>);

#[derive(Default)]
struct Messages {
    kept: Vec<Message>,
    quota: Quota,
    bytes: usize,
}

/// How much an inbox keeps, in bytes. Texts are cut only when the secrets in them are
/// known.
const FULL: usize = 1 << 20;

impl Inbox {
    /// Adds a message.
    pub(super) fn put(&self, message: &DbError) {
        let Some(message) = Message::of(message) else { return };
        let messages = &mut *self.lock();
        if messages.bytes >= FULL {
            *messages.quota.omitted.of(message.level) += 1;
        } else if messages.quota.keep(message.level) {
            messages.bytes += message.content.len();
            messages.kept.push(message);
        }
    }

    fn take(&self) -> Messages {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Messages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages of one transaction.
pub(super) struct Notices<'n> {
    tell: &'n (dyn Fn(Notice) + Sync),
    inbox: Option<Inbox>,
    /// The migration of the last message.
    migration: Option<(String, String)>,
    quota: Quota,
}

impl<'n> Notices<'n> {
    /// Begins with the transaction. Messages that are in the inbox belong to none.
    pub(super) fn new(tell: &'n (dyn Fn(Notice) + Sync), inbox: Option<Inbox>) -> Self {
        let notices = Notices { tell, inbox, migration: None, quota: Quota::default() };
        notices.discard();
        notices
    }

    /// Drops the messages of a statement that belongs to no migration.
    pub(super) fn discard(&self) {
        if let Some(inbox) = &self.inbox {
            inbox.take();
        }
    }

    /// Takes a message that arrived when this many of the statements had completed.
    pub(super) fn hear(&mut self, sent: &Sent<'_>, completed: usize, message: &DbError) {
        let Some(migration) = sent.queued.get(completed).and_then(owner) else { return log(message) };
        if let Some(message) = Message::of(message) {
            self.add(migration, message, sent);
        }
    }

    /// Takes the messages that the driver has handed over while it ran one statement.
    pub(super) fn collect(&mut self, sent: &Sent<'_>) {
        match sent.queued {
            [one] => self.collect_of(owner(one), sent),
            _ => self.discard(),
        }
    }

    /// Takes the messages that the driver has handed over, and that belong to this
    /// migration.
    pub(super) fn collect_of(&mut self, migration: Option<&(String, String)>, sent: &Sent<'_>) {
        let Some(Messages { kept, mut quota, .. }) = self.inbox.as_ref().map(Inbox::take) else { return };
        let Some(migration) = migration.filter(|(app, _)| app != BUSTARD) else { return };
        for message in kept {
            self.add(migration, message, sent);
        }
        // An inbox that has left something out has also kept something.
        for level in LEVELS {
            *self.quota.omitted.of(level) += *quota.omitted.of(level);
        }
    }

    fn add(&mut self, migration: &(String, String), message: Message, sent: &Sent<'_>) {
        if self.migration.as_ref() != Some(migration) {
            self.end();
            self.migration = Some(migration.clone());
        }
        if self.quota.keep(message.level) {
            let content = sent.clean(message.content);
            (self.tell)(Notice {
                app: migration.0.clone(),
                migration: migration.1.clone(),
                level: message.level,
                code: content.code,
                message: content.message,
                detail: content.detail.map(Into::into),
                hint: content.hint.map(Into::into),
                omitted: 0,
            });
        }
    }

    /// Tells how many messages of the migration were left out.
    fn end(&mut self) {
        let mut omitted = std::mem::take(&mut self.quota).omitted;
        let Some((app, migration)) = self.migration.take() else { return };
        for level in LEVELS {
            let omitted = *omitted.of(level);
            if omitted > 0 {
                let (app, migration) = (app.clone(), migration.clone());
                let plural = if omitted == 1 { "" } else { "s" };
                let message = format!("{omitted} more {}{plural} are not shown", level.as_str());
                let notice =
                    Notice { app, migration, level, code: None, message, detail: None, hint: None, omitted };
                (self.tell)(notice);
            }
        }
    }
}

impl Drop for Notices<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the migration that a statement belongs to, unless the statement is one of
/// Bustard's own. The cache operations of a migration have a place. The checks of constraints
/// run the deferred triggers of the migration.
fn owner(one: &Queued) -> Option<&(String, String)> {
    let checks = [CHECK_CONSTRAINTS, CHECK_EACH_CONSTRAINT];
    let theirs = one.statement.form != Form::Generated
        || one.statement.place.is_some()
        || checks.contains(&one.statement.sql.as_str());
    one.migration.as_ref().filter(|(app, _)| theirs && app != BUSTARD)
}

/// The statements of one message, and the secrets in them.
pub(super) struct Sent<'s> {
    queued: &'s [Queued],
    secrets: OnceLock<Vec<String>>,
    /// Any text may be a secret.
    hides_texts: bool,
}

impl<'s> Sent<'s> {
    pub(super) fn new(queued: &'s [Queued]) -> Self {
        Sent { queued, secrets: OnceLock::new(), hides_texts: false }
    }

    /// A COPY. Its rows are not searched: if a column looks like one of secrets, no text is
    /// shown.
    pub(super) fn of_copy(queued: &'s [Queued]) -> Self {
        let hides_texts = queued.iter().any(|one| secrets::mentions_secret(&one.statement.sql));
        Sent { hides_texts, ..Sent::new(queued) }
    }

    /// Hides the secrets in a message, and shortens its texts.
    fn clean(&self, message: ServerMessage) -> ServerMessage {
        match self.hides_texts {
            true => ServerMessage { message: HIDDEN.to_owned(), code: message.code, ..Default::default() },
            false => message.without_secrets(self.secrets()).cut(),
        }
    }

    /// Returns the secrets of all statements, because `current_query()` returns all of
    /// them. They are searched for only if a message is kept.
    fn secrets(&self) -> &[String] {
        self.secrets.get_or_init(|| {
            let theirs = self.queued.iter().filter(|one| one.statement.form != Form::Generated);
            let mut values: Vec<String> =
                theirs.flat_map(|one| secrets::values(&one.statement.sql)).collect();
            // The longest first, because one may contain another.
            values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
            values.dedup();
            values
        })
    }
}
