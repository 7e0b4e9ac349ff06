//! Tests repeatable migrations of apps: when they run, and how each verb treats them.

use bustard::{App, Migration, Migrator, TransactionMode};

use super::{USERS, bustard, invalidations, recorded, state, steps, view, with_view};
use crate::support::Scene;

#[test]
fn a_changed_text_runs_again_and_invalidates() {
    for scene in Scene::both() {
        with_view(&scene);
        scene.file("V2__cache.sql", "-- bustard: register cache x\n");
        scene.migrate(&[]).success();
        assert_eq!(recorded(&scene, "main", "names"), ("1".into(), "1".into()));
        let (before, contents) = (invalidations(&scene, "x"), scene.contents());
        scene.migrate(&[]).success().says("nothing to do");
        assert_eq!((invalidations(&scene, "x"), scene.contents()), (before, contents));

        scene.file("R__names.sql", view("mail"));
        assert_eq!(state(&scene, "main", "R__names"), "pending");
        bustard(&scene, &["check"]).exits(3).says("R__names");
        bustard(&scene, &["plan"]).success().says("main R__names");
        let plan = bustard(&scene, &["plan", "--json"]).success();
        assert_eq!(plan.json()["steps"][0]["irreversible"], serde_json::Value::Null);
        assert_eq!(steps(&plan), ["main:R__names"]);
        assert_eq!(steps(&scene.migrate(&["--json"]).success()), ["main:R__names"]);
        assert_eq!(scene.value("SELECT name FROM names"), "a@b");
        assert_eq!(invalidations(&scene, "x"), before + 1);
        assert_eq!(recorded(&scene, "main", "names"), ("2".into(), "1".into()));
        assert_eq!(state(&scene, "main", "R__names"), "applied");
        bustard(&scene, &["check"]).success();
        // A change of the line ends is ignored.
        scene.file("R__names.sql", view("mail").replace('\n', "\r\n"));
        scene.migrate(&[]).success().says("nothing to do");
    }
}

#[test]
fn repeatable_migrations_follow_versions_and_precede_dependent_apps() {
    for scene in Scene::both() {
        scene
            .project
            .config(
                "[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n\
                 [[apps]]\nlabel = \"a\"\nmigrations = \"a\"\n",
            )
            .file("a/V1__a.sql", "-- bustard: depends on main\nCREATE TABLE a AS SELECT name FROM second;\n")
            .file("a/R__z.sql", "-- bustard: depends on main R__second\nDELETE FROM a WHERE name = 'z';\n");
        scene
            .file("V2__more.sql", "CREATE TABLE more (x INTEGER);\n")
            .file("V1__users.sql", USERS)
            .file(
                "R__second.sql",
                "CREATE VIEW second AS SELECT name FROM third;\n-- bustard: depends on main R__third\n",
            )
            .file("R__third.sql", "CREATE VIEW third AS SELECT login AS name FROM users;\n");
        let order =
            ["main:V1__users", "main:V2__more", "main:R__third", "main:R__second", "a:V1__a", "a:R__z"];
        scene.execute("CREATE TABLE beside (x INTEGER)");
        assert_eq!(steps(&bustard(&scene, &["plan", "--json"]).success()), order);
        assert_eq!(steps(&scene.migrate(&["--json"]).success()), order);
        assert_eq!(scene.value("SELECT name FROM a"), "a");
        // Migrations that depend on `R__third` do not run again, and no warning is given.
        scene.file("R__third.sql", "DROP VIEW IF EXISTS other;\nCREATE VIEW other AS SELECT 1 AS x;\n");
        let again = scene.migrate(&["--json"]).success();
        assert_eq!(steps(&again), ["main:R__third"]);
        assert_eq!(again.json()["warnings"], serde_json::json!([]));
    }
}

