//! The structure of `bustard.toml`, for serde.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::duration::parse_duration;
use crate::plan::TransactionMode;
use crate::store::Stores;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub database: Database,
    pub apps: Vec<App>,
    pub migrate: Migrate,
    pub registry: Registry,
    pub cache_buster: CacheBuster,
    pub stores: Stores,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    pub url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    label: String,
    migrations: PathBuf,
    history: Option<String>,
}

impl App {
    /// Converts to an app whose directory is relative to `directory`, which contains the
    /// file.
    pub fn beside(self, directory: &Path) -> crate::model::App {
        let app = crate::model::App::directory(self.label, directory.join(self.migrations));
        match self.history {
            Some(table) => app.history(table),
            None => app,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Migrate {
    pub transaction: Option<Transaction>,
    pub lock_wait: Option<Length>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transaction {
    Each,
    All,
}

impl From<Transaction> for TransactionMode {
    fn from(transaction: Transaction) -> Self {
        match transaction {
            Transaction::Each => TransactionMode::Each,
            Transaction::All => TransactionMode::All,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    pub grant: Option<Vec<String>>,
    pub trust: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheBuster {
    pub max_staleness: Option<Spanned<Length>>,
    pub poll_interval: Option<Spanned<Length>>,
    pub lookup_timeout: Option<Length>,
}

/// A duration such as `"1h30m"`.
#[derive(Clone, Copy)]
pub struct Length(Duration);

impl From<Length> for Duration {
    fn from(length: Length) -> Self {
        length.0
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Length).map_err(serde::de::Error::custom)
    }
}
