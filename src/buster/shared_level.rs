//! The level behind the first one: encoded values in a store that processes share.
//!
//! In: keys and values. Out: values that the store has, decoded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, CodecError};
use super::park::Mode;
#[cfg(feature = "tokio")]
use crate::store::OwnedEntryKey;
use crate::store::{CheckedStore, EntryKey};

/// Encoded values in a store.
pub(super) struct SharedLevel<T> {
    store: Arc<CheckedStore>,
    codec: Codec<T>,
    /// Whether the log says already that a value cannot be stored.
    warned: Arc<AtomicBool>,
}

/// The functions of a type that can be encoded.
struct Codec<T> {
    encode: fn(&T) -> Result<Vec<u8>, CodecError>,
    decode: fn(&[u8]) -> Option<T>,
}

impl<T> Clone for SharedLevel<T> {
    fn clone(&self) -> Self {
        let SharedLevel { store, codec: Codec { encode, decode }, warned } = self;
        let codec = Codec { encode: *encode, decode: *decode };
        SharedLevel { store: store.clone(), codec, warned: warned.clone() }
    }
}

impl<T: Serialize + DeserializeOwned> SharedLevel<T> {
    pub(super) fn new(store: Arc<CheckedStore>) -> Self {
        let codec = Codec { encode: codec::encode, decode: codec::decode };
        SharedLevel { store, codec, warned: Arc::default() }
    }
}

impl<T> SharedLevel<T> {
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
    pub(super) async fn get(&self, mode: Mode, key: EntryKey<'_>) -> Option<T> {
        let decode = self.codec.decode;
        self.call(mode, key, move |store, key| decode(&store.get(key)?)).await
    }

    pub(super) async fn set(&self, mode: Mode, key: EntryKey<'_>, value: &T) {
        let Some(bytes) = self.encode(value) else { return };
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
