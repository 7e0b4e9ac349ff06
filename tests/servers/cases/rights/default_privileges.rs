//! B1: rights that other roles get on our tables.

use crate::support::Scene;

/// A database with default privileges, a role that has them, and an app.
fn with_defaults(grantee: &str, suffix: &str) -> (Scene, String) {
    let scene = Scene::postgres();
    let app = scene.database().create_role(suffix, "");
    let to = grantee.replace("$app", &app);
    for kind in ["TABLES", "FUNCTIONS", "SCHEMAS", "SEQUENCES", "TYPES"] {
        scene.execute(&format!("ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO {to}"));
    }
    scene.file(
        "V1__base.sql",
        "-- bustard: register cache threads\nCREATE TABLE thread (id INTEGER PRIMARY KEY);\n-- bustard: down\nDROP TABLE thread;\n",
    );
    scene.project.config(&format!(
        "[database]\nurl = \"{}\"\n[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n",
        scene.url()
    ));
    scene.migrate(&[]).success();
    (scene, app)
}

/// The rights of a role on our objects beside those of every role, one a line.
fn rights(scene: &Scene, role: &str) -> String {
    scene.value(&format!(
        "SELECT coalesce(string_agg(o, E'\\n' ORDER BY o), '') FROM (
            SELECT format('%s on %s', p, c.oid::regclass) AS o FROM pg_class c,
                unnest('{{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}}'::text[]) AS p
            WHERE (c.relnamespace = 'bustard'::regnamespace OR c.relname ~ '^refinery')
              AND c.relkind = ANY ('{{r,v}}') AND has_table_privilege('{role}', c.oid, p)
              AND (c.oid::regclass::text, p) NOT IN (('bustard.app', 'SELECT'), ('bustard.caches', 'SELECT'),
                  ('refinery_schema_history', 'SELECT'))
          UNION ALL SELECT format('EXECUTE on %s', f.oid::regprocedure) FROM pg_proc f
            WHERE f.pronamespace = 'bustard'::regnamespace AND has_function_privilege('{role}', f.oid, 'EXECUTE')
              AND NOT EXISTS (SELECT FROM aclexplode(f.proacl) a WHERE a.grantee = 0)
          UNION ALL SELECT 'CREATE on bustard' WHERE has_schema_privilege('{role}', 'bustard', 'CREATE')
        ) AS all_rights"
    ))
}

#[test]
fn b1_default_privileges_give_nothing_on_our_tables() {
    for grantee in ["$app", "PUBLIC"] {
        let (scene, app) = with_defaults(grantee, "app");
        assert_eq!(rights(&scene, &app), "", "to {grantee}");
        // The app's own tables are as the default privileges say.
        assert_eq!(scene.value(&format!("SELECT has_table_privilege('{app}', 'thread', 'UPDATE')")), "t");
        let forged =
            scene.database().psql_as(&app, "UPDATE bustard.migration SET revert = 'DROP TABLE thread'");
        forged.exits(1).complains("42501");
        // It has all that every role has.
        scene
            .database()
            .psql_as(&app, "SELECT bustard.invalidate('threads'), * FROM bustard.caches")
            .success();
        let check = scene.project.bustard(&["check"]).success();
        assert!(!check.stderr.contains("rights to change"), "{check}");
    }
}

/// A function that is installed again keeps the rights that a person gave.
#[test]
fn b1_rights_on_installed_functions_stay() {
    let (scene, app) = with_defaults("$app", "app");
    scene.execute(&format!("GRANT EXECUTE ON FUNCTION bustard.register_cache(text, text) TO {app}"));
    scene.execute("UPDATE bustard.repeatable SET checksum = 'other', edition = 0, definition = NULL WHERE name = 'register_cache'");
    scene.migrate(&[]).success().says("own tables  updated");
    assert_eq!(rights(&scene, &app), "EXECUTE on bustard.register_cache(text,text)");
}

