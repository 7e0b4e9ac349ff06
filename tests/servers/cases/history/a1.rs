//! Row A1: the history that a command finds is the one that was recorded, or the command
//! stops before anything and says what to do.

use crate::support::{Outcome, Scene};

/// Writes the migrations of the app `main` and of a plugin that depends on it, and
/// applies them.
fn installed(scene: &Scene) {
    scene
        .file(
            "V1__users.sql",
            "CREATE TABLE users (id integer);\n-- bustard: register cache users on users\n",
        )
        .file("V2__one.sql", "INSERT INTO users VALUES (1);\n-- bustard: down\nDELETE FROM users;\n");
    scene.project.file(
        "plugin/V1__bans.sql",
        "-- bustard: depends on main V1\n-- bustard: register cache bans\nCREATE TABLE bans (id integer);\n-- bustard: down\nDROP TABLE bans;\n",
    );
    configure(scene, "");
    bustard(scene, &["migrate"]).exits(0);
}

/// Configures both apps. `more` belongs to the app `main`.
fn configure(scene: &Scene, more: &str) {
    scene.project.config(&format!(
        "[database]\nurl = \"{}\"\n\n[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n{more}\n\n[[apps]]\nlabel = \"bans\"\nmigrations = \"plugin\"\n",
        scene.url()
    ));
}

fn bustard(scene: &Scene, arguments: &[&str]) -> Outcome {
    scene.project.bustard(arguments)
}

/// A way in which a history gets lost. `table` is the place that the advice must name
/// beside the recorded one, or nothing if it is gone.
struct Loss {
    name: &'static str,
    postgres: &'static str,
    sqlite: Option<&'static str>,
    /// The app whose history it is.
    app: &'static str,
}

const LOSSES: &[Loss] = &[
    Loss {
        name: "another search path",
        postgres: "CREATE SCHEMA elsewhere; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = elsewhere', current_database()); END $$",
        sqlite: None,
        app: "main",
    },
    Loss {
        name: "another search path, with a table there",
        postgres: "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.refinery_schema_history AS TABLE refinery_schema_history; \
                   DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = elsewhere, public', current_database()); END $$",
        sqlite: None,
        app: "main",
    },
    Loss {
        name: "dropped",
        postgres: "DROP TABLE refinery_schema_history",
        sqlite: Some("DROP TABLE refinery_schema_history"),
        app: "main",
    },
    Loss {
        name: "renamed",
        postgres: "ALTER TABLE refinery_schema_history RENAME TO old",
        sqlite: Some("ALTER TABLE refinery_schema_history RENAME TO old"),
        app: "main",
    },
    Loss {
        name: "moved to another schema",
        postgres: "CREATE SCHEMA elsewhere; ALTER TABLE refinery_schema_history SET SCHEMA elsewhere",
        sqlite: None,
        app: "main",
    },
    Loss {
        name: "the schema renamed",
        postgres: "ALTER SCHEMA public RENAME TO other; CREATE SCHEMA public",
        sqlite: None,
        app: "main",
    },
    Loss {
        name: "the schema dropped",
        postgres: "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
        sqlite: None,
        app: "main",
    },
    Loss {
        name: "emptied",
        postgres: "TRUNCATE refinery_schema_history",
        sqlite: Some("DELETE FROM refinery_schema_history"),
        app: "main",
    },
    Loss {
        name: "replaced by another database's",
        postgres: "UPDATE refinery_schema_history SET applied_on = '2020-01-01T00:00:00Z'",
        sqlite: Some("UPDATE refinery_schema_history SET applied_on = '2020-01-01T00:00:00Z'"),
        app: "main",
    },
    Loss {
        name: "a plugin's, dropped",
        postgres: "DROP TABLE refinery_schema_history_bans",
        sqlite: Some("DROP TABLE refinery_schema_history_bans"),
        app: "bans",
    },
    Loss {
        name: "a plugin's, renamed",
        postgres: "ALTER TABLE refinery_schema_history_bans RENAME TO old",
        sqlite: Some("ALTER TABLE refinery_schema_history_bans RENAME TO old"),
        app: "bans",
    },
];

/// Every command that reads the history.
const COMMANDS: &[&[&str]] = &[
    &["migrate"],
    &["migrate", "--fake"],
    &["migrate", "--allow-missing", "--allow-divergent", "--allow-out-of-order"],
    &["plan"],
    &["status"],
    &["check"],
    &["apps"],
    &["revert", "--steps", "1"],
    &["repair", "main:V1"],
    &["disable", "bans"],
    &["enable", "bans"],
    &["uninstall", "main", "--cascade", "--yes"],
];

