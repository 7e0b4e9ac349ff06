//! File names of migrations: `V1__create_users.sql`, the variants for one engine such as
//! `V1__create_users.postgres.sql`, and `R__user_names.sql` for repeatable migrations.
//!
//! In: a file name or its stem. Out: the parts of the name, or the reason why the name is
//! not valid. `build.rs` includes this file too, so it uses only `std`.

/// The parts of a migration file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    pub kind: Kind,
    /// The version; 0 for a repeatable migration.
    pub version: i64,
    pub name: String,
    /// The engine of a variant, as it is spelled in the name.
    pub variant: Option<&'static str>,
    pub language: Language,
}

/// The meaning of the first letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `V`
    InOrder,
    /// `U`
    OutOfOrder,
    /// `R`
    Repeatable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Sql,
    Rust,
}

/// The reason why a name is not valid, and the advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misnamed {
    pub message: String,
    pub help: String,
}

/// The spelling of engines in file names.
pub(crate) const VARIANTS: [&str; 2] = ["postgres", "sqlite"];

/// Parses a file name. Returns `None` for other files than migrations: hidden files,
/// `mod.rs`, and every extension except `.sql` and `.rs`.
pub(crate) fn parse_file(file: &str) -> Option<Result<FileName, Misnamed>> {
    if file.starts_with('.') || file == "mod.rs" {
        return None;
    }
    let (stem, extension) = file.rsplit_once('.')?;
    let language = match extension {
        "sql" => Language::Sql,
        "rs" => Language::Rust,
        // Refinery accepts lower case only. On file systems that ignore case, the
        // author would not notice the difference.
        other if other.eq_ignore_ascii_case("sql") => return Some(Err(misnamed(file, stem, Language::Sql))),
        _ => return None,
    };
    let variant = VARIANTS.into_iter().find(|v| language == Language::Sql && ends_with_part(stem, v));
    let core = variant.map_or(stem, |v| &stem[..stem.len() - v.len() - 1]);
    Some(match split(core) {
        Ok((kind, version, name)) => Ok(FileName { kind, version, name: name.to_owned(), variant, language }),
        Err(Wrong::Shape) => Err(misnamed(file, stem, language)),
        Err(wrong) => Err(wrong.explain(file)),
    })
}

/// Parses a stem such as `V1__create_users` or `R__user_names`.
pub(crate) fn parse_stem(stem: &str) -> Result<(Kind, i64, &str), Misnamed> {
    split(stem).map_err(|wrong| match wrong {
        Wrong::Shape => Misnamed {
            message: format!("`{stem}` is not a valid migration name"),
            help: "names are `V{version}__{name}`, `U{version}__{name}` or `R__{name}`, for instance \
                   `V1__create_users`"
                .into(),
        },
        wrong => wrong.explain(stem),
    })
}

enum Wrong {
    Shape,
    Fraction,
    TooLarge,
    /// A repeatable migration with a version.
    Numbered,
}

impl Wrong {
    fn explain(self, given: &str) -> Misnamed {
        let (message, help) = match self {
            Wrong::Fraction => (
                format!("`{given}` has a version with a point"),
                "versions are whole numbers, timestamps included: number the file `V2__…` or `V20240131120000__…`",
            ),
            Wrong::Numbered => (
                format!("`{given}` is a repeatable migration with a version"),
                "repeatable migrations run again when their text changes, and have a name only: `R__name`; what runs \
                 once is `V1__name`",
            ),
            _ => (
                format!("`{given}` has a version that does not fit into 64 bits"),
                "the largest version is 9223372036854775807",
            ),
        };
        Misnamed { message, help: help.into() }
    }
}

