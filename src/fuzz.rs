//! The driver of fuzz targets: mutates the files of `fuzz/corpus`.
//!
//! In: the name of a target, and a function. Out: how many inputs the function has accepted,
//! or the input that made it panic. `fuzz/README.md` says how to run it for longer.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Instant;

/// The inputs for each target in an ordinary run of the tests.
const BOUNDED: u64 = 5_000;

/// The longest input in bytes.
const LONGEST: usize = 2_000;

/// The generator SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or(0) % limit.max(1)
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Returns the files of `fuzz/corpus/{target}`, sorted by their names.
pub(crate) fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Feeds mutated files of `fuzz/corpus/{target}` to the function, which returns whether it
/// has accepted the input.
pub(crate) fn drive(target: &str, function: impl Fn(&[u8]) -> bool) {
    drive_on(target, &corpus(target), function);
}

/// Does the same as [`drive`] with this corpus.
///
/// # Panics
///
/// Panics if the function does, or if it accepts all inputs or none of them: the target then
/// checks only half of what it is for.
pub(crate) fn drive_on(target: &str, corpus: &[Vec<u8>], function: impl Fn(&[u8]) -> bool) {
    let count = variable("BUSTARD_FUZZ").unwrap_or(BOUNDED);
    let seed = variable("BUSTARD_SEED").unwrap_or(1);
    let start = Instant::now();
    let mut random = Random(seed);
    let mut accepted = 0;
    for n in 0..count {
        let input = mutated(corpus, &mut random);
        match catch_unwind(AssertUnwindSafe(|| function(&input))) {
            Ok(was_accepted) => accepted += u64::from(was_accepted),
            Err(panic) => {
                println!("{target}: input {n} of BUSTARD_SEED={seed}: {:?}", String::from_utf8_lossy(&input));
                resume_unwind(panic);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f32();
    println!("{target}: {count} inputs, {accepted} accepted, {seconds:.1} s, BUSTARD_SEED={seed}");
    assert!((1..count).contains(&accepted), "{target}: {accepted} of {count} inputs were accepted");
}

/// Asserts that the target finds the fault that is seeded in the function.
#[track_caller]
pub(crate) fn finds(target: &str, corpus: &[Vec<u8>], faulty: impl Fn(&[u8]) -> bool) {
    let run = AssertUnwindSafe(|| drive_on(target, corpus, faulty));
    assert!(catch_unwind(run).is_err(), "{target}: the seeded fault was not found");
}

/// Takes a part of a file, and changes it in up to eight places.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let part = |random: &mut Random, longest: usize| {
        let file = &corpus[random.below(corpus.len())];
        let start = random.below(file.len());
        file[start..file.len().min(start + random.below(longest))].to_vec()
    };
    // Half of the inputs begin as a whole file, because most formats begin with a header.
    let mut input = match random.below(2) {
        0 => corpus[random.below(corpus.len())].iter().copied().take(LONGEST).collect(),
        _ => part(random, LONGEST),
    };
    for _ in 0..random.below(9) {
        let at = random.below(input.len() + 1);
        match random.below(5) {
            0 => drop(input.drain(at..input.len().min(at + random.below(20)))),
            1 => drop(input.splice(at..at, part(random, 40))),
            2 => {
                const TOKENS: &[&str] = &[
                    "'",
                    "\"",
                    "E'",
                    "$$",
                    "$a$",
                    "--",
                    "/*",
                    "*/",
                    "\\",
                    ";",
                    "\n",
                    "\r",
                    "\u{feff}",
                    "é",
                    "：",
                    "\0",
                    "(",
                    ")",
                    "[",
                    "`",
                    "%",
                    "@",
                    ":",
                    "/",
                    "?",
                    "&",
                    "=",
                    ",",
                    "#",
                    "{",
                    "\t",
                    "\u{1b}",
                    "\u{9b}",
                    "\u{202e}",
                    "-1",
                    "99999999999999999999",
                ];
                let token = TOKENS[random.below(TOKENS.len())];
                drop(input.splice(at..at, token.bytes()));
            }
            3 => input.insert(at, u8::try_from(random.below(256)).unwrap_or(0)),
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    input
}

#[test]
fn fuzz_finds_a_seeded_fault() {
    let corpus = corpus("sql");
    finds("sql", &corpus, |input| {
        assert!(!input.windows(2).any(|two| two == b";'"), "seeded");
        input.len() > 100
    });
    drive_on("sql", &corpus, |input| input.len() > 100);
    let rejects_all = AssertUnwindSafe(|| drive_on("sql", &corpus, |_| false));
    assert!(catch_unwind(rejects_all).is_err(), "a target that accepts nothing fails");
}
