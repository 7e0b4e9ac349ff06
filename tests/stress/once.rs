//! Tests P3: any number of runners started together apply each migration exactly once, and
//! all of them exit 0. The error of a runner that does not wait names the session that
//! holds the lock.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::proxy::Proxy;
use crate::support::{Database, Engine, LOCK, Outcome, Project, Running, Subject, wait_until};
use bustard::{App, Event, Migration, Migrator};

const RUNNERS: usize = 16;
const MIGRATIONS: i64 = 50;

/// Creates migrations. Each migration registers a cache, and inserts a row to show that it
/// ran. No constraint prevents a second row.
fn pending() -> Project {
    let project = Project::new();
    for number in 1..=MIGRATIONS {
        let first = if number == 1 { "CREATE TABLE log (number int NOT NULL);\n" } else { "" };
        project.file(
            format!("migrations/V{number}__step{number}.sql"),
            format!(
                "{first}INSERT INTO log VALUES ({number});\n\
                 -- bustard: register cache c{number}\n\
                 CREATE TABLE IF NOT EXISTS t{number} (id int);\n"
            ),
        );
    }
    project
}

/// Starts a runner. The number of the runner is its application name in the database.
fn runner(subject: &Subject<'_>, number: usize, arguments: &[&str]) -> Running {
    let mut command = subject.command(arguments);
    if subject.engine() == Engine::Postgres {
        command.env("DATABASE_URL", format!("{}?application_name=runner{number}", subject.url()));
    }
    Running::start(command)
}

fn start(subject: &Subject<'_>, arguments: &[&str]) -> Vec<Running> {
    (0..RUNNERS).map(|number| runner(subject, number, arguments)).collect()
}

/// Checks that every migration ran once, and that every runner that was not killed exited
/// with 0. The other effects of each transaction are counted by its invalidation.
fn check(subject: &Subject<'_>, outcomes: &[Outcome]) -> Result<(), String> {
    subject.quiet();
    for outcome in outcomes {
        if outcome.code != Some(0) && outcome.signal != Some(9) {
            return Err(format!("a runner failed: {outcome}"));
        }
    }
    let count = |sql: &str| subject.number(sql);
    let found = [
        ("runs of migrations", count("SELECT count(*) FROM log")),
        ("migrations that ran", count("SELECT count(DISTINCT number) FROM log")),
        ("rows of history", count("SELECT count(*) FROM refinery_schema_history")),
    ];
    for (what, number) in found {
        if number != MIGRATIONS {
            return Err(format!("{number} {what}, not {MIGRATIONS}"));
        }
    }
    let state = subject.state();
    if state.versions.len() as i64 != MIGRATIONS {
        return Err(format!("the registered caches are {:?}", state.versions.keys()));
    }
    Ok(())
}

/// Asserts that each migration is in the report of exactly one runner, unless the runner
/// that applied it was killed.
fn check_reports(outcomes: &[Outcome]) {
    let mut reported = BTreeSet::new();
    for line in outcomes.iter().flat_map(|outcome| outcome.stdout.lines()) {
        if let Some(step) = line.split_whitespace().find(|word| word.contains("__step")) {
            assert!(reported.insert(step), "two runners say that they applied {step}");
        }
    }
    if outcomes.iter().all(|outcome| outcome.code == Some(0)) {
        assert_eq!(reported.len() as i64, MIGRATIONS, "{reported:?}");
    }
}

#[track_caller]
fn everybody(subject: &Subject<'_>, arguments: &[&str]) {
    let outcomes: Vec<Outcome> = start(subject, arguments).into_iter().map(Running::wait).collect();
    if let Err(problem) = check(subject, &outcomes) {
        panic!("{problem}");
    }
    check_reports(&outcomes);
    let codes = outcomes.iter().filter(|outcome| outcome.code == Some(0)).count();
    assert_eq!(codes, RUNNERS);
}

