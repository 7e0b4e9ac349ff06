//! Finds the database URL: from the caller, else `DATABASE_URL`, else `.env` in the
//! working directory, else the configuration. There is no default, because a deploy must
//! not succeed on a database that was not chosen.

use std::env::VarError;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Config;
use crate::diagnostic::{Action, Advice, Place};
use crate::error::{Error, Result};
use crate::regular_file;

const VARIABLE: &str = "DATABASE_URL";
const DOT_ENV: &str = ".env";

/// The origin of a database URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The caller.
    Given,
    /// The variable `DATABASE_URL`.
    Environment,
    /// `DATABASE_URL` in `.env` in the working directory.
    DotEnv,
    /// A configuration file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Given => f.write_str("the caller"),
            Origin::Environment => f.write_str(VARIABLE),
            Origin::DotEnv => f.write_str(DOT_ENV),
            Origin::File(path) => path.display().fmt(f),
        }
    }
}

/// Returns the URL and its origin.
pub fn find(given: Option<&str>, config: &Config) -> Result<(String, Origin)> {
    if let Some(url) = given {
        // An empty URL is an error, because `--database-url "$UNSET"` was meant to name a
        // database.
        if url.is_empty() {
            return Err(Error::usage("the database URL is empty"));
        }
        return Ok((url.to_owned(), Origin::Given));
    }
    if let Some(url) = from_environment()? {
        return Ok((url, Origin::Environment));
    }
    if let Some(url) = from_dot_env(Path::new(DOT_ENV))? {
        return Ok((url, Origin::DotEnv));
    }
    if let (Some(url), Some(path)) = (&config.database_url, &config.path) {
        return Ok((url.clone(), Origin::File(path.clone())));
    }
    Err(Error::usage("no database was named").help(
        Advice::text("give ")
            .then(Action::DatabaseUrl)
            .and(", set DATABASE_URL (also in .env), or write `url` under [database] in bustard.toml"),
    ))
}

/// Makes the relative path of a `sqlite:` URL relative to `directory`, which contains the
/// configuration file.
pub fn beside(directory: &Path, url: String) -> String {
    let Some(path) = url.strip_prefix("sqlite:") else { return url };
    let path = path.strip_prefix("//").unwrap_or(path);
    // `~` and `file:` are refused later.
    let fixed = [":memory:", "file:", "~"].iter().any(|start| path.starts_with(start));
    if path.is_empty() || fixed || Path::new(path).is_absolute() {
        return url;
    }
    // What has a meaning in a URL.
    let directory = directory.to_string_lossy().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite:{}", Path::new(&directory).join(path).display())
}

fn from_environment() -> Result<Option<String>> {
    match std::env::var(VARIABLE) {
        Ok(url) => Ok(Some(url).filter(|url| !url.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::usage("DATABASE_URL is not UTF-8")),
    }
}

fn from_dot_env(path: &Path) -> Result<Option<String>> {
    if regular_file::is_absent(path) {
        return Ok(None);
    }
    let text =
        regular_file::settings(path).map_err(|refusal| refusal.into_error("the file of variables", path))?;
    // Invalid lines of other variables are ignored. If DATABASE_URL is set twice, the first
    // line is used, as in sqlx and diesel.
    let found = (dotenvy::from_read_iter(text.trim_start_matches('\u{feff}').as_bytes()).flatten())
        .find(|(name, value)| name == VARIABLE && !value.is_empty());
    if let Some((_, url)) = found {
        return Ok(Some(url));
    }
    match text.lines().position(is_set) {
        None => Ok(None),
        // The message does not quote the line, which contains the password.
        Some(line) => Err(Error::usage("DATABASE_URL cannot be read")
            .at(Some(u32::try_from(line + 1).map_or(Place::file(path), |line| Place::at(path, line, 1))))
            .help("write DATABASE_URL='…' in quotes, without blanks around `=`")),
    }
}

/// Reports whether a line sets the variable to a value that is not empty.
fn is_set(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}').trim();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let value = line.strip_prefix(VARIABLE).and_then(|rest| rest.trim_start().strip_prefix('='));
    value.is_some_and(|value| !matches!(value.trim(), "" | "\"\"" | "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_set_the_url() {
        for line in ["DATABASE_URL=a", " export DATABASE_URL = a b", "DATABASE_URL='a"] {
            assert!(is_set(line), "{line}");
        }
        for line in [
            "",
            "# DATABASE_URL=a",
            "DATABASE_URL=",
            "DATABASE_URL=\"\"",
            "DATABASE_URL_2=a",
            "A=DATABASE_URL=a",
        ] {
            assert!(!is_set(line), "{line}");
        }
    }

    #[test]
    fn urls_are_relative_to_the_file() {
        let directory = Path::new("etc");
        for (url, expected) in [
            ("sqlite:a.db", "sqlite:etc/a.db"),
            ("sqlite://a.db", "sqlite:etc/a.db"),
            ("sqlite:../a.db", "sqlite:etc/../a.db"),
            ("sqlite:/srv/a.db", "sqlite:/srv/a.db"),
            ("sqlite:///srv/a.db", "sqlite:///srv/a.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("sqlite:~/a.db", "sqlite:~/a.db"),
            ("sqlite:a%20b.db", "sqlite:etc/a%20b.db"),
            ("postgres://h/db", "postgres://h/db"),
        ] {
            assert_eq!(beside(directory, url.to_owned()), expected);
        }
        assert_eq!(beside(Path::new("50%#"), "sqlite:a.db".to_owned()), "sqlite:50%25%23/a.db");
    }
}
