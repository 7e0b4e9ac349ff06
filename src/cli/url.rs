//! Which database: `--database-url`, else `DATABASE_URL`, else `.env` in the
//! working directory, else the configuration. There is no default, since a
//! deploy must never succeed against a database that nobody meant.

use std::env::VarError;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::failure::Failure;

const VARIABLE: &str = "DATABASE_URL";
const DOT_ENV: &str = ".env";

/// Where a URL came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Option,
    Environment,
    DotEnv,
    Config(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Option => f.write_str("--database-url"),
            Origin::Environment => f.write_str(VARIABLE),
            Origin::DotEnv => f.write_str(DOT_ENV),
            Origin::Config(path) => path.display().fmt(f),
        }
    }
}

/// The URL and where it came from.
pub fn find(option: Option<&str>, config: &Config) -> Result<(String, Origin), Failure> {
    if let Some(url) = option {
        // Not taken as absent: `--database-url "$UNSET"` meant some database.
        if url.is_empty() {
            return Err(Failure::usage("--database-url is empty").into());
        }
        return Ok((url.to_owned(), Origin::Option));
    }
    if let Some(url) = from_environment()? {
        return Ok((url, Origin::Environment));
    }
    if let Some(url) = from_dot_env(Path::new(DOT_ENV))? {
        return Ok((url, Origin::DotEnv));
    }
    if let (Some(url), Some(path)) = (&config.database_url, &config.path) {
        return Ok((url.clone(), Origin::Config(path.clone())));
    }
    Err(Failure::usage("no database was named")
        .help(
            "give --database-url, set DATABASE_URL (also in .env), or write `url` under [database] in bustard.toml",
        )
        .into())
}

fn from_environment() -> Result<Option<String>, Failure> {
    match std::env::var(VARIABLE) {
        Ok(url) => Ok(Some(url).filter(|url| !url.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Failure::usage("DATABASE_URL is not UTF-8").into()),
    }
}

fn from_dot_env(path: &Path) -> Result<Option<String>, Failure> {
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot be read: {error}")).file(path);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error).into()),
    };
    // Lines that are wrong but not ours are for others to complain of. Of
    // several that are ours the first counts, as with sqlx and diesel.
    let found = (dotenvy::from_read_iter(text.trim_start_matches('\u{feff}').as_bytes()).flatten())
        .find(|(name, value)| name == VARIABLE && !value.is_empty());
    if let Some((_, url)) = found {
        return Ok(Some(url));
    }
    match text.lines().position(is_set) {
        None => Ok(None),
        // What is wrong with it is not quoted: it has the password in it.
        Some(line) => Err(Failure::usage("DATABASE_URL cannot be read")
            .file(path)
            .position(u32::try_from(line + 1).ok().map(|line| (line, 1)))
            .help("write DATABASE_URL='…' in quotes, without blanks around `=`")
            .into()),
    }
}

/// Whether a line gives the variable some value.
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
}
