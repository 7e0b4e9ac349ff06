//! Generated apps whose migrations depend on one another in every possible way, but without
//! a dependency cycle.

// The test and the bench compile this module, and each uses its own part of it.
#![allow(dead_code)]

use bustard::{App, Database, Migration, Migrator};

use crate::support::Random;

/// A generated app.
#[derive(Clone, Debug)]
pub struct Spec {
    pub label: String,
    pub migrations: Vec<Asks>,
}

/// A migration with its dependencies and its `required_by`.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    pub version: i64,
    pub depends_on: Vec<(String, i64)>,
    pub depends_on_apps: Vec<String>,
    pub required_by: Vec<(String, i64)>,
}

/// A migration's place in an order.
pub type Name = (String, i64);

/// Generates `apps` apps with `migrations` migrations each. All migrations form one
/// sequence, in which the versions of each app are in order. Each migration depends on up
/// to two earlier migrations. The migrations of every other app are close together in the
/// sequence, so that later migrations can depend on the whole app.
pub fn generate(apps: usize, migrations: usize, random: &mut Random) -> Vec<Spec> {
    let mut row: Vec<(u64, usize, usize)> = Vec::new();
    let mut specs: Vec<Spec> = Vec::new();
    for a in 0..apps {
        let start = random.below(1000) as u64;
        let length = if a % 2 == 0 { 50 } else { 2000 };
        let mut places: Vec<u64> = (0..migrations).map(|_| start + random.below(length) as u64).collect();
        places.sort_unstable();
        row.extend(places.into_iter().enumerate().map(|(m, place)| (place, a, m)));
        let version = |m: usize| 1 + 3 * m as i64;
        let asks = (0..migrations).map(|m| Asks { version: version(m), ..Asks::default() }).collect();
        // The first apps in the sequence are not the first apps in the alphabet.
        specs.push(Spec { label: format!("app{:03}", (a * 77 + 13) % apps), migrations: asks });
    }
    row.sort_unstable();
    for (here, &(place, a, m)) in row.iter().enumerate() {
        for _ in 0..random.below(3).min(here) {
            let (_, b, before) = row[random.below(here)];
            let (label, version) = (specs[b].label.clone(), specs[b].migrations[before].version);
            let whole = row.iter().rev().find(|(_, other, _)| *other == b).is_some_and(|last| last.0 < place);
            match random.below(3) {
                0 if whole && b != a => specs[a].migrations[m].depends_on_apps.push(label),
                1 => {
                    let this = (specs[a].label.clone(), specs[a].migrations[m].version);
                    specs[b].migrations[before].required_by.push(this);
                }
                _ => specs[a].migrations[m].depends_on.push((label, version)),
            }
        }
    }
    specs
}

/// Converts the generated apps to apps of the library.
pub fn build(specs: &[Spec]) -> Vec<App> {
    let migration = |asks: &Asks| {
        let mut migration = Migration::new().sql("SELECT 1");
        for (app, version) in &asks.depends_on {
            migration = migration.depends_on(app, *version);
        }
        for app in &asks.depends_on_apps {
            migration = migration.depends_on_app(app);
        }
        for (app, version) in &asks.required_by {
            migration = migration.required_by(app, *version);
        }
        migration
    };
    let app = |spec: &Spec| {
        let add = |app: App, asks: &Asks| app.migration(format!("V{}__x", asks.version), migration(asks));
        spec.migrations.iter().fold(App::new(&spec.label), add)
    };
    specs.iter().map(app).collect()
}

/// Returns the order in which Bustard would apply the migrations to an empty database.
pub fn planned(specs: &[Spec]) -> Vec<Name> {
    let mut database = Database::new("sqlite::memory:").expect("the URL is good");
    let plan = Migrator::new().apps(build(specs)).plan(&mut database).expect("there is an order");
    // Repeatable migrations are left out. They are Bustard's own, and have no versions.
    let versioned = plan.steps.into_iter().filter(|step| !step.migration.is_repeatable());
    versioned.map(|step| (step.app, step.migration.version)).collect()
}
