//! The settings of a store.
//!
//! In: a section of a configuration file, or calls. Out: an open store, or an error of
//! usage.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::Store;
use super::memory::MemoryStore;
use crate::error::{Error, Result};

const DEFAULT_PREFIX: &str = "bustard:";
const LONGEST_PREFIX: usize = 100;
#[cfg(any(feature = "memcached", feature = "redis"))]
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(100);
const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// The longest time that Memcached does not read as a date.
const LONGEST_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
const DEFAULT_MAX_BYTES: u64 = 64 << 20;

/// The settings of a store: the backend, its location and its limits.
///
/// | key | meaning; default |
/// |---|---|
/// | `backend` | `"memory"`, `"memcached"` or `"redis"` |
/// | `location` | the address of the server: `"127.0.0.1:11211"`, `"unix:/run/server.sock"`, for Redis also `"redis://user:password@host:6379/0"`, with TLS `"rediss://…"`; for Memcached also a list, over which keys are distributed |
/// | `sentinels` | for Redis: a list of the addresses of Sentinels, which say where the master is; the host in `location` is then its name: `"redis://user:password@mymaster/0"` |
/// | `cluster` | for Redis: `true` if the servers are a cluster; `location` is then a list of some of them |
/// | `tls_ca` | for `rediss://`: a file with the certificate of the servers' CA; those of the system |
/// | `tls_certificate`, `tls_key` | for `rediss://`: files with a client certificate and its key |
/// | `key_prefix` | the prefix of every key; `"bustard:"` |
/// | `timeout` | the time limit of one call, including connecting; `"100ms"` |
/// | `ttl` | the longest time that a value is kept; `"1h"`, up to 30 days |
/// | `max_bytes` | the capacity of `memory` in bytes; 64 MiB |
///
/// ```
/// use std::time::Duration;
/// use bustard::StoreSettings;
///
/// let store = StoreSettings::memory().ttl(Duration::from_secs(600)).open()?;
/// store.set("answer", b"42")?;
/// assert_eq!(store.get("answer")?.as_deref(), Some(&b"42"[..]));
/// # Ok::<(), bustard::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    backend: Backend,
    #[serde(default)]
    location: Option<Locations>,
    #[serde(default)]
    sentinels: Option<Locations>,
    #[serde(default)]
    cluster: bool,
    #[serde(default)]
    tls_ca: Option<PathBuf>,
    #[serde(default)]
    tls_certificate: Option<PathBuf>,
    #[serde(default)]
    tls_key: Option<PathBuf>,
    #[serde(default)]
    key_prefix: Option<String>,
    #[serde(default, deserialize_with = "read_duration")]
    timeout: Option<Duration>,
    #[serde(default, deserialize_with = "read_duration")]
    ttl: Option<Duration>,
    #[serde(default)]
    max_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Backend {
    Memory,
    Memcached,
    Redis,
}

impl Backend {
    /// Returns the name, which is also the name of the feature.
    fn name(self) -> &'static str {
        match self {
            Backend::Memory => "memory",
            Backend::Memcached => "memcached",
            Backend::Redis => "redis",
        }
    }
}

#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "a location must be a string or a list of strings")]
enum Locations {
    One(String),
    Several(Vec<String>),
}

impl Locations {
    fn as_slice(&self) -> &[String] {
        match self {
            Locations::One(location) => std::slice::from_ref(location),
            Locations::Several(locations) => locations,
        }
    }
}

/// Omits everything that may be a password, and possibly more.
impl fmt::Debug for Locations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |location: &String| {
            let location = location.rsplit('@').next().unwrap_or_default();
            location.split('?').next().unwrap_or_default().to_owned()
        };
        f.debug_list().entries(self.as_slice().iter().map(shown)).finish()
    }
}

impl StoreSettings {
    /// Returns settings of a store in this process.
    pub fn memory() -> Self {
        StoreSettings::new(Backend::Memory, None)
    }

    /// Returns settings of a store on these Memcached servers.
    pub fn memcached<S: Into<String>>(locations: impl IntoIterator<Item = S>) -> Self {
        let locations = locations.into_iter().map(Into::into).collect();
        StoreSettings::new(Backend::Memcached, Some(Locations::Several(locations)))
    }

    /// Returns settings of a store on this Redis or Valkey server.
    pub fn redis(location: impl Into<String>) -> Self {
        StoreSettings::new(Backend::Redis, Some(Locations::One(location.into())))
    }

