//! Tests registering and unregistering caches on tables, and reverting both.

use super::{
    Scene, both_with, bustard, count, counted, invalidates, migrated, postgres_with, retracks, triggers,
};

const BAN: &str = "CREATE TABLE ban (id integer PRIMARY KEY);
CREATE TABLE \"Odd, name\" (id integer PRIMARY KEY);
-- bustard: register cache bans on ban, \"Odd, name\"
INSERT INTO ban VALUES (1);
";

/// Writes of the migration itself also invalidate the cache.
#[test]
fn in_the_migration_that_creates_and_fills_the_table() {
    for scene in both_with(BAN) {
        assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (2)"));
        assert!(invalidates(&scene, "bans", "INSERT INTO \"Odd, name\" VALUES (2)"));
        retracks(&scene, 0);
    }
}

#[test]
fn two_caches_on_one_table() {
    let long = "n".repeat(110);
    for scene in both_with(&format!(
        "CREATE TABLE ban (id integer);
-- bustard: register cache a on ban
-- bustard: register cache \"{long} it's \"\"1\"\" \\\" on ban
-- bustard: register cache {long}2 on ban
"
    )) {
        let caches = ["a".to_owned(), format!("{long} it''s \"1\" \\"), format!("{long}2")];
        let before = caches.each_ref().map(|cache| count(&scene, cache));
        scene.execute("INSERT INTO ban VALUES (1)");
        assert_eq!(caches.each_ref().map(|cache| count(&scene, cache)), before.map(|count| count + 1));
        bustard(&scene, &["caches", "unregister", "a", "--force"]).success();
        assert_eq!(counted(&scene, &caches[2], "INSERT INTO ban VALUES (2)"), 1);
    }
}

/// Every way of unregistering removes the triggers.
#[test]
fn unregistering_removes_the_triggers() {
    let ways: [fn(&Scene); 4] = [
        |scene| drop(bustard(scene, &["caches", "unregister", "bans", "--force"]).success()),
        |scene| drop(migrated(scene, "V2__off.sql", "-- bustard: unregister cache bans\n")),
        |scene| match scene.is_postgres() {
            true => scene.execute("SELECT bustard.unregister_cache('bans')"),
            false => {
                let mut connection = scene.project.sqlite("app.db");
                bustard::registry::unregister(&mut connection, "bans").expect("it is registered");
            }
        },
        |scene| drop(bustard(scene, &["revert", "--steps", "1"]).success()),
    ];
    for way in ways {
        for scene in both_with(&format!("{BAN}-- bustard: down\nDELETE FROM ban;\n")) {
            way(&scene);
            assert_eq!(triggers(&scene), [""; 0]);
            scene.execute("INSERT INTO ban VALUES (7)");
        }
    }
}

#[test]
fn unregistering_after_the_table_was_dropped() {
    for scene in both_with(BAN) {
        scene.execute("DROP TABLE ban");
        migrated(&scene, "V2__off.sql", "-- bustard: unregister cache bans\n");
        assert_eq!(triggers(&scene), [""; 0]);
    }
}

/// The tracked tables are restored when the unregistration is reverted.
#[test]
fn reverting_unregister() {
    for scene in both_with(BAN) {
        migrated(&scene, "V2__off.sql", "-- bustard: unregister cache bans\n");
        assert_eq!(triggers(&scene), [""; 0]);
        bustard(&scene, &["revert", "--steps", "1"]).success();
        assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (2)"));
        assert!(invalidates(&scene, "bans", "INSERT INTO \"Odd, name\" VALUES (2)"));
        std::fs::remove_file(scene.project.path().join("migrations/V2__off.sql")).expect("it is there");
        retracks(&scene, 0);
    }
}

