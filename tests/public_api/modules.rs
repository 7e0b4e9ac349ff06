//! Reads the library's modules as syntax trees, and resolves names in them.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenStream;
use syn::{Attribute, Item, ItemMod, UseTree, Visibility};

use crate::conditions::{Conditions, metas};
use crate::expand;
use crate::source_paths::Sources;

/// Macros that create no item.
const WITHOUT_ITEMS: [&str; 1] = ["thread_local"];

/// The path of a module in the crate: `["engine", "sqlite"]`.
pub type Place = Vec<String>;

/// The package's library.
pub struct Library {
    pub modules: BTreeMap<Place, Module>,
    /// The names of other crates in code.
    crates: BTreeSet<String>,
}

/// A module, without items that only tests compile.
#[derive(Default)]
pub struct Module {
    pub items: Vec<Item>,
    pub uses: Vec<Use>,
    /// The conditions of the module and of the modules that contain it.
    pub conditions: Conditions,
    /// Whether the module or a module that contains it is `#[doc(hidden)]`.
    pub hidden: bool,
    macros: BTreeMap<String, TokenStream>,
}

/// One name that a `use` imports.
pub struct Use {
    pub public: bool,
    pub hidden: bool,
    pub conditions: Conditions,
    /// The imported name; `None` for `*`.
    pub name: Option<String>,
    pub path: Vec<String>,
    pub absolute: bool,
}

/// The meaning of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meaning {
    Module(Place),
    /// An item, and the rest of the path, such as a variant's name.
    Item(Place, String, Vec<String>),
    /// Another crate, or a path in it.
    External(Vec<String>),
}

