//! Tests foreign keys to the tables of the uninstalled app, from tables that stay.

use bustard::ErrorKind;

use super::site::{Site, bans};
use crate::support::Scene;

/// A table of another app that refers to bans without a dependency.
const APPEAL: &str = "CREATE TABLE appeal (id INTEGER PRIMARY KEY, ban INTEGER REFERENCES ban (id));\n\
     INSERT INTO appeal VALUES (1, 1);\n";

#[test]
fn a_foreign_key_of_another_app_is_refused() {
    for site in Site::both() {
        site.file("appeals/V1__appeals.sql", APPEAL);
        site.migrate(&["forum", "bans"]);
        site.migrate(&["forum", "bans", "appeals"]);
        let plan = site.plan(&["forum"], &bans());
        let (from, to) =
            if site.scene.is_postgres() { ("public.appeal", "public.ban") } else { ("appeal", "ban") };
        let [key] = plan.foreign_keys.as_slice() else { panic!("{:?}", plan.foreign_keys) };
        assert_eq!(
            (key.table.as_str(), &key.columns[..], key.references.as_str()),
            (from, &["ban".to_owned()][..], to)
        );
        let error = site.refuses(&["forum"], &bans());
        assert_eq!(error.kind(), ErrorKind::Failed);
        let text = error.report().to_string();
        assert!(text.contains(&format!("the table {from} has a foreign key (ban) onto {to}")), "{text}");
        assert!(text.contains("Uninstall::keep_data") && text.contains("nothing was changed"), "{text}");
    }
}

#[test]
fn both_apps_can_be_uninstalled() {
    for site in Site::both() {
        let down = format!("-- bustard: depends on bans V1\n{APPEAL}-- bustard: down\nDROP TABLE appeal;\n");
        site.file("appeals/V1__appeals.sql", &down);
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.migrate(&["forum", "bans", "appeals"]);
        let refused = site.refuses(&["forum"], &bans());
        assert!(refused.report().to_string().contains("appeal has a foreign key"), "{refused}");
        let cascade = bans().cascade(true);
        assert!(site.plan(&["forum"], &cascade).foreign_keys.is_empty());
        site.uninstall(&["forum"], &cascade);
        assert_eq!(site.objects(), alone);
    }
}

/// The revert statements remove the reference by themselves.
#[test]
fn a_key_that_the_revert_removes_is_allowed() {
    for site in Site::both() {
        let (up, down) = match site.scene.is_postgres() {
            true => ("", "ALTER TABLE thread DROP CONSTRAINT thread_ban_fkey;\n"),
            // SQLite can only remove a reference by rebuilding the table.
            false => (
                "",
                "CREATE TABLE new (id INTEGER PRIMARY KEY, title TEXT NOT NULL, ban INTEGER);\n\
                 INSERT INTO new SELECT id, title, ban FROM thread;\n\
                 DROP TABLE thread;\n\
                 ALTER TABLE new RENAME TO thread;\n",
            ),
        };
        site.file(
            "bans/V3__refer.sql",
            &format!(
                "{up}ALTER TABLE thread ADD COLUMN ban INTEGER REFERENCES ban (id);\n-- bustard: down\n{down}"
            ),
        );
        site.migrate(&["forum", "bans"]);
        site.scene.execute("UPDATE thread SET ban = 1");
        let plan = site.plan(&["forum"], &bans());
        assert_eq!(plan.foreign_keys.len(), 1);
        assert_eq!(plan.tables.len(), 1, "the rebuilt table stays: {:?}", plan.tables);
        assert!(plan.obstacles.is_empty(), "{:?}", plan.obstacles);
        site.uninstall(&["forum"], &bans());
        assert_eq!(site.rows("thread"), 2);
    }
}

/// A view or trigger of another app uses a dropped table. SQLite drops the table anyway,
/// and PostgreSQL refuses.
#[test]
fn views_and_triggers_of_others() {
    let [postgres, sqlite] = Site::both();
    for site in [&postgres, &sqlite] {
        site.migrate(&["forum", "bans"]);
        site.scene.execute("CREATE VIEW banned AS SELECT id FROM ban");
        site.scene.execute("CREATE VIEW other AS SELECT 'ban' AS id FROM thread");
    }
    sqlite.scene.execute("CREATE TRIGGER unban AFTER DELETE ON thread BEGIN DELETE FROM Ban; END");
    let text = postgres.refuses(&["forum"], &bans()).report().to_string();
    assert!(text.contains("view banned depends on table ban"), "{text}");
    let warned: Vec<String> = (sqlite.plan(&["forum"], &bans()).warnings.iter())
        .map(|problem| problem.message().replace(" seems to use ban, which would be dropped, and stays", ""))
        .collect();
    assert_eq!(warned, ["the trigger unban", "the view banned"]);
}

