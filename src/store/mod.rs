//! Where cached values are kept: bytes under keys.
//!
//! A [`Store`] may lose whatever it is given at any time, and may answer
//! nonsense. The [`Shelf`] in front of it checks what comes back, so that nothing
//! in a store can do more harm than a miss.

#[cfg(any(feature = "memcached", feature = "redis"))]
mod address;
mod aliases;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod breaker;
mod checked_store;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod deadline_stream;
mod entry;
mod key;
#[cfg(feature = "memcached")]
mod memcached;
mod memory;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod pool;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod server;
mod settings;

use std::fmt;

use crate::error::Result;

pub use aliases::Stores;
#[cfg(feature = "_engine")]
pub(crate) use checked_store::Shelf;
pub(crate) use key::EntryKey;
pub use settings::StoreSettings;
#[cfg(all(feature = "config", feature = "_engine"))]
pub(crate) use settings::parse_duration;

/// Keeps bytes under keys, in this process or on a server.
///
/// Keys are 1 to 250 bytes of printable ASCII without spaces; values are as long
/// as they are. Both calls may wait for the network, but no longer than the
/// store's time-out. Every value that is asked for is asked for here first, so a
/// store whose server is down should fail at once and try it only now and then:
/// the ones that [`StoreSettings::open`] returns do.
pub trait Store: fmt::Debug + Send + Sync {
    /// What is kept under the key, if anything is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the store does not answer
    /// as it should, or has not for a while;
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the key is none.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>>;

    /// Keeps a value under the key, in place of any that is there. A value that
    /// is too large for the store is not kept, and that is no error.
    ///
    /// # Errors
    ///
    /// As [`get`](Store::get).
    fn set(&self, key: &str, value: &[u8]) -> Result<()>;

    /// Whether both calls return without waiting for anybody, so that an
    /// asynchronous caller may make them where it is.
    fn is_local(&self) -> bool {
        false
    }
}
