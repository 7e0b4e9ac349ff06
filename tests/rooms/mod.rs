//! Tests where code may be: names of engines and SQL on history tables only in their
//! modules. Also tests that matches on operations are exhaustive.

use std::collections::BTreeSet;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::source_paths::Sources;

/// The files outside `engine/` that name an engine, each with the reason.
const NAME_AN_ENGINE: &[(&str, &str)] = &[
    ("model/engine.rs", "defines the enum, and how it is displayed"),
    ("cli/document.rs", "the names of engines in JSON are the command's, and stay"),
    ("build/mod.rs", "an example: a build script chooses the engine that its files are for"),
    ("migrator/mod.rs", "an example: without a connection, the caller chooses"),
    ("error/mod.rs", "an example: without a connection, the caller chooses"),
];

/// Finds files outside `engine/` that name an engine in code or documentation and are not
/// in the list. Also finds unnecessary entries of the list.
fn check_engines(sources: &Sources) -> (usize, Vec<String>) {
    let mut violations = Vec::new();
    let mut naming = BTreeSet::new();
    let production: BTreeSet<String> =
        sources.modules().into_iter().filter(|module| module.production).map(|module| module.file).collect();
    let outside = |file: &String| !file.starts_with("engine/") && production.contains(file);
    for (file, text) in sources.0.iter().filter(|(file, _)| outside(file)) {
        if text.contains("Engine::Postgres") || text.contains("Engine::Sqlite") || text.contains("Engine::{")
        {
            naming.insert(file.as_str());
        }
    }
    for file in naming.iter().filter(|file| NAME_AN_ENGINE.iter().all(|(listed, _)| listed != *file)) {
        violations.push(format!("{file}: names an engine; what an engine knows belongs into its room"));
    }
    for (file, _) in NAME_AN_ENGINE.iter().filter(|(file, _)| !naming.contains(file)) {
        violations.push(format!("{file}: is listed as naming an engine, and does not"));
    }
    (naming.len(), violations)
}

/// Finds SQL on a table with a variable name. Returns the number of such lines in the
/// modules where they may be, and the lines in other modules.
fn check_history(sources: &Sources) -> (usize, Vec<String>) {
    const SQL: [&str; 7] = [
        "INSERT INTO {",
        "DELETE FROM {",
        "UPDATE {",
        "DROP TABLE {",
        "TABLE IF EXISTS {",
        "TABLE IF NOT EXISTS {",
        " FROM {",
    ];
    let (mut there, mut violations) = (0, Vec::new());
    for module in sources.modules().iter().filter(|module| module.production) {
        let file = module.file.as_str();
        let has_room = ["history/", "engine/", "sql/history.rs"].iter().any(|room| file.starts_with(room));
        let lines = sources.0.get(file).map_or("", String::as_str).lines().enumerate();
        let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (n, line) in code.filter(|(_, line)| SQL.iter().any(|sql| line.contains(sql))) {
            match has_room {
                true => there += 1,
                false => violations.push(format!("{file}:{}: SQL on a table: {}", n + 1, line.trim())),
            }
        }
    }
    (there, violations)
}

/// Returns the number of matches on an `Operation`, and the matches with a wildcard arm,
/// including `matches!`. A new operation would silently use that arm.
fn check_operations(sources: &Sources) -> (usize, Vec<String>) {
    let mut found = (0, Vec::new());
    for module in sources.modules().iter().filter(|module| module.production) {
        let text = sources.0.get(&module.file).map_or("", String::as_str);
        // Unit tests are at the end of a file.
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text);
        let tokens = TokenStream::from_str(code).unwrap_or_else(|error| panic!("{}: {error}", module.file));
        check_matches(tokens, &module.file, &mut found);
    }
    found
}

