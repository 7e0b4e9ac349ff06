//! Tests that an uninstalled app leaves nothing behind, with or without its files.

use bustard::report::Direction;
use bustard::{AppState, ErrorKind, Uninstall, registry};

use super::site::{Change, Site, bans};
use crate::support::Scene;

#[test]
fn a_plan_lists_the_dropped_objects() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        let before = site.scene.contents();
        let plan = site.plan(&["forum", "bans"], &bans());
        assert_eq!(site.scene.contents(), before, "planning has changed something");

        let table = if site.scene.is_postgres() { "public.ban" } else { "ban" };
        assert_eq!(plan.apps, ["bans"]);
        let tables: Vec<_> = plan.tables.iter().map(|one| (one.table.as_str(), one.rows)).collect();
        assert_eq!(tables, [(table, 3)]);
        assert_eq!(plan.drops, ["view reason", "column ban.reason"]);
        assert_eq!(plan.caches, ["bans", "reasons"]);
        assert!(plan.foreign_keys.is_empty() && plan.dependants.is_empty() && plan.obstacles.is_empty());
        let warning = plan.warnings[0].to_string();
        assert!(
            warning.contains("bans is still configured") && warning.contains("installs it again"),
            "{warning}"
        );

        let steps: Vec<_> =
            plan.steps.iter().map(|step| format!("{}:{}", step.app, step.migration)).collect();
        assert_eq!(steps, ["bans:V2__reasons", "bans:V1__bans"]);
        assert!(plan.steps.iter().all(|step| step.direction == Direction::Down && step.file.is_some()));
        assert_eq!(plan.steps[1].operations, ["unregister cache bans", "DROP TABLE ban"]);
    }
}

#[test]
fn one_app_is_uninstalled_and_another_stays() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.migrate(&["forum", "bans"]);
        let report = site.uninstall(&["forum", "bans"], &bans());
        assert!(report.changed());
        let steps: Vec<_> = report.steps.iter().map(|done| done.migration.to_string()).collect();
        assert_eq!(steps, ["V2__reasons", "V1__bans"]);
        let apps: Vec<_> = report.apps.iter().map(|change| (change.app.as_str(), change.state)).collect();
        assert_eq!(apps, [("bans", AppState::NotInstalled)]);
        assert_eq!(report.warnings.len(), 1, "the app is still configured");
        assert_eq!(site.objects(), alone);
    }
}

/// An uninstall works if the files of the app are deleted, whether or not the app is
/// configured, and if they are faulty.
#[test]
fn an_uninstall_needs_no_files() {
    let breaks: [(&str, Change, &[&str]); 5] = [
        ("deleted", |site| site.delete("bans"), &["forum"]),
        (
            "everything is deleted",
            |site| [site.delete("bans"), site.delete("forum")].into_iter().collect(),
            &[],
        ),
        ("deleted and configured", |site| site.delete("bans"), &["forum", "bans"]),
        ("a bad directive", |site| site.file("bans/V1__bans.sql", "-- bustard: dwon\n"), &["forum", "bans"]),
        (
            "a version twice, and a dependency that is not there",
            |site| {
                site.file("bans/V2__again.sql", "-- bustard: depends on absent\nSELECT 1;\n");
            },
            &["forum", "bans"],
        ),
    ];
    for (what, spoil, apps) in breaks {
        for site in Site::both() {
            site.migrate(&["forum"]);
            let alone = site.objects();
            site.migrate(&["forum", "bans"]);
            spoil(&site);
            let plan = site.plan(apps, &bans());
            // Only the text is judged, and an applied file is not: of two migrations, the
            // unchanged one still has its file.
            let files: Vec<i64> = (plan.steps.iter())
                .filter(|step| step.file.is_some())
                .map(|step| step.migration.version)
                .collect();
            let expected: &[i64] = if what == "a bad directive" { &[2] } else { &[] };
            assert!(plan.obstacles.is_empty(), "{what}: {:?}", plan.obstacles);
            assert_eq!(files, expected, "{what}");
            assert_eq!(plan.tables[0].rows, 3, "{what}");
            site.uninstall(apps, &bans());
            assert_eq!(site.objects(), alone);
        }
    }
}

/// The revert uses the record, not the file, which was changed after it was applied.
#[test]
fn a_changed_file_does_not_affect_the_revert() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.migrate(&["forum", "bans"]);
        site.file(
            "bans/V1__bans.sql",
            "CREATE TABLE ban (id INTEGER);\n-- bustard: down\nDROP TABLE gone;\n",
        );
        let plan = site.plan(&["forum", "bans"], &bans());
        assert_eq!(plan.steps[1].operations, ["unregister cache bans", "DROP TABLE ban"]);
        assert!(plan.steps[0].file.is_some() && plan.steps[1].file.is_none());
        site.uninstall(&["forum", "bans"], &bans());
        assert_eq!(site.objects(), alone);
    }
}

