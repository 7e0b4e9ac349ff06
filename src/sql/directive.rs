//! Directive comments: `-- bustard: register cache bans`.
//!
//! In: a line comment. Out: the directive, or a diagnostic and its byte offset in the
//! comment.

use std::ops::Range;

use super::names;
use super::which::Which;
use super::{TrackedTable, quoted_length};
use crate::diagnostic::{Advice, Code, Diagnostic, is_unsafe, nearest};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    DependsOn {
        app: String,
        which: Which,
    },
    RequiredBy {
        app: String,
        which: Which,
    },
    /// With `again`, the cache gets the owner and the tables that it had before it was
    /// unregistered.
    Register {
        cache: String,
        tables: Vec<TrackedTable>,
        again: bool,
    },
    /// Without tables, the cache gets those that it had before the last change.
    Change {
        cache: String,
        tables: Vec<TrackedTable>,
    },
    Unregister {
        cache: String,
    },
    NoTransaction,
    Down,
}

/// A diagnostic about a directive, and its byte offset in the comment.
pub(crate) type Misread = (usize, Box<Diagnostic>);

const FORMS: [(&str, &str); 7] = [
    ("depends on", "depends on APP [VERSION]"),
    ("required by", "required by APP VERSION"),
    ("register cache", "register cache NAME [on TABLE [by COLUMN], …]"),
    ("unregister cache", "unregister cache NAME"),
    ("no transaction", "no transaction"),
    ("down", "down"),
    ("change cache", "change cache NAME on TABLE [by COLUMN], …"),
];

/// Returns the first word of each directive.
pub(crate) fn first_words() -> impl Iterator<Item = &'static str> + Clone {
    FORMS.iter().map(|(keyword, _)| keyword.split(' ').next().unwrap_or(keyword))
}

/// Returns the directives that consist of keywords only.
pub(crate) fn without_names() -> impl Iterator<Item = &'static str> {
    FORMS.iter().filter(|(keyword, form)| keyword == form).map(|(keyword, _)| *keyword)
}

/// Returns what to write for a text that should follow `bustard:`: the text, or the form of
/// the nearest directive. `folded` is the text in lower case and in plain letters.
pub(crate) fn suggest(text: &str, folded: &str) -> Option<String> {
    let keywords = without_names().find(|known| *known == folded);
    let mut complete = keywords.into_iter().chain([text, folded]);
    let complete = complete.find(|text| parse(&format!("-- bustard: {text}"), false).is_ok());
    complete.or_else(|| near(folded)).map(|form| format!("-- bustard: {form}"))
}

/// Returns the form of the directive that is nearest to a text.
fn near(text: &str) -> Option<&'static str> {
    let mut words = text.split_whitespace().map(str::to_ascii_lowercase);
    let first = words.next()?;
    let two = words.next().map_or_else(|| first.clone(), |second| format!("{first} {second}"));
    let known = FORMS.iter().map(|(keyword, _)| *keyword);
    let near = nearest(&two, known.clone())
        .or_else(|| known.clone().find(|keyword| keyword.split(' ').next() == Some(&first)))
        .or_else(|| nearest(&first, known))?;
    FORMS.iter().find(|(keyword, _)| *keyword == near).map(|(_, form)| *form)
}

/// Returns whether a line comment is a directive, valid or not.
pub(crate) fn found_in(comment: &str) -> bool {
    body(comment).is_some()
}

/// Returns whether a text may contain directives: whether one is written anywhere, even in
/// a string.
pub(crate) fn may_be_in(text: &str) -> bool {
    text.match_indices("--").any(|(at, _)| found_in(&text[at..]))
}

/// Returns the byte offset of the text after `bustard:`.
fn body(comment: &str) -> Option<usize> {
    let rest = comment.strip_prefix("--")?.trim_start();
    let word = rest.get(.."bustard".len()).filter(|word| word.eq_ignore_ascii_case("bustard"))?;
    let rest = rest[word.len()..].trim_start().strip_prefix(':')?;
    Some(comment.len() - rest.len())
}

