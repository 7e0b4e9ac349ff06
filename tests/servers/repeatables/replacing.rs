//! Tests replacing functions while they are in use: by two runs at once, while other
//! sessions call them, and for transactions with an older snapshot. PostgreSQL only: SQLite
//! has one writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Scene;

/// Gives all functions and views the texts of an older release.
const OLDER: &str = "DELETE FROM bustard.repeatable WHERE app = 'bustard' AND NOT is_current;
    UPDATE bustard.repeatable SET checksum = 'older', edition = 0 WHERE app = 'bustard'";

/// Stops the callers on drop, even after a panic.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn migrated() -> Scene {
    let scene = Scene::postgres();
    scene.file("V1__x.sql", "CREATE TABLE x (id INTEGER);\n-- bustard: register cache xs on x\n");
    scene.migrate(&[]).success();
    scene
}

const CALLS: &str = "SELECT bustard.get_version('xs'), bustard.is_valid('xs', 1), bustard.invalidate('xs'); \
                     INSERT INTO x VALUES (1); SELECT * FROM bustard.caches; \
                     SELECT * FROM bustard.identity('xs'); SELECT * FROM bustard.snapshot(NULL, NULL, NULL)";

#[test]
fn several_runs_replace_functions_while_others_call_them() {
    let scene = migrated();
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let replacements = thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = scene.database().client();
                    while !stop.load(Ordering::Relaxed) {
                        client.batch_execute(CALLS).unwrap_or_else(|error| panic!("a call failed: {error}"));
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let stopping = Stop(&stop);
        let mut replacements = 0;
        for _ in 0..8 {
            scene.execute(OLDER);
            let arguments = ["migrate", "--json", "--database-url", &scene.url()];
            let runs: Vec<_> = (0..3).map(|_| scene.project.spawn(&arguments)).collect();
            let outcomes: Vec<_> = runs.into_iter().map(|run| run.wait().success()).collect();
            let changed = outcomes.iter().filter(|outcome| outcome.json()["changed"] == true).count();
            assert_eq!(changed, 1, "exactly one run replaces each function");
            replacements += changed;
        }
        drop(stopping);
        for caller in callers {
            caller.join().expect("no error reaches a caller");
        }
        replacements
    });
    let calls = calls.into_inner();
    println!("{replacements} replacements, {calls} calls");
    assert!(replacements == 8 && calls > 40, "{replacements} replacements, {calls} calls");
}

/// A transaction that keeps an older snapshot continues with the new functions.
#[test]
fn a_snapshot_from_before() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let scene = migrated();
        let mut old = scene.database().client();
        // The transaction has not called the functions yet, so it holds no locks on them.
        old.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM x"))
            .expect("it begins");
        scene.execute(OLDER);
        scene.migrate(&[]).success();
        old.batch_execute(CALLS).expect("the new functions work in the old snapshot");
        old.batch_execute("COMMIT").expect("it commits");
        let mut used = scene.database().client();
        used.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}")).expect("it begins");
        used.batch_execute("SELECT bustard.get_version('xs')").expect("it is called");
        scene.execute(OLDER);
        let began = Instant::now();
        scene.migrate(&[]).success();
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it waited for a transaction that only called functions"
        );
        used.batch_execute("SELECT bustard.get_version('xs'), bustard.invalidate('xs'); COMMIT")
            .expect("the old transaction works with the new functions");
    }
}
