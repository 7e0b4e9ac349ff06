//! Reads and writes the URL of a SQLite database.
//!
//! | URL | database |
//! |---|---|
//! | `sqlite:a.db`, `sqlite://a.db`, `sqlite:./a.db` | a file relative to the working directory |
//! | `sqlite:/srv/a.db`, `sqlite:///srv/a.db` | a file |
//! | `sqlite::memory:` | in memory |
//! | `sqlite:a%20b.db`, `sqlite:a b.db` | the file `a b.db` |
//!
//! Parameters, fragments, `~` and SQLite's own `file:` names are errors. They must not
//! name a file that is then made: a migration of the wrong database succeeds.

use std::path::{Path, PathBuf};

use crate::engine::percent;
use crate::error::{Error, Result};

const SCHEME: &str = "sqlite:";

/// Returns whether a text is a URL of this engine.
pub(crate) fn is_sqlite(url: &str) -> bool {
    url.starts_with(SCHEME)
}

/// Returns the path of the file that a URL names; `None` is a database in memory.
pub(crate) fn path(url: &str) -> Result<Option<PathBuf>> {
    let path = url.strip_prefix(SCHEME).unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(
            Error::usage("the database URL names no file").help("write sqlite:PATH, as in sqlite:app.db")
        );
    }
    if path == ":memory:" {
        return Ok(None);
    }
    if path.contains('?') || path.starts_with("file:") {
        return Err(Error::usage("the URL of a SQLite file cannot have parameters")
            .help("write sqlite:PATH, without `file:`, `?` and parameters; a ? in a name is %3F"));
    }
    if path.contains('#') {
        return Err(Error::usage("the URL of a SQLite file cannot have a fragment")
            .help("write %23 for a # in a name"));
    }
    if path.starts_with('~') {
        return Err(Error::usage("`~` in the URL of a SQLite file is not a home directory").help(
            "a shell replaces it only at the start of a word: write sqlite:$HOME/PATH there, or the whole path; ~ in a name is %7E",
        ));
    }
    let path = percent::decode(path, "the path")?;
    if path.chars().any(char::is_control) {
        return Err(Error::usage("the path in the database URL has a control character")
            .help("is there a line break at its end?"));
    }
    Ok(Some(path.into()))
}

