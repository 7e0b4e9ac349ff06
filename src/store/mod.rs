//! Where cached values are kept: bytes under keys.
//!
//! A store may lose whatever it is given at any time. What it returns is checked
//! by whoever asks, so that nothing in it can do more harm than a miss.

use std::fmt;

use crate::error::Result;

/// Keeps bytes under keys, in this process or on a server.
///
/// Keys are 1 to 250 bytes of printable ASCII without spaces; values are as long
/// as they are. Both calls may wait for the network, but no longer than the
/// store's time-out.
pub trait Store: fmt::Debug + Send + Sync {
    /// What is kept under the key, if anything is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the store does not answer
    /// as it should.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>>;

    /// Keeps a value under the key, in place of any that is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the store does not answer
    /// as it should, or refuses the value.
    fn set(&self, key: &str, value: &[u8]) -> Result<()>;

    /// Whether both calls return without waiting for anybody, so that an
    /// asynchronous caller may make them where it is.
    fn is_local(&self) -> bool {
        false
    }
}
