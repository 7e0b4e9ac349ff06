//! Statements with a secret that fail: no output repeats the secret.

use super::run;
use crate::support::Scene;

const SECRET: &str = "hunter2";

/// Failing statements for PostgreSQL.
const POSTGRES: &[&str] = &[
    "CREATE ROLE r PASSWORD 'hunter2' NONSENSE",
    "CREATE ROLE r PASWORD 'hunter2'",
    "CREATE ROLE r PASSWORD hunter2",
    "CREATE ROLE r PASSWORD \"hunter2\"",
    "CREATE ROLE pg_x PASSWORD 'hunter2'",
    "ALTER ROLE no_such_role PASSWORD 'hunter2'",
    "ALTER USER no_such_role WITH ENCRYPTED PASSWORD 'hunter2'",
    "ALTER ROLE no_such_role\n  PASSWORD\n    'hunter2'\n  NONSENSE",
    "ALTER ROLE r PASSWORD $$hunter2$$ NONSENSE",
    "CREATE USER r IDENTIFIED BY 'hunter2'",
    "CREATE USER MAPPING FOR CURRENT_USER SERVER none OPTIONS (user 'u', password 'hunter2')",
    "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1 user=u password=hunter2 nonsense' PUBLICATION p",
    "CREATE SUBSCRIPTION s CONNECTION 'postgres://u:hunter2@127.0.0.1:1/d?nonsense=1' PUBLICATION p",
    "SELECT dblink_connect('host=h password=hunter2')",
    "SELECT 'postgres://u:hunter2@h/d'::int",
    "SELECT * FROM (VALUES ('hunter2')) v (password) WHERE password::int = 1",
    "SELECT set_config('app.password', 'hunter2', false)::int",
    "DO $$ BEGIN EXECUTE 'ALTER ROLE no_such_role PASSWORD ''hunter2'''; END $$",
    "DO $$ BEGIN EXECUTE format('ALTER ROLE no_such_role PASSWORD %L', 'hunter2'); END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'the password hunter2 is refused'\n\
        USING DETAIL = 'it is hunter2', HINT = 'not hunter2'; PERFORM 'hunter2' /* password */; END $$",
    "CREATE TABLE accounts (name text, password text CHECK (length(password) > 20));\n\
        INSERT INTO accounts VALUES ('ann', /* password */ 'hunter2')",
    "SELECT 1; ALTER ROLE no_such_role PASSWORD 'hunter2'; SELECT 2",
    "CREATE ROLE bustard_r PASSWORD 'hunter2'; SELECT no_such_column",
    "SELECT 'the password is '\n 'hunter2' NONSENSE NONSENSE",
    "ALTER ROLE no_such_role PASSWORD E'hunter\\x32' NONSENSE",
];

/// Failing statements for SQLite.
const SQLITE: &[&str] = &[
    "CREATE TABLE accounts (password text CHECK (length(password) > 20));\n\
        INSERT INTO accounts (password) VALUES ('hunter2')",
    "SELEC 'password', 'hunter2'",
    "SELECT 'password' AS \"x\", 'hunter2' FROM none",
    "SELECT 'https://u:hunter2@h/x' FROM none",
];

/// Statements that are refused before they are sent.
const REFUSED: &[&str] = &[
    "CREATE ROLE r PASSWORD 'hunter2'; COMMIT",
    "CREATE ROLE r PASSWORD\n'hunter2'; COMMIT",
    "-- bustard: registr cache a password=hunter2\nSELECT 1",
    "SELECT 'password', 'hunter2",
];

#[test]
fn a15_secrets_of_failing_statements_are_not_printed() {
    for scene in Scene::both() {
        let statements = if scene.is_postgres() { POSTGRES } else { SQLITE };
        for sql in statements.iter().chain(REFUSED) {
            scene.file("V1__a.sql", format!("{sql};\n"));
            for arguments in [&["migrate"][..], &["migrate", "--json"], &["migrate", "-vvv"]] {
                let outcome = run(&scene, arguments);
                assert!(matches!(outcome.code, Some(1 | 2)), "{sql}\n{outcome}");
                for text in [&outcome.stdout, &outcome.stderr] {
                    assert!(!text.contains(SECRET), "{sql}\n{outcome}");
                }
            }
        }
    }
}

/// The lines of a plan are cut and for people. Only `--sql` shows the SQL as it is in the
/// file, because it was asked for.
#[test]
fn a15_a_plan_hides_secrets_and_its_sql_does_not() {
    for scene in Scene::both() {
        scene.file("V1__a.sql", "CREATE TABLE a (password text DEFAULT 'hunter2');\n");
        run(&scene, &["migrate", "--to", "bustard:1"]).success();
        for arguments in [&["plan"][..], &["plan", "--json"]] {
            let outcome = run(&scene, arguments).success().says("password text DEFAULT '***'");
            assert!(!outcome.stdout.contains(SECRET), "{outcome}");
        }
        run(&scene, &["plan", "--sql"]).success().says("password text DEFAULT 'hunter2'");
        let document = run(&scene, &["plan", "--sql", "--json"]).success().json();
        assert!(document["steps"].to_string().contains(SECRET), "{document}");
    }
}

/// The rest of an excerpt is readable, and the mark is below the same word.
#[test]
fn a15_an_excerpt_points_at_the_same_word() {
    let scene = Scene::postgres();
    scene.file("V1__a.sql", "ALTER ROLE é PASSWORD 'hunter2' NONSENSE;\n");
    let outcome = run(&scene, &["migrate"]).exits(1);
    let line = " 1 | ALTER ROLE é PASSWORD '***' NONSENSE;\n   |                             ^\n";
    outcome.complains(line).complains("V1__a.sql:1:33");
}