/// Asserts that every command stops with exit code 4, changes nothing and says what to do.
#[track_caller]
fn stops(scene: &Scene, name: &str, app: &str, words: &[&str]) {
    let before = scene.contents();
    for command in COMMANDS {
        let outcome = bustard(scene, command);
        assert_eq!(outcome.code, Some(4), "{name}: {command:?}: {outcome}");
        let repair = format!("bustard repair --history new {app}");
        for word in words.iter().copied().chain([repair.as_str()]) {
            assert!(outcome.stderr.contains(word), "{name}: {command:?}: no {word} in {outcome}");
        }
        assert_eq!(scene.contents(), before, "{name}: {command:?} changed something");
    }
}

#[test]
fn a1_every_command_stops_where_the_history_is_lost() {
    for loss in LOSSES {
        for scene in Scene::both() {
            let sql = match scene.is_postgres() {
                true => loss.postgres,
                false => match loss.sqlite {
                    Some(sql) => sql,
                    None => continue,
                },
            };
            installed(&scene);
            scene.execute(sql);
            let table = match loss.app {
                "main" => "refinery_schema_history",
                _ => "refinery_schema_history_bans",
            };
            stops(&scene, loss.name, loss.app, &[table]);
        }
    }
}

/// The row itself.
#[test]
fn a1_a_search_path_that_a_migration_sets_for_the_database() {
    let scene = Scene::postgres();
    let name = scene.database().name().to_owned();
    scene
        .file(
            "V1__app.sql",
            format!("CREATE SCHEMA app; CREATE TABLE public.t (n int); ALTER DATABASE {name} SET search_path = app;"),
        )
        .file("V2__row.sql", "INSERT INTO public.t VALUES (1);\n");
    scene.migrate(&[]).exits(0);
    let outcome = scene
        .migrate(&[])
        .exits(4)
        .complains("public.refinery_schema_history")
        .complains("app.refinery_schema_history")
        .complains("repair --history");
    assert_eq!(scene.value("SELECT count(*) FROM public.t"), "1", "{outcome}");
    assert_eq!(scene.value("SELECT to_regclass('app.refinery_schema_history') IS NULL"), "t");
    let error = &scene.migrate(&["--json"]).exits(4).json()["error"];
    assert_eq!(
        (error["kind"].as_str(), error["code"].as_str()),
        (Some("history"), Some("history-elsewhere"))
    );
}

/// Another role's search path, and that of the connection.
#[test]
fn a1_another_role_and_connection_options() {
    let scene = Scene::postgres();
    let database = scene.database();
    installed(&scene);
    let role = database.create_role("other", "SUPERUSER");
    database.psql(&format!("CREATE SCHEMA theirs; ALTER ROLE {role} SET search_path = theirs, public"));
    let urls =
        [database.url_as(&role), format!("{}?options=-c%20search_path%3Dtheirs%2Cpublic", database.url())];
    database.psql("CREATE TABLE theirs.refinery_schema_history AS TABLE public.refinery_schema_history");
    for url in urls {
        for command in COMMANDS {
            let outcome = bustard(&scene, &[&["--database-url", &url], *command].concat());
            assert_eq!(outcome.code, Some(4), "{command:?}: {outcome}");
            assert!(outcome.stderr.contains("theirs.refinery_schema_history"), "{outcome}");
            assert!(outcome.stderr.contains("public.refinery_schema_history"), "{outcome}");
        }
    }
    bustard(&scene, &["check"]).exits(0);
}

/// The history was moved: it is taken from the named table, whatever the search path says.
#[test]
fn a1_repair_takes_the_named_table() {
    for scene in Scene::both() {
        let (sql, table) = match scene.is_postgres() {
            true => (
                "CREATE SCHEMA kept; ALTER TABLE refinery_schema_history SET SCHEMA kept",
                "kept.refinery_schema_history",
            ),
            false => ("ALTER TABLE refinery_schema_history RENAME TO kept", "kept"),
        };
        installed(&scene);
        scene.execute(sql);
        let before = scene.contents();
        for wrong in ["no such", "nosuch", "users", "refinery_schema_history_bans"] {
            let outcome = bustard(&scene, &["repair", "--history", wrong, "main"]);
            assert!(matches!(outcome.code, Some(1 | 2)), "{wrong}: {outcome}");
        }
        bustard(&scene, &["repair", "--history", "new", "bans"])
            .exits(2)
            .complains("a new one is not needed");
        bustard(&scene, &["repair", "--history", table, "nosuch"]).exits(2);
        assert_eq!(scene.contents(), before);

        let document = bustard(&scene, &["--json", "repair", "--history", table]).exits(0).json();
        assert_eq!((&document["histories"][0]["app"], &document["changed"]), (&"main".into(), &true.into()));
        bustard(&scene, &["repair", "--history", table, "main"]).exits(0).says("nothing to do");
        bustard(&scene, &["migrate"]).exits(0).says("nothing to do");
        bustard(&scene, &["check"]).exits(0);
        assert_eq!(scene.value("SELECT count(*) FROM users"), "1");

        // It stays there for later runs and for what they record.
        scene.file(
            "V3__two.sql",
            "INSERT INTO users VALUES (2);\n-- bustard: down\nDELETE FROM users WHERE id = 2;\n",
        );
        bustard(&scene, &["migrate"]).exits(0);
        assert_eq!(scene.value(&format!("SELECT max(version) FROM {table}")), "3");
        bustard(&scene, &["revert", "--steps", "1"]).exits(0);
        bustard(&scene, &["disable", "main"]).exits(0);
        bustard(&scene, &["enable", "main"]).exits(0);
        bustard(&scene, &["apps"]).exits(0);
        bustard(&scene, &["uninstall", "bans", "--yes"]).exits(0);
        bustard(&scene, &["check"]).exits(3);
        scene.execute(&format!("DROP TABLE {table}"));
        bustard(&scene, &["check"]).exits(4).complains(table);
    }
}

