//! Tests which rights the roles need.

use super::{bustard, count, migrated, postgres_with};

const BAN: &str = "CREATE TABLE ban (id integer PRIMARY KEY);
-- bustard: register cache bans on ban
";

/// A role that writes needs only the right to write, and no right on Bustard's objects.
#[test]
fn a_writer_without_rights() {
    let scene = postgres_with(BAN);
    let writer = scene.database().create_role("writer", "");
    scene.execute(&format!("GRANT INSERT ON ban TO {writer}; REVOKE ALL ON SCHEMA bustard FROM PUBLIC"));
    let before = count(&scene, "bans");
    scene.database().psql_as(&writer, "INSERT INTO ban VALUES (1)").success();
    assert_eq!(count(&scene, "bans") - before, 1);
    // A role cannot create triggers with Bustard's function on tables of its own.
    scene.execute(&format!(
        "GRANT CREATE ON SCHEMA public TO {writer}; GRANT USAGE ON SCHEMA bustard TO {writer}"
    ));
    let own = format!(
        "CREATE TABLE mine (); CREATE TRIGGER t AFTER INSERT ON mine EXECUTE FUNCTION {}()",
        super::function(&scene, "ban")
    );
    scene.database().psql_as(&writer, &own).exits(1).complains("42501");
    for call in [
        "drop_triggers()",
        "register_cache_on('x', NULL, 'ban')",
        "register_cache_again('bans')",
        "revert_register_cache('bans')",
        "change_cache('bans', 'main', 'mine')",
        "change_cache_back('bans')",
        "set_sources(2, '{}')",
        "install_sources(NULL)",
        "write_function(3)",
    ] {
        scene.database().psql_as(&writer, &format!("SELECT bustard.{call}")).exits(1).complains("42501");
    }
}

/// The owner of registry and tables needs no other rights. A table of another owner
/// is refused with a clear error.
#[test]
fn a_migrating_role_that_is_no_superuser() {
    let scene = crate::support::Scene::postgres();
    let owner = scene.database().create_role("owner", "");
    let name = scene.database().name().to_owned();
    scene.execute(&format!(
        "GRANT CREATE ON DATABASE {name} TO {owner}; GRANT CREATE ON SCHEMA public TO {owner};
         CREATE TABLE foreign_ban (id integer); GRANT ALL ON foreign_ban TO {owner}; REVOKE TRIGGER ON foreign_ban FROM {owner}"
    ));
    let url = scene.database().url_as(&owner);
    scene.file("V1__ban.sql", BAN);
    scene.project.bustard(&["migrate", "--database-url", &url]).success();
    let before = count(&scene, "bans");
    scene.execute("INSERT INTO ban VALUES (1)");
    assert_eq!(count(&scene, "bans") - before, 1);
    scene.project.bustard(&["status", "--database-url", &url]).success();
    scene.file("V2__foreign.sql", "-- bustard: register cache others on foreign_ban\n");
    scene
        .project
        .bustard(&["migrate", "--database-url", &url])
        .exits(1)
        .complains("42501")
        .complains("the triggers of the cache \"others\" cannot be created on public.foreign_ban")
        .complains("V2__foreign.sql:1:1")
        .complains("lacks a right on public.foreign_ban, which belongs to the superuser");
    std::fs::remove_file(scene.project.path().join("migrations/V2__foreign.sql")).expect("it is there");
    scene.execute("CREATE TABLE other_ban (id integer PRIMARY KEY); ALTER TABLE ban RENAME TO old; ALTER TABLE other_ban RENAME TO ban");
    let outcome = scene.project.bustard(&["migrate", "--database-url", &url]).exits(1);
    outcome.complains("the triggers of the cache \"bans\" cannot be created on public.ban");
    // A run as a superuser works too, and may unregister a cache of another role, if this
    // role is trusted.
    scene.execute(&format!("ALTER DATABASE {} OWNER TO {owner}", scene.database().name()));
    migrated(&scene, "V2__off.sql", "-- bustard: unregister cache bans\n");
    assert_eq!(super::triggers(&scene), [""; 0]);
}