/// Parses a comment for which [`found_in`] is true. `register cache NAME again` and `change
/// cache NAME back` are valid only in `reverting` texts, which Bustard generates.
pub(crate) fn parse(comment: &str, reverting: bool) -> Result<Directive, Misread> {
    if let Some((at, c)) = odd_character(comment) {
        let code = u32::from(c);
        let (message, help) = match c.is_whitespace() {
            true => (format!("U+{code:04X} is not a blank in a directive"), "replace it with a space"),
            false => (format!("the invisible character U+{code:04X} in a directive"), "remove it"),
        };
        return Err((at, Box::new(Diagnostic::new(Code::InvalidDirective, message).help(help))));
    }
    let start = body(comment).unwrap_or_default();
    let mut words = Words::new(comment, start)?;
    let first = words.text(0).to_ascii_lowercase();
    let two = format!("{first} {}", words.text(1).to_ascii_lowercase());
    let directive = match (first.as_str(), two.as_str()) {
        (_, "depends on") => {
            words.forms = FORMS[0].1;
            let app = words.app(2)?;
            let which = if words.parts.len() > 3 { words.which(3)? } else { Which::All };
            words.nothing_after(4)?;
            Directive::DependsOn { app, which }
        }
        (_, "required by") => {
            words.forms = FORMS[1].1;
            let (app, which) = (words.app(2)?, words.which(3)?);
            words.nothing_after(4)?;
            Directive::RequiredBy { app, which }
        }
        (_, "register cache") => {
            words.forms = FORMS[2].1;
            let cache = words.cache(2)?;
            let mut tables = Vec::new();
            let again = reverting && words.text(3) == "again";
            if again {
                words.nothing_after(4)?;
            } else if words.text(3).eq_ignore_ascii_case("on") {
                tables = words.tables_after(3)?;
            } else {
                words.nothing_after(3)?;
            }
            Directive::Register { cache, tables, again }
        }
        (_, "change cache") => {
            words.forms = FORMS[6].1;
            let cache = words.cache(2)?;
            let mut tables = Vec::new();
            if reverting && words.text(3) == "back" {
                words.nothing_after(4)?;
            } else if words.parts.len() <= 3 {
                return Err(words.invalid(3, "the tables of the cache are missing"));
            } else if words.text(3).eq_ignore_ascii_case("on") {
                tables = words.tables_after(3)?;
            } else {
                words.nothing_after(3)?;
            }
            Directive::Change { cache, tables }
        }
        (_, "unregister cache") => {
            words.forms = FORMS[3].1;
            let cache = words.cache(2)?;
            words.nothing_after(3)?;
            Directive::Unregister { cache }
        }
        (_, "no transaction") => {
            words.forms = FORMS[4].1;
            words.nothing_after(2)?;
            Directive::NoTransaction
        }
        ("down", _) => {
            words.forms = FORMS[5].1;
            words.nothing_after(1)?;
            Directive::Down
        }
        _ => return Err(words.unknown()),
    };
    Ok(directive)
}

/// Finds the first character outside quotes that is a blank other than a space or a tab, such
/// as a no-break space, or that is invisible. The database would read it as part of a name.
/// The line end of the comment is not searched.
fn odd_character(comment: &str) -> Option<(usize, char)> {
    let mut quoted = false;
    comment.trim_end_matches(['\n', '\r']).char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        !quoted && !matches!(c, ' ' | '\t') && (c.is_whitespace() || is_unsafe(*c))
    })
}

/// The words of a directive. A text in double quotes is one word.
struct Words<'a> {
    comment: &'a str,
    parts: Vec<Range<usize>>,
    /// The syntax of the directive, for messages.
    forms: &'static str,
}

