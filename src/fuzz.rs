//! The driver of fuzz targets: mutates the files of `fuzz/corpus`.
//!
//! In: the name of a target, and a function. Out: nothing, or the input that made the
//! function panic. `fuzz/README.md` says how to run it for longer.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

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

/// Feeds mutated files of `fuzz/corpus/{target}` to the function.
pub(crate) fn drive(target: &str, function: impl Fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let count = variable("BUSTARD_FUZZ").unwrap_or(BOUNDED);
    let seed = variable("BUSTARD_SEED").unwrap_or(1);
    println!("{target}: {count} inputs, BUSTARD_SEED={seed}");
    let mut random = Random(seed);
    for n in 0..count {
        let input = mutated(&corpus, &mut random);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| function(&input))) {
            println!("{target}: input {n} of BUSTARD_SEED={seed}: {:?}", String::from_utf8_lossy(&input));
            resume_unwind(panic);
        }
    }
}

/// Takes a part of a file, and changes it in up to eight places.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let part = |random: &mut Random, longest: usize| {
        let file = &corpus[random.below(corpus.len())];
        let start = random.below(file.len());
        file[start..file.len().min(start + random.below(longest))].to_vec()
    };
    let mut input = part(random, LONGEST);
    for _ in 0..random.below(9) {
        let at = random.below(input.len() + 1);
        match random.below(5) {
            0 => drop(input.drain(at..input.len().min(at + random.below(20)))),
            1 => drop(input.splice(at..at, part(random, 40))),
            2 => {
                const TOKENS: &[&str] = &[
                    "'", "\"", "E'", "$$", "$a$", "--", "/*", "*/", "\\", ";", "\n", "\r", "\u{feff}", "é",
                    "：", "\0", "(", ")", "[", "`",
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
    let faulty = || drive("sql", |input| assert!(!input.windows(2).any(|two| two == b";'"), "seeded"));
    assert!(catch_unwind(faulty).is_err());
}
