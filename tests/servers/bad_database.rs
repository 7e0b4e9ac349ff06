//! Tests databases that cannot be used: each causes one clear error and does not change.
//! `connection.rs` has more about connecting. The errors are in
//! `tests/snapshots/bad_input`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::{
    Certificates, Cluster, Database, Outcome, Project, Scene, refused, snapshot_settings, unprivileged,
};

fn project() -> Project {
    let project = Project::new();
    project.file("migrations/V1__one.sql", "CREATE TABLE one (id INTEGER);\n");
    project
}

/// Runs `migrate` and `migrate --json`, both of which must fail.
#[track_caller]
fn refuses(project: &Project, url: &str, name: &str) -> Outcome {
    let migrate = ["migrate", "--database-url", url];
    let outcome = project.bustard(&migrate).exits(1);
    let mut settings = snapshot_settings(project);
    settings.set_snapshot_path("../snapshots/bad_input");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, outcome.stderr));
    let document = project.bustard(&[&migrate[..], &["--json"]].concat()).exits(1);
    assert!(document.json()["error"]["message"].is_string(), "{document}");
    outcome
}

#[test]
fn a_wrong_password() {
    let cluster = Cluster::start_with_hba(&[], "host all all 127.0.0.1/32 scram-sha-256\n");
    cluster.client("postgres").batch_execute("CREATE ROLE app LOGIN PASSWORD 'right'").unwrap();
    refuses(&project(), &cluster.url("app:wr0ng", "postgres"), "wrong_password");
}

#[test]
fn a_server_that_is_not_there() {
    // The socket is bound but does not listen, so that no other process can take the port.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
    refuses(&project(), &format!("postgres://app@{taken}/forum"), "no_server");
}

#[test]
fn tls_that_is_unavailable_or_fails() {
    let url = Database::new();
    refuses(&project(), &format!("{}?sslmode=require", url.url()), "no_tls");

    let cluster = Cluster::start_with_tls(&Certificates::for_names(&["db.example"]));
    let project = project();
    project.file("other.pem", Certificates::for_names(&["db.example"]).authority);
    let url = cluster.url("postgres", "postgres");
    refuses(&project, &format!("{url}?sslmode=verify-full&sslrootcert=other.pem"), "other_authority");
}

#[test]
fn a_server_that_dies_during_the_run() {
    let cluster = Cluster::start_with(&[]);
    let database = Database::on(&cluster);
    let project = project();
    project
        .file("migrations/V2__slow.sql", "CREATE TABLE two (id INTEGER);\nSELECT pg_sleep(3600);\n")
        .file("migrations/V3__three.sql", "CREATE TABLE three (id INTEGER);\n");
    for json in [&[][..], &["--json"]] {
        let url = database.url();
        let running = project.spawn(&[&["migrate", "--database-url", &url], json].concat());
        database.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')");
        cluster.kill9();
        let outcome = running.wait().exits(1);
        cluster.restart();
        if json.is_empty() {
            let mut settings = snapshot_settings(&project);
            settings.set_snapshot_path("../snapshots/bad_input");
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            // The error of the socket differs between systems.
            settings.add_filter(
                r"database: (error communicating|connection closed|.*reset).*",
                "database: [lost]",
            );
            settings.bind(|| insta::assert_snapshot!("server_dies", outcome.stderr));
        } else {
            assert_eq!(outcome.json()["error"]["kind"], "connection");
        }
        assert_eq!(database.value("SELECT string_agg(version::text, ',') FROM refinery_schema_history"), "1");
        assert_eq!(database.value("SELECT to_regclass('two') IS NULL"), "t");
    }
    project.file("migrations/V2__slow.sql", "CREATE TABLE two (id INTEGER);\n");
    project.bustard(&["migrate", "--database-url", &database.url()]).success();
}

/// The default of the database does not affect runs, because they begin a read-write
/// transaction explicitly.
#[test]
fn read_only_by_default() {
    let database = Database::new();
    database.set("default_transaction_read_only", "on");
    let project = project();
    project.bustard(&["migrate", "--database-url", &database.url()]).success();
    project.bustard(&["migrate", "--database-url", &database.url()]).success().says("nothing to do");
    for operation in
        [&["register", "ones"][..], &["invalidate", "ones"], &["invalidate-all"], &["unregister", "ones"]]
    {
        let url = ["caches", "--database-url", &database.url()];
        project.bustard(&[&url[..], operation].concat()).success();
    }
}

