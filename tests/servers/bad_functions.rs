//! Tests failures of runs through the library: on connections of the application, which
//! must give the same errors as Bustard's own connections, and in migrations built in code.

use std::fmt::Display;

use crate::support::{Outcome, Scene};
use bustard::sea_query::{Alias, Table};
use bustard::{
    App, Connection, Database, Error, ErrorKind, Event, Migration, Migrator, OpenTransaction, Revert,
    TransactionMode,
};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Runs the migrator on every kind of connection, each time from the same state of the
/// database, and asserts that the errors are the same.
#[track_caller]
fn everywhere(scene: &Scene, migrator: &Migrator) -> Error {
    let before = scene.contents();
    let url = match scene.is_postgres() {
        true => scene.url(),
        false => scene.project.sqlite_url("app.db"),
    };
    let own = failure(migrator, &mut Database::new(&url).expect("the URL is good"));
    assert_eq!(scene.contents(), before, "something is left behind: {own}");
    let theirs = match scene.is_postgres() {
        true => failure(migrator, &mut scene.database().client()),
        false => failure(migrator, &mut scene.project.sqlite("app.db")),
    };
    assert_eq!(scene.contents(), before, "something is left behind: {theirs}");
    assert_eq!(theirs.to_string(), own.to_string(), "handed over, and Bustard's own");
    own
}

#[track_caller]
fn failure(migrator: &Migrator, connection: &mut impl Connection) -> Error {
    match migrator.run(connection) {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "not one line: {error}");
            error
        }
        Ok(report) => panic!("the run should have failed: {report:?}"),
    }
}

/// Returns a migrator for the project's files, in one transaction, so that all kinds of
/// connections find the same state.
fn for_files(scene: &Scene) -> Migrator {
    let directory = scene.project.path().join("migrations");
    Migrator::new().app(App::directory("main", directory)).transaction(TransactionMode::All)
}

/// Returns a migrator for one migration built in code.
fn for_code(migration: Migration) -> Migrator {
    let before = Migration::new().sql("CREATE TABLE post (id INTEGER PRIMARY KEY)");
    let app = App::new("main").migration("V1__before", before).migration("V2__code", migration);
    Migrator::new().app(app).transaction(TransactionMode::All)
}

#[track_caller]
fn snapshot(scene: &Scene, name: &str, error: &impl Display) {
    scene.snapshot_text(name, &format!("{error:#}"));
}

#[test]
fn places_are_the_same_on_every_connection() {
    let cases = [
        "CREATE TABLE a (\n  id INTEGER\n);\nINSERT INTO a\n  VALEUS (1);\n",
        "CREATE TABLE a (id INTEGER PRIMARY KEY);\nINSERT INTO a VALUES (1);\nINSERT INTO a\n VALUES (1);\nSELECT 1;\nSELECT 2;\n",
        "\u{feff}SELECT 1;\r\nSELECT '\u{1f986}', gone;\r\n",
        "-- bustard: register cache a\nCREATE TABLE post (id INTEGER);\n",
        "CREATE TABLE reply (post INTEGER REFERENCES post (id) DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO reply VALUES (1);\n",
    ];
    for scene in Scene::both() {
        for (i, sql) in cases.iter().enumerate() {
            scene.good_files().file("V3__bad.sql", sql);
            let error = everywhere(&scene, &for_files(&scene));
            assert_eq!(error.kind(), ErrorKind::Database, "{error}");
            assert_eq!(error.applied(), Some(&[][..]), "{error}");
            let place = error.place().map(|place| (place.line(), place.column()));
            let expected = match i {
                0 => Some((Some(5), Some(3))),
                1 => Some((Some(3), Some(1))),
                2 => Some((Some(2), Some(13))),
                3 if scene.is_postgres() => Some((Some(2), Some(1))),
                3 => Some((Some(2), Some(14))),
                _ => None,
            };
            let path = error.place().map(|place| place.path().ends_with("migrations/V3__bad.sql"));
            let expected = expected.or(place.filter(|_| i == 4));
            assert_eq!((place, path), (expected, expected.map(|_| true)), "{error}");
        }
    }
}

