//! Tests the effects of states: which apps are skipped, refused, or restored.

use bustard::report::State;
use bustard::{App, AppState, ErrorKind, Migration, Revert, registry};

use super::{Ground, bans, changes, forum, messages, migrator, names, table};

#[test]
fn the_first_migration_installs() {
    for mut ground in Ground::both() {
        let apps = [forum(), bans()];
        assert_eq!(
            ground.states(&apps),
            [("bans".into(), AppState::NotInstalled), ("forum".into(), AppState::NotInstalled)]
        );
        ground.run(&[forum()]);
        let plan = migrator(&apps).plan(&mut ground.database).expect("there is a plan");
        assert_eq!(plan.apps.iter().map(|change| change.app.as_str()).collect::<Vec<_>>(), ["bans"]);
        let report = ground.run(&apps);
        assert_eq!(changes(&report), [("bans", AppState::Enabled)]);
        ground.unchanged(|database| migrator(&apps).run(database));
        let report = ground.run(&[forum(), bans().migration("V2__more", table("more"))]);
        assert_eq!(changes(&report), []);

        let listed = migrator(&apps).list_apps(&mut ground.database).expect("they are listed");
        let [bans, forum] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!(
            (bans.state, bans.loaded, bans.version, bans.applied),
            (AppState::Enabled, true, Some(2), 2)
        );
        assert_eq!(bans.caches, ["bans"]);
        assert_eq!((forum.version, forum.applied, forum.pending, forum.caches.len()), (Some(2), 2, 0, 0));
        // An app without applied migrations is not installed, even if objects of it remain.
        let all = [super::forum(), super::bans().migration("V2__more", table("more"))];
        migrator(&all).revert(&mut ground.database, &Revert::Steps(4)).expect("it can be reverted");
        assert_eq!(ground.state(&all, "bans"), AppState::NotInstalled);
        assert_eq!(changes(&ground.run(&all)).len(), 2);
    }
}

#[test]
fn a_disabled_app_is_not_expected() {
    for mut ground in Ground::both() {
        let newer = || bans().migration("V3__three", table("three"));
        ground.run(&[forum(), newer()]);
        let before = ground.version("bans");
        let report = migrator(&[forum(), bans()]).disable(&mut ground.database, "bans").expect("it is known");
        assert_eq!(changes(&report), [("bans", AppState::Disabled)]);
        assert!(report.changed() && report.steps.is_empty());
        assert!(ground.version("bans") > before, "every change invalidates");
        ground.unchanged(|database| migrator(&[forum(), bans()]).disable(database, "bans"));

        // The files of the disabled app are older than the database, are changed, and
        // contain a late migration.
        let other = App::new("bans")
            .migration("V1__bans", table("other").register_cache("bans"))
            .migration("V2__late", table("late"))
            .migration("V4__pending", table("pending"));
        for app in [bans(), other] {
            let migrator = migrator(&[forum(), app.clone()]);
            ground.unchanged(|database| migrator.run(database));
            let plan = migrator.plan(&mut ground.database).expect("nothing is wrong");
            assert!(plan.steps.is_empty() && plan.apps.is_empty());
            let status = migrator.status(&mut ground.database).expect("there is a status");
            assert_eq!(status.disabled, ["bans"]);
            assert!(status.unregistered.is_empty());
            assert!(status.expected().all(|one| one.app != "bans" && one.state == State::Applied));
            assert!(status.in_state(State::Missing).next().is_some());
            assert_eq!(ground.state(&[forum(), app], "bans"), AppState::Disabled);
        }
        assert_eq!(ground.caches(), ["bans"]);
        // The other apps are migrated.
        let more = [forum().migration("V3__more", table("more")), bans()];
        assert_eq!(names(&ground.run(&more)), ["forum:V3__more"]);
        // A revert by number skips migrations of the disabled app.
        let report =
            migrator(&more).revert(&mut ground.database, &Revert::Steps(1)).expect("it can be reverted");
        assert_eq!(names(&report), ["forum:V3__more"]);

        let pending = [forum(), newer().migration("V4__four", table("four"))];
        let report = migrator(&pending).enable(&mut ground.database, "bans").expect("it is known");
        assert_eq!(changes(&report), [("bans", AppState::Enabled)]);
        ground.unchanged(|database| migrator(&pending).enable(database, "bans"));
        assert_eq!(names(&ground.run(&pending)), ["bans:V4__four"]);
        let error = ground.refused(|database| migrator(&[forum(), bans()]).run(database));
        assert_eq!(error.kind(), ErrorKind::Missing);
    }
}

