use super::*;
use crate::fuzz::{corpus, drive, finds};

fn parse(text: &str) -> Config {
    Config::parse(Path::new("etc/bustard.toml"), text).unwrap_or_else(|error| panic!("{error:#}"))
}

fn error(text: &str) -> String {
    match Config::parse(Path::new("etc/bustard.toml"), text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.report().to_string(),
    }
}

#[test]
fn every_setting_is_read() {
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
        trust = ["dba"]
        [cache_buster]
        max_staleness = "30s"
        lookup_timeout = "200ms"
        poll_interval = "250ms"
        [stores.default]
        backend = "memcached"
        location = ["10.0.0.1:11211", "10.0.0.2:11211"]
        [stores.bustard]
        backend = "memory"
        "#,
    );
    assert_eq!(config.database_url.as_deref(), Some("sqlite:etc/forum.sqlite"));
    assert_eq!(config.apps[0].path(), Some(Path::new("etc/migrations")));
    assert_eq!(config.apps[0].history.as_deref(), Some("audit.history"));
    assert_eq!(config.apps[1].path(), Some(Path::new("/srv/bans")));
    assert_eq!(config.transaction, Some(TransactionMode::All));
    assert_eq!(config.lock_wait, Some(Duration::from_secs(5400)));
    assert_eq!(config.grant.as_deref(), Some(&["web".to_owned()][..]));
    assert_eq!(config.trust, ["dba"]);
    assert_eq!(config.max_staleness, Duration::from_secs(30));
    assert_eq!(config.lookup_timeout, Duration::from_millis(200));
    assert_eq!(config.poll_interval, Duration::from_millis(250));
    assert_eq!(config.stores.aliases().collect::<Vec<_>>(), ["bustard", "default"]);
}

