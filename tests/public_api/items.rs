//! Lists the public items, one line for each.

use std::collections::BTreeSet;

use proc_macro2::Span;
use quote::ToTokens;
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, Fields, FnArg, GenericParam, Generics, Ident, ImplItem, Item, ItemImpl, ItemTrait, Pat, Path,
    Signature, TraitItem, Type,
};

use crate::conditions::{Conditions, Features, expanded, metas};
use crate::expand;
use crate::modules::{Library, Meaning, attributes, is_hidden, is_public};
use crate::names::{Met, Name, Names, Renamer};
use crate::text::text;

/// A placeholder for the name of a function until its whole path is known.
const NAMELESS: &str = "__nameless";

/// Attributes that users may rely on.
const PROMISES: [&str; 5] = ["deprecated", "diagnostic", "must_use", "non_exhaustive", "repr"];

/// Traits that the compiler derives, each with its name in the snapshot.
const DERIVED: [(&str, &str); 9] = [
    ("Clone", "Clone"),
    ("Copy", "Copy"),
    ("Debug", "std::fmt::Debug"),
    ("Default", "Default"),
    ("Eq", "Eq"),
    ("Hash", "std::hash::Hash"),
    ("Ord", "Ord"),
    ("PartialEq", "PartialEq"),
    ("PartialOrd", "PartialOrd"),
];

/// The public items of a library.
pub struct Api {
    pub lines: Vec<Line>,
    /// Names in signatures that could not be resolved.
    pub unknown: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The path of the item. Lines are sorted by it.
    pub path: String,
    pub text: String,
    /// Paths in other crates that the item names.
    pub external: BTreeSet<String>,
    /// Items of the library that the item names but users cannot name.
    pub private: BTreeSet<String>,
}

impl Api {
    pub fn of(library: &Library, features: &Features) -> Api {
        let names = Names::of(library);
        let api = Api { lines: Vec::new(), unknown: BTreeSet::new() };
        let mut collector = Collector { package: library, names: &names, features, api };
        collector.collect();
        let mut api = collector.api;
        api.lines.sort();
        api.lines.dedup();
        api
    }

    /// Returns the snapshot: a line for each item.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }
}

struct Collector<'l> {
    package: &'l Library,
    names: &'l Names,
    features: &'l Features,
    api: Api,
}

/// The place of an item, its name, and its condition.
struct Spot<'s> {
    place: &'s [String],
    path: String,
    conditions: Conditions,
}

impl Spot<'_> {
    fn below(&self, name: &impl ToString, attributes: &[Attribute]) -> Spot<'_> {
        Spot {
            place: self.place,
            path: format!("{}::{}", self.path, name.to_string()),
            conditions: self.conditions.and(&Conditions::of(attributes)),
        }
    }
}