    fn new(backend: Backend, location: Option<Locations>) -> Self {
        StoreSettings {
            backend,
            location,
            sentinels: None,
            cluster: false,
            tls_ca: None,
            tls_certificate: None,
            tls_key: None,
            key_prefix: None,
            timeout: None,
            ttl: None,
            max_bytes: None,
        }
    }

    /// Returns settings of a store on the Redis or Valkey server that is the master of this
    /// name, wherever these Sentinels say that it is. The name is the host of `location`, with
    /// the login of the master: `redis://user:password@mymaster/0`. Each Sentinel may be a
    /// URL with a login of its own.
    ///
    /// ```
    /// use bustard::StoreSettings;
    ///
    /// let settings = StoreSettings::redis_sentinels("redis://app:secret@mymaster", ["10.0.0.1:26379", "10.0.0.2:26379"]);
    /// settings.check()?;
    /// # Ok::<(), bustard::Error>(())
    /// ```
    pub fn redis_sentinels<S: Into<String>>(
        location: impl Into<String>,
        sentinels: impl IntoIterator<Item = S>,
    ) -> Self {
        let sentinels = sentinels.into_iter().map(Into::into).collect();
        StoreSettings { sentinels: Some(Locations::Several(sentinels)), ..StoreSettings::redis(location) }
    }

    /// Returns settings of a store on a cluster of Redis or Valkey servers. These locations are
    /// some of them, which name the others. The first one may be a URL with the login of all.
    pub fn redis_cluster<S: Into<String>>(locations: impl IntoIterator<Item = S>) -> Self {
        let locations = locations.into_iter().map(Into::into).collect();
        let settings = StoreSettings::new(Backend::Redis, Some(Locations::Several(locations)));
        StoreSettings { cluster: true, ..settings }
    }

