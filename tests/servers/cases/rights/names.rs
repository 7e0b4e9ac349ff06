//! C7: any number of names. B5: names that a role must not see, and one that it should.

use bustard::registry;

use crate::support::{Database, Scene};

/// Numbers of names on both sides of PostgreSQL's limit of 100 arguments.
const COUNTS: [usize; 5] = [0, 1, 100, 101, 3000];

#[test]
fn c7_any_number_of_names() {
    for scene in Scene::both() {
        let names: Vec<String> = (0..3000).map(|i| format!("it's \\{i}")).collect();
        let register: String =
            names.iter().map(|name| format!("-- bustard: register cache \"{name}\"\n")).collect();
        scene.file("V1__a.sql", format!("{register}CREATE TABLE a (id INTEGER);\n"));
        scene.migrate(&[]).success();
        let root = scene.project.path();
        let url = match scene.is_postgres() {
            true => scene.url(),
            false => format!("sqlite:{}", root.join("app.db").display()),
        };
        let mut database = bustard::Database::new(&url).expect("it is a URL");
        for count in COUNTS {
            let some: Vec<&str> = names[..count].iter().map(String::as_str).collect();
            let before = registry::list(&mut database).expect("it can be read");
            registry::invalidate(&mut database, &some).expect("they are registered");
            let after = registry::list(&mut database).expect("it can be read");
            let changed =
                before.iter().zip(&after).filter(|(one, other)| one.version != other.version).count();
            assert_eq!(changed, count, "on {}", scene.engine);
            if count > 0 {
                let url = ["--database-url", &url];
                scene.project.bustard(&[&["caches", "invalidate"], &some[..], &url].concat()).success();
            }
        }
        let unknown: Vec<&str> = names.iter().map(String::as_str).chain(["unknown"]).collect();
        let error = registry::invalidate(&mut database, &unknown).expect_err("one is unknown");
        assert!(
            error.to_string().contains("unknown") || error.report().to_string().contains("unknown"),
            "{error:#}"
        );
    }
}

/// By a connection and a transaction of the caller's, and from SQL.
#[test]
fn c7_any_number_of_names_in_the_callers_transaction() {
    let database = Database::new();
    bustard::Migrator::new().run(&mut database.client()).expect("it runs");
    let mut client = database.client();
    client
        .batch_execute("SELECT bustard.register_cache('c' || i) FROM generate_series(1, 200) AS i")
        .expect("the owner may");
    let names: Vec<String> = (1..=200).map(|i| format!("c{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut transaction = client.transaction().expect("it begins");
    registry::invalidate(&mut transaction, &names).expect("they are registered");
    transaction.commit().expect("nothing prevents it");
    client
        .batch_execute("SELECT bustard.invalidate(VARIADIC ARRAY(SELECT name FROM bustard.caches))")
        .expect("they are registered");
}

/// A cache on more tables than a call can have arguments, registered, reverted,
/// registered by a repeatable migration, and uninstalled.
#[test]
fn c7_a_cache_on_any_number_of_tables() {
    for scene in Scene::both() {
        for count in [99, 100, 150] {
            let tables: Vec<String> = (0..count).map(|i| format!("t{count}_{i}")).collect();
            let create: String =
                tables.iter().map(|table| format!("CREATE TABLE {table} (id INTEGER);\n")).collect();
            let drop: String = tables.iter().map(|table| format!("DROP TABLE {table};\n")).collect();
            scene.file(
                &format!("V{count}__a.sql"),
                format!(
                    "{create}-- bustard: register cache c{count} on {}\n-- bustard: down\n{drop}",
                    tables.join(", ")
                ),
            );
        }
        scene.migrate(&["--fake"]).exits(0);
        let url = scene.url();
        let run = |arguments: &[&str]| {
            scene.project.bustard(&[arguments, &["--database-url", &url]].concat()).success();
        };
        run(&["uninstall", "main", "--keep-data", "--yes"]);
        std::fs::remove_file(scene.project.path().join("app.db")).ok();
        if scene.is_postgres() {
            scene.execute("DROP SCHEMA bustard CASCADE; DROP TABLE refinery_schema_history");
        }
        run(&["migrate"]);
        run(&["check"]);
        let invalidated = |scene: &Scene| {
            scene.value(match scene.is_postgres() {
                true => "SELECT version FROM bustard.caches WHERE name = 'c150'",
                false => "SELECT version FROM bustard_caches WHERE name = 'c150'",
            })
        };
        let before = invalidated(&scene);
        scene.execute("INSERT INTO t150_149 VALUES (1)");
        assert_ne!(invalidated(&scene), before);
        run(&["revert", "--steps", "1"]);
        run(&["migrate"]);
        run(&["uninstall", "main", "--yes"]);
    }
}

/// A function in a condition is not called with the names of unregistered caches.
#[test]
fn b5_unregistered_names_do_not_leak() {
    let database = Database::new();
    bustard::Migrator::new().run(&mut database.client()).expect("it runs");
    let mut owner = database.client();
    owner
        .batch_execute("SELECT bustard.register_cache('known'), bustard.register_cache('secret')")
        .expect("the owner may");
    owner.batch_execute("SELECT bustard.unregister_cache('secret')").expect("the owner may");
    let role = database.create_role("any", "");
    let leak = "CREATE FUNCTION pg_temp.leak(name text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS \
                $$ BEGIN RAISE WARNING 'seen: %', name; RETURN true; END $$; \
                SELECT name FROM bustard.caches WHERE pg_temp.leak(name)";
    let outcome = database.psql_as(&role, leak).success();
    assert!(outcome.stderr.contains("seen: known") && !outcome.stderr.contains("secret"), "{outcome}");
}

/// A run that does not get the lock names the role of the session that holds it.
#[test]
fn b5_the_role_of_the_session_that_holds_the_lock() {
    let scene = Scene::postgres();
    scene.good_files();
    let role = scene.database().create_role("holder", "");
    let mut holder = scene.database().client_as(&role);
    holder
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(x'62757374617264'::bigint)")
        .expect("every role may");
    scene.migrate(&["--lock-wait", "100ms"]).exits(5).complains(&format!("role {role}"));
}
