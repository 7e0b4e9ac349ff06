//! A table of statements with a secret, and what must stay readable.

use super::*;
use crate::fuzz::{corpus, drive, finds};

/// Statements with the secret `hunter2`, which must not be seen in any line of them.
const SECRET: &[&str] = &[
    "CREATE ROLE r PASSWORD 'hunter2'",
    "COPY t FROM stdin;\nit's\n\\.\nCREATE ROLE r PASSWORD 'hunter2'",
    "create user r with login password'hunter2' valid until '2030-01-01'",
    "CREATE ROLE r PASWORD 'hunter2'",
    "CREATE ROLE r PASSWORD hunter2",
    "CREATE ROLE r PASSWORD \"hunter2\"",
    "CREATE ROLE r ENCRYPTED PASSWORD E'hunter2'",
    "CREATE ROLE r PASSWORD $$hunter2$$",
    "CREATE ROLE r PASSWORD $x$hunter2$x$",
    "CREATE ROLE r PASSWORD\n  -- the usual one\n  'hunter2'\n  LOGIN",
    "-- a role\n/* and\nmore */ ALTER ROLE r PASSWORD 'hunter2'",
    "ALTER ROLE r PASSWORD 'hunter2'",
    "ALTER USER r WITH PASSWORD 'hunter2'",
    "ALTER GROUP r PASSWORD 'hunter2'",
    "CREATE USER r IDENTIFIED BY 'hunter2'",
    "CREATE USER r IDENTIFIED BY hunter2",
    "CREATE USER MAPPING FOR r SERVER s OPTIONS (user 'r', password 'hunter2')",
    "ALTER USER MAPPING FOR r SERVER s OPTIONS (SET password 'hunter2')",
    "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (passwd 'hunter2')",
    "CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2 user=u' PUBLICATION p",
    "ALTER SUBSCRIPTION s CONNECTION 'host=h password=hunter2'",
    "CREATE SUBSCRIPTION s CONNECTION 'postgres://u:hunter2@h/d' PUBLICATION p",
    "SELECT * FROM dblink('dbname=d password=hunter2', 'SELECT 1') AS t (n int)",
    "SELECT dblink_connect('c', 'host=h user=u password=hunter2')",
    "SELECT dblink_connect('postgres://u:hunter2@h/d')",
    "COPY t FROM PROGRAM 'curl https://u:hunter2@h/x'",
    "SELECT pg_notify('x', 'https://u:hunter2@h/x')",
    "INSERT INTO users (name, password) VALUES ('ann', 'hunter2')",
    "UPDATE users SET password_hash = crypt('hunter2', gen_salt('bf'))",
    "INSERT INTO settings VALUES ('api_key', 'hunter2')",
    "SELECT set_config('app.secret', 'hunter2', false)",
    "SET app.token = 'hunter2'",
    "SELECT '{\"password\": \"hunter2\"}'::json",
    "DO $$ BEGIN EXECUTE 'CREATE ROLE r PASSWORD ''hunter2'''; END $$",
    "SELECT 5 $\u{2003}x, '$é €'; CREATE ROLE r PASSWORD 'hunter2'",
    "DO $$ BEGIN EXECUTE format('CREATE ROLE r PASSWORD %L', 'hunter2'); END $$",
    "DO $$\nBEGIN\n  CREATE ROLE r\n    PASSWORD 'hunter2';\nEND $$",
    "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN ALTER ROLE r PASSWORD 'hunter2'; END $f$",
    "-- psql password=hunter2\nSELECT 1",
    "CREATE ROLE r PASSWORD 'one\nhunter2\nthree'",
    "CREATE ROLE r PASSWORD 'hunter2",
    "SELECT 1; CREATE ROLE r PASSWORD 'hunter2'; SELECT 2",
];

#[test]
fn secrets_are_in_no_line() {
    for sql in SECRET {
        let ranges = ranges(sql);
        let mut start = 0;
        for text in sql.split('\n') {
            let (shown, _) = line(sql, &ranges, start, start);
            assert!(!shown.contains("hunter2"), "{sql}\n{shown}");
            start += text.len() + 1;
        }
        let hidden = hide_looks(sql);
        assert!(!hidden.contains("hunter2") && hidden.contains("***"), "{sql}\n{hidden}");
    }
}

/// What a server says about a statement is hidden, whatever the words are.
#[test]
fn servers_do_not_repeat_secrets() {
    for sql in SECRET {
        let values = values(sql);
        for message in [
            "no such role: hunter2",
            "syntax error at or near \"'hunter2'\"",
            "Failing row contains (1, ann, hunter2).",
            "SQL statement \"CREATE ROLE r PASSWORD 'hunter2'\"\nPL/pgSQL function f() line 3 at EXECUTE",
            "invalid connection string \"host=h password=hunter2\"",
            "could not connect to postgres://u:hunter2@h/d",
        ] {
            let shown = hide(message, &values);
            assert!(!shown.contains("hunter2"), "{sql}\n{message}\n{shown}");
        }
    }
}