    /// Sets the file with the certificate of the CA that has signed the servers' certificates,
    /// in PEM form. By default, the CAs of the operating system are trusted.
    pub fn tls_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls_ca = Some(file.into());
        self
    }

    /// Sets the files with the certificate of this client and its key, for servers that ask
    /// for one. Other users must not have the right to read the key.
    pub fn tls_identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls_certificate = Some(certificate.into());
        self.tls_key = Some(key.into());
        self
    }

    /// Makes relative paths relative to `directory`.
    #[cfg(all(feature = "config", feature = "_engine"))]
    pub(super) fn beside(&mut self, directory: &std::path::Path) {
        for file in [&mut self.tls_ca, &mut self.tls_certificate, &mut self.tls_key].into_iter().flatten() {
            *file = directory.join(&*file);
        }
    }

    /// Sets the prefix of every key, so that applications can share a server.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = Some(prefix.into());
        self
    }

    /// Sets the time limit of one call, including connecting.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the longest time that a value is kept.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets the capacity of a store in memory, in bytes.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Checks the combination of settings, and the locations if the backend is compiled
    /// in.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage). The error contains no
    /// secrets.
    pub fn check(&self) -> Result<()> {
        self.build().map(drop)
    }

    fn problem(&self) -> Option<&'static str> {
        let locations = self.location.as_ref().map(Locations::as_slice);
        let prefix = self.prefix();
        Some(match (self.backend, locations) {
            (Backend::Memory, Some(_)) => "the backend memory has no location",
            (Backend::Memory, _) if self.timeout.is_some() => "the backend memory has no timeout",
            (Backend::Memcached | Backend::Redis, None | Some([])) => {
                "this backend needs a location, for example \"127.0.0.1:11211\""
            }
            (_, Some(locations)) if locations.iter().any(String::is_empty) => "a location is empty",
            (Backend::Memory | Backend::Memcached, _) if self.cluster || self.sentinels.is_some() => {
                "cluster and sentinels are for the backend redis"
            }
            (Backend::Memory | Backend::Memcached, _) if self.has_tls_files() => {
                "tls_ca, tls_certificate and tls_key are for the backend redis: no other one speaks TLS"
            }
            (_, _) if self.cluster && self.sentinels.is_some() => {
                "a cluster has no sentinels: leave out one of both"
            }
            (_, _) if self.sentinels.as_ref().is_some_and(|sentinels| sentinels.as_slice().is_empty()) => {
                "the list of sentinels is empty"
            }
            (_, _) if self.tls_key.is_some() && self.tls_certificate.is_none() => {
                "tls_key is the key of tls_certificate, which is missing"
            }
            (Backend::Redis, Some([_, _, ..])) if !self.cluster => {
                "the backend redis has one location; if the servers are a cluster, set cluster = true; Sentinels are listed in sentinels"
            }
            (Backend::Memcached | Backend::Redis, _) if self.max_bytes.is_some() => {
                "max_bytes is for the backend memory: a server has its own limit"
            }
            _ if self.max_bytes == Some(0) => "max_bytes must be greater than 0",
            _ if prefix.len() > LONGEST_PREFIX || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) => {
                "key_prefix must be at most 100 bytes of printable ASCII without spaces"
            }
            _ if !within(self.timeout, Duration::from_millis(1), Duration::from_secs(60)) => {
                "timeout must be between 1ms and 1m"
            }
            _ if !within(self.ttl, Duration::from_secs(1), LONGEST_TTL) => {
                "ttl must be between 1s and 30days"
            }
            _ => return None,
        })
    }

    fn has_tls_files(&self) -> bool {
        self.tls_ca.is_some() || self.tls_certificate.is_some() || self.tls_key.is_some()
    }

    /// Opens the store. Connections are opened at the first call, so a server that is down
    /// is no error here.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) for the errors of
    /// [`check`](StoreSettings::check), for a location that cannot be parsed, and for a
    /// backend whose feature is not compiled in.
    pub fn open(&self) -> Result<Box<dyn Store>> {
        self.build()?.ok_or_else(|| {
            let backend = self.backend.name();
            Error::usage(format!("the store {backend} is not compiled in"))
                .help(format!("enable the feature `{backend}` of bustard in Cargo.toml"))
        })
    }

    /// Opens the store; `None` if the backend is not compiled in.
    fn build(&self) -> Result<Option<Box<dyn Store>>> {
        if let Some(problem) = self.problem() {
            return Err(Error::usage(problem));
        }
        let ttl = self.ttl.unwrap_or(DEFAULT_TTL);
        #[cfg(any(feature = "memcached", feature = "redis"))]
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        Ok(match self.backend {
            Backend::Memory => {
                Some(Box::new(MemoryStore::new(self.max_bytes.unwrap_or(DEFAULT_MAX_BYTES), ttl)))
            }
            #[cfg(feature = "memcached")]
            Backend::Memcached => {
                Some(Box::new(super::memcached::MemcachedStore::new(self.locations(), timeout, ttl)?))
            }
            #[cfg(feature = "redis")]
            Backend::Redis => {
                let files = super::redis::TlsFiles {
                    ca: self.tls_ca.clone(),
                    certificate: self.tls_certificate.clone(),
                    key: self.tls_key.clone(),
                };
                let sentinels = self.sentinels.as_ref().map(Locations::as_slice).unwrap_or_default();
                let topology = super::redis::Topology {
                    locations: self.locations().collect(),
                    sentinels: sentinels.iter().map(String::as_str).collect(),
                    is_cluster: self.cluster,
                    files: &files,
                };
                Some(Box::new(super::redis::RedisStore::new(&topology, timeout, ttl)?))
            }
            #[cfg(not(all(feature = "memcached", feature = "redis")))]
            _ => None,
        })
    }

    #[cfg(any(feature = "memcached", feature = "redis"))]
    fn locations(&self) -> impl Iterator<Item = &str> {
        self.location.iter().flat_map(|locations| locations.as_slice()).map(String::as_str)
    }

    pub(super) fn prefix(&self) -> &str {
        self.key_prefix.as_deref().unwrap_or(DEFAULT_PREFIX)
    }
}

fn within(duration: Option<Duration>, least: Duration, most: Duration) -> bool {
    duration.is_none_or(|duration| (least..=most).contains(&duration))
}

fn read_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

