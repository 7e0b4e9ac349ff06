//! A25: a plan names everything that the next run does.

use serde_json::Value;

use crate::support::Project;

const URL: &str = "--database-url=sqlite:app.db";

fn migrated() -> Project {
    let project = Project::new();
    project.file(
        "migrations/V1__create.sql",
        "CREATE TABLE thing (id int);\n-- bustard: register cache things on thing\n\
         -- bustard: register cache others\n-- bustard: down\nDROP TABLE thing;\n",
    );
    project.bustard(&["migrate", URL]).success();
    project
}

fn document(project: &Project, command: &str) -> Value {
    project.bustard(&[command, "--json", URL]).success().json()
}

#[test]
fn a25_a_plan_names_the_caches_that_a_run_registers_again() {
    for (names, lines) in [
        (&["others"][..], "register cache others again, as main:V1__create had\n"),
        (
            &["others", "things"],
            "register cache others again, as main:V1__create had\nregister cache things again, as main:V1__create had\n",
        ),
    ] {
        let project = migrated();
        for name in names {
            project.bustard(&["caches", "unregister", name, "--force", URL]).success();
        }
        let planned = document(&project, "plan");
        let described = |document: &Value| document["restored_caches"].clone();
        assert_eq!(planned["caches_invalidated"], true);
        assert_eq!(planned["restored_caches"][0]["name"], "others", "{planned}");
        assert_eq!(planned["restored_caches"].as_array().map(Vec::len), Some(names.len()), "{planned}");
        let end = "\nall caches are invalidated at the end of the transaction\n";
        let text = project.bustard(&["plan", URL]).success();
        assert!(text.stdout.ends_with(&format!("\n\n{lines}{end}")), "{text}");
        let sql = project.bustard(&["plan", "--sql", URL]).success();
        for line in lines.lines() {
            assert!(sql.stdout.contains(&format!("-- {line}\n")), "{sql}");
        }
        // The run does what the plan said.
        assert_eq!(described(&document(&project, "migrate")), described(&planned));
        let after = document(&project, "plan");
        assert!(after.get("restored_caches").is_none() && after["caches_invalidated"] == false, "{after}");
    }
}

/// Damages that a run mends. A plan must not say of one that there is nothing to do.
#[test]
fn a25_a_plan_is_empty_only_if_a_run_changes_nothing() {
    for (damage, changes) in [
        ("", false),
        ("DELETE FROM thing", false),
        ("DROP TRIGGER \"{trigger}\"", true),
        ("UPDATE bustard_cache SET active = 0 WHERE name = 'others'", true),
        ("ALTER TABLE thing RENAME TO thing_2", true),
        ("DROP TABLE bustard_repeatable", true),
    ] {
        let project = migrated();
        let database = project.sqlite("app.db");
        let trigger = database
            .query_row(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'thing'",
                [],
                |row| row.get::<_, String>(0),
            )
            .expect("the cache has triggers");
        database.execute_batch(&damage.replace("{trigger}", &trigger)).expect("the damage is done");
        drop(database);
        let planned = document(&project, "plan");
        let text = project.bustard(&["plan", URL]).success();
        let run = document(&project, "migrate");
        assert_eq!(run["changed"], changes, "{damage}: {run}");
        assert_eq!(planned["caches_invalidated"], changes, "{damage}: {planned}");
        assert_eq!(text.stdout.contains("nothing to do"), !changes, "{damage}: {text}");
    }
}
