//! Tests changes of a dependency after the migration was applied.

use bustard::report::State;
use bustard::{App, Diagnostic, ErrorKind, Migration, Place, Revert};

use super::{Ground, bans, forum, messages, migrator, names, table};

const CHANGED: &str = "is applied, and its dependencies were changed since";

impl Ground {
    fn write(&self, contents: &str) -> App {
        self.scene.project.file("plugin/V1__plugin.sql", contents);
        App::directory("plugin", self.scene.project.path().join("plugin"))
    }

    /// Asserts that plan, report and status have exactly these diagnostics.
    #[track_caller]
    fn warns(&mut self, apps: &[App], expected: &[&str]) {
        let plan = migrator(apps).plan(&mut self.database).expect("nothing is wrong");
        assert_eq!(warnings(&plan.warnings), expected);
        let status = migrator(apps).status(&mut self.database).expect("there is a status");
        assert_eq!(warnings(&status.warnings), expected);
        let before = self.scene.contents();
        let report = self.run(apps);
        assert_eq!(warnings(&report.warnings), expected);
        if plan.steps.is_empty() {
            assert!(!report.changed());
            assert_eq!(self.scene.contents(), before);
            assert_eq!(status.in_state(State::Applied).count(), status.migrations.len());
        }
    }

    /// Accepts the change, and asserts that it is no longer reported.
    #[track_caller]
    fn accepts(&mut self, apps: &[App], app: &str, needs: &str) {
        let report = migrator(apps)
            .repair(&mut self.database, &bustard::Repair::migration(app, 1))
            .expect("it can be accepted");
        assert!(report.changed());
        self.warns(apps, &[]);
        self.unchanged(|database| migrator(apps).repair(database, &bustard::Repair::migration(app, 1)));
        let records = self.own("migration");
        let recorded = self
            .scene
            .value(&format!("SELECT depends_on FROM {records} WHERE app = '{app}' AND version = 1"));
        assert_eq!(recorded, needs);
    }
}

fn warnings(warnings: &[Diagnostic]) -> Vec<&str> {
    messages(warnings)
}

#[test]
fn a_changed_dependency_of_a_file() {
    for mut ground in Ground::both() {
        let sql = "CREATE TABLE plugin (id integer);\n-- bustard: register cache plugins\n";
        let plugin = ground.write(&format!("-- bustard: depends on forum V1\n{sql}"));
        ground.run(&[forum(), plugin.clone()]);
        ground.warns(&[forum(), plugin], &[]);
        let said = format!("plugin:V1__plugin {CHANGED}");
        for changed in [
            format!("-- bustard: depends on forum V2\n{sql}"),
            sql.to_owned(),
            format!(
                "-- bustard: depends on forum V1\r\n{}",
                sql.replace('\n', "\r\n-- bustard: depends on bans\r\n")
            ),
            format!("\u{feff}--bustard:DEPENDS ON forum\n{sql}"),
        ] {
            let apps = [forum(), bans(), ground.write(&changed)];
            ground.run(&apps[..2]);
            ground.warns(&apps, &[&said]);
        }
        // The next migration of the app is applied, after refinery's own verification.
        let apps = [forum(), bans(), ground.write(&format!("-- bustard: depends on bans V1\n{sql}"))];
        ground.scene.project.file("plugin/V2__more.sql", "CREATE TABLE more (id integer);\n");
        assert_eq!(names(&ground.run(&apps)), ["plugin:V2__more"]);
        ground.warns(&apps, &[&said]);
        let warning = &migrator(&apps).plan(&mut ground.database).expect("there is a plan").warnings[0];
        assert!(warning.report().for_command("bustard").to_string().contains("bustard repair plugin:V1"));
        assert!(warning.place().is_some_and(|place| place.path().ends_with("plugin/V1__plugin.sql")));
        ground.accepts(&apps, "plugin", "bans:1");

        // Any other change is still a divergence, until it is accepted.
        let other = ground.write(&format!("-- bustard: depends on bans V1\n{sql}-- a comment\n"));
        let apps = [forum(), bans(), other];
        let error = ground.refused(|database| migrator(&apps).run(database));
        assert_eq!(error.kind(), ErrorKind::Divergent);
        let report = migrator(&apps).allow_divergent(true).run(&mut ground.database).expect("allowed");
        assert!(!report.changed());
        ground.accepts(&apps, "plugin", "bans:1");
        let apps = [forum(), bans(), ground.write(&format!("{sql}-- a comment\n"))];
        ground.warns(&apps, &[&said]);
        // The changed dependency does not block a revert either.
        let to = Revert::To { app: "plugin".into(), version: 1 };
        ground.scene.project.file("plugin/V2__more.sql", "CREATE TABLE more (id integer);\n");
        let error = ground.refused(|database| migrator(&apps).revert(database, &to));
        assert!(error.report().to_string().contains("V2__more: cannot be reverted"), "{error}");
    }
}

