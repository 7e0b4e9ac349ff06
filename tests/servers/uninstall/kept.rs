//! Tests uninstalling with kept data, which is later restored or dropped.

use bustard::{AppState, registry};

use super::site::{Site, bans};

#[test]
fn data_is_kept_and_restored() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        let installed = site.objects();
        site.scene.execute("INSERT INTO ban (id) VALUES (4)");

        let plan = site.plan(&["forum", "bans"], &bans().keep_data(true));
        assert_eq!((plan.steps.len(), plan.tables.len(), plan.caches.len()), (0, 0, 2));
        assert!(plan.warnings[0].message().contains("the next run restores it"));
        let report = site.uninstall(&["forum", "bans"], &bans().keep_data(true));
        assert_eq!((report.steps.len(), report.apps[0].state), (0, AppState::DataKept));
        assert_eq!(site.rows("ban"), 4);
        assert_eq!(site.versions().into_keys().collect::<Vec<_>>(), ["threads"]);

        // A second uninstall changes and writes nothing.
        let before = site.scene.contents();
        assert!(!site.uninstall(&["forum"], &bans().keep_data(true)).changed());
        assert_eq!(site.scene.contents(), before);

        let report = site.migrate(&["forum", "bans"]);
        assert!(report.steps.is_empty() && report.changed(), "{report:?}");
        assert_eq!(site.objects(), installed);
        assert_eq!(site.rows("ban"), 4);
        // The triggers of the cache are restored too.
        let mut connection = site.connection();
        let version = registry::get_version(&mut connection, "bans").expect("it is registered");
        site.scene.execute("INSERT INTO ban (id) VALUES (5)");
        assert!(!registry::is_valid(&mut connection, "bans", version).expect("it is registered"));
    }
}

/// While the data were kept, another app used the name of the cache.
#[test]
fn returning_caches_belong_to_the_app_again() {
    for site in Site::both() {
        site.migrate(&["forum", "bans"]);
        site.uninstall(&["forum"], &bans().keep_data(true));
        let mut connection = site.connection();
        registry::register(&mut connection, "bans", Some("forum")).expect("the name is free");
        registry::unregister(&mut connection, "bans").expect("it is registered");
        site.migrate(&["forum", "bans"]);
        let plan = site.plan(&["forum"], &bans());
        assert_eq!(plan.caches, ["bans", "reasons"]);
    }
}

#[test]
fn kept_data_is_uninstalled_later() {
    for with_files in [true, false] {
        for site in Site::both() {
            site.migrate(&["forum"]);
            let alone = site.objects();
            site.migrate(&["forum", "bans"]);
            let fresh = site.objects();
            let apps = if with_files { &["forum", "bans"][..] } else { &["forum"] };
            site.uninstall(apps, &bans().keep_data(true));
            let plan = site.plan(apps, &bans());
            assert_eq!((plan.tables[0].rows, plan.steps.len()), (3, 2));
            site.uninstall(apps, &bans());
            assert_eq!(site.objects(), alone);
            // A new installation starts empty.
            site.migrate(&["forum", "bans"]);
            assert_eq!(site.objects(), fresh);
        }
    }
}

#[test]
fn a_disabled_app_is_uninstalled() {
    for site in Site::both() {
        site.migrate(&["forum"]);
        let alone = site.objects();
        site.migrate(&["forum", "bans"]);
        site.migrator(&["forum", "bans"]).disable(&mut site.connection(), "bans").expect("it is installed");
        site.uninstall(&["forum", "bans"], &bans());
        assert_eq!(site.objects(), alone);
        // After it is installed again, the app is no longer disabled.
        assert_eq!(site.migrate(&["forum", "bans"]).steps.len(), 2);
    }
}