/// The third of five statements fails, and each migration has a transaction of its own.
#[test]
fn committed_migrations_are_listed_on_every_connection() {
    for scene in Scene::both() {
        scene.bad_file("CREATE TABLE a (id INTEGER PRIMARY KEY);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (1);\nSELECT 1;\nSELECT 2;\n");
        let migrator = for_files(&scene).transaction(TransactionMode::Each);
        let error = match scene.is_postgres() {
            true => failure(&migrator, &mut scene.database().client()),
            false => failure(&migrator, &mut scene.project.sqlite("app.db")),
        };
        assert_eq!(error.place().and_then(|place| place.line()), Some(3), "{error}");
        let applied = ["bustard:V1__registry", "main:V1__base", "main:V2__posts"].map(str::to_owned);
        assert_eq!(error.applied(), Some(&applied[..]), "{error}");
        assert_eq!(scene.applied(), "1,2");
    }
}

#[test]
fn a_function_that_fails() {
    for scene in Scene::both() {
        let migration =
            Migration::new().sql("CREATE TABLE a (id INTEGER)").run("fill slugs", |transaction| {
                transaction.execute("INSERT INTO a VALUES (1)")?;
                Err(Failed::from("the slug of thread 7 is empty"))
            });
        let error = everywhere(&scene, &for_code(migration));
        assert_eq!(error.kind(), ErrorKind::Failed);
        snapshot(&scene, "function_fails", &error);
        assert_eq!(
            std::error::Error::source(&error).map(ToString::to_string).as_deref(),
            Some("the slug of thread 7 is empty")
        );
    }
}

#[test]
fn a_function_that_the_database_refuses() {
    for scene in Scene::both() {
        let migration = Migration::new().run("fill slugs", |transaction| {
            transaction.execute("INSERT INTO post VALUES (1)")?;
            Ok(transaction.execute("INSERT INTO post VALUES (1)")?)
        });
        let error = everywhere(&scene, &for_code(migration));
        assert_eq!(error.kind(), ErrorKind::Database, "{error}");
        snapshot(&scene, &format!("function_is_refused.{}", scene.engine), &error);

        let migration = Migration::new().run("fill slugs", |transaction: &mut OpenTransaction<'_, '_>| {
            if let Some(connection) = transaction.sqlite() {
                connection.execute("INSERT INTO post VALUES (1), (1)", [])?;
            }
            if let Some(transaction) = transaction.postgres() {
                transaction.execute("INSERT INTO post VALUES (1), (1)", &[])?;
            }
            Ok(())
        });
        let by_driver = everywhere(&scene, &for_code(migration));
        assert_eq!(by_driver.report().to_string(), error.report().to_string(), "through the driver itself");
    }
}

/// PostgreSQL answers the COMMIT of an aborted transaction with success.
#[test]
fn a_function_that_ignores_an_error() {
    let scene = Scene::postgres();
    let swallow = || {
        Migration::new().run("fill slugs", |transaction| {
            let _ = transaction.execute("SELECT 1 / 0");
            Ok(())
        })
    };
    let error = everywhere(&scene, &for_code(swallow()));
    assert_eq!(error.kind(), ErrorKind::Failed);
    snapshot(&scene, "function_swallows_an_error", &error);

    // SQLite rolls back only the statement, so the function may continue.
    let scene = Scene::sqlite();
    let migration = swallow().sql("CREATE TABLE a (id INTEGER)");
    let migration = migration.run("again", |transaction| {
        let _ = transaction.execute("INSERT INTO nowhere VALUES (1)");
        Ok(())
    });
    for_code(migration).run(&mut scene.project.sqlite("app.db")).expect("the function ignores its errors");
    assert_eq!(scene.applied(), "1,2");
}

/// A commit by the function cannot be rolled back. The error says so, and the
/// migration does not count as applied.
#[test]
fn a_function_that_ends_the_transaction() {
    for (i, sql) in ["ROLLBACK", "COMMIT", "COMMIT; BEGIN"].into_iter().enumerate() {
        for scene in Scene::both() {
            let migration = Migration::new()
                .sql("CREATE TABLE a (id INTEGER)")
                .run("tidy up", move |transaction| Ok(transaction.execute(sql)?));
            let migrator = for_code(migration).transaction(TransactionMode::Each);
            let error = match scene.is_postgres() {
                true => failure(&migrator, &mut scene.database().client()),
                false => failure(&migrator, &mut scene.project.sqlite("app.db")),
            };
            snapshot(&scene, "function_ends_the_transaction", &error);
            assert_eq!(scene.applied(), "1", "{sql}");
            if i == 0 {
                assert!(!scene.contents().contains("tidy"), "{error}");
            }
        }
    }
}