/// Rights that a person gave stay, and `check` and `status` name them until the role is
/// trusted.
#[test]
fn b1_rights_that_a_person_gave_are_named() {
    let (scene, app) = with_defaults("$app", "app");
    for (grant, says) in [
        (
            format!("GRANT UPDATE, SELECT ON bustard.migration TO {app}"),
            format!("the role {app} has rights to change bustard.migration: UPDATE"),
        ),
        (
            format!("GRANT UPDATE (name) ON refinery_schema_history TO {app}"),
            format!("the role {app} has rights to change public.refinery_schema_history: UPDATE"),
        ),
        (
            format!("GRANT CREATE ON SCHEMA bustard TO {app}"),
            format!("the role {app} has rights to change the schema bustard: CREATE"),
        ),
        (
            "GRANT INSERT, DELETE ON bustard.app TO PUBLIC".to_owned(),
            "the role PUBLIC has rights to change bustard.app: DELETE, INSERT".to_owned(),
        ),
    ] {
        scene.execute(&grant);
        scene.migrate(&[]).success();
        for command in ["check", "status"] {
            let outcome = scene.project.bustard(&[command]).success();
            assert!(outcome.stderr.contains(&says), "{outcome}");
        }
    }
    let trusted = format!("{}\n[registry]\ntrust = [\"{app}\"]\n", scene.project.read("bustard.toml"));
    scene.project.config(&trusted);
    let json = scene.project.bustard(&["check", "--json"]).success().json();
    let codes: Vec<&str> = json["warnings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(codes, ["foreign-grant"], "only PUBLIC is left: {json}");
}

/// The statements that an uninstall runs come from a table, so the plan shows them.
#[test]
fn b1_an_uninstall_shows_its_statements() {
    for scene in Scene::both() {
        scene.file("V1__a.sql", "CREATE TABLE a (id INTEGER);\n-- bustard: down\nDROP TABLE a;\n");
        scene.migrate(&[]).success();
        let table = if scene.is_postgres() { "bustard.migration" } else { "bustard_migration" };
        scene.execute(&format!(
            "UPDATE {table} SET revert = 'DROP TABLE a; DROP TABLE IF EXISTS forged;' WHERE app = 'main'"
        ));
        std::fs::remove_file(scene.project.path().join("migrations/V1__a.sql")).expect("it is there");
        scene.file("R__nothing.sql", "SELECT 1;");
        let outcome = scene.project.bustard(&["uninstall", "main", "--database-url", &scene.url()]).exits(2);
        assert!(
            outcome.stdout.contains("DROP TABLE a;")
                && outcome.stdout.contains("DROP TABLE IF EXISTS forged;"),
            "{outcome}"
        );
    }
}

/// What a role without any grant can do, and what not.
#[test]
fn b1_what_every_role_can_do() {
    let (scene, _) = with_defaults("$app", "app");
    let any = scene.database().create_role("any", "");
    assert_eq!(rights(&scene, &any), "");
    for sql in [
        "SELECT bustard.get_version('threads'), bustard.is_valid('threads', 1)",
        "SELECT * FROM bustard.caches, bustard.identity('threads'), bustard.missing_triggers()",
        "SELECT bustard.invalidate('threads'), bustard.invalidate_all(), bustard.notify()",
        "SELECT bustard.fold()",
        "SELECT label, history, state FROM bustard.app",
        "SELECT app, version, body_checksum, depends_on, required_by FROM bustard.migration",
    ] {
        scene.database().psql_as(&any, sql).success();
    }
    for sql in [
        "SELECT bustard.register_cache('new')",
        "SELECT bustard.register_cache_on('new', 'main', 'thread')",
        "SELECT bustard.unregister_cache('threads')",
        "SELECT bustard.drop_triggers()",
        "SELECT revert FROM bustard.migration",
        "SELECT revert FROM bustard.repeatable",
        "SELECT * FROM bustard.event",
        "INSERT INTO bustard.event (cell) VALUES (4096)",
        "UPDATE bustard.base SET n = 0",
        "DELETE FROM bustard.cache",
        "TRUNCATE bustard.app",
        "UPDATE bustard.migration SET revert = ''",
        "INSERT INTO refinery_schema_history VALUES (9, 'x', '', '')",
        "CREATE TABLE bustard.mine (a int)",
        "CREATE FUNCTION bustard.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ] {
        scene.database().psql_as(&any, sql).exits(1).complains("42501");
    }
}
