//! Tests `bustard.toml`, and the four sources of a URL.

use crate::support::{Project, snapshot_settings};

/// Returns a project with one migration, which can be migrated with any URL.
fn project() -> Project {
    let project = Project::new();
    project.file("migrations/V1__create_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY);\n");
    project
}

#[test]
fn a_missing_database_url_is_an_error() {
    for command in ["migrate", "plan", "status", "check", "caches"] {
        let outcome = project().bustard(&[command]).exits(2);
        assert_eq!(outcome.stdout, "", "{command}");
        insta::assert_snapshot!("no_database", outcome.stderr);
    }
}

#[test]
fn the_url_of_the_first_source_is_used() {
    let project = project();
    let migrate = |options: &[&str], variable: Option<&str>| {
        let mut command = project.command(&[&["migrate"], options].concat());
        if let Some(url) = variable {
            command.env("DATABASE_URL", url);
        }
        crate::support::Outcome::of(command).success()
    };
    project.config("[database]\nurl = \"sqlite:config.db\"\n");
    migrate(&[], None).says("config.db (from bustard.toml)");
    project.file(".env", "# ours\nOTHER=1\nexport DATABASE_URL=\"sqlite:dotenv.db\"\n");
    migrate(&[], None).says("dotenv.db (from .env)");
    migrate(&[], Some("sqlite:variable.db")).says("variable.db (from DATABASE_URL)");
    migrate(&["--database-url", "sqlite:option.db"], Some("sqlite:variable.db"))
        .says("option.db (from --database-url)");
    for file in ["config.db", "dotenv.db", "variable.db", "option.db"] {
        assert!(project.path().join(file).exists(), "{file}");
    }
}

#[test]
fn empty_urls_count_as_unset() {
    let project = project();
    project.file(".env", "DATABASE_URL=\n").config("[database]\nurl = \"\"\n");
    let mut command = project.command(&["migrate"]);
    command.env("DATABASE_URL", "");
    crate::support::Outcome::of(command).exits(2).complains("no database was named");
    // An empty environment variable counts as unset.
    project.bustard(&["migrate", "--database-url", ""]).exits(2).complains("--database-url is empty");
}

#[test]
fn paths_are_relative_to_the_file() {
    let project = Project::new();
    project
        .file(
            "etc/bustard.toml",
            "[database]\nurl = \"sqlite:data/app.db\"\n[[apps]]\nlabel = \"forum\"\nmigrations = \"sql\"\n",
        )
        .file("etc/sql/V1__x.sql", "CREATE TABLE x (id INTEGER);\n");
    std::fs::create_dir(project.path().join("etc/data")).unwrap();
    project.bustard(&["migrate", "--config", "etc/bustard.toml"]).success().says("forum");
    assert!(project.path().join("etc/data/app.db").exists());
}

