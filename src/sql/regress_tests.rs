//! Compares the splitter with psql over SQL files, such as PostgreSQL's regression tests.
//!
//! In: a directory of SQL files. Out: the first difference in each file. psql reads each file
//! and sends it to a server of this module, which records each statement with the rows that
//! follow it, and executes nothing. `tests/regress` fetches the files and runs this test.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use super::lexer::lex;
use super::split::{Piece, split};
use super::syntax::{Semicolons, Syntax};
use crate::engine::dialects::POSTGRES;

/// A statement and the rows that follow it.
type Sent = (String, Option<String>);

/// psql's commands that end a statement, or stand on its line. A line that begins with a
/// backslash is always a command, or ends the rows of COPY.
const COMMANDS: &[&str] = &[
    "bind",
    "bind_named",
    "crosstabview",
    "endif",
    "g",
    "gdesc",
    "gexec",
    "gset",
    "gx",
    "parse",
    "r",
    "sendpipeline",
    "set",
    "watch",
    "echo",
];

/// Removes psql's commands. What remains is read by psql and by the splitter, so it does not
/// matter if it is not what the authors wrote.
fn without_commands(text: &str) -> String {
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        // psql has values for some variables, and replaces their names.
        let line = line.replace("\\;", ";\n").replace("\\!", "").replace(":'", ": '").replace(":\"", ": \"");
        let trimmed = line.trim();
        if let Some(copy) = trimmed.strip_prefix("\\copy") {
            kept.extend(["COPY", copy, ";\n"]);
            continue;
        }
        if trimmed.starts_with('\\') && trimmed != "\\." {
            continue;
        }
        let command = line.match_indices('\\').map(|(at, _)| at).find(|at| {
            let name = line[at + 1..].split(|c: char| !(c.is_ascii_alphabetic() || c == '_')).next();
            line[..*at].ends_with([' ', '\t', ';', ')']) && name.is_some_and(|name| COMMANDS.contains(&name))
        });
        match command {
            Some(at) => kept.extend([&line[..at], ";\n"]),
            None => kept.push_str(&line),
        }
    }
    kept
}

/// Returns the part of the text before the first command of psql that is left, and before a
/// token without an end.
fn readable<'t>(text: &'t str, syntax: &Syntax) -> &'t str {
    let (tokens, unended) = lex(text, syntax);
    let command = split(text, &tokens, syntax).into_iter().find_map(|piece| match piece {
        Piece::ShellCommand { at, .. } => Some(at),
        _ => None,
    });
    let end = command.unwrap_or(text.len()).min(unended.map_or(text.len(), |unended| unended.start));
    &text[..end]
}

fn ours(text: &str, syntax: &Syntax) -> Vec<Sent> {
    let (tokens, _) = lex(text, syntax);
    let pieces = split(text, &tokens, syntax);
    let statements = pieces.iter().filter_map(|piece| match piece {
        Piece::Statement(unit) => Some(unit),
        _ => None,
    });
    statements
        .map(|unit| {
            (unit.sql().to_owned(), unit.rows_range().map(|(start, end)| text[start..end].to_owned()))
        })
        .collect()
}

/// Runs psql on a text. Returns what it sends.
fn psql(directory: &Path, text: &str) -> io::Result<Vec<Sent>> {
    fs::write(directory.join("file.sql"), text)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!(
        "host=127.0.0.1 port={} user=a sslmode=disable gssencmode=disable",
        listener.local_addr()?.port()
    );
    let server = thread::spawn(move || record(listener.accept()?.0));
    let status = Command::new("psql")
        .args(["-X", "-q", "-f", "file.sql", "-d", &url])
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env("PGCLIENTENCODING", "UTF8")
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    assert!(status.success(), "psql {status}");
    server.join().expect("the server does not panic")
}

/// Records the statements of a connection of the simple protocol.
fn record(mut client: TcpStream) -> io::Result<Vec<Sent>> {
    fn body(client: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        client.read_exact(&mut body)?;
        Ok(body)
    }
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
    }
    let next = |client: &mut TcpStream| -> io::Result<(u8, Vec<u8>)> {
        let mut kind = [0];
        client.read_exact(&mut kind)?;
        Ok((kind[0], body(client)?))
    };
    let ready = message(b'Z', b"I");
    body(&mut client)?;
    client.write_all(&message(b'R', &[0; 4]))?;
    for setting in
        ["server_version\x0015.0\0", "client_encoding\0UTF8\0", "standard_conforming_strings\0on\0"]
    {
        client.write_all(&message(b'S', setting.as_bytes()))?;
    }
    client.write_all(&ready)?;
    let mut sent = Vec::new();
    loop {
        let (kind, body) = next(&mut client)?;
        if kind == b'X' {
            return Ok(sent);
        }
        assert_eq!(kind, b'Q', "psql uses the simple protocol");
        let sql = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
        let words = without_comments(&sql).to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let rows = if words.starts_with("copy ") && words.contains(" from stdin") {
            client.write_all(&message(b'G', &[0, 0, 0]))?;
            let mut rows = Vec::new();
            loop {
                match next(&mut client)? {
                    (b'd', row) => rows.extend(row),
                    _ => break Some(String::from_utf8_lossy(&rows).into_owned()),
                }
            }
        } else {
            None
        };
        sent.push((sql, rows));
        client.write_all(&[message(b'C', b"OK\0"), ready.clone()].concat())?;
    }
}

