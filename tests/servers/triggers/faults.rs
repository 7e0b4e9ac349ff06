//! Proves that the tests of triggers find faults.

use super::{Scene, invalidates, postgres_with};
use crate::support::{Outcome, faulty_bustard};

const BAN: &str = "CREATE TABLE ban (id integer) PARTITION BY RANGE (id);
CREATE TABLE ban_1 PARTITION OF ban FOR VALUES FROM (0) TO (10);
-- bustard: register cache bans on ban
";

const MORE: &str = "CREATE TABLE ban_2 PARTITION OF ban FOR VALUES FROM (10) TO (20);\n";

/// Applies a second migration with this fault, and returns whether a write to the
/// partition that it creates invalidates.
fn sees_new_partitions(fault: Option<&str>) -> bool {
    let scene = postgres_with(BAN);
    scene.file("V2__more.sql", MORE);
    let arguments = ["migrate", "--database-url", &scene.url()];
    let command = match fault.map(faulty_bustard) {
        Some((program, (name, value))) => {
            let mut command = scene.project.command_of(&program, &arguments);
            command.env(name, value);
            command
        }
        None => scene.project.command(&arguments),
    };
    Outcome::of(command).success();
    invalidates(&scene, "bans", "INSERT INTO ban_2 VALUES (11)")
}

#[test]
fn a_run_that_restores_nothing() {
    assert!(sees_new_partitions(None));
    assert!(!sees_new_partitions(Some("no-reinstallation")));
}

/// In this fault, only the registered table has triggers.
#[test]
fn no_triggers_on_partitions() {
    let scene = postgres_with("CREATE TABLE first (id integer);\n");
    let function = include_str!("../../../migrations/R__wanted_triggers.postgres.sql");
    let faulty = function.replace("WHERE k.relkind", "WHERE false AND k.relkind");
    assert!(faulty.contains("WHERE false"));
    scene.execute(&faulty);
    // A run would restore the function.
    scene.execute(&format!("{BAN}SELECT bustard.register_cache_on('bans', 'main', 'ban')"));
    assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (1)"));
    assert!(!invalidates(&scene, "bans", "INSERT INTO ban_1 VALUES (2)"));
}

/// In these faults, row triggers count rows, or a statement trigger that does not check the
/// rows counts statements that change nothing.
#[test]
fn triggers_that_do_not_check_rows() {
    let scene: Scene =
        postgres_with("CREATE TABLE ban (id integer);\n-- bustard: register cache bans on ban\n");
    assert!(!invalidates(&scene, "bans", "DELETE FROM ban WHERE false"));
    scene.execute(&format!(
        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
         $$ BEGIN PERFORM bustard.invalidate('bans'); RETURN NULL; END $$",
        super::function(&scene, "ban")
    ));
    assert!(invalidates(&scene, "bans", "DELETE FROM ban WHERE false"));
}
