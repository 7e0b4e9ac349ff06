//! `status` and `check` say of a migration that stops a run what differs and what to do, as
//! the run itself says it.

use crate::support::Project;

const URL: &str = "--database-url=sqlite:app.db";

#[test]
fn a25_what_differs_is_shown() {
    let project = Project::new();
    project.file("migrations/V2__b.sql", "CREATE TABLE b (id int);\n");
    project.file("migrations/V3__c.sql", "CREATE TABLE c (id int);\n");
    project.bustard(&["migrate", URL]).success();
    let row = |version: u32| -> String {
        let sql = format!("SELECT checksum FROM refinery_schema_history WHERE version = {version}");
        project.sqlite("app.db").query_row(&sql, [], |row| row.get(0)).expect("it is applied")
    };
    project.file("migrations/V1__late.sql", "CREATE TABLE late (id int);\n");
    project.file("migrations/V2__b.sql", "CREATE TABLE b (id bigint);\n");
    std::fs::rename(
        project.path().join("migrations/V3__c.sql"),
        project.path().join("migrations/V3__renamed.sql"),
    )
    .expect("the file is there");

    let refused = project.bustard(&["migrate", URL]).exits(4).stderr;
    for (command, code) in [("status", 0), ("check", 4)] {
        let outcome = project.bustard(&[command, URL]).exits(code);
        for text in [
            format!("its text differs (checksum {}, now ", row(2)),
            "main:V3__renamed was changed after it was applied on ".to_owned(),
            "it was applied with the name V3__c\n".to_owned(),
            "accept it: `bustard repair main:V2`".to_owned(),
            "accept it: `bustard repair main:V3`".to_owned(),
            "main:V1__late is pending, and a later migration of the app is applied already".to_owned(),
        ] {
            assert!(outcome.stdout.contains(&text), "{text}: {outcome}");
            assert!(refused.contains(&text), "{text}: {refused}");
        }
        let document = project.bustard(&[command, "--json", URL]).exits(code).json();
        let found = |migration: &str| {
            let all = document["migrations"].as_array().expect("there are migrations");
            let one = all.iter().find(|one| one["migration"] == migration).expect("it is there");
            one["diagnostic"]["code"].as_str().map(str::to_owned)
        };
        assert_eq!(found("V2__b").as_deref(), Some("divergent-migration"));
        assert_eq!(found("V1__late").as_deref(), Some("out-of-order-migration"));
        assert_eq!(found("V1__registry"), None);
    }
    // What they advise works.
    for migration in ["main:V2", "main:V3"] {
        project.bustard(&["repair", migration, URL]).success();
    }
    project.bustard(&["migrate", "--allow-out-of-order", URL]).success();
    let outcome = project.bustard(&["check", URL]).success();
    assert!(!outcome.stdout.contains("was changed"), "{outcome}");
}