/// Starts all runners, and kills one of them after about half of the work. On PostgreSQL,
/// this is the runner that holds the lock at that moment.
#[track_caller]
fn everybody_but_one(subject: &Subject<'_>) {
    let mut runners = start(subject, &["migrate"]);
    let victim = match subject.engine() {
        Engine::Postgres => {
            let mut client = subject.client();
            let holder = format!(
                "SELECT substr(a.application_name, 7)::int FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                 WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {} AND l.objid = {} \
                 AND a.datname = current_database() AND a.application_name LIKE 'runner%'",
                LOCK >> 32,
                LOCK & 0xffff_ffff
            );
            let mut victim = None;
            wait_until("half of the work is done", || half_done_on_postgres(&mut client));
            wait_until("a runner holds the lock", || {
                victim = client.query_opt(&holder, &[]).expect("the query runs");
                victim.is_some()
            });
            victim.expect("a runner holds the lock").get::<_, i32>(0) as usize
        }
        Engine::Sqlite => {
            let connection = subject.sqlite();
            // The query fails if the database is busy or has no such table yet.
            let applied = || connection.query_row("SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0));
            wait_until("half of the work is done", || applied().is_ok_and(|count| count >= MIGRATIONS / 3));
            RUNNERS / 2
        }
    };
    let killed = runners.remove(victim).kill9();
    assert_eq!(killed.signal, Some(9), "the run ended before it could be killed: {killed}");
    let mut outcomes: Vec<Outcome> = runners.into_iter().map(Running::wait).collect();
    outcomes.push(killed);
    if let Err(problem) = check(subject, &outcomes) {
        panic!("{problem}");
    }
    check_reports(&outcomes);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.code == Some(0)).count(), RUNNERS - 1);
}

fn half_done_on_postgres(client: &mut postgres::Client) -> bool {
    // The table does not exist at first.
    client.query_one("SELECT count(*) FROM log", &[]).is_ok_and(|row| row.get::<_, i64>(0) >= MIGRATIONS / 3)
}

fn with_isolation<'p>(project: &'p Project, level: &str) -> Subject<'p> {
    let subject = Subject::new(Engine::Postgres, project);
    subject.database().set("default_transaction_isolation", &format!("'{level}'"));
    subject
}

#[test]
fn sixteen_on_postgresql_at_every_isolation() {
    let project = pending();
    for level in ["read committed", "repeatable read", "serializable"] {
        everybody(&with_isolation(&project, level), &["migrate"]);
        everybody_but_one(&with_isolation(&project, level));
        println!("{level}: {RUNNERS} runners, {MIGRATIONS} migrations; the same with one killed");
    }
}

#[test]
fn sixteen_on_sqlite() {
    let project = pending();
    for mode in ["DELETE", "WAL"] {
        let subject = || {
            let subject = Subject::new(Engine::Sqlite, &project);
            subject.execute(&format!("PRAGMA journal_mode = {mode}"));
            subject
        };
        everybody(&subject(), &["migrate"]);
        everybody_but_one(&subject());
        println!("{mode}: {RUNNERS} runners, {MIGRATIONS} migrations; the same with one killed");
    }
}

#[test]
fn sixteen_in_one_transaction_each() {
    let project = pending();
    for engine in [Engine::Postgres, Engine::Sqlite] {
        everybody(&Subject::new(engine, &project), &["migrate", "--transaction", "all"]);
    }
}

/// All runners make their plans before the first runner may execute its plan.
#[test]
fn a_plan_that_another_run_has_applied_is_made_again() {
    let project = pending();
    let subject = Subject::new(Engine::Postgres, &project);
    let mut holder = subject.client();
    let mut held = holder.transaction().expect("a transaction begins");
    held.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).expect("the lock is free");
    let runners = start(&subject, &["migrate"]);
    for runner in &runners {
        runner.wait_for_stderr("waiting for the migration lock");
    }
    held.commit().expect("it commits");
    drop(holder);
    let outcomes: Vec<Outcome> = runners.into_iter().map(Running::wait).collect();
    check(&subject, &outcomes).expect("every migration once");
    check_reports(&outcomes);
}

/// A run that finds nothing left to do does not invalidate anything.
#[test]
fn the_second_of_two_changes_nothing() {
    let project = pending();
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let subject = Subject::new(engine, &project);
        subject.bustard(&["migrate"]).success();
        subject.quiet();
        let before = subject.state();
        subject.bustard(&["migrate"]).success().says("nothing to do");
        assert_eq!(subject.state(), before);
    }
}

