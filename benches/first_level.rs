//! Compares hits of the first level with hits of other caches, for values of five sizes:
//! `cargo bench --bench first_level`.
//!
//! All subjects are measured in turn in every round, so that changes of the machine's speed
//! affect all of them. The ratios are medians of the ratios within the rounds. The last
//! table has the goals. No result fails the bench. Arguments are the names of sizes
//! (`numbers:100`), or none for all.

mod hits;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use bustard::CacheBuster;
use hits::{
    CACHED, GET, HYDRACACHE, IS_VALID, LOAD, Look, MOKA, QUICK_CACHE, SIZES, Size, Subject, VALUES, WITH,
    WITH_TTL,
};
use rustix::time::{ClockId, clock_gettime};

/// The subjects are built this often, because the places of their memory affect the times.
const BUILDS: usize = 5;

/// The number of measurements of each build.
const ROUNDS: usize = 15;

const THREADS: [usize; 2] = [1, 2];

/// The time of one measurement of a subject.
const SLICE: Duration = Duration::from_millis(1);

/// The largest ratio of two subjects.
const GOALS: [(&str, &str, f64); 5] = [
    (VALUES, QUICK_CACHE, 1.5),
    (VALUES, MOKA, 0.2),
    (VALUES, HYDRACACHE, 0.15),
    (WITH, LOAD, 15.0),
    (IS_VALID, LOAD, 1.5),
];

/// The largest ratio of the time with the largest values to that with the smallest ones.
const FLAT: f64 = 1.5;

/// Nanoseconds of one lookup, for each round.
type Times = BTreeMap<&'static str, Vec<f64>>;

/// Returns the CPU time of this thread. Waiting for a processor does not count.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Returns the time in nanoseconds of one lookup on the slowest of several threads.
fn timed(look: &Look, count: u64, threads: usize) -> f64 {
    let start = Barrier::new(threads);
    let work = || {
        start.wait();
        let began = computed();
        black_box(look(black_box(count)));
        computed() - began
    };
    let took = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        others.into_iter().filter_map(|other| other.join().ok()).fold(mine, Duration::max)
    });
    took.as_nanos() as f64 / count as f64
}

/// Returns the number of lookups that take about as long as a slice.
fn count(look: &Look) -> u64 {
    let mut count = 1;
    loop {
        let took = timed(look, count, 1) * count as f64;
        if took * 4.0 >= SLICE.as_nanos() as f64 || count > 1 << 30 {
            return (count as f64 * SLICE.as_nanos() as f64 / took).max(1.0) as u64;
        }
        count *= 4;
    }
}

fn measure(buster: &CacheBuster, size: Size, threads: usize) -> Times {
    let mut times = Times::new();
    for _ in 0..BUILDS {
        measure_one(&hits::subjects(buster, size), threads, &mut times);
    }
    times
}

fn measure_one(subjects: &[Subject], threads: usize, times: &mut Times) {
    for Subject { name, look, length } in subjects {
        assert_eq!(look(2), 2 * length, "{name} finds the value");
    }
    let counts: Vec<u64> = subjects.iter().map(|subject| count(&subject.look)).collect();
    for _ in 0..ROUNDS {
        for (subject, count) in subjects.iter().zip(&counts) {
            times.entry(subject.name).or_default().push(timed(&subject.look, *count, threads));
        }
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Returns the median of the ratios within the rounds.
fn ratio(times: &Times, subject: &str, yardstick: &str) -> f64 {
    let pairs = times[subject].iter().zip(&times[yardstick]);
    median(pairs.map(|(subject, yardstick)| subject / yardstick).collect())
}

fn name(size: Size) -> String {
    match size {
        Size::Numbers(length) => format!("numbers:{length}"),
        Size::Bytes(length) => format!("bytes:{length}"),
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let directory = tempfile::tempdir().expect("there is room");
    let buster = hits::buster(directory.path());
    let sizes = || SIZES.into_iter().filter(|size| wanted.is_empty() || wanted.contains(&name(*size)));
    let mut all = Vec::new();
    for threads in THREADS {
        println!("nanoseconds of a hit, threads at once: {threads}");
        let names = [LOAD, IS_VALID, WITH, GET, VALUES, WITH_TTL, QUICK_CACHE, MOKA, CACHED, HYDRACACHE];
        let columns: Vec<(Size, Times)> =
            sizes().map(|size| (size, measure(&buster, size, threads))).collect();
        print!("{:<22}", "");
        columns.iter().for_each(|(size, _)| print!("{:>18}", name(*size)));
        println!();
        for subject in names {
            print!("{subject:<22}");
            columns.iter().for_each(|(_, times)| print!("{:>18.1}", median(times[subject].clone())));
            println!();
        }
        println!();
        all.push((threads, columns));
    }
    for (threads, columns) in &all {
        println!("ratios, threads at once: {threads}");
        for (subject, yardstick, goal) in GOALS {
            print!("{:<44}", format!("{subject} / {yardstick}"));
            let ratios = columns.iter().map(|(_, times)| ratio(times, subject, yardstick));
            let mut worst: f64 = 0.0;
            for ratio in ratios {
                print!("{ratio:>8.3}");
                worst = worst.max(ratio);
            }
            println!("   goal {goal}: {}", if worst <= goal { "kept" } else { "MISSED" });
        }
        if let [(_, smallest), .., (_, largest)] = columns.as_slice() {
            for subject in [WITH, GET, VALUES, WITH_TTL] {
                let ratio = median(largest[subject].clone()) / median(smallest[subject].clone());
                let kept = if ratio <= FLAT { "kept" } else { "MISSED" };
                println!(
                    "{:<44}{ratio:>8.3}   goal {FLAT}: {kept}",
                    format!("{subject}: largest / smallest")
                );
            }
        }
        println!();
    }
}
