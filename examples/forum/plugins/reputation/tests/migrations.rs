//! Tests of a plugin that is a crate, on SQLite.

use bustard::App;
use bustard::testing::TestDatabase;

/// Creates an empty database for the forum and this plugin.
fn database() -> TestDatabase {
    let forum = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    TestDatabase::new([App::directory("forum", forum), forum_reputation::migrations()])
}

/// Ann has written eleven posts, of which Bob likes one.
const PAST: &str = "
    INSERT INTO users (id, name, email, password_hash) VALUES
        (1, 'Ann', 'ann@example.org', 'x'), (2, 'Bob', 'bob@example.org', 'x');
    INSERT INTO threads (id, category, author, title) VALUES (1, 'general', 1, 'Birds');
    WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 11)
        INSERT INTO posts (id, thread, author, body) SELECT id, 1, 1, 'Bustards' FROM n;
    INSERT INTO likes (post, user_id) VALUES (1, 2);";

const POINTS: &str = "SELECT user_id || ': ' || points FROM reputation ORDER BY user_id";

#[test]
fn migrations_can_be_reverted_and_applied_again() {
    database().assert_round_trips("reputation");
}

#[test]
fn the_past_gives_points() {
    let mut database = database();
    database.migrate_to("reputation", 2);
    database.execute(PAST);
    database.assert_round_trip("reputation", 3);
    assert_eq!(database.values(POINTS), ["1: 8", "2: 0"]);

    database.revert_to("reputation", 2);
    assert!(database.values(POINTS).is_empty());
}

#[test]
fn points_invalidate_the_cache() {
    let mut database = database();
    database.migrate_to("reputation", 2);
    database.execute(PAST);
    database.migrate();
    database.assert_invalidates("reputation", |connection| {
        connection.execute("UPDATE reputation SET points = 9 WHERE user_id = 1", []).unwrap();
    });
    // Deleting a user deletes the user's points and invalidates the cached points.
    database.assert_invalidates("reputation", |connection| {
        connection.execute("DELETE FROM users WHERE id = 2", []).unwrap();
    });
    database.assert_does_not_invalidate("reputation", |connection| {
        connection.execute("UPDATE posts SET body = 'Great bustards'", []).unwrap();
    });
}