#[test]
fn a_changed_dependency_of_a_migration_in_code() {
    for mut ground in Ground::both() {
        let plain = || App::new("plugin").migration("V1__plugin", table("plugin"));
        let asking = |version| {
            App::new("plugin").migration("V1__plugin", table("plugin").depends_on("forum", version))
        };
        let said = format!("plugin:V1__plugin {CHANGED}");
        ground.run(&[forum(), asking(1)]);
        ground.warns(&[forum(), asking(1)], &[]);
        ground.warns(&[forum(), asking(2)], &[&said]);
        ground.warns(&[forum(), plain()], &[&said]);
        ground.accepts(&[forum(), plain()], "plugin", "");
        ground.warns(&[forum(), asking(2)], &[&said]);
        ground.accepts(&[forum(), asking(2)], "plugin", "forum:2");
        let more = asking(1).migration("V2__more", table("more"));
        assert_eq!(names(&ground.run(&[forum(), more])), ["plugin:V2__more"]);
    }
}

/// Without records, the migration is treated as a migration without dependencies.
#[test]
fn a_dependency_added_to_a_migration_without_records() {
    for mut ground in Ground::both() {
        let sql = "CREATE TABLE plugin (id integer);\n";
        let plugin = ground.write(sql);
        ground.run(&[plugin]);
        ground.scene.execute(&format!(
            "DELETE FROM {}; DELETE FROM {}",
            ground.own("app"),
            ground.own("migration")
        ));
        let apps = [forum(), ground.write(&format!("{sql}-- bustard: depends on forum V1\n"))];
        let said = format!("plugin:V1__plugin {CHANGED}");
        let late = "forum:V1__users is pending, and plugin:V1__plugin, which should come after it, is applied already";
        ground.warns(&apps, &[&said, late]);
        ground.warns(&apps, &[&said]);
        ground.accepts(&apps, "plugin", "forum:1");
    }
}

#[test]
fn a_late_required_by() {
    for mut ground in Ground::both() {
        let project = ground.scene.project.path().join("early");
        ground.run(&[forum()]);
        ground.scene.project.file(
            "early/V1__early.sql",
            "CREATE TABLE early (id integer);\n-- bustard: required by forum V2\n",
        );
        let apps = [forum(), App::directory("early", project)];
        let said =
            "early:V1__early is pending, and forum:V2__posts, which should come after it, is applied already";
        let plan = migrator(&apps).plan(&mut ground.database).expect("nothing is wrong");
        assert_eq!(plan.warnings[0].place().and_then(Place::line), Some(2));
        ground.warns(&apps, &[said]);
        // The dependency was applied before the migration, so there is no warning.
        ground.warns(&apps, &[]);

        // A dependency on an app as a whole does not include its future migrations.
        let whole = App::new("whole").migration("V1__x", table("x").depends_on_app("forum"));
        ground.run(&[forum(), apps[1].clone(), whole.clone()]);
        let newer = [forum().migration("V3__more", table("more")), apps[1].clone(), whole];
        ground.warns(&newer, &[]);
        // A dependency that a disabled app declares causes no warning.
        let bans = App::new("bans")
            .migration("V1__bans", Migration::new().register_cache("b").required_by("forum", 1));
        let apps = [newer[0].clone(), newer[1].clone(), newer[2].clone(), bans];
        migrator(&apps).disable(&mut ground.database, "bans").expect("it is loaded");
        let plan = migrator(&apps).plan(&mut ground.database).expect("nothing is wrong");
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }
}
