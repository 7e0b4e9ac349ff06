//! Tests SQL that the database refuses, and cache operations that the registry
//! refuses: each gives one error with the place in the file, and nothing of the
//! failing migration remains. The errors are in `tests/snapshots/bad_input`.

use crate::support::{Scene, refused, refused_alike};

#[test]
fn a_syntax_error_has_line_and_column() {
    refused(1, "syntax_error", |scene| {
        scene.bad_file("CREATE TABLE a (\n    id INTEGER\n);\n\nINSERT INTO a\n    VALEUS (1);\n");
    });
}

/// Positions count characters; line ends and the byte order mark do not matter.
#[test]
fn positions_behind_unusual_characters() {
    refused(1, "position_in_unicode", |scene| {
        scene.bad_file(
            "\u{feff}CREATE TABLE \"é\u{1f986}\" (t TEXT);\r\nSELECT 'ü',\r\n\t'\u{1f986}', no_such_thing\r\n  FROM \"é\u{1f986}\";\r\n",
        );
    });
}

/// Neither engine reports a position for a violated constraint.
#[test]
fn the_third_of_five_statements() {
    refused(1, "unique_violation", |scene| {
        scene.bad_file(
            "CREATE TABLE a (id INTEGER PRIMARY KEY);\n\
             INSERT INTO a VALUES (1);\n\
             INSERT INTO a\n    VALUES (2), (1);\n\
             INSERT INTO a VALUES (3);\n\
             DROP TABLE thread;\n",
        );
    });
}

#[test]
fn a_table_that_is_there_already() {
    refused(1, "table_exists", |scene| {
        scene.bad_file("-- A table.\n/* Of posts. */ CREATE TABLE post (id INTEGER);\n");
    });
}

#[test]
fn errors_within_a_function_of_the_server() {
    let scene = Scene::postgres();
    scene
        .bad_file(
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN (SELECT gone FROM thread);\nEND $$;\n\n\
             SELECT 1,\n  f();\n",
        )
        .refuses(1, "error_in_a_function");
    scene
        .bad_file(
            "SELECT 1;\nCREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRN 1;\nEND $$;\n",
        )
        .refuses(1, "error_in_a_function_body");
    let scene = Scene::sqlite();
    scene
        .bad_file(
            "CREATE TRIGGER t AFTER INSERT ON post BEGIN\n  INSERT INTO thread VALUES (1);\n  SELECT RAISE(ABORT, 'no posts');\nEND;\n\
             INSERT INTO post VALUES (1);\n",
        )
        .refuses(1, "error_in_a_trigger");
}

/// The database refuses the commit, so the error can name no statement.
#[test]
fn a_deferred_constraint() {
    refused(1, "deferred_constraint", |scene| {
        scene.bad_file(
            "CREATE TABLE reply (post INTEGER REFERENCES post (id) DEFERRABLE INITIALLY DEFERRED);\n\
             INSERT INTO reply VALUES (1);\n",
        );
    });
}

#[test]
fn register_twice_in_one_plan() {
    refused_alike(1, "register_twice_in_one_plan", |scene| {
        scene
            .good_files()
            .file("V3__bad.sql", "CREATE TABLE a (id INTEGER);\n-- bustard: register cache posts\n");
    });
}

#[test]
fn register_twice_against_the_database() {
    refused_alike(1, "register_twice_against_the_database", |scene| {
        scene.good_files().migrate(&[]).success();
        scene.bad_file("CREATE TABLE a (id INTEGER);\n-- bustard: register cache threads\n");
    });
}

#[test]
fn unregister_of_an_unknown_cache() {
    refused_alike(1, "unregister_unknown", |scene| {
        scene.good_files().migrate(&[]).success();
        scene.bad_file("CREATE TABLE a (id INTEGER);\n-- bustard: unregister cache thread\n");
    });
    refused_alike(1, "unregister_twice", |scene| {
        scene.bad_file("-- bustard: unregister cache posts\n-- bustard: unregister cache posts\n");
    });
}

/// With several migrations in the transaction, SQLite's error names no migration.
/// PostgreSQL checks at the end of each migration.
#[test]
fn a_commit_of_several_migrations() {
    for scene in Scene::both() {
        scene.bad_file(
            "CREATE TABLE reply (post INTEGER REFERENCES post (id) DEFERRABLE INITIALLY DEFERRED);\n\
             INSERT INTO reply VALUES (1);\n",
        );
        let outcome = scene.migrate(&["--transaction", "all"]).exits(1);
        scene.snapshot(&format!("deferred_constraint_of_several.{}", scene.engine), &outcome);
    }
}

