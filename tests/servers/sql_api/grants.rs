//! Tests `[registry] grant`, which limits the roles that may read and invalidate.

use bustard::{CacheBuster, Migrator, registry};

use super::{ask, refused};
use crate::support::{Database, Project};

const CALLS: [&str; 11] = [
    "SELECT bustard.get_version('bans')",
    "SELECT bustard.is_valid('bans', 1)",
    "SELECT bustard.invalidate('bans')",
    "SELECT bustard.invalidate_all()",
    "SELECT bustard.notify()",
    "SELECT * FROM bustard.snapshot(0, 0, NULL)",
    "SELECT * FROM bustard.identity('bans')",
    "SELECT * FROM bustard.this_database()",
    "SELECT * FROM bustard.missing_triggers()",
    "SELECT bustard.install_triggers()",
    "SELECT * FROM bustard.caches",
];

struct Fixture {
    project: Project,
    database: Database<'static>,
}

impl Fixture {
    fn new() -> Fixture {
        let project = Project::new();
        project.file(
            "migrations/V1__a.sql",
            "-- bustard: register cache bans\nCREATE TABLE ban (id integer);\n",
        );
        Fixture { project, database: Database::new() }
    }

    /// Runs `bustard migrate` with these roles in the configuration, or without the
    /// key.
    #[track_caller]
    fn migrate(&self, roles: Option<&[&str]>) -> serde_json::Value {
        self.configure(roles);
        self.project.bustard(&["migrate", "--json"]).success().json()
    }

    fn configure(&self, roles: Option<&[&str]>) {
        let grant = roles.map(|roles| format!("[registry]\ngrant = {roles:?}\n")).unwrap_or_default();
        self.project.config(&format!(
            "[database]\nurl = \"{}\"\n[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n{grant}",
            self.database.url()
        ));
    }

    /// Asserts that `bustard migrate` names the role and the place where it is
    /// configured.
    #[track_caller]
    fn refused(&self, role: &str) {
        self.configure(Some(&[role]));
        let outcome = self.project.bustard(&["migrate"]).exits(1);
        outcome
            .complains(&format!("the role {role} in `grant` does not exist"))
            .complains("under [registry]");
    }

    #[track_caller]
    fn may(&self, role: &str) {
        for call in CALLS {
            ask(&self.database, role, call);
        }
    }

    #[track_caller]
    fn may_not(&self, role: &str) {
        for call in CALLS {
            refused(&self.database, role, call, "42501");
        }
    }
}

#[test]
fn every_role_unless_roles_are_named() {
    let fixture = Fixture::new();
    let role = fixture.database.create_role("any", "");
    fixture.migrate(None);
    fixture.may(&role);
}

/// A role that is not in `grant` gets an error with advice.
#[test]
fn a_role_that_is_not_named_gets_advice() {
    let fixture = Fixture::new();
    let (named, other) =
        (fixture.database.create_role("named", ""), fixture.database.create_role("other", ""));
    fixture.migrate(Some(&[&named]));
    let mut client = fixture.database.client_as(&other);
    let errors = [
        registry::get_version(&mut client, "bans").unwrap_err(),
        registry::invalidate(&mut client, &["bans"]).unwrap_err(),
        registry::invalidate_all(&mut client).unwrap_err(),
        registry::register(&mut client, "new", None).unwrap_err(),
        CacheBuster::connect(&fixture.database.url_as(&other)).unwrap_err(),
    ];
    for error in errors {
        let help = error.advice().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("`grant`") && help.contains("[registry]"), "{error}");
    }
    let mut client = fixture.database.client_as(&named);
    let error = registry::unregister(&mut client, "bans").unwrap_err();
    assert!(
        error.advice().map(ToString::to_string).unwrap_or_default().contains("the role that migrates"),
        "{error}"
    );
}

#[test]
fn named_roles_and_no_others() {
    let fixture = Fixture::new();
    let [web, worker, other] = ["web", "worker", "other"].map(|name| fixture.database.create_role(name, ""));
    fixture.migrate(Some(&[&web, &worker]));
    fixture.may(&web);
    fixture.may(&worker);
    fixture.may_not(&other);
    // A member of a named role has its rights.
    fixture.database.psql(&format!("GRANT {web} TO {other}"));
    fixture.may(&other);
}

/// After each of Bustard's own migrations, no role without a grant may call a function.
#[test]
fn no_own_migration_leaves_a_right_without_a_grant() {
    let fixture = Fixture::new();
    let [web, other] = ["web", "other"].map(|name| fixture.database.create_role(name, ""));
    fixture.configure(Some(&[&web]));
    fixture.project.bustard(&["migrate", "--to", "bustard:1"]).success();
    refused(&fixture.database, &other, "SELECT bustard.invalidate_all()", "42501");
    ask(&fixture.database, &web, "SELECT bustard.invalidate_all()");
    fixture.migrate(Some(&[&web]));
    fixture.may(&web);
    fixture.may_not(&other);
}

