//! Tests two plugins whose migrations depend on each other over several releases. The
//! releases are deployed in every order that the dependencies allow, and some are skipped.
//! The final schema must always be the same.

use std::collections::BTreeMap;

use crate::support::{Engine, Project, State, Subject};
use bustard::{App, Database, Migrator};

const RELEASES: usize = 3;

/// The deployed releases of the plugins `a` and `b`. 0 means that the plugin is not
/// deployed.
type Deployed = (usize, usize);

/// The declaration that a migration of `b` comes before the next migration of `a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// `a` declares the order.
    DependsOn,
    /// `b` declares the order. The migration of `a` may have been applied before.
    RequiredBy,
    /// Neither declares the order, which is a mistake.
    Forgotten,
}

/// Links from b:1 to a:2, from b:2 to a:3, and so on. The links from a:1 to b:1 and
/// from a:2 to b:2 are always dependencies.
type Links = [Link; RELEASES - 1];

/// Returns the text of the migration `version` of `a`.
fn of_a(links: Links, version: usize) -> String {
    let register = format!("-- bustard: register cache a{version}\n");
    let Some(last) = version.checked_sub(2) else {
        return register + "CREATE TABLE feed (id bigint PRIMARY KEY);\n";
    };
    match links[last] {
        Link::DependsOn => {
            let depends = format!("-- bustard: depends on b V{}\n", version - 1);
            register + &depends + &format!("ALTER TABLE feed ADD COLUMN a{version} text;\n")
        }
        // This migration may run before or after the migration of `b`, so its effect must
        // not depend on the order.
        Link::RequiredBy => register + &format!("CREATE TABLE a{version} (id bigint PRIMARY KEY);\n"),
        Link::Forgotten => register + &format!("ALTER TABLE feed ADD COLUMN a{version} text;\n"),
    }
}

fn of_b(links: Links, version: usize) -> String {
    let required = match links.get(version - 1) {
        Some(Link::RequiredBy) => format!("-- bustard: required by a V{}\n", version + 1),
        _ => String::new(),
    };
    format!(
        "-- bustard: depends on a V{version}\n{required}\
         ALTER TABLE feed ADD COLUMN b{version} text;\n-- bustard: register cache b{version}\n"
    )
}

/// Writes each release of each plugin into a directory of its own.
fn write(links: Links) -> Project {
    let project = Project::new();
    for release in 1..=RELEASES {
        for version in 1..=release {
            let file = format!("V{version}__v{version}.sql");
            project.file(format!("a{release}/{file}"), of_a(links, version));
            project.file(format!("b{release}/{file}"), of_b(links, version));
        }
    }
    project
}

fn migrator(project: &Project, (a, b): Deployed) -> Migrator {
    let app = |label: &str, release: usize| {
        let directory = project.path().join(format!("{label}{release}"));
        (release > 0).then(|| App::directory(label, directory))
    };
    Migrator::new().apps(app("a", a)).apps(app("b", b))
}

/// Returns all sequences of deploys from `from` to the last release of both plugins. Each
/// deploy is allowed by the dependencies and upgrades at least one plugin.
fn ways(project: &Project, from: Deployed) -> Vec<Vec<Deployed>> {
    if from == (RELEASES, RELEASES) {
        return vec![Vec::new()];
    }
    let all = (from.0..=RELEASES).flat_map(|a| (from.1..=RELEASES).map(move |b| (a, b)));
    let next =
        all.filter(|to| *to != from && migrator(project, *to).check_sources(bustard::Engine::Sqlite).is_ok());
    let with_rest = |to: Deployed| {
        let rest = ways(project, to);
        rest.into_iter().map(move |rest| [vec![to], rest].concat())
    };
    next.flat_map(with_rest).collect()
}

/// The result of a sequence of deploys.
#[derive(Debug, PartialEq, Eq)]
struct End {
    state: State,
    /// The columns of the table that both plugins have altered, in their order.
    columns: Vec<String>,
}

fn end(subject: &Subject<'_>) -> End {
    let columns = match subject.engine() {
        Engine::Postgres => {
            let feed = subject.client().prepare("SELECT * FROM feed").expect("there is a feed");
            feed.columns().iter().map(|column| column.name().to_owned()).collect()
        }
        Engine::Sqlite => {
            let connection = subject.sqlite();
            let feed = connection.prepare("SELECT * FROM feed").expect("there is a feed");
            feed.column_names().map(str::to_owned).collect()
        }
    };
    let mut state = subject.state();
    // The count of invalidations depends on the number of deploys.
    state.versions.clear();
    End { state, columns }
}

