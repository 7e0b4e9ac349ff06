//! C8: all tables are published.

use bustard::{App, Migration, Migrator, Repair, Revert, Uninstall};

use postgres::fallible_iterator::FallibleIterator;

use crate::support::{Database, PATIENCE, Scene};

/// Everything that writes to our tables works while all tables are published.
#[test]
fn c8_a_publication_for_all_tables() {
    for before in [true, false] {
        let database = Database::new();
        let mut client = database.client();
        let publish = "CREATE PUBLICATION p FOR ALL TABLES";
        if before {
            client.batch_execute(publish).expect("the superuser may");
        }
        let app = |versions: i32| {
            let create = Migration::new()
                .sql("CREATE TABLE t (id integer PRIMARY KEY)")
                .register_cache_on("on_t", ["t"]);
            let create = create.down(Migration::new().sql("DROP TABLE t"));
            let app = App::new("main").migration("V1__a", create).migration(
                "R__v",
                Migration::new()
                    .sql("CREATE OR REPLACE VIEW v AS SELECT 1 AS a")
                    .down(Migration::new().sql("DROP VIEW v")),
            );
            match versions {
                1 => app,
                _ => app.migration("V2__b", Migration::new().unregister_cache("on_t")),
            }
        };
        let migrator = Migrator::new().app(app(1));
        let report = migrator.run(&mut client).expect("it runs");
        assert_eq!(report.warnings, []);
        if !before {
            client.batch_execute(publish).expect("the superuser may");
        }
        for sql in [
            "SELECT bustard.invalidate('on_t')",
            "INSERT INTO t VALUES (1)",
            "SELECT bustard.fold()",
            "SELECT bustard.register_cache('x')",
            "SELECT bustard.register_cache_on('y', 'main', 't')",
            "SELECT bustard.unregister_cache('y')",
            "SELECT bustard.register_cache_again('y')",
            "SELECT bustard.revert_register_cache('y')",
            "ALTER TABLE t RENAME TO u",
            "SELECT bustard.install_triggers()",
            "ALTER TABLE u RENAME TO t",
            "SELECT bustard.invalidate_all()",
            "SELECT bustard.fold()",
        ] {
            client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        let newer = Migrator::new().app(app(2));
        assert_eq!(newer.run(&mut client).expect("it runs").warnings, []);
        assert_eq!(newer.revert(&mut client, &Revert::Steps(1)).expect("it can be reverted").warnings, []);
        newer.disable(&mut client, "main").expect("it is enabled");
        newer.enable(&mut client, "main").expect("it is disabled");
        client
            .batch_execute("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1")
            .expect("the owner may");
        newer.repair(&mut client, &Repair::migration("main", 1)).expect("it is divergent");
        let plan =
            Migrator::new().plan_uninstall(&mut client, &Uninstall::new("main")).expect("it is installed");
        Migrator::new().uninstall(&mut client, &plan).expect("it can be uninstalled");
    }
}

/// A fold that fails is said, by the run, the command and the state.
#[test]
fn c8_a_fold_that_fails_is_a_warning() {
    let scene = Scene::postgres();
    scene.file("V1__a.sql", "-- bustard: register cache a\nCREATE TABLE a (id INTEGER PRIMARY KEY);\n");
    scene.migrate(&[]).success();
    scene.execute(
        "ALTER TABLE bustard.event REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR ALL TABLES; \
         DO $$ BEGIN FOR i IN 1..10001 LOOP PERFORM bustard.invalidate('a'); END LOOP; END $$",
    );
    scene.file("V2__b.sql", "CREATE TABLE b (id INTEGER PRIMARY KEY);\n");
    let url = scene.url();
    let json = scene.migrate(&["--json"]).success().json();
    assert_eq!(json["warnings"][0]["code"], "fold-failed", "{json}");
    let message = json["warnings"][0]["message"].as_str().expect("a message");
    assert!(message.contains("replica identity"), "{message}");
    for command in ["status", "check"] {
        let outcome = scene.project.bustard(&[command, "--database-url", &url]).success();
        assert!(outcome.stderr.contains("invalidations have not been folded"), "{outcome}");
    }
    let watch = scene.project.spawn(&["caches", "watch", "--database-url", &url]);
    watch.wait_for_stderr("invalidations could not be folded");
    watch.signal("TERM");
    watch.wait().exits(143);
    scene.execute("ALTER TABLE bustard.event REPLICA IDENTITY FULL");
    scene.file("V3__c.sql", "CREATE TABLE c (id INTEGER PRIMARY KEY);\n");
    let json = scene.migrate(&["--json"]).success().json();
    assert_eq!(json["warnings"], serde_json::json!([]));
    let outcome = scene.project.bustard(&["status", "--database-url", &url]).success();
    assert!(!outcome.stderr.contains("folded"), "{outcome}");
}

/// The connection of a caller is as usable as before, and readers are notified.
#[test]
fn c8_a_fold_that_fails_leaves_no_transaction_open() {
    let database = Database::new();
    let app = App::new("main").migration("V1__a", Migration::new().register_cache("a"));
    let mut client = database.client();
    Migrator::new().app(app.clone()).run(&mut client).expect("it runs");
    client
        .batch_execute(
            "ALTER TABLE bustard.event REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR ALL TABLES",
        )
        .expect("the superuser may");
    let mut reader = database.client();
    reader.batch_execute("LISTEN bustard").expect("every role may");
    let migrator = Migrator::new().app(app.migration("V2__b", Migration::new().sql("SELECT 1")));
    let report = migrator.run(&mut client).expect("it runs");
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    client.batch_execute("SELECT 1").expect("no transaction is open");
    assert!(!migrator.run(&mut client).expect("there is nothing to do").changed());
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' \
                AND datname = current_database()";
    assert_eq!(database.value(open), "0");
    let mut notifications = reader.notifications();
    let heard = notifications.timeout_iter(PATIENCE).next().expect("the connection is alive");
    assert_eq!(heard.expect("there is a notification").channel(), "bustard");
}
