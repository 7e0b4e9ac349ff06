//! Tests uninstalls that are refused: each gives one clear error and changes nothing.

use bustard::{App, ErrorKind, Migration, Migrator, Revert, Uninstall, registry};

use super::site::{Change, Site, bans};
use crate::support::Scene;

#[test]
fn a_revert_that_fails_half_way() {
    for site in Site::both() {
        site.file(
            "bans/V1__bans.sql",
            "CREATE TABLE ban (id INTEGER PRIMARY KEY);\n\
             -- bustard: register cache bans\n\
             -- bustard: down\n\
             DROP TABLE ban;\n\
             DELETE\n\
             \x20 FROM gone;\n",
        );
        site.file(
            "bans/V2__reasons.sql",
            "CREATE TABLE reason (id INTEGER);\n-- bustard: down\nDROP TABLE reason;\n",
        );
        site.migrate(&["forum", "bans"]);
        let with_files = site.refuses(&["bans"], &bans());
        assert_eq!(with_files.migration(), Some("V1__bans"));
        assert_eq!(
            with_files.place().and_then(|place| place.line()),
            Some(if site.scene.is_postgres() { 6 } else { 5 })
        );

        site.delete("bans");
        let error = site.refuses(&["forum"], &bans());
        assert_eq!((error.kind(), error.app()), (ErrorKind::Database, Some("bans")));
        site.scene.snapshot_text(
            &format!("uninstall_revert_fails.{}", site.scene.engine),
            &error.report().to_string(),
        );
    }
}

/// Returns a plugin whose migration has this `down` section. Without one, the migration is
/// irreversible.
fn plugin(down: Option<Migration>) -> App {
    let up = Migration::new().sql("CREATE TABLE ban (id INTEGER)").register_cache("bans");
    let migration = match down {
        Some(down) => up.down(down),
        None => up,
    };
    App::new("bans").migration("V1__bans", migration)
}

fn function() -> Migration {
    Migration::new().run("drop bans", |transaction| Ok(transaction.execute("DROP TABLE ban")?))
}

#[test]
fn a_function_needs_the_code() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let alone = site.objects();
        let host = site.migrator(&["forum"]).app(plugin(Some(function())));
        host.run(&mut site.connection()).expect("it is good");

        let error = site.refuses(&["forum"], &bans());
        let text = error.report().to_string();
        assert!(text.contains("bans:V1__bans cannot be reverted from what is recorded"), "{text}");
        assert!(text.contains("drop bans") && text.contains("run the host's command"), "{text}");

        let plan = host.plan_uninstall(&mut site.connection(), &bans()).expect("it can be planned");
        assert_eq!(plan.steps[0].operations, ["unregister cache bans", "run function drop bans"]);
        assert_eq!(plan.drops, ["objects dropped by the function drop bans"]);
        assert!(plan.obstacles.is_empty(), "{:?}", plan.obstacles);
        host.uninstall(&mut site.connection(), &plan).expect("the function is there");
        assert_eq!(site.objects(), alone);
    }
}

#[test]
fn an_irreversible_app_keeps_its_data() {
    for site in Site::both() {
        let host = site.migrator(&["forum"]).app(plugin(None));
        host.run(&mut site.connection()).expect("it is good");
        for migrator in [&host, &site.migrator(&["forum"])] {
            let plan = migrator.plan_uninstall(&mut site.connection(), &bans()).expect("it can be planned");
            assert!(plan.steps[0].irreversible.is_some());
            let error = site.refuses_with(migrator, &bans());
            let text = error.report().to_string();
            assert!(text.contains("bans:V1__bans cannot be reverted"), "{text}");
            assert!(text.contains("Uninstall::keep_data"), "{text}");
        }
        site.uninstall(&["forum"], &bans().keep_data(true));
        assert!(site.has("ban"));
    }
}

