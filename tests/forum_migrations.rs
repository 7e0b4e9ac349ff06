//! Every migration of the forum and its plugins, one by one, on both engines: up,
//! down and up again give the same schema, and so do going back over each with all
//! that needs it, and over the whole history. Through the library; `tests/forum.rs`
//! has the command.

mod support;

use bustard::testing::TestDatabase;
use bustard::{App, Config, Migrator, Plan, Report, Result, Revert, Step, registry};
use support::{Database, Project};

/// Where migrations are tried.
trait Place {
    /// A line for each thing that they have made, or pg_dump's.
    fn schema(&mut self) -> String;
    /// The registered caches with their owners.
    fn caches(&mut self) -> Vec<String>;
    fn plan(&mut self, migrator: &Migrator) -> Result<Plan>;
    fn run(&mut self, migrator: &Migrator) -> Result<Report>;
    fn revert(&mut self, migrator: &Migrator, to: &Revert) -> Result<Report>;

    /// Everything that must be the same.
    fn look(&mut self) -> String {
        format!("{}\n{}", self.caches().join("\n"), self.schema())
    }
}

fn caches(executor: &mut impl bustard::Executor) -> Vec<String> {
    let caches = registry::list(executor).expect("the registry is there");
    caches.into_iter().map(|cache| format!("cache {} of {:?}", cache.name, cache.app)).collect()
}

impl Place for TestDatabase {
    fn schema(&mut self) -> String {
        TestDatabase::schema(self)
    }

    fn caches(&mut self) -> Vec<String> {
        caches(self.connection())
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
        self.0.dump_schema(&["--exclude-schema=bustard", "--exclude-table=refinery_schema_history*"])
    }

    fn caches(&mut self) -> Vec<String> {
        caches(&mut self.1)
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

/// The example's apps, as they stand in this project.
fn apps(project: &Project) -> Vec<App> {
    let config = Config::read(&project.path().join("examples/forum/bustard.toml")).expect("it is valid");
    config.apps().to_vec()
}

/// What was done, and what was wrong with it.
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

/// Goes back and forth over all migrations, and ends where it began.
fn check(apps: &[App], place: &mut impl Place) -> Result<Findings> {
    let migrator = || Migrator::new().apps(apps.iter().cloned());
    let (own, steps): (Vec<_>, Vec<_>) =
        place.plan(&migrator())?.steps.into_iter().partition(|step| step.app == "bustard");
    for step in &own {
        place.run(&migrator().target(&step.app, step.migration.version))?;
    }
    // Looks after each, the first one before all.
    let mut looks = vec![place.look()];
    let mut findings = Findings::default();
    for step in &steps {
        place.run(&migrator().target(&step.app, step.migration.version))?;
        looks.push(place.look());
        findings.checked.push(format!("{}:{}", step.app, step.migration));
    }
    let last = looks.len() - 1;

    // Each with what needs it, from the top.
    for (step, name) in steps.iter().zip(findings.checked.clone()) {
        place.revert(&migrator(), &before(&steps, step))?;
        place.run(&migrator())?;
        findings.same(&looks[last], &place.look(), &format!("{name} and what needs it, undone and applied"));
    }

    // Each on its own, when all after it are undone; twice, so that it is undone
    // where it has been done again too.
    for (index, step) in steps.iter().enumerate().rev() {
        let name = &findings.checked[index].clone();
        for time in ["once", "twice"] {
            place.revert(&migrator(), &before(&steps, step))?;
            findings.same(&looks[index], &place.look(), &format!("{name} undone {time}"));
            if time == "once" {
                place.run(&migrator().target(&step.app, step.migration.version))?;
                findings.same(&looks[index + 1], &place.look(), &format!("{name} applied again"));
            }
        }
    }

    // All at once.
    place.run(&migrator())?;
    findings.same(&looks[last], &place.look(), "all applied again");
    place.revert(&migrator(), &Revert::Steps(usize::MAX))?;
    findings.same(&looks[0], &place.look(), "all undone");
    if !place.caches().is_empty() {
        findings.faults.push(format!("still registered: {:?}", place.caches()));
    }
    Ok(findings)
}

/// Back to just before this one of the steps.
fn before(steps: &[Step], step: &Step) -> Revert {
    let below = steps.iter().filter(|other| other.app == step.app).map(|other| other.migration.version);
    let version = below.filter(|version| *version < step.migration.version).max().unwrap_or(0);
    Revert::To { app: step.app.clone(), version }
}

fn every_migration_goes_back_and_forth(place: &mut impl Place) {
    let project = Project::forum();
    let Findings { checked, faults } = check(&apps(&project), place).expect("every run succeeds");
    println!("checked {} migrations: {}", checked.len(), checked.join(", "));
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let files: Vec<_> =
        project.files("examples/forum").into_iter().filter(|file| is_migration(file)).collect();
    let numbers: std::collections::BTreeSet<_> = files.iter().map(|file| number(file)).collect();
    assert_eq!(checked.len(), numbers.len(), "not every migration of {files:?}");
}

fn is_migration(file: &std::path::Path) -> bool {
    file.extension().is_some_and(|extension| extension == "sql")
}

/// The file without its name and engine.
fn number(file: &std::path::Path) -> String {
    file.display().to_string().split("__").next().unwrap_or_default().to_owned()
}

#[test]
fn every_migration_goes_back_and_forth_on_sqlite() {
    every_migration_goes_back_and_forth(&mut on_sqlite());
}

#[test]
fn every_migration_goes_back_and_forth_on_postgres() {
    every_migration_goes_back_and_forth(&mut on_postgres());
}

/// Something wrong in one of the files.
struct Fault {
    file: &'static str,
    changes: &'static [(&'static str, &'static str)],
    /// How a finding begins, and what it has.
    found: (&'static str, &'static str),
}

/// The checker sees what it is there for: each fault is put into what undoes a
/// migration, and found there.
fn faults_are_found(place: &mut impl Place, changes_default: Fault) {
    let leaves_index = Fault {
        file: "plugins/badges/migrations/V3__no_top_posters.sql",
        changes: &[("CREATE INDEX", "CREATE INDEX IF NOT EXISTS"), ("DROP INDEX posts_author;", "SELECT 1;")],
        found: ("badges:V3__no_top_posters undone once", "posts_author"),
    };
    let on_posts = Fault {
        file: "plugins/badges/migrations/V3__no_top_posters.sql",
        changes: &[("-- bustard: down", "-- bustard: down\n-- bustard: register cache top-posters on posts")],
        found: ("badges:V3__no_top_posters undone once", "top-posters"),
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
        found: ("forum:V8__threads_have_titles undone once", "default ''"),
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
        found: ("forum:V8__threads_have_titles undone once", "DEFAULT true"),
    };
    faults_are_found(&mut on_postgres(), changes_default);
}