impl<'l> Collector<'l> {
    fn collect(&mut self) {
        for ((place, item), name) in &self.names.names {
            for found in self.package.items(place, item) {
                let conditions = name.conditions.and(&Conditions::of(attributes(found)));
                self.item(found, &Spot { place, path: name.text(), conditions });
            }
        }
        for (name, target) in &self.names.others {
            let spot = Spot { place: &[], path: name.text(), conditions: name.conditions.clone() };
            let met = Met { external: external(target), ..Met::default() };
            self.line(&spot, format!("pub use {} = {target}", spot.path), met);
        }
        for (place, module) in &self.package.modules {
            for item in &module.items {
                let conditions = module.conditions.and(&Conditions::of(attributes(item)));
                let spot = Spot { place, path: String::new(), conditions };
                match item {
                    Item::Impl(item) if !is_hidden(&item.attrs) => self.implementation(item, spot),
                    Item::Macro(item) if item.attrs.iter().any(|a| a.path().is_ident("macro_export")) => {
                        let (name, rules) = expand::definition(item).expect("it exports a macro");
                        let spot = Spot { path: format!("bustard::{name}!"), ..spot };
                        for matcher in expand::matchers(rules) {
                            let takes = text(&matcher);
                            self.line(&spot, format!("macro {}({takes})", spot.path), Met::default());
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn line(&mut self, spot: &Spot<'_>, text: String, met: Met) {
        let conditions = spot.conditions.text(self.features);
        let when = if conditions.is_empty() { String::new() } else { format!("  [{conditions}]") };
        let Met { external, private, unknown, .. } = met;
        self.api.unknown.extend(unknown.into_iter().map(|name| format!("{}: {name}", spot.path)));
        let text = format!("{text}{when}");
        self.api.lines.push(Line { path: spot.path.clone(), text, external, private });
    }

    fn renamer(&self, spot: &Spot<'_>, generics: &Generics) -> Renamer<'l> {
        let place = self.package.modules.get_key_value(spot.place).expect("items are in modules").0;
        Renamer::new(self.package, self.names, place).with(generics)
    }

    fn item(&mut self, item: &Item, spot: &Spot<'_>) {
        let path = &spot.path;
        match item {
            Item::Mod(_) => self.line(spot, format!("pub mod {path}"), Met::default()),
            Item::Const(item) => self.constant(spot, "const", &item.ty),
            Item::Static(item) => self.constant(spot, "static", &item.ty),
            Item::Fn(item) => self.function(spot, &item.attrs, &item.sig, None),
            Item::Trait(item) => self.a_trait(item, spot),
            Item::Type(item) => {
                let mut renamer = self.renamer(spot, &item.generics);
                let (generics, bounds) = generics(&item.generics, &mut renamer);
                let target = renamed(&mut renamer, &*item.ty, Renamer::visit_type_mut);
                self.line(spot, format!("pub type {path}{generics} = {target}{bounds}"), renamer.met);
            }
            Item::Struct(item) => {
                let mut renamer = self.renamer(spot, &item.generics);
                let promises = promises(&item.attrs);
                let (generics, bounds) = generics(&item.generics, &mut renamer);
                let fields = self.fields(spot, &item.fields, &item.generics, true, &mut renamer);
                let line = format!("{promises}pub struct {path}{generics}{fields}{bounds}");
                self.line(spot, line, renamer.met);
                self.derives(&item.attrs, spot, &item.generics);
            }
            Item::Enum(item) => {
                let mut renamer = self.renamer(spot, &item.generics);
                let promises = promises(&item.attrs);
                let (generics, bounds) = generics(&item.generics, &mut renamer);
                self.line(spot, format!("{promises}pub enum {path}{generics}{bounds}"), renamer.met);
                for variant in item.variants.iter().filter(|variant| !is_hidden(&variant.attrs)) {
                    let spot = spot.below(&variant.ident, &variant.attrs);
                    let mut renamer = self.renamer(&spot, &item.generics);
                    let fields = self.fields(&spot, &variant.fields, &item.generics, false, &mut renamer);
                    let number =
                        variant.discriminant.as_ref().map(|(_, number)| format!(" = {}", text(number)));
                    let number = number.unwrap_or_default();
                    let promises = self::promises(&variant.attrs);
                    self.line(&spot, format!("{promises}pub {}{fields}{number}", spot.path), renamer.met);
                }
                self.derives(&item.attrs, spot, &item.generics);
            }
            _ => panic!("{path} is an item of another sort"),
        }
    }

    fn constant(&mut self, spot: &Spot<'_>, word: &str, ty: &Type) {
        let mut renamer = self.renamer(spot, &Generics::default());
        let ty = renamed(&mut renamer, ty, Renamer::visit_type_mut);
        self.line(spot, format!("pub {word} {}: {ty}", spot.path), renamer.met);
    }

    /// Returns the text after the name of a type or a variant. Public named fields have
    /// lines of their own.
    fn fields(
        &mut self,
        spot: &Spot<'_>,
        fields: &Fields,
        generics: &Generics,
        of_struct: bool,
        renamer: &mut Renamer<'l>,
    ) -> String {
        let is_shown = |field: &syn::Field| (!of_struct || is_public(&field.vis)) && !is_hidden(&field.attrs);
        let all_are_shown = fields.iter().all(is_shown);
        match fields {
            Fields::Unit => String::new(),
            Fields::Unnamed(fields) => {
                let types = fields.unnamed.iter().map(|field| match is_shown(field) {
                    true => renamed(renamer, &field.ty, Renamer::visit_type_mut),
                    false => "_".to_owned(),
                });
                format!("({})", types.collect::<Vec<_>>().join(", "))
            }
            Fields::Named(fields) => {
                for field in fields.named.iter().filter(|field| is_shown(field)) {
                    let name = field.ident.as_ref().expect("it is named");
                    let spot = spot.below(name, &field.attrs);
                    let mut renamer = self.renamer(&spot, generics);
                    let ty = renamed(&mut renamer, &field.ty, Renamer::visit_type_mut);
                    self.line(&spot, format!("pub {}: {ty}", spot.path), renamer.met);
                }
                // With private fields, users can neither construct nor destructure
                // it.
                if all_are_shown { " { public }".to_owned() } else { " { private }".to_owned() }
            }
        }
    }

    fn derives(&mut self, attributes: &[Attribute], spot: &Spot<'_>, of: &Generics) {
        for (meta, conditions) in expanded(attributes) {
            if !meta.path().is_ident("derive") || conditions.are_of_tests() {
                continue;
            }
            let spot =
                Spot { path: spot.path.clone(), conditions: spot.conditions.and(&conditions), ..*spot };
            for derived in metas(&meta) {
                let name = text(derived.path());
                let standard = DERIVED.iter().find(|(word, _)| *word == name).map(|(_, path)| *path);
                let mut renamer = self.renamer(&spot, of);
                let derived = match standard {
                    Some(path) => path.to_owned(),
                    None => renamed(&mut renamer, derived.path(), Renamer::visit_path_mut),
                };
                let types: Vec<String> = of.type_params().map(|param| param.ident.to_string()).collect();
                let bound: Vec<String> = types.iter().map(|name| format!("{name}: {derived}")).collect();
                let bound = if bound.is_empty() { String::new() } else { format!("<{}>", bound.join(", ")) };
                let (_, arguments, _) = of.split_for_impl();
                let word = if standard.is_some() { "impl" } else { "derive" };
                let line = format!("{word}{bound} {derived} for {}{}", spot.path, text(&arguments));
                self.line(&spot, line, renamer.met);
            }
        }
    }

    /// Adds a function. For a method, `of` is the type with the generics of its `impl`.
    fn function(
        &mut self,
        spot: &Spot<'_>,
        attributes: &[Attribute],
        signature: &Signature,
        of: Option<(&str, &Generics)>,
    ) {
        let none = Generics::default();
        let around = of.map_or(&none, |(_, generics)| generics);
        let mut renamer = self.renamer(spot, around);
        let mut signature = signature.clone();
        let path = match of {
            Some((ty, _)) => format!("{ty}::{}", signature.ident),
            None => spot.path.clone(),
        };
        // Whether a function changes its own parameter (`mut`) is not part of the API.
        for input in &mut signature.inputs {
            match input {
                FnArg::Receiver(receiver) => receiver.mutability = None,
                FnArg::Typed(input) => {
                    if let Pat::Ident(name) = &mut *input.pat {
                        name.mutability = None;
                    }
                }
            }
        }
        signature.ident = Ident::new(NAMELESS, Span::call_site());
        renamer.visit_signature_mut(&mut signature);
        let (_, outer) = generics(around, &mut renamer);
        let own = signature.generics.where_clause.take().map(|clause| text(&clause.predicates));
        let bounds: Vec<String> =
            outer.strip_prefix(" where ").map(str::to_owned).into_iter().chain(own).collect();
        let bounds = if bounds.is_empty() { String::new() } else { format!(" where {}", bounds.join(", ")) };
        let promises = promises(attributes);
        let written = text(&signature).replace(NAMELESS, &path);
        self.line(spot, format!("{promises}pub {written}{bounds}"), renamer.met);
    }

    fn a_trait(&mut self, item: &ItemTrait, spot: &Spot<'_>) {
        let mut renamer = self.renamer(spot, &item.generics);
        let (generics, bounds) = generics(&item.generics, &mut renamer);
        let supertraits = item
            .supertraits
            .iter()
            .map(|bound| renamed(&mut renamer, bound, Renamer::visit_type_param_bound_mut));
        let supertraits = supertraits.collect::<Vec<_>>().join(" + ");
        let colon = if supertraits.is_empty() { "" } else { ": " };
        let promises = promises(&item.attrs);
        let path = &spot.path;
        // This trait is sealed by a trait that users cannot name.
        renamer.met.private.clear();
        self.line(
            spot,
            format!("{promises}pub trait {path}{generics}{colon}{supertraits}{bounds}"),
            renamer.met,
        );
        for inner in &item.items {
            match inner {
                TraitItem::Fn(inner) if !is_hidden(&inner.attrs) => {
                    let spot = spot.below(&inner.sig.ident, &inner.attrs);
                    self.function(&spot, &inner.attrs, &inner.sig, Some((path, &item.generics)));
                    if inner.default.is_some() {
                        let line = self.api.lines.last_mut().expect("it was added");
                        line.text.insert_str(0, "provided ");
                    }
                }
                TraitItem::Const(inner) => {
                    self.constant(&spot.below(&inner.ident, &inner.attrs), "const", &inner.ty);
                }
                TraitItem::Type(inner) => {
                    let spot = spot.below(&inner.ident, &inner.attrs);
                    let mut renamer = self.renamer(&spot, &item.generics);
                    let bounds = inner
                        .bounds
                        .iter()
                        .map(|bound| renamed(&mut renamer, bound, Renamer::visit_type_param_bound_mut));
                    let bounds = bounds.collect::<Vec<_>>().join(" + ");
                    self.line(&spot, format!("pub type {}: {bounds}", spot.path), renamer.met);
                }
                TraitItem::Fn(_) => {}
                _ => panic!("{path} has an item of another sort"),
            }
        }
    }

    fn implementation(&mut self, item: &ItemImpl, spot: Spot<'_>) {
        let mut renamer = self.renamer(&spot, &item.generics);
        let ty = renamed(&mut renamer, &*item.self_ty, Renamer::visit_type_mut);
        let of = self.item_of(spot.place, &item.self_ty);
        match (&item.trait_, of) {
            (None, Some(Some(name))) => {
                let conditions = spot.conditions.and(&name.conditions);
                let spot = Spot { path: name.text(), conditions, ..spot };
                for inner in &item.items {
                    match inner {
                        ImplItem::Fn(inner) if is_public(&inner.vis) && !is_hidden(&inner.attrs) => {
                            let spot = spot.below(&inner.sig.ident, &inner.attrs);
                            if !spot.conditions.are_of_tests() {
                                self.function(&spot, &inner.attrs, &inner.sig, Some((&ty, &item.generics)));
                            }
                        }
                        ImplItem::Const(inner) if is_public(&inner.vis) && !is_hidden(&inner.attrs) => {
                            self.constant(&spot.below(&inner.ident, &inner.attrs), "const", &inner.ty);
                        }
                        ImplItem::Fn(_) | ImplItem::Const(_) => {}
                        _ => panic!("an impl of {ty} has an item of another sort"),
                    }
                }
            }
            // Users cannot name the type of the `impl`.
            (None, _) | (Some(_), Some(None)) => {}
            (Some((path, _)), of) => self.trait_of(item, path, of.flatten(), &ty, renamer, spot),
        }
    }

    fn trait_of(
        &mut self,
        item: &ItemImpl,
        path: &Path,
        of: Option<&Name>,
        ty: &str,
        mut renamer: Renamer<'l>,
        spot: Spot<'_>,
    ) {
        let its_trait = self.meant(spot.place, path);
        let is_sealed = matches!(its_trait, Some(None));
        let written = renamed(&mut renamer, path, Renamer::visit_path_mut);
        if is_sealed || !renamer.met.private.is_empty() || !renamer.met.public {
            return;
        }
        let names = [of, its_trait.flatten()];
        let conditions = names.iter().flatten().fold(spot.conditions, |all, name| all.and(&name.conditions));
        let path = names.iter().flatten().next().map_or_else(|| written.clone(), |name| name.text());
        let spot = Spot { path, conditions, ..spot };
        let (_, bounds) = generics(&item.generics, &mut renamer);
        let parameters = item.generics.params.iter().map(|param| match param {
            GenericParam::Type(param) => param.ident.to_string(),
            GenericParam::Const(param) => text(param),
            GenericParam::Lifetime(param) => text(param),
        });
        let parameters = parameters.collect::<Vec<_>>().join(", ");
        let parameters = if parameters.is_empty() { parameters } else { format!("<{parameters}>") };
        let mut inner = Vec::new();
        for item in &item.items {
            if let ImplItem::Type(item) = item {
                let ty = renamed(&mut renamer, &item.ty, Renamer::visit_type_mut);
                inner.push(format!("type {} = {ty}", item.ident));
            }
        }
        let inner = if inner.is_empty() { String::new() } else { format!(" {{ {} }}", inner.join("; ")) };
        self.line(&spot, format!("impl{parameters} {written} for {ty}{bounds}{inner}"), renamer.met);
    }

    /// Returns the library's item that a type refers to, behind references. Returns `None`
    /// if the type is not an item of the library, and `Some(None)` if users cannot name the
    /// item.
    fn item_of(&self, place: &[String], ty: &Type) -> Option<Option<&'l Name>> {
        match ty {
            Type::Reference(inner) => self.item_of(place, &inner.elem),
            Type::Paren(inner) => self.item_of(place, &inner.elem),
            Type::Group(inner) => self.item_of(place, &inner.elem),
            Type::Path(path) if path.qself.is_none() => self.meant(place, &path.path),
            _ => None,
        }
    }

    fn meant(&self, place: &[String], path: &Path) -> Option<Option<&'l Name>> {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let meanings = self.package.resolve(place, &segments, path.leading_colon.is_some());
        meanings.iter().find_map(|meaning| match meaning {
            Meaning::Item(place, item, _) => Some(self.names.get(place, item)),
            _ => None,
        })
    }
}

fn external(target: &str) -> BTreeSet<String> {
    if target.starts_with("bustard::") { BTreeSet::new() } else { BTreeSet::from([target.to_owned()]) }
}

/// Returns syntax as text, with the names that users know.
fn renamed<'l, T: Clone + ToTokens>(
    renamer: &mut Renamer<'l>,
    syntax: &T,
    visit: impl FnOnce(&mut Renamer<'l>, &mut T),
) -> String {
    let mut syntax = syntax.clone();
    visit(renamer, &mut syntax);
    text(&syntax)
}

/// Returns the parameters with their defaults, and all bounds as a `where` clause.
fn generics(generics: &Generics, renamer: &mut Renamer<'_>) -> (String, String) {
    let mut generics = generics.clone();
    renamer.visit_generics_mut(&mut generics);
    let mut bounds = Vec::new();
    for param in generics.type_params_mut().filter(|param| !param.bounds.is_empty()) {
        bounds.push(format!("{}: {}", param.ident, text(&param.bounds)));
        param.bounds.clear();
        param.colon_token = None;
    }
    let clause = generics.where_clause.take();
    bounds.extend(clause.iter().flat_map(|clause| clause.predicates.iter().map(text)));
    let bounds = if bounds.is_empty() { String::new() } else { format!(" where {}", bounds.join(", ")) };
    (text(&generics), bounds)
}

fn promises(attributes: &[Attribute]) -> String {
    let all = expanded(attributes).into_iter().filter_map(|(meta, _)| {
        let word = meta.path().segments.first()?.ident.to_string();
        // Doc attributes are documentation, not API.
        PROMISES.contains(&word.as_str()).then(|| match word.as_str() {
            "repr" => format!("#[{}] ", text(&meta)),
            _ => format!("#[{}] ", text(meta.path())),
        })
    });
    all.collect()
}
