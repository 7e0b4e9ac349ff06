use super::*;

fn parse(text: &str) -> Config {
    Config::parse(Path::new("etc/bustard.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> String {
    match Config::parse(Path::new("etc/bustard.toml"), text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn everything_is_read() {
    let config = parse(
        r#"
        [database]
        url = "sqlite:forum.sqlite"
        [[apps]]
        label = "forum"
        migrations = "migrations"
        history = "audit.history"
        [[apps]]
        label = "bans"
        migrations = "/srv/bans"
        [migrate]
        transaction = "all"
        lock_wait = "1h30m"
        [registry]
        grant = ["web"]
        [stores.default]
        backend = "memcached"
        location = ["10.0.0.1:11211", "10.0.0.2:11211"]
        [stores.bustard]
        backend = "memory"
        "#,
    );
    assert_eq!(config.database_url.as_deref(), Some("sqlite:etc/forum.sqlite"));
    assert_eq!(config.sources[0].migrations, Path::new("etc/migrations"));
    assert_eq!(config.sources[0].history.as_deref(), Some("audit.history"));
    assert_eq!(config.sources[1].migrations, Path::new("/srv/bans"));
    assert_eq!(config.transaction, Some(TransactionMode::All));
    assert_eq!(config.lock_wait, Some(Duration::from_secs(5400)));
    assert_eq!(config.grant.as_deref(), Some(&["web".to_owned()][..]));
}

#[test]
fn an_empty_file_is_the_app_main_beside_it() {
    let config = parse("");
    assert_eq!(config.sources[0].label, "main");
    assert_eq!(config.sources[0].migrations, Path::new("etc/migrations"));
    assert_eq!(config.database_url, None);
}

#[test]
fn urls_are_relative_to_the_file() {
    let directory = Path::new("etc");
    for (url, expected) in [
        ("sqlite:a.db", "sqlite:etc/a.db"),
        ("sqlite://a.db", "sqlite:etc/a.db"),
        ("sqlite:../a.db", "sqlite:etc/../a.db"),
        ("sqlite:/srv/a.db", "sqlite:/srv/a.db"),
        ("sqlite:///srv/a.db", "sqlite:///srv/a.db"),
        ("sqlite::memory:", "sqlite::memory:"),
        ("postgres://h/db", "postgres://h/db"),
    ] {
        assert_eq!(beside(directory, url.to_owned()), expected);
    }
}

#[test]
fn mistakes_have_a_place_and_advice() {
    insta::assert_snapshot!(error("[database]\nurl = \"sqlite:a.db\"\n[migrate]\nlock_wiat = \"15m\"\n"), @r"
    unknown field `lock_wiat`, expected `transaction` or `lock_wait`
      --> etc/bustard.toml:4:1
      help: did you mean `lock_wait`?
    ");
    insta::assert_snapshot!(error("[migrate]\ntransaction = \"eech\"\n"), @r"
    unknown variant `eech`, expected `each` or `all`
      --> etc/bustard.toml:2:15
      help: did you mean `each`?
    ");
    insta::assert_snapshot!(error("[migrate]\nlock_wait = \"soon\"\n"), @r"
    `soon` is no duration: write it like 15m, 90s, 1h30m or 500ms
      --> etc/bustard.toml:2:13
    ");
    insta::assert_snapshot!(error("[[apps]]\nlabel = \"forum\"\n"), @r"
    missing field `migrations`
      --> etc/bustard.toml:1:1
    ");
    insta::assert_snapshot!(error("[stores.default]\nbackend = \"redis\"\n"), @r#"
    [stores.default]: this backend needs a location, for example "127.0.0.1:11211"
      --> etc/bustard.toml:2:11
    "#);
    insta::assert_snapshot!(error("[stores.default]\nbackend = \"postgres\"\n"), @r"
    unknown variant `postgres`, expected one of `memory`, `memcached`, `redis`
      --> etc/bustard.toml:2:11
    ");
}

#[test]
fn no_mistake_shows_the_password() {
    for text in [
        "database = \"postgres://u:hunter2@h/db\"",
        "[database]\nurl = \"postgres://u:hunter2@h/db",
        "[database]\nurl = postgres://u:hunter2@h/db",
        "[database]\nurl = [\"postgres://u:hunter2@h/db\"]",
        "[[apps]]\nlabel = \"a\"\nmigrations = \"m\"\n\"postgres://u:hunter2@h/db\" = 1",
        "[stores.default]\nbackend = \"redis://u:hunter2@h/0\"",
    ] {
        assert!(!error(text).contains("hunter2"), "{}", error(text));
    }
}
