//! Tests that the public API equals the snapshot beside this file, so that every
//! change is seen and intended, and that it has no types of other libraries.
//!
//! The API is read from the sources, on any toolchain: from `lib.rs` along `mod` and `pub
//! use`, one line for each item that users can name, with the features that it needs.
//! Signatures contain the names that users know. The snapshot does not contain traits that
//! the compiler itself implements, such as `Send`.
//!
//! `BUSTARD_ACCEPT_API=1 cargo test --test public_api` accepts a change.

mod conditions;
mod expand;
mod items;
mod modules;
mod names;
#[allow(dead_code, reason = "tests/layers.rs reads the paths")]
#[path = "../source_paths/mod.rs"]
mod source_paths;
mod text;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use conditions::Features;
use items::Api;
use modules::Library;
use source_paths::Sources;

const SNAPSHOT: &str = include_str!("public_api.txt");
const MANIFEST: &str = include_str!("../../Cargo.toml");

/// The places of other libraries' types in the public API: the item, the library, and the
/// reason. The types may also occur in items below that item.
const FOREIGN: &[(&str, &str, &str)] = &[
    ("bustard::App::refinery", "refinery_core", "takes migrations that refinery has loaded"),
    ("bustard::AsyncExecutor", "tokio_postgres", "is implemented for connections of applications on Tokio"),
    ("bustard::Commit", "postgres", "is implemented for transactions of applications"),
    ("bustard::Commit", "rusqlite", "is implemented for transactions of applications"),
    ("bustard::Values", "tokio", "computes values in the runtime of the application"),
    ("bustard::CacheKey", "uuid", "is implemented for keys of a column of the type uuid"),
    ("bustard::ValueKey", "uuid", "is implemented for keys of a column of the type uuid"),
    ("bustard::CommitAsync", "tokio_postgres", "is implemented for transactions of applications on Tokio"),
    ("bustard::Connection", "postgres", "is implemented for connections of applications"),
    ("bustard::Connection", "rusqlite", "is implemented for connections of applications"),
    ("bustard::Executor", "postgres", "is implemented for connections of applications"),
    ("bustard::Executor", "rusqlite", "is implemented for connections of applications"),
    ("bustard::OpenTransaction::postgres", "postgres", "hands the driver's transaction to a Rust function"),
    ("bustard::OpenTransaction::sqlite", "rusqlite", "hands the driver's transaction to a Rust function"),
    ("bustard::Schema", "sea_query", "is made from sea-query's statements"),
    ("bustard::StoreSettings", "serde", "is read from configuration of any format"),
    ("bustard::Stores", "serde", "is read from configuration of any format"),
    ("bustard::Values", "serde", "keeps values that serde can write and read"),
    ("bustard::sea_query", "sea_query", "is the sea-query that Schema is made with"),
    ("bustard::testing::TestDatabase", "rusqlite", "lets tests write with the driver"),
];

/// A library with every kind of item.
const SEEDED: &str = include_str!("seeded.txt");

