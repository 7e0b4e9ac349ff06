//! Keyed caches whose sources change, that are unregistered and registered again, and the
//! versions of their keys meanwhile.

use super::{MEMBERSHIP, postgres_with, refused, touches, versions};
use crate::triggers::{bustard, migrated, missing_triggers, tables, triggers};

const KEYS: [&str; 3] = ["1", "2", "3"];

/// Versions of the cache and of its keys never go back, whatever the change.
#[test]
fn versions_never_go_back() {
    let scene = postgres_with(&format!("{MEMBERSHIP}CREATE TABLE other (user_id bigint, name text);\n"));
    let mut before = versions(&scene, "permissions", &KEYS);
    let writes = "INSERT INTO membership (user_id, role) VALUES (1, 'x'), (2, 'y'); INSERT INTO other VALUES (1, '1'); INSERT INTO other VALUES (1, '1')";
    for (i, on) in [
        "membership by user_id",
        "membership by user_id, membership",
        "other by user_id, membership by user_id",
        "other by user_id",
        "other by name",
        "other, membership",
        "other by user_id, role",
        "membership by role",
    ]
    .iter()
    .enumerate()
    {
        for fold in [false, true] {
            scene.execute(&format!("{writes}; {}", if *on != "other, membership" && i > 0 { "SELECT bustard.notify()" } else { "SELECT bustard.invalidate_key('permissions', 1), bustard.invalidate_key('permissions', 2)" }));
            if fold {
                scene.execute("SELECT bustard.fold()");
            }
        }
        migrated(
            &scene,
            &format!("V{}__change.sql", i + 2),
            &format!("-- bustard: change cache permissions on {on}\n"),
        );
        let whole_only = *on == "other, membership";
        let keys = if whole_only { [].as_slice() } else { KEYS.as_slice() };
        let after = versions(&scene, "permissions", keys);
        assert!(
            after.iter().zip(&before).all(|(after, before)| after >> 23 > before >> 23),
            "{on}: {before:?} {after:?}"
        );
        if whole_only {
            before[0] = after[0];
        } else {
            before = after;
        }
        assert_eq!(missing_triggers(&scene), []);
    }
}

#[test]
fn a_change_is_reverted_to_the_recorded_columns() {
    let scene = postgres_with(MEMBERSHIP);
    let first = ["membership by user_id", "role"];
    assert_eq!(tables(&scene, "permissions"), first);
    migrated(
        &scene,
        "V2__change.sql",
        "-- bustard: change cache permissions on membership by (user_id, role)\n",
    );
    assert_eq!(tables(&scene, "permissions"), ["membership by (user_id, role)"]);
    touches(
        &scene,
        "permissions",
        &["ARRAY['1', 'a']", "ARRAY['1', 'b']", "ARRAY['01', 'a']"],
        "INSERT INTO membership (user_id, role) VALUES (1, 'a')",
        &["ARRAY['1', 'a']", "ARRAY['01', 'a']"],
    );
    assert_eq!(refused(&scene, "SELECT bustard.get_version('permissions', '1')"), "22P02");
    migrated(&scene, "V3__off.sql", "-- bustard: unregister cache permissions\n");
    assert_eq!(triggers(&scene).len(), 4, "those of the whole cache: {:?}", triggers(&scene));
    bustard(&scene, &["check"]).exits(0);
    for expected in [["membership by (user_id, role)"].as_slice(), &first] {
        bustard(&scene, &["revert", "--steps", "1"]).success();
        assert_eq!(tables(&scene, "permissions"), expected);
        assert_eq!(missing_triggers(&scene), []);
    }
    touches(&scene, "permissions", &KEYS, "INSERT INTO membership (user_id) VALUES (2)", &["2"]);
}

