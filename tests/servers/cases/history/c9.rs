//! Row C9: a tracked table that was dropped is reported, and an app whose tables are gone can
//! be forgotten.

use crate::support::{Outcome, Scene};

fn installed(scene: &Scene) {
    scene.file(
        "V1__users.sql",
        "CREATE TABLE users (id integer);\n-- bustard: register cache users on users\n",
    );
    scene.project.file(
        "plugin/V1__bans.sql",
        "CREATE TABLE bans (id integer);\n-- bustard: register cache bans on bans\n-- bustard: down\nDROP TABLE bans;\n",
    );
    configure(scene, true);
    bustard(scene, &["migrate"]).exits(0);
}

fn configure(scene: &Scene, plugin: bool) {
    let main = format!(
        "[database]\nurl = \"{}\"\n\n[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n",
        scene.url()
    );
    let bans = "\n[[apps]]\nlabel = \"bans\"\nmigrations = \"plugin\"\n";
    scene.project.config(&(main + if plugin { bans } else { "" }));
}

fn bustard(scene: &Scene, arguments: &[&str]) -> Outcome {
    scene.project.bustard(arguments)
}

#[test]
fn c9_a_tracked_table_that_is_dropped_is_named() {
    for by_migration in [false, true] {
        for scene in Scene::both() {
            installed(&scene);
            match by_migration {
                false => scene.execute("DROP TABLE users"),
                true => {
                    scene.file("V2__drop.sql", "DROP TABLE users;\n");
                    bustard(&scene, &["migrate"]).exits(0);
                }
            }
            bustard(&scene, &["check"]).exits(3).says("users, which no longer exists");
            for command in ["plan", "migrate"] {
                bustard(&scene, &[command]).exits(0).complains("which does not exist any more");
            }
            scene.file("V3__unregister.sql", "-- bustard: unregister cache users\n");
            bustard(&scene, &["migrate"]).exits(0);
            bustard(&scene, &["check"]).exits(0);
        }
    }
}

/// With and without its files, its tables and its history.
#[test]
fn c9_an_app_whose_tables_are_gone_is_forgotten() {
    for (configured, history) in [(true, true), (true, false), (false, true), (false, false)] {
        for scene in Scene::both() {
            installed(&scene);
            scene.execute("DROP TABLE bans");
            if !history {
                scene.execute("DROP TABLE refinery_schema_history_bans");
            }
            configure(&scene, configured);
            bustard(&scene, &["uninstall", "bans", "--forget", "--keep-data", "--yes"]).exits(2);
            let asked = bustard(&scene, &["uninstall", "bans", "--forget"]).exits(2);
            assert!(asked.stdout.contains("forget bans") && asked.stdout.contains("cache bans"), "{asked}");
            let document =
                bustard(&scene, &["--json", "uninstall", "bans", "--forget", "--yes"]).exits(0).json();
            assert_eq!(document["plan"]["forget"], true);
            configure(&scene, false);
            bustard(&scene, &["check"]).exits(0);
            let rest = bustard(&scene, &["apps"]).exits(0);
            assert!(!rest.stdout.contains("bans"), "{rest}");
            let caches = bustard(&scene, &["caches"]).exits(0);
            assert!(!caches.stdout.contains("bans"), "{caches}");
            // It can be installed again.
            configure(&scene, true);
            bustard(&scene, &["migrate"]).exits(0).says("bans");
            bustard(&scene, &["check"]).exits(0);
        }
    }
}