#[test]
fn an_app_that_is_not_installed_can_be_disabled() {
    for mut ground in Ground::both() {
        let apps = [forum(), bans()];
        ground.run(&[forum()]);
        migrator(&apps).disable(&mut ground.database, "bans").expect("it is loaded");
        assert_eq!(ground.state(&apps, "bans"), AppState::Disabled);
        ground.unchanged(|database| migrator(&apps).run(database));
        let error = ground.refused(|database| migrator(&apps).target("bans", 1).run(database));
        assert!(error.report().to_string().contains("the app bans is disabled"), "{error}");
        assert!(error.report().to_string().contains("Migrator::enable(…, \"bans\")"), "{error}");
        migrator(&apps).enable(&mut ground.database, "bans").expect("it is loaded");
        assert_eq!(ground.state(&apps, "bans"), AppState::NotInstalled);
        assert_eq!(changes(&ground.run(&apps)), [("bans", AppState::Enabled)]);
    }
}

#[test]
fn an_app_whose_files_no_longer_exist() {
    for mut ground in Ground::both() {
        ground.run(&[forum(), bans().history("\"odd\"")]);
        let listed = migrator(&[forum()]).list_apps(&mut ground.database).expect("they are listed");
        let gone = &listed[0];
        assert_eq!((gone.label.as_str(), gone.state, gone.loaded), ("bans", AppState::Enabled, false));
        assert_eq!((gone.version, gone.applied, gone.pending), (Some(1), 1, 0));
        assert_eq!(gone.caches, ["bans"]);
        migrator(&[forum()]).disable(&mut ground.database, "bans").expect("the database knows it");
        assert_eq!(ground.state(&[forum()], "bans"), AppState::Disabled);
        let status = migrator(&[forum()]).status(&mut ground.database).expect("there is a status");
        assert_eq!(status.disabled, ["bans"]);
        migrator(&[forum()]).enable(&mut ground.database, "bans").expect("the database knows it");
        assert_eq!(ground.state(&[forum()], "bans"), AppState::Enabled);
    }
}

#[test]
fn apps_that_cannot_be_disabled() {
    for mut ground in Ground::both() {
        let apps = [forum(), bans()];
        ground.scene.execute("CREATE TABLE beside (x INTEGER)");
        let error = ground.refused(|database| migrator(&apps).disable(database, "bans"));
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.report().for_command("bustard").to_string().contains("bustard migrate"), "{error}");
        ground.run(&apps);
        for (label, said) in [
            ("bustard", "Bustard's own tables cannot be disabled"),
            ("bnas", "did you mean bans?"),
            ("qqqqqqq", "there are: bans, forum"),
        ] {
            let error = ground.refused(|database| migrator(&apps).disable(database, label));
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.report().to_string().contains(said), "{error}");
            let error = ground.refused(|database| migrator(&apps).enable(database, label));
            assert_eq!(error.kind(), ErrorKind::Usage);
        }
    }
}

/// A cache that was unregistered by hand blocks the revert, with advice.
#[test]
fn a_cache_that_was_unregistered_by_hand() {
    for mut ground in Ground::both() {
        let apps = [forum(), bans()];
        ground.run(&apps);
        registry::unregister(&mut ground.database, "bans").expect("it is registered");
        let to = Revert::To { app: "bans".into(), version: 0 };
        let error = ground.refused(|database| migrator(&apps).revert(database, &to));
        assert!(
            error
                .report()
                .to_string()
                .contains("`registry::register(…, \"bans\")` before the migration is reverted"),
            "{error}"
        );
        registry::register(&mut ground.database, "bans", None).expect("the name is free");
        migrator(&apps).revert(&mut ground.database, &to).expect("it can be reverted");
        assert_eq!(ground.caches(), [""; 0]);
    }
}

