//! Measures the time of planning the migrations of 200 apps on an empty database. Each app
//! has ten migrations, which depend on one another across apps: `cargo bench --bench plan`.
//!
//! The baseline sorts the names of all migrations without dependencies. It is measured
//! together with every sample, so that changes of the machine's speed affect both. No
//! result fails the bench.

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/fast/dependencies/apps.rs"]
mod apps;
mod measure;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::process::id;
use std::time::{Duration, Instant};

use apps::{Asks, Spec, build, generate};
use bustard::{App, Database, Engine, Migrator};
use measure::{Sorted, computed, milliseconds};
use support::{Project, Random};

const APPS: usize = 200;
const MIGRATIONS: usize = 10;
const SAMPLES: usize = 41;
/// The number of repetitions of the baseline. A single repetition takes less than a tick of
/// the clock.
const YARDSTICKS: u32 = 100;
const AIM: Duration = Duration::from_millis(50);

/// Returns the CPU time of `work`, because other processes affect it less than the elapsed
/// time. Returns the elapsed time if the system does not report CPU time. `work` never
/// waits.
fn timed(work: impl FnOnce()) -> Duration {
    let (start, before) = (Instant::now(), computed(id()));
    work();
    let took = start.elapsed();
    before.zip(computed(id())).map_or(took, |(before, after)| after.saturating_sub(before))
}

/// Measures a subject and prints its row.
fn row(what: &str, specs: &[Spec], mut work: impl FnMut()) -> Sorted {
    let names = || -> BTreeSet<(String, i64)> {
        let of =
            |spec: &Spec| spec.migrations.iter().map(|asks| (spec.label.clone(), asks.version)).collect();
        specs.iter().flat_map(|spec| -> Vec<_> { of(spec) }).collect()
    };
    let (mut took, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let one = timed(|| (0..YARDSTICKS).for_each(|_| _ = black_box(names()))) / YARDSTICKS;
        took.push(timed(&mut work));
        ratios.push(took[took.len() - 1].as_secs_f64() / one.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let took = Sorted::new(took);
    println!("{what:<52}{took}{:>10.1}", ratios[SAMPLES / 2]);
    took
}

/// Writes the same migrations as files, because plugins consist of files.
fn write(specs: &[Spec]) -> (Project, Vec<App>) {
    let project = Project::new();
    let directory = |spec: &Spec| {
        for asks in &spec.migrations {
            let (label, version) = (&spec.label, asks.version);
            project.file(format!("{label}/V{version}__x.sql"), text(label, asks));
        }
        App::directory(&spec.label, project.path().join(&spec.label))
    };
    let apps = specs.iter().map(directory).collect();
    (project, apps)
}

fn text(label: &str, asks: &Asks) -> String {
    let mut text = String::new();
    for (app, version) in &asks.depends_on {
        _ = writeln!(text, "-- bustard: depends on {app} V{version}");
    }
    for app in &asks.depends_on_apps {
        _ = writeln!(text, "-- bustard: depends on {app}");
    }
    for (app, version) in &asks.required_by {
        _ = writeln!(text, "-- bustard: required by {app} V{version}");
    }
    let table = format!("{label}_{}", asks.version);
    text + &format!(
        "CREATE TABLE {table} (id bigint PRIMARY KEY, name text NOT NULL DEFAULT '', created text);\n\
         CREATE INDEX {table}_name ON {table} (name);\n-- bustard: down\nDROP TABLE {table};\n"
    )
}

/// Measures loading with and without dependencies, and planning. Planning consists of
/// loading the migrations, reading 200 histories that do not exist, and describing every
/// step.
fn measure(what: &str, specs: &[Spec], apps: &[App], independent: &[App]) -> Duration {
    let load = |apps: &[App]| {
        Migrator::new().apps(apps.iter().cloned()).check_sources(Engine::Sqlite).expect("there is an order");
    };
    let alone = row(&format!("{what}: load, nothing depends on anything"), specs, || load(independent));
    let loaded = row(&format!("{what}: load"), specs, || load(apps));
    let planned = row(&format!("{what}: plan"), specs, || {
        let mut database = Database::new("sqlite::memory:").expect("the URL is good");
        let plan = Migrator::new().apps(apps.iter().cloned()).plan(&mut database).expect("there is an order");
        assert!(plan.steps.len() > APPS * MIGRATIONS, "the plan contains all migrations");
    });
    // The shortest samples are used, because other processes have disturbed them least.
    let [alone, loaded, whole] = [&alone, &loaded, &planned].map(|took| took.hundredth(0));
    let parts = [alone, loaded.saturating_sub(alone), whole.saturating_sub(loaded)].map(milliseconds);
    let [alone, order, rest] = parts;
    println!("  reading, splitting, checking {alone}; dependencies {order}; history and steps {rest}\n");
    planned.median()
}

fn main() {
    let specs = generate(APPS, MIGRATIONS, &mut Random::new(1));
    let mut independent = specs.clone();
    for asks in independent.iter_mut().flat_map(|spec| &mut spec.migrations) {
        *asks = Asks { version: asks.version, ..Asks::default() };
    }
    println!("{:<52}{:>7}{:>14}{:>14}{:>14}{:>10}", "", "samples", "median", "99 %", "longest", "yardstick");
    let code = measure("in code", &specs, &build(&specs), &build(&independent));
    let ((_project, files), (_other, alone)) = (write(&specs), write(&independent));
    let files = measure("files", &specs, &files, &alone);
    for (what, took) in [("in code", code), ("files", files)] {
        let verdict = if took < AIM { "within" } else { "ABOVE" };
        println!("{what}: {} is {verdict} the aim of {}", milliseconds(took), milliseconds(AIM));
    }
}
