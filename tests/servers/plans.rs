//! Tests changes between plan and lock: another session changes the database after a verb
//! has made its plan and before it takes the lock. Runs and changes of state plan again. A
//! plan that a person may have seen is refused, and the error names the change.

use std::sync::Mutex;

use bustard::{App, AppState, Database, Error, Event, Migration, Migrator, Report, Revert, Uninstall};

use crate::support::Scene;

/// The change by the other session.
#[derive(Clone, Copy, Debug)]
enum Change {
    Applies,
    Reverts,
    Disables,
    Repairs,
}

const CHANGES: [(Change, &str); 4] = [
    (Change::Applies, "main:V3__c has been applied since"),
    (Change::Reverts, "main:V2__b is not applied any more"),
    (Change::Disables, "the app other is disabled now"),
    (Change::Repairs, "the history row of main:V2__b has been replaced"),
];

fn table(name: &str) -> Migration {
    let down = Migration::new().sql(format!("DROP TABLE {name}"));
    Migration::new().sql(format!("CREATE TABLE {name} (id INTEGER)")).down(down)
}

fn main_of(versions: usize) -> App {
    let names = [("V1__a", "a"), ("V2__b", "b"), ("V3__c", "c")];
    names[..versions].iter().fold(App::new("main"), |app, (name, of)| app.migration(*name, table(of)))
}

fn other() -> App {
    App::new("other").migration("V1__o", table("o").register_cache("o"))
}

/// Returns the app with another text of V2.
fn edited() -> App {
    let again = Migration::new().sql("CREATE TABLE b (id INTEGER /* as before */)");
    let again = again.down(Migration::new().sql("DROP TABLE b"));
    App::new("main").migration("V1__a", table("a")).migration("V2__b", again)
}

fn migrator(app: App) -> Migrator {
    Migrator::new().app(app).app(other())
}

struct Ground {
    scene: Scene,
    url: String,
}

impl Ground {
    /// Creates a database with two migrations of `main` and one migration of `other`, on
    /// each engine.
    fn both() -> [Ground; 2] {
        Scene::both().map(|scene| {
            let url = match scene.is_postgres() {
                true => scene.url(),
                false => scene.project.sqlite_url("app.db"),
            };
            let ground = Ground { scene, url };
            migrator(main_of(2)).run(&mut ground.connect()).expect("nothing prevents it");
            ground
        })
    }

    fn connect(&self) -> Database {
        Database::new(&self.url).expect("the URL is good")
    }

    fn change(&self, change: Change) {
        make(change, &mut self.connect());
    }

    /// Returns a listener that makes the change once, when the plan is made.
    fn between(&self, change: Change) -> impl FnMut(&Event) + Send + 'static {
        let other = Mutex::new(Some(self.connect()));
        move |event: &Event| {
            if matches!(event, Event::Planned { .. })
                && let Some(mut database) = other.lock().expect("no test panics here").take()
            {
                make(change, &mut database);
            }
        }
    }

    #[track_caller]
    fn is_refused(&self, refused: Result<Report, Error>, why: &str, change: Change) {
        let error = match refused {
            Ok(report) => panic!("{change:?} is not noticed: {report:?}"),
            Err(error) => error,
        };
        assert!(error.message().contains(why), "{change:?}: {error}");
        assert_eq!(error.code(), bustard::diagnostic::Code::OutdatedPlan, "{error}");
        assert_eq!(error.applied(), Some(&[][..]), "{error}");
    }
}

fn make(change: Change, database: &mut Database) {
    let to = Revert::To { app: "main".to_owned(), version: 1 };
    let made = match change {
        Change::Applies => migrator(main_of(3)).run(database),
        Change::Reverts => migrator(main_of(2)).revert(database, &to),
        Change::Disables => migrator(main_of(2)).disable(database, "other"),
        Change::Repairs => migrator(edited()).repair(database, &bustard::Repair::migration("main", 2)),
    };
    assert!(made.unwrap_or_else(|error| panic!("{change:?}: {error}")).changed());
}

#[test]
fn a_revert_is_refused() {
    for (change, why) in CHANGES {
        for ground in Ground::both() {
            let to = Revert::To { app: "main".to_owned(), version: 1 };
            let migrator = migrator(main_of(3)).on_event(ground.between(change));
            ground.is_refused(migrator.revert(&mut ground.connect(), &to), why, change);
        }
    }
}

#[test]
fn a_revert_that_was_shown_is_refused() {
    for (change, why) in CHANGES {
        for ground in Ground::both() {
            let migrator = migrator(main_of(3)).allow_divergent(true);
            let to = Revert::To { app: "main".to_owned(), version: 1 };
            let plan = migrator.plan_revert(&mut ground.connect(), &to).expect("it can be reverted");
            ground.change(change);
            ground.is_refused(migrator.execute(&mut ground.connect(), &plan), why, change);
        }
    }
}

