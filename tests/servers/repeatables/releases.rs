//! Tests two releases on one database, as in a rolling deploy: this release, and a build of
//! the next release, in which one function or view has another text.

use std::path::Path;
use std::sync::OnceLock;

use super::own::own_steps;
use super::{bustard, records};
use crate::support::{Outcome, Replacement, Scene, SeededBuild};

const NEXT: &[Replacement<'_>] = &[
    Replacement { name: "edition", find: "const EDITION: i32 = 1;", instead: "const EDITION: i32 = 2;" },
    Replacement {
        name: "is_valid",
        find: "SELECT COALESCE(bustard.get_version($1)",
        instead: "SELECT /* the next release */ COALESCE(bustard.get_version($1)",
    },
    Replacement {
        name: "missing_triggers",
        find: "FROM bustard_located AS l WHERE l.found IS NULL OR l.table_name <> l.found",
        instead: "ORIGINAL /* the next release */",
    },
];

/// Runs the command of the next release.
fn next(scene: &Scene, arguments: &[&str]) -> Outcome {
    static BUILD: OnceLock<SeededBuild> = OnceLock::new();
    let program = BUILD.get_or_init(|| SeededBuild::new("next-edition", NEXT)).bustard();
    run(scene, &program, arguments)
}

fn run(scene: &Scene, program: &Path, arguments: &[&str]) -> Outcome {
    let url = scene.url();
    Outcome::of(scene.project.command_of(program, &[arguments, &["--database-url", &url]].concat()))
}

/// Returns whether the database has the text of the next release.
fn has_next(scene: &Scene) -> bool {
    let text = match scene.is_postgres() {
        true => {
            "SELECT replace(prosrc, chr(10), ' ') FROM pg_proc WHERE proname = 'is_valid' AND pronargs = 2 AND pronamespace = 'bustard'::regnamespace"
        }
        false => {
            "SELECT replace(sql, char(10), ' ') FROM sqlite_master WHERE name = 'bustard_missing_triggers'"
        }
    };
    scene.value(text).contains("the next release")
}

fn edition(scene: &Scene) -> String {
    scene.value(&format!("SELECT max(edition) FROM {}", records(scene)))
}

fn changed(scene: &Scene) -> &'static str {
    if scene.is_postgres() { "R__is_valid" } else { "R__missing_triggers" }
}

#[test]
fn an_older_release_works_after_a_newer_release_has_migrated() {
    for scene in Scene::both() {
        scene.file("V1__x.sql", "CREATE TABLE x (id INTEGER);\n-- bustard: register cache xs on x\n");
        scene.migrate(&[]).success();
        assert!(!has_next(&scene));
        assert_eq!(own_steps(&next(&scene, &["migrate", "--json"]).success()), [changed(&scene)]);
        assert!(has_next(&scene));
        assert_eq!(edition(&scene), "2");

        let contents = scene.contents();
        bustard(&scene, &["check"]).success();
        scene.migrate(&[]).success().says("nothing to do");
        assert_eq!(scene.contents(), contents, "the older release restores no older text");
        // The older release also works if it has a pending migration.
        scene.file("V2__y.sql", "CREATE TABLE y (id INTEGER);\n-- bustard: register cache ys on y\n");
        assert_eq!(own_steps(&scene.migrate(&["--json"]).success()), ["V2__y"]);
        assert!(has_next(&scene));
        next(&scene, &["migrate"]).success().says("nothing to do");
    }
}

#[test]
fn an_older_release_works_on_a_database_that_a_newer_release_created() {
    for scene in Scene::both() {
        scene.file("V1__x.sql", "CREATE TABLE x (id INTEGER);\n-- bustard: register cache xs on x\n");
        next(&scene, &["migrate"]).success();
        assert!(has_next(&scene));
        scene.file("V2__y.sql", "CREATE TABLE y (id INTEGER);\n-- bustard: register cache ys on y\n");
        assert_eq!(own_steps(&scene.migrate(&["--json"]).success()), ["V2__y"]);
        bustard(&scene, &["revert", "--to", "main:V2"]).success();
        bustard(&scene, &["check"]).success();
        assert!(has_next(&scene));
        assert_eq!(edition(&scene), "2");
        next(&scene, &["check"]).success();
    }
}

#[test]
fn concurrent_releases_leave_the_text_of_the_newer_one() {
    for scene in Scene::both() {
        scene.file("V1__x.sql", "CREATE TABLE x (id INTEGER);\n-- bustard: register cache xs on x\n");
        // The next release is built before the race begins.
        next(&scene, &["--version"]).success();
        for round in 2..6 {
            scene.file(&format!("V{round}__x.sql"), format!("CREATE TABLE x{round} (id INTEGER);\n"));
            std::thread::scope(|scope| {
                let older = scope.spawn(|| (0..2).map(|_| scene.migrate(&[])).collect::<Vec<_>>());
                let newer = scope.spawn(|| (0..2).map(|_| next(&scene, &["migrate"])).collect::<Vec<_>>());
                let outcomes = [older, newer].map(|runs| runs.join().expect("the runs do not panic"));
                outcomes.into_iter().flatten().for_each(|outcome| drop(outcome.success()));
            });
            assert!(has_next(&scene), "round {round}");
        }
        next(&scene, &["check"]).success();
        bustard(&scene, &["check"]).success();
    }
}
