//! Bustard's own tables share one line and are not counted in text. JSON lists every step.

use crate::support::Project;

fn project() -> Project {
    let project = Project::new();
    project
        .file("migrations/V1__a.sql", "CREATE TABLE a (id INTEGER);\n-- bustard: down\nDROP TABLE a;\n")
        .file(".env", "DATABASE_URL=sqlite:app.db\n");
    project
}

#[test]
fn r0_own_tables_are_not_counted() {
    let project = project();
    // `plan` does not create the file.
    project.file("app.db", "");
    let plan = project.bustard(&["plan"]).success();
    let plan = plan.says("bustard own tables: set up\nmain V1__a").says("\n1 migration, 1 app installed");
    assert!(!plan.stdout.contains("registry"), "{plan}");
    project.bustard(&["check"]).exits(3).says("not up to date: 1 pending, Bustard's own tables pending");
    let migrate = project.bustard(&["migrate"]).success().says("set up").says("\n1 migration applied in ");
    assert_eq!(migrate.stdout.matches("bustard").count(), 1, "{migrate}");
    for (command, summary) in [("status", "\n1 applied\n"), ("check", "up to date: 1 applied\n")] {
        project.bustard(&[command]).success().says(summary);
    }
    project.bustard(&["revert", "--steps", "1"]).success().says("\n1 migration reverted in ");
    project.bustard(&["plan"]).success().says("\n1 migration, ");
}

/// After an upgrade that changes only Bustard's own tables, the run reports it in one line.
#[test]
fn r0_a_run_for_own_tables_alone_says_so() {
    let project = project();
    let migrate = project.bustard(&["migrate", "--to", "bustard:1"]).success();
    migrate.says("Bustard's own tables set up in ");
    project.bustard(&["check"]).exits(3).says("not up to date: 1 pending\n");
}

#[test]
fn r0_json_lists_every_step() {
    let project = project();
    let document = project.bustard(&["migrate", "--json"]).success().json();
    let steps = document["steps"].as_array().expect("there are steps");
    assert!(steps.len() > 2 && steps[0]["app"] == "bustard", "{document}");
}