/// A change of `SEEDED`, and the expected difference.
const FAULTS: &[(&str, &str, &[&str])] = &[
    (
        "pub fn name(&self) -> &str {",
        "fn name(&self) -> &str {",
        &["- pub fn bustard::seeded::Thing::name(&self) -> &str"],
    ),
    (
        "pub fn name(&self) -> &str {",
        "pub fn name(&self, _: usize) -> &str {",
        &[
            "- pub fn bustard::seeded::Thing::name(&self) -> &str",
            "+ pub fn bustard::seeded::Thing::name(&self, _: usize) -> &str",
        ],
    ),
    (
        "pub fn name(&self) -> &str {",
        "#[must_use] pub fn name(&self) -> &str {",
        &[
            "- pub fn bustard::seeded::Thing::name(&self) -> &str",
            "+ #[must_use] pub fn bustard::seeded::Thing::name(&self) -> &str",
        ],
    ),
    ("fn own() {}", "pub fn own() {}", &["+ pub fn bustard::seeded::own()"]),
    ("pub(crate) const OWN", "pub const OWN", &["+ pub const bustard::seeded::OWN: std::time::Duration"]),
    (
        "#[non_exhaustive]",
        "",
        &["- #[non_exhaustive] pub enum bustard::seeded::Sort", "+ pub enum bustard::seeded::Sort"],
    ),
    (
        "One(u8),",
        "One(u8), Two { text: String },",
        &["+ pub bustard::seeded::Sort::Two { public }", "+ pub bustard::seeded::Sort::Two::text: String"],
    ),
    (
        "One(u8),",
        "One(u16),",
        &["- pub bustard::seeded::Sort::One(u8)", "+ pub bustard::seeded::Sort::One(u16)"],
    ),
    (
        "pub size: usize,",
        "size: usize,",
        &[
            "- pub struct bustard::seeded::Thing { public }",
            "+ pub struct bustard::seeded::Thing { private }",
            "- pub bustard::seeded::Thing::size: usize",
        ],
    ),
    ("derive(Clone)", "derive()", &["- impl Clone for bustard::seeded::Thing"]),
    (
        "impl fmt::Display for Thing",
        "impl fmt::LowerHex for Thing",
        &[
            "- impl std::fmt::Display for bustard::seeded::Thing",
            "+ impl std::fmt::LowerHex for bustard::seeded::Thing",
        ],
    ),
    (
        "type Item = u8;",
        "type Item = u16;",
        &[
            "- impl<'a> Iterator for bustard::seeded::Walk<'a> { type Item = u8 }",
            "+ impl<'a> Iterator for bustard::seeded::Walk<'a> { type Item = u16 }",
        ],
    ),
    (
        "fn required(&self) -> T;",
        "fn required(&self) -> T; fn more(&self);",
        &["+ pub fn bustard::seeded::Able::more(&self)"],
    ),
    (
        "fn provided(&self) {}",
        "fn provided(&self);",
        &[
            "- provided pub fn bustard::seeded::Able::provided(&self)",
            "+ pub fn bustard::seeded::Able::provided(&self)",
        ],
    ),
    (
        "Able<T>: Send",
        "Able<T>: Send + Sync",
        &["- pub trait bustard::seeded::Able<T>: Send", "+ pub trait bustard::seeded::Able<T>: Send + Sync"],
    ),
    ("able!(Thing);", "", &["- impl bustard::seeded::Able<u8> for bustard::seeded::Thing"]),
    (
        "#[cfg(feature = \"tokio\")]",
        "#[cfg(feature = \"redis\")]",
        &[
            "- pub async fn bustard::seeded::wait()  [tokio]",
            "+ pub async fn bustard::seeded::wait()  [redis]",
        ],
    ),
    (
        "pub use self::inner::Deep;",
        "use self::inner::Deep;",
        &["- pub struct bustard::seeded::Deep", "- pub fn bustard::seeded::Deep::new() -> Self"],
    ),
    (
        "pub use self::inner::Deep;",
        "pub use self::inner::Deep as Other;",
        &[
            "- pub struct bustard::seeded::Deep",
            "- pub fn bustard::seeded::Deep::new() -> Self",
            "+ pub struct bustard::seeded::Other",
            "+ pub fn bustard::seeded::Other::new() -> Self",
        ],
    ),
    (
        "pub use self::inner::more::*;",
        "",
        &["- pub fn bustard::seeded::brought(text: &str) -> bustard::Result<()>"],
    ),
    (
        "($value:expr)",
        "($value:expr, $other:ident)",
        &["- macro bustard::seeded!($value: expr)", "+ macro bustard::seeded!($value: expr, $other: ident)"],
    ),
    ("#[doc(hidden)]", "", &["+ pub fn bustard::seeded::hidden()"]),
];

fn api(sources: &Sources) -> Api {
    let api = Api::of(&Library::read(sources, MANIFEST), &Features::read(MANIFEST));
    assert!(api.unknown.is_empty(), "names that mean nothing: {:?}", api.unknown);
    api
}

