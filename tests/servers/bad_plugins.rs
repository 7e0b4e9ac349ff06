//! Tests faulty plugins on a database where the host and one plugin are installed: each
//! causes one clear error, and no row of the database changes. The errors are in
//! `tests/snapshots/bad_input`.

use std::fs;

use crate::support::{Outcome, Scene};

/// A change to an installation that works.
struct Case {
    /// The name of the snapshot.
    name: &'static str,
    code: i32,
    spoil: fn(&Scene),
}

/// The plugin that is installed, in two migrations.
const BANS: [(&str, &str); 2] = [
    (
        "bans/V1__bans.sql",
        "-- bustard: depends on main V1\n-- bustard: register cache bans\n\
         CREATE TABLE ban (id INTEGER PRIMARY KEY, thread INTEGER REFERENCES thread (id));\n",
    ),
    (
        "bans/V2__reasons.sql",
        "CREATE TABLE reason (id INTEGER PRIMARY KEY);\nINSERT INTO reason VALUES (1);\n\
         -- bustard: down\nDELETE FROM reason;\nDROP TABLE ban_reason;\n",
    ),
];

/// Writes a configuration with one app for each label. The directory of each app has the
/// label as its name.
fn apps(scene: &Scene, labels: &[&str]) {
    let app = |label: &&str| format!("[[apps]]\nlabel = \"{label}\"\nmigrations = \"{label}\"\n");
    scene.project.config(&labels.iter().map(app).collect::<String>());
}

/// Installs the host and its plugin.
fn installed(scene: &Scene) {
    scene.project.file("main/V1__threads.sql", "CREATE TABLE thread (id INTEGER PRIMARY KEY);\n");
    for (name, sql) in BANS {
        scene.project.file(name, sql);
    }
    apps(scene, &["main", "bans"]);
    scene.migrate(&[]).success();
}

/// Adds another plugin with one migration.
fn badges(scene: &Scene, sql: &str) {
    scene.project.file("badges/V1__badges.sql", format!("{sql}CREATE TABLE unreached (id INTEGER);\n"));
    apps(scene, &["main", "bans", "badges"]);
}

fn remove(scene: &Scene, file: &str) {
    fs::remove_file(scene.project.path().join(file)).expect("it is there");
}

const CASES: &[Case] = &[
    Case {
        name: "two_apps_with_one_label",
        code: 2,
        spoil: |scene| {
            badges(scene, "");
            apps(scene, &["main", "bans", "badges", "bans"]);
        },
    },
    Case {
        name: "invalid_label",
        code: 2,
        spoil: |scene| {
            scene.project.file("Bans-2/V1__bans.sql", "CREATE TABLE unreached (id INTEGER);\n");
            apps(scene, &["main", "bans", "Bans-2"]);
        },
    },
    Case {
        name: "depends_on_an_app_that_is_not_there",
        code: 2,
        spoil: |scene| badges(scene, "-- bustard: depends on ranks V1\n"),
    },
    Case {
        name: "depends_on_a_version_that_is_not_there",
        code: 2,
        spoil: |scene| badges(scene, "-- bustard: depends on bans V7\n"),
    },
    Case {
        name: "required_by_a_version_that_is_not_there",
        code: 2,
        spoil: |scene| badges(scene, "-- bustard: required by bans V3\n"),
    },
    Case {
        name: "depends_on_itself",
        code: 2,
        spoil: |scene| badges(scene, "-- bustard: depends on badges V1\n"),
    },
    Case {
        name: "depends_on_its_next_version",
        code: 2,
        spoil: |scene| {
            badges(scene, "-- bustard: depends on badges V2\n");
            scene.project.file("badges/V2__more.sql", "CREATE TABLE unreached2 (id INTEGER);\n");
        },
    },
    Case {
        name: "depends_on_its_whole_app",
        code: 2,
        spoil: |scene| badges(scene, "-- bustard: depends on badges\n"),
    },
    Case {
        name: "removed_file_of_a_plugin",
        code: 4,
        spoil: |scene| {
            remove(scene, "bans/V1__bans.sql");
            badges(scene, "");
        },
    },
    Case {
        name: "downgraded_plugin",
        code: 4,
        spoil: |scene| {
            remove(scene, "bans/V2__reasons.sql");
            badges(scene, "");
        },
    },
    Case {
        name: "cache_of_another_plugin",
        code: 1,
        spoil: |scene| badges(scene, "-- bustard: register cache bans\n"),
    },
    Case {
        name: "cache_of_two_plugins_in_one_plan",
        code: 1,
        spoil: |scene| {
            badges(scene, "-- bustard: register cache top-posters\n");
            scene.project.file(
                "ranks/V1__ranks.sql",
                "-- bustard: register cache top-posters\nCREATE TABLE unreached2 (id INTEGER);\n",
            );
            apps(scene, &["main", "bans", "badges", "ranks"]);
        },
    },
];

#[test]
fn each_fault_gives_one_error_and_changes_nothing() {
    for scene in Scene::both() {
        installed(&scene);
        // Each case damages the same installation and repairs it afterwards.
        for Case { name, code, spoil } in CASES {
            let before = scene.contents();
            spoil(&scene);
            scene.refuses(*code, name);
            assert_eq!(scene.contents(), before, "{name}");
            for directory in ["badges", "ranks", "Bans-2"] {
                let _ = fs::remove_dir_all(scene.project.path().join(directory));
            }
            installed(&scene);
            assert_eq!(scene.contents(), before, "{name}");
        }
    }
}

/// An error in a new installation applies nothing and creates no file.
#[test]
fn a_new_installation_is_not_begun() {
    for scene in Scene::both() {
        let empty = scene.contents();
        for Case { name, code, spoil } in CASES.iter().filter(|case| case.code == 2) {
            scene.project.file("main/V1__threads.sql", "CREATE TABLE thread (id INTEGER PRIMARY KEY);\n");
            BANS.iter().for_each(|(name, sql)| _ = scene.project.file(name, sql));
            spoil(&scene);
            let outcome: Outcome = scene.migrate(&[]).exits(*code);
            scene.snapshot(name, &outcome);
            assert_eq!(scene.contents(), empty, "{name}");
            for directory in ["badges", "Bans-2"] {
                let _ = fs::remove_dir_all(scene.project.path().join(directory));
            }
        }
    }
}

/// If a statement of a revert fails, the statements before it are rolled back.
#[test]
fn a_revert_that_fails_half_way() {
    for scene in Scene::both() {
        installed(&scene);
        let before = scene.contents();
        let url = scene.url();
        for arguments in [["revert", "--to", "bans:V1"], ["revert", "--steps", "1"]] {
            let outcome =
                scene.project.bustard(&[&arguments[..], &["--database-url", &url]].concat()).exits(1);
            assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
            scene.snapshot(&format!("revert_fails.{}", scene.engine), &outcome);
            assert_eq!(scene.contents(), before);
        }
        assert_eq!(scene.value("SELECT count(*) FROM reason"), "1");
    }
}
