//! Tests apps that depend on the app to uninstall. The uninstall is refused, or the
//! dependants are uninstalled first.

use bustard::{ErrorKind, Uninstall};

use super::site::{Site, bans};

const ALL: [&str; 5] = ["forum", "bans", "appeals", "letters", "polls"];

/// Adds apps: `letters` depends on `appeals`, which depends on `bans`. `polls` depends only
/// on the forum.
fn chain(site: &Site) {
    site.file(
        "appeals/V1__appeals.sql",
        "-- bustard: depends on bans V1\n\
         -- bustard: register cache appeals\n\
         CREATE TABLE appeal (id INTEGER PRIMARY KEY, ban INTEGER REFERENCES ban (id));\n\
         INSERT INTO appeal VALUES (1, 1), (2, 2);\n\
         -- bustard: down\n\
         DROP TABLE appeal;\n",
    );
    site.file(
        "letters/V1__before.sql",
        "CREATE TABLE envelope (id INTEGER);\n-- bustard: down\nDROP TABLE envelope;\n",
    );
    site.file(
        "letters/V2__letters.sql",
        "-- bustard: depends on appeals\n\
         CREATE TABLE letter (appeal INTEGER REFERENCES appeal (id));\n\
         INSERT INTO letter VALUES (1);\n\
         -- bustard: down\n\
         DROP TABLE letter;\n",
    );
    site.file(
        "polls/V1__polls.sql",
        "-- bustard: depends on forum V1\n\
         CREATE TABLE poll (thread INTEGER REFERENCES thread (id));\n\
         -- bustard: down\n\
         DROP TABLE poll;\n",
    );
}

#[test]
fn an_app_with_dependants_stays() {
    for site in Site::both() {
        chain(&site);
        site.migrate(&ALL);
        // It does not matter whether the files of the dependants exist.
        for apps in [&ALL[..], &["forum"]] {
            let plan = site.plan(apps, &bans());
            assert_eq!(plan.apps, ["bans"]);
            let needing: Vec<_> = plan
                .dependants
                .iter()
                .map(|one| format!("{}:{} {}", one.app, one.migration, one.needs))
                .collect();
            assert_eq!(
                needing,
                ["appeals:V1__appeals bans:V1__bans", "letters:V2__letters appeals:V1__appeals"]
            );
            let error = site.refuses(apps, &bans());
            assert_eq!(error.kind(), ErrorKind::Failed);
            let text = error.report().to_string();
            assert!(
                text.contains("the app appeals depends on it: appeals:V1__appeals depends on bans:V1__bans"),
                "{text}"
            );
            assert!(text.contains("uninstall appeals as well: `Uninstall::cascade`"), "{text}");
            assert!(text.contains("nothing was changed"), "{text}");
        }
        let kept = site.refuses(&ALL, &bans().keep_data(true));
        assert!(kept.to_string().contains("the app appeals depends on it"), "{kept}");
    }
}

#[test]
fn dependants_are_uninstalled_first() {
    for with_files in [true, false] {
        for site in Site::both() {
            chain(&site);
            site.migrate(&["forum", "polls"]);
            let without = site.objects();
            site.migrate(&ALL);
            let mut apps = ALL.to_vec();
            if !with_files {
                ["bans", "appeals", "letters"].into_iter().for_each(|app| site.delete(app));
                apps = vec!["forum", "polls"];
            }
            let cascade = bans().cascade(true);
            let plan = site.plan(&apps, &cascade);
            assert_eq!(plan.apps, ["letters", "appeals", "bans"]);
            let tables: Vec<_> = plan.tables.iter().map(|table| table.rows).collect();
            assert_eq!(tables, [2, 3, 0, 1], "appeal, ban, envelope, letter");
            assert!(plan.obstacles.is_empty() && plan.foreign_keys.is_empty(), "{plan:?}");
            let report = site.uninstall(&apps, &cascade);
            let reverted: Vec<_> =
                report.steps.iter().map(|done| format!("{}:V{}", done.app, done.migration.version)).collect();
            assert_eq!(reverted, ["letters:V2", "letters:V1", "appeals:V1", "bans:V2", "bans:V1"]);
            assert_eq!(site.objects(), without);
        }
    }
}

/// The apps are uninstalled one after the other, in the order of the plan.
#[test]
fn nothing_is_refused_from_the_end_of_the_chain() {
    for site in Site::both() {
        chain(&site);
        site.migrate(&["forum", "polls"]);
        let without = site.objects();
        site.migrate(&ALL);
        for app in ["letters", "appeals", "bans"] {
            site.uninstall(&[], &Uninstall::new(app));
        }
        assert_eq!(site.objects(), without);
    }
}

#[test]
fn all_apps_are_uninstalled_at_once() {
    for site in Site::both() {
        chain(&site);
        site.migrate(&ALL);
        let report = site.uninstall(&[], &Uninstall::new("forum").cascade(true));
        assert_eq!(report.apps.len(), 5);
        assert!(site.versions().is_empty());
        for table in ["thread", "ban", "appeal", "letter", "envelope", "poll"] {
            assert!(!site.has(table), "{table}");
        }
        site.migrate(&ALL);
        assert_eq!(site.rows("letter"), 1);
    }
}

/// Adds the app `ranks`. Its migration declares that it is required by the forum's second
/// migration, because it reads a table that the second migration drops. The forum does not
/// depend on it.
fn ranks(site: &Site) {
    site.file(
        "ranks/V1__ranks.sql",
        "-- bustard: depends on forum V1\n\
         -- bustard: required by forum V2\n\
         CREATE TABLE rank (thread INTEGER);\n\
         -- bustard: down\n\
         DROP TABLE rank;\n",
    );
    site.file(
        "forum/V2__more.sql",
        "CREATE TABLE more (thread INTEGER);\n-- bustard: down\nDROP TABLE more;\n",
    );
}

#[test]
fn an_app_with_required_by_is_no_dependency() {
    for site in Site::both() {
        ranks(&site);
        let report = site.migrate(&["forum", "ranks"]);
        let last = report.steps.last().map(|done| format!("{}:{}", done.app, done.migration));
        assert_eq!(last.as_deref(), Some("forum:V2__more"));
        for apps in [&["forum", "ranks"][..], &["forum"]] {
            let plan = site.plan(apps, &Uninstall::new("ranks"));
            assert!(plan.dependants.is_empty() && plan.obstacles.is_empty(), "{plan:?}");
            let said = "forum:V2 stays: only ranks:V1 declares that it comes before it";
            assert!(plan.warnings.iter().any(|warning| warning.message() == said), "{:?}", plan.warnings);
        }
        site.uninstall(&["forum"], &Uninstall::new("ranks"));
        assert!(site.has("more") && !site.has("rank"));
    }
}

/// If both are uninstalled, the later migration is reverted first.
#[test]
fn an_app_with_required_by_is_reverted_last() {
    for site in Site::both() {
        ranks(&site);
        site.migrate(&["forum", "ranks"]);
        let report = site.uninstall(&[], &Uninstall::new("forum").cascade(true));
        let reverted: Vec<_> =
            report.steps.iter().map(|done| format!("{}:{}", done.app, done.migration)).collect();
        assert_eq!(reverted, ["forum:V2__more", "ranks:V1__ranks", "forum:V1__threads"]);
        assert!(report.warnings.iter().all(|warning| !warning.message().contains("stays")));
    }
}
