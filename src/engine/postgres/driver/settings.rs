//! Gathers libpq's settings: from the URL, then from a service file, then from the
//! environment, then from defaults. [`configure`](super::configure) builds a target from
//! them.
//!
//! An unsupported setting is an error and never ignored, since most of them make a
//! connection safer. [`keywords`](super::keywords) has the table of all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::environment::{Environment, variable};
use super::keywords::{KNOWN, Known, Rule, by_keyword};
use super::service;
use super::target::Target;
use super::url::{self, Setting};
use crate::diagnostic::{Place, nearest};
use crate::error::{Error, Result};

impl Target {
    /// Reads a URL, and fills what it leaves open from a service file and the
    /// environment of the process.
    pub(crate) fn parse(url: &str) -> Result<Target> {
        Target::parse_with(url, &|name| std::env::var_os(name))
    }

    /// Parses a URL with the given environment.
    pub(super) fn parse_with(url: &str, environment: Environment<'_>) -> Result<Target> {
        Settings::gather(url::settings(url)?, environment)?.target(environment)
    }
}

/// The values that apply if nothing sets them. With the system's own, a server that
/// vanished would be noticed after two hours.
const DEFAULTS: &[(&str, &str)] = &[
    ("connect_timeout", "10"),
    ("keepalives_count", "6"),
    ("keepalives_idle", "60"),
    ("keepalives_interval", "10"),
];

/// Where a setting comes from, for messages.
#[derive(Clone)]
pub(super) enum Origin {
    Url,
    Service(Place),
    Environment(&'static str),
    Default,
}

impl Origin {
    fn of(&self, name: &str) -> String {
        match self {
            Origin::Url => format!("the parameter {name} of the database URL"),
            Origin::Service(_) => format!("the setting {name} of the service file"),
            Origin::Environment(variable) => format!("the environment variable {variable}"),
            Origin::Default => format!("Bustard's default of {name}"),
        }
    }

    /// Says how to remove the setting.
    fn removal(&self) -> String {
        match self {
            Origin::Environment(variable) => format!("unset {variable}"),
            Origin::Service(_) => "remove the line".to_owned(),
            Origin::Url | Origin::Default => "take it out of the URL".to_owned(),
        }
    }

    pub(super) fn error(&self, message: String) -> Error {
        match self {
            Origin::Service(place) => Error::usage(message).at(Some(place.clone())),
            _ => Error::usage(message),
        }
    }
}

/// All settings that apply, by keyword, or by variable if they have no keyword.
#[derive(Default)]
pub(super) struct Settings(BTreeMap<&'static str, (String, Origin)>);

impl Settings {
    /// Merges the settings. Those of the URL, where the later of two counts, take
    /// precedence over those of a service, these over the environment, and the
    /// environment over the defaults.
    pub(super) fn gather(url: Vec<Setting>, environment: Environment<'_>) -> Result<Settings> {
        let mut settings = Settings::default();
        for Setting { name, value } in url {
            let key = accept(&name, &value, &Origin::Url)?;
            settings.0.insert(key, (value, Origin::Url));
        }
        let service = match settings.get("service") {
            Some(service) => Some(service.to_owned()),
            None => variable(environment, "PGSERVICE")?,
        };
        for line in
            service.map(|service| service::read(&service, environment)).transpose()?.into_iter().flatten()
        {
            let origin = Origin::Service(line.place);
            let key = accept(&line.setting.name, &line.setting.value, &origin)?;
            settings.0.entry(key).or_insert((line.setting.value, origin));
        }
        for known in KNOWN {
            let Some(name) = known.variable.filter(|_| settings.get(known.key()).is_none()) else { continue };
            if let Some(value) = variable(environment, name)? {
                let origin = Origin::Environment(name);
                judge(known, &value, &origin)?;
                settings.0.insert(known.key(), (value, origin));
            }
        }
        for (name, value) in DEFAULTS {
            if settings.get(name).is_none() {
                settings.0.insert(name, ((*value).to_owned(), Origin::Default));
            }
        }
        Ok(settings)
    }

    /// Returns a setting's value. As in libpq, an empty value counts as unset.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Returns where a setting comes from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.0.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Converts a value with `read`; `None` from it is an error.
    pub(super) fn read<T>(
        &self,
        name: &str,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            // The message omits the value, which may be part of a password.
            None => {
                let origin = self.origin(name);
                Err(origin
                    .error(format!("{} has a value that cannot be used", origin.of(name)))
                    .help(format!("write {allowed}")))
            }
        }
    }

    /// Reads one of several words.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let allowed = match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.join(""),
        };
        self.read(name, &allowed, |value| {
            words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning)
        })
    }

    /// Reads a whole number. As in libpq, 0 or less means the system's default.
    pub(super) fn number(&self, name: &str, unit: &str) -> Result<Option<u64>> {
        let number = self.read(name, unit, |value| value.trim().parse::<i64>().ok())?;
        Ok(number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0))
    }

    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>> {
        Ok(self.number(name, "a number of seconds")?.map(Duration::from_secs))
    }
}

/// Checks a keyword and its value against the table. Returns the key to keep it under.
fn accept(name: &str, value: &str, origin: &Origin) -> Result<&'static str> {
    let Some(known) = by_keyword(name) else {
        let keywords = || {
            KNOWN
                .iter()
                .filter(|known| !matches!(known.rule, Rule::Refused(_)))
                .filter_map(|known| known.keyword)
        };
        let help = match nearest(name, keywords()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the parameters are {}", keywords().collect::<Vec<_>>().join(", ")),
        };
        return Err(origin.error(format!("{} is unknown", origin.of(name))).help(help));
    };
    judge(known, value, origin)?;
    Ok(known.key())
}

/// Checks a value against the rule of its setting.
fn judge(known: &Known, value: &str, origin: &Origin) -> Result<()> {
    // The protocol ends a text with this character. Encoded in a URL, it is refused earlier.
    if value.contains('\0') {
        return Err(origin
            .error(format!("{} contains a NUL character", origin.of(known.key())))
            .help(format!("write it without that character, or {}", origin.removal())));
    }
    let (allowed, why) = match known.rule {
        Rule::Obeyed(_) => return Ok(()),
        Rule::Only(allowed, why) => (allowed, why),
        Rule::Refused(why) => (&[] as &[&str], why),
    };
    if value.is_empty() || allowed.contains(&value) {
        return Ok(());
    }
    let mut help = format!("{why}: {}", origin.removal());
    if !allowed.is_empty() {
        help += &format!("; only {} will do", allowed.join(" or "));
    }
    Err(origin.error(format!("{} is not supported", origin.of(known.key()))).help(help))
}