#[test]
fn a_reinstall_equals_the_first_install() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        let first = site.objects();
        site.scene.execute("INSERT INTO ban (id) VALUES (4)");
        site.uninstall(&["forum", "bans"], &bans());
        let report = site.migrate(&["forum", "bans"]);
        assert_eq!(report.steps.len(), 2);
        assert_eq!(site.rows("ban"), 3);
        assert_eq!(site.objects(), first);
        // The triggers of its caches work as before.
        let mut connection = site.connection();
        let version = registry::get_version(&mut connection, "bans").expect("it is registered");
        site.scene.execute("INSERT INTO ban (id) VALUES (5)");
        assert!(!registry::is_valid(&mut connection, "bans", version).expect("it is registered"));
    }
}

/// Caches that were registered by hand or by a function are removed. A cache that was
/// already unregistered is no error.
#[test]
fn caches_that_no_migration_registered_are_removed() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.migrate(&["forum", "bans"]);
        let mut connection = site.connection();
        registry::register(&mut connection, "by_hand", Some("bans")).expect("the name is free");
        registry::unregister(&mut connection, "reasons").expect("it is registered");
        let plan = site.plan(&["forum"], &bans());
        assert_eq!(plan.caches, ["bans", "by_hand"]);
        site.uninstall(&["forum"], &bans());
        assert_eq!(site.objects(), alone);
    }
}

/// A cache stays if another app has registered it in the meantime.
#[test]
fn another_apps_cache_stays() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        let mut connection = site.connection();
        registry::unregister(&mut connection, "bans").expect("it is registered");
        registry::register(&mut connection, "bans", Some("forum")).expect("the name is free");
        assert_eq!(site.plan(&[], &bans()).caches, ["reasons"]);
        site.uninstall(&[], &bans());
        assert_eq!(site.versions().into_keys().collect::<Vec<_>>(), ["bans", "threads"]);
    }
}

/// If a migration of the app has unregistered another app's cache, the uninstall registers
/// the cache again.
#[test]
fn a_cache_that_the_app_unregistered_is_registered_again() {
    for site in Site::both() {
        site.file(
            "bans/V3__take.sql",
            "-- bustard: unregister cache threads\n-- bustard: register cache taken\n",
        );
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.migrate(&["forum", "bans"]);
        assert!(!site.versions().contains_key("threads"));
        assert_eq!(site.plan(&[], &bans()).steps[0].registers, ["threads"]);
        site.uninstall(&[], &bans());
        assert_eq!(site.objects(), alone);
        let caches = registry::list(&mut site.connection()).expect("there is a registry");
        assert_eq!(caches[0].app.as_deref(), Some("forum"));
    }
}

/// The deferred constraints of each migration are checked at the end of the migration, as
/// at a commit. They are deferred again in the next migration.
#[test]
fn deferred_constraints() {
    let site = Site { scene: Scene::postgres() };
    site.file(
        "polls/V1__polls.sql",
        "CREATE TABLE poll (id int PRIMARY KEY);\n\
         CREATE TABLE vote (poll int REFERENCES poll DEFERRABLE INITIALLY DEFERRED);\n\
         -- bustard: down\nDROP TABLE vote;\nDROP TABLE poll;\n",
    );
    for version in [2, 3] {
        let (id, poll) = (version, "INSERT INTO poll VALUES");
        let backwards = format!("INSERT INTO vote VALUES ({id}1);\n{poll} ({id}1);\n");
        let down = format!("-- bustard: down\nINSERT INTO vote VALUES ({id});\n{poll} ({id});\n");
        site.file(&format!("polls/V{version}__votes.sql"), &format!("{backwards}{down}"));
    }
    site.migrate(&["polls"]);
    site.uninstall(&[], &Uninstall::new("polls"));
    assert!(!site.has("poll") && !site.has("vote"));
}

/// The owner of the cache was uninstalled since, and the cache would block a new
/// installation of the owner.
#[test]
fn a_cache_of_an_uninstalled_app_is_not_registered_again() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.file("polls/V1__polls.sql", "-- bustard: unregister cache threads\n");
        site.migrate(&["forum", "polls"]);
        for app in ["forum", "polls"] {
            site.uninstall(&[], &Uninstall::new(app));
        }
        assert!(site.versions().is_empty());
        site.migrate(&["forum"]);
        assert_eq!(site.objects(), alone);
    }
}

#[test]
fn an_uninstalled_app_cannot_be_uninstalled_again() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        site.uninstall(&["forum", "bans"], &bans());
        let error = site.refuses(&["forum", "bans"], &bans());
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("bans is not installed"), "{error}");
        let error = site.refuses(&["forum"], &bans());
        assert!(error.message().contains("no app bans is installed"), "{error}");
    }
}
