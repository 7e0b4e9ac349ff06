//! Expands the calls of `macro_rules!` macros that create items. Supports the syntax that
//! the macros in `src/` use. Any other syntax panics, so that no item is missed.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Lifetime, Lit, Path, Type};

/// The value of a variable of a matcher.
#[derive(Clone)]
enum Bound {
    One(TokenStream),
    Many(Vec<Bindings>),
}

type Bindings = BTreeMap<String, Bound>;

enum Matcher {
    Variable(String, String),
    Repeated { inner: Vec<Matcher>, separator: Option<TokenTree> },
    Group(Delimiter, Vec<Matcher>),
    Token(TokenTree),
}

/// Returns the items that a macro with these rules creates from this input.
pub fn expand(name: &str, rules: TokenStream, input: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = rules.into_iter().collect();
    for rule in tokens.split(|token| is_punct(token, ';')).filter(|rule| !rule.is_empty()) {
        let [TokenTree::Group(matcher), _, _, TokenTree::Group(body)] = rule else {
            panic!("{name}!: a rule is `(…) => {{…}}`")
        };
        let matchers = parse(name, matcher.stream());
        let whole = |stream: ParseStream<'_>| {
            let mut bindings = Bindings::new();
            read(name, &matchers, stream, &mut bindings)?;
            if stream.is_empty() {
                Ok(bindings)
            } else {
                Err(stream.error("there are tokens after the last matcher"))
            }
        };
        if let Ok(bindings) = whole.parse2(input.clone()) {
            return transcribe(name, body.stream(), &bindings);
        }
    }
    panic!("{name}!: no rule fits `{input}`");
}

/// Returns the input pattern of each rule of a macro.
pub fn matchers(rules: TokenStream) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = rules.into_iter().collect();
    let rules = tokens.split(|token| is_punct(token, ';'));
    let matchers = rules.filter_map(|rule| match rule.first() {
        Some(TokenTree::Group(matcher)) => Some(matcher.stream()),
        _ => None,
    });
    matchers.collect()
}

fn parse(name: &str, tokens: TokenStream) -> Vec<Matcher> {
    let mut tokens = tokens.into_iter().peekable();
    let mut matchers = Vec::new();
    while let Some(token) = tokens.next() {
        matchers.push(match token {
            TokenTree::Punct(punct) if punct.as_char() == '$' => match tokens.next() {
                Some(TokenTree::Group(group)) => {
                    let inner = parse(name, group.stream());
                    Matcher::Repeated { inner, separator: separator(&mut tokens) }
                }
                Some(TokenTree::Ident(variable)) => {
                    let colon_and_fragment = (tokens.next(), tokens.next());
                    let (_, Some(TokenTree::Ident(fragment))) = colon_and_fragment else {
                        panic!("{name}!: ${variable} has no fragment")
                    };
                    Matcher::Variable(variable.to_string(), fragment.to_string())
                }
                other => panic!("{name}!: `$` before {other:?}"),
            },
            TokenTree::Group(group) => Matcher::Group(group.delimiter(), parse(name, group.stream())),
            other => Matcher::Token(other),
        });
    }
    matchers
}

/// Reads the end of `$(…)`: an optional separator, and `*`, `+` or `?`.
fn separator(tokens: &mut impl Iterator<Item = TokenTree>) -> Option<TokenTree> {
    let is_operator = |token: &TokenTree| ['*', '+', '?'].iter().any(|operator| is_punct(token, *operator));
    match tokens.next() {
        Some(token) if is_operator(&token) => None,
        Some(token) => {
            tokens.next();
            Some(token)
        }
        None => None,
    }
}

