//! Near misses of our directives.
//!
//! In: a line of a comment. Out: a diagnostic with the nearest directive, and its byte
//! offset.
//!
//! The rule has two parts. A line is a near miss if it is a complete directive without
//! `bustard:`, or if its first word is `bustard` with at most two mistakes, and punctuation
//! or the first word of a directive follows.

use super::{Line, Lookalike, folded, shown};
use crate::diagnostic::{Code, Diagnostic, mistakes, nearest};
use crate::sql::directive::{self, Directive};

/// The most mistakes in the word `bustard`: inserted, missing, wrong or swapped letters.
const MISTAKES: usize = 2;

pub(super) fn find(line: &Line<'_>) -> Option<(usize, Lookalike)> {
    let chars = folded(line.content);
    let first = chars.iter().position(|(_, c)| c.is_alphanumeric())?;
    let at = line.start + chars[first].0;
    let chars = &chars[first..];
    let meant = named(chars).or_else(|| bare(line, chars))?;
    let text = meant.first().map_or("", |(at, _)| &line.content[*at..]);
    let text = text.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let message = format!("`{}` looks like a directive and is none", shown(line.content));
    let write = match directive::suggest(text, &string(meant)) {
        Some(directive) => format!("write `{directive}` on a line of its own"),
        None => "write one of our directives after `-- bustard:`".to_owned(),
    };
    let help = format!("{write}, or word the comment so that it does not begin like a directive");
    let diagnostic = Diagnostic::new(Code::DirectiveNearMiss, message).help(help);
    Some((at, Lookalike::NearMiss(Box::new(diagnostic))))
}

/// Returns what follows the first word, if that is nearly `bustard` and a directive is
/// meant.
fn named(chars: &[(usize, char)]) -> Option<&[(usize, char)]> {
    let end = chars.iter().position(|(_, c)| !c.is_alphanumeric()).unwrap_or(chars.len());
    let mistakes = mistakes(&string(&chars[..end]), "bustard");
    if mistakes > MISTAKES {
        return None;
    }
    let next = chars[end..].iter().position(|(_, c)| c.is_alphanumeric()).map_or(chars.len(), |n| end + n);
    let (between, rest) = (string(&chars[end..next]), &chars[next..]);
    let length = rest.iter().position(|(_, c)| !(c.is_alphanumeric() || *c == '_')).unwrap_or(rest.len());
    let following = string(&rest[..length]);
    let known = || directive::first_words().any(|known| known == following);
    let almost = || mistakes == 0 && nearest(&following, directive::first_words()).is_some();
    // `bustard.event`, `bustard's`, `bustard_{id}`: a name, or a word of a sentence.
    let joined = matches!(between.as_str(), "." | "'" | "’" | "-" | "/") || between.starts_with('_');
    // Without a word after it, other punctuation ends a sentence or decorates a heading.
    let punctuated = match following.is_empty() {
        true => between.contains(':'),
        false => !between.trim().is_empty() && !joined,
    };
    (!between.is_empty() && (punctuated || known() || almost())).then_some(trimmed(rest, |c| c == ';'))
}

/// Returns the words of the line, if they are a directive without `bustard:`.
fn bare<'c>(line: &Line<'_>, chars: &'c [(usize, char)]) -> Option<&'c [(usize, char)]> {
    if !line.whole {
        return None;
    }
    // A directive of keywords only may be decorated: `---- down ----`.
    let plain = trimmed(chars, |c| !c.is_alphanumeric());
    if directive::without_names().any(|known| known == string(plain)) {
        return Some(plain);
    }
    let words = trimmed(chars, |c| c == ';');
    // Most comments are ruled out by their first word, which is cheaper than parsing them.
    let end = words.iter().position(|(_, c)| c.is_whitespace()).unwrap_or(words.len());
    let first = string(&words[..end]);
    if !directive::first_words().any(|known| known == first) {
        return None;
    }
    let directive = directive::parse(&format!("-- bustard: {}", string(words)), false).ok()?;
    is_bare(&directive).then_some(words)
}

fn string(chars: &[(usize, char)]) -> String {
    chars.iter().map(|(_, c)| c).collect()
}

/// Returns the text without such characters and blanks at its end.
fn trimmed(chars: &[(usize, char)], trim: impl Fn(char) -> bool) -> &[(usize, char)] {
    let last = chars.iter().rposition(|(_, c)| !(c.is_whitespace() || trim(*c)));
    &chars[..last.map_or(0, |last| last + 1)]
}

/// Decides whether a directive is recognised without `bustard:`. One that could begin a
/// sentence in English must not be.
fn is_bare(directive: &Directive) -> bool {
    match directive {
        Directive::DependsOn { .. }
        | Directive::RequiredBy { .. }
        | Directive::Register { .. }
        | Directive::Change { .. }
        | Directive::Unregister { .. }
        | Directive::NoTransaction
        | Directive::Down => true,
    }
}
