use std::path::Path;

use super::*;
use crate::engine::database::Database;
use crate::engine::observer::{MOST_NAMED, Seen};
use crate::error::ErrorKind;
use crate::{App, Migration, Migrator, registry};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

fn migrate(path: &Path) -> rusqlite::Connection {
    let mut connection = rusqlite::Connection::open(path).unwrap();
    let caches = Migration::new().register_cache("bans").register_cache("it's");
    Migrator::new().app(App::new("forum").migration("V1__caches", caches)).run(&mut connection).unwrap();
    connection
}

fn looker(path: &Path) -> Box<dyn Poller> {
    let database = Database::new(&format!("sqlite:{}", path.display())).unwrap();
    let mut looker = database.observer().unwrap().poller();
    looker.connect(soon()).unwrap();
    looker
}

#[test]
fn a_file_is_read_when_something_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forum.sqlite");
    let mut connection = migrate(&path);
    let mut looker = looker(&path);
    let look = |looker: &mut Box<dyn Poller>| looker.look(Wanted::ALL, true, soon()).unwrap().caches;
    let versions = |caches: Option<Vec<Seen>>| -> Vec<_> {
        let mut found: Vec<_> = caches
            .unwrap()
            .into_iter()
            .map(|c| (c.name, c.app.unwrap(), c.identity.version().unwrap()))
            .collect();
        found.sort();
        found
    };
    let mut listed = || -> Vec<_> {
        let listed = registry::list(&mut connection).unwrap();
        listed.into_iter().map(|cache| (cache.name, cache.app.unwrap(), cache.version)).collect()
    };
    let first = versions(look(&mut looker));
    assert_eq!(first, listed());
    assert_eq!(first.len(), 2);
    assert_eq!(look(&mut looker), None);
    // After a reconnection, everything is read again.
    looker.connect(soon()).unwrap();
    assert_eq!(versions(look(&mut looker)), first);

    let mut other = rusqlite::Connection::open(&path).unwrap();
    registry::invalidate(&mut other, &["bans"]).unwrap();
    let second = versions(look(&mut looker));
    assert_eq!(second, listed());
    assert_ne!(second[0], first[0]);
    assert_eq!(second[1], first[1]);
    assert_eq!(look(&mut looker), None);
    registry::invalidate_all(&mut other).unwrap();
    assert_eq!(versions(look(&mut looker)), listed());
    registry::unregister(&mut other, "bans").unwrap();
    assert_eq!(versions(look(&mut looker)), listed());
    assert_eq!(listed().len(), 1);
}

#[test]
fn only_wanted_caches_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forum.sqlite");
    drop(migrate(&path));
    let mut looker = looker(&path);
    let mut names = |wanted: Option<&[&str]>| {
        let caches = looker.look(Wanted { caches: wanted, ..Wanted::ALL }, false, soon()).unwrap().caches?;
        Some(caches.into_iter().map(|cache| cache.name).collect::<Vec<_>>())
    };
    assert_eq!(names(Some(&["it's", "unknown"])).unwrap(), ["it's"]);
    assert_eq!(names(Some(&["it's", "unknown"])), None);
    assert_eq!(names(Some(&["bans"])).unwrap(), ["bans"]);
    assert_eq!(names(Some(&[])).unwrap(), [""; 0]);
    assert_eq!(names(None).unwrap().len(), 2);
    let mut many: Vec<_> = (0..MOST_NAMED).map(|i| format!("{}{i}", "c".repeat(120))).collect();
    let named: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(names(Some(&named)).unwrap(), [""; 0]);
    many.push("bans".to_owned());
    let all: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(names(Some(&all)).unwrap().len(), 2);
}

#[test]
fn the_error_for_a_file_without_a_registry_has_advice() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty.sqlite");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (v)").unwrap();
    let error = looker(&path).look(Wanted::ALL, false, soon()).unwrap_err();
    assert!(error.report().to_string().contains("run `Migrator::run`"), "{error}");

    let error = Database::new("sqlite::memory:").unwrap().observer().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Usage);
}