#[test]
fn a_dependency_on_a_disabled_app() {
    for mut ground in Ground::both() {
        let apps = [forum(), bans()];
        ground.run(&apps);
        migrator(&apps).disable(&mut ground.database, "bans").expect("it is known");
        ground.scene.project.file(
            "appeals/V1__appeals.sql",
            "CREATE TABLE appeal (id integer);\n-- bustard: depends on bans V1\n-- bustard: depends on forum V1\n",
        );
        let appeals = App::directory("appeals", ground.scene.project.path().join("appeals"));
        let with = [forum(), bans(), appeals.clone()];
        let said = "appeals:V1__appeals depends on bans:V1__bans, and the app bans is disabled";
        for error in [
            ground.refused(|database| migrator(&with).run(database)),
            ground.refused(|database| migrator(&with).plan(database)),
        ] {
            assert_eq!(error.kind(), ErrorKind::Failed);
            assert_eq!(messages(error.diagnostics()), [said]);
            assert_eq!(error.diagnostics()[0].place().and_then(bustard::Place::line), Some(2));
            assert!(error.report().to_string().contains("Migrator::enable(…, \"bans\")"), "{error}");
        }
        // One dependency is on the whole app. Another dependency is on a migration that is
        // not applied.
        let whole = App::new("whole").migration("V1__x", table("x").depends_on_app("bans"));
        let error = ground.refused(|database| migrator(&[forum(), bans(), whole]).run(database));
        assert!(error.report().to_string().contains("depends on the app bans"), "{error}");
        // A migration that is already applied is not checked.
        migrator(&apps).enable(&mut ground.database, "bans").expect("it is known");
        assert_eq!(names(&ground.run(&with)), ["appeals:V1__appeals"]);
        migrator(&apps).disable(&mut ground.database, "bans").expect("it is known");
        ground.unchanged(|database| migrator(&with).run(database));
        // A disabled app with a `required by` blocks no other app.
        let early = bans().migration("V2__early", table("early").required_by("forum", 3));
        let later = forum().migration("V3__later", table("later"));
        assert_eq!(names(&ground.run(&[later, early, appeals])), ["forum:V3__later"]);
    }
}

/// Creates the state after an uninstall that keeps the data.
fn keep(ground: &mut Ground, caches: &[&str]) {
    for cache in caches {
        registry::unregister(&mut ground.database, cache).expect("it is registered");
    }
    let app = ground.own("app");
    ground.scene.execute(&format!("UPDATE {app} SET state = 'kept' WHERE label = 'bans'"));
}

fn kept_bans() -> App {
    let first = table("ban").register_cache_on("bans", ["ban"]).register_cache("gone");
    App::new("bans")
        .migration("V1__bans", first)
        .migration("V2__x", Migration::new().unregister_cache("gone"))
}