fn read(
    name: &str,
    matchers: &[Matcher],
    stream: ParseStream<'_>,
    bindings: &mut Bindings,
) -> syn::Result<()> {
    for matcher in matchers {
        match matcher {
            Matcher::Variable(variable, fragment) => {
                bindings.insert(variable.clone(), Bound::One(fragment_of(name, fragment, stream)?));
            }
            Matcher::Repeated { inner, separator } => {
                let mut rounds = Vec::new();
                while !stream.is_empty() {
                    let ahead = stream.fork();
                    if separator.is_some() && !rounds.is_empty() && ahead.parse::<TokenTree>().is_err() {
                        break;
                    }
                    if ahead.is_empty() || read(name, inner, &ahead, &mut Bindings::new()).is_err() {
                        break;
                    }
                    if separator.is_some() && !rounds.is_empty() {
                        stream.parse::<TokenTree>()?;
                    }
                    let mut round = Bindings::new();
                    read(name, inner, stream, &mut round)?;
                    rounds.push(round);
                }
                for variable in variables(inner) {
                    bindings.insert(variable, Bound::Many(rounds.clone()));
                }
            }
            Matcher::Group(delimiter, inner) => match stream.parse()? {
                TokenTree::Group(group) if group.delimiter() == *delimiter => {
                    let within = |stream: ParseStream<'_>| read(name, inner, stream, bindings);
                    within.parse2(group.stream())?;
                }
                other => return Err(syn::Error::new_spanned(other, "not this group")),
            },
            Matcher::Token(expected) => {
                let token: TokenTree = stream.parse()?;
                if token.to_string() != expected.to_string() {
                    return Err(syn::Error::new_spanned(token, "not this token"));
                }
            }
        }
    }
    Ok(())
}

fn fragment_of(name: &str, fragment: &str, stream: ParseStream<'_>) -> syn::Result<TokenStream> {
    Ok(match fragment {
        "expr" => stream.parse::<Expr>()?.to_token_stream(),
        "ident" => stream.call(Ident::parse_any)?.to_token_stream(),
        "lifetime" => stream.parse::<Lifetime>()?.to_token_stream(),
        "literal" => stream.parse::<Lit>()?.to_token_stream(),
        "path" => stream.parse::<Path>()?.to_token_stream(),
        "tt" => stream.parse::<TokenTree>()?.to_token_stream(),
        "ty" => stream.parse::<Type>()?.to_token_stream(),
        other => panic!("{name}!: the fragment `{other}` is not known here"),
    })
}

fn variables(matchers: &[Matcher]) -> Vec<String> {
    let names = matchers.iter().flat_map(|matcher| match matcher {
        Matcher::Variable(name, _) => vec![name.clone()],
        Matcher::Repeated { inner, .. } | Matcher::Group(_, inner) => variables(inner),
        Matcher::Token(_) => Vec::new(),
    });
    names.collect()
}

fn transcribe(name: &str, body: TokenStream, bindings: &Bindings) -> TokenStream {
    let mut tokens = body.into_iter().peekable();
    let mut made = TokenStream::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '$' => match tokens.next() {
                Some(TokenTree::Ident(word)) if word == "crate" => made.extend(word.to_token_stream()),
                Some(TokenTree::Ident(variable)) => match bindings.get(&variable.to_string()) {
                    Some(Bound::One(bound)) => made.extend(bound.clone()),
                    _ => panic!("{name}!: ${variable} stands for nothing, or for many"),
                },
                Some(TokenTree::Group(group)) => {
                    let separator = separator(&mut tokens);
                    for (at, round) in rounds(name, &group.stream(), bindings).iter().enumerate() {
                        if at > 0 {
                            made.extend(separator.clone());
                        }
                        let mut all = bindings.clone();
                        all.extend(round.clone());
                        made.extend(transcribe(name, group.stream(), &all));
                    }
                }
                other => panic!("{name}!: `$` before {other:?}"),
            },
            TokenTree::Group(group) => {
                let inner = transcribe(name, group.stream(), bindings);
                made.extend([TokenTree::Group(Group::new(group.delimiter(), inner))]);
            }
            other => made.extend([other]),
        }
    }
    made
}

/// Returns the bindings for each round of a repetition, from a variable in it that repeats.
fn rounds(name: &str, body: &TokenStream, bindings: &Bindings) -> Vec<Bindings> {
    let mut open: Vec<TokenTree> = body.clone().into_iter().collect();
    let mut found = None;
    while let Some(token) = open.pop() {
        match token {
            TokenTree::Group(group) => open.extend(group.stream()),
            TokenTree::Ident(word) => {
                if let Some(Bound::Many(rounds)) = bindings.get(&word.to_string()) {
                    found = Some(rounds.clone());
                }
            }
            _ => {}
        }
    }
    found.unwrap_or_else(|| panic!("{name}!: nothing is repeated in `{body}`"))
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// Returns the name and the rules of `macro_rules! name { … }`.
pub fn definition(item: &syn::ItemMacro) -> Option<(String, TokenStream)> {
    let name = item.ident.as_ref()?;
    item.mac.path.is_ident("macro_rules").then(|| (name.to_string(), item.mac.tokens.clone()))
}
