//! Finds the items that users can name, and writes signatures with these names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, GenericParam, Generics, Ident, Item, Path, PathArguments, PathSegment};

use crate::conditions::Conditions;
use crate::modules::{Library, Meaning, Place, attributes, is_hidden, is_public};

/// Names that need no `use`.
const PRELUDE: &[&str] = &[
    "AsMut",
    "AsRef",
    "Box",
    "Clone",
    "Copy",
    "Default",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "Err",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Future",
    "Into",
    "IntoFuture",
    "IntoIterator",
    "Iterator",
    "None",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Send",
    "Sized",
    "Some",
    "String",
    "Sync",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
    "Unpin",
    "Vec",
    "bool",
    "char",
    "f32",
    "f64",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "isize",
    "str",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "usize",
];

/// The identity of an item or a module: the module that contains it, and its name there.
type Key = (Place, String);

/// All items that users can name.
#[derive(Default)]
pub struct Names {
    /// The first and shortest name of each item and module.
    pub names: BTreeMap<Key, Name>,
    /// Additional names, and names of other crates and their items.
    pub others: Vec<(Name, String)>,
}

#[derive(Clone)]
pub struct Name {
    pub path: Vec<String>,
    pub conditions: Conditions,
}

impl Name {
    pub fn text(&self) -> String {
        self.path.join("::")
    }
}

impl Names {
    pub fn of(library: &Library) -> Names {
        let mut names = Names::default();
        let root = Name { path: vec!["bustard".to_owned()], conditions: Conditions::default() };
        let mut open = VecDeque::from([(Place::new(), root)]);
        while let Some((place, name)) = open.pop_front() {
            names.publish(library, &place, &name, &mut open);
        }
        names
    }

    /// Adds the names of items that a module declares public.
    fn publish(
        &mut self,
        library: &Library,
        place: &Place,
        module: &Name,
        open: &mut VecDeque<(Place, Name)>,
    ) {
        let below = |name: &str, conditions: &Conditions| Name {
            path: [module.path.as_slice(), &[name.to_owned()]].concat(),
            conditions: module.conditions.and(conditions),
        };
        for item in &library.modules[place].items {
            let attributes = attributes(item);
            let Some((name, true)) = named(item) else { continue };
            if is_hidden(attributes) {
                continue;
            }
            let name_of = below(&name.to_string(), &Conditions::of(attributes));
            let meaning = match item {
                Item::Mod(_) => Meaning::Module([place.as_slice(), &[name.to_string()]].concat()),
                _ => Meaning::Item(place.clone(), name.to_string(), Vec::new()),
            };
            self.name(library, meaning, name_of, open);
        }
        for used in library.modules[place].uses.iter().filter(|used| used.public && !used.hidden) {
            for meaning in library.meant(place, used, 0) {
                match (&used.name, meaning) {
                    (Some(name), meaning) => {
                        self.name(library, meaning, below(name, &used.conditions), open);
                    }
                    (None, Meaning::Module(all)) => {
                        let conditions = module.conditions.and(&used.conditions);
                        let same = Name { path: module.path.clone(), conditions };
                        self.publish(library, &all, &same, open);
                    }
                    (None, Meaning::External(path)) => {
                        self.others.push((below("*", &used.conditions), path.join("::")))
                    }
                    (None, Meaning::Item(_, name, _)) => panic!("`pub use {name}::*` is not known here"),
                }
            }
        }
    }

    fn name(&mut self, library: &Library, meaning: Meaning, name: Name, open: &mut VecDeque<(Place, Name)>) {
        let (key, around) = match &meaning {
            Meaning::Module(place) => {
                let (last, before) = place.split_last().expect("the root has its name");
                ((before.to_vec(), last.clone()), place)
            }
            Meaning::Item(place, item, _) => ((place.clone(), item.clone()), place),
            Meaning::External(path) => {
                self.others.push((name, path.join("::")));
                return;
            }
        };
        // The module of the item may be private, although users can name the item.
        let around = &library.modules[around];
        let conditions = name.conditions.and(&around.conditions);
        let name = Name { conditions, ..name };
        if let Some(first) = self.names.get(&key) {
            if first.path != name.path {
                self.others.push((name, first.text()));
            }
            return;
        }
        if let Meaning::Module(place) = meaning {
            open.push_back((place, name.clone()));
        }
        self.names.insert(key, name);
    }

    pub fn get(&self, place: &[String], item: &str) -> Option<&Name> {
        self.names.get(&(place.to_vec(), item.to_owned()))
    }
}

