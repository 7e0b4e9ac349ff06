//! Tests difficult names of histories, schemas and tables, and a hostile search path.

use bustard::{App, ErrorKind, Migrator, Uninstall};

use super::site::{Site, bans};
use crate::support::Scene;

/// Returns a migrator with one app whose history table has another name.
fn with_history(site: &Site, label: &str, history: &str) -> Migrator {
    let directory = site.scene.project.path().join(label);
    Migrator::new().app(App::directory(label, directory).history(history))
}

#[test]
fn a_history_of_another_name() {
    for site in Site::both() {
        site.file(
            "polls/V1__polls.sql",
            "CREATE TABLE poll (id INTEGER);\n-- bustard: down\nDROP TABLE poll;\n",
        );
        site.migrate(&["forum"]);
        let mut histories = vec!["migrations of polls", "Main"];
        if site.scene.is_postgres() {
            site.scene.execute("CREATE SCHEMA audit; CREATE SCHEMA \"Odd \"\"schema\"");
            histories.extend(["audit.migrations", "Odd \"schema.migrations"]);
        }
        let without = site.objects();
        for history in histories {
            with_history(&site, "polls", history).run(&mut site.connection()).expect("it is good");
            assert_ne!(site.objects(), without);
            // The app is not configured, so only the database knows its history table.
            site.uninstall(&["forum"], &Uninstall::new("polls"));
            assert_eq!(site.objects(), without, "{history}");
        }
    }
}

/// Two hosts share a database, and each host has an app with the same name. One host must
/// not uninstall the app of the other host.
#[test]
fn an_app_of_the_same_name_elsewhere() {
    for site in Site::both() {
        site.file(
            "polls/V1__polls.sql",
            "CREATE TABLE poll (id INTEGER);\n-- bustard: down\nDROP TABLE poll;\n",
        );
        with_history(&site, "polls", "theirs").run(&mut site.connection()).expect("it is good");
        let error = site.refuses(&["polls"], &Uninstall::new("polls"));
        assert_eq!(error.kind(), ErrorKind::History);
        assert!(error.message().contains("the history of polls is recorded in"), "{error}");
        let ours = with_history(&site, "polls", "theirs");
        let plan = ours.plan_uninstall(&mut site.connection(), &Uninstall::new("polls")).expect("it is ours");
        ours.uninstall(&mut site.connection(), &plan).expect("nothing prevents it");
        assert!(!site.has("poll") && !site.has("theirs"));
    }
}

/// Two hosts share a database, each in a schema of its own. One of them does not have the
/// app, but has a table with the name of the app's table.
#[test]
fn from_a_schema_of_another_host() {
    let site = Site { scene: Scene::postgres() };
    site.file("polls/V1__polls.sql", "CREATE TABLE poll (id int);\n-- bustard: down\nDROP TABLE poll;\n");
    site.migrate(&["polls"]);
    let polls = Uninstall::new("polls");
    assert_eq!(site.plan(&[], &polls).warnings, []);
    let database = site.scene.database();
    database
        .client()
        .batch_execute("CREATE SCHEMA other; CREATE TABLE other.poll ()")
        .expect("the name is free");
    database.set("search_path", "other");
    let plan = site.plan(&[], &polls);
    assert_eq!(plan.tables[0].table, "other.poll");
    assert!(plan.warnings[0].message().ends_with("and the search path does not lead there"), "{plan:?}");
    database.set("search_path", "public, other");
    site.uninstall(&[], &polls);
    assert!(site.has("poll") && !site.has("refinery_schema_history_polls"));
}

#[test]
fn the_app_main() {
    for site in Site::both() {
        site.file("main/V1__a.sql", "CREATE TABLE a (id INTEGER);\n-- bustard: down\nDROP TABLE a;\n");
        site.migrate(&["forum"]);
        let without = site.objects();
        site.migrate(&["forum", "main"]);
        assert!(site.has("refinery_schema_history"));
        site.uninstall(&["forum"], &Uninstall::new("main"));
        assert_eq!(site.objects(), without);
    }
}

#[test]
fn tables_with_odd_names() {
    for site in Site::both() {
        let (schema, table, shown, drop) = match site.scene.is_postgres() {
            true => (
                "CREATE SCHEMA \"Odd. schema\";\nCREATE TABLE \"Odd. schema\".left_over (id INTEGER);\n",
                "\"Odd. schema\".\"it's \"\"odd\"\"\"",
                vec!["\"Odd. schema\".\"it's \"\"odd\"\"\"", "\"Odd. schema\".left_over"],
                "DROP TABLE {};\nDROP SCHEMA \"Odd. schema\" CASCADE;\n",
            ),
            false => ("", "[it's \"odd\"]", vec!["\"it's \"\"odd\"\"\""], "DROP TABLE `it's \"odd\"`;\n"),
        };
        site.file(
            "polls/V1__polls.sql",
            &format!(
                "{schema}CREATE TABLE {table} (id INTEGER);\nINSERT INTO {table} VALUES (1);\n-- bustard: down\n{}",
                drop.replace("{}", table)
            ),
        );
        site.migrate(&["forum"]);
        let without = site.objects();
        site.migrate(&["forum", "polls"]);
        let plan = site.plan(&[], &Uninstall::new("polls"));
        assert_eq!(plan.tables.iter().map(|one| one.table.as_str()).collect::<Vec<_>>(), shown);
        assert_eq!(plan.tables[0].rows, 1);
        site.uninstall(&[], &Uninstall::new("polls"));
        assert_eq!(site.objects(), without);
    }
}

/// Names without a schema have the same meaning in the plan as in the statements that drop
/// the tables.
#[test]
fn a_search_path_with_objects_of_the_same_names() {
    let site = Site { scene: Scene::postgres() };
    let database = site.scene.database();
    database.client().batch_execute(include_str!("../../sql/hostile.sql")).expect("the traps are set");
    database.client().batch_execute("CREATE SCHEMA app").expect("the name is free");
    site.file("forum/V1__threads.sql", "CREATE TABLE thread (id pg_catalog.int4 PRIMARY KEY);\n");
    site.file(
        "bans/V1__bans.sql",
        "-- bustard: depends on forum V1\n\
         CREATE TABLE ban (id pg_catalog.int4 PRIMARY KEY);\n\
         -- bustard: register cache bans on ban\n\
         -- bustard: down\nDROP TABLE ban;\n",
    );
    database.set("search_path", "app");
    site.migrate(&["forum", "bans"]);
    database.set("search_path", "app, evil, pg_catalog");
    // A table with that name in another schema must stay.
    database
        .client()
        .batch_execute("CREATE TABLE public.ban (id pg_catalog.int4)")
        .expect("the name is free");
    let plan = site.plan(&["forum"], &bans());
    assert_eq!(plan.tables.iter().map(|one| one.table.as_str()).collect::<Vec<_>>(), ["app.ban"]);
    site.uninstall(&["forum"], &bans());
    let left = "SELECT pg_catalog.concat(pg_catalog.to_regclass('app.ban'), ' ', pg_catalog.to_regclass('public.ban'), ' ', \
                pg_catalog.to_regclass('app.refinery_schema_history_bans'))";
    assert_eq!(site.scene.value(left), " public.ban ");
}
