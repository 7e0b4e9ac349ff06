//! Tests concurrent runs: each run uses the state that it reads under the lock.

use std::sync::{Arc, Barrier, Mutex};

use bustard::{AppState, Event, Migrator, TransactionMode};

use super::{Ground, bans, changes, forum, migrator, names, table};

/// After a run has made its plan and before it takes the lock, another session disables one
/// of the apps. In the second case, the other session also creates Bustard's own tables.
#[test]
fn disabled_after_the_plan_was_made() {
    for mode in [TransactionMode::Each, TransactionMode::All] {
        for fresh in [false, true] {
            for mut ground in Ground::both() {
                let apps = [forum(), bans()];
                if !fresh {
                    ground.run(&[forum()]);
                }
                let other = Mutex::new(Some(ground.connect()));
                let disable = move |event: &Event| {
                    if matches!(event, Event::Planned { .. })
                        && let Some(mut database) = other.lock().expect("the mutex is not poisoned").take()
                    {
                        if fresh {
                            migrator(&[forum()]).run(&mut database).expect("it runs");
                        }
                        migrator(&apps).disable(&mut database, "bans").expect("it is loaded");
                    }
                };
                let apps = [forum(), bans()];
                let report = migrator(&apps).transaction(mode).on_event(disable).run(&mut ground.database);
                let report = report.unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(names(&report), [""; 0], "{report:?}");
                assert_eq!(ground.state(&apps, "bans"), AppState::Disabled);
                assert_eq!(ground.caches(), [""; 0]);
            }
        }
    }
}

/// Another session disables an app between two transactions of one run.
#[test]
fn disabled_between_two_migrations() {
    for mut ground in Ground::both() {
        let apps = || [forum(), bans().migration("V2__more", table("more"))];
        ground.run(&[forum()]);
        let other = Mutex::new(Some(ground.connect()));
        let disable = move |event: &Event| {
            if matches!(event, Event::Finished { .. })
                && let Some(mut database) = other.lock().expect("the mutex is not poisoned").take()
            {
                migrator(&apps()).disable(&mut database, "bans").expect("it is loaded");
            }
        };
        let report = migrator(&apps()).on_event(disable).run(&mut ground.database).expect("it ends well");
        assert_eq!(names(&report), ["bans:V1__bans"]);
        assert_eq!(ground.state(&apps(), "bans"), AppState::Disabled);
    }
}

/// If many runs try the same change at once, exactly one run makes the change.
#[test]
fn one_of_many_concurrent_runs_makes_the_change() {
    const MANY: usize = 8;
    for mut ground in Ground::both() {
        let apps = [forum(), bans()];
        ground.run(&apps);
        let verbs: [fn(&Migrator, &mut bustard::Database) -> bustard::Result<bustard::Report>; 2] = [
            |migrator, database| migrator.disable(database, "bans"),
            |migrator, database| migrator.enable(database, "bans"),
        ];
        for verb in verbs {
            let barrier = Arc::new(Barrier::new(MANY));
            let runs: Vec<_> = (0..MANY)
                .map(|_| {
                    let (mut database, apps, barrier) = (ground.connect(), apps.clone(), barrier.clone());
                    std::thread::spawn(move || {
                        barrier.wait();
                        verb(&migrator(&apps), &mut database).unwrap_or_else(|error| panic!("{error}"))
                    })
                })
                .collect();
            let reports: Vec<_> = runs.into_iter().map(|run| run.join().expect("it ends")).collect();
            let did: Vec<_> = reports.iter().flat_map(changes).collect();
            assert_eq!(did.len(), 1, "{did:?}");
        }
        assert_eq!(ground.state(&apps, "bans"), AppState::Enabled);
    }
}