/// Formats the URL of a file, so that [`path`] reads the same file.
pub(crate) fn of(path: &Path) -> String {
    let text = percent::encode_path(&path.to_string_lossy());
    let ambiguous = |start: &str| text.starts_with(start);
    match text.chars().next() {
        Some('~') => format!("{SCHEME}%7E{}", &text[1..]),
        Some(':') => format!("{SCHEME}%3A{}", &text[1..]),
        _ if ambiguous("//") => format!("{SCHEME}//{text}"),
        _ if ambiguous("file:") => format!("{SCHEME}file%3A{}", &text[5..]),
        _ => format!("{SCHEME}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::{corpus, drive, finds};

    #[test]
    fn a17_forms_of_urls() {
        for (url, file) in [
            ("sqlite:a.db", "a.db"),
            ("sqlite://a.db", "a.db"),
            ("sqlite:./a.db", "./a.db"),
            ("sqlite:../d/a.db", "../d/a.db"),
            ("sqlite:/srv/a.db", "/srv/a.db"),
            ("sqlite:///srv/a.db", "/srv/a.db"),
            ("sqlite:////srv/a.db", "//srv/a.db"),
            ("sqlite:a b.db", "a b.db"),
            ("sqlite:a%20b.db", "a b.db"),
            ("sqlite:a+b.db", "a+b.db"),
            ("sqlite:100%25.db", "100%.db"),
            ("sqlite:%C3%BC.db", "ü.db"),
            ("sqlite:ü.db", "ü.db"),
            ("sqlite:a%3Fmode=ro", "a?mode=ro"),
            ("sqlite:a%23b.db", "a#b.db"),
            ("sqlite:a%2Fb.db", "a/b.db"),
            ("sqlite:%7E/a.db", "~/a.db"),
            ("sqlite:./~a.db", "./~a.db"),
            ("sqlite:a~.db", "a~.db"),
            ("sqlite:%3Amemory%3A", ":memory:"),
            ("sqlite:file%3Aa.db", "file:a.db"),
            ("sqlite:memory", "memory"),
            ("sqlite:C:\\a.db", "C:\\a.db"),
        ] {
            let read = path(url).unwrap().expect("it is a file");
            assert_eq!(read, PathBuf::from(file), "{url}");
            // What is shown means the same file.
            assert_eq!(path(&of(&read)).unwrap(), Some(read), "{url}");
        }
        for url in ["sqlite::memory:", "sqlite://:memory:"] {
            assert_eq!(path(url).unwrap(), None, "{url}");
        }
    }

    #[test]
    fn a17_urls_that_are_refused() {
        for (url, said) in [
            ("sqlite:", "names no file"),
            ("sqlite://", "names no file"),
            ("sqlite:a.db?mode=ro", "cannot have parameters"),
            ("sqlite:///srv/a.db?mode=ro&cache=shared", "cannot have parameters"),
            ("sqlite::memory:?cache=shared", "cannot have parameters"),
            ("sqlite:a.db?", "cannot have parameters"),
            ("sqlite:file:a.db", "cannot have parameters"),
            ("sqlite://file:a.db", "cannot have parameters"),
            ("sqlite:a.db#main", "cannot have a fragment"),
            ("sqlite:~/a.db", "not a home directory"),
            ("sqlite://~/a.db", "not a home directory"),
            ("sqlite:~user/a.db", "not a home directory"),
            ("sqlite:~", "not a home directory"),
            ("sqlite:100%.db", "% without two hexadecimal digits"),
            ("sqlite:a%2", "% without two hexadecimal digits"),
            ("sqlite:a%zz", "% without two hexadecimal digits"),
            ("sqlite:a%00b", "contains %00"),
            ("sqlite:a%FF.db", "is not UTF-8"),
            ("sqlite:a.db\n", "control character"),
            ("sqlite:a%0A.db", "control character"),
        ] {
            let error = path(url).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Usage);
            assert!(error.message().contains(said), "{url}: {error}");
            assert!(error.advice().is_some());
        }
    }

    fn check(input: &[u8], shown: impl Fn(&Path) -> String) -> bool {
        let url = String::from_utf8_lossy(input);
        if !is_sqlite(&url) {
            return false;
        }
        match path(&url) {
            Ok(Some(read)) => {
                assert_eq!(path(&shown(&read)).unwrap().as_deref(), Some(read.as_path()), "{url:?}");
                assert!(!read.to_string_lossy().contains(char::is_control), "{url:?}");
                true
            }
            Ok(None) => true,
            Err(error) => {
                assert_eq!(error.kind(), crate::ErrorKind::Usage);
                false
            }
        }
    }

    #[test]
    fn fuzz_sqlite_urls() {
        drive("url", |input| check(input, of));
    }

    #[test]
    fn fuzz_sqlite_urls_finds_a_name_that_is_not_encoded() {
        let plain = |path: &Path| format!("{SCHEME}{}", path.display());
        finds("url", &corpus("url"), |input| check(input, plain));
    }

    proptest! {
        #[test]
        fn a17_any_url_is_read_or_refused(rest in r"\PC{0,12}", file in r"[a-z~:/%?#. ]{0,12}") {
            for rest in [rest, file] {
                match path(&format!("sqlite:{rest}")) {
                    Ok(Some(read)) => prop_assert_eq!(path(&of(&read)).unwrap(), Some(read)),
                    Ok(None) => prop_assert!(rest.ends_with(":memory:")),
                    Err(error) => prop_assert_eq!(error.kind(), crate::ErrorKind::Usage),
                }
            }
        }
    }
}