fn check_matches(tokens: TokenStream, file: &str, found: &mut (usize, Vec<String>)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let word = |at: usize, word: &str| matches!(tokens.get(at), Some(TokenTree::Ident(i)) if i == word);
    let sign =
        |at: usize, sign: char| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == sign);
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            let line = group.span_open().start().line;
            if at >= 2 && word(at - 2, "matches") && sign(at - 1, '!') {
                let text = group.stream().to_string();
                if text.contains("Operation ::") && !text.contains("CacheOperation") {
                    found.0 += 1;
                    found.1.push(format!("{file}:{line}: matches! on an Operation"));
                }
            }
            check_matches(group.stream(), file, found);
        }
    }
    // The positions of `=>`. If there are any, these tokens may be the arms of a match.
    let arrows: Vec<usize> = (0..tokens.len()).filter(|at| sign(*at, '=') && sign(at + 1, '>')).collect();
    let named = |at: usize| word(at, "Operation") && sign(at + 1, ':') && sign(at + 2, ':');
    if arrows.is_empty() || !(0..arrows[arrows.len() - 1]).any(named) {
        return;
    }
    found.0 += 1;
    for arrow in arrows {
        let Some(TokenTree::Ident(ident)) = arrow.checked_sub(1).and_then(|at| tokens.get(at)) else {
            continue;
        };
        let text = ident.to_string();
        let starts = arrow == 1
            || sign(arrow - 2, ',')
            || matches!(tokens.get(arrow - 2), Some(TokenTree::Group(g)) if g.delimiter() == Delimiter::Brace);
        if starts && text.starts_with(|c: char| c == '_' || c.is_lowercase()) {
            let line = ident.span().start().line;
            found.1.push(format!("{file}:{line}: `{text} =>` in a match on an Operation"));
        }
    }
}

#[test]
fn at_most_five_files_outside_their_rooms_name_an_engine() {
    let mut sources = Sources::read();
    let (count, violations) = check_engines(&sources);
    println!("{count} of {} files outside engine/ name an engine", sources.0.len());
    assert!(count <= 5 && violations.is_empty(), "\n{}", violations.join("\n"));

    sources.append("plan/mod.rs", "fn f() -> crate::model::Engine { crate::model::Engine::Sqlite }");
    let (_, violations) = check_engines(&sources);
    assert_eq!(violations.len(), 1);
    assert!(violations[0].starts_with("plan/mod.rs: names an engine"), "{violations:?}");
}

#[test]
fn sql_on_a_history_table_is_in_its_room() {
    let mut sources = Sources::read();
    let (there, violations) = check_history(&sources);
    println!("{there} lines of SQL on tables are in their rooms");
    assert!(there >= 5, "only {there} lines were found");
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));

    let fault = "fn f(table: &str) -> String { format!(\"DELETE FROM {table} WHERE version = 1\") }";
    let line = sources.append("run/steps.rs", fault);
    let (_, violations) = check_history(&sources);
    assert_eq!(violations.len(), 1);
    assert!(violations[0].starts_with(&format!("run/steps.rs:{line}: SQL on a table")), "{violations:?}");
}

#[test]
fn matches_on_an_operation_name_every_operation() {
    let mut sources = Sources::read();
    let (count, violations) = check_operations(&sources);
    println!("checked {count} matches on an Operation");
    assert!(count > 5, "only {count} matches were found");
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));

    for (fault, expected) in [
        ("fn f(o: Operation) { match o { Operation::Sql(_) => {} _ => {} } }", "`_ =>`"),
        ("fn f(o: Operation) { match o { Operation::Sql(_) => 1, other => 2 } }", "`other =>`"),
        ("fn f(o: &Operation) -> bool { matches!(o, Operation::Sql(_)) }", "matches!"),
    ] {
        let line = sources.append("run/describe.rs", fault);
        let (_, violations) = check_operations(&sources);
        let place = format!("run/describe.rs:{line}: {expected}");
        assert!(violations.iter().any(|v| v.starts_with(&place)), "{fault}: {violations:?}");
    }
}

/// Finds code outside `run/lock.rs` and `engine/` that opens a transaction of a run.
/// Returns how many places open one there.
fn check_transactions(sources: &Sources) -> (usize, Vec<String>) {
    let (mut there, mut violations) = (0, Vec::new());
    for module in sources.modules().iter().filter(|module| module.production) {
        let file = module.file.as_str();
        let has_room = file == "run/lock.rs" || file.starts_with("engine/");
        let lines = sources.0.get(file).map_or("", String::as_str).lines().enumerate();
        for (n, _) in lines.filter(|(_, line)| line.contains("session.attempt(")) {
            match has_room {
                true => there += 1,
                false => violations.push(format!("{file}:{}: opens a transaction of a run", n + 1)),
            }
        }
    }
    (there, violations)
}

#[test]
fn one_module_opens_the_transactions_of_runs() {
    let mut sources = Sources::read();
    let (there, violations) = check_transactions(&sources);
    println!("{there} place opens the transactions of runs, in {} files", sources.0.len());
    assert_eq!((there, violations), (1, Vec::new()));

    sources.append("migrator/verbs.rs", "fn f(session: &mut dyn Session) { session.attempt(o, w); }");
    let (_, violations) = check_transactions(&sources);
    assert_eq!(violations.len(), 1);
    assert!(violations[0].starts_with("migrator/verbs.rs:"), "{violations:?}");
}
