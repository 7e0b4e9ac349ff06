//! Row A7 of the cases: large files are read, judged and sent in parts.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use bustard::diagnostic::Code;
use bustard::{App, Database as Connection, Migration, Migrator, TransactionMode};

use crate::support::{Scene, wait_until};

/// Returns inserts of one row each, of about this many bytes.
fn inserts(bytes: usize) -> String {
    let mut text = String::from("CREATE TABLE big (id BIGINT, note TEXT);\n");
    for id in 0.. {
        if text.len() >= bytes {
            break;
        }
        text += &format!(
            "INSERT INTO big (id, note) VALUES ({id}, 'a note about the row {id}, of some length');\n"
        );
    }
    text
}

/// Returns COPY with rows of about this many bytes, and their number.
fn rows(bytes: usize) -> (String, usize) {
    let mut text = String::from("COPY big (id, note) FROM stdin;\n");
    let mut count = 0;
    while text.len() < bytes {
        text += &format!("{count}\tit's a note about the row {count}; of some length\n");
        count += 1;
    }
    (text + "\\.\n", count)
}

const TABLE: &str = "CREATE TABLE big (id BIGINT PRIMARY KEY, note TEXT);\n";

fn count(scene: &Scene) -> String {
    scene.value("SELECT count(*) FROM big")
}

