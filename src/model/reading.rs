//! A migration with its name, and what its text means.
//!
//! In: a text, and the function that reads it. Out: its operations and the findings of
//! judging them. A text is read when one of them is wanted: the text of an applied
//! migration mostly never is.

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use super::{CacheOperation, Dependency, Migration, MigrationId, Operation, SourceText};
use crate::diagnostic::{Diagnostic, Place};

/// A migration with its version, its name and the text for its checksum.
#[derive(Clone, Debug)]
pub(crate) struct LoadedMigration {
    pub id: MigrationId,
    /// The text of the whole file, or an equivalent for a migration built in code.
    pub text: SourceText,
    pub depends_on: Vec<Dependency>,
    pub required_by: Vec<Dependency>,
    /// The lines of `text` that declare dependencies, counted from 0.
    pub dependency_lines: Vec<usize>,
    /// The file, if there is one.
    pub file: Option<Place>,
    pub body: Body,
}

/// What a text means: its operations, and the findings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub migration: Migration,
    pub errors: Vec<Finding>,
    pub warnings: Vec<Diagnostic>,
}

/// An error in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub diagnostic: Diagnostic,
    pub section: Section,
    /// Whether it is about a statement that was understood and cannot be run.
    pub unrunnable: bool,
}

/// The part of a text that is run in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Up,
    Down,
}

/// The function that reads a text.
type Read = Rc<dyn Fn(&SourceText) -> Reading>;

/// The reading of a text, which is made when it is wanted.
#[derive(Clone)]
pub(crate) enum Body {
    Read(Reading),
    /// It has no cache operation and calls no function.
    Unread {
        read: Read,
        reading: OnceCell<Reading>,
    },
}

impl Body {
    /// Returns the body of a text without directives.
    pub(crate) fn unread(read: impl Fn(&SourceText) -> Reading + 'static) -> Self {
        Body::Unread { read: Rc::new(read), reading: OnceCell::new() }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Read(reading) => reading.fmt(f),
            Body::Unread { reading, .. } => reading.fmt(f),
        }
    }
}

impl LoadedMigration {
    /// Creates a migration without a text.
    pub(crate) fn of(id: MigrationId, mut migration: Migration, file: Option<Place>) -> Self {
        LoadedMigration {
            id,
            text: SourceText::from(""),
            depends_on: std::mem::take(&mut migration.depends_on),
            required_by: std::mem::take(&mut migration.required_by),
            dependency_lines: Vec::new(),
            file,
            body: Body::Read(Reading { migration, ..Reading::default() }),
        }
    }

    /// Returns whether this is a repeatable migration.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.id.is_repeatable()
    }

    /// Returns the meaning of the text. Reads the text if this has not been done yet.
    pub(crate) fn reading(&self) -> &Reading {
        match &self.body {
            Body::Read(reading) => reading,
            Body::Unread { read, reading } => reading.get_or_init(|| read(&self.text)),
        }
    }

    /// Returns the operations.
    pub(crate) fn migration(&self) -> &Migration {
        &self.reading().migration
    }

    /// Returns the operations of a migration whose text has been read, to change them.
    pub(crate) fn migration_mut(&mut self) -> Option<&mut Migration> {
        match &mut self.body {
            Body::Read(reading) => Some(&mut reading.migration),
            Body::Unread { reading, .. } => reading.get_mut().map(|reading| &mut reading.migration),
        }
    }

    /// Returns its cache operations. Does not read a text that has none.
    pub(crate) fn cache_operations(&self) -> impl Iterator<Item = CacheOperation<'_>> {
        let known = match &self.body {
            Body::Read(reading) => reading.migration.operations.as_slice(),
            Body::Unread { .. } => &[],
        };
        known.iter().filter_map(Operation::cache)
    }

    /// Returns whether it calls functions, when it is applied or reverted.
    pub(crate) fn has_functions(&self) -> bool {
        match &self.body {
            Body::Read(Reading { migration, .. }) => {
                let all = migration.operations.iter().chain(migration.down.iter().flatten());
                all.into_iter().any(|operation| operation.function().is_some())
            }
            Body::Unread { .. } => false,
        }
    }

    /// Returns the errors in the part that reverts it, which stop it from being reverted.
    pub(crate) fn errors_in_down(&self) -> impl Iterator<Item = &Diagnostic> {
        let errors = self.reading().errors.iter();
        errors.filter(|error| error.section == Section::Down).map(|error| &error.diagnostic)
    }

    /// Returns the first error in the part that reverts it.
    pub(crate) fn refusal(&self) -> Option<Diagnostic> {
        self.errors_in_down().next().cloned()
    }
}
