//! Reads the `cfg` conditions of an item, as conditions on the package's features.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// The predicate of a `cfg`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    Feature(String),
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    /// `test`, `unix` and other predicates that are not features.
    Other(String),
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conditions(BTreeSet<Condition>);

/// The features of the package. Each feature is mapped to all features that it enables,
/// including itself.
pub struct Features(BTreeMap<String, BTreeSet<String>>);

impl Condition {
    fn of(meta: &Meta) -> Condition {
        let text = meta.to_token_stream().to_string();
        match meta {
            Meta::NameValue(pair) if pair.path.is_ident("feature") => {
                let value = pair.value.to_token_stream().to_string();
                Condition::Feature(value.trim_matches('"').to_owned())
            }
            Meta::List(list) => {
                let inner: Vec<Condition> = metas(meta).iter().map(Condition::of).collect();
                match list.path.to_token_stream().to_string().as_str() {
                    "any" => Condition::Any(inner),
                    "all" => Condition::All(inner),
                    "not" => {
                        Condition::Not(Box::new(inner.into_iter().next().expect("`not` has a condition")))
                    }
                    _ => Condition::Other(text),
                }
            }
            _ => Condition::Other(text),
        }
    }

    /// Reports whether the condition holds only in builds of tests.
    fn is_of_tests(&self) -> bool {
        match self {
            Condition::Other(word) => word == "test" || word == "doctest",
            Condition::All(all) => all.iter().any(Condition::is_of_tests),
            Condition::Any(any) => !any.is_empty() && any.iter().all(Condition::is_of_tests),
            Condition::Feature(_) | Condition::Not(_) => false,
        }
    }

    /// Reports whether the condition holds in every build with these features.
    fn follows_from(&self, enabled: &BTreeSet<String>) -> bool {
        match self {
            Condition::Feature(name) => enabled.contains(name),
            Condition::Any(any) => any.iter().any(|one| one.follows_from(enabled)),
            Condition::All(all) => all.iter().all(|one| one.follows_from(enabled)),
            Condition::Not(_) | Condition::Other(_) => false,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join =
            |all: &[Condition], word| all.iter().map(Condition::to_string).collect::<Vec<_>>().join(word);
        match self {
            Condition::Feature(name) => f.write_str(name),
            Condition::Any(any) => f.write_str(&join(any, " or ")),
            Condition::All(all) => write!(f, "({})", join(all, " and ")),
            Condition::Not(inner) => write!(f, "not {inner}"),
            Condition::Other(text) => write!(f, "cfg {text}"),
        }
    }
}

impl Conditions {
    /// Returns the conditions in the attributes of an item.
    pub fn of(attributes: &[Attribute]) -> Conditions {
        let mut conditions = Conditions::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")) {
            for meta in metas(&attribute.meta) {
                conditions.add(Condition::of(&meta));
            }
        }
        conditions
    }

    fn add(&mut self, condition: Condition) {
        match condition {
            Condition::All(all) => all.into_iter().for_each(|one| self.add(one)),
            one => drop(self.0.insert(one)),
        }
    }

    pub fn and(&self, other: &Conditions) -> Conditions {
        Conditions(self.0.union(&other.0).cloned().collect())
    }

    /// Reports whether the conditions hold only in builds of tests.
    pub fn are_of_tests(&self) -> bool {
        self.0.iter().any(Condition::is_of_tests)
    }

    /// Returns the conditions as text, without conditions that follow from another one.
    pub fn text(&self, features: &Features) -> String {
        let follows = |condition: &Condition| {
            self.0.iter().any(|other| match other {
                Condition::Feature(name) if other != condition => {
                    features.0.get(name).is_some_and(|enabled| condition.follows_from(enabled))
                }
                _ => false,
            })
        };
        let left = self.0.iter().filter(|condition| !follows(condition));
        left.map(Condition::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Features {
    /// Reads the section `[features]` of a manifest.
    pub fn read(manifest: &str) -> Features {
        let section = manifest.split("\n[features]\n").nth(1).expect("the package has features");
        let section = section.split("\n[").next().unwrap_or_default();
        let lines: String = section.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let mut direct = BTreeMap::new();
        for entry in lines.split(']').filter(|entry| !entry.trim().is_empty()) {
            let (name, enabled) = entry.split_once('=').expect("an entry has a name");
            let words = enabled.split('"').skip(1).step_by(2).map(str::to_owned);
            direct.insert(name.trim().to_owned(), words.collect::<Vec<_>>());
        }
        let mut all = BTreeMap::new();
        for name in direct.keys() {
            let (mut enabled, mut open) = (BTreeSet::new(), vec![name.clone()]);
            while let Some(feature) = open.pop() {
                if enabled.insert(feature.clone()) {
                    open.extend(direct.get(&feature).into_iter().flatten().cloned());
                }
            }
            all.insert(name.clone(), enabled);
        }
        Features(all)
    }
}

/// Returns the attributes of an item, including attributes in `cfg_attr`, each with its
/// condition.
pub fn expanded(attributes: &[Attribute]) -> Vec<(Meta, Conditions)> {
    let mut all = Vec::new();
    for attribute in attributes {
        if !attribute.path().is_ident("cfg_attr") {
            all.push((attribute.meta.clone(), Conditions::default()));
            continue;
        }
        let mut parts = metas(&attribute.meta).into_iter();
        let mut conditions = Conditions::default();
        conditions.add(Condition::of(&parts.next().expect("`cfg_attr` has a condition")));
        all.extend(parts.map(|part| (part, conditions.clone())));
    }
    all
}

/// Returns the elements of a list such as `cfg(…)`, `derive(…)` and `doc(…)`.
pub fn metas(meta: &Meta) -> Vec<Meta> {
    let Meta::List(list) = meta else { return Vec::new() };
    let elements = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    elements.map(|elements| elements.into_iter().collect()).unwrap_or_default()
}
