//! B3: objects of roles that are not trusted are not adopted.

use crate::support::Scene;

/// A scene on PostgreSQL with an ordinary role, `evil`, which may create schemas, and
/// tables in `public`.
struct Attack {
    scene: Scene,
    evil: String,
}

/// The shape of refinery's table.
const HISTORY: &str =
    "(version int8 PRIMARY KEY, name varchar(255), applied_on varchar(255), checksum varchar(255))";

impl Attack {
    fn new() -> Attack {
        let scene = Scene::postgres();
        let evil = scene.database().create_role("evil", "");
        let name = scene.database().name();
        scene.execute(&format!(
            "GRANT CREATE ON DATABASE {name} TO {evil}; GRANT CREATE ON SCHEMA public TO {evil}; \
             CREATE TABLE evidence (by_role text); GRANT INSERT ON evidence TO PUBLIC"
        ));
        scene.file(
            "V1__base.sql",
            "-- bustard: register cache threads\nCREATE TABLE thread (id INTEGER PRIMARY KEY);\n-- bustard: down\nDROP TABLE thread;\n",
        );
        Attack { scene, evil }
    }

    /// Runs SQL as the role. `$evil` is its name.
    #[track_caller]
    fn as_evil(&self, sql: &str) {
        self.scene
            .database()
            .client_as(&self.evil)
            .batch_execute(&self.text(sql))
            .expect("the SQL is accepted");
    }

    #[track_caller]
    fn execute(&self, sql: &str) {
        self.scene.execute(&self.text(sql));
    }

    fn text(&self, sql: &str) -> String {
        let trap = "BEGIN INSERT INTO public.evidence VALUES (current_user); RETURN NULL; END";
        sql.replace("$evil", &self.evil).replace("$history", HISTORY).replace("$trap", trap)
    }

    fn configure(&self, registry: &str) {
        self.scene
            .project
            .config(&format!("[database]\nurl = \"{}\"\n[registry]\n{registry}\n", self.scene.url()));
    }

    /// Asserts that each command exits with 1, names the objects, and changes nothing.
    #[track_caller]
    fn refused(&self, says: &[&str]) {
        let before = self.scene.contents();
        let url = self.scene.url();
        for arguments in [
            &["migrate"][..],
            &["plan"],
            &["check"],
            &["status"],
            &["revert", "--steps", "1"],
            &["disable", "main"],
            &["uninstall", "main", "--yes"],
        ] {
            let outcome =
                self.scene.project.bustard(&[arguments, &["--database-url", &url]].concat()).exits(1);
            for text in says {
                assert!(outcome.stderr.contains(&self.text(text)), "{text} is not in {outcome}");
            }
            assert!(outcome.stderr.contains("help: "), "{outcome}");
        }
        assert_eq!(before, self.scene.contents());
        assert_eq!(self.scene.value("SELECT count(*) FROM evidence"), "0", "a trap was sprung");
    }
}

/// Objects that are there before the first run.
#[test]
fn b3_made_beforehand() {
    const CASES: &[(&str, &[&str])] = &[
        ("CREATE SCHEMA bustard", &["the schema bustard belongs to the role $evil"]),
        (
            "CREATE SCHEMA bustard; GRANT ALL ON SCHEMA bustard TO postgres",
            &["the schema bustard belongs to the role $evil"],
        ),
        (
            "CREATE SCHEMA bustard; CREATE TABLE bustard.event (a int)",
            &["the table bustard.event belongs to"],
        ),
        (
            "CREATE SCHEMA bustard; CREATE VIEW bustard.caches AS SELECT 1 AS a",
            &["the view bustard.caches belongs to"],
        ),
        (
            "CREATE SCHEMA bustard; CREATE FUNCTION bustard.missing_triggers() RETURNS trigger LANGUAGE plpgsql AS $$ $trap $$",
            &["the function bustard.missing_triggers() belongs to"],
        ),
        (
            "CREATE TABLE refinery_schema_history $history",
            &[
                "the table public.refinery_schema_history belongs to the role $evil",
                "[registry] trust = [\"$evil\"]",
            ],
        ),
        (
            "CREATE TABLE refinery_schema_history $history; \
             CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ $trap $$; \
             CREATE TRIGGER t BEFORE INSERT ON refinery_schema_history FOR EACH ROW EXECUTE FUNCTION trap()",
            &[
                "the table public.refinery_schema_history belongs to",
                "has the trigger t, which calls trap(), of the role $evil",
            ],
        ),
        (
            "CREATE FUNCTION trap() RETURNS int8 LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.evidence VALUES (current_user); RETURN 1; END $$; \
             CREATE VIEW refinery_schema_history AS SELECT trap() AS version, 'a'::varchar AS name, ''::varchar AS applied_on, '1'::varchar AS checksum",
            &["the view public.refinery_schema_history belongs to", "is not a table"],
        ),
    ];
    for (sql, says) in CASES {
        let attack = Attack::new();
        attack.as_evil(sql);
        attack.refused(says);
    }
}

