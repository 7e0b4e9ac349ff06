//! Tests faulty repeatable migrations: each causes one error and changes nothing.

use super::{USERS, recorded, state, view, with_view};
use crate::support::{Scene, refused_alike};

#[test]
fn a_cycle_of_repeatable_migrations() {
    refused_alike(2, "repeatable_cycle", |scene| {
        scene
            .good_files()
            .file("R__a.sql", "-- bustard: depends on main R__b\nSELECT 1;\n")
            .file("R__b.sql", "SELECT 2;\n-- bustard: depends on main R__a\n");
    });
    refused_alike(2, "repeatable_before_its_version", |scene| {
        scene
            .good_files()
            .file("R__a.sql", "SELECT 1;\n")
            .file("V3__c.sql", "-- bustard: depends on main R__a\nCREATE TABLE c (x INTEGER);\n");
    });
}

#[test]
fn two_repeatable_migrations_of_one_name() {
    refused_alike(2, "repeatable_twice", |scene| {
        scene.good_files().file("R__a.sql", "SELECT 1;\n").file("more/R__a.sql", "SELECT 2;\n");
    });
}

#[test]
fn misspelt_names() {
    refused_alike(2, "repeatable_misnamed", |scene| {
        scene.good_files().file("R1__a.sql", "SELECT 1;\n").file("R_b.sql", "SELECT 2;\n");
    });
    refused_alike(2, "repeatable_missing", |scene| {
        scene
            .good_files()
            .file("R__names.sql", "SELECT 1;\n")
            .file("R__z.sql", "-- bustard: depends on main R__nmaes\nSELECT 1;\n");
    });
}

/// No effect of the failed text remains, and the record still describes the previous text.
#[test]
fn a_repeatable_migration_that_fails() {
    for scene in Scene::both() {
        with_view(&scene);
        let contents = scene.contents();
        let broken = view("login").replace(
            "DROP VIEW IF EXISTS names;",
            "DROP VIEW names;\nCREATE TABLE half (x INTEGER);\nSELECT nosuch FROM users;",
        );
        scene.file("R__names.sql", broken);
        let outcome = scene.migrate(&[]).exits(1).complains("R__names.sql:3");
        assert!(outcome.stderr.contains("main:R__names"), "{outcome}");
        assert_eq!(scene.contents(), contents, "{outcome}");
        assert_eq!(recorded(&scene, "main", "names"), ("1".into(), "1".into()));
        assert_eq!(state(&scene, "main", "R__names"), "pending");
        scene.file("R__names.sql", view("mail"));
        scene.migrate(&[]).success();
        assert_eq!(scene.value("SELECT name FROM names"), "a@b");
    }
}

/// If a repeatable migration fails, versioned migrations in the same transaction are rolled
/// back too.
#[test]
fn a_failure_rolls_the_whole_transaction_back() {
    for scene in Scene::both() {
        scene.file("V1__users.sql", USERS).file("R__names.sql", "SELECT nosuch FROM users;\n");
        scene.migrate(&["--transaction", "all"]).exits(1).complains("R__names.sql:1");
        scene.file("R__names.sql", view("login"));
        scene.migrate(&["--transaction", "all"]).success();
    }
}
