//! Tests the example that the README starts with: a forum and its plugins, on both
//! engines, applied, reverted and applied again.

use crate::support::{Database, Outcome, Project, snapshot_settings};

const CONFIG: [&str; 2] = ["--config", "examples/forum/bustard.toml"];

/// The example on one engine, with queries for its contents.
trait On {
    fn project(&self) -> &Project;
    /// Returns the value for `DATABASE_URL`, if it differs from the URL of the
    /// configuration.
    fn url(&self) -> Option<String>;
    /// Returns all objects except Bustard's own and the histories.
    fn schema(&self) -> String;
    fn run_sql(&self, sql: &str);
    /// Returns the first column of each row.
    fn values(&self, sql: &str) -> Vec<String>;

    fn bustard(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.project().command(&[&CONFIG, arguments].concat());
        if let Some(url) = self.url() {
            command.env("DATABASE_URL", url);
        }
        Outcome::of(command).success()
    }

    fn caches(&self) -> Vec<(String, String, u64)> {
        let document = self.bustard(&["caches", "--json"]).json();
        let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
        let caches = document["caches"].as_array().expect("a list").iter();
        caches
            .map(|cache| {
                let version = text(&cache["version"]).parse().expect("a number");
                (text(&cache["name"]), text(&cache["app"]), version)
            })
            .collect()
    }
}

struct OnSqlite(Project);

impl On for OnSqlite {
    fn project(&self) -> &Project {
        &self.0
    }

    fn url(&self) -> Option<String> {
        None
    }

    fn schema(&self) -> String {
        let own = |line: &&str| !line.contains("bustard") && !line.contains("refinery_schema_history");
        let schema = self.0.sqlite_schema("examples/forum/forum.sqlite");
        // The SQL of an object may have several lines, so whole objects and not lines are
        // removed.
        let mut objects: Vec<String> = Vec::new();
        for line in schema.lines() {
            let starts = ["table ", "index ", "view ", "trigger "].iter().any(|kind| line.starts_with(kind));
            match objects.last_mut() {
                Some(object) if !starts => object.extend(["\n", line]),
                _ => objects.push(line.to_owned()),
            }
        }
        objects.iter().map(String::as_str).filter(own).collect::<Vec<_>>().join("\n")
    }

    fn run_sql(&self, sql: &str) {
        self.0.sqlite("examples/forum/forum.sqlite").execute_batch(sql).expect(sql);
    }

    fn values(&self, sql: &str) -> Vec<String> {
        let connection = self.0.sqlite("examples/forum/forum.sqlite");
        let mut statement = connection.prepare(sql).expect(sql);
        let rows = statement.query_map([], |row| row.get(0)).expect(sql);
        rows.collect::<Result<_, _>>().expect(sql)
    }
}