fn split(stem: &str) -> Result<(Kind, i64, &str), Wrong> {
    let (kind, rest) = match (stem.strip_prefix('V'), stem.strip_prefix('U'), stem.strip_prefix('R')) {
        (Some(rest), _, _) => (Kind::InOrder, rest),
        (_, Some(rest), _) => (Kind::OutOfOrder, rest),
        (_, _, Some(rest)) => (Kind::Repeatable, rest),
        _ => return Err(Wrong::Shape),
    };
    let (number, name) = rest.split_once("__").ok_or(Wrong::Shape)?;
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(Wrong::Shape);
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if kind == Kind::Repeatable {
        return match number {
            "" => Ok((kind, 0, name)),
            number if digits(number) => Err(Wrong::Numbered),
            _ => Err(Wrong::Shape),
        };
    }
    match number.split_once('.') {
        // Refinery's pattern matches such a version, but refinery then cannot parse it.
        Some((whole, part)) if digits(whole) && digits(part) => Err(Wrong::Fraction),
        None if digits(number) => {
            number.parse().map(|version| (kind, version, name)).map_err(|_| Wrong::TooLarge)
        }
        _ => Err(Wrong::Shape),
    }
}

/// Returns whether refinery's `\w` matches. It also matches the marks of combined letters
/// (`é` as macOS stores it). `std` has no function for these marks, so the second half of
/// the condition lists them.
fn is_word(c: char) -> bool {
    c == '_'
        || c.is_alphanumeric()
        || !(c.is_ascii() || c.is_whitespace() || c.is_control() || ('\u{2000}'..='\u{206f}').contains(&c))
}

fn ends_with_part(stem: &str, part: &str) -> bool {
    stem.strip_suffix(part).is_some_and(|before| before.ends_with('.'))
}

fn misnamed(file: &str, stem: &str, language: Language) -> Misnamed {
    let message = format!("`{file}` is not named like a migration");
    let extension = if language == Language::Rust { "rs" } else { "sql" };
    let (core, suffix) = match stem.rsplit_once('.') {
        Some((core, suffix)) => (core, Some(suffix)),
        None => (stem, None),
    };
    let (engine, note) = match suffix.map(str::to_ascii_lowercase).as_deref() {
        Some("down" | "up") => {
            (None, "; what reverts a migration follows `-- bustard: down` in the same file")
        }
        Some("postgres" | "postgresql" | "pg" | "psql") => (Some("postgres"), ""),
        Some("sqlite" | "sqlite3") => (Some("sqlite"), ""),
        Some(_) if split(core).is_ok() => {
            (None, "; variants for one engine end in `.postgres.sql` or `.sqlite.sql`")
        }
        _ => (None, ""),
    };
    // A suffix without a meaning is part of the name: `V1__a.b` becomes `V1__a_b`.
    let core = if engine.is_some() || !note.is_empty() { core } else { stem };
    let near = nearest(core);
    let variant = match engine {
        Some(engine) if language == Language::Sql => format!(".{engine}"),
        _ => String::new(),
    };
    Misnamed { message, help: format!("name it `{near}{variant}.{extension}`{note}") }
}

/// Suggests the valid name that is most similar to the given name.
fn nearest(stem: &str) -> String {
    let stem = stem.trim_start_matches(|c| !is_word(c));
    if let Some(rest) = stem.strip_prefix(['R', 'r']).filter(|rest| rest.starts_with(['_', '-', ' '])) {
        return format!("R__{}", words(rest));
    }
    let prefix = if stem.starts_with(['U', 'u']) && stem[1..].starts_with(|c: char| c.is_ascii_digit()) {
        'U'
    } else {
        'V'
    };
    let rest = match stem.strip_prefix(['V', 'U', 'v', 'u']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => stem,
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, words) = rest.split_at(digits);
    let number = if number.is_empty() || number.len() > 18 { "1" } else { number };
    format!("{prefix}{number}__{}", self::words(words))
}

