//! Reads environment variables.

use std::ffi::OsString;

use crate::error::{Error, Result};

/// The environment of the process; a function, so that tests can replace it.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Reads an environment variable. As in libpq, an empty one counts as unset.
pub(super) fn variable(environment: Environment<'_>, name: &str) -> Result<Option<String>> {
    match environment(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value).filter(|value| !value.is_empty())),
        Some(Err(_)) => Err(Error::usage(format!("the environment variable {name} is not UTF-8"))),
    }
}
