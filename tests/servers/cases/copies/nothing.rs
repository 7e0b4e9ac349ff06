//! A run with nothing to do invalidates nothing and writes nothing, except that a copy is
//! noticed, once.

use super::{COPY, GIVEN, installed_on, project};
use crate::support::{Cluster, Project, Scene};

/// The runs that have nothing to do, once the migrations are applied.
const NOTHING: &[&[&str]] = &[
    &["migrate"],
    &["migrate", "--transaction", "all"],
    &["migrate", "--to", "main:V1"],
    &["migrate", "--fake"],
    &["migrate", "--json"],
    &["repair", "main:V1"],
    &["enable", "main"],
    &["plan"],
    &["plan", "--sql"],
    &["status"],
    &["check"],
    &["apps"],
    &["caches"],
];

fn run(project: &Project, url: &str, arguments: &[&str]) -> crate::support::Outcome {
    project.bustard(&[arguments, &["--database-url", url]].concat())
}

/// No transaction of the cluster has got a number, so nothing was written, not even what
/// was rolled back.
#[test]
fn c5_nothing_to_do_on_postgresql() {
    let project = project();
    let cluster = Cluster::start_with(&[("autovacuum", "off")]);
    let original = installed_on(&project, &cluster);
    let mut client = cluster.client("postgres");
    let mut next = || -> String {
        client.query_one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text", &[]).unwrap().get(0)
    };
    let copy = original.copy();
    for (database, is_copy) in [(&original, false), (&copy, true)] {
        let (before, contents) = (next(), database.contents());
        if is_copy {
            for command in [&["status"][..], &["plan"], &["apps"], &["caches"], &["repair", "main:V1"]] {
                run(&project, &database.url(), command).success();
            }
            run(&project, &database.url(), &["check"]).exits(3).says(COPY);
            assert_eq!((next(), database.contents()), (before, contents));
            run(&project, &database.url(), &["migrate"]).success().says(GIVEN);
        }
        let (before, contents) = (next(), database.contents());
        for command in NOTHING {
            let outcome = run(&project, &database.url(), command);
            assert_eq!(outcome.code, Some(0), "{command:?}: {outcome}");
            assert_eq!(next(), before, "{command:?} has written: {outcome}");
        }
        assert_eq!(database.contents(), contents);
    }
}

#[test]
fn c5_nothing_to_do_on_sqlite() {
    let scene = Scene::sqlite();
    scene.good_files();
    scene.migrate(&[]).success();
    let file = scene.project.path().join("app.db");
    let before = std::fs::read(&file).expect("the file is there");
    for command in NOTHING {
        let outcome = run(&scene.project, &scene.url(), command);
        assert_eq!(outcome.code, Some(0), "{command:?}: {outcome}");
        assert!(
            std::fs::read(&file).expect("the file is there") == before,
            "{command:?} has written: {outcome}"
        );
    }
}
