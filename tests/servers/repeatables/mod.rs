//! Tests repeatable migrations of apps with every verb, and Bustard's own functions.

mod apps;
mod bad;
mod own;
mod releases;
mod replacing;

use serde_json::Value;

use crate::support::{Outcome, Scene};

/// Returns the text of a view for both engines, with a `down` section.
fn view(column: &str) -> String {
    format!(
        "DROP VIEW IF EXISTS names;\nCREATE VIEW names AS SELECT {column} AS name FROM users;\n\
         -- bustard: down\nDROP VIEW names;\n"
    )
}

const USERS: &str = "CREATE TABLE users (login varchar(20), mail varchar(20));\n\
                     INSERT INTO users VALUES ('a', 'a@b');\n\
                     -- bustard: down\nDROP TABLE users;\n";

/// Applies the table and the view.
fn with_view(scene: &Scene) {
    scene.file("V1__users.sql", USERS).file("R__names.sql", view("login"));
    scene.migrate(&[]).success().says("R__names");
}

fn bustard(scene: &Scene, arguments: &[&str]) -> Outcome {
    let url = scene.url();
    scene.project.bustard(&[arguments, &["--database-url", &url]].concat())
}

/// Returns the name of the table of records, which differs between the engines.
fn records(scene: &Scene) -> &'static str {
    if scene.is_postgres() { "bustard.repeatable" } else { "bustard_repeatable" }
}

/// Returns the number of recorded texts of a migration, and the number of its current
/// texts.
fn recorded(scene: &Scene, app: &str, name: &str) -> (String, String) {
    let current = if scene.is_postgres() { "is_current" } else { "is_current = 1" };
    let count = |condition: &str| {
        let table = records(scene);
        scene.value(&format!(
            "SELECT count(*) FROM {table} WHERE app = '{app}' AND name = '{name}' AND {condition}"
        ))
    };
    (count("true"), count(current))
}

/// Returns the steps of a run without Bustard's own, as `app:migration`.
fn steps(outcome: &Outcome) -> Vec<String> {
    let json = outcome.json();
    let steps = json["steps"].as_array().expect("there is a list").iter();
    let name = |step: &Value| {
        format!("{}:{}", step["app"].as_str().unwrap_or(""), step["migration"].as_str().unwrap_or(""))
    };
    steps.map(name).filter(|name| !name.starts_with("bustard:")).collect()
}

/// Returns the state of a migration in `status --json`.
fn state(scene: &Scene, app: &str, migration: &str) -> String {
    let json = bustard(scene, &["status", "--json"]).success().json();
    let all = json["migrations"].as_array().expect("there is a list");
    let found = all.iter().find(|one| one["app"] == app && one["migration"] == migration);
    found.and_then(|one| one["state"].as_str()).unwrap_or("not listed").to_owned()
}

/// Returns the number of invalidations of a cache, including those of all caches.
fn invalidations(scene: &Scene, cache: &str) -> i64 {
    let version = match scene.is_postgres() {
        true => format!("SELECT bustard.get_version('{cache}')::text"),
        false => format!("SELECT version FROM bustard_caches WHERE name = '{cache}'"),
    };
    let number: i64 = scene.value(&version).parse().expect("it is a number");
    number >> 23
}