/// Returns the API of this library.
fn ours() -> &'static Api {
    static OURS: OnceLock<Api> = OnceLock::new();
    OURS.get_or_init(|| api(&Sources::read()))
}

/// Returns the lines that are in only one of two snapshots.
fn difference(expected: &str, actual: &str) -> Vec<String> {
    let [before, after] = [expected, actual].map(|text| text.lines().collect::<BTreeSet<&str>>());
    let gone = before.difference(&after).map(|line| (*line, '-'));
    let mut changes: Vec<(&str, char)> =
        gone.chain(after.difference(&before).map(|line| (*line, '+'))).collect();
    // A new line comes after the line that it replaces.
    changes.sort_by_key(|(line, sign)| (path_in(line).to_owned(), *sign == '+'));
    changes.iter().map(|(line, sign)| format!("{sign} {line}")).collect()
}

/// Returns the path of the item that a line describes.
fn path_in(line: &str) -> &str {
    let start = line.find("bustard::").unwrap_or(0);
    line[start..].split(['(', '<', ' ', '{']).next().unwrap_or_default()
}

/// Returns enums and structs that could not grow without breaking code that matches or
/// constructs them.
fn closed(api: &Api) -> Vec<&str> {
    let is_open = |text: &str| {
        let growing = text.contains("#[non_exhaustive]");
        let item = text.split_once("pub ").map_or("", |(_, item)| item);
        let public = item.contains(" { public }") || item.starts_with("enum ");
        growing || !public || !(item.starts_with("struct ") || item.starts_with("enum "))
    };
    api.lines.iter().map(|line| line.text.as_str()).filter(|text| !is_open(text)).collect()
}

/// Returns violations of the rules for names in signatures.
fn violations(api: &Api, allowed: &[(&str, &str, &str)]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut used = BTreeSet::new();
    for line in &api.lines {
        for private in &line.private {
            violations.push(format!("users cannot name {private}: {}", line.text));
        }
        for external in &line.external {
            let library = external.split("::").next().unwrap_or_default();
            if ["std", "core", "alloc"].contains(&library) {
                continue;
            }
            let reason = allowed.iter().find(|(item, crate_, _)| {
                let rest = line.path.strip_prefix(item);
                *crate_ == library && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            });
            match reason {
                Some(reason) => drop(used.insert(reason)),
                None => violations.push(format!("{external} is in: {}", line.text)),
            }
        }
    }
    let stale = allowed.iter().filter(|entry| !used.contains(entry));
    violations.extend(stale.map(|(item, library, _)| format!("{item} no longer has a type of {library}")));
    violations
}

#[test]
fn the_public_api_is_that_of_the_snapshot() {
    let api = ours();
    let text = api.text();
    println!("checked {} items of the public API", api.lines.len());
    if std::env::var_os("BUSTARD_ACCEPT_API").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public_api/public_api.txt");
        std::fs::write(file, text).expect("the snapshot is written");
        return;
    }
    let changes = difference(SNAPSHOT, &text);
    assert!(
        changes.is_empty() && SNAPSHOT == text,
        "the public API has changed:\n{}\nif that is meant: BUSTARD_ACCEPT_API=1 cargo test --test public_api",
        changes.join("\n")
    );
}

#[test]
fn a_change_of_any_kind_is_seen() {
    let of = |text: &str| api(&library(text)).text();
    let before = of(SEEDED);
    for (find, replacement, expected) in FAULTS {
        assert_eq!(SEEDED.matches(find).count(), 1, "{find}");
        let after = of(&SEEDED.replace(find, replacement));
        assert_eq!(difference(&before, &after), *expected, "{find} -> {replacement}");
    }
    println!("saw {} changes", FAULTS.len());
}