/// Parses a duration of the configuration.
pub(crate) fn parse_duration(text: &str) -> std::result::Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration: write it like 15m, 90s, 1h30m or 500ms"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> std::result::Result<StoreSettings, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_read() {
        let settings = read(json!({
            "backend": "memcached", "location": ["a:1", "b:2"], "key_prefix": "f:", "timeout": "250ms", "ttl": "2h",
        }));
        let settings = settings.unwrap();
        settings.check().unwrap();
        assert_eq!(settings.prefix(), "f:");
        assert_eq!(settings.timeout, Some(Duration::from_millis(250)));
        assert_eq!(settings.ttl, Some(Duration::from_secs(7200)));
        read(json!({"backend": "memory", "max_bytes": 1000})).unwrap().check().unwrap();
        read(json!({"backend": "redis", "location": "h"})).unwrap().check().unwrap();
    }

    #[test]
    fn invalid_settings_are_refused_with_a_message() {
        let location = "127.0.0.1";
        for (settings, problem) in [
            (json!({"backend": "memory", "location": location}), "the backend memory has no location"),
            (json!({"backend": "memory", "timeout": "1s"}), "the backend memory has no timeout"),
            (json!({"backend": "memory", "max_bytes": 0}), "max_bytes must be greater than 0"),
            (json!({"backend": "memory", "key_prefix": "a b"}), "key_prefix must be at most 100 bytes"),
            (
                json!({"backend": "memory", "key_prefix": "x".repeat(101)}),
                "key_prefix must be at most 100 bytes",
            ),
            (json!({"backend": "memory", "ttl": "0s"}), "ttl must be between 1s and 30days"),
            (json!({"backend": "memory", "ttl": "31days"}), "ttl must be between 1s and 30days"),
            (json!({"backend": "redis"}), "this backend needs a location"),
            (json!({"backend": "memcached", "location": []}), "this backend needs a location"),
            (json!({"backend": "memcached", "location": ["a", ""]}), "a location is empty"),
            (json!({"backend": "redis", "location": ["a", "b"]}), "the backend redis has one location"),
            (
                json!({"backend": "memcached", "location": "a", "cluster": true}),
                "cluster and sentinels are for",
            ),
            (json!({"backend": "memory", "sentinels": ["a"]}), "cluster and sentinels are for"),
            (json!({"backend": "memcached", "location": "a", "tls_ca": "f"}), "tls_ca, tls_certificate and"),
            (
                json!({"backend": "redis", "location": "a", "tls_ca": "f"}),
                "tls_ca, tls_certificate and tls_key are for locations",
            ),
            (json!({"backend": "redis", "location": "rediss://a", "tls_key": "f"}), "tls_key is the key of"),
            (
                json!({"backend": "redis", "location": "a", "cluster": true, "sentinels": ["b"]}),
                "a cluster has no sentinels",
            ),
            (json!({"backend": "redis", "location": "a", "sentinels": []}), "the list of sentinels is empty"),
            (json!({"backend": "redis", "location": "a", "sentinels": ["b:x"]}), "a location"),
            (
                json!({"backend": "redis", "location": "a", "max_bytes": 1}),
                "max_bytes is for the backend memory",
            ),
            (
                json!({"backend": "redis", "location": "a", "timeout": "0s"}),
                "timeout must be between 1ms and 1m",
            ),
            (
                json!({"backend": "redis", "location": "a", "timeout": "2m"}),
                "timeout must be between 1ms and 1m",
            ),
        ] {
            let error = read(settings.clone()).unwrap().open().unwrap_err();
            assert!(error.message().starts_with(problem), "{settings}: {error}");
        }
        for (settings, problem) in [
            (json!({"backend": "postgres"}), "unknown variant `postgres`"),
            (json!({"backend": "memory", "timeuot": "1s"}), "unknown field `timeuot`"),
            (json!({"backend": "memory", "ttl": "soon"}), "`soon` is not a duration"),
            (json!({"backend": "redis", "location": 7}), "a location must be a string or a list"),
            (json!({}), "missing field `backend`"),
        ] {
            let error = read(settings).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let shown = format!("{:?}", StoreSettings::redis("redis://u:hunter2@h:1/2?x=hunter3"));
        assert!(shown.contains("h:1/2") && !shown.contains("hunter"), "{shown}");
        let shown = format!("{:?}", StoreSettings::redis("unix:/run/redis.sock?pass=hunter2"));
        assert!(shown.contains("/run/redis.sock") && !shown.contains("hunter"), "{shown}");
    }

    #[test]
    #[cfg(not(feature = "redis"))]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        let settings = StoreSettings::redis("h");
        settings.check().unwrap();
        assert!(settings.open().unwrap_err().to_string().contains("enable the feature `redis`"));
    }
}