#[test]
fn other_migrations_in_code() {
    for scene in Scene::both() {
        let migration = Migration::new().schema(Table::drop().table(Alias::new("nowhere")).to_owned());
        let error = everywhere(&scene, &for_code(migration));
        snapshot(&scene, &format!("schema_statement.{}", scene.engine), &error);

        let migration = Migration::new().sql("SELECT 1;\nSELECT gone");
        let error = everywhere(&scene, &for_code(migration));
        snapshot(&scene, &format!("sql_in_code.{}", scene.engine), &error);
    }
}

#[test]
fn bad_migrations_in_code() {
    for scene in Scene::both() {
        let texts = Migration::new()
            .sql("BEGIN; SELECT 'open")
            .sql("-- bustard: register cache a\nSELECT 1")
            .register_cache("")
            .register_cache("line\nfeed");
        let error = everywhere(&scene, &for_code(texts.clone()));
        assert_eq!(error.kind(), ErrorKind::Source);
        snapshot(&scene, "bad_code_texts", &error);
        let migration = texts.depends_on("absent", 1);
        let long = format!("V3__{}", "x".repeat(300));
        let app = App::new("main")
            .migration("V1__bad", migration)
            .migration("1__misnamed", Migration::new().sql("SELECT 1"))
            .migration(long, Migration::new().sql("SELECT 1"));
        let error = everywhere(&scene, &Migrator::new().app(app));
        assert_eq!(error.kind(), ErrorKind::Source);
        snapshot(&scene, "bad_code", &error);
    }
}

/// The history's columns hold 255 characters.
#[test]
fn names_of_every_length() {
    for scene in Scene::both() {
        let named = |length: usize| {
            let name = format!("V1__{}", "x".repeat(length));
            Migrator::new()
                .app(App::new("main").migration(name, Migration::new().sql("CREATE TABLE a (id INTEGER)")))
        };
        let error = everywhere(&scene, &named(256));
        snapshot(&scene, "name_too_long", &error);
        match scene.is_postgres() {
            true => named(255).run(&mut scene.database().client()),
            false => named(255).run(&mut scene.project.sqlite("app.db")),
        }
        .expect("255 parameters are allowed");
        assert_eq!(scene.applied(), "1");
    }
}

/// A connection is usable after a failed run.
#[test]
fn the_connection_can_be_used_afterwards() {
    let scene = Scene::postgres();
    scene.bad_file("SELECT gone;\n");
    let mut client = scene.database().client();
    client.batch_execute("SET search_path = public; SET statement_timeout = '1h'").unwrap();
    failure(&for_files(&scene), &mut client);
    let row = client.query_one("SELECT current_setting('statement_timeout')", &[]).unwrap();
    assert_eq!(row.get::<_, String>(0), "1h");
    scene.file("V3__bad.sql", "SELECT 1;\n");
    for_files(&scene).run(&mut client).expect("the file is repaired");

    let scene = Scene::sqlite();
    scene.bad_file("SELECT gone;\n");
    let mut connection = scene.project.sqlite("app.db");
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    failure(&for_files(&scene), &mut connection);
    assert!(connection.is_autocommit());
    let on: bool = connection.query_row("PRAGMA foreign_keys", [], |row| row.get(0)).unwrap();
    assert!(on);
    scene.file("V3__bad.sql", "SELECT 1;\n");
    for_files(&scene).run(&mut connection).expect("the file is repaired");
    let _: Outcome = scene.migrate(&[]).success();
}