/// The function of the trigger runs with the rights of its owner and with the settings of
/// the writer.
#[test]
fn a_hostile_search_path() {
    let scene = postgres_with(
        "CREATE TABLE ban (id integer) PARTITION BY LIST (id);
CREATE TABLE ban_1 PARTITION OF ban FOR VALUES IN (1);
CREATE TABLE plain (id integer);
-- bustard: register cache bans on ban, plain
",
    );
    let mallory = scene.database().create_role("mallory", "");
    scene.execute(&format!(
        "GRANT CREATE ON DATABASE {} TO {mallory}; GRANT ALL ON ban, ban_1, plain TO {mallory}",
        scene.database().name()
    ));
    let mut client = scene.database().client_as(&mallory);
    client.batch_execute(include_str!("../../sql/hostile.sql")).expect("the traps are set");
    let ambush = "CREATE TEMP TABLE changed (); CREATE TEMP TABLE cache (); CREATE TEMP TABLE event ();
        SET standard_conforming_strings = off; SET search_path = evil, pg_temp, bustard, pg_catalog";
    client.batch_execute(ambush).expect("they are settings");
    let before = count(&scene, "bans");
    let writes = "INSERT INTO public.ban VALUES (1); UPDATE public.ban_1 SET id = 1; DELETE FROM public.ban; TRUNCATE public.plain";
    client.batch_execute(writes).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(count(&scene, "bans") - before, 4);
    // The traps do not affect the role that migrates either.
    scene.execute(&format!("{ambush}; SELECT bustard.unregister_cache('bans')"));
    scene.execute(&format!("{ambush}; SELECT bustard.register_cache_again('bans')"));
    scene.execute("CREATE TABLE ban_2 PARTITION OF ban FOR VALUES IN (2); ALTER TABLE plain RENAME TO flat");
    scene.execute(&format!(
        "{ambush}; SELECT * FROM bustard.missing_triggers(); SELECT bustard.install_triggers()"
    ));
    scene.execute(&format!(
        "{ambush}; SELECT bustard.register_cache_on('more', NULL, 'public.flat', 'public.ban_2')"
    ));
    bustard(&scene, &["check"]).exits(0);
    // The sources of `ban` and its partitions, of `flat`, and of one partition alone, whose
    // parent has triggers too.
    assert_eq!(super::triggers(&scene).len(), 3 * 4 + 4 + 2 * 4);
}

/// A role that does not own the registry migrates an app of its own.
#[test]
fn a_role_with_an_app_of_its_own() {
    let scene = postgres_with(BAN);
    let guest = scene.database().create_role("guest", "");
    scene.execute(&format!(
        "CREATE SCHEMA guest AUTHORIZATION {guest}; ALTER ROLE {guest} SET search_path = guest;
         GRANT SELECT ON bustard.refinery_schema_history_bustard TO {guest}"
    ));
    let project = crate::support::Project::new();
    let url = scene.database().url_as(&guest);
    let migrate = |arguments: &[&str]| {
        project.bustard(&[&["migrate", "--database-url", &url, "--json"], arguments].concat())
    };
    project.file("bustard.toml", "[[apps]]\nlabel = \"own\"\nmigrations = \"migrations\"\n");
    project.file("migrations/V1__own.sql", "CREATE TABLE own (id integer);\n");
    let before = count(&scene, "bans");
    migrate(&[]).success();
    assert_eq!(count(&scene, "bans") - before, 1);
    assert_eq!(migrate(&[]).success().json()["changed"], false);
    // Other roles run the recorded revert statements, so a guest may not write them.
    assert_eq!(
        scene.value("SELECT count(*) FROM bustard.migration WHERE revert <> '' OR body_checksum <> ''"),
        "1"
    );
    assert_eq!(scene.value("SELECT string_agg(label, ',') FROM bustard.app"), "main");
    scene.execute("ALTER TABLE ban DISABLE TRIGGER ALL");
    let refused = migrate(&[]).exits(1);
    let said = "the triggers of the cache \\\"bans\\\" are missing on public.ban, and only the owner of the registry";
    assert!(refused.stdout.contains(said), "{refused}");
}
