//! Tests that a dump contains the triggers and the objects that they depend on.

use std::process::Command;

use super::{Scene, count, invalidates, migrated, postgres_with, retracks};
use crate::support::{Binaries, Cluster, Database, Outcome};

const BAN: &str = "-- bustard: register cache first
-- bustard: unregister cache first
CREATE TABLE ban (id integer PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE ban_1 PARTITION OF ban FOR VALUES FROM (0) TO (100);
-- bustard: register cache bans on ban
INSERT INTO ban VALUES (1);
";

fn dump(scene: &Scene, options: &[&str]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut dump: Command = Binaries::find().client_command("pg_dump");
    dump.args(options).arg("--dbname").arg(scene.database().url()).arg("--file").arg(file.path());
    Outcome::of(dump).success();
    file
}

/// In another cluster, the OIDs of objects differ.
#[test]
fn into_another_cluster() {
    let scene = postgres_with(BAN);
    let cluster = Cluster::start_with(&[]);
    let restored = Database::on(&cluster);
    restored.psql_file(dump(&scene, &[]).path()).success();
    let version = || -> i64 {
        restored.value("SELECT bustard.get_version('bans')").parse::<i64>().expect("a version") >> 23
    };
    assert_eq!(version(), count(&scene, "bans"), "restoring invalidates nothing");
    restored.psql("INSERT INTO ban VALUES (2); UPDATE ban_1 SET id = 3 WHERE id = 2");
    assert_eq!(version(), count(&scene, "bans") + 2);
    let url = restored.url();
    let run = |arguments: &[&str]| scene.project.bustard(&[arguments, &["--database-url", &url]].concat());
    // The next run gives the copy an identity of its own, and has nothing else to do.
    run(&["check"]).exits(3);
    assert_eq!(run(&["migrate", "--json"]).success().json()["restored_triggers"], serde_json::json!([]));
    run(&["check"]).exits(0);
    assert_eq!(run(&["migrate", "--json"]).success().json()["changed"], false);
    // The next migration records the tables' identities, so that they can be found
    // again.
    scene.file("V2__next.sql", "CREATE TABLE next (id integer);\n");
    run(&["migrate"]).success();
    restored.psql("ALTER TABLE ban RENAME TO banned");
    assert_eq!(run(&["migrate", "--json"]).success().json()["restored_triggers"][0]["why"], "renamed");
    restored.psql("INSERT INTO banned VALUES (4)");
}

/// A table is renamed, and then dumped and restored before any run. Nothing connects the
/// old name with the new name, but the triggers work, and no run removes them.
#[test]
fn renamed_before_the_dump() {
    let scene = postgres_with(BAN);
    scene.execute("ALTER TABLE ban RENAME TO banned");
    let cluster = Cluster::start_with(&[]);
    let restored = Database::on(&cluster);
    restored.psql_file(dump(&scene, &[]).path()).success();
    let version = || restored.value("SELECT bustard.get_version('bans')");
    scene.file("V2__next.sql", "CREATE TABLE next (id integer);\n");
    scene.project.bustard(&["migrate", "--database-url", &restored.url()]).success();
    let before = version();
    restored.psql("INSERT INTO banned VALUES (5)");
    assert_ne!(version(), before);
}

/// One table is restored into a database where the sources have other ids. Its triggers
/// work, because they call a function that is named after the table.
#[test]
fn a_table_alone_into_another_database() {
    let scene = postgres_with(BAN);
    let other = Scene::postgres();
    let tables = "CREATE TABLE beside (id integer);
CREATE TABLE ban (id integer PRIMARY KEY) PARTITION BY RANGE (id);
-- bustard: register cache others on beside
-- bustard: register cache bans on ban
";
    migrated(&other, "V1__other.sql", tables);
    other.execute("DROP TABLE ban");
    other.database().psql_file(dump(&scene, &["--table=ban", "--table=ban_1"]).path()).success();
    assert!(invalidates(&other, "bans", "INSERT INTO ban VALUES (2)"));
    assert!(!invalidates(&other, "others", "INSERT INTO ban VALUES (3)"));
    retracks(&other, 0);
}