/// The migrator neither commits nor rolls back the caller's transaction.
#[test]
fn the_callers_open_transaction_is_left_open() {
    let migrator = |count: usize| {
        let add = |app: App, i| {
            let sql = format!("CREATE TABLE t{i} (id INTEGER)");
            app.migration(format!("V{i}__t"), Migration::new().sql(sql))
        };
        Migrator::new().app((1..=count).fold(App::new("main"), add))
    };
    let begin = "BEGIN; INSERT INTO precious VALUES (1)";
    for applied in 0..=2 {
        let scene = Scene::postgres();
        let mut client = scene.database().client();
        client.batch_execute("CREATE TABLE precious (id INTEGER)").unwrap();
        migrator(applied).run(&mut client).expect("nothing prevents it");
        client.batch_execute(begin).unwrap();
        let error = failure(&migrator(2), &mut client);
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Usage, "the connection has a transaction open")
        );
        let count = |client: &mut postgres::Client| -> i64 {
            client.query_one("SELECT count(*) FROM precious", &[]).unwrap().get(0)
        };
        assert_eq!(count(&mut client), 1);
        client.batch_execute("SELECT gone").unwrap_err();
        assert_eq!(failure(&migrator(2), &mut client).kind(), ErrorKind::Usage);
        client.batch_execute("ROLLBACK").unwrap();
        assert_eq!(count(&mut client), 0);
        migrator(2).run(&mut client).expect("the transaction has ended");

        let scene = Scene::sqlite();
        let mut connection = scene.project.sqlite("app.db");
        connection.execute_batch("CREATE TABLE precious (id INTEGER)").unwrap();
        migrator(applied).run(&mut connection).expect("nothing prevents it");
        connection.execute_batch(begin).unwrap();
        assert_eq!(failure(&migrator(2), &mut connection).report().to_string(), error.report().to_string());
        assert!(!connection.is_autocommit());
        connection.execute_batch("ROLLBACK").unwrap();
        migrator(2).run(&mut connection).expect("the transaction has ended");
    }
}

#[test]
fn an_attached_database_is_not_migrated() {
    let scene = Scene::sqlite();
    let migration = Migration::new().sql("CREATE TABLE post (id INTEGER)").register_cache("posts");
    let migrator = Migrator::new().app(App::new("main").migration("V1__post", migration));
    migrator.run(&mut scene.project.sqlite("other.db")).expect("it is empty");

    let mut connection = scene.project.sqlite("app.db");
    let other = scene.project.path().join("other.db");
    connection.execute("ATTACH ?1 AS other", [other.to_str()]).unwrap();
    connection.execute_batch("CREATE TEMPORARY TABLE refinery_schema_history (a)").unwrap();
    let report = migrator.run(&mut connection).expect("it is empty, too");
    assert_eq!(report.steps.iter().filter(|done| done.app == "main").count(), 1);
    drop(connection);
    assert_eq!(scene.project.sqlite_schema("app.db"), scene.project.sqlite_schema("other.db"));
    assert!(!migrator.run(&mut scene.project.sqlite("app.db")).expect("it is up to date").changed());
}

#[test]
fn a_revert_is_refused_after_another_run_applied_a_dependant() {
    let table = move |name: &str| {
        let down = Migration::new().sql(format!("DROP TABLE {name}"));
        Migration::new().sql(format!("CREATE TABLE {name} (id INTEGER)")).down(down)
    };
    let one = move || App::new("main").migration("V1__a", table("a"));
    let two = move || one().migration("V2__b", table("b"));
    for mode in [TransactionMode::Each, TransactionMode::All] {
        for scene in Scene::both() {
            let url = match scene.is_postgres() {
                true => scene.url(),
                false => scene.project.sqlite_url("app.db"),
            };
            let connect = move || Database::new(&url).expect("the URL is good");
            let mut database = connect();
            Migrator::new().app(one()).run(&mut database).expect("nothing prevents it");
            // The other run commits between the plan and the lock.
            let listener = move |event: &Event| {
                if let Event::Planned { .. } = event {
                    Migrator::new().app(two()).run(&mut connect()).expect("nothing prevents it");
                }
            };
            let migrator = Migrator::new().app(two()).transaction(mode).on_event(listener);
            let error = migrator.revert(&mut database, &Revert::Steps(1)).expect_err("V2 needs V1");
            assert!(error.message().contains("main:V2__b has been applied since"), "{error}");
            assert_eq!(error.applied(), Some(&[][..]));
            assert_eq!(scene.applied(), "1,2");
        }
    }
}

