//! `bustard repair --new-identity`, on both engines.

use std::sync::{Arc, Mutex};

use bustard::{App, CacheBuster, Event, Migrator, Repair, StoreSettings, Stores};

use super::{installed, migrated, migrator, project, run};
use crate::support::{Project, Scene, Server};

fn versions(scene: &Scene) -> Vec<String> {
    let list = scene.project.bustard(&["--json", "caches", "--database-url", &scene.url()]).success().json();
    let caches = list["caches"].as_array().expect("a list").clone();
    caches.iter().map(|cache| cache["version"].to_string()).collect()
}

#[test]
fn c5_repair_gives_a_new_identity() {
    for scene in Scene::both() {
        scene.good_files();
        let repair = |arguments: &[&str]| {
            let url = scene.url();
            let command = [&["repair", "--new-identity", "--database-url", &url], arguments].concat();
            scene.project.bustard(&command)
        };
        let refused = repair(&[]);
        assert_eq!(refused.code, Some(1), "{refused}");
        scene.migrate(&[]).success();
        let table = if scene.is_postgres() { "bustard.database" } else { "bustard_database" };
        let identity = || scene.value(&format!("SELECT identity FROM {table}"));
        let mut before = (identity(), versions(&scene));
        for json in [false, true] {
            match json {
                false => drop(repair(&[]).success().says("all 2 caches invalidated")),
                true => {
                    let report = repair(&["--json"]).success().json();
                    assert!(report["new_identity"] == true && report["changed"] == true, "{report}");
                    assert_eq!(report["caches_invalidated"], 2);
                }
            }
            let after = (identity(), versions(&scene));
            assert_ne!(before.0, after.0);
            assert!(
                before.1.iter().zip(&after.1).all(|(before, after)| before != after),
                "{before:?} {after:?}"
            );
            assert_eq!(scene.value(&format!("SELECT count(*) FROM {table}")), "1");
            before = after;
        }
        scene.migrate(&[]).success().says("nothing to do");
        // What does not go together.
        for arguments in [&["main:V1"][..], &["--history", "new"], &["main", "--history", "new"]] {
            repair(arguments).exits(2);
        }
        assert_eq!(identity(), before.0);
    }
}

/// The library plans it, executes the plan, and refuses a plan that is out of date.
#[test]
fn c5_a_planned_repair() {
    let database = migrated();
    let migrator = migrator();
    let mut client = database.client();
    let plan = migrator.plan_repair(&mut client, &Repair::NewIdentity).expect("it is planned");
    assert!(plan.new_identity && plan.steps.is_empty());
    let before = super::identity(&database);
    let report = migrator.execute(&mut client, &plan).expect("it is repaired");
    assert!(report.new_identity && report.changed());
    assert_ne!(super::identity(&database), before);

    // A plan of a copy that another run has noticed meanwhile.
    drop(client);
    let copy = database.copy();
    let mut client = copy.client();
    let plan = migrator.plan_repair(&mut client, &Repair::NewIdentity).expect("it is planned");
    assert!(migrator.run(&mut client).expect("it runs").new_identity);
    let given = super::identity(&copy);
    let error = migrator.execute(&mut client, &plan).expect_err("the plan is out of date");
    assert!(error.message().contains("has got an identity of its own since"), "{error}");
    assert_eq!(super::identity(&copy), given);
}

#[test]
fn c5_an_event() {
    let copy = migrated().copy();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let events = Arc::clone(&seen);
    let follow = move |event: &Event| events.lock().unwrap().push(format!("{event:?}"));
    let migrator = migrator().on_event(follow);
    migrator.run(&mut copy.client()).expect("it runs");
    migrator.run(&mut copy.client()).expect("it runs");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|event| *event == "NewIdentity").count(), 1, "{seen:?}");
}

/// Nothing in a SQLite file tells a copy from the original, so only the repair separates
/// what they share.
#[test]
fn c5_a_copied_file() {
    let server = Server::memcached();
    let stores = Stores::new().with("default", StoreSettings::memcached([server.location()]));
    let project = Project::new();
    project.file("migrations/V1__a.sql", "CREATE TABLE a (id integer);\n-- bustard: register cache a\n");
    let app = || Migrator::new().app(App::directory("main", project.path().join("migrations")));
    app().run(&mut project.sqlite("app.db")).expect("it runs");
    std::fs::copy(project.path().join("app.db"), project.path().join("copy.db")).expect("it is copied");
    let value = |name: &str, computed: u32| {
        let buster =
            CacheBuster::builder(&project.sqlite_url(name)).stores(&stores).start().expect("it starts");
        let value = buster.cache("a").expect("it is registered").values("main", 1).unwrap().shared();
        *value.get_or_insert_with("value", || computed)
    };
    assert_eq!(value("app.db", 1), 1);
    let mut copy = project.sqlite("copy.db");
    assert!(!app().run(&mut copy).expect("it runs").changed(), "the copy is not noticed");
    assert_eq!(value("copy.db", 2), 1, "documented: the copy is the same database until it is repaired");
    assert!(app().repair(&mut copy, &Repair::NewIdentity).expect("it is repaired").new_identity);
    assert_eq!(value("copy.db", 3), 3);
    assert_eq!(value("app.db", 4), 1);
}

/// A repair that finds a lost history stops as every command does.
#[test]
fn c5_repair_and_a_lost_history() {
    let project = project();
    let database = installed(&project);
    database.psql("ALTER TABLE refinery_schema_history RENAME TO other");
    let before = database.contents();
    run(&project, &database, &["repair", "--new-identity"]).exits(4);
    assert_eq!(database.contents(), before);
    // The other way round: a repaired history takes a new identity along.
    let copy = database.copy();
    let report = run(&project, &copy, &["repair", "--history", "public.other", "--json"]).success().json();
    assert!(report["new_identity"] == true && report["histories"][0]["table"] == "public.other", "{report}");
}
