//! Tests of a poller on a scripted server. The tests of `CacheBuster` use real servers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::engine::observer::Seen;
use crate::error::ServerMessage;
use crate::model::Identity;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

/// A PostgreSQL server with scripted answers, which records the queries it gets.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Result<Vec<Row>>>,
    asked: Vec<String>,
}

impl Lines {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, rows: &[&[&str]]) {
        let cell = |cell: &&str| (*cell != "-").then(|| (*cell).to_owned());
        let rows = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        self.script().answers.push_back(Ok(rows));
    }

    fn refuse(&self, code: &str) {
        let said = ServerMessage {
            message: "no".to_owned(),
            code: Some(code.to_owned()),
            ..ServerMessage::default()
        };
        self.script()
            .answers
            .push_back(Err(Error::new(ErrorKind::Database, "refused").with_server_message(said)));
    }

    /// Returns the first words of each query since the last call, without the start that
    /// all polls have in common.
    fn asked(&self) -> Vec<String> {
        let reading = format!("{};", crate::engine::READING);
        let short =
            |sql: String| sql.replace("pg_catalog.", "").replace(&reading, "").chars().take(24).collect();
        std::mem::take(&mut self.script().asked).into_iter().map(short).collect()
    }
}

impl Observer for Lines {
    fn poller(self: Box<Self>) -> Box<dyn Poller> {
        Box::new(PostgresPoller::new(self))
    }

    fn connect(&mut self, _: Instant) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, ahead: Option<&str>, sql: &str, _: Instant) -> Result<Vec<Row>> {
        let mut script = self.script();
        script.asked.extend(ahead.map(|ahead| format!("+{ahead}")));
        script.asked.push(sql.to_owned());
        script.answers.pop_front().expect("an answer is left")
    }

    fn wait(&mut self, _: Instant) -> Result<Woken> {
        Ok(Woken::Time)
    }

    fn bell(&self) -> Arc<dyn Bell> {
        unreachable!("no test wakes the poller")
    }
}

const LISTEN: &str = "LISTEN bustard;SELECT pg";
const LAG: &str = "SELECT pg_is_in_recovery";
const LOOK: &str = "SELECT s.name, s.app, s.";
const NOTIFY: &str = "+NOTIFY bustard";

/// Returns a poller that is connected to process 7 and listens.
fn connected(lines: &Lines) -> PostgresPoller {
    let mut looker = PostgresPoller::new(Box::new(lines.clone()));
    lines.answer(&[&["7"]]);
    looker.connect(soon()).unwrap();
    assert_eq!(lines.asked(), [LISTEN]);
    looker
}

fn connected_to_standby(lines: &Lines) -> PostgresPoller {
    let mut looker = PostgresPoller::new(Box::new(lines.clone()));
    lines.refuse("25006");
    looker.connect(soon()).unwrap();
    assert_eq!(lines.asked(), [LISTEN]);
    looker
}

#[track_caller]
fn look(looker: &mut PostgresPoller, notify: bool) -> Look {
    looker.look(Wanted::ALL, notify, soon()).unwrap()
}

