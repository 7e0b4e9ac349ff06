//! Tests when notifications are sent: after commits, on the channel `bustard`, and never
//! inside a transaction of the application.

use crate::support::{Database, PATIENCE, Project};
use bustard::{CacheBuster, ErrorKind, Migrator, Uninstall, registry};
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;

const V1: &str =
    "-- bustard: register cache bans\nCREATE TABLE bans (id INTEGER);\n-- bustard: down\nDROP TABLE bans;\n";

/// Migrates a database with the command, and returns a connection that listens.
fn listened_to<'d>(project: &Project, database: &Database<'d>) -> Client {
    project.file("migrations/V1__bans.sql", V1);
    let mut listener = database.client();
    listener.batch_execute("LISTEN bustard").unwrap();
    project.bustard(&["migrate", "--database-url", &database.url()]).success();
    assert_eq!(next(&mut listener), "", "the migrator notifies");
    drain(&mut listener, database);
    listener
}

/// Returns the payload of the next notification.
fn next(listener: &mut Client) -> String {
    let mut notifications = listener.notifications();
    let next = notifications.timeout_iter(PATIENCE).next().unwrap();
    next.expect("a notification comes").payload().to_owned()
}

/// Counts the notifications that were sent before this call. Notifications arrive in the
/// order of their commits, so this function sends a marker and counts the notifications
/// that arrive before the marker.
fn drain(listener: &mut Client, database: &Database<'_>) -> usize {
    database.psql("SELECT pg_notify('bustard', 'mark')");
    (0..).find(|_| next(listener) == "mark").expect("the mark comes")
}

#[test]
fn the_command_notifies() {
    let (project, database) = (Project::new(), Database::new());
    let (mut listener, url) = (listened_to(&project, &database), database.url());
    for arguments in [
        &["caches", "invalidate", "bans"][..],
        &["caches", "invalidate-all"],
        &["caches", "register", "ranks"],
        &["caches", "unregister", "ranks", "--force"],
        &["revert", "--steps", "1"],
    ] {
        let arguments = [arguments, &["--database-url", &url]].concat();
        project.bustard(&arguments).success();
        assert_eq!(drain(&mut listener, &database), 1, "{arguments:?}");
    }
    for arguments in [&["caches"][..], &["status"], &["caches", "get", "bans"]] {
        let arguments = [arguments, &["--database-url", &url]].concat();
        project.bustard(&arguments);
        assert_eq!(drain(&mut listener, &database), 0, "{arguments:?}");
    }
}

#[test]
fn an_uninstall_notifies() {
    let (project, database) = (Project::new(), Database::new());
    let mut listener = listened_to(&project, &database);
    let (migrator, mut connection) = (Migrator::new(), database.client());
    for (keep_data, told) in [(true, 1), (true, 0), (false, 1)] {
        let what = Uninstall::new("main").keep_data(keep_data);
        let plan = migrator.plan_uninstall(&mut connection, &what).unwrap();
        assert_eq!(drain(&mut listener, &database), 0, "a plan changes nothing");
        migrator.uninstall(&mut connection, &plan).unwrap();
        assert_eq!(drain(&mut listener, &database), told, "{what:?}");
    }
}

#[test]
fn no_notification_is_sent_inside_the_applications_transaction() {
    let (project, database) = (Project::new(), Database::new());
    let mut listener = listened_to(&project, &database);
    let buster = CacheBuster::connect(&database.url()).unwrap();
    let mut client = database.client();

    let mut transaction = client.transaction().unwrap();
    buster.invalidate(&mut transaction, &["bans"]).unwrap();
    buster.register(&mut transaction, "ranks", None).unwrap();
    buster.invalidate_all(&mut transaction).unwrap();
    let refused = registry::notify(&mut transaction).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
    transaction.commit().unwrap();
    assert_eq!(drain(&mut listener, &database), 0, "the application commits without the CacheBuster");

    let mut transaction = client.transaction().unwrap();
    buster.invalidate(&mut transaction, &["bans"]).unwrap();
    buster.commit(transaction).unwrap();
    assert_eq!(drain(&mut listener, &database), 1, "the application commits through the CacheBuster");

    buster.invalidate(&mut client, &["bans"]).unwrap();
    assert_eq!(drain(&mut listener, &database), 1, "on a connection, the invalidation is committed at once");
    registry::notify(&mut client).unwrap();
    assert_eq!(drain(&mut listener, &database), 1);
}