/// The revert mentions the table without removing the foreign key. PostgreSQL then refuses
/// the drop, and on SQLite no session could write to the remaining table.
#[test]
fn a_key_that_the_revert_only_mentions_is_refused() {
    for site in Site::both() {
        site.file(
            "bans/V3__title.sql",
            "UPDATE thread SET title = 'x';\n-- bustard: down\nUPDATE thread SET title = 'y';\n",
        );
        site.migrate(&["forum", "bans"]);
        site.scene.execute("ALTER TABLE thread ADD COLUMN ban INTEGER REFERENCES ban (id)");
        assert_eq!(site.plan(&["forum"], &bans()).obstacles, []);
        let text = site.refuses(&["forum"], &bans()).report().to_string();
        let said = if site.scene.is_postgres() {
            "thread_ban_fkey"
        } else {
            "the table thread has a foreign key (ban) onto ban"
        };
        assert!(text.contains(said) && text.contains("nothing was changed"), "{text}");
    }
}

#[test]
fn a_key_of_several_columns_of_a_quoted_table() {
    for site in Site::both() {
        site.file(
            "bans/V3__pairs.sql",
            "CREATE TABLE pair (a INTEGER, b INTEGER, PRIMARY KEY (a, b));\n-- bustard: down\nDROP TABLE pair;\n",
        );
        site.migrate(&["forum", "bans"]);
        let (table, shown) = match site.scene.is_postgres() {
            true => ("other.\"Pair of \"\"x\"\"\"", "other.\"Pair of \"\"x\"\"\""),
            false => ("\"Pair of \"\"x\"\"\"", "\"Pair of \"\"x\"\"\""),
        };
        if site.scene.is_postgres() {
            site.scene.execute("CREATE SCHEMA other");
        }
        let keys = "(x INTEGER, y INTEGER, z INTEGER REFERENCES thread (id), FOREIGN KEY (y, x) REFERENCES pair (a, b))";
        site.scene.execute(&format!("CREATE TABLE {table} {keys}"));
        let plan = site.plan(&[], &bans());
        let [key] = plan.foreign_keys.as_slice() else { panic!("{:?}", plan.foreign_keys) };
        assert_eq!((key.table.as_str(), key.columns.join(" ")), (shown, "y x".to_owned()));
        assert_eq!(plan.obstacles.len(), 1);
    }
}

/// The plan lists a partitioned table and its foreign keys, but not its partitions and the
/// keys of the partitions.
#[test]
fn partitions_are_not_listed() {
    let site = Site { scene: Scene::postgres() };
    site.file(
        "bans/V1__bans.sql",
        "CREATE TABLE ban (id int PRIMARY KEY) PARTITION BY RANGE (id);\n\
         CREATE TABLE ban_1 PARTITION OF ban FOR VALUES FROM (0) TO (10);\n\
         CREATE TABLE ban_2 PARTITION OF ban FOR VALUES FROM (10) TO (20);\n\
         INSERT INTO ban VALUES (1), (11), (12);\n\
         -- bustard: down\nDROP TABLE ban;\n",
    );
    site.migrate(&["bans"]);
    site.scene.execute(
        "CREATE TABLE appeal (ban int REFERENCES ban (id)) PARTITION BY RANGE (ban);
         CREATE TABLE appeal_1 PARTITION OF appeal FOR VALUES FROM (0) TO (10)",
    );
    let plan = site.plan(&[], &bans());
    assert_eq!(
        plan.tables.iter().map(|one| (one.table.as_str(), one.rows)).collect::<Vec<_>>(),
        [("public.ban", 3)]
    );
    assert_eq!(plan.foreign_keys.iter().map(|key| key.table.as_str()).collect::<Vec<_>>(), ["public.appeal"]);
    site.scene.execute("DROP TABLE appeal");
    site.uninstall(&[], &bans());
    assert!(!site.has("ban_2"));
}
