//! Tests partitions and child tables. A direct write to a partition or child table does not
//! fire the triggers of its parent, so each has its own triggers.

use super::{counted, invalidates, migrated, missing_triggers, postgres_with, retracks, triggers};

const PARTITIONED: &str =
    "CREATE TABLE ban (id integer, pattern text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE ban_low PARTITION OF ban FOR VALUES FROM (0) TO (10);
CREATE TABLE ban_high PARTITION OF ban FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (id);
CREATE TABLE ban_high_1 PARTITION OF ban_high FOR VALUES FROM (10) TO (50);
CREATE TABLE ban_high_2 PARTITION OF ban_high FOR VALUES FROM (50) TO (100);
-- bustard: register cache bans on ban
INSERT INTO ban VALUES (1, 'a'), (11, 'b'), (51, 'c');
";

#[test]
fn writes_through_the_parent_and_directly() {
    let scene = postgres_with(PARTITIONED);
    assert_eq!(triggers(&scene).len(), 5 * 4, "{:?}", triggers(&scene));
    for (expected, sql) in [
        (1, "INSERT INTO ban VALUES (2, 'x'), (12, 'x'), (52, 'x')"),
        (1, "INSERT INTO ban_low VALUES (3, 'x')"),
        (1, "INSERT INTO ban_high VALUES (13, 'x')"),
        (1, "INSERT INTO ban_high_2 VALUES (53, 'x')"),
        (1, "UPDATE ban SET pattern = 'y'"),
        (1, "UPDATE ban_high_1 SET pattern = 'z' WHERE id = 13"),
        (1, "DELETE FROM ban WHERE id = 53"),
        (1, "DELETE FROM ban_high_1 WHERE id = 13"),
        (0, "DELETE FROM ban WHERE id = 99"),
        (0, "DELETE FROM ban_low WHERE id = 99"),
        (0, "UPDATE ban_high SET pattern = 'z' WHERE id = 99"),
    ] {
        assert_eq!(counted(&scene, "bans", sql), expected, "{sql}");
    }
    // TRUNCATE fires a trigger of each table that it empties.
    assert!(invalidates(&scene, "bans", "TRUNCATE ban_low"));
    assert!(invalidates(&scene, "bans", "TRUNCATE ban"));
}

#[test]
fn rows_that_move_between_partitions() {
    let scene = postgres_with(PARTITIONED);
    for sql in [
        "UPDATE ban SET id = 20 WHERE id = 1",
        "UPDATE ban SET id = 60 WHERE id = 20",
        "UPDATE ban_high SET id = 21 WHERE id = 60",
    ] {
        assert_eq!(counted(&scene, "bans", sql), 1, "{sql}");
    }
    assert_eq!(counted(&scene, "bans", "UPDATE ban SET id = id + 50 WHERE id = 99"), 0);
}

/// A partition is created outside a run. The next run adds its triggers, even if no
/// migration is pending.
#[test]
fn partitions_made_between_runs() {
    let scene = postgres_with(PARTITIONED);
    let add = "CREATE TABLE ban_top PARTITION OF ban FOR VALUES FROM (100) TO (200);
        CREATE TABLE loose (id integer PRIMARY KEY, pattern text);
        ALTER TABLE ban ATTACH PARTITION loose FOR VALUES FROM (200) TO (300)";
    scene.execute(add);
    assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (100, 'x')"), "through the parent");
    assert!(!invalidates(&scene, "bans", "INSERT INTO ban_top VALUES (101, 'x')"), "not yet");
    let missing = ["public.ban_top", "public.loose"].map(|table| (table.to_owned(), "triggers".to_owned()));
    assert_eq!(missing_triggers(&scene), missing);
    retracks(&scene, 2);
    assert!(invalidates(&scene, "bans", "INSERT INTO ban_top VALUES (102, 'x')"));
    assert!(invalidates(&scene, "bans", "INSERT INTO loose VALUES (201, 'x')"));
}

#[test]
fn partitions_made_by_a_later_migration() {
    let scene = postgres_with(PARTITIONED);
    let add = "CREATE TABLE ban_top PARTITION OF ban FOR VALUES FROM (100) TO (200);\n-- bustard: down\nDROP TABLE ban_top;\n";
    migrated(&scene, "V2__more.sql", add);
    assert!(invalidates(&scene, "bans", "INSERT INTO ban_top VALUES (101, 'x')"));
    retracks(&scene, 0);
}

