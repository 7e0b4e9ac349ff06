//! Measures how late this process is: threads sleep for a moment repeatedly and record by
//! how much they overslept. A process that is stopped, or gets no processor, cannot expire
//! its snapshot. These measurements show how long that lasted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(5);
/// The number of threads. There are several, because a single thread may be scheduled on
/// time by chance.
const HEARTS: usize = 3;
/// A delay that began at most this long before a read may have affected the read.
const BEFORE: Duration = Duration::from_millis(200);
/// Delays older than this are dropped.
const OLD: Duration = Duration::from_secs(10);

pub struct Pulse(Vec<Arc<Heart>>);

struct Heart(Mutex<State>);

struct State {
    last: Instant,
    /// The times when a thread woke too late, each with the delay.
    late: VecDeque<(Instant, Duration)>,
}

impl Pulse {
    pub fn start() -> Pulse {
        let hearts = (0..HEARTS).map(|_| {
            let heart = Arc::new(Heart(Mutex::new(State { last: Instant::now(), late: VecDeque::new() })));
            let beating = Arc::clone(&heart);
            thread::spawn(move || {
                loop {
                    thread::sleep(BEAT);
                    beating.beat();
                }
            });
            heart
        });
        Pulse(hearts.collect())
    }

    /// Returns the longest delay since shortly before this time, including a delay that has
    /// not ended.
    pub fn late(&self, since: Instant) -> Duration {
        self.0.iter().map(|heart| heart.late(since)).max().unwrap_or_default()
    }
}

impl Heart {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        let mut state = self.state();
        let now = Instant::now();
        let late = (now - state.last).saturating_sub(BEAT);
        state.last = now;
        if late > BEAT {
            state.late.push_back((now, late));
        }
        while state.late.front().is_some_and(|(woke, _)| *woke + OLD < now) {
            state.late.pop_front();
        }
    }

    fn late(&self, since: Instant) -> Duration {
        let state = self.state();
        let past = state.late.iter().filter(|(woke, _)| *woke + BEFORE >= since).map(|(_, late)| *late);
        past.chain([state.last.elapsed().saturating_sub(BEAT)]).max().unwrap_or_default()
    }
}