#[test]
fn a_text_that_was_replaced_needs_repeat() {
    for scene in Scene::both() {
        with_view(&scene);
        scene.file("R__names.sql", view("mail"));
        scene.migrate(&[]).success();
        scene.file("R__names.sql", view("login"));
        let contents = scene.contents();
        assert_eq!(state(&scene, "main", "R__names"), "superseded");
        bustard(&scene, &["check"]).exits(4).says("superseded");
        for command in ["migrate", "plan"] {
            bustard(&scene, &[command]).exits(4).complains("--repeat");
        }
        let error = scene.migrate(&["--json"]).exits(4).json();
        assert_eq!(error["error"]["kind"], "divergent");
        assert_eq!(scene.contents(), contents);
        assert_eq!(steps(&scene.migrate(&["--repeat", "--json"]).success()), ["main:R__names"]);
        assert_eq!(scene.value("SELECT name FROM names"), "a");
        assert_eq!(recorded(&scene, "main", "names"), ("2".into(), "1".into()));
        // Now the second text counts as replaced.
        scene.file("R__names.sql", view("mail"));
        scene.migrate(&[]).exits(4);
        scene.file("R__names.sql", view("login || mail"));
        scene.migrate(&[]).success();
    }
}

#[test]
fn reverting_skips_repeatable_migrations() {
    for scene in Scene::both() {
        with_view(&scene);
        scene.file("V2__posts.sql", "CREATE TABLE posts (x INTEGER);\n-- bustard: down\nDROP TABLE posts;\n");
        scene.migrate(&[]).success();
        let reverted = bustard(&scene, &["revert", "--steps", "1", "--json"]).success();
        assert_eq!(steps(&reverted), ["main:V2__posts"]);
        assert_eq!(recorded(&scene, "main", "names"), ("1".into(), "1".into()));
        assert_eq!(scene.value("SELECT name FROM names"), "a");
        assert_eq!(state(&scene, "main", "R__names"), "applied");
        assert_eq!(steps(&scene.migrate(&["--json"]).success()), ["main:V2__posts"]);
    }
}

/// An app that depends on a repeatable migration also depends on the versioned migrations
/// before it.
#[test]
fn reverting_a_version_reverts_dependants_of_repeatable_migrations() {
    for scene in Scene::both() {
        scene.project.config(
            "[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n\
             [[apps]]\nlabel = \"a\"\nmigrations = \"a\"\n",
        );
        scene.project.file(
            "a/V1__a.sql",
            "-- bustard: depends on main R__names\nCREATE TABLE a (x INTEGER);\n-- bustard: down\nDROP TABLE a;\n",
        );
        let down = "-- bustard: down\nDROP VIEW names;\nDROP TABLE users;\n";
        scene.file("V1__users.sql", USERS.replace("-- bustard: down\nDROP TABLE users;\n", down));
        scene.file("R__names.sql", view("login"));
        scene.migrate(&[]).success();
        let reverted = bustard(&scene, &["revert", "--to", "main:0", "--json"]).success();
        assert_eq!(steps(&reverted), ["a:V1__a", "main:V1__users"]);
    }
}

#[test]
fn fake_records_migrations_without_running_them() {
    for scene in Scene::both() {
        scene.file("V1__users.sql", USERS).file("R__names.sql", view("login"));
        scene.execute("CREATE TABLE users (login varchar(20), mail varchar(20))");
        scene.migrate(&["--fake"]).success().says("faked");
        assert_eq!(recorded(&scene, "main", "names"), ("1".into(), "1".into()));
        let views = match scene.is_postgres() {
            true => "SELECT count(*) FROM pg_views WHERE viewname = 'names'",
            false => "SELECT count(*) FROM sqlite_master WHERE name = 'names'",
        };
        assert_eq!(scene.value(views), "0");
        scene.migrate(&[]).success().says("nothing to do");
        scene.file("R__names.sql", view("mail"));
        scene.migrate(&[]).success();
        assert_eq!(scene.value(views), "1");
    }
}