/// A registration between plan and lock is refused by the registry itself.
#[test]
fn a_registration_by_the_migration_itself() {
    let scene = Scene::postgres();
    scene.good_files().migrate(&[]).success();
    scene
        .bad_file("SELECT bustard.register_cache('bans');\n\n-- bustard: register cache bans\n")
        .refuses(1, "register_refused_by_the_registry");
    scene
        .bad_file("SELECT bustard.unregister_cache('posts');\n-- bustard: unregister cache posts\n")
        .refuses(1, "unregister_refused_by_the_registry");
    let scene = Scene::sqlite();
    scene.good_files().migrate(&[]).success();
    scene
        .bad_file(
            "INSERT INTO bustard_cache (id, name) VALUES (77, 'bans');\n\n-- bustard: register cache bans\n",
        )
        .refuses(1, "register_refused_by_the_registry.sqlite");
}

/// `PRAGMA max_page_count` stands for a full disk.
#[test]
fn a_full_disk() {
    let scene = Scene::sqlite();
    scene
        .bad_file(
            "PRAGMA max_page_count = 40;\nCREATE TABLE large (b BLOB);\n\
             INSERT INTO large\n    VALUES (zeroblob(1000000));\n",
        )
        .refuses(1, "full_disk");
}

/// The migrations follow the procedure of SQLite's documentation for changing a table. With
/// foreign keys on, dropping the parent table would delete the rows that refer to it.
#[test]
fn a_parent_table_is_rebuilt() {
    let scene = Scene::sqlite();
    scene
        .file(
            "V1__tables.sql",
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);\n\
             CREATE TABLE child (parent INTEGER NOT NULL REFERENCES parent (id) ON DELETE CASCADE);\n\
             INSERT INTO parent VALUES (1), (2);\nINSERT INTO child VALUES (1), (2), (2);\n",
        )
        .file(
            "V2__rebuild.sql",
            "CREATE TABLE new_parent (id INTEGER PRIMARY KEY, name TEXT);\n\
             INSERT INTO new_parent (id) SELECT id FROM parent;\n\
             DROP TABLE parent;\nALTER TABLE new_parent RENAME TO parent;\n",
        );
    scene.migrate(&[]).success();
    assert_eq!(scene.value("SELECT count(*) FROM child"), "3");
    scene
        .file(
            "V3__lossy.sql",
            "CREATE TABLE new_parent (id INTEGER PRIMARY KEY);\n\
             INSERT INTO new_parent (id) SELECT id FROM parent WHERE id < 2;\n\
             DROP TABLE parent;\nALTER TABLE new_parent RENAME TO parent;\n",
        )
        .refuses(1, "rebuild_loses_parents");
    assert_eq!(scene.value("SELECT count(*) FROM parent"), "2");
}

#[test]
fn pragmas_that_do_nothing_in_a_transaction() {
    let scene = Scene::sqlite();
    scene.file(
        "V1__a.sql",
        "PRAGMA foreign_keys = OFF;\nCREATE TABLE a (id INTEGER);\nPRAGMA foreign_keys = ON;\n",
    );
    let outcome = scene.migrate(&[]).success();
    scene.snapshot("foreign_keys_pragma", &outcome);
    scene.file("V2__b.sql", "PRAGMA journal_mode = WAL;\n").refuses(2, "journal_mode_pragma");
}

/// The settings of a migration affect only that migration. The history stays in its schema,
/// and is written with the rights of the migrating role.
#[test]
fn settings_end_with_the_migration() {
    for all in [false, true] {
        let scene = Scene::postgres();
        let role = scene.database().create_role("unprivileged", "");
        let settings = "current_setting('search_path') || ' ' || current_user || ' ' || current_setting('statement_timeout')";
        scene
            .file("V1__before.sql", format!("CREATE TABLE seen AS SELECT 1 AS n, {settings} AS settings;\n"))
            .file(
                "V2__changes.sql",
                format!(
                    "CREATE SCHEMA elsewhere;\nSET search_path = elsewhere;\nCREATE TABLE placed (id int);\n\
                     SET statement_timeout = '1h';\nSET SESSION AUTHORIZATION {role};\nSET ROLE {role};\n"
                ),
            )
            .file("V3__after.sql", format!("INSERT INTO seen SELECT 3, {settings};\n"));
        scene.migrate(if all { &["--transaction", "all"] } else { &[] }).success();
        assert_eq!(scene.applied(), "1,2,3");
        assert_eq!(scene.value("SELECT count(DISTINCT settings) FROM public.seen"), "1");
        assert_eq!(scene.value("SELECT to_regclass('elsewhere.placed') IS NOT NULL"), "t");
        assert_eq!(scene.value("SELECT to_regclass('elsewhere.refinery_schema_history') IS NULL"), "t");
    }
}
