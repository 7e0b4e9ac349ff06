//! A14: what the server says, in a library: as events and in the report.

use std::sync::{Arc, Mutex};

use bustard::{App, Database, Event, Migration, Migrator, report::Notice};

use super::run;
use crate::support::Scene;

const RAISE: &str = "DO $$ BEGIN RAISE NOTICE 'a notice'; RAISE WARNING 'a warning'; END $$";

/// The statements of a function are sent on the driver's connection.
fn of_code() -> App {
    let function = Migration::new().run("raise", |transaction| Ok(transaction.execute(RAISE)?));
    App::new("main")
        .migration("V1__sql", Migration::new().sql(RAISE))
        .migration("V2__function", function)
        .migration("V3__last", Migration::new().sql(RAISE))
}

fn of_sql() -> App {
    let migration = || Migration::new().sql(RAISE);
    App::new("main")
        .migration("V1__sql", migration())
        .migration("V2__function", migration())
        .migration("V3__last", migration())
}

fn described(notice: &Notice) -> String {
    format!("{} {notice}", notice.level.as_str())
}

#[test]
fn a14_a_library_gets_events() {
    let expected: Vec<String> = ["V1__sql", "V2__function", "V3__last"]
        .iter()
        .flat_map(|name| ["notice", "warning"].map(|level| format!("{level} main {name}: a {level}")))
        .collect();
    for app in [of_code(), of_sql()] {
        let scene = Scene::postgres();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&heard);
        let migrator = Migrator::new().app(app).on_event(move |event| {
            if let Event::Notice(notice) = event {
                to.lock().expect("no other thread panics").push(described(notice));
            }
        });
        let mut database = Database::new(&scene.url()).expect("the URL is good");
        let report = migrator.run(&mut database).expect("the migrations are good");
        assert_eq!(*heard.lock().expect("no other thread panics"), expected);
        assert_eq!(report.notices.iter().map(described).collect::<Vec<_>>(), expected);
    }
}

/// Triggers raise while the rows of a COPY arrive.
#[test]
fn a14_a_copy_is_heard() {
    let scene = Scene::postgres();
    scene.file(
        "V1__table.sql",
        "CREATE TABLE a (id int, password text);\n\
         CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$\n\
         BEGIN RAISE WARNING 'row % %', NEW.id, NEW.password; RETURN NEW; END $$;\n\
         CREATE TRIGGER say BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION say();\n",
    );
    scene.file("V2__rows.sql", "COPY a (id) FROM stdin;\n1\n2\n\\.\nCOPY a (id) FROM stdin;\n3\n\\.\n");
    scene.file("V3__secret.sql", "COPY a (id, password) FROM stdin;\n4\thunter2\n\\.\n");
    let outcome = run(&scene, &["migrate"]).success();
    let printed: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    let hidden = "the text is not shown, because the rows of the COPY may contain secrets";
    let expected = [
        "V2__rows: row 1 <NULL>".to_owned(),
        "V2__rows: row 2 <NULL>".to_owned(),
        "V2__rows: row 3 <NULL>".to_owned(),
        format!("V3__secret: {hidden}"),
    ];
    assert_eq!(printed, expected.map(|line| format!("warning: main {line}")), "{outcome}");
    assert!(!outcome.stderr.contains("hunter2"), "{outcome}");
}
