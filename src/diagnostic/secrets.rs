//! Finds secrets in SQL, so that no message repeats them.
//!
//! In: SQL, such as a file or a statement, or a message of a server about it. Out: the
//! places of the secrets, or the text with `***` in their place.
//!
//! A statement that mentions a password, or something like it, is secret in all its string
//! literals. Rather too much is hidden than too little: which literal is the password depends
//! on the order of columns, on functions, and on typing errors.

mod pieces;

use std::ops::Range;

use pieces::{Kind, Piece, Pieces};

const HIDDEN: &str = "***";

/// Words that make the literals of a statement secret, wherever they occur in it.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "identified",
    "secret",
    "credential",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "conninfo",
    "dblink",
    "crypt",
    "hmac",
    "gen_salt",
];

/// Objects whose options are secret, even if the word for a password is misspelt.
const OBJECTS: &[&str] = &["role", "user", "group", "subscription", "server", "foreign"];

/// Returns the ranges of the secrets in SQL, in order: literals without their quotes, and
/// passwords in URLs.
pub(crate) fn ranges(sql: &str) -> Vec<Range<usize>> {
    let mut found = all_ranges(sql);
    // A URL within a secret literal is hidden with it.
    found.dedup_by(|next, before| {
        let overlaps = next.start < before.end || next == before;
        if overlaps {
            before.end = before.end.max(next.end);
        }
        overlaps
    });
    found
}

/// Returns the ranges in order, including those within others.
fn all_ranges(sql: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if is_suspicious(sql) {
        scan(sql, 0..sql.len(), &mut found);
    }
    found.sort_by_key(|range| (range.start, range.end));
    found
}

/// Returns the secrets of SQL as a server may repeat them.
pub(crate) fn values(sql: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for range in all_ranges(sql) {
        let raw = &sql[range];
        let plain = unescaped(&raw.replace("''", "'"));
        // The user and password of a URL.
        values.extend(raw.split_once(':').map(|(_, password)| password.to_owned()));
        // A literal may be SQL with a secret, or the settings of a connection.
        if plain.len() < sql.len() {
            values.extend(self::values(&plain));
        }
    }
    let ranges = ranges(sql);
    let mut joined = String::new();
    let mut end = 0;
    for range in ranges {
        let raw = &sql[range.clone()];
        let plain = raw.replace("''", "'");
        // Literals that only a line break separates are one string.
        let between = sql.get(end..range.start).unwrap_or_default().trim_matches('\'');
        if !joined.is_empty() && !between.is_empty() && between.trim().is_empty() {
            joined += &plain;
            values.push(joined.clone());
        } else {
            joined.clone_from(&plain);
        }
        end = range.end;
        values.push(unescaped(&plain));
        values.extend(plain.lines().map(|line| line.trim().to_owned()).filter(|line| line.len() > 2));
        values.push(raw.to_owned());
        values.push(plain);
    }
    values.retain(|value| value.trim().len() > 1);
    // The longest first, because one may contain another.
    values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    values.dedup();
    values
}

/// Hides these secrets wherever a text repeats them, and what looks like a secret itself.
pub(crate) fn hide(text: &str, values: &[String]) -> String {
    let mut text = text.to_owned();
    for value in values {
        text = without(&text, value);
    }
    hide_looks(&text)
}

/// Hides what looks like a secret in a text.
pub(crate) fn hide_looks(text: &str) -> String {
    hide_ranges(text, &ranges(text))
}

/// Replaces the ranges in a text.
fn hide_ranges(text: &str, ranges: &[Range<usize>]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        shown.push_str(&text[at..range.start]);
        shown.push_str(HIDDEN);
        at = range.end;
    }
    shown.push_str(&text[at..]);
    shown
}

/// Returns the line of a text that begins at a byte offset, without the secrets, and the
/// column of another offset in it, counted in characters from 1.
pub(crate) fn line(text: &str, ranges: &[Range<usize>], start: usize, offset: usize) -> (String, usize) {
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    let end = start + text[start..end].trim_end_matches('\r').len();
    let (mut shown, mut column, mut at) = (String::new(), None, start);
    let first = ranges.partition_point(|range| range.end <= start);
    let within = ranges[first..].iter().take_while(|range| range.start < end);
    for range in within {
        let (from, to) = (range.start.max(start), range.end.min(end));
        if column.is_none() && offset < to {
            let plain = offset.clamp(at, from);
            column = Some(shown.chars().count() + text[at..plain].chars().count() + 1);
        }
        shown.push_str(&text[at..from]);
        shown.push_str(HIDDEN);
        at = to;
    }
    let column =
        column.unwrap_or_else(|| shown.chars().count() + text[at..offset.clamp(at, end)].chars().count() + 1);
    shown.push_str(&text[at..end]);
    (shown, column)
}