impl Library {
    /// Reads `lib.rs` and the modules that it declares.
    pub fn read(sources: &Sources, manifest: &str) -> Library {
        let sections = manifest.split("\n[dependencies]\n").nth(1).expect("there are dependencies");
        let lines = sections.lines().take_while(|line| !line.starts_with('['));
        let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.replace('-', "_"));
        let standard = ["std", "core", "alloc"].map(str::to_owned);
        let mut library = Library { modules: BTreeMap::new(), crates: names.chain(standard).collect() };
        let root = Module::default();
        library.read_file(sources, "lib.rs", Place::new(), root);
        library
    }

    fn read_file(&mut self, sources: &Sources, file: &str, place: Place, module: Module) {
        let text = sources.0.get(file).unwrap_or_else(|| panic!("there is no src/{file}"));
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("src/{file}: {error}"));
        let mut module = module;
        module.conditions = module.conditions.and(&Conditions::of(&parsed.attrs));
        let items = if module.conditions.are_of_tests() { Vec::new() } else { parsed.items };
        self.read_items(sources, items, place, module);
    }

    fn read_items(&mut self, sources: &Sources, items: Vec<Item>, place: Place, module: Module) {
        self.modules.insert(place.clone(), module);
        for item in items {
            self.read_item(sources, item, &place);
        }
    }

    fn read_item(&mut self, sources: &Sources, item: Item, place: &Place) {
        let attributes = attributes(&item).to_vec();
        let conditions = Conditions::of(&attributes);
        if conditions.are_of_tests() {
            return;
        }
        let own = self.modules.get_mut(place).expect("it was inserted");
        match item {
            Item::Mod(module) => {
                let inner = Module {
                    conditions: own.conditions.and(&conditions),
                    hidden: own.hidden || is_hidden(&attributes),
                    ..Module::default()
                };
                let mut child = place.clone();
                child.push(module.ident.to_string());
                own.items.push(Item::Mod(ItemMod { content: None, ..module.clone() }));
                match module.content {
                    Some((_, items)) => self.read_items(sources, items, child, inner),
                    None => {
                        let beside = child.join("/");
                        let names = [format!("{beside}.rs"), format!("{beside}/mod.rs")];
                        let file = names.iter().find(|name| sources.0.contains_key(*name));
                        let file = file.unwrap_or_else(|| panic!("the module {beside} has no file"));
                        self.read_file(sources, file, child, inner);
                    }
                }
            }
            Item::Use(item) => {
                let (public, hidden) = (is_public(&item.vis), is_hidden(&attributes));
                let absolute = item.leading_colon.is_some();
                let mut leaves = Vec::new();
                flatten(&item.tree, Vec::new(), &mut leaves);
                own.uses.extend(leaves.into_iter().map(|(name, path)| Use {
                    public,
                    hidden,
                    conditions: conditions.clone(),
                    name,
                    path,
                    absolute,
                }));
            }
            Item::ExternCrate(item) if item.ident == "self" => {}
            Item::Macro(item) => {
                if let Some((name, rules)) = expand::definition(&item) {
                    own.macros.insert(name, rules);
                    own.items.push(Item::Macro(item));
                    return;
                }
                let name = item.mac.path.segments.last().expect("a path has segments").ident.to_string();
                if WITHOUT_ITEMS.contains(&name.as_str()) {
                    return;
                }
                // A macro is visible in the modules below the module that defines it.
                let mut around = (0..=place.len()).rev().map(|length| &self.modules[&place[..length]]);
                let rules = around.find_map(|module| module.macros.get(&name)).cloned();
                let rules = rules.unwrap_or_else(|| panic!("{}: {name}! is not known", place.join("::")));
                let made = expand::expand(&name, rules, item.mac.tokens);
                let parsed: syn::File =
                    syn::parse2(made).unwrap_or_else(|error| panic!("the expansion of {name}!: {error}"));
                for item in parsed.items {
                    self.read_item(sources, item, place);
                }
            }
            other => own.items.push(other),
        }
    }

    /// Resolves a path in a module. There may be two results, because a type and a function
    /// may have the same name.
    pub fn resolve(&self, place: &[String], path: &[String], absolute: bool) -> Vec<Meaning> {
        self.resolve_within(place, path, absolute, 0)
    }

    fn resolve_within(
        &self,
        place: &[String],
        path: &[String],
        absolute: bool,
        depth: usize,
    ) -> Vec<Meaning> {
        // At this depth, `use` items refer to each other in a cycle.
        if depth > 20 {
            return Vec::new();
        }
        let (first, rest) = path.split_first().expect("a path has segments");
        let up = place.len().saturating_sub(1);
        let starts = match first.as_str() {
            _ if absolute => vec![Meaning::External(vec![first.clone()])],
            "crate" | "bustard" => vec![Meaning::Module(Place::new())],
            "self" => vec![Meaning::Module(place.to_vec())],
            "super" => vec![Meaning::Module(place[..up].to_vec())],
            name => {
                let found = self.named(place, name, depth + 1);
                match found.is_empty() && self.crates.contains(name) {
                    true => vec![Meaning::External(vec![name.to_owned()])],
                    false => found,
                }
            }
        };
        let ends = starts.into_iter().flat_map(|start| self.follow(start, rest, depth));
        ends.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn follow(&self, start: Meaning, rest: &[String], depth: usize) -> Vec<Meaning> {
        let Some((next, rest)) = rest.split_first() else { return vec![start] };
        match start {
            Meaning::External(path) => vec![Meaning::External([&path, &[next.clone()][..], rest].concat())],
            Meaning::Item(place, name, behind) => {
                vec![Meaning::Item(place, name, [&behind, &[next.clone()][..], rest].concat())]
            }
            Meaning::Module(place) => {
                let found = match next.as_str() {
                    "super" => vec![Meaning::Module(place[..place.len().saturating_sub(1)].to_vec())],
                    name => self.named(&place, name, depth + 1),
                };
                found.into_iter().flat_map(|meaning| self.follow(meaning, rest, depth)).collect()
            }
        }
    }

    fn named(&self, place: &[String], name: &str, depth: usize) -> Vec<Meaning> {
        let Some(module) = self.modules.get(place) else { return Vec::new() };
        let mut found = Vec::new();
        for item in module.items.iter().filter(|item| ident(item).is_some_and(|ident| ident == name)) {
            found.push(match item {
                Item::Mod(_) => Meaning::Module([place, &[name.to_owned()]].concat()),
                _ => Meaning::Item(place.to_vec(), name.to_owned(), Vec::new()),
            });
        }
        let brought = module.uses.iter().filter(|used| used.name.as_deref() == Some(name));
        found.extend(brought.flat_map(|used| self.meant(place, used, depth)));
        if found.is_empty() {
            for used in module.uses.iter().filter(|used| used.name.is_none()) {
                for meaning in self.meant(place, used, depth) {
                    if let Meaning::Module(all) = meaning {
                        found.extend(self.named(&all, name, depth + 1));
                    }
                }
            }
        }
        found
    }

    /// Resolves a `use`.
    pub fn meant(&self, place: &[String], used: &Use, depth: usize) -> Vec<Meaning> {
        // `use log;` does not refer to itself.
        let itself = used.path.len() == 1 && used.name.as_deref() == Some(&used.path[0]);
        if itself && self.crates.contains(&used.path[0]) {
            return vec![Meaning::External(used.path.clone())];
        }
        if itself {
            return Vec::new();
        }
        self.resolve_within(place, &used.path, used.absolute, depth + 1)
    }

    /// Returns the items of this name in a module. There may be several with different
    /// `cfg`s.
    pub fn items<'l>(&'l self, place: &[String], name: &'l str) -> impl Iterator<Item = &'l Item> {
        let all = self.modules.get(place).map(|module| module.items.as_slice()).unwrap_or_default();
        all.iter().filter(move |item| ident(item).is_some_and(|ident| ident == name))
    }
}

fn flatten(tree: &UseTree, before: Vec<String>, leaves: &mut Vec<(Option<String>, Vec<String>)>) {
    match tree {
        UseTree::Path(path) => flatten(&path.tree, [before, vec![path.ident.to_string()]].concat(), leaves),
        UseTree::Name(name) if name.ident == "self" => leaves.push((before.last().cloned(), before)),
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            leaves.push((Some(name.clone()), [before, vec![name]].concat()));
        }
        UseTree::Rename(rename) if rename.ident == "self" => {
            leaves.push((Some(rename.rename.to_string()), before));
        }
        UseTree::Rename(rename) => {
            let path = [before, vec![rename.ident.to_string()]].concat();
            leaves.push((Some(rename.rename.to_string()), path));
        }
        UseTree::Glob(_) => leaves.push((None, before)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before.clone(), leaves)),
    }
}

pub fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

pub fn is_hidden(attributes: &[Attribute]) -> bool {
    let docs = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    docs.flat_map(|attribute| metas(&attribute.meta)).any(|meta| meta.path().is_ident("hidden"))
}

pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => panic!("an item of another sort"),
    }
}

/// Returns the name that an item adds to its module. Macros are stored separately.
fn ident(item: &Item) -> Option<&syn::Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Mod(item) => Some(&item.ident),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        _ => None,
    }
}