impl<'a> Words<'a> {
    fn new(comment: &'a str, start: usize) -> Result<Self, Misread> {
        let mut parts = Vec::new();
        let mut at = start;
        loop {
            let rest = comment[at..].trim_start();
            at = comment.len() - rest.len();
            let length = match rest.chars().next() {
                None => break,
                Some('"') => quoted_length(rest).ok_or_else(|| {
                    (
                        at,
                        Box::new(
                            Diagnostic::new(Code::InvalidDirective, "a quoted name is not terminated")
                                .help("close it with `\"`"),
                        ),
                    )
                })?,
                Some(_) => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            };
            parts.push(at..at + length);
            at += length;
        }
        Ok(Words { comment, parts, forms: "" })
    }

    fn text(&self, n: usize) -> &'a str {
        self.parts.get(n).map_or("", |range| &self.comment[range.clone()])
    }

    /// Returns the byte offset of the word, or of the end if the word is missing.
    fn at(&self, n: usize) -> usize {
        self.parts.get(n).map_or(self.comment.trim_end().len(), |range| range.start)
    }

    fn invalid(&self, n: usize, message: impl Into<String>) -> Misread {
        self.found(Code::InvalidDirective, n, message, format!("write `-- bustard: {}`", self.forms))
    }

    fn found(&self, code: Code, n: usize, message: impl Into<String>, help: impl Into<Advice>) -> Misread {
        (self.at(n), Box::new(Diagnostic::new(code, message).help(help)))
    }

    fn nothing_after(&self, n: usize) -> Result<(), Misread> {
        if self.parts.len() <= n {
            return Ok(());
        }
        Err(self.invalid(n, format!("`{}` is unexpected here", self.text(n))))
    }

    fn app(&self, n: usize) -> Result<String, Misread> {
        let label = self.text(n);
        if label.is_empty() {
            return Err(self.invalid(n, "the label of an app is missing"));
        }
        match names::label(label) {
            Ok(()) => Ok(label.to_owned()),
            Err(message) => Err(self.found(Code::InvalidLabel, n, message, names::LABEL_HELP)),
        }
    }

    fn which(&self, n: usize) -> Result<Which, Misread> {
        let text = self.text(n);
        if text.is_empty() {
            return Err(self.invalid(n, "the version of a migration is missing"));
        }
        Which::parse(text).ok_or_else(|| {
            let message = format!("`{text}` is not a migration version");
            let help = "versions are written `V1`, `U1` or `1`, and a repeatable migration `R__name`";
            self.found(Code::InvalidDirective, n, message, help)
        })
    }

    fn cache(&self, n: usize) -> Result<String, Misread> {
        let word = self.text(n);
        if word.is_empty() {
            return Err(self.invalid(n, "the name of the cache is missing"));
        }
        let name = match word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None if names::is_bare(word) => word.to_owned(),
            None => {
                let help = "names are letters, digits, `_`, `.` and `-`; put others in double quotes";
                let message = format!("`{word}` is not a cache name");
                return Err(self.found(Code::InvalidCacheName, n, message, help));
            }
        };
        match names::cache_name(&name) {
            Ok(()) => Ok(name),
            Err(message) => {
                let help = format!("write `-- bustard: {}`", self.forms);
                Err(self.found(Code::InvalidCacheName, n, message, help))
            }
        }
    }

    /// Parses the list of tables after a word.
    fn tables_after(&self, n: usize) -> Result<Vec<TrackedTable>, Misread> {
        let end = self.parts.get(n).map_or(self.comment.len(), |range| range.end);
        let list = self.comment[end..].trim_end();
        TrackedTable::parse_list(list).map_err(|(at, message)| {
            let help = "write `-- bustard: register cache NAME on TABLE, …`, each table as in SQL, and where writes invalidate keys, `TABLE by COLUMN` or `TABLE by (COLUMN, …)`: \
                        `ban`, `forum.ban`, `\"Odd name\".ban`";
            (end + at, Box::new(Diagnostic::new(Code::InvalidTableName, message).help(help)))
        })
    }

    fn unknown(&self) -> Misread {
        let all = "directives are `depends on`, `required by`, `register cache`, `unregister cache`, \
                   `no transaction` and `down`";
        if self.parts.is_empty() {
            return self.found(Code::UnknownDirective, 0, "the directive is empty", all);
        }
        let form = near(&self.comment[self.at(0)..]);
        let help = form.map_or_else(|| all.to_owned(), |form| format!("did you mean `-- bustard: {form}`?"));
        let shown = self.comment[self.at(0)..].trim_end();
        self.found(Code::UnknownDirective, 0, format!("`{shown}` is not a directive"), help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misread(comment: &str) -> (usize, String, String) {
        assert!(found_in(comment), "{comment}");
        let (at, found) = parse(comment, false).expect_err(comment);
        (at, found.message.clone(), found.advice.map_or_else(String::new, |advice| advice.to_string()))
    }

    #[test]
    fn every_directive_in_any_case_and_spacing() {
        let register =
            |cache: &str| Directive::Register { cache: cache.into(), tables: Vec::new(), again: false };
        let change = |cache: &str, tables: &str| Directive::Change {
            cache: cache.into(),
            tables: TrackedTable::parse_list(tables).expect("a list"),
        };
        let on = |cache: &str, tables: &str| Directive::Register {
            cache: cache.into(),
            tables: TrackedTable::parse_list(tables).expect("a list"),
            again: false,
        };
        for (comment, expected) in [
            (
                "-- bustard: depends on forum V1",
                Directive::DependsOn { app: "forum".into(), which: Which::Version(1) },
            ),
            (
                "-- bustard: depends on forum R__user_names \r",
                Directive::DependsOn { app: "forum".into(), which: Which::Repeatable("user_names".into()) },
            ),
            ("--bustard:depends on forum", Directive::DependsOn { app: "forum".into(), which: Which::All }),
            (
                "-- BUSTARD : Required  BY\tforum u12 \r",
                Directive::RequiredBy { app: "forum".into(), which: Which::Version(12) },
            ),
            ("-- bustard: register cache bans", register("bans")),
            ("--\tBustard:REGISTER CACHE a.b-c_D9", register("a.b-c_D9")),
            ("-- bustard: register cache \"on\"", register("on")),
            ("-- bustard: register cache bans on ban", on("bans", "ban")),
            (
                "-- bustard: register cache on ON ban,forum.x , \"a, b\".\"c\" \r",
                on("on", "ban, forum.x, \"a, b\".\"c\""),
            ),
            ("-- bustard: register cache \"two words \"\"é\"", register("two words \"é")),
            ("-- bustard: unregister cache bans", Directive::Unregister { cache: "bans".into() }),
            ("-- bustard: Change cache \"two words\" ON a,b.c", change("two words", "a, b.c")),
            ("-- bustard: no transaction", Directive::NoTransaction),
            ("-- bustard: down", Directive::Down),
        ] {
            assert!(found_in(comment), "{comment}");
            assert_eq!(parse(comment, false), Ok(expected), "{comment}");
        }
    }

    #[test]
    fn again_is_valid_only_in_reverting_texts() {
        let comment = "-- bustard: register cache bans again";
        let again = Directive::Register { cache: "bans".into(), tables: Vec::new(), again: true };
        assert_eq!(parse(comment, true), Ok(again));
        assert!(misread(comment).1.contains("`again` is unexpected here"));
    }

    #[test]
    fn back_is_valid_only_in_reverting_texts() {
        let comment = "-- bustard: change cache bans back";
        let back = Directive::Change { cache: "bans".into(), tables: Vec::new() };
        assert_eq!(parse(comment, true), Ok(back));
        assert!(misread(comment).1.contains("`back` is unexpected here"));
    }

    #[test]
    fn other_comments_are_no_directives() {
        for comment in
            ["-- bustard", "-- bustards: down", "-- a bustard: down", "--", "-- busta\u{301}rd: x", "-- bust"]
        {
            assert!(!found_in(comment), "{comment}");
        }
    }

    #[test]
    fn invalid_directives_are_placed_and_explained() {
        for (comment, at, message, help) in [
            ("-- bustard:", 11, "empty", "register cache"),
            (
                "-- bustard: registr cache x",
                12,
                "`registr cache x` is not a directive",
                "register cache NAME",
            ),
            ("-- bustard: register bans", 12, "is not a directive", "register cache NAME"),
            ("-- bustard: depend on forum", 12, "is not a directive", "depends on APP"),
            ("-- bustard: depends forum", 12, "is not a directive", "depends on APP"),
            ("-- bustard: dwon", 12, "is not a directive", "down"),
            ("-- bustard: downs", 12, "is not a directive", "down"),
            ("-- bustard: this is a note", 12, "is not a directive", "directives are"),
            ("-- bustard: register cache", 26, "name of the cache is missing", "register cache NAME"),
            ("-- bustard: register cache bans;", 27, "`bans;` is not a cache name", "double quotes"),
            ("-- bustard: register cache a b", 29, "`b` is unexpected here", "register cache NAME"),
            ("-- bustard: register cache \"\"", 27, "empty", "register cache NAME"),
            ("-- bustard: register cache \"a", 27, "not terminated", "close it"),
            ("-- bustard: register cache \"a\tb\"", 27, "control character", "register cache NAME"),
            ("-- bustard: register cache a on", 31, "table is missing", "on TABLE"),
            ("-- bustard: register cache a on b,", 34, "table is missing", "on TABLE"),
            ("-- bustard: register cache a on b, , c", 35, "table is missing", "on TABLE"),
            ("-- bustard: register cache a on b c", 34, "`c` is unexpected here", "on TABLE"),
            ("-- bustard: register cache a on 1b", 32, "`1b` is not a table name", "on TABLE"),
            ("-- bustard: register cache a on b.\"\"", 34, "is empty", "on TABLE"),
            ("-- bustard: register cache a on b.c.d", 35, "`.d` is unexpected here", "on TABLE"),
            (
                "-- bustard: change cache a",
                26,
                "tables of the cache are missing",
                "change cache NAME on TABLE",
            ),
            ("-- bustard: change cache a b", 27, "`b` is unexpected here", "change cache NAME on TABLE"),
            (
                "-- bustard: change cache a back",
                27,
                "`back` is unexpected here",
                "change cache NAME on TABLE",
            ),
            ("-- bustard: change cache a on", 29, "table is missing", "on TABLE"),
            ("-- bustard: change a on b", 12, "is not a directive", "change cache NAME"),
            ("-- bustard: depends on", 22, "label of an app is missing", "depends on APP"),
            ("-- bustard: depends on Forum", 23, "`Forum` is not a valid app label", "lower case"),
            ("-- bustard: depends on forum 1.5", 29, "`1.5` is not a migration version", "`V1`"),
            (
                "-- bustard: required by forum",
                29,
                "version of a migration is missing",
                "required by APP VERSION",
            ),
            ("-- bustard: down x", 17, "`x` is unexpected here", "`-- bustard: down`"),
        ] {
            let found = misread(comment);
            assert_eq!(found.0, at, "{comment} {found:?}");
            assert!(found.1.contains(message), "{comment} {found:?}");
            assert!(found.2.contains(help), "{comment} {found:?}");
        }
    }

    #[test]
    fn names_have_at_most_128_characters() {
        let name = |length| format!("-- bustard: register cache {}", "n".repeat(length));
        assert!(parse(&name(128), false).is_ok());
        assert!(misread(&name(129)).1.contains("128"));
    }
}