/// `register cache` and `unregister cache` may be in a text that runs again.
#[test]
fn cache_operations_may_be_repeated() {
    for scene in Scene::both() {
        scene.file(
            "V1__users.sql",
            USERS.replace(
                "-- bustard: down\nDROP TABLE users;\n",
                "CREATE TABLE posts (x INTEGER);\n-- bustard: register cache old\n",
            ),
        );
        let text = |more: &str| {
            format!("-- bustard: register cache names on users\n-- bustard: unregister cache old\n{more}")
        };
        scene.file("R__caches.sql", text(""));
        scene.migrate(&[]).success();
        let listed = |scene: &Scene| {
            let json = bustard(scene, &["caches", "--json"]).success().json();
            let all = json["caches"].as_array().expect("a list").clone();
            all.iter().map(|cache| cache["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed(&scene), ["names"]);
        let invalidates = |sql: &str| {
            let before = invalidations(&scene, "names");
            scene.execute(sql);
            invalidations(&scene, "names") - before
        };
        assert_eq!(invalidates("INSERT INTO users VALUES ('b', 'b')"), 1);
        assert_eq!(invalidates("INSERT INTO posts VALUES (1)"), 0);
        // The operation is repeated, then changed to other tables, and then to no tables.
        scene.file("R__caches.sql", text("-- a comment\n"));
        scene.migrate(&[]).success();
        assert_eq!(invalidates("INSERT INTO users VALUES ('c', 'c')"), 1);
        scene.file("R__caches.sql", text("").replace("on users", "on posts"));
        scene.migrate(&[]).success();
        assert_eq!(invalidates("INSERT INTO users VALUES ('d', 'd')"), 0);
        assert_eq!(invalidates("INSERT INTO posts VALUES (2)"), 1);
        scene.file("R__caches.sql", text("").replace(" on users", ""));
        scene.migrate(&[]).success();
        assert_eq!(invalidates("INSERT INTO posts VALUES (3)"), 0);
        assert_eq!(listed(&scene), ["names"]);
        bustard(&scene, &["check"]).success();
        // A cache of another app is an error.
        bustard(&scene, &["caches", "unregister", "names", "--force"]).success();
        bustard(&scene, &["caches", "register", "names"]).success();
        scene.file("R__caches.sql", text("-- more\n"));
        scene.migrate(&[]).exits(1).complains("already registered");
        // A name that was never registered is an error.
        scene.file("R__caches.sql", "-- bustard: unregister cache nosuch\n");
        scene.migrate(&[]).exits(1).complains("nosuch");
    }
}

#[test]
fn an_uninstall_runs_the_down_section() {
    for (gone, scene) in [true, false].into_iter().flat_map(|gone| Scene::both().map(|scene| (gone, scene))) {
        with_view(&scene);
        scene.file("R__a.sql", "DROP VIEW IF EXISTS more;\nCREATE VIEW more AS SELECT 1 AS x;\n").file(
            "R__of_names.sql",
            "-- bustard: depends on main R__names\nDROP VIEW IF EXISTS of_names;\n\
                 CREATE VIEW of_names AS SELECT name FROM names;\n-- bustard: register cache shown on users\n\
                 -- bustard: down\nDROP VIEW of_names;\n",
        );
        scene.migrate(&[]).success();
        if gone {
            for file in ["V1__users", "R__names", "R__a", "R__of_names"] {
                std::fs::remove_file(scene.project.path().join(format!("migrations/{file}.sql")))
                    .expect("it is there");
            }
            scene.project.config("[[apps]]\nlabel = \"other\"\nmigrations = \"migrations\"\n");
            scene.file("V1__other.sql", "CREATE TABLE other (x INTEGER);\n");
        }
        let uninstalled = bustard(&scene, &["uninstall", "main", "--yes", "--json"]).success();
        let order = ["main:R__of_names", "main:R__names", "main:V1__users"];
        assert_eq!(steps(&uninstalled), order, "{uninstalled}");
        assert_eq!(recorded(&scene, "main", "names").0, "0");
        assert_eq!(bustard(&scene, &["caches", "--json"]).success().json()["caches"], serde_json::json!([]));
        assert_eq!(scene.value("SELECT x FROM more"), "1", "a view without a `down` section stays");
    }
}

#[test]
fn an_app_with_repeatable_migrations_alone() {
    for scene in Scene::both() {
        scene.file(
            "R__one.sql",
            "DROP VIEW IF EXISTS one;\nCREATE VIEW one AS SELECT 1 AS x;\n-- bustard: register cache ones\n",
        );
        let first = scene.migrate(&["--json"]).success();
        assert_eq!(first.json()["apps"], serde_json::json!([{ "app": "main", "state": "enabled" }]));
        let apps = bustard(&scene, &["apps", "--json"]).success().json();
        let main = &apps["apps"][0];
        assert_eq!(
            (&main["state"], &main["applied"], &main["pending"]),
            (&"enabled".into(), &1.into(), &0.into())
        );
        scene.migrate(&[]).success().says("nothing to do");
        // The texts of a disabled app are not checked.
        bustard(&scene, &["disable", "main"]).success();
        scene.file("R__one.sql", "SELECT 1;\n");
        scene.migrate(&[]).success().says("nothing to do");
        bustard(&scene, &["check"]).success();
        bustard(&scene, &["enable", "main"]).success();
        bustard(&scene, &["check"]).exits(3);
        // The caches of the app are unregistered, and registered again.
        scene.file(
            "R__one.sql",
            "DROP VIEW IF EXISTS one;\nCREATE VIEW one AS SELECT 1 AS x;\n-- bustard: register cache ones\n",
        );
        bustard(&scene, &["uninstall", "main", "--keep-data", "--yes"]).success();
        assert_eq!(bustard(&scene, &["caches", "--json"]).success().json()["caches"], serde_json::json!([]));
        let back = scene.migrate(&["--json"]).success();
        assert_eq!(steps(&back), Vec::<String>::new());
        assert_eq!(bustard(&scene, &["caches", "--json"]).success().json()["caches"][0]["name"], "ones");
        bustard(&scene, &["uninstall", "main", "--yes"]).success();
    }
}

#[test]
fn an_app_is_not_uninstalled_if_another_app_depends_on_its_repeatable_migration() {
    for scene in Scene::both() {
        scene.project.config(
            "[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n\
             [[apps]]\nlabel = \"a\"\nmigrations = \"a\"\n",
        );
        with_view_in(&scene);
        scene.project.file(
            "a/R__a.sql",
            "-- bustard: depends on main R__names\nDROP VIEW IF EXISTS a;\nCREATE VIEW a AS SELECT name FROM names;\n\
             -- bustard: down\nDROP VIEW a;\n",
        );
        scene.migrate(&[]).success();
        bustard(&scene, &["uninstall", "main", "--yes"])
            .exits(1)
            .complains("a:R__a depends on main:R__names");
        let all = bustard(&scene, &["uninstall", "main", "--cascade", "--yes", "--json"]).success();
        assert_eq!(steps(&all), ["a:R__a", "main:R__names", "main:V1__users"]);
    }
}

fn with_view_in(scene: &Scene) {
    scene.file("V1__users.sql", USERS).file("R__names.sql", view("login"));
}

#[test]
fn from_code_and_in_either_mode() {
    let app = |text: &str| {
        let table = Migration::new().sql("CREATE TABLE t (x integer)");
        App::new("main")
            .migration("V1__t", table)
            .repeatable("b", Migration::new().depends_on_repeatable("main", "c").sql(text))
            .repeatable("R__c", Migration::new().sql("DELETE FROM t"))
            .migration("R__a", Migration::new().sql("INSERT INTO t VALUES (1)"))
    };
    for mode in [TransactionMode::Each, TransactionMode::All] {
        let mut connection = rusqlite::Connection::open_in_memory().expect("it opens");
        let migrator = |text: &str| Migrator::new().app(app(text)).transaction(mode);
        let names = |report: &bustard::Report| {
            let steps = report.steps.iter().filter(|done| done.app == "main");
            steps.map(|done| done.migration.to_string()).collect::<Vec<_>>()
        };
        let report = migrator("SELECT 1").run(&mut connection).expect("it runs");
        assert_eq!(names(&report), ["V1__t", "R__a", "R__c", "R__b"]);
        assert!(!migrator("SELECT 1").run(&mut connection).expect("it runs").changed());
        assert_eq!(names(&migrator("SELECT 2").run(&mut connection).expect("it runs")), ["R__b"]);
        let error = migrator("SELECT 1").run(&mut connection).expect_err("it was replaced");
        assert_eq!(error.kind(), bustard::ErrorKind::Divergent);
        let report = migrator("SELECT 1").repeat(true).run(&mut connection).expect("it runs");
        assert_eq!(names(&report), ["R__b"]);
    }
}