/// The history begins again. The app's own caches are its own.
#[test]
fn a1_repair_starts_a_new_history() {
    for scene in Scene::both() {
        installed(&scene);
        let names = "SELECT count(*) FROM ".to_owned()
            + if scene.is_postgres() { "bustard.caches" } else { "bustard_caches" };
        scene.execute("DROP TABLE refinery_schema_history; DROP TABLE users");
        bustard(&scene, &["migrate"]).exits(4);
        let version = |scene: &Scene| {
            bustard(scene, &["--json", "caches", "get", "users"]).exits(0).json()["version"].clone()
        };
        let before = version(&scene);
        bustard(&scene, &["repair", "--history", "new"]).exits(0).says("refinery_schema_history");
        assert_ne!(version(&scene), before, "a repair invalidates");
        bustard(&scene, &["check"]).exits(3);
        bustard(&scene, &["migrate"]).exits(0);
        assert_eq!(
            (scene.value("SELECT count(*) FROM users"), scene.value(&names)),
            ("1".into(), "2".into())
        );
        bustard(&scene, &["check"]).exits(0);
        // The tables are tracked as before.
        let before = version(&scene);
        scene.execute("INSERT INTO users VALUES (7)");
        assert_ne!(version(&scene), before);
    }
}

/// A migration that takes its own history away is rolled back.
#[test]
fn a1_a_migration_that_drops_its_history() {
    for sql in [
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
        "ALTER SCHEMA public RENAME TO other; CREATE SCHEMA public",
    ] {
        let scene = Scene::postgres();
        installed(&scene);
        scene.file("V3__drop.sql", sql);
        let before = scene.contents();
        bustard(&scene, &["migrate"]).exits(1).complains("V3__drop");
        assert_eq!(scene.contents(), before);
    }
}

/// Kept and disabled apps, apps that are not configured, and another configured name.
#[test]
fn a1_apps_in_every_state() {
    for scene in Scene::both() {
        installed(&scene);
        configure(&scene, "history = \"another\"");
        bustard(&scene, &["migrate"]).exits(4).complains("another").complains("refinery_schema_history");
        configure(&scene, "");
        bustard(&scene, &["disable", "bans"]).exits(0);
        scene.execute("ALTER TABLE refinery_schema_history_bans RENAME TO old");
        bustard(&scene, &["check"]).exits(4).complains("refinery_schema_history_bans");
        scene.execute("ALTER TABLE old RENAME TO refinery_schema_history_bans");
        bustard(&scene, &["enable", "bans"]).exits(0);
        bustard(&scene, &["uninstall", "bans", "--keep-data", "--yes"]).exits(0);
        scene.execute("ALTER TABLE refinery_schema_history_bans RENAME TO old");
        bustard(&scene, &["migrate"]).exits(4).complains("refinery_schema_history_bans");

        // Nothing depends on an app that is not configured: the others go on, and are told.
        scene.project.config(&format!("[database]\nurl = \"{}\"\n", scene.url()));
        bustard(&scene, &["migrate"]).exits(0).complains("refinery_schema_history_bans");
        bustard(&scene, &["apps"]).exits(4).complains("bustard uninstall --forget bans");
        bustard(&scene, &["uninstall", "bans", "--yes"]).exits(4);
        bustard(&scene, &["uninstall", "bans", "--forget", "--yes"]).exits(0);
        assert!(!bustard(&scene, &["apps"]).exits(0).stdout.contains("bans"));
        let outcome = bustard(&scene, &["migrate"]).exits(0);
        assert!(!outcome.stderr.contains("error") && !outcome.stderr.contains("warning"), "{outcome}");
        assert_eq!(scene.value("SELECT count(*) FROM bans"), "0", "its table stays");
    }
}