#[test]
fn kept_data_is_restored() {
    for mut ground in Ground::both() {
        ground.run(&[forum(), kept_bans()]);
        keep(&mut ground, &["bans"]);
        assert_eq!(ground.state(&[forum()], "bans"), AppState::DataKept);
        // A run restores nothing without the files of the app, or if its target does not
        // depend on the app.
        ground.unchanged(|database| migrator(&[forum()]).run(database));
        ground.unchanged(|database| migrator(&[forum(), kept_bans()]).target("forum", 2).run(database));
        let status =
            migrator(&[forum(), kept_bans()]).status(&mut ground.database).expect("there is a status");
        assert!(status.unregistered.is_empty() && status.disabled.is_empty());
        assert_eq!(status.kept, ["bans"]);
        for verb in ["disabled", "enabled"] {
            let error = ground.refused(|database| match verb {
                "disabled" => migrator(&[forum()]).disable(database, "bans"),
                _ => migrator(&[forum()]).enable(database, "bans"),
            });
            assert!(
                error.report().to_string().contains(&format!("bans cannot be {verb}: it was uninstalled")),
                "{error}"
            );
        }
        let to = Revert::To { app: "bans".into(), version: 0 };
        let error = ground.refused(|database| migrator(&[forum(), kept_bans()]).revert(database, &to));
        assert!(error.report().to_string().contains("its data kept"), "{error}");

        let newer = [forum(), kept_bans().migration("V3__y", Migration::new().register_cache("y"))];
        let plan = migrator(&newer).plan(&mut ground.database).expect("there is a plan");
        assert_eq!((plan.apps.len(), plan.steps.len()), (1, 1));
        let before = ground.scene.value(&count("ban"));
        let report = ground.run(&newer);
        assert_eq!(changes(&report), [("bans", AppState::Enabled)]);
        assert_eq!(
            (names(&report), ground.scene.value(&count("ban"))),
            (vec!["bans:V3__y".to_owned()], before)
        );
        assert_eq!(ground.caches(), ["bans", "y"]);
        let owner = registry::list(&mut ground.database).expect("there is a registry")[0].app.clone();
        assert_eq!(owner.as_deref(), Some("bans"));
        // The cache is registered again with its tables.
        let before = ground.version("bans");
        ground.scene.execute("INSERT INTO ban VALUES (1)");
        assert!(ground.version("bans") > before);
        ground.unchanged(|database| migrator(&newer).run(database));

        // The app is restored even if nothing is pending.
        keep(&mut ground, &["bans", "y"]);
        let report = ground.run(&newer);
        assert_eq!((changes(&report).len(), report.steps.len()), (1, 0));
        assert_eq!(ground.caches(), ["bans", "y"]);
    }
}

fn count(table: &str) -> String {
    format!("SELECT count(*) FROM {table}")
}

#[test]
fn a_returning_cache_may_be_unregistered() {
    for mut ground in Ground::both() {
        ground.run(&[forum(), kept_bans()]);
        keep(&mut ground, &["bans"]);
        registry::register(&mut ground.database, "bans", Some("forum")).expect("it is free");
        for mode in [bustard::TransactionMode::Each, bustard::TransactionMode::All] {
            let error =
                ground.refused(|database| migrator(&[forum(), kept_bans()]).transaction(mode).run(database));
            assert_eq!(error.kind(), ErrorKind::Cache);
            assert!(
                error.report().to_string().contains("bans is already registered by the app forum"),
                "{error}"
            );
        }
        // Another plugin's pending migration may unregister the returning cache.
        registry::unregister(&mut ground.database, "bans").expect("it is registered");
        let newer = kept_bans().migration("V3__off", Migration::new().unregister_cache("bans"));
        assert_eq!(names(&ground.run(&[forum(), newer])), ["bans:V3__off"]);
        assert_eq!(ground.caches(), [""; 0]);
    }
}

#[test]
fn a_release_older_than_the_database() {
    for mut ground in Ground::both() {
        let newest = forum().migration("V3__likes", table("likes")).migration("V4__tags", table("tags"));
        ground.run(&[newest]);
        let error = ground.refused(|database| migrator(&[forum()]).run(database));
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert_eq!(
            messages(error.diagnostics()),
            [
                "the database has a newer release of forum: V3__likes, V4__tags are applied, and the newest file is V2__posts"
            ]
        );
        assert!(error.report().to_string().contains("deploy the release of forum that has them"), "{error}");
        // A gap below the newest file is reported as a missing migration.
        let gap = App::new("forum").migration("V4__tags", table("tags"));
        let error = ground.refused(|database| migrator(&[gap]).run(database));
        assert_eq!(error.diagnostics().len(), 3);
        assert!(error.report().to_string().contains("forum:V3__likes is applied"), "{error}");
        let status = migrator(&[forum()]).status(&mut ground.database).expect("there is a status");
        assert_eq!(status.in_state(State::Missing).count(), 2);
    }
}
