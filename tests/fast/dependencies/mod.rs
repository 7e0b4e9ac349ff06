//! Tests the order of migrations across apps, on 200 generated apps with ten migrations
//! each. The order satisfies every dependency and is always the same. An app without
//! dependants does not change the order of the other apps.

mod apps;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::support::Random;
use apps::{Asks, Name, Spec, generate, planned};
use proptest::prelude::*;

const APPS: usize = 200;
const MIGRATIONS: usize = 10;

type Checked = Result<(), String>;
type Planner<'p> = dyn Fn(&[Spec]) -> Vec<Name> + 'p;

/// Reports whether the order has every migration once, after all its dependencies.
fn respects(specs: &[Spec], order: &[Name]) -> Checked {
    let at: BTreeMap<&Name, usize> = order.iter().enumerate().map(|(n, name)| (name, n)).collect();
    let own = order.iter().filter(|(label, _)| label == "bustard").count();
    if order[..own].iter().any(|(label, _)| label != "bustard") {
        return Err("something comes before Bustard's own tables".into());
    }
    let count = specs.iter().map(|spec| spec.migrations.len()).sum::<usize>();
    if at.len() != order.len() || at.len() != own + count {
        return Err(format!("{} steps, {} of them different, for {count} migrations", order.len(), at.len()));
    }
    let come = |first: &Name, second: &Name, why: &str| match (at.get(first), at.get(second)) {
        (Some(first), Some(second)) if first < second => Ok(()),
        _ => Err(format!("{first:?} does not come before {second:?}: {why}")),
    };
    for spec in specs {
        let name = |asks: &Asks| (spec.label.clone(), asks.version);
        for pair in spec.migrations.windows(2) {
            come(&name(&pair[0]), &name(&pair[1]), "order of versions")?;
        }
        for asks in &spec.migrations {
            let this = name(asks);
            asks.depends_on.iter().try_for_each(|other| come(other, &this, "depends on"))?;
            asks.required_by.iter().try_for_each(|other| come(&this, other, "required by"))?;
            for app in &asks.depends_on_apps {
                let whole = specs.iter().find(|spec| spec.label == *app).expect("it was generated");
                for other in &whole.migrations {
                    come(&(app.clone(), other.version), &this, "depends on the app")?;
                }
            }
        }
    }
    Ok(())
}

/// Returns an app that has dependencies and no dependants.
fn leaf(label: &str, specs: &[Spec], random: &mut Random) -> Spec {
    let migrations = (1..=10).map(|version| {
        let other = &specs[random.below(specs.len())];
        let needed = other.migrations[random.below(other.migrations.len())].version;
        Asks { version, depends_on: vec![(other.label.clone(), needed)], ..Asks::default() }
    });
    Spec { label: label.to_owned(), migrations: migrations.collect() }
}

