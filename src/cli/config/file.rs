//! The shape of `bustard.toml`, as serde reads it. Unknown keys are errors: a
//! misspelt `lock_wait` must not mean the default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bustard::TransactionMode;
use serde::{Deserialize, Deserializer};

use super::stores::Store;
use crate::cli::duration;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub database: Database,
    pub apps: Vec<App>,
    pub migrate: Migrate,
    pub registry: Registry,
    pub stores: BTreeMap<String, Store>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    pub url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub label: String,
    pub migrations: PathBuf,
    pub history: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Migrate {
    pub transaction: Option<Transaction>,
    #[serde(deserialize_with = "read_duration")]
    pub lock_wait: Option<Duration>,
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
}

fn read_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration::parse(&text).map(Some).map_err(serde::de::Error::custom)
}