/// Quickly rules out most texts.
fn is_suspicious(text: &str) -> bool {
    mentions_secret(text) || text.contains("://") || may_define_object(text)
}

/// Whether a text contains one of the words, in one pass.
pub(crate) fn mentions_secret(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).any(|at| {
        // Most letters begin none of the words, and others few.
        let first = bytes[at] | 0x20;
        matches!(first, b'a' | b'c' | b'd' | b'g' | b'h' | b'i' | b'p' | b's' | b't')
            && WORDS.iter().any(|word| word.as_bytes()[0] == first && begins(bytes, at, word))
    })
}

/// Whether a text may contain a statement that creates or alters an object with options.
fn may_define_object(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).any(|at| {
        let verb = ["create", "alter"].into_iter().find(|verb| begins(bytes, at, verb));
        let object = verb.map(|verb| bytes[at + verb.len()..].trim_ascii_start());
        object.is_some_and(|object| {
            // A comment may be in between.
            object.starts_with(b"-")
                || object.starts_with(b"/")
                || OBJECTS.iter().any(|word| begins(object, 0, word))
        })
    })
}

fn begins(bytes: &[u8], at: usize, word: &str) -> bool {
    bytes.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
}

/// Scans SQL, statement by statement.
fn scan(sql: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let mut start = range.start;
    let mut pieces = Pieces::of(sql, range.clone());
    let mut literals: Vec<Piece> = Vec::new();
    loop {
        let piece = pieces.next();
        match piece {
            Some(Piece { kind: Kind::End, range }) => {
                statement(sql, start..range.end, &literals, found);
                literals.clear();
                start = range.end;
            }
            Some(piece) => literals.push(piece),
            None => {
                statement(sql, start..range.end, &literals, found);
                return;
            }
        }
    }
}

/// Adds the secrets of one statement.
fn statement(sql: &str, range: Range<usize>, pieces: &[Piece], found: &mut Vec<Range<usize>>) {
    let text = &sql[range.clone()];
    let defines = defines_object(text);
    let secret = defines || mentions_secret(text);
    for piece in pieces {
        let inside = &sql[piece.range.clone()];
        match piece.kind {
            Kind::Literal if secret => found.push(piece.range.clone()),
            // A literal or a body may be SQL itself, with strings of its own.
            Kind::Dollar => scan(sql, piece.range.clone(), found),
            _ => {}
        }
        if secret && piece.kind == Kind::Dollar && (defines || is_short(inside)) {
            found.push(piece.range.clone());
        }
    }
    urls(sql, range.clone(), found);
    if secret {
        settings(sql, range.clone(), found);
    }
    if defines {
        after_password(sql, range, found);
    }
}

/// Whether a dollar-quoted text is a value rather than a body.
fn is_short(text: &str) -> bool {
    !text.contains(';') && text.split_whitespace().count() < 4
}

/// Whether the statement creates or alters an object with secret options.
fn defines_object(text: &str) -> bool {
    let text = without_comments(text);
    let verb = ["create", "alter"].into_iter().find(|verb| begins(text.as_bytes(), 0, verb));
    verb.is_some_and(|verb| {
        let object = without_comments(&text[verb.len()..]);
        OBJECTS.iter().any(|word| begins(object.as_bytes(), 0, word))
    })
}

/// Removes the comments before a statement.
fn without_comments(text: &str) -> &str {
    let mut text = text.trim_start();
    loop {
        let rest = if text.starts_with("--") {
            text.split_once('\n').map_or("", |(_, rest)| rest)
        } else if text.starts_with("/*") {
            text.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return text;
        };
        text = rest.trim_start();
    }
}

