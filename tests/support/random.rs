//! Random numbers without a library. They choose the next action, never the expected
//! result.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The generator SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Starts a new sequence each time, or the sequence of `BUSTARD_SEED`. Prints the seed.
    pub fn seeded() -> Random {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
        let seed = std::env::var("BUSTARD_SEED").ok().map(|seed| seed.parse().expect("it is a number"));
        let seed = seed.unwrap_or(now.as_nanos() as u64);
        println!("BUSTARD_SEED={seed}");
        Random::new(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits fit") % limit
    }

    /// Returns a random duration between zero and the given duration.
    pub fn part_of(&mut self, duration: Duration) -> Duration {
        duration.mul_f64(self.below(1 << 20) as f64 / f64::from(1 << 20))
    }

    /// Returns true once in this many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