/// A replica refuses every writing transaction, but its status can be read.
#[test]
fn a_replica() {
    let cluster = Cluster::start_with(&[]);
    let database = Database::on(&cluster);
    let project = project();
    project.bustard(&["migrate", "--database-url", &database.url()]).success();
    let url = database.url();
    cluster.stop("INT");
    std::fs::write(cluster.directory().join("data/standby.signal"), "").unwrap();
    cluster.restart();
    project.bustard(&["migrate", "--database-url", &url]).success().says("nothing to do");
    project.file("migrations/V2__two.sql", "CREATE TABLE two (id INTEGER);\n");
    refuses(&project, &url, "replica");
    project.bustard(&["check", "--database-url", &url]).exits(3);
}

/// Runs the command as a user with few rights. If the tests do not run as root, the command
/// runs as their own user.
fn without_rights(project: &Project, arguments: &[&str]) -> Outcome {
    let directory = project.path();
    // The program is copied, because other users may not have access to the build
    // directory.
    let program = directory.join("bustard");
    if !program.exists() {
        // `cp` copies the program. If this process had the copy open for writing, a child
        // process of another test could inherit the open file, and the copy could not be
        // executed.
        let mut copy = Command::new("cp");
        copy.arg(env!("CARGO_BIN_EXE_bustard")).arg(&program);
        Outcome::of(copy).success();
    }
    let mut command = project.command_of(&program, arguments);
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    Outcome::of(command)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}

#[test]
fn a_file_without_write_permission() {
    let scene = Scene::sqlite();
    scene.good_files().migrate(&["--to", "main:1"]).success();
    let before = scene.contents();
    let (project, migrate) = (&scene.project, ["migrate", "--database-url", "sqlite:app.db"]);
    set_mode(&project.path().join("app.db"), 0o444);
    set_mode(project.path(), 0o755);
    let outcome = without_rights(project, &migrate).exits(1);
    scene.snapshot("read_only_file", &outcome);
    assert_eq!(without_rights(project, &[&migrate[..], &["--json"]].concat()).exits(1).stderr, "");
    assert_eq!(scene.contents(), before);
    // Reading is allowed.
    without_rights(project, &["check", "--database-url", "sqlite:app.db"]).exits(3);

    // In a read-only directory, SQLite cannot create the journal of a writable file.
    set_mode(&project.path().join("app.db"), 0o666);
    set_mode(project.path(), 0o555);
    let outcome = without_rights(project, &migrate).exits(1);
    scene.snapshot("read_only_directory", &outcome);
    set_mode(project.path(), 0o755);
    assert_eq!(scene.contents(), before);

    set_mode(&project.path().join("migrations"), 0o000);
    let outcome = without_rights(project, &migrate).exits(2);
    scene.snapshot("directory_without_rights", &outcome);
    set_mode(&project.path().join("migrations"), 0o755);
    set_mode(&project.path().join("migrations/V2__posts.sql"), 0o000);
    let outcome = without_rights(project, &migrate).exits(2);
    scene.snapshot("file_without_rights", &outcome);
    set_mode(&project.path().join("app.db"), 0o000);
    set_mode(&project.path().join("migrations/V2__posts.sql"), 0o444);
    let outcome = without_rights(project, &migrate).exits(1);
    scene.snapshot("database_without_rights", &outcome);
}

#[test]
fn files_that_are_no_database() {
    let scene = Scene::sqlite();
    scene.good_files().project.file("app.db", "SQLite? Never heard of it.\n".repeat(100));
    let outcome = scene.migrate(&[]).exits(1);
    scene.snapshot("no_database", &outcome);
    std::fs::create_dir(scene.project.path().join("directory")).unwrap();
    for (path, name) in [("directory", "database_is_a_directory"), ("app.db/app.db", "database_below_a_file")]
    {
        let url = format!("sqlite:{path}");
        let outcome = scene.project.bustard(&["migrate", "--database-url", &url]).exits(1);
        scene.snapshot(name, &outcome);
    }
}

