//! Several runners on a copy.

use super::{GIVEN, identity, installed, is_original, project, run};

/// Exactly one of the runners gives the copy an identity, and all exit with 0.
#[test]
fn c5_runners_at_once() {
    let project = project();
    let original = installed(&project);
    for round in 0..4 {
        let copy = original.copy();
        let pending = round % 2 == 1;
        if pending {
            project.file(format!("migrations/V{}__more.sql", 3 + round), "SELECT 1;\n");
        }
        // The runners read the copy while another session holds the lock, and write later.
        let mut holder = copy.client();
        holder
            .batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({})", crate::support::LOCK))
            .unwrap();
        let url = copy.url();
        let runners: Vec<_> = (0..4).map(|_| project.spawn(&["migrate", "--database-url", &url])).collect();
        for runner in &runners {
            runner.wait_for_stderr("waiting for the migration lock");
        }
        holder.batch_execute("COMMIT").unwrap();
        let outcomes: Vec<_> = runners.into_iter().map(|runner| runner.wait().success()).collect();
        let given = outcomes.iter().filter(|outcome| outcome.stdout.contains(GIVEN)).count();
        let nothing = outcomes.iter().filter(|outcome| outcome.stdout.contains("nothing to do")).count();
        assert_eq!((given, nothing), (1, 3), "{outcomes:#?}");
        assert_ne!(identity(&copy), identity(&original));
        is_original(&project, &copy, "after the runners");
        run(&project, &original, &["migrate"]).success();
    }
}
