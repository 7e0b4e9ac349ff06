//! Tests tables that are rebuilt, swapped, renamed, moved or dropped. A table is found by
//! its name, or if there is no such table, by its identity.

use super::{Scene, both_with, invalidates, migrated, missing_triggers, postgres_with, retracks, triggers};

const BAN: &str = "CREATE TABLE ban (id integer PRIMARY KEY);
-- bustard: register cache bans on ban
";

/// Returns the number of triggers of a tracked table.
fn each(scene: &Scene) -> usize {
    if scene.is_postgres() { 4 } else { 3 }
}

#[track_caller]
fn only(scene: &Scene, table: &str) {
    let triggers = triggers(scene);
    let on_it = triggers.iter().filter(|trigger| trigger.starts_with(&format!("{table} "))).count();
    assert_eq!((on_it, triggers.len()), (each(scene), each(scene)), "{triggers:?}");
}

/// The migration follows SQLite's documentation for changes that ALTER TABLE cannot make.
#[test]
fn rebuilt_by_a_migration() {
    for scene in both_with(BAN) {
        let rebuild = "CREATE TABLE new_ban (id integer PRIMARY KEY, pattern text);
INSERT INTO new_ban SELECT id, 'x' FROM ban;
DROP TABLE ban;
ALTER TABLE new_ban RENAME TO ban;
";
        migrated(&scene, "V2__rebuild.sql", rebuild);
        only(&scene, "ban");
        assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (1, 'a')"));
        retracks(&scene, 0);
    }
}

#[test]
fn swapped_between_runs() {
    for scene in both_with(BAN) {
        scene.execute(
            "CREATE TABLE new_ban (id integer PRIMARY KEY);
             ALTER TABLE ban RENAME TO old_ban; ALTER TABLE new_ban RENAME TO ban",
        );
        assert!(!invalidates(&scene, "bans", "INSERT INTO ban VALUES (1)"));
        retracks(&scene, 1);
        only(&scene, "ban");
        assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (2)"));
        assert!(!invalidates(&scene, "bans", "INSERT INTO old_ban VALUES (2)"));
    }
}

#[test]
fn two_tables_that_swap_names() {
    for scene in both_with(
        "CREATE TABLE a (id integer);
CREATE TABLE b (id integer);
-- bustard: register cache of_a on a
-- bustard: register cache of_both on b, a
",
    ) {
        let swap = "ALTER TABLE a RENAME TO c;\nALTER TABLE b RENAME TO a;\nALTER TABLE c RENAME TO b;\n";
        migrated(&scene, "V2__swap.sql", swap);
        retracks(&scene, 0);
        assert_eq!(triggers(&scene).len(), 2 * each(&scene), "{:?}", triggers(&scene));
        for (cache, table, expected) in
            [("of_a", "a", true), ("of_a", "b", false), ("of_both", "a", true), ("of_both", "b", true)]
        {
            let insert = format!("INSERT INTO {table} VALUES (1)");
            assert_eq!(invalidates(&scene, cache, &insert), expected, "{cache} {table}");
        }
    }
}

#[test]
fn renamed() {
    for scene in both_with(BAN) {
        scene.execute("ALTER TABLE ban RENAME TO \"Banned, all\"");
        assert!(
            invalidates(&scene, "bans", "INSERT INTO \"Banned, all\" VALUES (1)"),
            "the triggers still work"
        );
        let before = if scene.is_postgres() { "public.ban" } else { "ban" };
        assert_eq!(missing_triggers(&scene), [(before.to_owned(), "renamed".to_owned())]);
        retracks(&scene, 1);
        assert_eq!(missing_triggers(&scene), []);
        assert!(invalidates(&scene, "bans", "INSERT INTO \"Banned, all\" VALUES (2)"));
        // From now on, the renamed table is tracked under its new name.
        scene.execute("CREATE TABLE ban (id integer)");
        retracks(&scene, 0);
        assert!(!invalidates(&scene, "bans", "INSERT INTO ban VALUES (1)"));
    }
}

/// A tracked table gets the name of another tracked table, which was dropped.
#[test]
fn renamed_to_the_name_of_another() {
    for scene in both_with(
        "CREATE TABLE a (id integer);
CREATE TABLE b (id integer);
-- bustard: register cache bans on a, b
",
    ) {
        scene.execute("DROP TABLE b; ALTER TABLE a RENAME TO b");
        scene.migrate(&[]).success();
        retracks(&scene, 0);
        assert!(invalidates(&scene, "bans", "INSERT INTO b VALUES (1)"));
        assert_eq!(missing_triggers(&scene), []);
    }
}

