//! Tests `bustard caches`.

use crate::support::{Outcome, Project, snapshot_settings, transcript};

fn project() -> Project {
    let project = Project::new();
    project
        .file(
            "migrations/V1__a.sql",
            "-- bustard: register cache settings\n-- bustard: register cache bans\nCREATE TABLE a (id INTEGER);\n",
        )
        .file(".env", "DATABASE_URL=sqlite:app.db\n");
    project.bustard(&["migrate"]).success();
    project
}

#[track_caller]
fn snapshot(project: &Project, name: &str, outcome: &Outcome) {
    let mut settings = snapshot_settings(project);
    settings.add_filter(r"\b\d{7,}\b", "[version]");
    settings.bind(|| insta::assert_snapshot!(name, transcript(std::slice::from_ref(outcome))));
}

#[track_caller]
fn version(project: &Project, name: &str) -> String {
    let document = project.bustard(&["caches", "get", name, "--json"]).success().json();
    assert_eq!(document["name"], name);
    document["version"].as_str().expect("versions are strings").to_owned()
}

#[test]
fn list() {
    let project = project();
    project.bustard(&["caches", "register", "by_hand"]).success();
    let default = project.bustard(&["caches"]).success();
    assert_eq!(default.stdout, project.bustard(&["caches", "list"]).success().stdout);
    snapshot(&project, "caches", &default);
    snapshot(&project, "caches_json", &project.bustard(&["caches", "--json"]).success());
}

#[test]
fn no_caches_are_listed() {
    let project = Project::new();
    project
        .file("migrations/V1__a.sql", "CREATE TABLE a (id INTEGER);\n")
        .file(".env", "DATABASE_URL=sqlite:app.db\n");
    project.bustard(&["migrate"]).success();
    snapshot(&project, "no_caches", &project.bustard(&["caches"]).success());
}

#[test]
fn get_and_valid() {
    let project = project();
    let old = version(&project, "settings");
    project.bustard(&["caches", "get", "settings"]).success().says(&format!("\n{old}\n"));
    snapshot(&project, "valid", &project.bustard(&["caches", "valid", "settings", &old]).success());
    snapshot(&project, "invalidate", &project.bustard(&["caches", "invalidate", "settings"]).success());
    snapshot(&project, "not_valid", &project.bustard(&["caches", "valid", "settings", &old]).exits(3));
    let document = project.bustard(&["caches", "valid", "settings", &old, "--json"]).exits(3).json();
    assert_eq!(document["valid"], false);
    assert_eq!(document["version"], old.as_str());
}

#[test]
fn invalidate_some_and_all() {
    let project = project();
    let versions = || ["settings", "bans"].map(|name| version(&project, name));
    let before = versions();
    project.bustard(&["caches", "invalidate", "bans"]).success();
    let after = versions();
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
    snapshot(&project, "invalidate_all", &project.bustard(&["caches", "invalidate-all"]).success());
    let last = versions();
    assert_ne!(after[0], last[0]);
    assert_ne!(after[1], last[1]);
    // If one of several names is unknown, no cache is invalidated.
    project.bustard(&["caches", "invalidate", "bans", "unknown"]).exits(1);
    assert_eq!(versions(), last);
    project.bustard(&["caches", "invalidate", "bans", "settings"]).success();
    assert_ne!(versions()[0], last[0]);
}

#[test]
fn register_and_unregister() {
    let project = project();
    let old = version(&project, "bans");
    // A cache that belongs to an app is unregistered only with `--force`.
    snapshot(&project, "owned", &project.bustard(&["caches", "unregister", "bans"]).exits(2));
    let error = project.bustard(&["caches", "unregister", "bans", "--json"]).exits(2).json()["error"].clone();
    assert_eq!(
        (&error["kind"], &error["message"]),
        (&"usage".into(), &"the cache bans belongs to the app main".into())
    );
    assert_eq!(version(&project, "bans"), old);
    let forced = project.bustard(&["caches", "unregister", "bans", "--force"]).success();
    snapshot(&project, "unregister", &forced);
    snapshot(&project, "unknown", &project.bustard(&["caches", "get", "bans"]).exits(1));
    snapshot(&project, "register", &project.bustard(&["caches", "register", "bans"]).success());
    assert_ne!(version(&project, "bans"), old);
    // A cache that was registered by hand belongs to no app.
    assert_eq!(project.bustard(&["caches", "unregister", "bans"]).success().stdout, forced.stdout);
    snapshot(&project, "registered_twice", &project.bustard(&["caches", "register", "settings"]).exits(1));
}

#[test]
fn unknown_caches() {
    let project = project();
    for words in [&["get", "x"][..], &["valid", "x", "1"], &["invalidate", "x"], &["unregister", "x"]] {
        let arguments = [&["caches", "--json"], words].concat();
        let document = project.bustard(&arguments).exits(1).json();
        assert_eq!(document["error"]["kind"], "cache", "{words:?}");
    }
}
