//! Reads the modules of `src/` and the paths in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The crate of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Library,
    Command,
}

/// The contents of all files, by their path below `src/`.
pub struct Sources(pub BTreeMap<String, String>);

/// A file with its contents.
#[derive(Debug)]
pub struct Module {
    pub file: String,
    pub lines: usize,
    pub origin: Origin,
    /// The path of the module in the crate: `["engine", "sqlite"]`.
    pub path: Vec<String>,
    /// Whether builds without tests compile the file. Paths in test code are not read.
    pub production: bool,
    pub paths: Vec<PathInCode>,
    /// The items at the top level that are neither modules nor re-exports, each with its
    /// line.
    pub items: Vec<(usize, String)>,
}

/// A path as written, such as `crate::error::Error`.
#[derive(Debug)]
pub struct PathInCode {
    pub line: usize,
    /// Whether the path starts with `::`, which only names of crates may follow.
    pub absolute: bool,
    pub segments: Vec<String>,
    /// The module that contains the path: the module of the file, or a module within the
    /// file.
    within: Vec<String>,
}

impl Sources {
    pub fn read() -> Sources {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        let mut open: Vec<PathBuf> = vec![top.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).expect("src is readable") {
                let path = entry.expect("src is readable").path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(&top).expect("it is below src").display().to_string();
                    files.insert(name, fs::read_to_string(&path).expect("sources are text"));
                }
            }
        }
        Sources(files)
    }

    /// Adds a line to a file, and creates a missing file. Returns the number of the line.
    pub fn append(&mut self, file: &str, text: &str) -> usize {
        let contents = self.0.entry(file.to_owned()).or_default();
        let line = contents.lines().count() + 1;
        contents.push_str(text);
        contents.push('\n');
        line
    }

    /// Returns every file: first the files of the two crates, then the files that only
    /// tests compile.
    pub fn modules(&self) -> Vec<Module> {
        let mut modules = Vec::new();
        self.follow("lib.rs", Origin::Library, Vec::new(), &mut modules);
        self.follow("main.rs", Origin::Command, Vec::new(), &mut modules);
        let left = self.0.iter().filter(|(file, _)| !modules.iter().any(|m: &Module| m.file == **file));
        let left: Vec<Module> = left.map(|(file, text)| Module::new(file, text, Origin::Library)).collect();
        modules.extend(left);
        modules
    }

    fn follow(&self, file: &str, origin: Origin, path: Vec<String>, modules: &mut Vec<Module>) {
        let text = self.0.get(file).map_or("", String::as_str);
        let mut module = Module { path: path.clone(), production: true, ..Module::new(file, text, origin) };
        let tokens = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut reader = Reader { within: path, paths: Vec::new(), children: Vec::new(), items: Vec::new() };
        reader.items(tokens, true);
        let Reader { paths, children, items, .. } = reader;
        (module.paths, module.items) = (paths, items);
        modules.push(module);
        for child in children {
            let beside = child.join("/");
            let found = [format!("{beside}.rs"), format!("{beside}/mod.rs")];
            match found.iter().find(|file| self.0.contains_key(*file)) {
                Some(file) => self.follow(file, origin, child, modules),
                None => panic!("{file} declares {}, which has no file", child.join("::")),
            }
        }
    }
}

fn find<'m>(modules: &'m [Module], origin: Origin, path: &[String]) -> Option<&'m [String]> {
    let module = modules.iter().find(|m| m.production && m.origin == origin && m.path == path)?;
    Some(&module.path)
}

impl Module {
    fn new(file: &str, text: &str, origin: Origin) -> Module {
        Module {
            file: file.to_owned(),
            lines: text.lines().count(),
            origin,
            path: Vec::new(),
            production: false,
            paths: Vec::new(),
            items: Vec::new(),
        }
    }

    /// Returns the module of the package that a path refers to, if any. A re-export refers
    /// to the module that defines the item.
    pub fn resolve<'m>(&self, modules: &'m [Module], path: &PathInCode) -> Option<&'m [String]> {
        let (mut module, mut rest) = self.resolve_written(modules, path)?;
        for _ in 0..8 {
            let Some(name) = rest.first() else { break };
            let here =
                modules.iter().find(|m| m.production && m.origin == self.origin && m.path == module)?;
            // A re-export of an item from a submodule: `pub use migration::Migration`.
            let below = |re_export: &PathInCode| {
                let named = re_export.segments.last() == Some(name) && re_export.within == here.path;
                let (target, more) = here.resolve_written(modules, re_export).filter(|_| named)?;
                (target.len() > module.len() && target.starts_with(module)).then_some((target, more))
            };
            let Some((target, more)) = here.paths.iter().find_map(below) else { break };
            (module, rest) = (target, more);
        }
        Some(module)
    }

    /// Returns the module that a path refers to as written, and the rest of the path.
    fn resolve_written<'m>(
        &self,
        modules: &'m [Module],
        path: &PathInCode,
    ) -> Option<(&'m [String], Vec<String>)> {
        if path.absolute {
            return None;
        }
        let mut target = path.within.clone();
        let mut rest = path.segments.as_slice();
        match rest[0].as_str() {
            "crate" => {
                target.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            // A child of the inner module or of this module. Inner modules may import the
            // children of this module with `use super::*`.
            child => {
                let inside = |module: &[String]| [module, &[child.to_owned()]].concat();
                target = [&path.within, &self.path]
                    .into_iter()
                    .find(|module| find(modules, self.origin, &inside(module)).is_some())?
                    .clone();
            }
        }
        while rest.first().is_some_and(|segment| segment == "super") {
            target.pop();
            rest = &rest[1..];
        }
        // The longest prefix of the path that is the module of a file is used.
        let whole = [target.as_slice(), rest].concat();
        (0..=whole.len()).rev().find_map(|length| {
            let module = find(modules, self.origin, &whole[..length])?;
            Some((module, whole[length..].to_vec()))
        })
    }
}