#[test]
fn moved_to_another_schema() {
    let scene = postgres_with(BAN);
    migrated(&scene, "V2__move.sql", "CREATE SCHEMA forum;\nALTER TABLE ban SET SCHEMA forum;\n");
    only(&scene, "forum.ban");
    assert_eq!(missing_triggers(&scene), []);
    assert!(invalidates(&scene, "bans", "INSERT INTO forum.ban VALUES (1)"));
    // A new table with the old name is not tracked.
    scene.execute("CREATE TABLE ban (id integer)");
    retracks(&scene, 0);
    scene.execute("ALTER SCHEMA forum RENAME TO board");
    retracks(&scene, 1);
    assert!(invalidates(&scene, "bans", "INSERT INTO board.ban VALUES (2)"));
}

#[test]
fn dropped() {
    for scene in both_with(BAN) {
        scene.execute("DROP TABLE ban");
        let name = if scene.is_postgres() { "public.ban" } else { "ban" };
        assert_eq!(missing_triggers(&scene), [(name.to_owned(), "gone".to_owned())]);
        super::bustard(&scene, &["status"]).success().says("which no longer exists");
        retracks(&scene, 0);
        migrated(&scene, "V2__next.sql", "CREATE TABLE next (id integer);\n");
        // The table is created again.
        scene.execute("CREATE TABLE ban (id integer)");
        retracks(&scene, 1);
        assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (1)"));
    }
}

/// A view has the name of the tracked table. The registry finds the table by its identity,
/// or reports it as dropped.
#[test]
fn a_view_in_its_place() {
    for scene in both_with(BAN) {
        scene.execute("ALTER TABLE ban RENAME TO ban_data; CREATE VIEW ban AS SELECT * FROM ban_data");
        scene.migrate(&[]).success();
        retracks(&scene, 0);
        assert!(invalidates(&scene, "bans", "INSERT INTO ban_data VALUES (1)"));
    }
}

#[test]
fn triggers_that_were_dropped_or_disabled() {
    let scene = postgres_with(BAN);
    let name = triggers(&scene)[0].split(' ').nth(1).expect("a name").to_owned();
    scene.execute(&format!("DROP TRIGGER {name} ON ban"));
    retracks(&scene, 1);
    scene.execute("ALTER TABLE ban DISABLE TRIGGER ALL");
    assert!(!invalidates(&scene, "bans", "INSERT INTO ban VALUES (1)"));
    retracks(&scene, 1);
    assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (2)"));
}

/// If many runs find a missing trigger at once, exactly one run restores it.
#[test]
fn many_runs_at_once() {
    for scene in both_with(BAN) {
        scene.execute("DROP TABLE ban; CREATE TABLE ban (id integer)");
        let before = super::count(&scene, "bans");
        let arguments = ["migrate", "--json", "--database-url", &scene.url()];
        let running: Vec<_> = (0..5).map(|_| scene.project.spawn(&arguments)).collect();
        let reports: Vec<_> = running.into_iter().map(|one| one.wait().success().json()).collect();
        let changed = reports.iter().filter(|report| report["changed"] == true).count();
        // The run invalidates the table's source and all caches.
        assert_eq!((changed, super::count(&scene, "bans") - before), (1, 2), "{reports:?}");
        only(&scene, "ban");
    }
}

/// If the lock time-out ends the wait, the error names the table.
#[test]
fn a_table_that_is_written_to_all_the_time() {
    let scene = postgres_with(BAN);
    scene.execute("ALTER TABLE ban DISABLE TRIGGER ALL");
    let mut writer = scene.database().client();
    writer.batch_execute("BEGIN; INSERT INTO ban VALUES (1)").expect("it writes");
    scene.database().set("lock_timeout", "'100ms'");
    scene
        .migrate(&[])
        .exits(1)
        .complains("55P03")
        .complains("the triggers of the cache \"bans\" cannot be created on public.ban")
        .complains("no long transaction");
    writer.batch_execute("COMMIT").expect("it commits");
    retracks(&scene, 1);
    // A trigger that is no longer needed is removed later.
    scene.execute("ALTER TABLE ban RENAME TO old; CREATE TABLE ban (id integer)");
    writer.batch_execute("BEGIN; INSERT INTO old VALUES (2)").expect("it writes");
    retracks(&scene, 1);
    writer.batch_execute("COMMIT").expect("it commits");
    migrated(&scene, "V2__next.sql", "CREATE TABLE next (id integer);\n");
    only(&scene, "ban");
}
