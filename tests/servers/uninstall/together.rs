//! Tests uninstalls at the same time as other runs. Each run must see the effects of the
//! other run.

use std::sync::{Mutex, mpsc};
use std::thread;

use bustard::{App, Event, Migration, Migrator};

use super::site::{Site, bans};

#[test]
fn one_of_two_concurrent_uninstalls_makes_the_change() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.migrate(&["forum", "bans"]);
        let plan = site.plan(&["forum"], &bans());
        let run = || site.migrator(&["forum"]).uninstall(&mut site.connection(), &plan);
        let results = thread::scope(|scope| {
            let both = [scope.spawn(run), scope.spawn(run)];
            both.map(|one| one.join().expect("it does not panic"))
        });
        let (done, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (1, 1));
        let text = refused
            .into_iter()
            .find_map(Result::err)
            .map(|error| error.report().to_string())
            .unwrap_or_default();
        assert!(
            text.contains("bans is not installed any more") && text.contains("nothing was changed"),
            "{text}"
        );
        assert_eq!(site.objects(), alone);
    }
}

/// The app is uninstalled between two transactions of a run. The run plans again and
/// installs the app from the start.
#[test]
fn uninstalled_between_two_migrations() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let other = Mutex::new(Some(site.connection()));
        let migrator = site.migrator(&["forum", "bans"]).on_event(move |event| {
            if matches!(event, Event::Finished { .. })
                && let Some(mut database) = other.lock().expect("the mutex is not poisoned").take()
            {
                let plan = Migrator::new().plan_uninstall(&mut database, &bans()).expect("it is installed");
                Migrator::new().uninstall(&mut database, &plan).expect("nothing prevents it");
            }
        });
        let report = migrator.run(&mut site.connection()).unwrap_or_else(|error| panic!("{error}"));
        let versions: Vec<i64> = report.steps.iter().map(|done| done.migration.version).collect();
        assert_eq!((versions, site.rows("reason")), (vec![1, 1, 2], 3));
    }
}

/// A migration of the app is running when the uninstall begins. The uninstall waits
/// for it, and then does not use its outdated plan.
#[test]
fn a_running_migration_makes_the_plan_outdated() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        let shown = site.plan(&["forum"], &bans());
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let (begun, may_go) = (std::sync::Mutex::new(begun), std::sync::Mutex::new(may_go));
        let slow = Migration::new().sql("CREATE TABLE vote (id INTEGER)").run("wait", move |_| {
            begun.lock().expect("the mutex is not poisoned").send(())?;
            may_go.lock().expect("the mutex is not poisoned").recv()?;
            Ok(())
        });
        let slow = slow.depends_on("bans", 2).down(Migration::new().sql("DROP TABLE vote"));
        let migrator = site.migrator(&["forum", "bans"]).app(App::new("votes").migration("V1__votes", slow));
        let (waits, is_waiting) = mpsc::channel();
        let uninstaller: Migrator = site.migrator(&["forum"]).on_event(move |event| {
            if matches!(event, bustard::Event::Waiting) {
                let _ = waits.send(());
            }
        });
        let error = thread::scope(|scope| {
            let migrating = scope.spawn(|| migrator.run(&mut site.connection()).map(drop));
            has_begun.recv().expect("it begins");
            let uninstalling = scope.spawn(|| uninstaller.uninstall(&mut site.connection(), &shown));
            is_waiting.recv().expect("it waits");
            go.send(()).expect("it is waiting");
            migrating.join().expect("it does not panic").expect("the migration is good");
            uninstalling.join().expect("it does not panic").expect_err("the plan is out of date")
        });
        let text = error.report().to_string();
        assert!(text.contains("votes:V1__votes needs bans:V2__reasons now"), "{text}");
        assert_eq!((site.rows("ban"), site.rows("vote")), (3, 0));
    }
}
