//! The level behind the first one: encoded values in a store that processes share.
//!
//! In: keys and values. Out: values that the store has, decoded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, Codec, CodecError};
use super::park::Mode;
#[cfg(feature = "tokio")]
use crate::store::OwnedEntryKey;
use crate::store::{CheckedStore, EntryKey};

/// Encoded values in a store.
pub(super) struct SharedLevel<T> {
    store: Arc<CheckedStore>,
    codec: Arc<Functions<T>>,
    /// Whether the log says already that a value cannot be stored.
    warned: Arc<AtomicBool>,
}

/// The functions of a type that can be encoded.
struct Functions<T> {
    encode: Box<Encode<T>>,
    decode: Box<Decode<T>>,
}

type Encode<T> = dyn Fn(&T) -> Result<Vec<u8>, CodecError> + Send + Sync;
type Decode<T> = dyn Fn(&[u8]) -> Option<T> + Send + Sync;

impl<T> Clone for SharedLevel<T> {
    fn clone(&self) -> Self {
        let SharedLevel { store, codec, warned } = self;
        SharedLevel { store: store.clone(), codec: codec.clone(), warned: warned.clone() }
    }
}

impl<T: Serialize + DeserializeOwned + 'static> SharedLevel<T> {
    pub(super) fn new(store: Arc<CheckedStore>) -> Self {
        let codec = Functions { encode: Box::new(codec::encode), decode: Box::new(codec::decode) };
        SharedLevel { store, codec: Arc::new(codec), warned: Arc::default() }
    }
}

impl<T> SharedLevel<T> {
    /// Creates a level with an encoding of the application.
    pub(super) fn with(store: Arc<CheckedStore>, codec: impl Codec<T> + 'static) -> Self
    where
        T: 'static,
    {
        let codec = Arc::new(codec);
        let encoder = codec.clone();
        let codec = Functions {
            encode: Box::new(move |value| codec::encode_with(&*encoder, value)),
            decode: Box::new(move |bytes| codec::decode_with(&*codec, bytes)),
        };
        SharedLevel { store, codec: Arc::new(codec), warned: Arc::default() }
    }

    fn encode(&self, value: &T) -> Option<Vec<u8>> {
        (self.codec.encode)(value)
            .inspect_err(|error| {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    let of = std::any::type_name::<T>();
                    log::warn!(
                        "a value of the type {of} is not stored, and others like it will not be: {error}"
                    );
                }
            })
            .ok()
    }

    /// Runs a call of the store, which may wait for the network.
    async fn call<R: Send + 'static>(
        &self,
        mode: Mode,
        key: EntryKey<'_>,
        call: impl FnOnce(&CheckedStore, &EntryKey<'_>) -> Option<R> + Send + 'static,
    ) -> Option<R> {
        match mode {
            Mode::Blocking => call(&self.store, &key),
            #[cfg(feature = "tokio")]
            Mode::Async if self.store.is_local() => call(&self.store, &key),
            #[cfg(feature = "tokio")]
            Mode::Async => {
                let (store, key) = (self.store.clone(), OwnedEntryKey::new(&key));
                let blocking = move || call(&store, &key.borrowed());
                tokio::task::spawn_blocking(blocking).await.ok().flatten()
            }
        }
    }
}

impl<T: Send + Sync + 'static> SharedLevel<T> {
    /// Returns a value, and what is left of its time to live.
    pub(super) async fn get(&self, mode: Mode, key: EntryKey<'_>) -> Option<(T, Option<Duration>)> {
        let codec = self.codec.clone();
        self.call(mode, key, move |store, key| {
            let stored = store.get(key)?;
            let (until, bytes) = stored.split_first_chunk()?;
            let left = rest(u64::from_le_bytes(*until))?;
            Some(((codec.decode)(bytes)?, left))
        })
        .await
    }

    /// Stores a value with what is left of its time to live.
    pub(super) async fn set(&self, mode: Mode, key: EntryKey<'_>, value: &T, rest: Option<Duration>) {
        let Some(encoded) = self.encode(value) else { return };
        let bytes = [&until(rest).to_le_bytes()[..], &encoded].concat();
        // A value that could not be stored is computed again.
        let set = move |store: &CheckedStore, key: &EntryKey<'_>| {
            store.set(key, &bytes);
            None::<()>
        };
        self.call(mode, key, set).await;
    }

    pub(super) async fn remove(&self, mode: Mode, key: EntryKey<'_>) {
        let remove = |store: &CheckedStore, key: &EntryKey<'_>| {
            store.remove(key);
            None::<()>
        };
        self.call(mode, key, remove).await;
    }
}

/// The milliseconds of a time to live that has no end.
const FOR_EVER: u64 = u64::MAX;

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(FOR_EVER)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, milliseconds)
}

/// Returns when a time to live ends, in milliseconds of the clock that machines share.
fn until(rest: Option<Duration>) -> u64 {
    rest.map_or(FOR_EVER, |rest| now().saturating_add(milliseconds(rest)))
}

/// Returns what is left of a time to live; `None` if it has ended. If the clock is set back,
/// the result is too long. The first level limits it to the time to live of its own values.
fn rest(until: u64) -> Option<Option<Duration>> {
    if until == FOR_EVER {
        return Some(None);
    }
    let rest = until.checked_sub(now()).filter(|rest| *rest > 0)?;
    Some(Some(Duration::from_millis(rest)))
}