/// Walks through tokens and collects paths.
struct Reader {
    within: Vec<String>,
    paths: Vec<PathInCode>,
    children: Vec<Vec<String>>,
    items: Vec<(usize, String)>,
}

const ITEMS: [&str; 9] = ["fn", "struct", "enum", "union", "trait", "impl", "const", "static", "macro_rules"];

/// Keywords after which a path may begin with `::`.
const KEYWORDS: [&str; 9] = ["as", "dyn", "else", "for", "in", "move", "mut", "return", "use"];

impl Reader {
    fn items(&mut self, tokens: TokenStream, top: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if is_cfg_test(&tokens[at..]) {
                at = behind_item(&tokens, at);
                continue;
            }
            let module = word(&tokens, at).filter(|word| word == "mod").and(word(&tokens, at + 1));
            match (&tokens[at], module, tokens.get(at + 2)) {
                (_, Some(name), Some(TokenTree::Group(body))) => {
                    self.within.push(name);
                    self.items(body.stream(), false);
                    self.within.pop();
                    at += 3;
                }
                (_, Some(name), _) => {
                    self.children.push([self.within.as_slice(), &[name]].concat());
                    at += 3;
                }
                (TokenTree::Group(group), ..) => {
                    self.items(group.stream(), false);
                    at += 1;
                }
                (TokenTree::Ident(ident), ..) if KEYWORDS.contains(&ident.to_string().as_str()) => at += 1,
                (TokenTree::Ident(ident), ..) => {
                    let text = ident.to_string();
                    if top && ITEMS.contains(&text.as_str()) {
                        self.items.push((ident.span().start().line, text));
                    }
                    // Skip the rest of a path with type arguments: `Vec::<u8>::new`.
                    let generic = matches!(tokens.get(at.wrapping_sub(3)), Some(TokenTree::Punct(p)) if p.as_char() == '>');
                    let absolute = at >= 2 && is_colons(&tokens, at - 2) && !generic;
                    at = self.path(&tokens, at, Vec::new(), absolute);
                }
                _ => at += 1,
            }
        }
    }

    /// Reads a path or a tree of paths that starts here, and returns the position after it.
    fn path(&mut self, tokens: &[TokenTree], start: usize, before: Vec<String>, absolute: bool) -> usize {
        let mut segments = before;
        let mut at = start;
        let line = tokens[start].span().start().line;
        while let Some(word) = word(tokens, at) {
            segments.push(word);
            if !is_colons(tokens, at + 1) {
                at += 1;
                break;
            }
            at += 3;
        }
        match tokens.get(at) {
            Some(TokenTree::Group(tree))
                if tree.delimiter() == Delimiter::Brace && is_colons(tokens, at.wrapping_sub(2)) =>
            {
                let inner: Vec<TokenTree> = tree.stream().into_iter().collect();
                for branch in inner.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','))
                {
                    match branch.first() {
                        Some(TokenTree::Ident(_)) => {
                            self.path(branch, 0, segments.clone(), absolute);
                        }
                        // `*`
                        Some(_) => self.push(line, absolute, segments.clone()),
                        None => {}
                    }
                }
                at + 1
            }
            _ => {
                let used = start > 0 && word(tokens, start - 1).is_some_and(|word| word == "use");
                if segments.len() > 1 || absolute || used {
                    self.push(line, absolute, segments);
                }
                at.max(start + 1)
            }
        }
    }

    fn push(&mut self, line: usize, absolute: bool, segments: Vec<String>) {
        self.paths.push(PathInCode { line, absolute, segments, within: self.within.clone() });
    }
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at)? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(at) && colon(at.wrapping_add(1))
}

/// Reports whether this is `#[cfg(test)]`, `#[cfg(doctest)]` or `#[cfg(all(test, …))]`.
fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = tokens else { return false };
    let text = attribute.stream().to_string().replace(' ', "");
    hash.as_char() == '#'
        && (text == "cfg(test)" || text == "cfg(doctest)" || text.starts_with("cfg(all(test,"))
}

/// Returns the end of the item that the attributes at this position belong to.
fn behind_item(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    // `use a::{b, c};` has braces and ends at the semicolon.
    let mut idents = tokens[at..].iter().filter_map(|token| match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    });
    let is_use = idents.find(|word| word != "pub").is_some_and(|word| word == "use");
    let mut end = at;
    while end < tokens.len()
        && !(ends(&tokens[end]) && !(is_use && matches!(tokens[end], TokenTree::Group(_))))
    {
        end += 1;
    }
    end + 1
}
