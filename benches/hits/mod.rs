//! Lookups of cached values that are found: those of Bustard, and the same lookups in other
//! caches.
//!
//! In: the number of a size and of keys. Out: subjects, each of which makes lookups and
//! returns what it has found.

use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bustard::{App, CacheBuster, Migration, Migrator, Values};
use cached::ShardedLruCache;
use hydracache::{CacheOptions, HydraCache};

const CACHE: &str = "bans";

/// A time to live that does not end.
const HOUR: Duration = Duration::from_secs(3600);

/// The number of values that the caches may keep, more than there are.
const ENTRIES: usize = 10_000;

/// What is cached: numbers or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Numbers(usize),
    Bytes(usize),
}

pub const SIZES: [Size; 5] = [
    Size::Numbers(1),
    Size::Numbers(100),
    Size::Numbers(10_000),
    Size::Numbers(1_000_000),
    Size::Bytes(10 << 20),
];

/// Makes this number of lookups and returns the sum of the lengths of the values found.
pub type Look = Box<dyn Fn(u64) -> u64 + Send + Sync>;

/// A subject, with its name.
pub struct Subject {
    pub name: &'static str,
    pub look: Look,
    /// The length that each lookup adds.
    pub length: u64,
}

/// The names of the subjects that others are compared with.
pub const LOAD: &str = "one atomic load";
pub const QUICK_CACHE: &str = "quick_cache, an Arc";
pub const MOKA: &str = "moka, an Arc";
pub const CACHED: &str = "cached, an Arc";
pub const HYDRACACHE: &str = "hydracache";

/// The subjects of Bustard.
pub const IS_VALID: &str = "Cache::is_valid";
pub const WITH: &str = "Memo::with";
pub const GET: &str = "Memo::get";
pub const VALUES: &str = "Values";
pub const WITH_TTL: &str = "Values with a TTL";

/// Starts a `CacheBuster` with one cache. The engine does not affect hits.
pub fn buster(directory: &Path) -> CacheBuster {
    let path = directory.join("forum.sqlite");
    let mut connection = rusqlite::Connection::open(&path).expect("the file can be made");
    let app = App::new("forum").migration("V1__bans", Migration::new().register_cache(CACHE));
    Migrator::new().app(app).run(&mut connection).expect("it migrates");
    CacheBuster::connect(&format!("sqlite:{}", path.display())).expect("it starts")
}

/// Returns the subjects for values of this size. They share one value where their caches
/// allow it.
pub fn subjects(buster: &CacheBuster, size: Size) -> Vec<Subject> {
    match size {
        Size::Numbers(length) => of(buster, "numbers", (0..length as u64).collect::<Vec<u64>>()),
        Size::Bytes(length) => of(buster, "bytes", vec![7u8; length]),
    }
}

/// Returns keys as an application has them.
fn keys(memory: usize) -> Arc<[String]> {
    // All values together need about 40 MB in each cache at most.
    let count = (40_000_000 / memory.max(1)).clamp(2, 64);
    (0..count).map(|user| format!("user:{user}")).collect()
}

/// Builds a subject that looks the keys up in turn.
fn subject<F>(name: &'static str, keys: &Arc<[String]>, length: usize, look: F) -> Subject
where
    F: Fn(&str) -> u64 + Send + Sync + 'static,
{
    let keys = keys.clone();
    let look = move |count: u64| {
        let mut found = 0;
        let mut all = keys.iter().cycle();
        for _ in 0..count {
            let key = all.next().map_or("", String::as_str);
            found += look(black_box(key));
        }
        found
    };
    Subject { name, look: Box::new(look), length: length as u64 }
}

/// Polls a future that does not wait.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit waits for nothing"),
    }
}

fn of<E>(buster: &CacheBuster, name: &str, value: Vec<E>) -> Vec<Subject>
where
    E: Clone + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static,
{
    let length = value.len();
    let keys = keys(std::mem::size_of_val(value.as_slice()));
    let cache = buster.cache(CACHE).expect("it is registered");
    let value = Arc::new(value);
    let mut subjects = Vec::new();
    let mut add = |subject| subjects.push(subject);

    let number = Arc::new(AtomicU64::new(length as u64));
    add(subject(LOAD, &keys, length, move |_| black_box(&number).load(Ordering::Acquire)));
    let version = cache.version().expect("it is known");
    add(subject(IS_VALID, &keys, 1, {
        let cache = cache.clone();
        move |_| u64::from(black_box(&cache).is_valid(black_box(version)))
    }));

    let memo = cache.memo({
        let value = value.clone();
        move || value.to_vec()
    });
    add(subject(WITH, &keys, length, {
        let memo = memo.clone();
        move |_| black_box(&memo).with(|value| value.len() as u64)
    }));
    add(subject(GET, &keys, length, move |_| black_box(&memo).get().len() as u64));

    let values = || cache.values::<Vec<E>>(name, 1).expect("the name has one type");
    let fill = |values: Values<Vec<E>>| {
        for key in &*keys {
            values.get_or_insert_with(key, || value.to_vec());
        }
        values
    };
    for (name, values) in [(VALUES, fill(values())), (WITH_TTL, fill(values().ttl(HOUR)))] {
        add(subject(name, &keys, length, move |key| {
            let value = black_box(&values).get_or_insert_with(key, || unreachable!("the value is kept"));
            value.len() as u64
        }));
    }

    let bare = quick_cache::sync::Cache::<Box<str>, Arc<Vec<E>>>::new(ENTRIES);
    keys.iter().for_each(|key| bare.insert(key.as_str().into(), value.clone()));
    add(subject(QUICK_CACHE, &keys, length, move |key| {
        black_box(&bare).get(key).map_or(0, |value| value.len() as u64)
    }));
    let moka = moka::sync::Cache::<String, Arc<Vec<E>>>::new(ENTRIES as u64);
    keys.iter().for_each(|key| moka.insert(key.clone(), value.clone()));
    add(subject(MOKA, &keys, length, move |key| {
        black_box(&moka).get(key).map_or(0, |value| value.len() as u64)
    }));
    let cached = ShardedLruCache::<String, Arc<Vec<E>>>::new(ENTRIES);
    keys.iter().for_each(|key| drop(cached.set(key.clone(), value.clone())));
    add(subject(CACHED, &keys, length, move |key| {
        black_box(&cached).get(key).map_or(0, |value| value.len() as u64)
    }));
    // It keeps encoded values, and decodes one for each hit.
    let hydra = HydraCache::local().max_capacity(1 << 32).max_entry_bytes(1 << 28).build();
    for key in &*keys {
        ready(hydra.put(key, &*value, CacheOptions::new().ttl(HOUR))).expect("it is kept");
    }
    add(subject(HYDRACACHE, &keys, length, move |key| {
        let value = ready(black_box(&hydra).get::<Vec<E>>(key)).expect("it is decoded");
        value.map_or(0, |value| value.len() as u64)
    }));
    subjects
}
