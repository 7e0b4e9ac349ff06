//! Roles that may not read the system identifier, or may not write our tables.

use super::{COPY, GIVEN, identity, installed, is_shown, project, run, run_as};
use crate::support::{Database, Project};

const FORBID: &str = "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC";

fn deployed(forbidden: bool) -> (Project, Database<'static>, String) {
    let project = project();
    let database = Database::new();
    let deploy = database.create_role("deploy", "");
    let name = database.name();
    database.psql(&format!(
        "GRANT CREATE ON DATABASE {name} TO {deploy}; GRANT CREATE ON SCHEMA public TO {deploy}"
    ));
    if forbidden {
        database.psql(FORBID);
    }
    run_as(&project, &database, &deploy, &["migrate"]).success();
    (project, database, deploy)
}

fn recorded(database: &Database<'_>) -> String {
    database.value("SELECT system_identifier IS NULL FROM bustard.database")
}

/// What may not be read is unknown, and no difference.
#[test]
fn c5_an_unreadable_system_identifier() {
    let (project, database, deploy) = deployed(true);
    assert_eq!(recorded(&database), "t");
    let live = "SELECT identity IS NOT NULL, system_identifier IS NULL, oid IS NOT NULL, is_copy FROM bustard.this_database()";
    for role in ["postgres", &deploy] {
        assert_eq!(database.psql_as(role, live).success().stdout.trim(), "t\tt\tt\tf", "{role}");
    }
    run_as(&project, &database, &deploy, &["check"]).success();
    run_as(&project, &database, &deploy, &["migrate"]).success().says("nothing to do");
    // The OID still tells a copy.
    let copy = database.copy();
    run_as(&project, &copy, &deploy, &["check"]).exits(3).says(COPY);
    run_as(&project, &copy, &deploy, &["migrate"]).success().says(GIVEN);
    run_as(&project, &copy, &deploy, &["check"]).success();
    assert_eq!(recorded(&copy), "t");
    // It becomes readable: the recorded one is unknown, and still no difference.
    database.psql("GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO PUBLIC");
    run_as(&project, &database, &deploy, &["check"]).success();

    let (project, database, deploy) = deployed(false);
    assert_eq!(recorded(&database), "f");
    database.psql(FORBID);
    run_as(&project, &database, &deploy, &["check"]).success();
    run_as(&project, &database, &deploy, &["migrate"]).success().says("nothing to do");
}

/// A hostile search path and settings of the caller change nothing.
#[test]
fn c5_a_hostile_caller() {
    let (_, database, _) = deployed(false);
    let evil = database.create_role("evil", "");
    database.psql(&format!("CREATE SCHEMA evil AUTHORIZATION {evil}"));
    let sql = "CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS $$ SELECT 'template1'::name $$; \
        CREATE FUNCTION evil.wrong(bigint, bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$; \
        CREATE OPERATOR evil.<> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.wrong); \
        CREATE VIEW evil.pg_database AS SELECT 1::oid AS oid, current_database() AS datname; \
        SET search_path = evil, pg_catalog; SELECT is_copy FROM bustard.this_database()";
    assert_eq!(database.psql_as(&evil, sql).success().stdout.trim(), "f");
    // No role but the owner can change the identity.
    for sql in [
        "UPDATE bustard.database SET identity = gen_random_uuid()",
        "DELETE FROM bustard.database",
        "INSERT INTO bustard.database DEFAULT VALUES",
        "SELECT identity FROM bustard.database",
    ] {
        assert!(database.psql_as(&evil, sql).exits(1).stderr.contains("42501"), "{sql}");
    }
    // There is one identity, whatever the owner does.
    let second = "INSERT INTO bustard.database (id) VALUES (2)";
    assert!(database.psql_as("postgres", second).exits(1).stderr.contains("23514"));
}

/// A role that may not write our tables is told who can, each time, and goes on.
#[test]
fn c5_a_role_that_may_not_write() {
    let project = project();
    let original = installed(&project);
    let guest = original.create_role("guest", "");
    original.psql(&format!(
        "GRANT CREATE ON SCHEMA public TO {guest}; GRANT SELECT ON refinery_schema_history TO {guest}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA bustard TO {guest}"
    ));
    let copy = original.copy();
    is_shown(&project, &copy, "a copy");
    let told = "this database is a copy of another one, and this role may not give it an identity of its own";
    let before = copy.contents();
    for command in [&["migrate"][..], &["status"], &["plan"], &["migrate"]] {
        run_as(&project, &copy, &guest, command).success().complains(told);
    }
    let report = run_as(&project, &copy, &guest, &["migrate", "--json"]).success().json();
    assert!(report["changed"] == false && report["warnings"][0]["code"] == "copied-database", "{report}");
    run_as(&project, &copy, &guest, &["check"]).exits(3).complains(told);
    let refused = run_as(&project, &copy, &guest, &["repair", "--new-identity"]).exits(1);
    refused.complains("the identity of the database cannot be changed by this role");
    assert_eq!(copy.contents(), before);
    // It still migrates an app of its own.
    project.file("guest/V1__own.sql", "CREATE TABLE own (id INTEGER);\n");
    project.config("[[apps]]\nlabel = \"guest\"\nmigrations = \"guest\"\n");
    run_as(&project, &copy, &guest, &["migrate"]).success().complains(told);
    assert_eq!(identity(&copy), identity(&original));
    // Its owner gives the copy an identity of its own.
    project.config(&format!(
        "[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n[registry]\ntrust = [\"{guest}\"]\n"
    ));
    run(&project, &copy, &["migrate"]).success().says(GIVEN);
    let quiet = run_as(&project, &copy, &guest, &["migrate"]).success();
    assert!(!quiet.stderr.contains("copy"), "{quiet}");
}

/// A role that may write the identity, and nothing else of ours.
#[test]
fn c5_a_role_with_grants() {
    let project = project();
    let original = installed(&project);
    let deploy = original.create_role("deploy", "");
    original.psql(&format!(
        "GRANT SELECT ON refinery_schema_history TO {deploy}; GRANT SELECT ON ALL TABLES IN SCHEMA bustard TO {deploy}; \
         GRANT UPDATE ON bustard.database TO {deploy}"
    ));
    let copy = original.copy();
    run_as(&project, &copy, &deploy, &["migrate"]).success().says(GIVEN);
    assert_eq!(copy.value("SELECT is_copy FROM bustard.this_database()"), "f");
    run_as(&project, &copy, &deploy, &["migrate"]).success().says("nothing to do");
}
