//! Stores by alias, like Django's `CACHES`. Cached values are stored in the alias
//! `bustard`, or else in `default`.
//!
//! In: the sections `[stores.*]` of a configuration. Out: the settings of one store.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::StoreSettings;
use crate::diagnostic::nearest;
use crate::error::{Error, Result};

/// The aliases for cached values, the preferred one first.
const PREFERRED: [&str; 2] = ["bustard", "default"];

/// Stores by alias: the section `[stores.*]` of a configuration.
///
/// ```
/// use bustard::{StoreSettings, Stores};
///
/// let stores = Stores::new().with("default", StoreSettings::memory());
/// assert!(stores.get("default").is_ok());
/// let error = stores.get("sessions").unwrap_err();
/// assert_eq!(error.message(), "no store `sessions` is configured");
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Stores(BTreeMap<String, StoreSettings>);

impl Stores {
    /// Returns a set without stores: values are stored in memory.
    pub fn new() -> Self {
        Stores::default()
    }

    /// Adds a store, and replaces a store with the same alias.
    pub fn with(mut self, alias: impl Into<String>, settings: StoreSettings) -> Self {
        self.0.insert(alias.into(), settings);
        self
    }

    /// Returns the settings of the store with this alias.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) with the configured aliases
    /// if there is no such store.
    pub fn get(&self, alias: &str) -> Result<&StoreSettings> {
        self.0.get(alias).ok_or_else(|| {
            let error = Error::usage(format!("no store `{alias}` is configured"));
            if let Some(near) = nearest(alias, self.aliases()) {
                return error.help(format!("did you mean `{near}`?"));
            }
            let all: Vec<_> = self.aliases().map(|alias| format!("`{alias}`")).collect();
            error.help(match all.as_slice() {
                [] => "no store is configured: add a section [stores.NAME]".to_owned(),
                all => format!("the configured stores are {}", all.join(", ")),
            })
        })
    }

    /// Returns the store for cached values: `bustard` if it is configured, else
    /// `default`, else memory.
    pub fn preferred(&self) -> StoreSettings {
        let configured = self.preferred_alias().and_then(|alias| self.0.get(alias));
        configured.cloned().unwrap_or_else(StoreSettings::memory)
    }

    /// Returns the alias of the store for cached values, if one is configured.
    pub(crate) fn preferred_alias(&self) -> Option<&'static str> {
        PREFERRED.into_iter().find(|alias| self.0.contains_key(*alias))
    }

    /// Makes relative paths in the settings relative to `directory`.
    #[cfg(all(feature = "config", feature = "_engine"))]
    pub(crate) fn beside(&mut self, directory: &std::path::Path) {
        self.0.values_mut().for_each(|settings| settings.beside(directory));
    }

    /// Returns all aliases in alphabetical order.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(aliases: &[&str]) -> Stores {
        (aliases.iter()).fold(Stores::new(), |stores, alias| {
            stores.with(*alias, StoreSettings::memory().key_prefix(*alias))
        })
    }

    #[test]
    fn the_store_bustard_is_preferred() {
        for (aliases, chosen) in [
            (&["default", "bustard", "x"][..], "bustard"),
            (&["x", "default"], "default"),
            (&["x"], "bustard:"),
            (&[], "bustard:"),
        ] {
            assert_eq!(prefixes(aliases).preferred().prefix(), chosen);
        }
    }

    #[test]
    fn stores_are_read() {
        let read = serde_json::from_str::<Stores>;
        let stores =
            read(r#"{"default": {"backend": "memory"}, "x": {"backend": "redis", "location": "h"}}"#);
        assert_eq!(stores.unwrap().aliases().collect::<Vec<_>>(), ["default", "x"]);
        assert!(read(r#"{"default": "memory"}"#).is_err());
    }

    #[test]
    fn the_error_for_an_unknown_alias_names_the_known_aliases() {
        let help = |aliases: &[&str], alias: &str| {
            prefixes(aliases).get(alias).unwrap_err().advice().map(ToString::to_string)
        };
        assert_eq!(help(&["default", "x"], "defualt").as_deref(), Some("did you mean `default`?"));
        assert_eq!(
            help(&["default", "x"], "sessions").as_deref(),
            Some("the configured stores are `default`, `x`")
        );
        assert_eq!(help(&[], "x").as_deref(), Some("no store is configured: add a section [stores.NAME]"));
    }
}