#[test]
fn a_changed_configuration_changes_the_roles() {
    let fixture = Fixture::new();
    let [web, worker] = ["web", "worker"].map(|name| fixture.database.create_role(name, ""));
    fixture.migrate(None);
    for (roles, granted, refused) in [
        (vec![web.as_str()], vec![&web], vec![&worker]),
        (vec![&worker], vec![&worker], vec![&web]),
        (vec![&web, &worker], vec![&web, &worker], vec![]),
        (vec![], vec![], vec![&web, &worker]),
        (vec![&web], vec![&web], vec![&worker]),
    ] {
        fixture.migrate(Some(&roles));
        granted.into_iter().for_each(|role| fixture.may(role));
        refused.into_iter().for_each(|role| fixture.may_not(role));
    }
}

#[test]
fn a_change_is_reported_and_a_second_run_does_nothing() {
    let fixture = Fixture::new();
    let web = fixture.database.create_role("web", "");
    let version = || fixture.database.value("SELECT version FROM bustard.caches");
    fixture.migrate(None);
    for roles in [vec![web.as_str()], vec![], vec![&web, &web, "postgres"]] {
        let report = fixture.migrate(Some(&roles));
        assert_eq!(report["granted"], serde_json::json!(roles));
        assert_eq!(report["changed"], true);
        let before = version();
        let report = fixture.migrate(Some(&roles));
        assert_eq!(report["steps"], serde_json::json!([]), "{roles:?}");
        assert_eq!((&report["changed"], report.get("granted")), (&false.into(), None), "{roles:?}");
        assert_eq!(version(), before, "{roles:?}");
    }
    fixture.migrate(Some(&[]));
    // Without the key, nothing is granted and nothing is revoked.
    assert_eq!(fixture.migrate(None)["changed"], false);
    fixture.may_not(&web);
}

/// The text output reports the grants too.
#[test]
fn a_run_reports_its_grants() {
    let fixture = Fixture::new();
    let web = fixture.database.create_role("web", "");
    fixture.migrate(None);
    for (roles, says) in [
        (vec![web.as_str()], format!("roles that may now read and invalidate caches: {web}\n")),
        (vec![], "only the owner of the registry may now read and invalidate caches\n".to_owned()),
    ] {
        fixture.configure(Some(&roles));
        let outcome = fixture.project.bustard(&["migrate"]).success().says(&says);
        assert!(!outcome.stdout.contains("nothing to do"), "{outcome}");
        fixture.project.bustard(&["migrate"]).success().says("nothing to do");
    }
}

/// The owner of the registry needs no grant and gets none, even if another role migrates.
#[test]
fn the_owner_is_named_and_another_role_migrates() {
    let fixture = Fixture::new();
    let web = fixture.database.create_role("web", "");
    let second = fixture.database.create_role("second", "SUPERUSER");
    let migrator = || Migrator::new().grant(vec!["postgres".to_owned(), web.clone()]);
    let first = migrator().run(&mut fixture.database.client()).expect("it runs");
    assert!(first.changed());
    for role in ["postgres", &second] {
        let report = migrator().run(&mut fixture.database.client_as(role)).expect("it runs");
        assert_eq!(report.granted, None, "by {role}");
    }
    // A named role that is not the owner gets a grant.
    let other = || Migrator::new().grant(vec![second.clone()]);
    for (role, granted) in [(second.as_str(), true), (&second, false), ("postgres", false)] {
        let report = other().run(&mut fixture.database.client_as(role)).expect("it runs");
        assert_eq!(report.granted.is_some(), granted, "by {role}");
    }
}

#[test]
fn names_are_quoted() {
    let fixture = Fixture::new();
    let name = format!("{}_Web \"App\"; --", fixture.database.name());
    fixture.database.psql(&format!("CREATE ROLE \"{}\"", name.replace('"', "\"\"")));
    let member = fixture.database.create_role("member", "");
    let other = fixture.database.create_role("other", "");
    fixture.database.psql(&format!("GRANT \"{}\" TO {member}", name.replace('"', "\"\"")));
    fixture.migrate(Some(&[&name]));
    fixture.may(&member);
    fixture.may_not(&other);
    // The clean-up of the fixture does not quote names, so this test drops the role itself.
    fixture.database.psql(&format!("DROP OWNED BY \"{0}\"; DROP ROLE \"{0}\"", name.replace('"', "\"\"")));
}

/// If a role does not exist, no role gains or loses rights.
#[test]
fn a_role_that_does_not_exist() {
    let fixture = Fixture::new();
    let web = fixture.database.create_role("web", "");
    let other = fixture.database.create_role("other", "");
    fixture.migrate(Some(&[&web]));
    fixture.refused("no_role_of_this_name");
    fixture.may(&web);
    fixture.may_not(&other);
    Fixture::new().refused("no_role_of_this_name");
}