#[test]
fn the_lock_timeout_names_the_holder_on_postgresql() {
    let project = pending();
    let subject = Subject::new(Engine::Postgres, &project);
    let mut holder = subject.client();
    holder.batch_execute("SET application_name = 'deploy 7'").expect("it can be set");
    let mut held = holder.transaction().expect("a transaction begins");
    let row = held
        .query_one(
            "SELECT pg_advisory_xact_lock($1), pg_backend_pid(), to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS') \
             FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            &[&LOCK],
        )
        .expect("the lock is free");
    let (pid, since): (i32, String) = (row.get(1), row.get(2));
    let outcome = subject.bustard(&["migrate", "--lock-wait", "200ms"]).exits(5);
    for part in [format!("pid {pid}"), "application_name deploy 7".to_owned(), format!("since {since}")] {
        assert!(outcome.stderr.contains(&part), "{part:?} is not on stderr of {outcome}");
    }
    let json = subject.bustard(&["migrate", "--lock-wait", "200ms", "--json"]).exits(5).json();
    assert_eq!(json["error"]["kind"], "locked");
    held.rollback().expect("it ends");
    subject.bustard(&["migrate", "--lock-wait", "200ms"]).success();
}

#[test]
fn the_lock_timeout_is_reported_on_sqlite() {
    let project = pending();
    let subject = Subject::new(Engine::Sqlite, &project);
    let other = subject.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").expect("no other session is connected");
    subject.bustard(&["migrate", "--lock-wait", "200ms"]).exits(5).complains("still locked after 200ms");
    other.execute_batch("ROLLBACK").expect("it ends");
    subject.bustard(&["migrate", "--lock-wait", "200ms"]).success();
}

/// A writer that has begun to write the file itself blocks readers too. The time-out is the
/// same.
#[test]
fn the_lock_timeout_of_a_reader_is_reported_on_sqlite() {
    let project = pending();
    let subject = Subject::new(Engine::Sqlite, &project);
    subject.execute("CREATE TABLE other (id int)");
    let other = subject.sqlite();
    other.execute_batch("BEGIN EXCLUSIVE").expect("no other session is connected");
    subject.bustard(&["migrate", "--lock-wait", "200ms"]).exits(5).complains("still locked after 200ms");
    other.execute_batch("ROLLBACK").expect("it ends");
    subject.bustard(&["migrate", "--lock-wait", "200ms"]).success();
}

#[test]
fn a_run_without_a_lock_is_found() {
    let project = pending();
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let subject = Subject::new(engine, &project).faulty("no-lock");
        let outcomes: Vec<Outcome> = start(&subject, &["migrate"]).into_iter().map(Running::wait).collect();
        check(&subject, &outcomes).expect_err("the checker must see the fault");
    }
}

/// PostgreSQL caches failed lookups of names. PostgreSQL processes the invalidations of
/// other sessions at the start of a transaction. Here, the transaction starts before the
/// other sessions have committed.
#[test]
fn tables_made_between_begin_and_the_lock_are_seen() {
    let database = Database::new();
    let migrator =
        || Migrator::new().app(App::new("main").migration("V1__a", Migration::new().sql("SELECT 1")));
    let mut holder = database.client();
    holder
        .batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})"))
        .expect("no session holds it");

    let proxy = Proxy::start(database.cluster().port());
    let mut late =
        postgres::Client::connect(&proxy.url(&database.url()), postgres::NoTls).expect("it connects");
    // The latency leaves time to hold back the statement after BEGIN.
    proxy.set_latency(Duration::from_millis(50));
    let (sender, waits) = std::sync::mpsc::channel();
    let told = move |event: &Event| {
        if let Event::Waiting = event {
            sender.send(()).expect("the receiver is open");
        }
    };
    let late = std::thread::spawn(move || migrator().on_event(told).run(&mut late));
    // After one failed lookup, everything that the next lookup needs is cached.
    waits.recv().expect("it waits for the lock");
    let begun = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                 AND state = 'idle in transaction' AND query LIKE 'START TRANSACTION%')";
    loop {
        database.wait_until(begun);
        proxy.hold();
        // What has passed the proxy just before is seen after this pause.
        std::thread::sleep(Duration::from_millis(20));
        if database.value(begun) == "t" {
            break;
        }
        proxy.release();
    }
    holder.batch_execute("ROLLBACK").expect("it is open");
    let mut other = bustard::Database::new(&database.url()).expect("the URL is good");
    assert!(migrator().run(&mut other).expect("nothing prevents it").changed());
    proxy.set_latency(Duration::ZERO);
    proxy.release();
    let report = late.join().expect("it does not panic").expect("it finds nothing left to do");
    assert!(!report.changed(), "{report:?}");
}