/// Changes of the library's real items. Each change replaces the first occurrence of its
/// text, in any file.
#[test]
fn a_change_of_the_library_is_seen() {
    let changes = [
        (
            "#[non_exhaustive]\npub enum Engine",
            "pub enum Engine",
            "- #[non_exhaustive] pub enum bustard::Engine",
        ),
        ("pub enum Engine {", "pub enum Engine {\n    Other,", "+ pub bustard::Engine::Other"),
        ("pub fn label(&self)", "pub(crate) fn label(&self)", "- pub fn bustard::App::label(&self) -> &str"),
        (
            "impl fmt::Display for Engine",
            "impl fmt::Pointer for Engine",
            "- impl std::fmt::Display for bustard::Engine",
        ),
    ];
    let mut sources = Sources::read();
    for (find, replacement, _) in changes {
        let file = sources.0.values_mut().find(|text| text.contains(find));
        let file = file.unwrap_or_else(|| panic!("{find} does not occur"));
        *file = file.replacen(find, replacement, 1);
    }
    sources.append("lib.rs", "pub fn helper() {}");
    let seen = difference(SNAPSHOT, &api(&sources).text());
    for expected in changes.map(|(.., expected)| expected).into_iter().chain(["+ pub fn bustard::helper()"]) {
        assert!(seen.iter().any(|change| change == expected), "{expected}: {seen:?}");
    }
}

#[test]
fn enums_and_structs_can_grow() {
    let api = ours();
    let closed = closed(api);
    println!(
        "checked {} items, {} of them growing",
        api.lines.len(),
        api.text().matches("#[non_exhaustive]").count()
    );
    assert!(closed.is_empty(), "not #[non_exhaustive]:\n{}", closed.join("\n"));
    for (code, expected) in [
        ("pub enum Way { There }", &["pub enum bustard::Way"][..]),
        ("pub struct Way { pub length: u8 }", &["pub struct bustard::Way { public }"]),
        ("pub struct Way { pub length: u8, width: u8 }", &[]),
        ("#[non_exhaustive] pub enum Way { There { length: u8 } }", &[]),
    ] {
        assert_eq!(self::closed(&self::api(&library(code))), expected, "{code}");
    }
}

#[test]
fn other_libraries_types_are_only_in_the_listed_places() {
    let api = ours();
    let violations = violations(api, FOREIGN);
    let foreign = api.lines.iter().filter(|line| line.external.iter().any(|path| !path.starts_with("std::")));
    println!("checked {} items, {} of them with types of other libraries", api.lines.len(), foreign.count());
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn other_libraries_types_are_seen_elsewhere() {
    for (code, expected) in [
        (
            "pub fn f(_: &mut rusqlite::Connection) {}",
            "rusqlite::Connection is in: pub fn bustard::f(_: &mut rusqlite::Connection)",
        ),
        (
            "mod m { use ::postgres as driver; pub type Rows = Vec<driver::Row>; } pub use m::Rows;",
            "postgres::Row is in: pub type bustard::Rows = Vec<postgres::Row>",
        ),
        (
            "pub struct S { pub report: refinery_core::Report }",
            "refinery_core::Report is in: pub bustard::S::report: refinery_core::Report",
        ),
        (
            "pub struct App; impl From<tokio_postgres::Error> for App {}",
            "tokio_postgres::Error is in: impl From<tokio_postgres::Error> for bustard::App",
        ),
        (
            "mod m { pub struct Inner; pub fn f() -> Inner { Inner } } pub use m::f;",
            "users cannot name Inner: pub fn bustard::f() -> private::Inner",
        ),
    ] {
        assert_eq!(violations(&api(&library(code)), &[]), [expected], "{code}");
    }
    let allowed = ("bustard::f", "rusqlite", "");
    let here = api(&library("pub fn f() -> rusqlite::Connection {}"));
    assert!(violations(&here, &[allowed]).is_empty());
    let stale = violations(&api(&library("pub fn f() {} pub fn ff() {}")), &[allowed]);
    assert_eq!(stale, ["bustard::f no longer has a type of rusqlite"]);
}

/// Creates a library of one file.
fn library(text: &str) -> Sources {
    Sources([("lib.rs".to_owned(), text.to_owned())].into())
}