/// A whole cache, and caches of several keys, on one table.
#[test]
fn several_caches_on_one_table() {
    let scene = postgres_with(&format!(
        "{MEMBERSHIP}-- bustard: register cache roles on membership by role\n-- bustard: register cache more on membership by user_id\n"
    ));
    assert_eq!(triggers(&scene).len(), 16);
    let members =
        || scene.value("SELECT bustard.get_version('members') >> 23").parse::<i64>().expect("a number");
    let before = members();
    let names = ["'a'", "'b'"];
    touches(&scene, "more", &KEYS, "INSERT INTO membership (user_id, role) VALUES (1, 'a')", &["1"]);
    touches(&scene, "roles", &names, "UPDATE membership SET role = 'b'", &names);
    touches(&scene, "permissions", &KEYS, "UPDATE membership SET role = 'c'", &["1"]);
    assert_eq!(members() - before, 3);
    // An explicit invalidation of a key is of this cache only.
    touches(&scene, "more", &KEYS, "SELECT bustard.invalidate_key('permissions', 1)", &[]);
    touches(
        &scene,
        "permissions",
        &KEYS,
        "SELECT bustard.invalidate_key('permissions', '1', '3')",
        &["1", "3"],
    );
    touches(
        &scene,
        "permissions",
        &KEYS,
        "SELECT bustard.invalidate_key('permissions', 1, 2), bustard.invalidate_key('more', 3)",
        &["1", "2"],
    );
    touches(&scene, "permissions", &KEYS, "SELECT bustard.invalidate('permissions')", &KEYS);
    touches(&scene, "permissions", &KEYS, "SELECT bustard.invalidate_all()", &KEYS);
    // Unregistering one leaves the others.
    scene.execute("SELECT bustard.unregister_cache('permissions')");
    touches(&scene, "more", &KEYS, "INSERT INTO membership (user_id) VALUES (2)", &["2"]);
    scene.execute("SELECT bustard.unregister_cache('more'), bustard.unregister_cache('roles')");
    assert_eq!(triggers(&scene).len(), 4);
}

/// A table that is renamed, swapped, or gets the name of another tracked table.
#[test]
fn tables_that_are_renamed() {
    let scene = postgres_with(MEMBERSHIP);
    scene.execute("ALTER TABLE membership RENAME TO member");
    touches(&scene, "permissions", &KEYS, "INSERT INTO member (user_id) VALUES (2)", &["2"]);
    scene.migrate(&[]).success();
    assert_eq!(tables(&scene, "permissions"), ["member by user_id", "role"]);
    scene.execute("ALTER TABLE member RENAME TO old; CREATE TABLE member (user_id uuid)");
    scene.migrate(&[]).success();
    touches(&scene, "permissions", &KEYS, "INSERT INTO member VALUES (gen_random_uuid())", &KEYS);
    assert_eq!(missing_triggers(&scene), [("public.member by user_id".to_owned(), "keys".to_owned())]);
    scene.execute("DROP TABLE member; ALTER TABLE old RENAME TO member");
    scene.migrate(&[]).success();
    touches(&scene, "permissions", &KEYS, "INSERT INTO member (user_id) VALUES (3)", &["3"]);
    bustard(&scene, &["check"]).exits(0);
    // Disabled and edited triggers are found, and count for all keys until they are put right.
    scene.execute("ALTER TABLE member DISABLE TRIGGER ALL");
    bustard(&scene, &["check"]).exits(3);
    touches(&scene, "permissions", &KEYS, "SELECT bustard.install_triggers()", &KEYS);
    bustard(&scene, &["check"]).exits(0);
}

/// An open transaction invalidates for itself, and another one does not see it.
#[test]
fn a_transaction_sees_its_own_invalidations() {
    let scene = postgres_with(MEMBERSHIP);
    let mut client = scene.database().client();
    let mut own = |sql: &str| -> Vec<String> {
        let mut transaction = client.transaction().expect("it begins");
        transaction.batch_execute(sql).expect("it runs");
        let owns =
            |key: &str| format!("(SELECT i.own FROM bustard.identity('permissions', ARRAY['{key}']) AS i)");
        let valid = "bustard.is_valid('permissions', '1', bustard.get_version('permissions', 1))";
        let sql = format!(
            "SELECT concat_ws(' ', {}, {}, (bustard.identity('permissions')).own, {valid})",
            owns("1"),
            owns("2")
        );
        let row: String = transaction.query_one(&sql, &[]).expect("it answers").get(0);
        row.split(' ').map(str::to_owned).collect()
    };
    // The transaction reads rows of all keys that nobody else sees.
    assert_eq!(own("INSERT INTO membership (user_id) VALUES (1)"), ["t", "t", "t", "t"]);
    assert_eq!(own("SELECT bustard.invalidate_key('permissions', 1)"), ["t", "t", "t", "t"]);
    assert_eq!(own("SELECT 1"), ["f", "f", "f", "t"]);
    touches(&scene, "permissions", &KEYS, "SELECT 1", &[]);
}
