//! Tests values that are read in a transaction which has invalidated one of their caches, or
//! has changed what a cache depends on: nothing is found, and nothing is filed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bustard::{App, CacheBuster, Error, Memo, Migration, Migrator, Values, registry};

use crate::races::place::{Client, Place, Shared, lazy, on_both, on_postgres};

/// The caches that the values are made from. `rows` has a table, and so has `others`, which is
/// not one of them.
const SOURCES: [&str; 2] = ["numbers", "rows"];

/// Which values a transaction concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concerns {
    /// Those of several caches, but not those of `rows`.
    Several,
    All,
    Nothing,
    /// A write that concerns no value. SQLite does not tell which tables a transaction has
    /// written to, so there it concerns all.
    Others,
}

impl Concerns {
    /// Returns whether the values of several caches are bypassed, and whether those of `rows`
    /// are.
    fn bypasses<C: Client>(self) -> (bool, bool) {
        match self {
            Concerns::Several => (true, !C::SAVEPOINTS_FORGET),
            Concerns::All => (true, true),
            Concerns::Nothing => (false, false),
            Concerns::Others => (!C::SAVEPOINTS_FORGET, !C::SAVEPOINTS_FORGET),
        }
    }
}

/// What a transaction does.
struct Manner<C> {
    what: &'static str,
    act: fn(&mut C),
    concerns: Concerns,
}

fn register_again<C: Client>(client: &mut C) {
    registry::unregister(client, "rows").unwrap();
    registry::register(client, "rows", Some("more")).unwrap();
}

fn manners<C: Client>() -> Vec<Manner<C>> {
    use Concerns::{All, Nothing, Others, Several};

    let manner = |what, concerns, act| Manner { what, act, concerns };
    let mut all: Vec<Manner<C>> = vec![
        manner("invalidates one", Several, |client| registry::invalidate(client, &["numbers"]).unwrap()),
        manner("invalidates rows", All, |client| registry::invalidate(client, &["rows"]).unwrap()),
        manner("invalidates all", All, |client| registry::invalidate_all(client).unwrap()),
        manner("inserts", All, |client| client.run("INSERT INTO item VALUES (1)")),
        manner("deletes", All, |client| client.run("DELETE FROM item WHERE x = 0")),
        manner("releases a savepoint", All, |client| {
            client.run("SAVEPOINT s; INSERT INTO item VALUES (1); RELEASE s")
        }),
        manner("registers again", All, register_again),
        manner("reads", Nothing, |client| _ = client.number()),
        manner("invalidates others", Others, |client| registry::invalidate(client, &["others"]).unwrap()),
        manner("writes elsewhere", Others, |client| client.run("INSERT INTO other VALUES (1)")),
    ];
    if C::SAVEPOINTS_FORGET {
        all.extend([
            manner("changes the tables", All, |client| {
                client.run("SELECT bustard.change_cache('rows', 'more', 'other')")
            }),
            manner("adds a table", All, |client| {
                client.run("SELECT bustard.change_cache('rows', 'more', 'item', 'other')")
            }),
            manner("truncates", All, |client| client.run("TRUNCATE item")),
            manner("rolls a savepoint back", Nothing, |client| {
                client.run("SAVEPOINT s; INSERT INTO item VALUES (1); ROLLBACK TO s")
            }),
        ]);
    }
    all
}

/// A process with values of several caches, values of one, and a memo, with a store behind.
struct Process {
    buster: CacheBuster,
    store: Shared,
    several: Values<i64>,
    rows: Values<i64>,
    memo: Memo<i64>,
    /// The number of computations of the memo's own function.
    memo_loads: Arc<AtomicI64>,
}

impl Process {
    fn on(place: &impl Place) -> Process {
        let migration = Migration::new()
            .sql("CREATE TABLE item (x bigint); CREATE TABLE other (x bigint); INSERT INTO item VALUES (0)")
            .register_cache_on("rows", ["item"])
            .register_cache_on("others", ["other"]);
        let app = App::new("more").migration("V1__more", migration);
        Migrator::new().app(app).run(&mut place.client()).unwrap();
        let store = Shared::default();
        let buster = lazy(&place.url()).store(store.clone()).start().unwrap();
        let rows = buster.cache("rows").unwrap();
        let memo_loads = Arc::new(AtomicI64::new(0));
        let memo = rows.memo({
            let loads = memo_loads.clone();
            move || loads.fetch_add(1, Ordering::SeqCst)
        });
        let several = buster.values_of(&SOURCES, "several", 1).unwrap().shared();
        let rows = rows.values("rows", 1).unwrap().shared();
        Process { buster, store, several, rows, memo, memo_loads }
    }

    /// Looks everything up in a transaction, twice, and returns how often the values of several
    /// caches, those of `rows` and the memo were computed.
    fn look_in<C: Client>(&self, client: &mut C, key: &str) -> [usize; 3] {
        let (mut several, mut rows, mut memo) = (0, 0, 0);
        for _ in 0..2 {
            let load = |loads: &mut usize| {
                *loads += 1;
                Ok::<_, Error>(2)
            };
            self.several.get_or_try_insert_in(client, key, |_| load(&mut several)).unwrap();
            self.rows.get_or_try_insert_in(client, key, |_| load(&mut rows)).unwrap();
            self.memo.get_or_try_insert_in(client, |_| load(&mut memo)).unwrap();
        }
        [several, rows, memo]
    }

