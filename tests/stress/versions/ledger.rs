//! The checker: receives observations of versions and data, from any thread and in any
//! order, and keeps the observations that contradict the promises.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The data of a cache: how often each writer has changed it.
pub type State = Vec<i64>;

/// The kind of contradiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// One version has two states of the data.
    TwoStates,
    /// One state of the data has two versions: the version has changed without an
    /// invalidation.
    TwoVersions,
    /// A later snapshot has a lower version.
    WentBack,
    /// An entry is valid but differs from the data.
    Stale,
    /// The count of a version differs from the number of committed invalidations.
    Miscounted,
    /// A statement failed.
    Refused,
}

/// The number of texts that are kept for each fault. It is small, because one bug can break
/// every read.
const KEPT: usize = 5;

/// All observations of one database.
#[derive(Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
    commits: AtomicU64,
    reads: AtomicU64,
    hits: AtomicU64,
    folds: AtomicU64,
    rolled_back: AtomicU64,
}

#[derive(Default)]
struct Inner {
    /// The data under each version; `None` if the version was rolled back.
    states: HashMap<(usize, i64), Option<State>>,
    versions: HashMap<(usize, State), i64>,
    /// The counts of the versions when all data were zero.
    start: Vec<i64>,
    findings: BTreeMap<Fault, (u64, Vec<String>)>,
}

impl Ledger {
    /// Starts with these versions of the caches, before any write.
    pub fn new(versions: &[i64]) -> Ledger {
        let ledger = Ledger::default();
        ledger.inner().start = versions.iter().map(|version| version >> 23).collect();
        ledger
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Records a version and the data, which were read in one snapshot. `last` is the
    /// version that this reader saw in an earlier snapshot.
    pub fn observe(&self, cache: usize, version: i64, state: &State, last: &mut i64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner();
        inner.monotonic(cache, version, last);
        let counted = (version >> 23) - inner.start.get(cache).copied().unwrap_or_default();
        let committed: i64 = state.iter().sum();
        if counted != committed {
            inner.found(Fault::Miscounted, || {
                format!("version {version} of cache {cache} counts {counted} invalidations, but {committed} have committed")
            });
        }
        inner.one_state(cache, version, state);
        let other = *inner.versions.entry((cache, state.clone())).or_insert(version);
        if other != version {
            inner.found(Fault::TwoVersions, || {
                format!("{state:?} of cache {cache} has the versions {other} and {version}")
            });
        }
    }

    /// Records a version and the data like [`observe`](Self::observe), where the count is not
    /// known, and where a state may come back under another version.
    pub fn observe_state(&self, cache: usize, version: i64, state: &State, last: &mut i64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner();
        inner.monotonic(cache, version, last);
        inner.one_state(cache, version, state);
    }

    /// Records a version that was read without the data.
    pub fn observe_version(&self, cache: usize, version: i64, last: &mut i64) {
        self.inner().monotonic(cache, version, last);
    }

    /// Records a version that a transaction saw after its own invalidation and before its
    /// rollback. No other transaction may ever see this version.
    pub fn observe_rolled_back(&self, cache: usize, version: i64) {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
        let known = self.inner().states.entry((cache, version)).or_insert(None).clone();
        if let Some(state) = known {
            self.find(
                Fault::TwoStates,
                format!("version {version} of cache {cache} was rolled back, but belongs to {state:?}"),
            );
        }
    }

    /// Records an entry, whether it is valid, and the data, all read in one snapshot. The
    /// entry was stored under a version that was read before the data.
    pub fn check_entry(&self, cache: usize, version: i64, filed: &State, valid: bool, state: &State) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if valid {
            self.hits.fetch_add(1, Ordering::Relaxed);
            if filed != state {
                self.find(
                    Fault::Stale,
                    format!("{filed:?} of cache {cache} is valid under {version}, the data are {state:?}"),
                );
            }
        }
    }

    pub fn find(&self, fault: Fault, text: String) {
        self.inner().found(fault, || text);
    }

    pub fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub fn folded(&self) {
        self.folds.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts transactions that have changed data and versions.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Counts versions that were compared with the data of their snapshot.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Counts checked entries that were valid.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Counts folds that found something to fold.
    pub fn folds(&self) -> u64 {
        self.folds.load(Ordering::Relaxed)
    }

    /// Counts versions that were rolled back.
    pub fn rolled_back(&self) -> u64 {
        self.rolled_back.load(Ordering::Relaxed)
    }

    /// Returns the findings of one kind.
    pub fn findings(&self, fault: Fault) -> Vec<String> {
        self.inner().findings.get(&fault).map(|(_, texts)| texts.clone()).unwrap_or_default()
    }

    /// Returns all findings, one on each line. The text is empty if there are none.
    pub fn report(&self) -> String {
        let inner = self.inner();
        let lines = inner.findings.iter().flat_map(|(fault, (count, texts))| {
            std::iter::once(format!("{fault:?}, {count} times:\n"))
                .chain(texts.iter().map(|text| format!("  {text}\n")))
        });
        lines.collect()
    }
}

impl Inner {
    fn monotonic(&mut self, cache: usize, version: i64, last: &mut i64) {
        if version < *last {
            let before = *last;
            self.found(Fault::WentBack, || {
                format!("cache {cache} went from version {before} back to {version}")
            });
        }
        *last = version;
    }

    fn one_state(&mut self, cache: usize, version: i64, state: &State) {
        let known = self.states.entry((cache, version)).or_insert_with(|| Some(state.clone())).clone();
        if known.as_ref() != Some(state) {
            self.found(Fault::TwoStates, || {
                format!("version {version} of cache {cache} belongs to {known:?} and to {state:?}")
            });
        }
    }

    fn found(&mut self, fault: Fault, text: impl FnOnce() -> String) {
        let (count, texts) = self.findings.entry(fault).or_default();
        *count += 1;
        if texts.len() < KEPT {
            texts.push(text());
        }
    }
}
