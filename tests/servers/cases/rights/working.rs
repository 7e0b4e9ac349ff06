//! B1 and B3, the other way round: setups of real users that go on working.

use crate::support::{Outcome, PgBouncer, Scene};

fn scene() -> Scene {
    let scene = Scene::postgres();
    scene.file(
        "V1__base.sql",
        "CREATE TABLE thread (id INTEGER PRIMARY KEY);\n-- bustard: register cache threads on thread\n-- bustard: down\nDROP TABLE thread;\n",
    );
    scene
}

fn bustard(scene: &Scene, role: &str, arguments: &[&str]) -> Outcome {
    let url = scene.database().url_as(role);
    scene.project.bustard(&[arguments, &["--database-url", &url]].concat())
}

/// Migrates, checks, migrates again with a new file, reverts it, and uninstalls.
#[track_caller]
fn works(scene: &Scene, role: &str) {
    bustard(scene, role, &["migrate"]).success();
    bustard(scene, role, &["check"]).success();
    bustard(scene, role, &["migrate"]).success().says("nothing to do");
    scene.file("V2__more.sql", "CREATE TABLE more (id INTEGER);\n-- bustard: down\nDROP TABLE more;\n");
    bustard(scene, role, &["migrate"]).success();
    bustard(scene, role, &["revert", "--steps", "1"]).success();
    bustard(scene, role, &["uninstall", "main", "--yes"]).success();
    bustard(scene, role, &["migrate"]).success();
}

/// A role that may only create schemas, and tables in `public`.
#[test]
fn b3_an_ordinary_role_migrates() {
    let scene = scene();
    let deploy = scene.database().create_role("deploy", "");
    let name = scene.database().name();
    scene.execute(&format!(
        "GRANT CREATE ON DATABASE {name} TO {deploy}; GRANT CREATE ON SCHEMA public TO {deploy}"
    ));
    works(&scene, &deploy);
}

/// The role that migrates is a member of the role that owns everything.
#[test]
fn b3_a_member_of_the_owner_migrates() {
    let scene = scene();
    let [team, anna, bela] = ["team", "anna", "bela"].map(|name| scene.database().create_role(name, ""));
    let name = scene.database().name();
    scene.execute(&format!(
        "GRANT CREATE ON DATABASE {name} TO {team}; GRANT CREATE ON SCHEMA public TO {team}; GRANT {team} TO {anna}; GRANT {anna} TO {bela}"
    ));
    bustard(&scene, &team, &["migrate"]).success();
    works(&scene, &anna);
    works(&scene, &bela);
}

/// As on managed services: an administrator who is no superuser owns the database and has
/// made the schema, and another role migrates.
#[test]
fn b3_the_schema_belongs_to_the_owner_of_the_database() {
    for owner in ["$admin", "pg_database_owner", "postgres"] {
        let scene = scene();
        let [admin, deploy] = ["admin", "deploy"].map(|name| scene.database().create_role(name, ""));
        let name = scene.database().name();
        let owner = owner.replace("$admin", &admin);
        scene.execute(&format!(
            "ALTER DATABASE {name} OWNER TO {admin}; CREATE SCHEMA bustard AUTHORIZATION {owner}; \
             GRANT USAGE, CREATE ON SCHEMA bustard TO {deploy}; GRANT CREATE ON SCHEMA public TO {deploy}"
        ));
        works(&scene, &deploy);
    }
}

/// All of it belongs to `pg_database_owner`.
#[test]
fn b3_pg_database_owner_owns_everything() {
    let scene = scene();
    let admin = scene.database().create_role("admin", "");
    let name = scene.database().name();
    scene.execute(&format!("ALTER DATABASE {name} OWNER TO {admin}"));
    scene.migrate(&[]).success();
    scene.execute("ALTER SCHEMA bustard OWNER TO pg_database_owner");
    let objects = scene.database().psql(
        "SELECT format('ALTER TABLE %s OWNER TO pg_database_owner', oid::regclass) FROM pg_class \
         WHERE relkind IN ('r', 'v') AND (relnamespace = 'bustard'::regnamespace OR relnamespace = 'public'::regnamespace) \
         UNION ALL SELECT format('ALTER FUNCTION %s OWNER TO pg_database_owner', oid::regprocedure) FROM pg_proc \
         WHERE pronamespace = 'bustard'::regnamespace",
    );
    objects.iter().for_each(|row| scene.execute(&row[0]));
    for role in [admin.as_str(), "postgres"] {
        bustard(&scene, role, &["check"]).success();
        scene.file(format!("V{}__more.sql", if role == "postgres" { 3 } else { 2 }).as_str(), "SELECT 1;\n");
        bustard(&scene, role, &["migrate"]).success();
    }
}

/// A role with grants and no ownership migrates an app of its own. Where the owner is an
/// ordinary role, it must be trusted.
#[test]
fn b3_a_role_with_grants_and_no_ownership() {
    for (ordinary, trust, right) in [(false, false, "SELECT"), (true, true, "SELECT"), (false, false, "ALL")]
    {
        let scene = scene();
        let [deploy, guest] = ["deploy", "guest"].map(|name| scene.database().create_role(name, ""));
        let name = scene.database().name();
        scene.execute(&format!(
            "GRANT CREATE ON DATABASE {name} TO {deploy}; GRANT CREATE ON SCHEMA public TO {deploy}, {guest}"
        ));
        let owner = if ordinary { deploy.as_str() } else { "postgres" };
        bustard(&scene, owner, &["migrate"]).success();
        scene.execute(&format!("GRANT {right} ON ALL TABLES IN SCHEMA bustard TO {guest}"));
        scene.project.file("guest/V1__own.sql", "CREATE TABLE own (id INTEGER);\n");
        let app = "[[apps]]\nlabel = \"guest\"\nmigrations = \"guest\"\n";
        scene.project.config(app);
        if ordinary {
            let refused = bustard(&scene, &guest, &["migrate"]).exits(1);
            refused.complains(&format!("the schema bustard belongs to the role {deploy}"));
        }
        if trust {
            scene.project.config(&format!("{app}[registry]\ntrust = [\"{deploy}\"]\n"));
        }
        bustard(&scene, &guest, &["migrate"]).success();
        bustard(&scene, &guest, &["migrate"]).success().says("nothing to do");
        // A function of ours must change: only its owner can do that.
        scene.execute("UPDATE bustard.repeatable SET checksum = 'other', edition = 0, definition = NULL WHERE name = 'is_valid'");
        let refused = bustard(&scene, &guest, &["migrate"]).exits(1);
        refused.complains(&format!("they belong to the role {owner}"));
    }
}

#[test]
fn b3_through_a_pooler() {
    let scene = scene();
    let deploy = scene.database().create_role("deploy", "");
    let name = scene.database().name();
    scene.execute(&format!(
        "GRANT CREATE ON DATABASE {name} TO {deploy}; GRANT CREATE ON SCHEMA public TO {deploy}"
    ));
    let pooler = PgBouncer::start(scene.database().cluster(), &[&deploy]);
    let url = pooler.url(&deploy, name);
    for _ in 0..2 {
        scene.project.bustard(&["migrate", "--database-url", &url]).success();
        scene.project.bustard(&["check", "--database-url", &url]).success();
    }
    scene.execute("CREATE RULE r AS ON DELETE TO bustard.app DO INSTEAD NOTHING");
    scene
        .project
        .bustard(&["check", "--database-url", &url])
        .exits(1)
        .complains("the table bustard.app has the rule r");
}