    /// Asserts what the process has under a key, and how many entries the store has.
    #[track_caller]
    fn has(&self, what: &str, key: &str, several: Option<i64>, rows: Option<i64>, entries: usize) {
        assert_eq!(self.several.peek(key).map(|number| *number), several, "{what}: several caches");
        assert_eq!(self.rows.peek(key).map(|number| *number), rows, "{what}: one cache");
        assert_eq!(self.store.len(), entries, "{what}: the store");
    }

    /// Returns how often the memo's own function is called.
    fn memo_loads(&self) -> i64 {
        let before = self.memo_loads.load(Ordering::SeqCst);
        self.memo.get();
        self.memo_loads.load(Ordering::SeqCst) - before
    }
}

on_both! {
    fn c2_own_events_bypass_values_and_memo(place: &impl Place) {
        own_events(place);
    }

    fn c2_what_a_computation_writes_is_not_filed(place: &impl Place) {
        written_by_load(place);
    }
}

fn own_events<P: Place>(place: &P) {
    let process = Process::on(place);
    let mut client = place.client();
    for Manner { what, act, concerns } in manners::<P::Client>() {
        process.buster.invalidate_all(&mut place.client()).unwrap();
        process.several.get_or_insert_with("k", || 1);
        process.rows.get_or_insert_with("k", || 1);
        process.memo.get();
        let entries = process.store.len();
        client.run("BEGIN");
        assert_eq!(process.look_in(&mut client, "k"), [0, 0, 0], "{what}: before, all values are found");
        act(&mut client);
        let (several, rows) = concerns.bypasses::<P::Client>();
        let bypassed = [several, rows, rows].map(|is_bypassed| if is_bypassed { 2 } else { 0 });
        assert_eq!(process.look_in(&mut client, "k"), bypassed, "{what}");
        // A value that is not there yet is computed once and filed, or twice.
        let [several_loads, rows_loads, _] = process.look_in(&mut client, "new");
        assert_eq!([several_loads, rows_loads], [several, rows].map(|own| 1 + usize::from(own)), "{what}");
        client.run("ROLLBACK");
        process.buster.notify().unwrap();
        let filed = usize::from(!several) + usize::from(!rows);
        process.has(what, "k", Some(1), Some(1), entries + filed);
        let new = |own: bool| (!own).then_some(2);
        process.has(what, "new", new(several), new(rows), entries + filed);
        assert_eq!(process.memo_loads(), 0, "{what}: the memo is kept");
    }
}

/// A computation that invalidates a cache itself reads data that is not committed. Its value
/// must not be filed under the version from before.
fn written_by_load<P: Place>(place: &P) {
    let process = Process::on(place);
    let mut client = place.client();
    for Manner { what, act, concerns } in manners::<P::Client>() {
        process.buster.invalidate_all(&mut place.client()).unwrap();
        let entries = process.store.len();
        let load = |client: &mut P::Client| {
            act(client);
            Ok::<_, Error>(2)
        };
        client.run("BEGIN");
        assert_eq!(*process.several.get_or_try_insert_in(&mut client, "k", load).unwrap(), 2);
        client.run("ROLLBACK; BEGIN");
        assert_eq!(*process.rows.get_or_try_insert_in(&mut client, "k", load).unwrap(), 2);
        client.run("ROLLBACK; BEGIN");
        assert_eq!(*process.memo.get_or_try_insert_in(&mut client, load).unwrap(), 2);
        client.run("ROLLBACK");
        process.buster.notify().unwrap();
        let (several, rows) = concerns.bypasses::<P::Client>();
        let filed = usize::from(!several) + usize::from(!rows);
        let new = |own: bool| (!own).then_some(2);
        process.has(what, "k", new(several), new(rows), entries + filed);
        assert_eq!(process.memo_loads(), i64::from(rows), "{what}: the memo");
    }
}

/// The asynchronous form, in which the computation does not get the transaction.
#[test]
fn c2_own_events_bypass_values_on_tokio() {
    let place = on_postgres();
    let process = Process::on(&place);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = place.url();
    runtime.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        for (write, is_before) in
            [(None, true), (Some("INSERT INTO item VALUES (1)"), true), (Some("DELETE FROM item"), false)]
        {
            let entries = process.store.len();
            let transaction = client.transaction().await.unwrap();
            let act = async || {
                if let Some(sql) = write {
                    transaction.batch_execute(sql).await.unwrap();
                }
            };
            if is_before {
                act().await;
            }
            let load = || async {
                act().await;
                Ok::<_, Error>(2)
            };
            let key = write.unwrap_or("nothing");
            assert_eq!(*process.rows.get_or_try_insert_in_async(&transaction, key, load).await.unwrap(), 2);
            let load = || async {
                act().await;
                Ok::<_, Error>(2)
            };
            let several = process.several.get_or_try_insert_in_async(&transaction, key, load).await;
            assert_eq!(*several.unwrap(), 2);
            transaction.rollback().await.unwrap();
            let kept = write.is_none().then_some(2);
            process.has(key, key, kept, kept, entries + 2 * usize::from(write.is_none()));
        }
    });
}