#[test]
fn a_role_without_rights() {
    let scene = Scene::postgres();
    let role = scene.database().create_role("reader", "");
    scene.good_files();
    let before = scene.contents();
    let url = scene.database().url_as(&role);
    let migrate = ["migrate", "--database-url", &url];
    let outcome = scene.project.bustard(&migrate).exits(1);
    scene.snapshot("no_create_in_database", &outcome);
    assert_eq!(scene.contents(), before);

    scene.migrate(&["--to", "main:1"]).success();
    // This is the default since PostgreSQL 15.
    scene.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let before = scene.contents();
    let outcome = scene.project.bustard(&migrate).exits(1);
    scene.snapshot("no_select_on_history", &outcome);
    scene.execute(&format!(
        "GRANT SELECT ON refinery_schema_history, bustard.refinery_schema_history_bustard TO {role}"
    ));
    let granted = scene.contents();
    let outcome = scene.project.bustard(&migrate).exits(1);
    scene.snapshot("no_create_in_schema", &outcome);
    assert_eq!(scene.contents(), granted);
    assert_ne!(before, granted);
    scene.project.bustard(&[&migrate[..], &["--json"]].concat()).exits(1).json();
}

#[test]
fn a_history_of_another_shape() {
    refused(1, "history_of_another_shape", |scene| {
        scene.good_files();
        scene.execute("CREATE TABLE refinery_schema_history (id INTEGER, installed_on TIMESTAMP)");
    });
    refused(1, "history_of_another_type", |scene| {
        scene.good_files();
        scene.execute(
            "CREATE TABLE refinery_schema_history (version TEXT, name TEXT, applied_on TEXT, checksum TEXT)",
        );
    });
    refused(1, "history_with_a_hole", |scene| {
        scene.good_files().migrate(&["--to", "main:1"]).success();
        scene.execute("UPDATE refinery_schema_history SET checksum = NULL");
    });
}

#[test]
fn a_database_of_a_newer_bustard() {
    for scene in Scene::both() {
        scene.good_files().migrate(&["--to", "main:1"]).success();
        let table = match scene.is_postgres() {
            true => "bustard.refinery_schema_history_bustard",
            false => "refinery_schema_history_bustard",
        };
        scene.execute(&format!("INSERT INTO {table} VALUES (999, 'future', '2030-01-01T00:00:00Z', '1')"));
        scene.refuses(4, "newer_bustard");
        let outcome = scene.migrate(&["--allow-missing"]).exits(4);
        scene.snapshot("newer_bustard", &outcome);
    }
}

/// No output contains a password, whatever fails and at every log level.
#[test]
fn no_password_anywhere() {
    let cluster = Cluster::start_with_hba(&[], "host all all 127.0.0.1/32 scram-sha-256\n");
    cluster
        .client("postgres")
        .batch_execute("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'hunter2secret'")
        .unwrap();
    let project = project();
    let url = cluster.url("app:hunter2secret", "postgres");
    project
        .file(
            "plain.toml",
            format!("[database]\nurl = \"{url}\"\n[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n"),
        )
        .file("broken.toml", format!("[database]\nurl = \"{url}\n"))
        .file("unknown.toml", format!("[database]\nurl = \"{url}\"\nlocation = \"{url}\"\n"))
        .file("type.toml", format!("[database]\nurl = [\"{url}\"]\n"));
    let run = |arguments: &[&str], environment: bool, code: i32| {
        for extra in [&["-vvv"][..], &["--json"]] {
            let mut command = project.command(&[arguments, extra].concat());
            command.env("RUST_LOG", "trace");
            if environment {
                command.env("DATABASE_URL", &url);
            }
            let outcome = Outcome::of(command).exits(code);
            let said = format!("{}{}", outcome.stdout, outcome.stderr);
            assert!(!said.contains("hunter2"), "{outcome}");
        }
    };
    run(&["plan"], true, 0);
    run(&["migrate"], true, 0);
    run(&["status", "--config", "plain.toml"], false, 0);
    project.file("migrations/V2__bad.sql", "SELECT 1 / 0;\n");
    run(&["migrate"], true, 1);
    run(&["caches", "get", "nothing"], true, 1);
    for config in ["broken.toml", "unknown.toml", "type.toml"] {
        run(&["migrate", "--config", config], false, 2);
    }
    for wrong in [
        &["migrate", "--lock-wait", &url][..],
        &["migrate", "--to", &url],
        &["migrat", &url],
        &["migrate", &url],
        &["caches", "get", "a", &url],
        &["migrate", "--database_url", &url],
    ] {
        run(wrong, true, 2);
    }
    run(&["migrate", "--database-url", &format!("{url}?nonsense=1")], false, 2);
    run(&["migrate", "--database-url", &url.replace("postgres://", "mysql://")], false, 2);
    run(&["migrate", "--database-url", &format!("{}-nowhere", url)], false, 1);
    project.file(".env", format!("DATABASE_URL={url}\n"));
    run(&["migrate"], false, 1);
    project.file(".env", format!("DATABASE_URL='{url}\n"));
    run(&["migrate"], false, 2);
}
