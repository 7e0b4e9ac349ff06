//! Tests every migration of the forum and its plugins, on both engines, through the
//! library. The schema must be the same after reverting and applying again: each migration
//! alone, each migration with its dependants, and the whole history. The plugin with Rust
//! in it is also uninstalled. `forum.rs` tests the command.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::{Database, Project};
use bustard::report::PlannedStep;
use bustard::testing::TestDatabase;
use bustard::{
    App, Config, Connection, Executor, Migrator, Plan, Report, Result, Revert, Uninstall, registry,
};

/// A database on which migrations are tried.
trait Place {
    /// The objects of the migrations, one a line, or the catalogue's.
    fn schema(&mut self) -> String;
    /// Returns the registered caches with their owners.
    fn caches(&mut self) -> Vec<String>;
    fn execute(&mut self, sql: &str);
    fn plan(&mut self, migrator: &Migrator) -> Result<Plan>;
    fn run(&mut self, migrator: &Migrator) -> Result<Report>;
    fn revert(&mut self, migrator: &Migrator, to: &Revert) -> Result<Report>;

    /// Returns the caches and the schema, to compare them before and after a round trip.
    fn look(&mut self) -> String {
        format!("{}\n{}", self.caches().join("\n"), self.schema())
    }
}

fn caches(executor: &mut impl Executor) -> Vec<String> {
    let caches = registry::list(executor).expect("the registry is there");
    let line = |cache: registry::TrackedCache| {
        format!("cache {} of {:?} on {}", cache.name, cache.app, cache.tables.join(", "))
    };
    caches.into_iter().map(line).collect()
}

impl Place for TestDatabase {
    fn schema(&mut self) -> String {
        TestDatabase::schema(self)
    }

    fn caches(&mut self) -> Vec<String> {
        caches(self.connection())
    }

    fn execute(&mut self, sql: &str) {
        TestDatabase::execute(self, sql);
    }

    fn plan(&mut self, migrator: &Migrator) -> Result<Plan> {
        migrator.plan(self.connection())
    }

    fn run(&mut self, migrator: &Migrator) -> Result<Report> {
        migrator.run(self.connection())
    }

    fn revert(&mut self, migrator: &Migrator, to: &Revert) -> Result<Report> {
        migrator.revert(self.connection(), to)
    }
}