/// Deploys one release after the other. Returns the migrations in the order in which
/// they were applied, with the number of the deploy. Also returns how many of them the
/// reports of the deploys call late.
fn deploy(subject: &Subject<'_>, way: &[Deployed]) -> (Vec<(String, usize)>, usize) {
    let mut database = Database::new(&subject.url()).expect("the URL is good");
    let (mut applied, mut late) = (Vec::new(), 0);
    for (n, deployed) in way.iter().enumerate() {
        let migrator = migrator(subject.project, *deployed);
        let report = migrator.run(&mut database).unwrap_or_else(|error| panic!("{way:?}: {error}"));
        let steps = report.steps.iter().filter(|done| done.app != "bustard");
        applied.extend(steps.map(|done| (format!("{}{}", done.app, done.migration.version), n)));
        let told =
            report.warnings.iter().filter(|warning| warning.to_string().contains("should come after it"));
        late += told.count();
        assert!(!migrator.run(&mut database).expect("it runs").changed(), "{way:?}");
    }
    (applied, late)
}

/// Runs every sequence of deploys and compares the results. Returns the number of
/// sequences, and the number of sequences in which a migration was applied after a
/// migration that requires it.
fn check(engine: Engine, links: Links) -> Result<(usize, usize), String> {
    let project = write(links);
    let ways = ways(&project, (0, 0));
    let (mut first, mut late) = (None, 0);
    for way in &ways {
        let subject = Subject::new(engine, &project);
        let (applied, told) = deploy(&subject, way);
        let at: BTreeMap<&str, (usize, usize)> =
            applied.iter().enumerate().map(|(n, (name, deploy))| (name.as_str(), (n, *deploy))).collect();
        if (at.len(), applied.len()) != (2 * RELEASES, 2 * RELEASES) {
            return Err(format!("{way:?} applied {applied:?}"));
        }
        let mut came_late = 0;
        for version in 1..=RELEASES {
            let [a, b] = ["a", "b"].map(|label| at[format!("{label}{version}").as_str()]);
            let next = at.get(format!("a{}", version + 1).as_str());
            let before_next = next.is_none_or(|next| b < *next);
            let kept = match links.get(version - 1) {
                Some(Link::DependsOn) => before_next,
                // The exception is a migration of `a` that was applied before the migration
                // of `b` was deployed.
                Some(Link::RequiredBy) => before_next || next.is_some_and(|next| next.1 < b.1),
                _ => true,
            };
            if a > b || !kept {
                return Err(format!("{way:?} applied {applied:?}"));
            }
            came_late += usize::from(!before_next);
        }
        if came_late != told && !links.contains(&Link::Forgotten) {
            return Err(format!("{way:?} applied {applied:?}, and {told} were reported as late"));
        }
        late += usize::from(came_late > 0);
        let found = end(&subject);
        let (other, expected) = first.get_or_insert_with(|| (way, end(&subject)));
        if found != *expected {
            return Err(format!("{way:?} leads to {found:#?}, {other:?} to {expected:#?}"));
        }
    }
    Ok((ways.len(), late))
}

fn every_order_leads_to_one_schema(engine: Engine) {
    use Link::{DependsOn, RequiredBy};

    for (links, expected, expected_late) in [
        ([DependsOn, DependsOn], 32, 0),
        ([DependsOn, RequiredBy], 32, 16),
        ([RequiredBy, DependsOn], 32, 16),
        ([RequiredBy, RequiredBy], 48, 40),
    ] {
        let (ways, late) = check(engine, links).unwrap_or_else(|found| panic!("{links:?}: {found}"));
        println!("{engine:?}, {links:?}: {ways} ways to deploy, {late} of them with late migrations");
        assert_eq!((ways, late), (expected, expected_late), "{engine:?}, {links:?}");
    }
}

#[test]
fn every_order_of_releases_leads_to_one_schema_on_postgres() {
    every_order_leads_to_one_schema(Engine::Postgres);
}

#[test]
fn every_order_of_releases_leads_to_one_schema_on_sqlite() {
    every_order_leads_to_one_schema(Engine::Sqlite);
}

/// Proves that the checker finds a fault.
#[test]
fn the_check_finds_a_forgotten_dependency() {
    let found = check(Engine::Sqlite, [Link::DependsOn, Link::Forgotten]).expect_err("order matters");
    assert!(found.contains("leads to"), "{found}");
}
