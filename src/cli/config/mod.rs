//! `bustard.toml`: which database, which apps, and how to migrate them. File
//! paths in it are relative to it. Without one, `./migrations` is the app
//! `main`.
//!
//! | key | meaning |
//! |---|---|
//! | `database.url` | used where neither the command line nor the environment names one |
//! | `apps[].label`, `.migrations`, `.history` | an app, its directory, its history table |
//! | `migrate.transaction` | `"each"` (default) or `"all"` |
//! | `migrate.lock_wait` | a duration such as `"15m"` (default) |
//! | `registry.grant` | roles that may read and invalidate; everybody, if absent |
//! | `stores.*` | checked, and used by applications only |

mod file;
mod stores;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bustard::{App, TransactionMode};

use super::failure::{Failure, Usage};
use super::nearest::nearest;
use super::redact;
use file::File;

const DEFAULT: &str = "bustard.toml";

/// The configuration, with all paths as the working directory sees them.
#[derive(Default)]
pub struct Config {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    pub database_url: Option<String>,
    pub sources: Vec<Source>,
    pub transaction: Option<TransactionMode>,
    pub lock_wait: Option<Duration>,
    pub grant: Option<Vec<String>>,
}

/// An app and where its migrations are.
pub struct Source {
    pub label: String,
    pub migrations: PathBuf,
    pub history: Option<String>,
}

impl Config {
    /// Reads `path`, or else `bustard.toml` if it is there.
    pub fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let file = path.unwrap_or(Path::new(DEFAULT));
        match std::fs::read_to_string(file) {
            Ok(text) => Ok(Config::parse(file, &text)?),
            Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => {
                Ok(Config { sources: vec![main(Path::new(""))], ..Config::default() })
            }
            Err(error) => {
                Err(Failure::usage(format!("the configuration cannot be read: {error}")).file(file).into())
            }
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Usage> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let file: File = toml::from_str(text).map_err(|error| {
            // The parser quotes values, and one of them may be the URL.
            let message = redact::secrets(error.message());
            let help = did_you_mean(&message).unwrap_or_default();
            at(path, text, error.span(), message).help(help)
        })?;
        for (alias, store) in &file.stores {
            store.check().map_err(|message| {
                at(path, text, Some(store.span()), format!("[stores.{alias}]: {message}"))
            })?;
        }
        let mut sources: Vec<Source> = (file.apps.into_iter())
            .map(|app| Source {
                label: app.label,
                migrations: directory.join(app.migrations),
                history: app.history,
            })
            .collect();
        if sources.is_empty() {
            sources.push(main(directory));
        }
        Ok(Config {
            path: Some(path.to_owned()),
            database_url: file.database.url.filter(|url| !url.is_empty()).map(|url| beside(directory, url)),
            sources,
            transaction: file.migrate.transaction.map(Into::into),
            lock_wait: file.migrate.lock_wait,
            grant: file.registry.grant,
        })
    }

    /// The apps, for the migrator.
    pub fn apps(&self) -> Vec<App> {
        (self.sources.iter())
            .map(|source| {
                let app = App::directory(&source.label, &source.migrations);
                match &source.history {
                    Some(table) => app.history(table),
                    None => app,
                }
            })
            .collect()
    }
}

fn main(directory: &Path) -> Source {
    Source { label: "main".to_owned(), migrations: directory.join("migrations"), history: None }
}

/// A relative path of a `sqlite:` URL is relative to the file that it stands in.
fn beside(directory: &Path, url: String) -> String {
    let Some(path) = url.strip_prefix("sqlite:") else { return url };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path == ":memory:" || Path::new(path).is_absolute() {
        return url;
    }
    format!("sqlite:{}", directory.join(path).display())
}

fn at(path: &Path, text: &str, span: Option<std::ops::Range<usize>>, message: String) -> Usage {
    let position = span.and_then(|span| position(text, span.start));
    Failure::usage(message.trim_end()).file(path).position(position)
}

/// Line and column of a byte offset, both counted from 1, columns in characters.
fn position(text: &str, offset: usize) -> Option<(u32, u32)> {
    let before = text.get(..offset)?;
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

/// Serde lists what it knows: "unknown field `x`, expected one of `a`, `b`".
fn did_you_mean(message: &str) -> Option<String> {
    message.strip_prefix("unknown ")?;
    let mut names = message.split('`').skip(1).step_by(2);
    let wanted = names.next()?;
    Some(format!("did you mean `{}`?", nearest(wanted, names)?))
}

#[cfg(test)]
mod tests;