struct OnServer(Database<'static>, postgres::Client);

impl Place for OnServer {
    fn schema(&mut self) -> String {
        self.0.schema(&["bustard", "public.refinery_schema_history"])
    }

    fn caches(&mut self) -> Vec<String> {
        caches(&mut self.1)
    }

    fn execute(&mut self, sql: &str) {
        self.1.batch_execute(sql).expect("the rows are accepted");
    }

    fn plan(&mut self, migrator: &Migrator) -> Result<Plan> {
        migrator.plan(&mut self.1)
    }

    fn run(&mut self, migrator: &Migrator) -> Result<Report> {
        migrator.run(&mut self.1)
    }

    fn revert(&mut self, migrator: &Migrator, to: &Revert) -> Result<Report> {
        migrator.revert(&mut self.1, to)
    }
}

fn on_sqlite() -> TestDatabase {
    TestDatabase::new([])
}

fn on_postgres() -> OnServer {
    let database = Database::new();
    let client = database.client();
    OnServer(database, client)
}

/// Returns the apps of the example: the SQL apps from the files of this project, and the
/// crate.
fn apps(project: &Project) -> Vec<App> {
    let config = Config::read(&project.path().join("examples/forum/bustard.toml")).expect("it is valid");
    config.apps().iter().cloned().chain([forum_reputation::migrations()]).collect()
}

const ROWS: &str = "
    INSERT INTO users (id, name, email, password_hash) VALUES
        (1, 'Ann', 'ann@example.org', 'x'), (2, 'Bob', 'bob@example.org', 'x');
    INSERT INTO threads (id, category, author, title) VALUES (1, 'general', 1, 'Birds');
    INSERT INTO posts (id, thread, author, body) VALUES (1, 1, 1, 'Bustards'), (2, 1, NULL, 'Larks');
    INSERT INTO bans (kind, pattern, banned_by) VALUES ('name', 'Cid', 1);
    INSERT INTO ban_exceptions (user_id) VALUES (2);
    INSERT INTO awards (user_id, badge) VALUES (1, 'first-post');
    INSERT INTO likes (post, user_id) VALUES (1, 2);
    INSERT INTO reputation (user_id, points) VALUES (1, 3);";

/// The steps so far and the findings.
#[derive(Debug, Default)]
struct Findings {
    /// The migrations, in their order.
    checked: Vec<String>,
    faults: Vec<String>,
}

impl Findings {
    fn same(&mut self, expected: &str, found: &str, what: &str) {
        let gone = expected.lines().filter(|line| !found.lines().any(|other| other == *line));
        let new = found.lines().filter(|line| !expected.lines().any(|other| other == *line));
        if expected != found {
            let lines =
                gone.map(|line| format!("\n  - {line}")).chain(new.map(|line| format!("\n  + {line}")));
            self.faults.push(format!("{what}:{}", lines.collect::<String>()));
        }
    }
}

/// Reverts and applies all migrations in turn, and ends in the first state.
fn check(apps: &[App], place: &mut impl Place) -> Result<Findings> {
    let migrator = || Migrator::new().apps(apps.iter().cloned());
    let (own, steps): (Vec<_>, Vec<_>) =
        place.plan(&migrator())?.steps.into_iter().partition(|step| step.app == "bustard");
    for step in own.iter().filter(|step| !step.migration.is_repeatable()) {
        place.run(&migrator().target(&step.app, step.migration.version))?;
    }
    // The state after each migration. The first element is the state before all migrations.
    let mut looks = vec![place.look()];
    let mut findings = Findings::default();
    for step in &steps {
        place.run(&migrator().target(&step.app, step.migration.version))?;
        looks.push(place.look());
        findings.checked.push(format!("{}:{}", step.app, step.migration));
    }
    let last = looks.len() - 1;

    // The tables get rows, because reverting must work with data too.
    place.execute(ROWS);

    // Each migration is reverted and applied alone, after all later migrations were
    // reverted.
    for (index, step) in steps.iter().enumerate().rev() {
        let name = findings.checked[index].clone();
        place.revert(&migrator(), &before(&steps, step))?;
        findings.same(&looks[index], &place.look(), &format!("{name} reverted"));
        place.run(&migrator().target(&step.app, step.migration.version))?;
        findings.same(&looks[index + 1], &place.look(), &format!("{name} applied again"));
        place.revert(&migrator(), &before(&steps, step))?;
    }

    // Each migration is reverted and applied with its dependants.
    place.run(&migrator())?;
    findings.same(&looks[last], &place.look(), "all applied again");
    for (step, name) in steps.iter().zip(findings.checked.clone()).rev() {
        place.revert(&migrator(), &before(&steps, step))?;
        place.run(&migrator())?;
        findings.same(
            &looks[last],
            &place.look(),
            &format!("{name} and its dependants reverted and applied"),
        );
    }

    // All migrations are reverted and applied at once.
    place.revert(&migrator(), &Revert::Steps(usize::MAX))?;
    findings.same(&looks[0], &place.look(), "all reverted");
    if !place.caches().is_empty() {
        findings.faults.push(format!("still registered: {:?}", place.caches()));
    }
    Ok(findings)
}

/// Returns the request that reverts this step and all later migrations of its app.
fn before(steps: &[PlannedStep], step: &PlannedStep) -> Revert {
    let below = steps.iter().filter(|other| other.app == step.app).map(|other| other.migration.version);
    let version = below.filter(|version| *version < step.migration.version).max().unwrap_or(0);
    Revert::To { app: step.app.clone(), version }
}

fn every_migration_goes_back_and_forth(place: &mut impl Place) {
    let project = Project::forum();
    let Findings { checked, faults } = check(&apps(&project), place).expect("every run succeeds");
    println!("checked {} migrations: {}", checked.len(), checked.join(", "));
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let files = migration_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/forum"));
    let numbers: BTreeSet<_> = files.iter().map(|file| number(file)).collect();
    assert_eq!(checked.len(), numbers.len(), "not every migration of {files:?}");
}

/// Returns the files in all directories `migrations`.
fn migration_files(below: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(below).expect("the example is readable") {
        let path = entry.expect("the example is readable").path();
        if path.is_dir() {
            files.extend(migration_files(&path));
        } else if below.ends_with("migrations") {
            files.push(path);
        }
    }
    files
}

/// Returns the path of the file without the migration's name and engine.
fn number(file: &Path) -> String {
    file.display().to_string().split("__").next().unwrap_or_default().to_owned()
}

#[test]
fn every_migration_is_reverted_and_applied_again_on_sqlite() {
    every_migration_goes_back_and_forth(&mut on_sqlite());
}

#[test]
fn every_migration_is_reverted_and_applied_again_on_postgres() {
    every_migration_goes_back_and_forth(&mut on_postgres());
}

/// The crate's back-fill is reverted by a function in its code. Without the code, the
/// uninstall is refused with advice and changes nothing.
fn the_crate_is_uninstalled_with_its_code(connection: &mut (impl Connection + Executor)) {
    let project = Project::forum();
    let apps = apps(&project);
    let sql_only = || Migrator::new().apps(apps.iter().filter(|app| app.path().is_some()).cloned());
    let all = || Migrator::new().apps(apps.iter().cloned());
    let what = Uninstall::new("reputation");
    all().run(connection).expect("it is installed");

    let plan = sql_only().plan_uninstall(connection, &what).expect("it is planned");
    let obstacles: Vec<String> = plan.obstacles.iter().map(|one| one.report().to_string()).collect();
    assert!(obstacles.len() == 1 && obstacles[0].contains("V3__points_for_the_past"), "{obstacles:#?}");
    assert!(obstacles[0].contains("the host's command"), "{obstacles:#?}");
    sql_only().uninstall(connection, &plan).expect_err("it needs the code");
    assert!(!all().run(connection).expect("everything is applied").changed());

    let plan = all().plan_uninstall(connection, &what).expect("it is planned");
    assert!(plan.obstacles.is_empty(), "{plan:?}");
    let tables: BTreeSet<_> = plan.tables.iter().filter_map(|table| table.table.rsplit('.').next()).collect();
    assert_eq!(tables, BTreeSet::from(["likes", "reputation"]));
    let report = all().uninstall(connection, &plan).expect("it is uninstalled");
    assert_eq!(report.steps.len(), 3);
    assert!(caches(connection).iter().all(|cache| !cache.contains("reputation")));
    assert!(!sql_only().run(connection).expect("the other migrations are unchanged").changed());
}

#[test]
fn the_crate_is_uninstalled_with_its_code_on_sqlite() {
    the_crate_is_uninstalled_with_its_code(on_sqlite().connection());
}

#[test]
fn the_crate_is_uninstalled_with_its_code_on_postgres() {
    the_crate_is_uninstalled_with_its_code(&mut on_postgres().1);
}

/// A fault to put into one of the files.
struct Fault {
    file: &'static str,
    changes: &'static [(&'static str, &'static str)],
    /// The beginning of a finding, and a text that it contains.
    found: (&'static str, &'static str),
}

/// Proves that the checker finds faults. Each fault is put into the `down` section of a
/// migration, and must be found there.
fn faults_are_found(place: &mut impl Place, changes_default: Fault) {
    let leaves_index = Fault {
        file: "plugins/badges/migrations/V3__no_top_posters.sql",
        changes: &[("CREATE INDEX", "CREATE INDEX IF NOT EXISTS"), ("DROP INDEX posts_author;", "SELECT 1;")],
        found: ("badges:V3__no_top_posters reverted", "posts_author"),
    };
    let on_posts = Fault {
        file: "plugins/badges/migrations/V3__no_top_posters.sql",
        changes: &[("-- bustard: down", "-- bustard: down\n-- bustard: register cache top-posters on posts")],
        found: ("badges:V3__no_top_posters reverted", "top-posters"),
    };
    let project = Project::forum();
    let faults = [leaves_index, on_posts, changes_default];
    for fault in &faults {
        let file = format!("examples/forum/{}", fault.file);
        let mut text = project.read(&file);
        for (from, to) in fault.changes {
            assert!(text.contains(from), "{file} has no {from}");
            text = text.replace(from, to);
        }
        project.file(&file, text);
    }
    let findings = check(&apps(&project), place).expect("every run succeeds").faults;
    for Fault { found: (what, line), .. } in faults {
        let found = |finding: &String| finding.starts_with(what) && finding.contains(line);
        assert!(findings.iter().any(found), "{what}: {line}\n{findings:#?}");
    }
}

#[test]
fn faults_are_found_on_sqlite() {
    let changes_default = Fault {
        file: "migrations/V8__threads_have_titles.sqlite.sql",
        changes: &[("title      varchar(200) NOT NULL,", "title varchar(200) NOT NULL DEFAULT '',")],
        found: ("forum:V8__threads_have_titles reverted", "default ''"),
    };
    faults_are_found(&mut on_sqlite(), changes_default);
}

#[test]
fn faults_are_found_on_postgres() {
    let changes_default = Fault {
        file: "migrations/V8__threads_have_titles.postgres.sql",
        changes: &[(
            "DROP CONSTRAINT threads_title",
            "DROP CONSTRAINT threads_title, ALTER closed SET DEFAULT true",
        )],
        found: ("forum:V8__threads_have_titles reverted", "DEFAULT true"),
    };
    faults_are_found(&mut on_postgres(), changes_default);
}
