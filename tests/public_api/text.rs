//! Formats tokens as rustfmt does, on one line.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// Words after which an opening bracket does not begin the arguments of a call.
const KEYWORDS: [&str; 10] = ["as", "const", "dyn", "for", "impl", "in", "mut", "pub", "type", "where"];

pub fn text(tokens: &impl ToTokens) -> String {
    let mut words = Vec::new();
    split(tokens.to_token_stream(), &mut words);
    let mut text = String::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map(String::as_str);
        // A trailing comma is dropped.
        let is_last = next.is_some_and(|next| matches!(next, ")" | ">" | "]" | "}"));
        if word == "," && is_last && words[at - 1] != "(" {
            continue;
        }
        if at > 0 && is_spaced(&words[at - 1], word) {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Splits tokens into words, brackets and punctuation. Punctuation such as `::` and `->`
/// stays in one piece.
fn split(tokens: TokenStream, words: &mut Vec<String>) {
    let mut joint = false;
    for token in tokens {
        let joined = std::mem::take(&mut joint);
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                words.extend((!open.is_empty()).then(|| open.to_owned()));
                split(group.stream(), words);
                words.extend((!close.is_empty()).then(|| close.to_owned()));
            }
            TokenTree::Punct(punct) => {
                joint = punct.spacing() == Spacing::Joint;
                let character = punct.as_char();
                let last = words.last_mut().filter(|_| joined);
                match last {
                    Some(last) if is_pair(last, character) => last.push(character),
                    _ => words.push(character.to_string()),
                }
            }
            // The apostrophe of a lifetime is a token of its own.
            word => match words.last_mut().filter(|last| joined && *last == "'") {
                Some(last) => last.push_str(&word.to_string()),
                None => words.push(word.to_string()),
            },
        }
    }
}

fn is_pair(first: &str, second: char) -> bool {
    matches!((first, second), (":", ':') | ("-" | "=", '>') | ("." | "..", '.') | ("..", '='))
}

fn is_spaced(before: &str, after: &str) -> bool {
    let is_word =
        |text: &str| text.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '\'' || c == '"');
    match (before, after) {
        ("(" | "[" | "<" | "&" | "::" | "#" | "?" | "." | "*" | "$" | "!", _) => false,
        (")", "?") | (_, ")" | "]" | ">" | "," | ";" | ":" | "::" | "." | "!") => false,
        (">", "(" | "<") => false,
        (before, "(") => !is_word(before) || KEYWORDS.contains(&before),
        (before, "<") => !is_word(before) && before != ")",
        _ => true,
    }
}

#[test]
fn tokens_are_written_as_rustfmt_does() {
    for line in [
        "pub async fn f<'a, T: Into<String> + ?Sized>(&'a mut self, x: &[u8]) -> Result<(), T::Err>",
        "impl<'a, T> From<&'a Vec<T>> for Box<dyn Fn(&T) -> bool + Send> where T: Clone",
        "fn g(f: impl for<'x> FnOnce(&'x str) -> (u8, u8), n: [u8; 3]) -> impl Iterator<Item = u8>",
        "type X = <T as std::iter::Iterator>::Item",
        "($label: expr, $directory: literal $(,)?)",
    ] {
        let tokens: TokenStream = line.parse().expect("it is Rust");
        assert_eq!(text(&tokens), line);
    }
    let tokens: TokenStream = "fn f(a: A, b: Map<K, V,>,)".parse().expect("it is Rust");
    assert_eq!(text(&tokens), "fn f(a: A, b: Map<K, V>)");
}