/// What other roles have put onto our tables and the histories of a migrated database.
/// `true` stands for SQL of the superuser.
#[test]
fn b3_put_on_our_tables() {
    const TRAP: &str = "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ $trap $$";
    const CASES: &[(&str, &str, &str)] = &[
        ("ALTER SCHEMA bustard OWNER TO $evil", "", "the schema bustard belongs to the role $evil"),
        (
            "ALTER TABLE bustard.migration OWNER TO $evil",
            "",
            "the table bustard.migration belongs to the role $evil",
        ),
        (
            "ALTER FUNCTION bustard.invalidate_all() OWNER TO $evil",
            "",
            "the function bustard.invalidate_all() belongs to",
        ),
        ("ALTER VIEW bustard.caches OWNER TO $evil", "", "the view bustard.caches belongs to"),
        (
            "ALTER TABLE refinery_schema_history OWNER TO $evil",
            "",
            "the table public.refinery_schema_history belongs to",
        ),
        (
            "GRANT USAGE, CREATE ON SCHEMA bustard TO $evil",
            "CREATE TABLE bustard.more (a int)",
            "the table bustard.more belongs to",
        ),
        (
            "GRANT USAGE, CREATE ON SCHEMA bustard TO $evil",
            "CREATE FUNCTION bustard.invalidate_all(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "the function bustard.invalidate_all(integer) belongs to",
        ),
        (
            "GRANT USAGE ON SCHEMA bustard TO $evil; GRANT TRIGGER ON bustard.event TO $evil",
            "$TRAP; CREATE TRIGGER t AFTER INSERT ON bustard.event EXECUTE FUNCTION trap()",
            "the table bustard.event has the trigger t, which calls trap(), of the role $evil",
        ),
        (
            "GRANT TRIGGER ON refinery_schema_history TO $evil",
            "$TRAP; CREATE TRIGGER \"a\nb\" AFTER INSERT ON refinery_schema_history EXECUTE FUNCTION trap()",
            "public.refinery_schema_history has the trigger",
        ),
        (
            "GRANT TRIGGER ON refinery_schema_history TO $evil",
            "CREATE TRIGGER s BEFORE UPDATE ON refinery_schema_history FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "has the trigger s, which calls suppress_redundant_updates_trigger(), of the role postgres",
        ),
        (
            "CREATE RULE r AS ON INSERT TO refinery_schema_history DO ALSO INSERT INTO evidence VALUES ('rule')",
            "",
            "the table public.refinery_schema_history has the rule r",
        ),
        (
            "CREATE RULE r AS ON DELETE TO bustard.app DO INSTEAD NOTHING",
            "",
            "the table bustard.app has the rule r",
        ),
        (
            "CREATE POLICY p ON refinery_schema_history USING (version < 0)",
            "",
            "the table public.refinery_schema_history has the row security policy p",
        ),
        (
            "CREATE POLICY p ON bustard.cache USING (false)",
            "",
            "the table bustard.cache has the row security policy p",
        ),
        (
            "ALTER TABLE refinery_schema_history ADD COLUMN g text GENERATED ALWAYS AS (upper(name)) STORED",
            "",
            "the table public.refinery_schema_history has the generated column g",
        ),
        (
            "ALTER TABLE bustard.app ADD COLUMN g text GENERATED ALWAYS AS (upper(label)) STORED",
            "",
            "the table bustard.app has the generated column g",
        ),
    ];
    for (by_superuser, by_evil, says) in CASES {
        let attack = Attack::new();
        attack.scene.migrate(&[]).success();
        attack
            .scene
            .file("V2__more.sql", "CREATE TABLE more (id INTEGER);\n-- bustard: down\nDROP TABLE more;\n");
        attack.execute(by_superuser);
        if !by_evil.is_empty() {
            attack.as_evil(&by_evil.replace("$TRAP", TRAP));
        }
        attack.refused(&[says]);
    }
}

/// Row security that hides rows from the role that migrates would make a history look
/// empty.
#[test]
fn b3_row_security_that_hides_rows() {
    let attack = Attack::new();
    let name = attack.scene.database().name();
    let deploy = attack.scene.database().create_role("deploy", "");
    attack.execute(&format!(
        "ALTER DATABASE {name} OWNER TO {deploy}; GRANT CREATE ON SCHEMA public TO {deploy}"
    ));
    let url = attack.scene.database().url_as(&deploy);
    let migrate = || attack.scene.project.bustard(&["migrate", "--database-url", &url]);
    migrate().success();
    // The owner is not subject to it.
    attack.execute("ALTER TABLE refinery_schema_history ENABLE ROW LEVEL SECURITY");
    migrate().success();
    attack.execute("ALTER TABLE refinery_schema_history FORCE ROW LEVEL SECURITY");
    migrate().exits(1).complains(&format!("has row security, which hides rows from the role {deploy}"));
}

/// A role that is named in the configuration is trusted, whatever it is.
#[test]
fn b3_a_trusted_role() {
    let attack = Attack::new();
    attack.configure("trust = []");
    attack.as_evil(
        "CREATE SCHEMA bustard; CREATE TABLE refinery_schema_history $history; \
         CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.evidence VALUES (current_user); RETURN NEW; END $$; \
         CREATE TRIGGER t BEFORE INSERT ON refinery_schema_history FOR EACH ROW EXECUTE FUNCTION noted()",
    );
    attack.scene.project.bustard(&["migrate"]).exits(1);
    attack.configure(&attack.text("trust = [\"nosuch == role's\", \"$evil\"]"));
    for _ in 0..2 {
        attack.scene.project.bustard(&["migrate"]).success();
        attack.scene.project.bustard(&["check"]).success();
    }
    assert_eq!(attack.scene.value("SELECT count(*) FROM evidence"), "1");
}

/// Before PostgreSQL 15 a role could make others its members. That is no trust.
#[test]
fn b3_a_role_that_grants_itself() {
    let attack = Attack::new();
    attack.as_evil("CREATE SCHEMA bustard");
    let granted = attack
        .scene
        .database()
        .client_as(&attack.evil)
        .batch_execute(&attack.text("GRANT $evil TO postgres"));
    let version: i32 = attack.scene.value("SHOW server_version_num").parse().expect("a number");
    assert_eq!(granted.is_ok(), version < 150_000);
    attack.refused(&["the schema bustard belongs to the role $evil"]);
    // The superuser's own grant is.
    attack.execute("REVOKE $evil FROM postgres; GRANT $evil TO postgres");
    attack.scene.migrate(&[]).success();
}