/// A new registration has tables of its own. Reverting its unregistration restores these
/// tables.
#[test]
fn registering_again() {
    for scene in both_with(BAN) {
        migrated(&scene, "V2__off.sql", "-- bustard: unregister cache bans\n");
        migrated(&scene, "V3__other.sql", "-- bustard: register cache bans on \"Odd, name\"\n");
        assert!(!invalidates(&scene, "bans", "INSERT INTO ban VALUES (2)"));
        assert!(invalidates(&scene, "bans", "INSERT INTO \"Odd, name\" VALUES (2)"));
        migrated(&scene, "V4__off.sql", "-- bustard: unregister cache bans\n");
        bustard(&scene, &["caches", "register", "bans"]).success();
        assert_eq!(triggers(&scene), [""; 0]);
        retracks(&scene, 0);
        bustard(&scene, &["caches", "unregister", "bans", "--force"]).success();
        // The last registration had no tables.
        bustard(&scene, &["revert", "--steps", "1"]).success();
        assert_eq!(triggers(&scene), [""; 0]);
        assert!(!invalidates(&scene, "bans", "INSERT INTO \"Odd, name\" VALUES (3)"));
    }
}

#[test]
fn moved_from_one_table_to_another() {
    for scene in both_with(BAN) {
        let swap = "CREATE TABLE other (id integer);
-- bustard: unregister cache bans
-- bustard: register cache bans on other
";
        migrated(&scene, "V2__swap.sql", swap);
        assert!(invalidates(&scene, "bans", "INSERT INTO other VALUES (2)"));
        assert!(!invalidates(&scene, "bans", "INSERT INTO ban VALUES (2)"));
        retracks(&scene, 0);
    }
}

#[test]
fn many_tables() {
    let names: Vec<String> = (0..60).map(|i| format!("t{i}")).collect();
    let create: String = names.iter().map(|name| format!("CREATE TABLE {name} (id integer);\n")).collect();
    for scene in both_with(&format!("{create}-- bustard: register cache bans on {}\n", names.join(", "))) {
        let writes: String = names.iter().map(|name| format!("INSERT INTO {name} VALUES (1);")).collect();
        assert_eq!(counted(&scene, "bans", &writes), 60);
        retracks(&scene, 0);
    }
}

/// A table name is resolved like a name in the SQL around the directive.
#[test]
fn under_the_migrations_own_search_path() {
    let scene = postgres_with(
        "CREATE SCHEMA forum;
CREATE TABLE ban (id integer);
CREATE TABLE forum.ban (id integer);
SET search_path = forum;
-- bustard: register cache bans on BAN
-- bustard: register cache others on public.ban
",
    );
    assert!(invalidates(&scene, "bans", "INSERT INTO forum.ban VALUES (1)"));
    assert!(!invalidates(&scene, "bans", "INSERT INTO public.ban VALUES (1)"));
    assert!(invalidates(&scene, "others", "INSERT INTO public.ban VALUES (1)"));
}

/// A revert restores the tables of the previous registration, even after many
/// registrations.
#[test]
fn reverting_another_choice_of_tables() {
    let other = "CREATE TABLE other (id integer);
-- bustard: unregister cache bans
-- bustard: register cache bans on ban, other
-- bustard: down
DROP TABLE other;
";
    for scene in both_with(BAN) {
        migrated(&scene, "V2__other.sql", other);
        let on_odd = "-- bustard: unregister cache bans\n-- bustard: register cache bans on \"Odd, name\"\n";
        migrated(&scene, "V3__odd.sql", on_odd);
        migrated(&scene, "V4__off.sql", "-- bustard: unregister cache bans\n");
        migrated(&scene, "V5__plain.sql", "-- bustard: register cache bans\n");
        for (ban, odd, others) in
            [(false, false, None), (false, true, Some(false)), (true, false, Some(true)), (true, true, None)]
        {
            bustard(&scene, &["revert", "--steps", "1"]).success();
            if (ban, odd) == (false, false) {
                assert_eq!(triggers(&scene), [""; 0], "the cache is not registered");
                continue;
            }
            assert_eq!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (2); DELETE FROM ban"), ban);
            assert_eq!(
                invalidates(
                    &scene,
                    "bans",
                    "INSERT INTO \"Odd, name\" VALUES (2); DELETE FROM \"Odd, name\""
                ),
                odd
            );
            if let Some(others) = others {
                assert_eq!(invalidates(&scene, "bans", "INSERT INTO other VALUES (2)"), others);
            }
            assert_eq!(super::missing_triggers(&scene), []);
        }
    }
}
