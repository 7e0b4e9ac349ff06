//! The judge, which finds stale reads. It knows every commit and the time of its
//! acknowledgement, and compares each read with them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::{Kind, Read, Record, now};
use super::{CACHES, ITEMS, MAX_STALENESS};

/// The tolerated scheduling delay that `pulse` does not measure.
const SLACK: Duration = Duration::from_millis(100);

/// The time that a read waits for the records of other processes' commits. If this time is
/// too short, the judge misses stale reads, but it never reports a false one.
const SETTLING: Duration = Duration::from_millis(500);

/// The largest adjustment of the clock during a run.
const CLOCK: Duration = Duration::from_millis(50);

pub struct Judge {
    state: Mutex<State>,
    started: (Instant, u64),
}

/// Counts of the reads that were judged.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub ready: u64,
    pub commits: u64,
    pub lost: u64,
    pub aborted: u64,
    pub folded: i64,
    pub failed: u64,
    pub values: u64,
    pub handle: u64,
    pub strict: u64,
    pub snapshot: u64,
    pub own: u64,
    pub states: u64,
    /// The number of reads that found a value in a store.
    pub found: u64,
    /// The number of reads during which the process was delayed by more than the tolerance.
    pub excused: u64,
    /// The number of reads by the store of the reader.
    pub by_store: HashMap<&'static str, u64>,
    /// The longest delay of a process.
    pub latest: Duration,
}

impl Counts {
    pub fn reads(&self) -> u64 {
        self.by_handle() + self.strictly() + self.own
    }

    pub fn by_handle(&self) -> u64 {
        self.values + self.handle
    }

    pub fn strictly(&self) -> u64 {
        self.strict + self.snapshot
    }
}

#[derive(Default)]
struct State {
    /// For each item, the time at which each counter was acknowledged.
    acknowledged: Vec<BTreeMap<u64, i64>>,
    attempted: Vec<i64>,
    /// The contents of the cache under each version.
    states: HashMap<(usize, i64), Vec<i64>>,
    waiting: VecDeque<(Instant, String, Read)>,
    /// Versions whose contents are unknown, because the record has not arrived yet.
    unheard: Vec<(String, Read)>,
    counts: Counts,
    findings: Vec<String>,
}