/// Returns the name of an item that other code can name, and whether it is public.
fn named(item: &Item) -> Option<(&Ident, bool)> {
    match item {
        Item::Const(item) => Some((&item.ident, is_public(&item.vis))),
        Item::Enum(item) => Some((&item.ident, is_public(&item.vis))),
        Item::Fn(item) => Some((&item.sig.ident, is_public(&item.vis))),
        Item::Mod(item) => Some((&item.ident, is_public(&item.vis))),
        Item::Static(item) => Some((&item.ident, is_public(&item.vis))),
        Item::Struct(item) => Some((&item.ident, is_public(&item.vis))),
        Item::Trait(item) => Some((&item.ident, is_public(&item.vis))),
        Item::Type(item) => Some((&item.ident, is_public(&item.vis))),
        _ => None,
    }
}

/// Replaces the names in syntax by the names that users know.
pub struct Renamer<'l> {
    pub package: &'l Library,
    pub names: &'l Names,
    /// The module of the syntax.
    pub place: &'l [String],
    /// The type parameters in scope.
    pub generics: BTreeSet<String>,
    pub met: Met,
}

/// The items that a signature names.
#[derive(Default)]
pub struct Met {
    pub external: BTreeSet<String>,
    /// Items of the library that users cannot name.
    pub private: BTreeSet<String>,
    pub public: bool,
    pub unknown: BTreeSet<String>,
}

impl<'l> Renamer<'l> {
    pub fn new(library: &'l Library, names: &'l Names, place: &'l [String]) -> Renamer<'l> {
        Renamer { package: library, names, place, generics: BTreeSet::new(), met: Met::default() }
    }

    /// Adds these type parameters to the scope.
    pub fn with(mut self, generics: &Generics) -> Renamer<'l> {
        self.know(generics);
        self
    }

    fn know(&mut self, generics: &Generics) {
        self.generics.extend(generics.params.iter().filter_map(|param| match param {
            GenericParam::Type(param) => Some(param.ident.to_string()),
            GenericParam::Const(param) => Some(param.ident.to_string()),
            GenericParam::Lifetime(_) => None,
        }));
    }

    /// Returns the name that users know for the item that a path refers to; `None` if the
    /// path needs no change.
    fn renamed(&mut self, segments: &[String], absolute: bool) -> Option<Vec<String>> {
        let first = &segments[0];
        if !absolute && (first == "Self" || self.generics.contains(first)) {
            return None;
        }
        let meanings = self.package.resolve(self.place, segments, absolute);
        let public = |meaning: &Meaning| match meaning {
            Meaning::Item(place, item, behind) => {
                let name = self.names.get(place, item)?;
                Some([name.path.as_slice(), behind].concat())
            }
            _ => None,
        };
        if let Some(path) = meanings.iter().find_map(public) {
            self.met.public = true;
            return Some(path);
        }
        match meanings.into_iter().find(|meaning| !matches!(meaning, Meaning::Module(_))) {
            Some(Meaning::External(path)) => {
                self.met.external.insert(path.join("::"));
                Some(path)
            }
            Some(Meaning::Item(_, item, behind)) => {
                self.met.private.insert(item.clone());
                Some([&["private".to_owned(), item][..], &behind].concat())
            }
            _ => {
                if !PRELUDE.contains(&first.as_str()) {
                    self.met.unknown.insert(segments.join("::"));
                }
                None
            }
        }
    }
}

impl VisitMut for Renamer<'_> {
    fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
        attributes.clear();
    }

    fn visit_generics_mut(&mut self, generics: &mut Generics) {
        self.know(generics);
        visit_mut::visit_generics_mut(self, generics);
    }

    fn visit_path_mut(&mut self, path: &mut Path) {
        visit_mut::visit_path_mut(self, path);
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let Some(renamed) = self.renamed(&segments, path.leading_colon.is_some()) else { return };
        // Type arguments keep their segments, counted from the end.
        let mut arguments: Vec<PathArguments> =
            path.segments.iter().map(|segment| segment.arguments.clone()).rev().collect();
        arguments.resize(renamed.len(), PathArguments::None);
        let segment = |(name, arguments): (&String, PathArguments)| PathSegment {
            ident: Ident::new(name, proc_macro2::Span::call_site()),
            arguments,
        };
        path.leading_colon = None;
        path.segments = renamed.iter().zip(arguments.into_iter().rev()).map(segment).collect();
    }
}