#[test]
fn a_repair_is_refused() {
    for (change, why) in CHANGES {
        for ground in Ground::both() {
            let migrator = migrator(edited()).on_event(ground.between(change));
            ground.is_refused(
                migrator.repair(&mut ground.connect(), &bustard::Repair::migration("main", 2)),
                why,
                change,
            );
        }
    }
}

#[test]
fn a_repair_that_was_shown_is_refused() {
    for (change, why) in CHANGES {
        for ground in Ground::both() {
            let migrator = migrator(edited());
            let plan = migrator
                .plan_repair(&mut ground.connect(), &bustard::Repair::migration("main", 2))
                .expect("it is applied");
            assert_eq!(plan.steps.len(), 1);
            ground.change(change);
            ground.is_refused(migrator.execute(&mut ground.connect(), &plan), why, change);
        }
    }
}

#[test]
fn an_uninstall_is_refused() {
    for (change, why) in &CHANGES[..2] {
        for ground in Ground::both() {
            let plan = Migrator::new()
                .plan_uninstall(&mut ground.connect(), &Uninstall::new("main"))
                .expect("it is installed");
            let migrator = Migrator::new().on_event(ground.between(*change));
            ground.is_refused(migrator.uninstall(&mut ground.connect(), &plan), why, *change);
        }
    }
}

/// A plan to revert is executed as shown, and a plan to migrate is made again.
#[test]
fn a_plan_to_revert_is_executed_if_nothing_has_changed() {
    for ground in Ground::both() {
        let migrator = migrator(main_of(2));
        let to = Revert::To { app: "main".to_owned(), version: 1 };
        let plan = migrator.plan_revert(&mut ground.connect(), &to).expect("it can be reverted");
        let report = migrator.execute(&mut ground.connect(), &plan).expect("nothing has changed");
        assert_eq!(report.steps.len(), 1);
        let plan = migrator.plan(&mut ground.connect()).expect("V2 is pending again");
        ground.change(Change::Disables);
        let report = migrator.execute(&mut ground.connect(), &plan).expect("it is planned again");
        assert_eq!(report.steps.len(), 1);
        assert_eq!(ground.scene.applied(), "1,2");
    }
}

/// A run applies the remaining migrations, and a change of state is still made.
#[test]
fn a_run_and_a_change_of_state_are_planned_again() {
    for ground in Ground::both() {
        let migrator = migrator(main_of(3)).on_event(ground.between(Change::Applies));
        let report = migrator.run(&mut ground.connect()).expect("the other run has applied it");
        assert!(report.steps.is_empty(), "{report:?}");
        assert_eq!(ground.scene.applied(), "1,2,3");
    }
    for ground in Ground::both() {
        let migrator = migrator(main_of(3)).on_event(ground.between(Change::Reverts));
        let report = migrator.run(&mut ground.connect()).expect("V2 is applied again");
        let names: Vec<String> = report.steps.iter().map(|step| step.migration.to_string()).collect();
        assert_eq!(names, ["V2__b", "V3__c"]);
    }
    for state in [AppState::Disabled, AppState::Enabled] {
        for ground in Ground::both() {
            if state == AppState::Enabled {
                migrator(main_of(2)).disable(&mut ground.connect(), "main").expect("it is enabled");
            }
            let migrator = migrator(main_of(2)).on_event(ground.between(Change::Disables));
            let report = match state {
                AppState::Disabled => migrator.disable(&mut ground.connect(), "main"),
                _ => migrator.enable(&mut ground.connect(), "main"),
            };
            let report = report.expect("it is planned again");
            assert_eq!((report.apps.len(), report.apps[0].state), (1, state));
            let states = migrator.list_apps(&mut ground.connect()).expect("they are listed");
            let states: Vec<AppState> = states.into_iter().map(|app| app.state).collect();
            assert_eq!(states, [state, AppState::Disabled]);
        }
    }
}

/// Missing triggers that another run restores first are not restored twice.
#[test]
fn restoring_triggers_is_planned_again() {
    let scene = Scene::postgres();
    let url = scene.url();
    let app = || {
        let create = Migration::new().sql("CREATE TABLE a (id integer)").register_cache_on("a", ["a"]);
        Migrator::new().app(App::new("main").migration("V1__a", create))
    };
    let second_url = url.clone();
    let connect = |url: &str| Database::new(url).expect("the URL is good");
    app().run(&mut connect(&url)).expect("nothing prevents it");
    let trigger =
        scene.database().value("SELECT tgname FROM pg_trigger WHERE tgrelid = 'a'::regclass LIMIT 1");
    scene.execute(&format!("DROP TRIGGER \"{trigger}\" ON a"));
    let mut second = Some(Database::new(&second_url).expect("the URL is good"));
    let restore = move |event: &Event| {
        if matches!(event, Event::Planned { .. })
            && let Some(mut database) = second.take()
        {
            assert_eq!(app().run(&mut database).expect("it restores").missing_triggers.len(), 1);
        }
    };
    let report = app().on_event(restore).run(&mut connect(&url)).expect("the other run has applied it");
    assert!(!report.changed(), "{report:?}");
}