/// Joins the words of a text to a name.
fn words(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| c == '_' || !is_word(c)).filter(|w| !w.is_empty()).collect();
    if words.is_empty() { "name".to_owned() } else { words.join("_") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(file: &str) -> String {
        parse_file(file).expect("is meant as a migration").expect_err("is misnamed").help
    }

    #[test]
    fn good_names() {
        let read = |file: &str| {
            let name = parse_file(file).expect("a migration").expect("well named");
            (name.kind, name.version, name.name, name.variant, name.language)
        };
        assert_eq!(read("V1__a.sql"), (Kind::InOrder, 1, "a".into(), None, Language::Sql));
        assert_eq!(read("U007__a__b_.rs"), (Kind::OutOfOrder, 7, "a__b_".into(), None, Language::Rust));
        assert_eq!(
            read("V1__x.postgres.sql"),
            (Kind::InOrder, 1, "x".into(), Some("postgres"), Language::Sql)
        );
        assert_eq!(read("V20240131120000__été.sqlite.sql").3, Some("sqlite"));
        assert_eq!(read("V1__e\u{301}te.sql").2, "e\u{301}te");
        assert_eq!(read("V9223372036854775807__x.sql").1, i64::MAX);
        assert_eq!(
            read("R__user__names.sqlite.sql"),
            (Kind::Repeatable, 0, "user__names".into(), Some("sqlite"), Language::Sql)
        );
        assert_eq!(read("R__1.rs"), (Kind::Repeatable, 0, "1".into(), None, Language::Rust));
        assert_eq!(read("V1__postgres.sql"), (Kind::InOrder, 1, "postgres".into(), None, Language::Sql));
    }

    #[test]
    fn files_that_are_not_migrations() {
        for file in ["mod.rs", "README.md", ".V1__a.sql", "V1__a.sql.orig", "V1__a", "notes"] {
            assert_eq!(parse_file(file), None, "{file}");
        }
    }

    #[test]
    fn the_nearest_right_name_is_shown() {
        for (file, right) in [
            ("V1_a.sql", "V1__a.sql"),
            ("v1__a.sql", "V1__a.sql"),
            ("u1__a.sql", "U1__a.sql"),
            ("1__a.rs", "V1__a.rs"),
            ("001_create users.sql", "V001__create_users.sql"),
            ("V2-add-posts.sql", "V2__add_posts.sql"),
            ("create.sql", "V1__create.sql"),
            ("users.sql", "V1__users.sql"),
            ("update.sql", "V1__update.sql"),
            ("V1__.sql", "V1__name.sql"),
            ("V1__a.SQL", "V1__a.sql"),
            ("V1__a.b.c.rs", "V1__a_b_c.rs"),
            ("V1_a.pg.sql", "V1__a.postgres.sql"),
            ("V1__a.sqlite3.sql", "V1__a.sqlite.sql"),
            ("|1__a.sql", "V1__a.sql"),
            ("R_user_names.sql", "R__user_names.sql"),
            ("r__a b.pg.sql", "R__a_b.postgres.sql"),
            ("R__.sql", "R__name.sql"),
            ("Readme.sql", "V1__Readme.sql"),
        ] {
            assert!(help(file).starts_with(&format!("name it `{right}`")), "{file}: {}", help(file));
        }
        assert!(help("V1__a.down.sql").contains("-- bustard: down"));
        assert!(help("V1__a.mysql.sql").contains("`.sqlite.sql`"));
    }

    #[test]
    fn invalid_versions() {
        for (file, part) in [
            ("V1.5__a.sql", "with a point"),
            ("V9223372036854775808__a.sql", "64 bits"),
            ("R1__a.sql", "a repeatable migration with a version"),
        ] {
            let misnamed = parse_file(file).expect("a migration").expect_err("is misnamed");
            assert!(misnamed.message.contains(part), "{misnamed:?}");
        }
        assert!(parse_stem("V1.5__a").is_err());
        assert_eq!(parse_stem("U3__a"), Ok((Kind::OutOfOrder, 3, "a")));
    }
}