/// Adds what follows the word for a password, if it is not in quotes.
fn after_password(sql: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let lower = sql[range.clone()].to_ascii_lowercase();
    for word in ["password", "passwd", "identified by"] {
        for (at, _) in lower.match_indices(word) {
            let rest = &lower[at + word.len()..];
            let value = rest.trim_start_matches(|c: char| c.is_whitespace() || ":=".contains(c));
            let start = range.start + at + word.len() + (rest.len() - value.len());
            let value = &sql[start..range.end];
            if value.starts_with('$') {
                continue;
            }
            let quoted = value.strip_prefix('"').and_then(|inside| inside.find('"'));
            let length = match quoted {
                Some(length) => {
                    found.push(start + 1..start + 1 + length);
                    continue;
                }
                None => value.find(|c: char| c.is_whitespace() || "'\",;)".contains(c)),
            };
            let length = length.unwrap_or(value.len());
            // The literal is found by itself.
            let is_prefix = value[length..].starts_with('\'');
            if length > 0 && !is_prefix && !value[..length].eq_ignore_ascii_case("null") {
                found.push(start..start + length);
            }
        }
    }
}

/// Adds the users and passwords of URLs.
fn urls(sql: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    for (at, _) in sql[range.clone()].match_indices("://") {
        let start = range.start + at + 3;
        let url = &sql[start..range.end];
        let end = url.find(|c: char| c.is_whitespace() || "'\"`<>|$,;".contains(c));
        // A password may contain characters that end a URL.
        let user = match url[..end.unwrap_or(url.len())].rfind('@') {
            Some(at) => Some(at),
            None => url.lines().next().and_then(|line| {
                let until = line.find(|c: char| c == '\'' || c.is_whitespace()).unwrap_or(line.len());
                line[..until].rfind('@')
            }),
        };
        if let Some(length) = user.filter(|length| url[..*length].contains(':')) {
            found.push(start..start + length);
        }
    }
}

/// Adds the values of settings, as in `password=x` and `"password": "x"`.
fn settings(sql: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let lower = sql[range.clone()].to_ascii_lowercase();
    for word in ["password", "passwd", "passphrase", "pwd", "secret", "token", "api_key", "apikey"] {
        for (at, _) in lower.match_indices(word) {
            let rest = &lower[at + word.len()..];
            let after = rest.trim_start_matches(['"', '\'', ' ']);
            let Some(value) = after.strip_prefix(['=', ':']).filter(|value| !value.starts_with(['=', ':']))
            else {
                continue;
            };
            let value = value.trim_start_matches(' ');
            let start = range.start + lower.len() - value.len();
            let value = &sql[start..range.end];
            let quote = value.chars().next().filter(|c| "'\"`".contains(*c));
            let (start, length) = match quote {
                Some(quote) => {
                    let inside = value[1..].trim_start_matches(quote);
                    (start + value.len() - inside.len(), inside.find(quote).unwrap_or(inside.len()))
                }
                None => {
                    let end = value.find(|c: char| c.is_whitespace() || "&'\"`,;)}".contains(c));
                    (start, end.unwrap_or(value.len()))
                }
            };
            if length > 0 {
                found.push(start..start + length);
            }
        }
    }
}

/// Replaces a value wherever it stands on its own.
fn without(text: &str, value: &str) -> String {
    // A long value is hidden within words too. A short one would be found in any text.
    let long = value.chars().count() > 5;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for (start, _) in text.match_indices(value) {
        let before = text[..start].chars().next_back().is_some_and(is_word)
            && value.chars().next().is_some_and(is_word);
        let end = start + value.len();
        let after =
            text[end..].chars().next().is_some_and(is_word) && value.chars().next_back().is_some_and(is_word);
        if long || !(before || after) {
            shown.push_str(&text[at..start]);
            shown.push_str(HIDDEN);
            at = end;
        }
    }
    shown.push_str(&text[at..]);
    shown
}

/// Replaces the escapes of `E'…'` that stand for one character.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, radix: u32, most: usize| {
            let mut digits = String::new();
            while digits.len() < most
                && let Some(digit) = chars.next_if(|c| c.is_digit(radix))
            {
                digits.push(digit);
            }
            u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32)
        };
        let decoded = match chars.peek() {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some('x') => {
                chars.next();
                plain.extend(number(&mut chars, 16, 2));
                continue;
            }
            Some('u') => {
                chars.next();
                plain.extend(number(&mut chars, 16, 4));
                continue;
            }
            Some('0'..='7') => {
                plain.extend(number(&mut chars, 8, 3));
                continue;
            }
            other => other.copied(),
        };
        chars.next();
        plain.extend(decoded);
    }
    plain
}

#[cfg(test)]
mod tests;
