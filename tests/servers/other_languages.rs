//! Tests another language: a Python program calls the functions in the schema `bustard`,
//! while a `CacheBuster` in Rust reads.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::support::{Database, Outcome, wait_until};
use bustard::{App, Cache, CacheBuster, ErrorKind, Migration, Migrator, registry};
use serde_json::{Value, json};

/// Finds a Python that has the driver. The Python of the system has it, but may not be the
/// first one in the search path.
fn python() -> &'static str {
    static PYTHON: OnceLock<&str> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let has_driver = |python: &&str| {
            let outcome = Command::new(python).args(["-c", "import psycopg2"]).output();
            outcome.is_ok_and(|outcome| outcome.status.success())
        };
        ["python3", "/usr/bin/python3"].into_iter().find(has_driver).unwrap_or_else(|| {
            panic!("no python3 with psycopg2 was found (Debian: `apt-get install python3-psycopg2`)")
        })
    })
}

/// A database in which the cache `bans` is registered.
struct Forum {
    database: Database<'static>,
}

impl Forum {
    fn new() -> Forum {
        let database = Database::new();
        let create =
            Migration::new().sql("CREATE TABLE ban (pattern text PRIMARY KEY)").register_cache("bans");
        let app = App::new("forum").migration("V1__bans", create);
        Migrator::new().app(app).run(&mut database.client()).unwrap();
        Forum { database }
    }

    /// Runs the program and parses its output.
    #[track_caller]
    fn python_as(&self, role: &str, arguments: &[&str]) -> Value {
        let mut command = Command::new(python());
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/caches.py"))
            .args(arguments)
            .env("DATABASE_URL", self.database.url_as(role));
        Outcome::of(command).success().json()
    }

    #[track_caller]
    fn python(&self, arguments: &[&str]) -> Value {
        self.python_as("postgres", arguments)
    }

    /// Starts a reader that polls so rarely that only notifications can inform it.
    fn buster(&self) -> CacheBuster {
        let hour = Duration::from_secs(3600);
        let builder = CacheBuster::builder(&self.database.url()).poll_interval(hour);
        builder.max_staleness(3 * hour).start().unwrap()
    }

    fn patterns(&self) -> Vec<String> {
        self.database
            .psql("SELECT pattern FROM ban ORDER BY 1")
            .into_iter()
            .map(|mut row| row.remove(0))
            .collect()
    }
}

fn wait_until_invalid(cache: &Cache, version: bustard::CacheVersion) {
    wait_until("the reader knows the new version", || !cache.is_valid(version));
}

#[test]
fn an_invalidation_in_python_recomputes_values_in_rust() {
    let forum = Forum::new();
    let buster = forum.buster();
    let bans = buster.cache("bans").unwrap();
    let values = bans.values::<Vec<String>>("forum", 1).unwrap().shared();
    let read = || values.get_or_insert_with("all", || forum.patterns());
    assert_eq!(*read(), [""; 0]);

    let version = bans.version().unwrap();
    assert_eq!(forum.python(&["ban", "spam*", "notify"]), json!({"sees": true}));
    wait_until_invalid(&bans, version);
    assert_eq!(*read(), ["spam*"]);

    // A poll finds changes without a notification.
    let polling = CacheBuster::builder(&forum.database.url()).poll_interval(Duration::from_millis(20));
    let polling = polling.start().unwrap();
    let polled = polling.cache("bans").unwrap();
    let version = polled.version().unwrap();
    forum.python(&["ban", "eggs*", "commit"]);
    wait_until_invalid(&polled, version);
    // A query of the database sees the invalidation at once.
    assert!(!bans.is_valid_in(&mut forum.database.client(), version).unwrap());
    buster.notify().unwrap();
    assert_eq!(*read(), ["eggs*", "spam*"]);
}

#[test]
fn an_invalidation_in_rust_is_seen_in_python() {
    let forum = Forum::new();
    let buster = forum.buster();
    let kept = forum.python(&["patterns"]);
    assert_eq!(kept["patterns"], json!([]));
    let version = kept["version"].to_string();
    assert_eq!(buster.version("bans").unwrap().to_string(), version);
    assert_eq!(forum.python(&["is_valid", "bans", &version]), true);

    let mut client = forum.database.client();
    let mut transaction = client.transaction().unwrap();
    transaction.execute("INSERT INTO ban VALUES ('spam*')", &[]).unwrap();
    buster.invalidate(&mut transaction, &["bans"]).unwrap();
    // The transaction has not committed yet.
    assert_eq!(forum.python(&["is_valid", "bans", &version]), true);
    buster.commit(transaction).unwrap();
    assert_eq!(forum.python(&["is_valid", "bans", &version]), false);

    let kept = forum.python(&["patterns"]);
    assert_eq!(kept["patterns"], json!(["spam*"]));
    let version = kept["version"].to_string();
    buster.invalidate_all(&mut client).unwrap();
    assert_eq!(forum.python(&["is_valid", "bans", &version]), false);
    assert_eq!(forum.python(&["is_valid", "bans", "0"]), false);
}

