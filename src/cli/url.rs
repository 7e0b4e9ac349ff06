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
    let lines = match dotenvy::from_path_iter(path) {
        Ok(lines) => lines,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    // The first one counts, as for everybody else who reads such files.
    for line in lines {
        let (name, value) = line.map_err(|error| unreadable(path, error))?;
        if name == VARIABLE && !value.is_empty() {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn is_absent(error: &dotenvy::Error) -> bool {
    matches!(error, dotenvy::Error::Io(error) if error.kind() == ErrorKind::NotFound)
}

fn unreadable(path: &Path, error: dotenvy::Error) -> Failure {
    match error {
        // What dotenvy quotes, the line or its value, may be the password.
        dotenvy::Error::LineParse(line, _) => {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let number =
                text.lines().position(|other| line.starts_with(other.trim_end()) && !other.is_empty());
            let position = number.and_then(|number| Some((u32::try_from(number).ok()? + 1, 1)));
            Failure::usage("this line is not NAME=VALUE")
                .file(path)
                .position(position)
                .help("quote values with blanks or special characters: NAME='VALUE'")
                .into()
        }
        dotenvy::Error::Io(error) => Failure::usage(format!("cannot be read: {error}")).file(path).into(),
        _ => Failure::usage("cannot be read").file(path).into(),
    }
}