impl Judge {
    pub fn new() -> Judge {
        let state = State {
            acknowledged: vec![BTreeMap::new(); ITEMS],
            attempted: vec![0; ITEMS],
            ..State::default()
        };
        Judge { state: Mutex::new(state), started: (Instant::now(), now()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    pub fn findings(&self) -> Vec<String> {
        self.state().findings.clone()
    }

    pub fn find(&self, what: String) {
        self.state().findings.push(what);
    }

    /// Receives a record from the process with this name and this store.
    pub fn hear(&self, name: &str, store: &'static str, record: Record) {
        let mut state = self.state();
        match record {
            Record::Ready {} => state.counts.ready += 1,
            Record::Attempted { item, counter } => {
                state.attempted[item] = state.attempted[item].max(counter);
            }
            Record::Acknowledged { item, counter, at } => {
                acknowledge(&mut state.acknowledged[item], at, counter)
            }
            Record::Committed {} => state.counts.commits += 1,
            Record::Lost {} => state.counts.lost += 1,
            Record::Aborted {} => state.counts.aborted += 1,
            Record::Folded { events } => state.counts.folded += events,
            Record::Failed {} => state.counts.failed += 1,
            Record::Wrong { what } => state.findings.push(format!("{name}: {what}")),
            Record::Read(read) => {
                let counts = &mut state.counts;
                match read.kind {
                    Kind::Values => counts.values += 1,
                    Kind::Handle => counts.handle += 1,
                    Kind::Strict => counts.strict += 1,
                    Kind::Snapshot => counts.snapshot += 1,
                    Kind::Own => counts.own += 1,
                }
                counts.found += u64::from(read.found);
                counts.excused += u64::from(Duration::from_nanos(read.late) > SLACK);
                *counts.by_store.entry(store).or_default() += 1;
                counts.latest = counts.latest.max(Duration::from_nanos(read.late));
                state.waiting.push_back((Instant::now(), name.to_owned(), read));
            }
            Record::State { cache, version, counters } => {
                state.counts.states += 1;
                let before = state.states.entry((cache, version)).or_insert_with(|| counters.clone());
                if *before != counters {
                    let what = format!(
                        "{name}: version {version} of the cache {} means {before:?} and {counters:?}",
                        CACHES[cache]
                    );
                    state.findings.push(what);
                }
            }
        }
    }

    /// Judges the reads that have waited long enough.
    pub fn settle(&self) {
        self.judge(SETTLING);
    }

    /// Judges all remaining reads, after the last record of every process.
    pub fn close(&self) {
        self.judge(Duration::ZERO);
        let mut state = self.state();
        for (name, read) in std::mem::take(&mut state.unheard) {
            let attempted = state.attempted[read.item];
            if read.counter > attempted {
                let what = format!("{name}: committed was no more than {attempted}, but there was {read:?}");
                state.findings.push(what);
            }
        }
        drop(state);
        let (instant, clock) = self.started;
        let passed = Duration::from_nanos(now().saturating_sub(clock));
        let set = passed.abs_diff(instant.elapsed());
        assert!(set < CLOCK, "the clock was set by {set:?} meanwhile, so there is no result: run it again");
    }

    fn judge(&self, settling: Duration) {
        let mut state = self.state();
        while state.waiting.front().is_some_and(|(heard, ..)| heard.elapsed() >= settling) {
            let Some((_, name, read)) = state.waiting.pop_front() else { return };
            if let Some(stale) = stale(&state.acknowledged[read.item], &read) {
                state.findings.push(format!("{name}: {stale}"));
            }
            if read.counter > state.attempted[read.item] {
                state.unheard.push((name, read));
            }
        }
    }
}

/// Adds an acknowledgement, so that counters increase with time even if the record of a
/// later commit arrives first.
fn acknowledge(acknowledged: &mut BTreeMap<u64, i64>, at: u64, counter: i64) {
    if known(acknowledged, at + 1).is_some_and(|(_, known)| known >= counter) {
        return;
    }
    let passed: Vec<u64> =
        acknowledged.range(at..).take_while(|(_, known)| **known <= counter).map(|(at, _)| *at).collect();
    for at in passed {
        acknowledged.remove(&at);
    }
    acknowledged.insert(at, counter);
}

/// Returns the last counter that was acknowledged before this time, and the time of the
/// acknowledgement.
fn known(acknowledged: &BTreeMap<u64, i64>, before: u64) -> Option<(u64, i64)> {
    acknowledged.range(..before).next_back().map(|(at, counter)| (*at, *counter))
}

/// Returns a finding if the read is too old.
fn stale(acknowledged: &BTreeMap<u64, i64>, read: &Read) -> Option<String> {
    let Read { kind, item, counter, floor, began, late, .. } = *read;
    if counter < floor {
        return Some(format!("stale by {kind:?}: item {item} is {counter}, but the reader has seen {floor}"));
    }
    let allowed = match kind {
        Kind::Values | Kind::Handle => MAX_STALENESS + SLACK + Duration::from_nanos(late),
        Kind::Strict | Kind::Snapshot => Duration::ZERO,
        // This kind of read promises nothing about commits of other processes.
        Kind::Own => return None,
    };
    let since = began.saturating_sub(allowed.as_nanos().try_into().unwrap_or(u64::MAX));
    let (_, committed) = known(acknowledged, since).filter(|(_, committed)| counter < *committed)?;
    let missed = acknowledged.iter().find(|(_, known)| counter < **known);
    let age = Duration::from_nanos(missed.map_or(0, |(at, _)| began.saturating_sub(*at)));
    Some(format!(
        "stale by {kind:?}: item {item} is {counter}, but {committed} was acknowledged before, \
         the first that it misses {age:.2?} before (allowed: {allowed:.2?})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn read(kind: Kind, counter: i64, began: u64) -> Read {
        Read { kind, item: 0, counter, floor: 0, found: true, began, late: 0 }
    }

    fn times(pairs: &[(u64, i64)]) -> BTreeMap<u64, i64> {
        let mut times = BTreeMap::new();
        for (at, counter) in pairs {
            acknowledge(&mut times, *at, *counter);
        }
        times
    }

    #[test]
    fn counters_increase_with_time_in_any_order_of_arrival() {
        let expected = BTreeMap::from([(10, 1), (20, 3), (40, 4)]);
        let mut pairs = [(10, 1), (20, 3), (30, 2), (40, 4)];
        assert_eq!(times(&pairs), expected);
        pairs.reverse();
        assert_eq!(times(&pairs), expected);
        assert_eq!(times(&[(10, 1), (10, 2)]), times(&[(10, 2), (10, 1)]));
    }

    #[test]
    fn strict_reads_see_earlier_acknowledged_commits() {
        let times = times(&[(10, 1), (20, 2)]);
        assert_eq!(stale(&times, &read(Kind::Strict, 1, 20)), None);
        assert!(stale(&times, &read(Kind::Strict, 1, 21)).unwrap().contains("stale by Strict"));
        assert!(stale(&times, &Read { floor: 3, ..read(Kind::Own, 2, 30) }).is_some());
    }

    #[test]
    fn other_reads_may_lag_by_the_limit_and_no_more() {
        let times = times(&[(10 * SECOND, 1), (20 * SECOND, 2)]);
        let limit = (MAX_STALENESS + SLACK).as_nanos() as u64;
        assert_eq!(stale(&times, &read(Kind::Values, 1, 20 * SECOND + limit)), None);
        assert!(stale(&times, &read(Kind::Values, 1, 20 * SECOND + limit + 1)).is_some());
        let late = Read { late: 1, ..read(Kind::Handle, 1, 20 * SECOND + limit + 1) };
        assert_eq!(stale(&times, &late), None);
    }

    #[test]
    fn a_version_has_one_meaning_and_every_value_was_written() {
        let judge = Judge::new();
        let state = |counters: &[i64]| Record::State { cache: 0, version: 7, counters: counters.to_vec() };
        judge.hear("a", "", state(&[1, 2]));
        judge.hear("b", "", state(&[1, 2]));
        assert_eq!(judge.findings(), [""; 0]);
        judge.hear("c", "", state(&[1, 3]));
        assert!(judge.findings()[0].contains("means [1, 2] and [1, 3]"));

        judge.hear("a", "", Record::Read(read(Kind::Own, 5, 10)));
        judge.close();
        assert!(judge.findings()[1].contains("committed was no more than 0"));
    }
}
