//! B2, B4 and C13: folding goes on whatever other roles do, and whatever the cluster's
//! transaction numbers do.

use bustard::{App, CacheBuster, Migration, Migrator, registry};
use postgres::Client;

use crate::support::{Binaries, Cluster, Database, wait_until};

/// The row that says which events the last fold covered, if readers believe it.
const MARK: &str = "FROM bustard.base WHERE cell = 0 AND xmin = folder \
                    AND horizon <= pg_snapshot_xmax(pg_current_snapshot()) ORDER BY horizon DESC LIMIT 1";

/// Registers the caches `a` and `b`.
fn migrated(database: &Database<'_>) {
    let both = Migration::new().register_cache("a").register_cache("b");
    Migrator::new()
        .app(App::new("main").migration("V1__a", both))
        .run(&mut database.client())
        .expect("it runs");
    database.client().batch_execute(include_str!("../../../sql/oracle.sql")).expect("it is valid");
}

/// Begins a transaction that folds, and leaves it open.
fn idles_after_fold(database: &Database<'_>, role: &str) -> Client {
    let mut client = database.client_as(role);
    client.batch_execute("BEGIN; SELECT bustard.fold()").expect("every role may fold");
    client
}

fn invalidate(client: &mut Client, times: u32, call: &str) {
    client
        .batch_execute(&format!("DO $$ BEGIN FOR i IN 1..{times} LOOP PERFORM {call}; END LOOP; END $$"))
        .expect("every role may");
}

fn events(client: &mut Client) -> i64 {
    client.query_one("SELECT count(*) FROM bustard.event", &[]).expect("it is a table").get(0)
}

#[track_caller]
fn agreed(client: &mut Client) {
    let lies = client.query("SELECT name FROM lie", &[]).expect("the oracle is there");
    assert!(
        lies.is_empty(),
        "wrong versions: {:?}",
        lies.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    );
}

/// Sessions that fold and idle keep what they have taken, and nothing else.
#[test]
fn b4_a_role_that_idles_after_a_fold() {
    let database = Database::new();
    migrated(&database);
    let [idler, web] = ["idler", "web"].map(|name| database.create_role(name, ""));
    let mut client = database.client_as(&web);
    let mut owner = database.client();
    // The lock that folds used to take, with the rights of any role.
    let mut locker = database.client_as(&idler);
    locker.batch_execute("SELECT pg_advisory_lock(7094991215127488836)").expect("every role may");
    let mut idlers = Vec::new();
    let mut held = 0;
    for round in 1..=4 {
        invalidate(&mut client, 3000, "bustard.invalidate(CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END)");
        invalidate(&mut client, 10, "bustard.invalidate_all()");
        if round <= 2 {
            idlers.push(idles_after_fold(&database, &idler));
            held = events(&mut owner);
        }
        let before = registry::list(&mut owner).expect("it can be read");
        for _ in 0..2 {
            client.batch_execute("BEGIN; SELECT bustard.fold(); COMMIT").expect("every role may fold");
            agreed(&mut owner);
        }
        assert_eq!(registry::list(&mut owner).expect("it can be read"), before);
        assert_eq!(events(&mut owner), held, "in round {round}, everything else is folded");
    }
    // One commits, the other one rolls back: no version changes, and nothing is lost.
    let before = registry::list(&mut owner).expect("it can be read");
    idlers.remove(0).batch_execute("ROLLBACK").expect("it is open");
    agreed(&mut owner);
    idlers.remove(0).batch_execute("COMMIT").expect("it is open");
    agreed(&mut owner);
    client.batch_execute("BEGIN; SELECT bustard.fold(); COMMIT").expect("every role may fold");
    agreed(&mut owner);
    assert_eq!(registry::list(&mut owner).expect("it can be read"), before);
    assert_eq!(events(&mut owner), 0);
}

/// What a fold has skipped is not passed over by readers after the next folds.
#[test]
fn b4_what_a_rolled_back_fold_had_taken_counts() {
    let database = Database::new();
    migrated(&database);
    let mut client = database.client();
    client.batch_execute("BEGIN; SELECT bustard.fold(); COMMIT").expect("it folds");
    for _ in 0..3 {
        invalidate(&mut client, 2, "bustard.invalidate('a')");
        let idler = idles_after_fold(&database, "postgres");
        for _ in 0..3 {
            invalidate(&mut client, 1, "bustard.invalidate('b')");
            client.batch_execute("BEGIN; SELECT bustard.fold(); COMMIT").expect("it folds");
            agreed(&mut client);
        }
        drop(idler);
        wait_until("the server has rolled it back", || {
            client.batch_execute("BEGIN; SELECT bustard.fold(); COMMIT").expect("it folds");
            agreed(&mut client);
            events(&mut client) == 0
        });
    }
}

