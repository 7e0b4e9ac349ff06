//! A role without a right: the advice names the role, the object and the right, and its
//! statement is what is missing.

use bustard::{App, Migrator};

use super::{german, help_of};
use crate::support::{Cluster, Database, Project};

/// Returns the statements between backticks.
fn statements(help: &str) -> Vec<String> {
    help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn kind10_a_missing_right_is_named_and_can_be_granted() {
    for cluster in [Cluster::shared(), german()] {
        for (set_up, bad, named) in [
            (
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
                "CREATE TABLE t (i int)",
                "GRANT CREATE ON SCHEMA public TO",
            ),
            (
                "CREATE SCHEMA \"My s\"",
                "CREATE TABLE \"My s\".t (i int)",
                "GRANT USAGE, CREATE ON SCHEMA \"My s\" TO",
            ),
            ("CREATE SCHEMA s; CREATE TABLE s.t (i int)", "INSERT INTO s.t VALUES (1)", "ON SCHEMA s TO"),
            ("SET ROLE OWNER; CREATE TABLE t (i int)", "ALTER TABLE t ADD COLUMN j int", "`GRANT OWNER TO"),
            ("SET ROLE OWNER; CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)", "`GRANT OWNER TO"),
            (
                "SET ROLE OWNER; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "DROP FUNCTION f()",
                "`GRANT OWNER TO",
            ),
            ("SET ROLE OWNER; CREATE TYPE y AS (i int)", "DROP TYPE y", "`GRANT OWNER TO"),
            (
                "CREATE TABLE \"My t\" (i int)",
                "ALTER TABLE \"My t\" ADD COLUMN j int",
                "`ALTER TABLE public.\"My t\" OWNER TO",
            ),
            ("CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)", "the superuser postgres: grant the right"),
            ("CREATE SEQUENCE q", "DROP SEQUENCE q", "`ALTER TABLE public.q OWNER TO"),
            ("CREATE VIEW v AS SELECT 1 AS i", "DROP VIEW v", "`ALTER TABLE public.v OWNER TO"),
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "DROP FUNCTION f()",
                "`ALTER ROUTINE public.f OWNER TO",
            ),
            ("CREATE DOMAIN y AS int", "DROP DOMAIN y", "`ALTER TYPE public.y OWNER TO"),
            ("CREATE TYPE y AS (i int)", "DROP TYPE y", "`ALTER TYPE public.y OWNER TO"),
            ("SELECT 1", "CREATE SCHEMA made", "GRANT CREATE ON DATABASE"),
            ("SELECT 1", "CREATE ROLE made_by_a_role", ""),
        ] {
            let database = Database::on(cluster);
            let role = database.create_role("migrates", "");
            let owner = database.create_role("owns", "");
            let (set_up, named) =
                (set_up.replace("OWNER", &owner), named.replace("GRANT OWNER", &format!("GRANT {owner}")));
            let mut admin = database.client();
            let grant = format!(
                "GRANT CREATE ON DATABASE {name} TO {role}; GRANT CREATE ON SCHEMA public TO {role}, {owner};",
                name = database.name()
            );
            admin.batch_execute(&grant).expect("it may");
            let project = Project::new();
            project.file("migrations/V1__a.sql", "SELECT 1;\n");
            let migrator = || Migrator::new().app(App::directory("main", project.path().join("migrations")));
            let run = || migrator().run(&mut bustard::Database::new(&database.url_as(&role))?);
            run().expect("it may do this");
            admin.batch_execute(&format!("{set_up}; RESET ROLE")).expect("it may");
            admin
                .batch_execute(&format!(
                    "REVOKE CREATE ON DATABASE {name} FROM {role}; {schema}",
                    name = database.name(),
                    schema = match set_up.starts_with("REVOKE") {
                        true => format!("REVOKE CREATE ON SCHEMA public FROM {role}"),
                        false => String::new(),
                    },
                ))
                .expect("it may");
            project.file("migrations/V2__b.sql", format!("{bad};\n"));
            let error = run().expect_err("it may not");
            let caller = migrator().run(&mut database.client_as(&role)).expect_err("it may not");
            let help = help_of(&error);
            assert_eq!(help, help_of(&caller), "{error:#}");
            assert_eq!(error.sqlstate(), Some("42501"), "{error:#}");
            assert!(help.contains(&named), "{named:?} is not in {error:#}");
            assert!(!help.contains("GRANT postgres"), "{error:#}");
            if named.is_empty() {
                assert!(help.contains("grant it, or migrate as another role"), "{error:#}");
                continue;
            }
            assert!(help.contains(&role), "{error:#}");
            // Several rights may be missing, one after the other.
            let mut last = help;
            for _ in 0..3 {
                for statement in statements(&last) {
                    admin.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
                }
                match run() {
                    Ok(_) => {
                        last.clear();
                        break;
                    }
                    Err(error) => last = help_of(&error),
                }
            }
            assert_eq!(last, "", "{bad}: the advice did not help");
        }
    }
}

/// The first run of a role that owns nothing.
#[test]
fn kind10_the_first_run_says_each_right_that_it_lacks() {
    for cluster in [Cluster::shared(), german()] {
        let database = Database::on(cluster);
        let role = database.create_role("new", "");
        let mut admin = database.client();
        admin.batch_execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").expect("it may");
        let project = Project::new();
        project.file("migrations/V1__a.sql", "CREATE TABLE t (i int);\n");
        let mut granted = Vec::new();
        loop {
            let outcome = project.bustard(&["migrate", "--database-url", &database.url_as(&role)]);
            if outcome.code == Some(0) {
                break;
            }
            let help = outcome.stderr.split("help: ").nth(1).unwrap_or_default().to_owned();
            let new = statements(&help);
            assert!(!new.is_empty() && granted.len() < 5, "{outcome}");
            for statement in new {
                admin.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
                granted.push(statement);
            }
        }
        let name = database.name();
        assert_eq!(
            granted,
            [
                format!("GRANT CREATE ON DATABASE {name} TO {role}"),
                format!("GRANT CREATE ON SCHEMA public TO {role}")
            ]
        );
    }
}
