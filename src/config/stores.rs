//! `[stores.*]`: where applications keep cached values. Whoever reads the file
//! checks the section, the command included, which keeps none.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    backend: Spanned<Backend>,
    location: Option<Location>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Backend {
    Memory,
    Memcached,
    Redis,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a location must be a string or a list of strings")]
enum Location {
    One(String),
    Several(Vec<String>),
}

impl Store {
    /// Says what is wrong with the combination.
    pub fn check(&self) -> Result<(), &'static str> {
        let locations = match &self.location {
            None => None,
            Some(Location::One(location)) => Some(std::slice::from_ref(location)),
            Some(Location::Several(locations)) => Some(locations.as_slice()),
        };
        match (*self.backend.get_ref(), locations) {
            (Backend::Memory, None) => Ok(()),
            (Backend::Memory, Some(_)) => Err("the backend memory has no location"),
            (_, None | Some([])) => Err("this backend needs a location, for example \"127.0.0.1:11211\""),
            (_, Some(locations)) if locations.iter().any(String::is_empty) => Err("a location is empty"),
            (Backend::Redis, Some([_, _, ..])) => Err("the backend redis has one location"),
            _ => Ok(()),
        }
    }

    /// Where in the file the store's backend is named.
    pub fn span(&self) -> Range<usize> {
        self.backend.span()
    }
}