/// Returns a field of a file in `/proc` in KB.
#[cfg(target_os = "linux")]
fn kilobytes(process: &str, file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Runs `bustard migrate`. Returns the most memory of the client, and the most private
/// memory of the server for it, in KB.
#[cfg(target_os = "linux")]
fn migrate(scene: &Scene) -> (u64, u64) {
    let mut running = scene.project.spawn(&["--database-url", &scene.url(), "migrate"]);
    let id = running.id().to_string();
    let mut client = scene.is_postgres().then(|| scene.database().client());
    let mut backend = None;
    let (mut ours, mut theirs) = (0, 0);
    while running.is_running() {
        ours = ours.max(kilobytes(&id, "status", "VmHWM:").unwrap_or_default());
        if let (Some(client), None) = (&mut client, &backend) {
            let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()";
            backend = client.query(sql, &[]).unwrap().first().map(|row| row.get::<_, i32>(0).to_string());
        }
        // Shared memory is not anonymous.
        let private = backend.as_ref().and_then(|id| kilobytes(id, "smaps_rollup", "Anonymous:"));
        theirs = theirs.max(private.unwrap_or_default());
        thread::sleep(Duration::from_millis(5));
    }
    running.wait().success();
    (ours, theirs)
}

/// A file of 20 MB needed 280 MB in the client, and 250 MB in the server.
#[cfg(target_os = "linux")]
#[test]
fn a7_a_large_file_needs_little_memory() {
    for scene in Scene::both() {
        scene.file("V1__small.sql", "CREATE TABLE small (id INTEGER);\n");
        let (empty, _) = migrate(&scene);
        scene.file("V2__big.sql", inserts(20 << 20));
        let (applying, server) = migrate(&scene);
        assert!(applying < empty + (32 << 10), "{applying} KB, {empty} KB without the file");
        assert!(server < 64 << 10, "{server} KB in the server");
        let (applied, _) = migrate(&scene);
        assert!(applied < empty + (32 << 10), "{applied} KB, {empty} KB without the file");
        if scene.is_postgres() {
            scene.file("V3__rows.sql", format!("BEGIN;\nTRUNCATE big;\n{}COMMIT;\n", rows(20 << 20).0));
            let (applying, server) = migrate(&scene);
            assert!(applying < empty + (32 << 10), "{applying} KB, {empty} KB without the file");
            assert!(server < 64 << 10, "{server} KB in the server");
            let (applied, _) = migrate(&scene);
            assert!(applied < empty + (32 << 10), "{applied} KB, {empty} KB without the file");
        }
    }
}

/// Rows of COPY that no window has as a whole are sent and shown, and revert a migration.
#[test]
fn a7_large_rows_are_applied_shown_and_reverted() {
    let (copy, number) = rows(400_000);
    for line_end in ["\n", "\r\n"] {
        let scene = Scene::postgres();
        let up = format!(
            "SET statement_timeout = 0;\nBEGIN;\n{TABLE}{copy}INSERT INTO big VALUES (-1);\nCOMMIT;\n"
        );
        let text = format!("{up}-- bustard: down\nTRUNCATE big;\n{copy}DELETE FROM big WHERE id % 2 = 0;\n");
        let text = text.replace('\n', line_end);
        scene.file("V1__big.sql", &text);
        let url = scene.url();
        let plan = scene.project.bustard(&["--database-url", &url, "plan", "--sql"]).success();
        let last = copy.lines().rev().nth(1).unwrap();
        assert!(plan.stdout.contains(last), "{last}");
        scene.migrate(&[]).success();
        assert_eq!(count(&scene), (number + 1).to_string());
        scene.project.bustard(&["revert", "--database-url", &url, "--steps", "1"]).success();
        assert_eq!(count(&scene), (number / 2).to_string());
        assert_eq!(scene.value("SELECT max(note) LIKE 'it''s a note%' FROM big"), "t");
    }
}

/// The place of a bad row is right in any window, on Bustard's connection and on one of the
/// caller, which stays usable.
#[test]
fn a7_places_of_rows_at_any_offset() {
    let (copy, number) = rows(400_000);
    for bad in [0, 1_000, 1_300, 2_500, number - 1] {
        let scene = Scene::postgres();
        let good = format!("\n{bad}\tit's");
        let copy = copy.replacen(&good, "\nx\tit's", 1);
        scene.file("V1__big.sql", format!("{TABLE}SELECT 1;\n{copy}SELECT 2;\n"));
        let place = format!("V1__big.sql:{}:1", bad + 4);
        let outcome = scene.migrate(&[]).exits(1);
        assert!(outcome.stderr.contains(&place), "{place} {outcome}");
        let mut client = scene.database().client();
        let app = App::directory("main", scene.project.path().join("migrations"));
        let error = Migrator::new().app(app).run(&mut client).unwrap_err();
        assert!(error.report().to_string().contains(&place), "{place} {}", error.report());
        assert_eq!(client.query_one("SELECT 42", &[]).unwrap().get::<_, i32>(0), 42);
    }
}

/// Rows that have changed since they were judged are an error, and nothing remains.
#[test]
fn a7_rows_that_change_in_between_are_an_error() {
    let (copy, _) = rows(400_000);
    let text = format!("{TABLE}{copy}SELECT 2;\n");
    for (what, changed) in [
        ("another row", text.replace("the row 5;", "the row five;")),
        ("no end", text.replace("\\.\n", "")),
        ("an earlier end", text.replace("\n1500\t", "\n\\.\n1500\t")),
        ("less", text[..250_001].to_owned()),
        ("a bad row", text.replace("\n5000\t", "\nx\t")),
    ] {
        let scene = Scene::postgres();
        scene.file("V1__big.sql", &text);
        let path: PathBuf = scene.project.path().join("migrations/V1__big.sql");
        let write = move || fs::write(&path, &changed);
        let change = Migration::new().run("change", move |_| write().map_err(Into::into));
        let main = App::directory("main", scene.project.path().join("migrations"));
        let migrator = Migrator::new()
            .app(App::new("early").migration("V1__change", change))
            .app(main)
            .transaction(TransactionMode::All);
        let error = migrator.run(&mut Connection::new(&scene.url()).unwrap()).unwrap_err();
        assert_eq!(error.code(), Code::ChangedSource, "{what}: {}", error.report());
        assert_eq!(scene.value("SELECT to_regclass('big') IS NULL"), "t", "{what}");
    }
}

/// The rows that are sent are those that were judged, even if the file is replaced while the
/// statement before COPY waits.
#[test]
fn a7_a_file_that_is_replaced_before_its_rows_are_sent() {
    let (copy, _) = rows(400_000);
    let text = format!("{TABLE}LOCK TABLE gate;\n{copy}SELECT 2;\n");
    for own in [true, false] {
        let scene = Scene::postgres();
        scene.execute("CREATE TABLE gate (id int)");
        scene.file("V1__big.sql", &text);
        let path = scene.project.path().join("migrations/V1__big.sql");
        let mut holder = scene.database().client();
        let mut held = holder.transaction().unwrap();
        held.batch_execute("LOCK TABLE gate").unwrap();
        let app = App::directory("main", scene.project.path().join("migrations"));
        let migrator = Migrator::new().app(app);
        let (url, mut client) = (scene.url(), scene.database().client());
        let error = thread::scope(|scope| {
            let run = scope.spawn(move || match own {
                true => migrator.run(&mut Connection::new(&url).unwrap()),
                false => migrator.run(&mut client),
            });
            let database = scene.database();
            let waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted";
            wait_until("the migration waits", || database.value(waiting) == "1");
            let other = path.with_extension("new");
            fs::write(&other, text.replace("the row 5000;", "the row 5001;")).unwrap();
            fs::rename(&other, &path).unwrap();
            held.commit().unwrap();
            run.join().unwrap().unwrap_err()
        });
        assert_eq!(error.code(), Code::ChangedSource, "{}", error.report());
        assert_eq!(scene.value("SELECT to_regclass('big') IS NULL"), "t");
    }
}

/// A statement that is refused is shown and left alone where it is not run.
#[test]
fn a7_a_refused_statement_in_a_large_file_is_no_change() {
    for scene in Scene::both() {
        let text = inserts(200_000) + "COMMIT;\n";
        scene.file("V1__big.sql", &text);
        let outcome = scene.migrate(&[]).exits(2);
        assert!(outcome.stderr.contains("`COMMIT` cannot be in a migration"), "{outcome}");
        scene.migrate(&["--fake"]).success();
        scene.file("V1__big.sql", text.replace("the row 5,", "the row five,"));
        let url = scene.url();
        scene.project.bustard(&["--database-url", &url, "repair", "main:1"]).success();
        scene.migrate(&[]).success();
    }
}

#[test]
fn a7_a_large_file_is_applied_and_reverted() {
    for scene in Scene::both() {
        let up = inserts(300_000);
        let rows = up.lines().count() - 1;
        let down = "DELETE FROM big WHERE id = -1;\n".repeat(5_000);
        let text = format!(
            "\u{feff}{up}-- bustard: register cache big\nDROP TABLE IF EXISTS other;\n-- bustard: down\n{down}DROP TABLE big;\n"
        );
        for mode in ["each", "all"] {
            scene.file("V1__big.sql", text.replace('\n', "\r\n"));
            scene.migrate(&["--transaction", mode]).success();
            assert_eq!(count(&scene), rows.to_string());
            // Other line ends are the same text.
            scene.file("V1__big.sql", &text);
            scene.migrate(&[]).success().says("nothing to do");
            let url = scene.url();
            scene.project.bustard(&["revert", "--database-url", &url, "--steps", "1"]).success();
        }
        scene.file("V1__big.sql", text.replace("\u{feff}", ""));
        let url = scene.url();
        let plan = scene.project.bustard(&["--database-url", &url, "plan", "--sql"]).success();
        plan.says(&format!("({}, 'a note about the row {}, of some length');", rows - 1, rows - 1));
    }
}

/// The place of a failing statement is right before, at and after the border of a window.
#[test]
fn a7_places_of_errors_at_any_offset() {
    for scene in Scene::both() {
        for offset in [65_536 - 1_030, 65_536 - 15, 65_535, 65_536, 65_537, 200_003] {
            let line = "SELECT 'é🦀', 'of a row';\r\n";
            let mut text = line.repeat(offset / line.len());
            text.push_str(&" ".repeat(offset - text.len()));
            let (lines, column) =
                (text.matches('\n').count() + 1, text.rsplit('\n').next().unwrap().len() + 1);
            text.push_str("SELECT 1 FROM missing; SELECT 2;\n");
            text.push_str(&line.repeat(3_000));
            scene.file("V1__big.sql", text);
            let column = if scene.is_postgres() { column + "SELECT 1 FROM ".len() } else { column };
            let outcome = scene.migrate(&[]);
            assert_eq!(outcome.code, Some(1));
            let place = format!("V1__big.sql:{lines}:");
            assert!(outcome.stderr.contains(&place), "{place}{column} {}", outcome.stderr);
            if scene.is_postgres() {
                let place = format!("{place}{column}");
                assert!(outcome.stderr.contains(&place), "{place} {}", outcome.stderr);
            }
        }
    }
}

/// What is executed is what was judged, even if the file changes in between.
#[test]
fn a7_a_file_that_changes_in_between_is_an_error() {
    for scene in Scene::both() {
        let text = inserts(300_000);
        let changes: [(&str, String); 4] = [
            ("another row", text.replace("the row 5,", "the row five,")),
            (
                "a commit",
                text.replacen(
                    "INSERT INTO big (id, note) VALUES (9,",
                    "COMMIT; INSERT INTO big (id, note) VALUES (9,",
                    1,
                ),
            ),
            ("less", text[..150_001].to_owned()),
            ("nothing", String::new()),
        ];
        for (what, changed) in changes {
            scene.file("V1__big.sql", &text);
            let path: PathBuf = scene.project.path().join("migrations/V1__big.sql");
            let write = move || fs::write(&path, &changed);
            let change = Migration::new().run("change", move |_| write().map_err(Into::into));
            let app = App::new("early").migration("V1__change", change);
            let main = App::directory("main", scene.project.path().join("migrations"));
            let url = match scene.is_postgres() {
                true => scene.url(),
                false => scene.project.sqlite_url("app.db"),
            };
            let migrator = Migrator::new().app(app).app(main).transaction(TransactionMode::All);
            let error = migrator.run(&mut Connection::new(&url).unwrap()).unwrap_err();
            assert_eq!(error.code(), Code::ChangedSource, "{what}: {}", error.report());
            assert!(error.report().to_string().contains("V1__big.sql"), "{}", error.report());
            // The next one begins with an empty database, because nothing remains.
        }
    }
}

#[test]
fn a7_a_signal_between_two_messages_cancels() {
    let scene = Scene::postgres();
    scene.file("V1__big.sql", inserts(10 << 20));
    let running = scene.project.spawn(&["--database-url", &scene.url(), "migrate"]);
    let database = scene.database();
    wait_until("the file is being applied", || {
        database.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'INSERT INTO big%'") != "0"
    });
    running.signal("TERM");
    running.wait().exits(143);
    assert_eq!(database.value("SELECT to_regclass('big') IS NULL"), "t");
}