/// Checks all promises about an order.
fn keeps_its_promises(plan: &Planner<'_>, specs: &[Spec], random: &mut Random) -> Checked {
    let order = plan(specs);
    respects(specs, &order)?;
    if plan(specs) != order {
        return Err("another order in another run".into());
    }
    let mut shuffled = specs.to_vec();
    for last in (1..shuffled.len()).rev() {
        shuffled.swap(last, random.below(last + 1));
    }
    if plan(&shuffled) != order {
        return Err("another order when the apps are given in another one".into());
    }
    for label in ["aaa", "app100_more", "zzz"] {
        let mut more = specs.to_vec();
        more.insert(random.below(specs.len() + 1), leaf(label, specs, random));
        let mut with_leaf = plan(&more);
        respects(&more, &with_leaf)?;
        with_leaf.retain(|(app, _)| app != label);
        if with_leaf != order {
            return Err(format!("the app {label} reorders the others"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn two_hundred_apps_have_one_order(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let specs = generate(APPS, MIGRATIONS, &mut random);
        let count = |edges: fn(&Asks) -> usize| -> usize {
            specs.iter().flat_map(|spec| &spec.migrations).map(edges).sum()
        };
        let edges = [
            count(|asks| asks.depends_on.len()),
            count(|asks| asks.required_by.len()),
            count(|asks| asks.depends_on_apps.len()),
        ];
        println!("seed {seed}: depends on, required by, depends on the app: {edges:?}");
        prop_assert!(edges.iter().all(|count| *count > 50), "{edges:?}");
        prop_assert_eq!(keeps_its_promises(&planned, &specs, &mut random), Ok(()));
    }
}

/// Returns a planner that removes an element of the generated apps before planning.
fn without(change: fn(&mut Asks)) -> impl Fn(&[Spec]) -> Vec<Name> {
    move |specs| {
        let mut specs = specs.to_vec();
        specs.iter_mut().flat_map(|spec| &mut spec.migrations).for_each(change);
        planned(&specs)
    }
}

/// Plans with `key` instead of the label to choose among available migrations.
fn keyed(specs: &[Spec], key: impl Fn(usize) -> usize) -> Vec<Name> {
    let names: BTreeMap<&str, String> =
        specs.iter().enumerate().map(|(n, spec)| (spec.label.as_str(), format!("k{:04}", key(n)))).collect();
    let mut renamed = specs.to_vec();
    for spec in &mut renamed {
        spec.label = names[spec.label.as_str()].clone();
        for asks in &mut spec.migrations {
            for (app, _) in asks.depends_on.iter_mut().chain(&mut asks.required_by) {
                *app = names[app.as_str()].clone();
            }
            asks.depends_on_apps.iter_mut().for_each(|app| *app = names[app.as_str()].clone());
        }
    }
    let labels: BTreeMap<&str, &str> = names.iter().map(|(label, key)| (key.as_str(), *label)).collect();
    let label = |key: &str| labels.get(key).copied().unwrap_or("bustard").to_owned();
    planned(&renamed).into_iter().map(|(key, version)| (label(&key), version)).collect()
}

/// Returns another valid order: depth first, with the smallest label first. A new app
/// changes this order.
fn depth_first(specs: &[Spec]) -> Vec<Name> {
    let mut before: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    for spec in specs {
        for (m, asks) in spec.migrations.iter().enumerate() {
            let this = (spec.label.clone(), asks.version);
            for other in &asks.required_by {
                before.entry(other.clone()).or_default().insert(this.clone());
            }
            let whole = asks.depends_on_apps.iter().map(|app| {
                let spec = specs.iter().find(|spec| spec.label == *app).expect("it was generated");
                (app.clone(), spec.migrations.last().expect("it has some").version)
            });
            let earlier = m.checked_sub(1).map(|m| (spec.label.clone(), spec.migrations[m].version));
            let needs = asks.depends_on.iter().cloned().chain(whole).chain(earlier);
            before.entry(this).or_default().extend(needs);
        }
    }
    fn visit(name: &Name, before: &BTreeMap<Name, BTreeSet<Name>>, order: &mut Vec<Name>) {
        if !order.contains(name) {
            before[name].iter().for_each(|needed| visit(needed, before, order));
            order.push(name.clone());
        }
    }
    let mut order = Vec::new();
    before.keys().for_each(|name| visit(name, &before, &mut order));
    order
}

/// Proves that the checker finds faults.
#[test]
fn the_check_finds_seeded_faults() {
    let toggled = Cell::new(false);
    let by_chance = |specs: &[Spec]| {
        let turned = toggled.replace(!toggled.get());
        keyed(specs, |n| if turned { specs.len() - n } else { n })
    };
    let one_short = |specs: &[Spec]| {
        let mut order = planned(specs);
        order.pop();
        order
    };
    let one_twice = |specs: &[Spec]| {
        let mut order = planned(specs);
        order.extend(order.last().cloned());
        order
    };
    let upside_down = |specs: &[Spec]| planned(specs).into_iter().rev().collect();
    let faults: [(&Planner<'_>, &str); 9] = [
        (&without(|asks| asks.depends_on.clear()), ": depends on"),
        (&without(|asks| asks.required_by.clear()), ": required by"),
        (&without(|asks| asks.depends_on_apps.clear()), ": depends on the app"),
        (&upside_down, "before Bustard's own tables"),
        (&one_short, "different, for"),
        (&one_twice, "different, for"),
        (&by_chance, "another order in another run"),
        (&|specs| keyed(specs, |n| n), "given in another one"),
        (&depth_first, "reorders the others"),
    ];
    for (fault, expected) in faults {
        let mut random = Random::new(20);
        let specs = generate(60, MIGRATIONS, &mut random);
        let found = keeps_its_promises(fault, &specs, &mut random).expect_err(expected);
        println!("{found}");
        assert!(found.contains(expected), "{found:?} is not {expected:?}");
    }
    let mut random = Random::new(20);
    let specs = generate(60, MIGRATIONS, &mut random);
    assert_eq!(keeps_its_promises(&planned, &specs, &mut random), Ok(()));
}