#[test]
fn an_explicit_configuration_must_exist() {
    let project = project();
    let outcome = project.bustard(&["status", "--config", "other.toml"]).exits(2);
    insta::assert_snapshot!(outcome.stderr, @"
    error: the configuration cannot be read: No such file or directory (os error 2)
      --> other.toml
    ");
}

#[test]
fn a_mistake_in_the_file() {
    let project = project();
    project.config("[database]\nurl = \"sqlite:app.db\"\n\n[migrate]\nlock_wiat = \"15m\"\n");
    let outcome = project.bustard(&["migrate"]).exits(2);
    insta::assert_snapshot!(outcome.stderr, @"
    error: unknown field `lock_wiat`, expected `transaction` or `lock_wait`
      --> bustard.toml:5:1
      help: did you mean `lock_wait`?
    ");
    let outcome = project.bustard(&["migrate", "--json"]).exits(2);
    insta::assert_snapshot!("config_error_json", outcome.stdout);
    assert!(!project.path().join("app.db").exists());
}

#[test]
fn stores_are_checked() {
    let project = project();
    project.config("[stores.default]\nbackend = \"memory\"\n[stores.bustard]\nbackend = \"redis\"\n");
    project.bustard(&["migrate"]).exits(2).complains("bustard.toml:4:11").complains("needs a location");
    project.config("[stores.default]\nbackend = \"memory\"\nmax_bytes = 0\n");
    project.bustard(&["caches"]).exits(2).complains("bustard.toml:2:11").complains("greater than 0");
    project.config("[stores.default]\nbackend = \"memory\"\nmax_btyes = 1\n");
    project.bustard(&["check"]).exits(2).complains("bustard.toml:3:1").complains("did you mean `max_bytes`?");
}

#[test]
fn dot_env_in_many_spellings() {
    let project = project();
    for text in [
        "DATABASE_URL=sqlite:a.db\n",
        "export DATABASE_URL='sqlite:a.db'\r\n",
        "NAME=a\nDATABASE_URL=\"sqlite:${NAME}.db\" # where\n",
        "not for us\nOTHER=a b c\nDATABASE_URL=sqlite:a.db\nDATABASE_URL=sqlite:b.db",
        "\u{feff}DATABASE_URL=sqlite:a.db",
    ] {
        project.file(".env", text);
        project.bustard(&["migrate"]).success().says("sqlite:a.db (from .env)");
    }
}

#[test]
fn a_bad_url_in_dot_env_is_placed_and_not_shown() {
    let project = project();
    project.file(".env", "A=1\nDATABASE_URL=postgres://me:hunter2@localhost/a b\n");
    let outcome = project.bustard(&["migrate"]).exits(2);
    insta::assert_snapshot!(outcome.stderr, @"
    error: DATABASE_URL cannot be read
      --> .env:2:1
      help: write DATABASE_URL='…' in quotes, without blanks around `=`
    ");
}

#[test]
fn a_bad_url_is_not_shown() {
    let project = project();
    for url in [
        "postgres://me:hunter2@localhost:port/forum",
        "postgres://me:hunter2@[::1/forum",
        "mysql://me:hunter2@localhost/forum",
        "postgres://me:hunter2@localhost/forum?sslmode=sometimes",
        "me:hunter2@localhost",
    ] {
        let mut command = project.command(&["status"]);
        command.env("DATABASE_URL", url);
        let outcome = crate::support::Outcome::of(command).exits(2).complains("from DATABASE_URL");
        assert!(!outcome.to_string().contains("hunter2"), "{outcome}");
    }
}

#[test]
fn the_password_is_in_no_output() {
    let project = project();
    // No server listens on port 1.
    let mut command = project.command(&["migrate", "-vvv"]);
    command.env("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/forum");
    let outcome = crate::support::Outcome::of(command).exits(1);
    assert!(!outcome.to_string().contains("hunter2"), "{outcome}");
    assert!(outcome.stdout.contains("me@127.0.0.1:1/forum"), "{outcome}");
}

#[test]
fn the_apps_of_the_file() {
    let project = Project::new();
    project
        .file("forum/V1__create_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY);\n")
        .file("bans/V1__create_bans.sql", "CREATE TABLE ban (id INTEGER PRIMARY KEY);\n")
        .config(
            "[database]\nurl = \"sqlite:app.db\"\n\
             [[apps]]\nlabel = \"forum\"\nmigrations = \"forum\"\n\
             [[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\nhistory = \"bans_history\"\n",
        );
    let outcome = project.bustard(&["migrate"]).success();
    snapshot_settings(&project).bind(|| insta::assert_snapshot!("two_apps", outcome.stdout));
    let schema = project.sqlite_schema("app.db");
    assert!(schema.contains("table refinery_schema_history_forum "), "{schema}");
    assert!(schema.contains("table bans_history "), "{schema}");
}

/// Parameters after a `?`, which URLs of other libraries have, must not become part of the
/// file's name.
#[test]
fn sqlite_urls_have_no_parameters() {
    let project = Project::new();
    project.file("migrations/V1__one.sql", "CREATE TABLE one (id int);\n");
    for url in ["sqlite:app.db?mode=ro", "sqlite://app.db?mode=rwc", "sqlite:file:app.db"] {
        project.bustard(&["migrate", "--database-url", url]).exits(2).complains("sqlite:PATH, without");
    }
    assert_eq!(project.files("").len(), 1);
}