/// An application's own process folds what another role writes without end.
#[test]
fn c13_an_ordinary_role_folds_a_million_invalidations() {
    let database = Database::new();
    migrated(&database);
    let web = database.create_role("web", "");
    let buster = CacheBuster::connect(&database.url_as(&web)).expect("it connects");
    let cache = buster.cache("a").expect("it is registered");
    let mut client = database.client_as(&web);
    for _ in 0..5 {
        invalidate(&mut client, 200_000, "bustard.invalidate_all()");
    }
    registry::notify(&mut client).expect("every role may");
    let mut owner = database.client();
    wait_until("it has folded", || events(&mut owner) < 1000);
    agreed(&mut owner);
    let version = registry::get_version(&mut owner, "a").expect("it is registered");
    wait_until("it has seen the version", || cache.is_valid(version));
}

/// The cluster's transaction numbers go back, as after `pg_resetwal -e`: the horizon of
/// the last fold is in the future.
#[test]
fn b2_transaction_numbers_that_go_back() {
    let cluster = Cluster::start_with(&[]);
    let database = Database::on(&cluster);
    migrated(&database);
    cluster.stop("INT");
    let reset = |epoch: &str| {
        let mut command = Binaries::find().server_command("pg_resetwal");
        command.args(["-f", "-e", epoch, "-D"]).arg(cluster.directory().join("data"));
        crate::support::Outcome::of(command).success();
        cluster.restart();
    };
    reset("5");
    let mut client = database.client();
    invalidate(&mut client, 3, "bustard.invalidate('a')");
    client.batch_execute("BEGIN; SELECT bustard.fold(); COMMIT").expect("it folds");
    let horizon: String =
        client.query_one(&format!("SELECT horizon::text {MARK}"), &[]).expect("there is one").get(0);
    assert!(horizon.parse::<u64>().expect("a number") > 5 << 32);
    drop(client);
    cluster.stop("INT");
    reset("1");
    let mut client = database.client();
    let mut before = registry::get_version(&mut client, "a").expect("it is registered");
    for _ in 0..3 {
        assert_eq!(client.query(&format!("SELECT {MARK}"), &[]).expect("it is a table").len(), 0);
        invalidate(&mut client, 1, "bustard.invalidate('a')");
        let after = registry::get_version(&mut client, "a").expect("it is registered");
        assert!(after > before);
        before = after;
        agreed(&mut client);
    }
    // A reader folds at once, however few events there are.
    let buster = CacheBuster::connect(&database.url()).expect("it connects");
    assert!(buster.cache("a").expect("it is registered").is_valid(before));
    wait_until("there is a new horizon", || {
        client.query(&format!("SELECT {MARK}"), &[]).expect("it is a table").len() == 1
    });
    agreed(&mut client);
    assert_eq!(events(&mut client), 0);
}

/// The same with a row as such a cluster would have it, by every way of reading.
#[test]
fn b2_a_horizon_in_the_future_is_not_believed() {
    let database = Database::new();
    migrated(&database);
    let mut client = database.client();
    client.batch_execute("BEGIN; SELECT bustard.fold(); COMMIT").expect("it folds");
    client
        .batch_execute(
            "UPDATE bustard.base SET horizon = '18446744073709551000', unfinished = '{}', \
             folder = pg_current_xact_id()::xid WHERE cell = 0",
        )
        .expect("the owner may");
    for _ in 0..3 {
        let before = registry::get_version(&mut client, "a").expect("it is registered");
        invalidate(&mut client, 1, "bustard.invalidate('a')");
        assert!(registry::get_version(&mut client, "a").expect("it is registered") > before);
        agreed(&mut client);
    }
    client.batch_execute("BEGIN; SELECT bustard.fold(); COMMIT").expect("it folds");
    assert_eq!(client.query(&format!("SELECT {MARK}"), &[]).expect("it is a table").len(), 1);
    agreed(&mut client);
}
