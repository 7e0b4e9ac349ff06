//! The error of a value that could not be computed.
//!
//! In: the error of a computation. Out: the error that all callers share which have waited.

use std::fmt;
use std::sync::Arc;

/// The error of a value that could not be computed. Callers that wait for one computation
/// share its error.
#[non_exhaustive]
pub enum LoadError<E> {
    /// The computation has failed.
    Failed(Arc<E>),
    /// The computation has requested its own value, and would wait for itself.
    Recursion,
    /// A computation of several values returned another number of values than it was asked
    /// for.
    Count {
        /// The number of keys.
        keys: usize,
        /// The number of values.
        values: usize,
    },
    /// The runtime that computes the value has ended.
    Cancelled,
}

impl<E> LoadError<E> {
    pub(super) fn failed(error: E) -> Self {
        LoadError::Failed(Arc::new(error))
    }

    /// Returns the error of the computation, if it has failed itself.
    pub fn failure(&self) -> Option<&E> {
        match self {
            LoadError::Failed(error) => Some(error),
            LoadError::Recursion | LoadError::Count { .. } | LoadError::Cancelled => None,
        }
    }
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            LoadError::Failed(error) => LoadError::Failed(error.clone()),
            LoadError::Recursion => LoadError::Recursion,
            LoadError::Count { keys, values } => LoadError::Count { keys: *keys, values: *values },
            LoadError::Cancelled => LoadError::Cancelled,
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            LoadError::Recursion => f.write_str("Recursion"),
            LoadError::Count { keys, values } => {
                f.debug_struct("Count").field("keys", keys).field("values", values).finish()
            }
            LoadError::Cancelled => f.write_str("Cancelled"),
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Failed(error) => error.fmt(f),
            LoadError::Recursion => {
                f.write_str("the computation of a cached value requests the value itself")
            }
            LoadError::Count { keys, values } => {
                write!(f, "the computation of {keys} cached values returned {values} values")
            }
            LoadError::Cancelled => {
                f.write_str("the runtime that computes a cached value has ended, or has cancelled the task")
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for LoadError<E> {}