/// With another client encoding, the database would store a text that differs from the
/// file.
#[test]
fn text_arrives_as_it_is_in_the_file() {
    for mode in [TransactionMode::Each, TransactionMode::All] {
        let scene = Scene::postgres();
        let migration = |sql: &str| Migration::new().sql(sql);
        let app = App::new("main")
            .migration("V1__a", migration("CREATE TABLE word (w text)"))
            .migration("V2__b", migration("INSERT INTO word VALUES ('\u{e9}')"))
            .migration(
                "V3__c",
                migration("DO $$ BEGIN PERFORM set_config('client_encoding', 'LATIN1', false); END $$"),
            )
            .migration("V4__d", migration("INSERT INTO word VALUES ('\u{e9}')"));
        let migrator = Migrator::new().app(app).transaction(mode);
        migrator.run(&mut scene.database().client()).expect("nothing is wrong with it");
        assert_eq!(scene.database().value("SELECT string_agg(w, ',') FROM word"), "\u{e9},\u{e9}");
    }
}

/// A run uses the history table that exists under the lock, and not the schema where a new
/// table would be created.
#[test]
fn a_history_created_elsewhere_on_the_search_path_is_used() {
    let scene = Scene::postgres();
    let app = || App::new("main").migration("V1__a", Migration::new().sql("CREATE TABLE a (id INTEGER)"));
    let url = scene.url();
    // Bustard's own tables must exist before, because otherwise the run would read the
    // state again anyway.
    let before = App::new("before").migration("V1__a", Migration::new().sql("SELECT 1"));
    Migrator::new().app(before).run(&mut scene.database().client()).expect("nothing prevents it");
    let listener = move |event: &Event| {
        if let Event::Planned { .. } = event {
            let mut other = Database::new(&url).expect("the URL is good");
            Migrator::new().app(app()).run(&mut other).expect("nothing prevents it");
        }
    };
    let mut client = scene.database().client();
    client.batch_execute("CREATE SCHEMA first; SET search_path = first, public").unwrap();
    let report = Migrator::new().app(app()).on_event(listener).run(&mut client).expect("it is up to date");
    assert!(!report.changed(), "{report:?}");
    assert_eq!(scene.database().value("SELECT count(*) FROM pg_tables WHERE schemaname = 'first'"), "0");
}

#[test]
fn a_version_too_large_for_an_old_history_table() {
    for scene in Scene::both() {
        let sql = "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY, name varchar(255), \
                   applied_on varchar(255), checksum varchar(255))";
        match scene.is_postgres() {
            true => _ = scene.database().psql(sql),
            false => scene.project.sqlite("app.db").execute_batch(sql).expect("it is empty"),
        }
        let migration = Migration::new().sql("CREATE TABLE a (id INTEGER)");
        let error =
            everywhere(&scene, &Migrator::new().app(App::new("main").migration("V2147483648__a", migration)));
        assert_eq!(error.kind(), ErrorKind::Source);
        assert!(error.report().to_string().contains("`int8-versions`"), "{error}");
    }
}

/// The registry keeps its owner, and the rest of the migration runs as the
/// migration's role again.
#[test]
fn a_migration_registers_caches_under_any_role() {
    let scene = Scene::postgres();
    let role = scene.database().create_role("_owner", "");
    scene.database().psql(&format!("GRANT CREATE ON SCHEMA public TO {role}"));
    let up = |name: &str| format!("SET ROLE {role}; CREATE TABLE {name} (id INTEGER)");
    let migration = Migration::new().sql(up("a")).register_cache("a").sql("CREATE TABLE b (id INTEGER)");
    let next = Migration::new().sql("CREATE TABLE c (id INTEGER)").register_cache("c");
    let app = App::new("main").migration("V1__a", migration).migration("V2__c", next);
    let migrator = Migrator::new().app(app).transaction(TransactionMode::All);
    migrator
        .run(&mut Database::new(&scene.url()).expect("the URL is good"))
        .expect("nothing is wrong with it");
    let owners = "SELECT string_agg(tablename || ' ' || (tableowner = current_user), ',' ORDER BY tablename) \
                  FROM pg_tables WHERE tablename IN ('a', 'b', 'c')";
    assert_eq!(scene.database().value(owners), "a false,b false,c true");
    assert_eq!(scene.database().value("SELECT count(*) FROM bustard.caches"), "2");
}
