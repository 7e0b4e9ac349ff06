//! Tests that the lookups which the bench `first_level` measures find what they look up. No
//! time decides.

#[path = "../../../benches/hits/mod.rs"]
mod hits;

use std::collections::BTreeSet;

use hits::{
    CACHED, GET, HYDRACACHE, IS_VALID, LOAD, MOKA, QUICK_CACHE, SIZES, Size, Subject, VALUES, WITH, WITH_TTL,
};

#[test]
fn c2_the_bench_finds_what_it_looks_up() {
    let directory = tempfile::tempdir().unwrap();
    let buster = hits::buster(directory.path());
    let cache = buster.cache("bans").unwrap();
    for size in SIZES {
        // The largest values take long to encode in a debug build.
        let size = match size {
            Size::Numbers(length) => Size::Numbers(length.min(100_000)),
            Size::Bytes(length) => Size::Bytes(length.min(100_000)),
        };
        let mut names = BTreeSet::new();
        for Subject { name, look, length } in hits::subjects(&buster, size) {
            let (before, looks) = (cache.stats(), 200);
            assert_eq!(look(looks), looks * length, "{name}, {size:?}");
            let (after, counts) = (cache.stats(), [WITH, GET, VALUES, WITH_TTL].contains(&name));
            // The memo is computed by its first lookup.
            let loads = after.loads - before.loads;
            assert!(loads == 0 || name == WITH, "{name}: {loads} computations");
            let counted = after.hits - before.hits + loads;
            assert_eq!(counted, if counts { looks } else { 0 }, "{name}, {size:?}");
            names.insert(name);
        }
        let all = [LOAD, IS_VALID, WITH, GET, VALUES, WITH_TTL, QUICK_CACHE, MOKA, CACHED, HYDRACACHE];
        assert_eq!(names, BTreeSet::from(all));
    }
}