/// The database changes between the confirmed plan and its execution.
#[test]
fn a_plan_that_is_out_of_date() {
    let appeals = "-- bustard: depends on bans V1\nCREATE TABLE appeal (id INTEGER);\n-- bustard: down\nDROP TABLE appeal;\n";
    let changes: [(&str, Change); 7] = [
        ("bans:V3__more has been applied since", |site| {
            site.file(
                "bans/V3__more.sql",
                "CREATE TABLE more (id INTEGER);\n-- bustard: down\nDROP TABLE more;\n",
            );
            site.migrate(&["forum", "bans"]);
        }),
        ("bans:V2__reasons is not applied any more", |site| {
            let to = Revert::To { app: "bans".into(), version: 1 };
            site.migrator(&["forum", "bans"])
                .revert(&mut site.connection(), &to)
                .expect("it can be reverted");
        }),
        ("appeals:V1__appeals needs bans:V1__bans now", |site| {
            site.migrate(&["forum", "bans", "appeals"]);
        }),
        ("appeal has a foreign key onto", |site| {
            site.scene.execute("CREATE TABLE appeal (ban INTEGER REFERENCES ban (id))");
        }),
        ("precious would now be removed too", |site| {
            site.file(
                "bans/V2__reasons.sql",
                "ALTER TABLE ban ADD COLUMN reason TEXT;\n-- bustard: down\nDROP TABLE precious;\n",
            );
            site.scene.execute("CREATE TABLE precious (id INTEGER)");
            let migrator = site.migrator(&["forum", "bans"]);
            migrator
                .repair(&mut site.connection(), &bustard::Repair::migration("bans", 2))
                .expect("it is applied");
        }),
        ("the cache more would now be removed too", |site| {
            registry::register(&mut site.connection(), "more", Some("bans")).expect("the name is free");
        }),
        ("bans is not installed any more", |site| {
            site.uninstall(&["forum", "bans"], &bans());
        }),
    ];
    for (expected, change) in changes {
        for site in Site::both() {
            site.file("appeals/V1__appeals.sql", appeals);
            site.migrate(&["forum", "bans"]);
            let shown = site.plan(&["forum"], &bans());
            change(&site);
            let before = site.scene.contents();
            let error =
                site.migrator(&["forum"]).uninstall(&mut site.connection(), &shown).expect_err(expected);
            assert_eq!(error.kind(), ErrorKind::Failed);
            let text = error.report().to_string();
            assert!(text.contains(expected) && text.contains("review the new plan"), "{text}");
            assert_eq!(site.scene.contents(), before, "{text}");
        }
    }
}

#[test]
fn labels_that_cannot_be_uninstalled() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        for (app, message, help) in [
            ("bustard", "Bustard's own app cannot be uninstalled", None),
            ("bants", "no app bants is installed", Some("did you mean bans?")),
            ("zebra", "no app zebra is installed", Some("there are: bans, forum")),
            ("polls", "the app polls is not installed", None),
        ] {
            site.file("polls/V1__polls.sql", "CREATE TABLE poll (id INTEGER);\n");
            let error = site.refuses(&["forum", "bans", "polls"], &Uninstall::new(app));
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
            assert!(error.message().contains(message), "{error}");
            assert_eq!(
                error.advice().map(ToString::to_string).as_deref().filter(|_| help.is_some()),
                help,
                "{error}"
            );
        }
    }
}

#[test]
fn a_database_without_records() {
    for scene in Scene::both() {
        let site = Site { scene };
        if !site.scene.is_postgres() {
            site.scene.execute("CREATE TABLE thread (id INTEGER)");
        }
        let error =
            Migrator::new().plan_uninstall(&mut site.connection(), &bans()).expect_err("there are none");
        assert!(
            error.report().for_command("bustard").to_string().contains("run `bustard migrate` first"),
            "{error}"
        );
    }
}

/// Without the history, the applied migrations are unknown. Deleting the records of the app
/// would leave its tables.
#[test]
fn a_history_table_that_is_missing() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        site.scene.execute("ALTER TABLE refinery_schema_history_bans RENAME TO elsewhere");
        let refused = site.migrator(&["forum"]).plan_uninstall(&mut site.connection(), &bans());
        let error = refused.expect_err("the history is not there");
        assert_eq!(error.kind(), ErrorKind::History, "{error}");
        assert!(error.message().starts_with("the history of bans is recorded in "), "{error}");
        assert!(error.report().to_string().contains("restore the table"), "{error}");
        site.scene.execute("ALTER TABLE elsewhere RENAME TO refinery_schema_history_bans");
        site.uninstall(&["forum"], &bans());
        assert!(!site.has("ban"));
    }
}

/// Refinery has migrated an app, and the app was added to the configuration later. The app
/// has no record, because no run had a pending migration of the app.
#[test]
fn an_app_without_a_record_is_uninstalled_with_its_files() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.migrate(&["forum", "bans"]);
        let tables = match site.scene.is_postgres() {
            true => ["bustard.app", "bustard.migration"],
            false => ["bustard_app", "bustard_migration"],
        };
        let [app, migration] = tables;
        site.scene.execute(&format!(
            "DELETE FROM {app} WHERE label = 'bans'; DELETE FROM {migration} WHERE app = 'bans'"
        ));
        assert_eq!(site.refuses(&["forum"], &bans()).kind(), ErrorKind::Usage);
        site.uninstall(&["forum", "bans"], &bans());
        assert_eq!(site.objects(), alone);
    }
}

/// A migration that refinery has applied later has no record.
#[test]
fn an_applied_migration_without_a_record() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        let table = if site.scene.is_postgres() { "bustard.migration" } else { "bustard_migration" };
        site.scene.execute(&format!("DELETE FROM {table} WHERE app = 'bans' AND version = 2"));
        let error = site.refuses(&["forum"], &bans());
        assert!(
            error.message().contains("bans:V2__reasons is applied, and what reverts it is not recorded"),
            "{error}"
        );
        // The file of the migration has a `down` section, so it can be reverted.
        assert!(site.plan(&["forum", "bans"], &bans()).obstacles.is_empty());
        site.uninstall(&["forum", "bans"], &bans());
    }
}