#[test]
fn an_empty_file_is_the_app_main_beside_it() {
    let config = parse("");
    assert_eq!(config.apps[0].label, "main");
    assert_eq!(config.apps[0].path(), Some(Path::new("etc/migrations")));
    assert_eq!(config.database_url, None);
    assert_eq!((config.max_staleness.as_secs(), config.poll_interval.as_secs()), (10, 1));
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
    `soon` is not a duration: write it like 15m, 90s, 1h30m or 500ms
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
    insta::assert_snapshot!(error("stores = { default = { backend = \"memory\", ttl = \"0s\" } }\n"), @r"
    [stores.default]: ttl must be between 1s and 30days
      --> etc/bustard.toml:1:34
    ");
    insta::assert_snapshot!(error("[stores.default]\nbackend = \"memory\"\nttl = \"soon\"\n"), @r"
    `soon` is not a duration: write it like 15m, 90s, 1h30m or 500ms
      --> etc/bustard.toml:3:7
    ");
    insta::assert_snapshot!(error("[stores.default]\nbackend = \"memory\"\nkey_perfix = \"f:\"\n"), @r"
    unknown field `key_perfix`, expected one of `backend`, `location`, `sentinels`, `cluster`, `tls_ca`, `tls_certificate`, `tls_key`, `key_prefix`, `timeout`, `ttl`, `max_bytes`
      --> etc/bustard.toml:3:1
      help: did you mean `key_prefix`?
    ");
    insta::assert_snapshot!(error("[stores.default]\nbackend = \"postgres\"\n"), @r"
    unknown variant `postgres`, expected one of `memory`, `memcached`, `redis`
      --> etc/bustard.toml:2:11
    ");
}

#[test]
fn max_staleness_allows_for_a_failed_poll() {
    insta::assert_snapshot!(error("[cache_buster]\npoll_interval = \"0s\"\n"), @r#"
    poll_interval must not be 0
      --> etc/bustard.toml:2:17
      help: write the interval between two polls, such as "1s"
    "#);
    insta::assert_snapshot!(error("[cache_buster]\nmax_staleness = \"1s\"\n"), @r#"
    max_staleness (1s) must be at least twice poll_interval (1s)
      --> etc/bustard.toml:2:17
      help: a single failed poll must not make the versions of all caches unknown
    "#);
    insta::assert_snapshot!(error("[cache_buster]\npoll_interval = \"6s\"\n"), @r#"
    max_staleness (10s) must be at least twice poll_interval (6s)
      --> etc/bustard.toml:2:17
      help: a single failed poll must not make the versions of all caches unknown
    "#);
    insta::assert_snapshot!(error("[cache_buster]\npol_interval = \"6s\"\n"), @r#"
    unknown field `pol_interval`, expected one of `max_staleness`, `poll_interval`, `lookup_timeout`
      --> etc/bustard.toml:2:1
      help: did you mean `poll_interval`?
    "#);
    insta::assert_snapshot!(error("[cache_buster]\nmax_staleness = 10\n"), @r#"
    invalid type: integer `10`, expected a string
      --> etc/bustard.toml:2:17
    "#);
    // Twice the interval is sufficient.
    parse("[cache_buster]\npoll_interval = \"6s\"\nmax_staleness = \"12s\"\n");
}

#[test]
#[cfg(feature = "memcached")]
fn locations_are_read_where_the_backend_is_compiled_in() {
    let text = "[stores.default]\nlocation = \"me:hunter2@h:0\"\nbackend = \"memcached\"\n";
    insta::assert_snapshot!(error(text), @r"
    [stores.default]: the store memcached supports no logins (SASL)
      --> etc/bustard.toml:3:11
      help: write HOST:PORT or unix:/PATH, and let a proxy or the network protect the server
    ");
}

#[test]
#[cfg(all(feature = "sqlite", not(feature = "redis")))]
fn a_backend_that_is_not_compiled_in_is_no_mistake_of_the_file() {
    let config = parse("[stores.default]\nbackend = \"redis\"\nlocation = \"h\"\n");
    let (database, _) = config.database(Some("sqlite:nowhere.db")).unwrap();
    let error = config.cache_buster(&database).start().unwrap_err();
    assert_eq!(error.message(), "the store redis is not compiled in");
}

/// A given URL takes precedence, so the environment is not read.
#[test]
#[cfg(feature = "sqlite")]
fn a_given_url_is_used() {
    let config = parse("[database]\nurl = \"sqlite:a.db\"\n");
    let (database, origin) = config.database(Some("sqlite::memory:")).unwrap();
    assert_eq!((database.display_name().as_str(), origin), ("SQLite sqlite::memory:", Origin::Given));
    assert_eq!(config.database_url(Some("sqlite:b.db")).unwrap(), ("sqlite:b.db".to_owned(), Origin::Given));
    let error = config.database(Some("")).unwrap_err();
    assert_eq!((error.kind(), error.message()), (crate::ErrorKind::Usage, "the database URL is empty"));
    let error = config.database(Some("mysql://me:hunter2@h/db")).unwrap_err();
    assert!(error.message().starts_with("the database URL names no supported engine"), "{error}");
}

#[test]
fn debugging_shows_no_password() {
    let config = parse(
        "[database]\nurl = \"postgres://u:hunter2@h/db\"\n[stores.default]\nbackend = \"redis\"\nlocation = \"redis://u:hunter2@h/0\"\n",
    );
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
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
        "[stores.default]\nbackend = \"redis\"\nlocation = \"redis://u:hunter2@h:port/0\"\nttl = \"0s\"",
        "[stores.\"redis://u:hunter2@h/0\"]\nbackend = \"redis\"",
        "[stores.default]\nbackend = \"redis\"\nlocation = [\"redis://u:hunter2@h/0\", \"h\"]",
        "[stores.default]\nbackend = \"redis\"\nlocation = { url = \"redis://u:hunter2@h/0\" }",
    ] {
        assert!(!error(text).contains("hunter2"), "{}", error(text));
    }
}

/// Reads a mutated configuration. If the password `hunter2` is only within URLs, no message
/// has it.
fn check(input: &[u8], message: impl Fn(&crate::Error) -> String) -> bool {
    const SECRET: &str = "hunter2";
    let text = String::from_utf8_lossy(input);
    match Config::parse(Path::new("etc/bustard.toml"), &text) {
        Ok(config) => {
            assert!(!format!("{config:?}").contains(SECRET));
            assert!(!config.apps.is_empty() && config.max_staleness >= config.poll_interval);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), crate::ErrorKind::Usage);
            let message = message(&error);
            let in_urls = text.matches("://app:hunter2@").count();
            let is_secret = in_urls > 0 && text.matches(SECRET).count() == in_urls;
            assert!(!is_secret || !message.contains(SECRET), "{message}");
            false
        }
    }
}

#[test]
fn fuzz_configurations() {
    drive("config", |input| check(input, |error| error.report().to_string()));
}

#[test]
fn fuzz_configurations_finds_a_shown_password() {
    finds("config", &corpus("config"), |input| {
        let text = String::from_utf8_lossy(input);
        let excerpt = text.lines().find(|line| line.contains("://")).unwrap_or_default();
        check(input, |error| format!("{} {excerpt}", error.report()))
    });
}

#[test]
fn a12_the_implied_app_exists_only_where_no_app_was_added() {
    let config = parse("");
    let labels = |migrator: &Migrator| -> Vec<String> {
        migrator.configured().iter().map(|app| app.label().to_owned()).collect()
    };
    let shop = || App::new("shop");
    assert_eq!(labels(&config.migrator()), ["main"]);
    assert_eq!(labels(&config.migrator().app(shop())), ["shop"]);
    assert_eq!(labels(&config.migrator().apps([shop()])), ["shop"]);
    assert_eq!(labels(&config.migrator().apps([])), ["main"]);
    assert_eq!(labels(&config.applied_to(Migrator::new().app(shop()))), ["shop"]);
    assert_eq!(labels(&config.applied_to(Migrator::new()).app(shop())), ["shop"]);
    assert_eq!(labels(&config.applied_to(config.migrator())), ["main"]);
    let listed = parse("[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"");
    assert_eq!(labels(&listed.migrator().app(shop())), ["main", "shop"]);
    assert_eq!(labels(&listed.applied_to(Migrator::new().app(shop()))), ["shop", "main"]);
}