/// Messages that contain a secret themselves, for statements that are not known.
#[test]
fn messages_hide_what_looks_like_a_secret() {
    for message in [
        "SQL statement \"ALTER ROLE r PASSWORD 'hunter2'\"",
        "the role's options are wrong: PASSWORD 'hunter2'",
        "invalid connection string: host=h password=hunter2 x=y",
        "password = 'hunter2' is too short",
        "db error: postgres://u:hunter2@h/d is down",
    ] {
        let shown = hide_looks(message);
        assert!(!shown.contains("hunter2") && shown.contains("***"), "{message}\n{shown}");
    }
}

#[test]
fn other_text_stays() {
    for text in [
        "SELECT 'hunter2'",
        "INSERT INTO users (name) VALUES ('ann')",
        "CREATE TABLE users (name text, password text NOT NULL)",
        "password authentication failed for user \"web\"",
        "the user's password can't be empty",
        "see https://www.postgresql.org/docs and mail me@example.org",
        "relation \"users\" does not exist",
        "column \"password\" of relation \"users\" does not exist",
        "CREATE ROLE r PASSWORD NULL",
        "unterminated 'string",
        "",
    ] {
        assert_eq!(hide_looks(text), text);
    }
}

#[test]
fn decoded_and_joined_values_are_known() {
    for (sql, repeated) in [
        (r"ALTER ROLE r PASSWORD E'hunter\x32'", "hunter2"),
        (r"ALTER ROLE r PASSWORD E'hunter\062'", "hunter2"),
        ("ALTER ROLE r PASSWORD 'hun'\n  'ter2'", "hunter2"),
        ("ALTER ROLE r PASSWORD 'hunter''2'", "hunter'2"),
        (r"ALTER ROLE r PASSWORD E'hunter\'2'", "hunter'2"),
    ] {
        let shown = hide(&format!("refused: {repeated}!"), &values(sql));
        assert!(!shown.contains(repeated), "{sql}\n{shown}");
    }
}

#[test]
fn columns_point_at_the_same_text() {
    let sql = "SELECT 1;\nALTER ROLE é PASSWORD 'hunter2' LOGINN";
    let (shown, column) = line(sql, &ranges(sql), 10, sql.find("LOGINN").unwrap_or(0));
    assert_eq!(shown, "ALTER ROLE é PASSWORD '***' LOGINN");
    assert_eq!(shown.chars().skip(column - 1).collect::<String>(), "LOGINN");
    let (_, column) = line(sql, &ranges(sql), 10, sql.find("hunter2").unwrap_or(0) + 4);
    assert_eq!(shown.chars().skip(column - 1).collect::<String>(), "***' LOGINN");
    let (_, column) = line(sql, &ranges(sql), 10, 10);
    assert_eq!(column, 1);
}

#[test]
fn any_text_is_accepted() {
    for text in
        ["'", "$", "$$", "$a$", "--", "/*", "password", "password=", "://", "PASSWORD '", "e'\\", "é'é"]
    {
        for prefix in ["", "CREATE ROLE ", "password ", "é "] {
            let text = format!("{prefix}{text}");
            let _ = (hide_looks(&text), values(&text), line(&text, &ranges(&text), 0, text.len()));
        }
    }
}

/// Checks that the ranges are parts of the text, in order, and that each use of them works.
fn check(input: &[u8], ranges: impl Fn(&str) -> Vec<Range<usize>>) -> bool {
    let sql = String::from_utf8_lossy(input);
    let ranges = ranges(&sql);
    assert!(ranges.iter().all(|range| sql.get(range.clone()).is_some()), "{ranges:?}");
    assert!(ranges.windows(2).all(|two| two[0].end <= two[1].start), "{ranges:?}");
    let hidden = hide(&sql, &values(&sql));
    // `***` for a secret of two characters, or of none.
    assert!(hidden.len() <= 4 * sql.len() + 3, "{hidden:?}");
    for (start, _) in sql.match_indices('\n') {
        let (shown, column) = line(&sql, &ranges, start + 1, start + 1);
        assert!((1..=shown.chars().count() + 1).contains(&column), "{shown:?} {column}");
        assert!(!shown.contains('\n'));
    }
    !ranges.is_empty()
}

#[test]
fn fuzz_secrets() {
    drive("secret", |input| check(input, ranges));
}

#[test]
fn fuzz_secrets_finds_ranges_that_overlap() {
    finds("secret", &corpus("secret"), |input| check(input, all_ranges));
}
