//! Tests the number of round trips of a run on a connection that Bustard has opened, with
//! migrations that contain only SQL. A proxy counts the round trips after the connection is
//! open. `benches/round_trips.rs` prints the numbers for a thousand migrations, and
//! compares them with refinery.

use crate::support::proxy::Proxy;
use crate::support::{Database, Project};
use bustard::{App, Database as Connection, Migration, Migrator, TransactionMode, Uninstall};

/// A database behind a proxy, and migrations for it.
struct Ground {
    project: Project,
    database: Database<'static>,
    proxy: Proxy,
}

impl Ground {
    fn with(pending: usize) -> Ground {
        let project = Project::new();
        project.numbered_migrations(pending);
        let database = Database::new();
        let proxy = Proxy::start(database.cluster().port());
        Ground { project, database, proxy }
    }

    /// Runs all pending migrations. Returns the number of steps, including Bustard's own,
    /// and the number of round trips.
    fn run(&self, mode: TransactionMode) -> (usize, u64) {
        let app = App::directory("main", self.project.path().join("migrations"));
        self.run_apps([app], mode)
    }

    fn run_apps(&self, apps: impl IntoIterator<Item = App>, mode: TransactionMode) -> (usize, u64) {
        self.proxy.reset();
        let url = self.proxy.url(&self.database.url());
        let mut connection = Connection::new(&url).expect("the URL is good");
        let report = Migrator::new().apps(apps).transaction(mode).run(&mut connection);
        let report = report.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(self.proxy.connections(), 1);
        (report.steps.len(), self.proxy.round_trips().connected)
    }
}

const MODES: [TransactionMode; 2] = [TransactionMode::Each, TransactionMode::All];

#[test]
fn a_run_with_nothing_pending_takes_one_round_trip() {
    for mode in MODES {
        let ground = Ground::with(50);
        ground.run(TransactionMode::All);
        assert_eq!(ground.run(mode), (0, 1));
        ground.run_apps(plugins(), mode);
        assert_eq!(ground.run_apps(plugins(), mode), (0, 1));
    }
}

/// The state of disabled and kept apps costs no further round trip, and neither does
/// reading it again under each lock.
#[test]
fn disabled_and_kept_apps_cost_nothing() {
    for mode in MODES {
        let ground = Ground::with(10);
        ground.run(mode);
        ground.run_apps(plugins(), mode);
        let mut connection = Connection::new(&ground.database.url()).expect("the URL is good");
        let host = Migrator::new().apps(plugins());
        for label in ["plugin_1", "plugin_2"] {
            host.disable(&mut connection, label).expect("it is installed");
        }
        let kept = Uninstall::new("plugin_3").keep_data(true);
        let others = || plugins().filter(|app| app.label() != "plugin_3");
        let plan = host.plan_uninstall(&mut connection, &kept).expect("it is installed");
        host.uninstall(&mut connection, &plan).expect("nothing prevents it");
        assert_eq!(ground.run_apps(others(), mode), (0, 1));
        let all = || {
            let app = App::directory("main", ground.project.path().join("migrations"));
            others().chain([app])
        };
        assert_eq!(ground.run_apps(all(), mode), (0, 1));
        let trips = [20, 40].map(|pending| {
            ground.project.numbered_migrations(pending);
            ground.run_apps(all(), mode)
        });
        let [(10, ten), (20, twenty)] = trips else { panic!("{trips:?}") };
        let each = if mode == TransactionMode::Each { 2 } else { 0 };
        assert_eq!(twenty - ten, 10 * each, "{trips:?}");
    }
}

#[test]
fn one_transaction_takes_a_constant_number_of_round_trips() {
    let on_nothing = [5, 50].map(|pending| {
        let (steps, trips) = Ground::with(pending).run(TransactionMode::All);
        assert!(steps > pending, "Bustard's own come first");
        trips
    });
    // A message has at most 64 KB, which is what about 20 migrations need, so 45 more of them
    // need three more messages.
    assert!(on_nothing[1] <= on_nothing[0] + 3, "{on_nothing:?}");
    // Bustard's own have 135 KB, which need three messages.
    assert!(on_nothing[0] <= 9, "{}", on_nothing[0]);

    let ground = Ground::with(10);
    ground.run(TransactionMode::All);
    ground.project.numbered_migrations(60);
    let (steps, trips) = ground.run(TransactionMode::All);
    assert_eq!(steps, 50);
    assert!(trips <= 8, "{trips}");
    let (steps, trips) = ground.run_apps(plugins(), TransactionMode::All);
    assert_eq!(steps, 10);
    assert!(trips <= 8, "{trips}");
}

/// Returns many apps with one migration each, which creates a table and registers a cache
/// on it.
fn plugins() -> impl Iterator<Item = App> {
    (0..10).map(|number| {
        let table = format!("CREATE TABLE plugin_{number} (id bigint PRIMARY KEY)");
        let on = [format!("plugin_{number}")];
        let migration = Migration::new().sql(table).register_cache_on(format!("plugin {number}"), on);
        App::new(format!("plugin_{number}")).migration("V1__first", migration)
    })
}

#[test]
fn one_transaction_each_takes_at_most_three_round_trips_per_migration() {
    let ground = Ground::with(50);
    let (steps, trips) = ground.run(TransactionMode::Each);
    assert!(trips <= 3 * steps as u64, "{trips} for {steps}");
    // The limit also holds for ten migrations, including the constant number of round trips
    // of a run.
    ground.project.numbered_migrations(60);
    let (steps, more) = ground.run(TransactionMode::Each);
    assert_eq!(steps, 10);
    assert!(more <= 3 * steps as u64, "{more} for {steps}");
    let (steps, trips) = ground.run_apps(plugins(), TransactionMode::Each);
    assert_eq!(steps, 10);
    assert!(trips <= 3 * steps as u64, "{trips} for {steps}");
}

/// A run with nothing pending makes a single round trip, in which it notices missing
/// triggers. It then needs a transaction to restore them.
#[test]
fn missing_triggers_take_a_transaction() {
    let ground = Ground::with(1);
    ground.run_apps(plugins(), TransactionMode::All);
    ground
        .database
        .psql("ALTER TABLE plugin_1 DISABLE TRIGGER ALL; ALTER TABLE plugin_2 DISABLE TRIGGER ALL");
    let (steps, trips) = ground.run_apps(plugins(), TransactionMode::Each);
    assert_eq!(steps, 0);
    // The round trips are the preflight, the beginning of the transaction, the reading
    // under the lock, the commit, and the notification after it.
    assert!((2..=5).contains(&trips), "{trips}");
    assert_eq!(ground.run_apps(plugins(), TransactionMode::Each), (0, 1));
}