/// Returns the text without the blanks, comments and semicolons that it begins with.
fn without_comments(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}' || c == ';');
        if rest.starts_with("--") {
            rest = rest.find(['\n', '\r']).map_or("", |at| &rest[at..]);
        } else if rest.starts_with("/*") {
            let (mut depth, mut at) = (0, 0);
            while at < rest.len() {
                match rest.as_bytes()[at..] {
                    [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
                    [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
                    _ => at += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            rest = &rest[at..];
        } else {
            return rest;
        }
    }
}

/// Returns what follows a statement in a text that begins with it. psql leaves out empty lines.
fn after<'t>(text: &'t str, statement: &str) -> Option<&'t str> {
    let mut rest = text;
    for c in statement.chars().filter(|c| !c.is_ascii_whitespace()) {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace()).strip_prefix(c)?;
    }
    Some(rest)
}

/// Returns the first difference.
fn difference(ours: &[Sent], psqls: &[Sent]) -> Option<String> {
    let psqls: Vec<_> = psqls.iter().filter(|(sql, _)| !without_comments(sql).is_empty()).collect();
    for n in 0..ours.len().max(psqls.len()) {
        let same = match (ours.get(n), psqls.get(n)) {
            (Some((sql, rows)), Some((sent, sent_rows))) => {
                let rest = after(without_comments(sent), sql);
                let end = |rows: &Option<String>| {
                    rows.as_deref().map(|rows| {
                        rows.trim_end_matches('\n').trim_end_matches("\\.").trim_end_matches('\n').to_owned()
                    })
                };
                rest.is_some_and(|rest| without_comments(rest).is_empty()) && end(rows) == end(sent_rows)
            }
            _ => false,
        };
        if !same {
            return Some(format!(
                "statement {}\n  ours: {:?}\n  psql: {:?}",
                n + 1,
                ours.get(n),
                psqls.get(n)
            ));
        }
    }
    None
}

/// What is compared where `tests/regress` has fetched nothing.
const SAMPLE: &str = "SELECT 'a;b' AS \"c;d\", E'it\\'s; one' /* ; /* ; */ */; SELECT $a$ ; $$ ; $a$; -- ;
CREATE TRIGGER t AFTER UPDATE ON a BEGIN UPDATE b SET c = 1; DELETE FROM d; END;
CREATE RULE r AS ON INSERT TO a DO ALSO (INSERT INTO b VALUES (1); DELETE FROM c);
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN b END; END;
COPY a FROM stdin;
1\tit's;
\\.
SELECT 2;
";

#[test]
fn a10_postgresqls_regression_sql() {
    let sample = tempfile::tempdir().expect("a directory is made");
    fs::write(sample.path().join("sample.sql"), SAMPLE).expect("it is written");
    let fetched = env::var("BUSTARD_REGRESS").ok();
    // The sample has no string in which the second faulty splitter errs.
    let (least, faults) = if fetched.is_some() { (10_000, 2) } else { (8, 1) };
    let sources = fetched.map_or_else(|| sample.path().to_owned(), Into::into);
    let mut files: Vec<_> = fs::read_dir(sources)
        .expect("the directory is there")
        .map(|file| file.expect("it is read").path())
        .collect();
    files.sort();
    let directory = tempfile::tempdir().expect("a directory is made");
    let triggers = Syntax { semicolons: Semicolons::Triggers, ..*POSTGRES.syntax() };
    let plain = Syntax { escaped_strings: false, ..*POSTGRES.syntax() };
    let (mut statements, mut rows, mut bytes, mut left_out) = (0, 0, 0, 0);
    let (mut differences, mut found) = (Vec::new(), [0; 2]);
    for file in files.iter().filter(|file| file.extension().is_some_and(|name| name == "sql")) {
        let whole = fs::read(file).expect("it is read");
        let text = without_commands(&String::from_utf8_lossy(&whole));
        let text_read = readable(&text, POSTGRES.syntax());
        let psqls = psql(directory.path(), text_read).expect("psql is installed and connects");
        let split = ours(text_read, POSTGRES.syntax());
        statements += split.len();
        rows += split.iter().filter(|(_, rows)| rows.is_some()).count();
        bytes += text_read.len();
        left_out += text.len() - text_read.len();
        if text.len() > text_read.len() {
            let (at, line) = (text_read.len(), text_read.matches('\n').count() + 1);
            println!("{}: read up to line {line}, {:?}", file.display(), text[at..].lines().next());
        }
        if let Some(difference) = difference(&split, &psqls) {
            differences.push(format!("{}: {difference}", file.display()));
        }
        // Splitters with a fault, which must be found.
        for (found, faulty) in found.iter_mut().zip([&triggers, &plain]) {
            *found += usize::from(difference(&ours(text_read, faulty), &psqls).is_some());
        }
    }
    println!(
        "regress: {statements} statements, {rows} of them with rows, in {} files; {bytes} bytes read, {left_out} left out; \
         {} files differ; the seeded faults are found in {} and {} files",
        files.len(),
        differences.len(),
        found[0],
        found[1]
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(statements > least && found[..faults].iter().all(|found| *found > 0), "{statements} {found:?}");
}
