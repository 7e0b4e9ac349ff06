//! Tests of a plugin that consists of SQL files only.

use bustard::App;
use bustard::testing::TestDatabase;

/// Creates an empty database for the forum and this plugin.
fn database() -> TestDatabase {
    let forum = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let badges = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    TestDatabase::new([App::directory("forum", forum), App::directory("badges", badges)])
}

#[test]
fn migrations_can_be_reverted_and_applied_again() {
    database().assert_round_trips("badges");
}

#[test]
fn ranks_become_badges_and_ranks_again() {
    let mut database = database();
    database.migrate_to("forum", 5);
    database.execute(
        "INSERT INTO users (id, name, email, password_hash) VALUES (1, 'Ann', 'ann@example.org', 'x');
         INSERT INTO memberships (user_id, user_group) VALUES (1, 'members'), (1, 'rank-gold');",
    );
    database.assert_round_trip("badges", 2);
    assert_eq!(database.values("SELECT badge FROM awards"), ["rank-gold"]);

    database.migrate();
    assert_eq!(database.values("SELECT user_group FROM memberships"), ["members"]);
    database.revert_to("badges", 1);
    assert_eq!(database.values("SELECT user_group FROM memberships ORDER BY 1"), ["members", "rank-gold"]);
}

/// Deleting a user invalidates the cached badges.
#[test]
fn a_deleted_user_has_no_badges() {
    let mut database = database();
    database.migrate();
    database.execute(
        "INSERT INTO users (id, name, email, password_hash) VALUES (1, 'Ann', 'ann@example.org', 'x');
         INSERT INTO awards (user_id, badge) VALUES (1, 'first-post');
         DELETE FROM users;",
    );
    assert!(database.values("SELECT badge FROM awards").is_empty());
}