#[test]
fn detached_partitions() {
    let scene = postgres_with(PARTITIONED);
    scene.execute("ALTER TABLE ban DETACH PARTITION ban_high");
    retracks(&scene, 0);
    migrated(&scene, "V2__next.sql", "CREATE TABLE next (id integer);\n");
    assert!(!invalidates(&scene, "bans", "INSERT INTO ban_high_1 VALUES (15, 'x')"));
    assert!(invalidates(&scene, "bans", "INSERT INTO ban_low VALUES (5, 'x')"));
    assert_eq!(triggers(&scene).len(), 2 * 4, "{:?}", triggers(&scene));
    scene.execute("ALTER TABLE ban ATTACH PARTITION ban_high FOR VALUES FROM (10) TO (100)");
    retracks(&scene, 3);
    assert!(invalidates(&scene, "bans", "INSERT INTO ban_high_1 VALUES (16, 'x')"));
}

#[test]
fn inheritance_children() {
    let scene = postgres_with(
        "CREATE TABLE ban (id integer);
CREATE TABLE child () INHERITS (ban);
CREATE TABLE grandchild () INHERITS (child);
CREATE TABLE beside (id integer);
-- bustard: register cache bans on ban
",
    );
    for (expected, sql) in [
        (true, "INSERT INTO grandchild VALUES (1)"),
        (true, "INSERT INTO child VALUES (1)"),
        (true, "UPDATE ban SET id = 2"),
        (true, "DELETE FROM ONLY grandchild"),
        (false, "DELETE FROM ONLY ban"),
        (false, "INSERT INTO beside VALUES (1)"),
    ] {
        assert_eq!(invalidates(&scene, "bans", sql), expected, "{sql}");
    }
    scene.execute("CREATE TABLE late (more text) INHERITS (ban); CREATE TEMP TABLE mine () INHERITS (ban)");
    retracks(&scene, 1);
    assert!(invalidates(&scene, "bans", "INSERT INTO late VALUES (1)"));
}

/// A cache is registered on a partition alone. A write through the parent fires no trigger
/// of the partition, so the parent has triggers too.
#[test]
fn a_partition_alone() {
    let scene = postgres_with(&PARTITIONED.replace("bans on ban\n", "highs on ban_high\n"));
    for (expected, sql) in [
        (true, "INSERT INTO ban VALUES (12, 'x')"),
        (true, "INSERT INTO ban_high VALUES (13, 'x')"),
        (true, "INSERT INTO ban_high_1 VALUES (14, 'x')"),
        (true, "UPDATE ban SET id = 60 WHERE id = 14"),
        (true, "DELETE FROM ban WHERE id = 60"),
        (false, "DELETE FROM ban WHERE id = 60"),
        (false, "INSERT INTO ban_low VALUES (5, 'x')"),
        (true, "TRUNCATE ban"),
    ] {
        assert_eq!(invalidates(&scene, "highs", sql), expected, "{sql}");
    }
    // One table becomes a partition, and another table stops being a partition.
    migrated(
        &scene,
        "V2__loose.sql",
        "CREATE TABLE loose (id integer PRIMARY KEY, pattern text);\n-- bustard: register cache loose on loose\n",
    );
    scene.execute("ALTER TABLE ban ATTACH PARTITION loose FOR VALUES FROM (200) TO (300)");
    retracks(&scene, 1);
    assert!(invalidates(&scene, "loose", "INSERT INTO ban VALUES (200, 'x')"));
    migrated(&scene, "V3__detach.sql", "ALTER TABLE ban DETACH PARTITION loose;\n");
    assert!(!invalidates(&scene, "loose", "INSERT INTO ban VALUES (1, 'x')"));
}

/// A child may have a second parent, through which its rows can be changed.
#[test]
fn a_child_of_two() {
    let scene = postgres_with(
        "CREATE TABLE ban (id integer);
CREATE TABLE log (at integer);
CREATE TABLE child () INHERITS (ban, log);
-- bustard: register cache bans on ban
INSERT INTO child VALUES (1, 1);
",
    );
    assert!(invalidates(&scene, "bans", "DELETE FROM log"));
}

/// A foreign table cannot have these triggers, so it is reported, and nothing fails.
#[test]
fn a_foreign_table_that_becomes_a_partition() {
    let scene = postgres_with(PARTITIONED);
    let attach = "CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE FOREIGN TABLE far (id integer NOT NULL, pattern text) SERVER s;
ALTER TABLE ban DROP CONSTRAINT ban_pkey;
ALTER TABLE ban ATTACH PARTITION far FOR VALUES FROM (100) TO (200);
";
    migrated(&scene, "V2__far.sql", attach);
    assert_eq!(missing_triggers(&scene), [("public.far".to_owned(), "foreign".to_owned())]);
    super::bustard(&scene, &["status"]).success().says("a parent of the foreign table public.far");
    super::bustard(&scene, &["check"]).exits(0);
    assert_eq!(scene.migrate(&["--json"]).success().json()["changed"], false);
}