#[test]
fn a_rollback_leaves_no_invalidation() {
    let forum = Forum::new();
    let buster = forum.buster();
    let version = buster.version("bans").unwrap();
    assert_eq!(forum.python(&["ban", "spam*", "rollback"]), json!({"sees": true}));
    // Python saw the invalidation in its own transaction; no other session ever will.
    buster.notify().unwrap();
    assert!(buster.is_valid("bans", version).unwrap());
    assert_eq!(forum.patterns(), [""; 0]);

    let mut client = forum.database.client();
    let mut transaction = client.transaction().unwrap();
    buster.invalidate(&mut transaction, &["bans"]).unwrap();
    transaction.rollback().unwrap();
    assert_eq!(forum.python(&["is_valid", "bans", &version.to_string()]), true);
}

#[test]
fn caches_are_registered_and_unregistered() {
    let forum = Forum::new();
    let buster = forum.buster();
    assert_eq!(buster.cache("ranks").unwrap_err().kind(), ErrorKind::Cache);
    forum.python(&["register_cache", "ranks", "wiki"]);
    let ranks = buster.cache("ranks").unwrap();
    let version = ranks.version().unwrap();
    assert_eq!(forum.python(&["caches"])[1], json!(["ranks", "wiki", version.get()]));
    let again = forum.python(&["register_cache", "ranks"]);
    assert_eq!(again["sqlstate"], "42710", "{again}");
    assert!(again["message"].as_str().unwrap().contains("wiki"), "{again}");

    forum.python(&["unregister_cache", "ranks"]);
    buster.notify().unwrap();
    assert!(!ranks.is_valid(version));
    assert_eq!(ranks.version().unwrap_err().kind(), ErrorKind::Cache);
    let list = registry::list(&mut forum.database.client()).unwrap();
    assert_eq!(list.iter().map(|cache| cache.name.as_str()).collect::<Vec<_>>(), ["bans"]);

    // A cache that is registered again has another version.
    buster.register(&mut forum.database.client(), "ranks", None).unwrap();
    assert_eq!(forum.python(&["is_valid", "ranks", &version.to_string()]), false);
}

#[test]
fn an_unknown_name_is_an_error_with_a_hint() {
    let forum = Forum::new();
    for command in [
        &["get_version", "bnas"][..],
        &["is_valid", "bnas", "1"],
        &["invalidate", "bans", "bnas"],
        &["unregister_cache", "bnas"],
    ] {
        let version = forum.python(&["get_version", "bans"]);
        let error = forum.python(command);
        assert_eq!(error["sqlstate"], "42704", "{command:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains("bnas"), "{command:?}: {error}");
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{command:?}: {error}");
        assert_eq!(forum.python(&["get_version", "bans"]), version, "{command:?}");
    }
}

/// A role with only the right to connect may read and invalidate, like every role, but not
/// register. With `grant`, a role that is not in the list may not even read or invalidate.
#[test]
fn roles_have_the_rights_that_were_granted() {
    let forum = Forum::new();
    let web = forum.database.create_role("web", "");
    let version = forum.python_as(&web, &["get_version", "bans"]);
    forum.python_as(&web, &["invalidate", "bans"]);
    assert_eq!(forum.python_as(&web, &["is_valid", "bans", &version.to_string()]), false);
    let version = forum.python_as(&web, &["get_version", "bans"]);
    forum.python_as(&web, &["invalidate_all"]);
    assert_eq!(forum.python_as(&web, &["is_valid", "bans", &version.to_string()]), false);
    assert_eq!(forum.python_as(&web, &["caches"]).as_array().map(Vec::len), Some(1));
    for command in [&["register_cache", "ranks"][..], &["unregister_cache", "bans"]] {
        assert_eq!(forum.python_as(&web, command)["sqlstate"], "42501", "{command:?}");
    }
    assert!(registry::get_version(&mut forum.database.client_as(&web), "bans").is_ok());

    let other = forum.database.create_role("other", "");
    Migrator::new().grant(vec![web.clone()]).run(&mut forum.database.client()).unwrap();
    assert_eq!(forum.python_as(&other, &["get_version", "bans"])["sqlstate"], "42501");
    forum.python_as(&web, &["invalidate", "bans"]);
}