#[test]
fn a_poll_reads_versions_only_after_a_change() {
    let lines = Lines::default();
    let mut looker = connected(&lines);
    lines.answer(&[&["-", "-", "5", "-9", "3", "7", "f"], &["bans", "forum", "4", "-8", "-", "-", "-"]]);
    let seen = Seen {
        name: "bans".into(),
        app: Some("forum".into()),
        identity: Identity { n: 4, nonce: -8 },
        keys: SeenKeys::NotRead,
    };
    let found = look(&mut looker, true);
    assert_eq!((found.caches, found.age), (Some(vec![seen]), Duration::ZERO));
    assert_eq!(lines.asked(), [NOTIFY, LOOK]);

    lines.answer(&[&["-", "-", "5", "-9", "3", "7", "f"]]);
    assert_eq!(look(&mut looker, false).caches, None);
    assert!(lines.script().asked[0].contains("bustard.snapshot('5', '-9', NULL)"));
    assert_eq!(lines.asked(), [LOOK]);

    // No cache is registered any more.
    lines.answer(&[&["-", "-", "6", "1", "3", "7", "f"]]);
    assert_eq!(look(&mut looker, false).caches, Some(vec![]));
    // A poll for other caches runs a new query. It quotes the names of the caches as array
    // elements and as a string.
    lines.answer(&[&["-", "-", "6", "1", "3", "7", "f"]]);
    looker.look(Wanted { caches: Some(&["it's", "a\\\"b"]), ..Wanted::ALL }, false, soon()).unwrap();
    let sql = lines.script().asked.pop().unwrap();
    assert!(sql.contains(r#"bustard.snapshot(NULL, NULL, E'{"it\'s","a\\\\\\"b"}')"#), "{sql}");
}

#[test]
fn an_error_of_the_registry_has_advice() {
    let lines = Lines::default();
    let mut looker = connected(&lines);
    for (code, help) in [
        ("3F000", "Migrator::run"),
        ("42883", "older one"),
        ("42P01", "Migrator::run"),
        ("42501", "[registry]"),
    ] {
        lines.refuse(code);
        let error = looker.look(Wanted::ALL, false, soon()).unwrap_err();
        assert!(error.report().to_string().contains(help), "{error}");
    }
}

#[test]
fn a_pooler_is_detected_and_not_listened_on() {
    let lines = Lines::default();
    let mut looker = connected(&lines);
    lines.answer(&[&["-", "-", "5", "9", "3", "7", "f"]]);
    look(&mut looker, false);
    // Another server process has answered this poll.
    lines.answer(&[&["-", "-", "5", "9", "3", "8", "f"]]);
    look(&mut looker, false);
    assert_eq!(lines.asked(), [LOOK, LOOK]);
    lines.answer(&[&["-", "-", "5", "9", "3", "8", "f"]]);
    lines.answer(&[&["-", "-", "5", "9", "3", "7", "f"]]);
    look(&mut looker, false);
    look(&mut looker, true);
    assert_eq!(lines.asked(), ["+UNLISTEN bustard", LOOK, "+UNLISTEN bustard;NOTIFY", LOOK]);
    looker.connect(soon()).unwrap();
    assert_eq!(lines.asked(), [""; 0]);
    assert_eq!(looker.said.iter().collect::<Vec<_>>(), [&"pooled"]);
}

#[test]
fn a_hot_standby_reports_its_age() {
    let lines = Lines::default();
    let mut looker = connected_to_standby(&lines);
    let mut age = |receiver: &str, caught_up: &str, heard: &str, replayed: &str| {
        lines.answer(&[&["t", receiver, caught_up, heard, replayed]]);
        lines.answer(&[&["-", "-", "5", "9", "3", "7", "t"]]);
        let age = look(&mut looker, true).age;
        assert_eq!(lines.asked(), [LAG, LOOK], "a standby sends no notifications");
        age
    };
    let seconds = Duration::from_secs;
    assert_eq!(age("3", "t", "-", "9000000"), Duration::ZERO);
    assert_eq!(age("3", "t", "2000000", "9000000"), seconds(2));
    assert_eq!(age("3", "t", "9000000", "2000000"), seconds(2));
    assert_eq!(age("3", "f", "1000000", "9000000"), seconds(9));
    assert_eq!(age("-", "t", "-", "9000000"), seconds(9));
    // A new receiver process has not yet proved that it is connected.
    assert_eq!(age("4", "t", "0", "9000000"), seconds(9));
    assert_eq!(age("4", "t", "0", "9000000"), Duration::ZERO);
    // The clock of the primary is a little ahead, or one of the clocks has jumped.
    assert_eq!(age("4", "f", "0", "-900000"), Duration::ZERO);
    assert_eq!(age("4", "f", "0", "-9000000"), Duration::MAX);
    assert_eq!(age("4", "t", "-9000000", "9000000"), seconds(9));
    assert_eq!(age("4", "-", "0", "-"), Duration::MAX);
    assert_eq!(looker.said.iter().collect::<Vec<_>>(), [&"pg_read_all_stats", &"standby"]);
}

#[test]
fn a_promoted_standby_is_listened_to() {
    let lines = Lines::default();
    let mut looker = connected_to_standby(&lines);
    lines.answer(&[&["f", "-", "-", "-", "-"]]);
    lines.answer(&[&["7"]]);
    lines.answer(&[&["-", "-", "5", "9", "3", "7", "f"]]);
    assert_eq!(look(&mut looker, true).age, Duration::ZERO);
    assert_eq!(lines.asked(), [LAG, LISTEN, NOTIFY, LOOK]);
}

#[test]
fn a_standby_that_a_poll_detects_is_polled_again() {
    let lines = Lines::default();
    let mut looker = connected(&lines);
    lines.answer(&[&["-", "-", "5", "9", "3", "7", "t"]]);
    lines.answer(&[&["t", "-", "f", "-", "4000000"]]);
    lines.answer(&[&["-", "-", "5", "9", "3", "7", "t"]]);
    let found = look(&mut looker, false);
    assert_eq!((found.caches, found.age), (Some(vec![]), Duration::from_secs(4)));
    assert_eq!(lines.asked(), [LOOK, LAG, LOOK]);
}

#[test]
fn events_are_folded_if_there_are_many_and_the_role_may_fold() {
    const FOLD: &str = "SET TRANSACTION ISOLATIO";
    let lines = Lines::default();
    let mut looker = connected(&lines);
    let mut fold = |unfolded: &str, answers: &[&str]| {
        lines.answer(&[&["-", "-", "5", "9", unfolded, "7", "f"]]);
        look(&mut looker, false);
        for answer in answers {
            if *answer == "ok" { lines.answer(&[&["role"]]) } else { lines.refuse(answer) }
        }
        looker.fold(soon());
        // A second fold for the same poll does nothing.
        looker.fold(soon());
        lines.asked().split_off(1)
    };
    assert_eq!(fold("1000", &[]), [""; 0]);
    assert_eq!(fold("1001", &["ok"]), [FOLD]);
    assert_eq!(fold("1001", &["40001"]), [FOLD]);
    assert_eq!(fold("1001", &["42501"]), [FOLD]);
    assert_eq!(fold("10000", &[]), [""; 0]);
    assert_eq!(fold("10001", &["ok"]), ["SELECT quote_ident(CURRE"]);
    assert_eq!(fold("10001", &[]), [""; 0]);
}

#[test]
fn a_fold_that_ends_the_connection_is_not_tried_again_at_once() {
    let lines = Lines::default();
    let mut looker = connected(&lines);
    for asked in [2, 1] {
        lines.answer(&[&["-", "-", "5", "9", "1001", "7", "f"]]);
        look(&mut looker, false);
        lines.script().answers.push_back(Err(Error::new(ErrorKind::Connection, "no answer")));
        looker.fold(soon());
        assert_eq!(lines.asked().len(), asked);
        lines.script().answers.clear();
        lines.answer(&[&["7"]]);
        looker.connect(soon()).unwrap();
        lines.asked();
    }
}

/// Behind a pooler, the next poll may reach a copy, which has the same total.
#[test]
fn another_database_is_read_anew() {
    const ONE: &str = "00000000-0000-0000-0000-000000000001";
    let row =
        |process: &'static str, oid: &'static str| ["-", "-", "5", "-9", "3", process, "f", ONE, "7", oid];
    let read = |oid: &str| DatabaseId::read(&[ONE, "7", oid].map(|column| Some(column.to_owned()))).unwrap();
    let bans = ["bans", "forum", "4", "-8", "-", "-", "-", "-", "-", "-"];
    let lines = Lines::default();
    let mut looker = connected(&lines);
    lines.answer(&[&row("7", "1"), &bans]);
    let found = look(&mut looker, false);
    assert_eq!((found.caches.map(|caches| caches.len()), found.database), (Some(1), read("1")));
    lines.answer(&[&row("7", "1")]);
    let found = look(&mut looker, false);
    assert_eq!((found.caches, found.database), (None, read("1")));
    lines.answer(&[&row("8", "2")]);
    lines.answer(&[&row("8", "2"), &bans]);
    lines.script().asked.clear();
    let found = look(&mut looker, false);
    assert_eq!((found.caches.map(|caches| caches.len()), found.database), (Some(1), read("2")));
    assert_eq!(lines.asked().iter().filter(|sql| *sql == LOOK).count(), 2);
}
