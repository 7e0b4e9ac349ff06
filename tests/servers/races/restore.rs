//! Tests databases that are restored to an earlier state while processes have newer
//! versions.

use std::path::Path;

use bustard::{Cache, CacheBuster, Values};

use super::place::{Client, Place, Shared, on_postgres, on_sqlite, quick};
use crate::support::{Binaries, Database, Outcome, Project, wait_until};

fn dump(from: &Database<'_>, file: &Path) {
    let mut dump = Binaries::find().client_command("pg_dump");
    dump.args(["--format=custom", "--dbname"]).arg(from.url()).arg("--file").arg(file);
    Outcome::of(dump).success();
}

fn restore(file: &Path, to: &Database<'_>, clean: bool) {
    let mut restore = Binaries::find().client_command("pg_restore");
    if clean {
        restore.args(["--clean", "--if-exists"]);
    }
    restore.args(["--single-transaction", "--dbname"]).arg(to.url()).arg(file);
    Outcome::of(restore).success();
}

fn process(place: &impl Place, store: &Shared) -> (CacheBuster, Cache, Values<i64>) {
    let buster = quick(&place.url()).store(store.clone()).start().unwrap();
    let cache = buster.cache("numbers").unwrap();
    let values = cache.values("main", 1).unwrap().shared();
    (buster, cache, values)
}

/// Waits until the process has the client's version, and reads through the cache.
#[track_caller]
fn agree(cache: &Cache, values: &Values<i64>, client: &mut impl Client) {
    wait_until("the version is known", || cache.is_valid(client.version()));
    let truth = client.number();
    assert_eq!(*values.get_or_insert_with("k", || client.number()), truth, "the value is stale");
}

/// Asserts that lost versions do not become valid after the restore, even when the count is
/// the same again.
fn goes_on(cache: &Cache, values: &Values<i64>, client: &mut impl Client, lost: &[i64]) {
    agree(cache, values, client);
    for number in 100..104 {
        client.change(number);
        agree(cache, values, client);
        assert!(!lost.iter().any(|version| cache.is_valid(*version)), "a lost version is valid");
    }
    assert!(
        lost.iter().all(|lost| client.version() >> 23 > lost >> 23),
        "the counts are higher than those of the lost versions"
    );
}

/// Makes three changes that will be lost, and returns their versions.
fn lose(cache: &Cache, values: &Values<i64>, client: &mut impl Client) -> Vec<i64> {
    let change = |number| {
        client.change(number);
        agree(cache, values, client);
        client.version()
    };
    (11..14).map(change).collect()
}

#[test]
fn a_dump_in_a_fresh_database_that_shares_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dump");
    let (old, new) = (on_postgres(), Database::new());
    let store = Shared::default();
    let (_buster, cache, values) = process(&old, &store);
    let mut client = old.client();
    agree(&cache, &values, &mut client);
    dump(&old, &file);
    let lost = lose(&cache, &values, &mut client);
    restore(&file, &new, false);
    let (_other, cache, values) = process(&new, &store);
    goes_on(&cache, &values, &mut new.client(), &lost);
}

#[test]
fn a_dump_restored_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dump");
    let place = on_postgres();
    let (_buster, cache, values) = process(&place, &Shared::default());
    let mut client = place.client();
    agree(&cache, &values, &mut client);
    dump(&place, &file);
    let lost = lose(&cache, &values, &mut client);
    restore(&file, &place, true);
    goes_on(&cache, &values, &mut client, &lost);
}

/// The database is dropped, and after a while created again and filled from the dump.
#[test]
fn a_dump_in_a_database_that_is_created_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dump");
    let place = on_postgres();
    let (_buster, cache, values) = process(&place, &Shared::default());
    let mut client = place.client();
    agree(&cache, &values, &mut client);
    dump(&place, &file);
    let lost = lose(&cache, &values, &mut client);
    drop(client);
    let mut admin = place.cluster().client("postgres");
    admin.run(&format!("DROP DATABASE {} WITH (FORCE)", place.name()));
    wait_until("the versions are unknown", || cache.version().is_err());
    admin.run(&format!("CREATE DATABASE {}", place.name()));
    wait_until("the error reports the missing registry", || {
        cache.version().unwrap_err().to_string().contains("no registry yet")
    });
    restore(&file, &place, false);
    goes_on(&cache, &values, &mut place.client(), &lost);
}

/// Replaces a SQLite file with an older copy, as `replace` does.
fn replaced(journal: &str, replace: fn(&Path, &Path)) {
    let place: Project = on_sqlite();
    let (file, copy) = (place.path().join("app.db"), place.path().join("copy.db"));
    let mut client = place.client();
    client.run(&format!("PRAGMA journal_mode = {journal}"));
    client.run(&format!("VACUUM INTO '{}'", copy.display()));
    place.sqlite("copy.db").run(&format!("PRAGMA journal_mode = {journal}"));
    let (_buster, cache, values) = process(&place, &Shared::default());
    agree(&cache, &values, &mut client);
    let lost = lose(&cache, &values, &mut client);
    // The writers have stopped, as the documentation demands. The reader continues.
    drop(client);
    replace(&copy, &file);
    let mut client = place.client();
    goes_on(&cache, &values, &mut client, &lost);
}

/// Replaces the file as `mv` does.
fn moved(copy: &Path, file: &Path) {
    remove_journals(file);
    std::fs::rename(copy, file).unwrap();
}

/// Replaces the contents of the file as `cp` does.
fn copied(copy: &Path, file: &Path) {
    remove_journals(file);
    std::fs::copy(copy, file).unwrap();
}

fn remove_journals(file: &Path) {
    for end in ["-wal", "-shm", "-journal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        // Some journal modes have no such file.
        let _ = std::fs::remove_file(name);
    }
}

#[test]
fn a_file_replaced_by_moving() {
    replaced("DELETE", moved);
}

#[test]
fn a_file_replaced_by_moving_with_a_log() {
    replaced("WAL", moved);
}

#[test]
fn a_file_replaced_by_copying() {
    replaced("DELETE", copied);
}

/// The log that the reader has open is deleted, and other processes write a new log. They
/// must be separate processes, because within one process SQLite would share the old log.
#[test]
fn a_file_replaced_by_copying_with_a_log() {
    let place: Project = on_sqlite();
    let (file, copy) = (place.path().join("app.db"), place.path().join("copy.db"));
    let url = place.url();
    let caches = |arguments: &[&str]| {
        let arguments = [&["caches"], arguments, &["--database-url", &url]].concat();
        place.bustard(&arguments).success().stdout
    };
    let now = || {
        let told: serde_json::Value = serde_json::from_str(&caches(&["get", "numbers", "--json"])).unwrap();
        told["version"].as_str().unwrap_or_else(|| panic!("{told}")).parse::<i64>().unwrap()
    };
    let change = || {
        caches(&["invalidate", "numbers"]);
        now()
    };
    place.client().run(&format!("VACUUM INTO '{}'", copy.display()));
    place.sqlite("copy.db").run("PRAGMA journal_mode = WAL");
    let (_buster, cache, _) = process(&place, &Shared::default());
    let lost: Vec<i64> = (0..3).map(|_| change()).collect();
    wait_until("the version is known", || cache.is_valid(lost[2]));
    copied(&copy, &file);
    for _ in 0..4 {
        let version = change();
        wait_until("the reader follows", || cache.is_valid(version));
        assert!(!lost.contains(&version) && !lost.iter().any(|version| cache.is_valid(*version)));
    }
    assert!(now() >> 23 > lost[2] >> 23, "the counts are higher than those of the lost versions");
}
