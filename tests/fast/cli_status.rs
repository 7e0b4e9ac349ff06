//! Tests `bustard status` and `bustard check`: the states and the exit codes.

use std::fs;

use crate::support::{Project, snapshot_settings};

fn project() -> Project {
    let project = Project::new();
    project
        .file("migrations/V1__a.sql", "-- bustard: register cache settings\nCREATE TABLE a (id INTEGER);\n")
        .file("migrations/V3__b.sql", "CREATE TABLE b (id INTEGER);\n")
        .file("migrations/V5__c.sql", "CREATE TABLE c (id INTEGER);\n")
        .file(".env", "DATABASE_URL=sqlite:app.db\n");
    project.bustard(&["migrate"]).success();
    project
}

#[track_caller]
fn check(project: &Project, code: i32, name: &str) {
    let check = project.bustard(&["check"]).exits(code);
    let status = project.bustard(&["status"]).success();
    let shown = format!("$ bustard status\n{}\n$ bustard check\n{}", status.stdout, check.stdout);
    assert_eq!(status.stderr + &check.stderr, "");
    snapshot_settings(project).bind(|| insta::assert_snapshot!(name, shown));
    let document = project.bustard(&["check", "--json"]).exits(code).json();
    assert_eq!(document["up_to_date"], code == 0);
    assert_eq!(project.bustard(&["status", "--json"]).success().json(), document);
}

#[test]
fn up_to_date() {
    check(&project(), 0, "up_to_date");
}

#[test]
fn pending() {
    let project = project();
    project.file("migrations/V6__d.sql", "CREATE TABLE d (id INTEGER);\n");
    check(&project, 3, "pending");
}

#[test]
fn divergent() {
    let project = project();
    project.file("migrations/V3__b.sql", "CREATE TABLE bb (id INTEGER);\n");
    check(&project, 4, "divergent");
}

#[test]
fn missing_takes_precedence_over_pending() {
    let project = project();
    fs::remove_file(project.path().join("migrations/V3__b.sql")).expect("it is there");
    project.file("migrations/V6__d.sql", "CREATE TABLE d (id INTEGER);\n");
    check(&project, 4, "missing");
}

#[test]
fn out_of_order() {
    let project = project();
    project.file("migrations/V4__late.sql", "CREATE TABLE late (id INTEGER);\n");
    check(&project, 4, "out_of_order");
}

#[test]
fn a_cache_that_is_not_registered() {
    let project = project();
    project.bustard(&["caches", "unregister", "settings", "--force"]).success();
    check(&project, 3, "unregistered");
}

#[test]
fn the_document() {
    let project = project();
    project.file("migrations/V6__d.sql", "CREATE TABLE d (id INTEGER);\n");
    project.bustard(&["caches", "unregister", "settings", "--force"]).success();
    let outcome = project.bustard(&["status", "--json"]).success();
    snapshot_settings(&project).bind(|| insta::assert_snapshot!("status_json", outcome.stdout));
}

#[test]
fn an_empty_database() {
    let project = project();
    project.sqlite("empty.db").execute_batch("CREATE TABLE other (id INTEGER)").expect("it is SQL");
    let url = project.sqlite_url("empty.db");
    let before = fs::read(project.path().join("empty.db")).expect("it is there");
    project.bustard(&["check", "--database-url", &url]).exits(3).says("pending");
    assert_eq!(fs::read(project.path().join("empty.db")).expect("it is there"), before);
}