struct OnPostgres(Project, Database<'static>);

impl On for OnPostgres {
    fn project(&self) -> &Project {
        &self.0
    }

    fn url(&self) -> Option<String> {
        Some(self.1.url())
    }

    fn schema(&self) -> String {
        self.1.schema(&["bustard", "public.refinery_schema_history"])
    }

    fn run_sql(&self, sql: &str) {
        self.1.psql(sql);
    }

    fn values(&self, sql: &str) -> Vec<String> {
        self.1.psql(sql).into_iter().map(|mut row| row.remove(0)).collect()
    }
}

fn on_sqlite() -> OnSqlite {
    OnSqlite(Project::forum())
}

fn on_postgres() -> OnPostgres {
    OnPostgres(Project::forum(), Database::new())
}

fn prints_what_it_did(on: &impl On, name: &str) {
    let first = on.bustard(&["migrate"]);
    snapshot_settings(on.project()).bind(|| insta::assert_snapshot!(name, first.stdout));

    let (schema, caches) = (on.schema(), on.caches());
    on.bustard(&["migrate"]).says("nothing to do");
    on.bustard(&["check"]);
    assert_eq!((on.schema(), on.caches()), (schema, caches));
}

fn registers_its_caches(on: &impl On) {
    on.bustard(&["migrate"]);
    let owned: Vec<_> = on.caches().into_iter().map(|(name, app, _)| format!("{app}: {name}")).collect();
    // The cache `top-posters` is missing, because the last migration of badges unregisters
    // it.
    assert_eq!(
        owned,
        [
            "badges: badges",
            "bans: ban-exceptions",
            "bans: bans",
            "forum: categories",
            "forum: permissions",
            "forum: settings",
        ]
    );

    on.bustard(&["revert", "--to", "badges:V2"]);
    let (names, before): (Vec<_>, Vec<_>) =
        on.caches().into_iter().map(|(name, _, version)| (name, version)).unzip();
    assert!(names.contains(&"top-posters".to_owned()), "{names:?}");
    on.bustard(&["migrate"]);
    let after = on.caches();
    for (name, before) in names.iter().zip(before).filter(|(name, _)| *name != "top-posters") {
        let now = after.iter().find(|cache| cache.0 == *name).map(|cache| cache.2);
        assert!(now > Some(before), "{name}: {before}, then {now:?}");
    }
}

fn goes_back_and_forward(on: &impl On) {
    on.bustard(&["migrate", "--to", "bustard:1"]);
    let before = on.schema();
    on.bustard(&["migrate"]);
    let there = on.schema();
    assert!(there.contains("threads") && there.contains("awards"), "{there}");

    on.bustard(&["revert", "--to", "forum:0"]);
    assert_eq!(on.schema(), before);
    assert_eq!(on.caches(), []);
    for app in ["forum", "bans", "badges"] {
        assert_eq!(on.values(&format!("SELECT name FROM refinery_schema_history_{app}")), [""; 0]);
    }

    on.bustard(&["migrate"]);
    assert_eq!(on.schema(), there);
}

/// Checks the promises about data in the comments of the migrations.
fn keeps_what_people_wrote(on: &impl On) {
    on.bustard(&["migrate", "--to", "forum:V5"]);
    on.run_sql(
        "INSERT INTO users (id, name, email, password_hash) VALUES (1, 'Ann', 'ann@example.org', 'x');
         INSERT INTO threads (id, category, author, title) VALUES (1, 'general', 1, ' ');
         INSERT INTO posts (id, thread, author, body) VALUES (1, 1, 1, 'Bustards are large birds');
         INSERT INTO memberships (user_id, user_group) VALUES (1, 'members'), (1, 'rank-gold');",
    );

    on.bustard(&["migrate"]);
    assert_eq!(on.values("SELECT title FROM threads"), ["Untitled"]);
    assert_eq!(on.values("SELECT body FROM posts"), ["Bustards are large birds"]);
    assert_eq!(on.values("SELECT user_group FROM memberships"), ["members"]);
    assert_eq!(on.values("SELECT badge FROM awards"), ["rank-gold"]);

    on.bustard(&["revert", "--to", "badges:V1"]);
    assert_eq!(on.values("SELECT user_group FROM memberships ORDER BY 1"), ["members", "rank-gold"]);
    assert_eq!(on.values("SELECT body FROM posts"), ["Bustards are large birds"]);
    assert_eq!(on.values("SELECT badge FROM awards"), [""; 0]);
}

#[test]
fn prints_its_steps_on_sqlite() {
    prints_what_it_did(&on_sqlite(), "forum_on_sqlite");
}

#[test]
fn prints_its_steps_on_postgres() {
    prints_what_it_did(&on_postgres(), "forum_on_postgres");
}

/// The cache is registered on the table, so the change invalidates it without a call of
/// `invalidate`.
fn a_changed_setting_invalidates_its_cache(on: &impl On) {
    on.bustard(&["migrate"]);
    let changed = |sql: &str| {
        let before = on.caches();
        on.run_sql(sql);
        let after = on.caches();
        let pairs = before.iter().zip(&after).filter(|((_, _, before), (_, _, after))| before != after);
        pairs.map(|((name, _, _), _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(changed("UPDATE settings SET value = 'closed' WHERE name = 'registration'"), ["settings"]);
    assert!(changed("UPDATE settings SET value = 'x' WHERE name = 'no such setting'").is_empty());
}

#[test]
fn a_changed_setting_invalidates_its_cache_on_sqlite() {
    a_changed_setting_invalidates_its_cache(&on_sqlite());
}

#[test]
fn a_changed_setting_invalidates_its_cache_on_postgres() {
    a_changed_setting_invalidates_its_cache(&on_postgres());
}

#[test]
fn registers_its_caches_on_sqlite() {
    registers_its_caches(&on_sqlite());
}

#[test]
fn registers_its_caches_on_postgres() {
    registers_its_caches(&on_postgres());
}

#[test]
fn is_reverted_and_applied_again_on_sqlite() {
    goes_back_and_forward(&on_sqlite());
}

#[test]
fn is_reverted_and_applied_again_on_postgres() {
    goes_back_and_forward(&on_postgres());
}

#[test]
fn keeps_the_posts_on_sqlite() {
    let forum = on_sqlite();
    keeps_what_people_wrote(&forum);
    let found = "SELECT CAST(rowid AS text) FROM posts_words WHERE posts_words MATCH 'birds'";
    forum.bustard(&["migrate"]);
    assert_eq!(forum.values(found), ["1"]);
}

#[test]
fn keeps_the_posts_on_postgres() {
    let forum = on_postgres();
    keeps_what_people_wrote(&forum);
    forum.bustard(&["migrate"]);
    assert_eq!(forum.values("SELECT id FROM posts WHERE words @@ to_tsquery('simple', 'birds')"), ["1"]);
}
