//! Stores of cached values: bytes under keys.
//!
//! A [`Store`] may lose entries at any time, and may return wrong bytes. The
//! `CheckedStore` in front of it verifies every entry, so that the worst effect of a
//! store is a miss.
//!
//! In: settings, keys and values. Out: the value of a key, if the store has it.

#[cfg(any(feature = "memcached", feature = "redis"))]
mod address;
mod aliases;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod breaker;
mod checked_store;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod deadline_stream;
mod entry;
#[cfg(all(test, unix, any(feature = "memcached", feature = "redis")))]
mod fuzz_targets;
mod key;
#[cfg(feature = "memcached")]
mod memcached;
mod memory;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod pool;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod refusal;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod server;
mod settings;

use std::fmt;

use crate::error::Result;

pub use aliases::Stores;
#[cfg(feature = "_engine")]
pub(crate) use checked_store::CheckedStore;
pub(crate) use key::EntryKey;
#[cfg(feature = "tokio")]
pub(crate) use key::OwnedEntryKey;
pub use settings::StoreSettings;
#[cfg(all(feature = "config", feature = "_engine"))]
pub(crate) use settings::parse_duration;

/// Stores bytes under keys, in this process or on a server.
///
/// Keys are 1 to 250 bytes of printable ASCII without spaces. Values have any length. `get`
/// and `set` may wait for the network, but not longer than the store's time-out. Every
/// lookup of a value calls the store first. A store whose server is down should therefore
/// fail at once and retry the server only occasionally, as the stores of
/// [`StoreSettings::open`] do.
pub trait Store: fmt::Debug + Send + Sync {
    /// Returns the value under the key; `None` if the store has no value for the key.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Store`](crate::ErrorKind::Store) if the store does not answer,
    /// answers wrongly, or is not called because it failed recently. Returns
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the key is invalid.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>>;

    /// Stores a value under the key, and replaces any other value. A value that is too
    /// large for the store is not stored, which is no error.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`get`](Store::get).
    fn set(&self, key: &str, value: &[u8]) -> Result<()>;

    /// Returns whether `get` and `set` return without waiting for the network, so that an
    /// asynchronous caller need not move the calls to another thread.
    fn is_local(&self) -> bool {
        false
    }
}
