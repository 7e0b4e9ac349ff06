use std::collections::HashMap;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::model::{LoadedMigration, Migration, MigrationId, Prefix};

fn app(label: &str, migrations: impl IntoIterator<Item = (i64, Migration)>) -> LoadedApp {
    let migrations = migrations.into_iter().map(|(version, migration)| {
        let id = MigrationId { version, prefix: Prefix::V, name: "x".into() };
        let place = Place::at(format!("{label}/V{version}__x.sql"), 1, 1);
        LoadedMigration::of(id, migration, Some(place))
    });
    LoadedApp { label: label.into(), history: None, migrations: migrations.collect(), edition: None }
}

fn plain(label: &str, versions: impl IntoIterator<Item = i64>) -> LoadedApp {
    app(label, versions.into_iter().map(|version| (version, Migration::new())))
}

fn names(apps: &[LoadedApp]) -> Vec<String> {
    let order = Graph::new(apps, &HashSet::new()).expect("there is an order").order;
    order.iter().map(|(a, m)| format!("{}{}", apps[*a].label, apps[*a].migrations[*m].id.version)).collect()
}

fn problems(apps: &[LoadedApp]) -> Vec<String> {
    problems_beside(apps, [])
}

/// Returns the diagnostics of the graph when the apps in `broken` have other errors.
fn problems_beside<const N: usize>(apps: &[LoadedApp], broken: [usize; N]) -> Vec<String> {
    let problems = Graph::new(apps, &HashSet::from(broken)).expect_err("there is no order");
    problems.iter().map(|(_, error)| error.report().to_string()).collect()
}

#[test]
fn the_order_is_by_label_and_version() {
    let apps = [plain("b", [1, 2]), plain("a", [3, 10]), plain("bustard", [1])];
    assert_eq!(names(&apps), ["bustard1", "a3", "a10", "b1", "b2"]);
}

#[test]
fn dependencies_come_first() {
    let apps = [
        app("a", [(1, Migration::new().depends_on("c", 1)), (2, Migration::new().depends_on_app("b"))]),
        plain("b", [1, 2]),
        app("c", [(1, Migration::new()), (2, Migration::new().required_by("b", 1))]),
    ];
    assert_eq!(names(&apps), ["c1", "a1", "c2", "b1", "b2", "a2"]);
    assert_eq!(names(&[app("a", [(1, Migration::new().depends_on_app("b"))]), plain("b", [])]), ["a1"]);
}

/// Adds repeatable migrations with these names to the app.
fn with_repeatables(
    mut app: LoadedApp,
    named: impl IntoIterator<Item = (&'static str, Migration)>,
) -> LoadedApp {
    app.migrations.extend(named.into_iter().map(|(name, migration)| {
        let place = Place::at(format!("{}/R__{name}.sql", app.label), 1, 1);
        LoadedMigration::of(MigrationId::repeatable(name), migration, Some(place))
    }));
    app
}

fn ids(apps: &[LoadedApp]) -> Vec<String> {
    let order = Graph::new(apps, &HashSet::new()).expect("there is an order").order;
    order.iter().map(|(a, m)| format!("{}:{}", apps[*a].label, apps[*a].migrations[*m].id.short())).collect()
}

#[test]
fn repeatable_migrations_follow_their_versions_and_precede_dependants_of_the_app() {
    let asks = Migration::new().depends_on_repeatable("z", "last");
    let apps = [
        with_repeatables(plain("z", [1, 2]), [("first", asks), ("last", Migration::new())]),
        app("a", [(1, Migration::new().depends_on_app("z")), (2, Migration::new())]),
        with_repeatables(plain("b", [1, 2]), [("x", Migration::new())]),
        with_repeatables(plain("c", []), [("only", Migration::new().depends_on_repeatable("b", "x"))]),
        with_repeatables(plain("bustard", [1]), [("f", Migration::new()), ("g", Migration::new())]),
    ];
    let expected = [
        "bustard:V1",
        "bustard:R__f",
        "bustard:R__g",
        "b:V1",
        "b:V2",
        "b:R__x",
        "c:R__only",
        "z:V1",
        "z:V2",
        "z:R__last",
        "z:R__first",
        "a:V1",
        "a:V2",
    ];
    assert_eq!(ids(&apps), expected);
    let graph = Graph::new(&apps, &HashSet::new()).expect("there is an order");
    // One edge leads from Bustard's own migrations to each app. The number of own
    // migrations does not matter.
    assert_eq!(graph.dependencies((1, 0)).iter().filter(|(a, _)| *a == 4).count(), 1);
    assert_eq!(graph.with_dependencies((3, 0)).len(), 3 + 3 + 1);
}

#[test]
fn cycles_of_repeatable_migrations_are_named() {
    let asks = |name: &str| Migration::new().depends_on_repeatable("a", name);
    let apps = [with_repeatables(plain("a", [1]), [("x", asks("y")), ("y", asks("x"))])];
    assert_eq!(
        problems(&apps),
        ["dependency cycle: a R__x → a R__y → a R__x\n  --> a/R__x.sql:1:1\n  \
          help: remove one of these dependencies:\n    \
          a R__x comes after a R__y: declared in a/R__x.sql:1:1\n    \
          a R__y comes after a R__x: declared in a/R__y.sql:1:1"]
    );
    let apps = [with_repeatables(app("a", [(1, asks("x"))]), [("x", Migration::new())])];
    let found = problems(&apps);
    assert!(found[0].starts_with("dependency cycle: a V1 → a R__x → a V1\n"), "{found:#?}");
    assert!(
        found[0]
            .contains("a R__x comes after a V1: repeatable migrations come after the versions of their app"),
        "{found:#?}"
    );
    let found = problems(&[with_repeatables(plain("a", []), [("x", asks("x"))])]);
    assert!(found[0].starts_with("dependency cycle: a R__x → a R__x\n"), "{found:#?}");
}

#[test]
fn a_missing_repeatable_migration_is_named() {
    let asks = || Migration::new().depends_on_repeatable("b", "nmaes");
    let apps = [app("a", [(1, asks())]), with_repeatables(plain("b", [1]), [("names", Migration::new())])];
    assert_eq!(
        problems(&apps),
        [
            "a:V1__x depends on the repeatable migration nmaes of the app `b`, which has no such migration for this \
          engine\n  --> a/V1__x.sql:1:1\n  help: it has R__names"
        ]
    );
    let found = problems(&[app("a", [(1, asks())]), plain("b", [1])]);
    assert!(found[0].contains("help: it has no repeatable migration"), "{found:#?}");
}

#[test]
fn dependencies_of_a_migration() {
    let dependents = [(1, Migration::new()), (2, Migration::new().depends_on("b", 1))];
    let apps = [plain("bustard", [1]), app("a", dependents), plain("b", [1, 2])];
    let graph = Graph::new(&apps, &HashSet::new()).expect("there is an order");
    assert_eq!(graph.dependencies((1, 0)), [(0, 0)]);
    assert_eq!(
        HashSet::from_iter(graph.dependencies((1, 1)).iter().copied()),
        HashSet::from([(1, 0), (2, 0)])
    );
    assert_eq!(graph.with_dependencies((1, 1)), HashSet::from([(0, 0), (1, 0), (1, 1), (2, 0)]));
}

#[test]
fn missing_dependencies_are_named_with_their_dependents() {
    let apps = [
        app(
            "bans",
            [(1, Migration::new().depends_on("form", 1)), (2, Migration::new().depends_on("forum", 3))],
        ),
        plain("forum", [1, 2]),
    ];
    assert_eq!(
        problems(&apps),
        [
            "bans:V1__x depends on the app `form`, which does not exist\n  --> bans/V1__x.sql:1:1\n  help: did you mean `forum`?",
            "bans:V2__x depends on version 3 of the app `forum`, which has no such migration for this engine\n  --> bans/V2__x.sql:1:1\n  \
             help: it has V1__x, V2__x"
        ]
    );
    let near = [app("ban", [(1, Migration::new().depends_on("bans", 1))]), plain("forum", [1])];
    assert!(
        problems(&near)[0].ends_with("help: the apps of this run are ban, forum"),
        "an app is not suggested to itself"
    );
    let itself = [app("a", [(1, Migration::new().depends_on_app("a"))])];
    assert!(
        problems(&itself)[0]
            .starts_with("a:V1__x depends on its own app `a` as a whole\n  --> a/V1__x.sql:1:1\n")
    );
}

#[test]
fn a_cycle_is_shown_completely() {
    let apps = [
        app("a", [(1, Migration::new()), (2, Migration::new().depends_on("b", 1))]),
        app("b", [(1, Migration::new().depends_on("c", 1))]),
        app("c", [(1, Migration::new()), (2, Migration::new())]),
        app("d", [(1, Migration::new().required_by("c", 1).depends_on("a", 3))]),
        app("e", [(1, Migration::new().depends_on("e", 1))]),
    ];
    let mut apps = Vec::from(apps);
    apps[0].migrations.push(plain("a", [3]).migrations.remove(0));
    assert_eq!(
        problems(&apps),
        [
            "dependency cycle: a V2 → b V1 → c V1 → d V1 → a V3 → a V2\n  \
             --> a/V2__x.sql:1:1\n  help: remove one of these dependencies:\n    \
             a V2 comes after b V1: declared in a/V2__x.sql:1:1\n    \
             b V1 comes after c V1: declared in b/V1__x.sql:1:1\n    \
             c V1 comes after d V1: declared in d/V1__x.sql:1:1\n    \
             d V1 comes after a V3: declared in d/V1__x.sql:1:1\n    \
             a V3 comes after a V2: the order of versions",
            "dependency cycle: e V1 → e V1\n  --> e/V1__x.sql:1:1\n  \
             help: remove one of these dependencies:\n    e V1 comes after e V1: declared in e/V1__x.sql:1:1"
        ]
    );
}

#[test]
fn cycles_are_found_beside_missing_dependencies() {
    let apps = [
        app("a", [(1, Migration::new().depends_on("b", 1)), (2, Migration::new().depends_on("b", 9))]),
        app("b", [(1, Migration::new().depends_on("a", 1).depends_on("nosuch", 1))]),
    ];
    let found = problems(&apps);
    let expected = [
        "a:V2__x depends on version 9 of the app `b`, which has no such migration for this engine\n  --> a/V2__x.sql:1:1\n",
        "b:V1__x depends on the app `nosuch`, which does not exist\n  --> b/V1__x.sql:1:1\n",
        "dependency cycle: a V1 → b V1 → a V1\n",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n\nis not\n\n{expected}");
    }
    // Each diagnostic has the index of its app, because the caller sorts all diagnostics by
    // this index.
    let found = Graph::new(&apps, &HashSet::new()).expect_err("there is no order");
    assert_eq!(found.iter().map(|(a, _)| *a).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn nothing_is_missing_from_an_app_that_could_not_be_read() {
    let asks = Migration::new().depends_on("b", 9).required_by("b", 8).depends_on("c", 9).depends_on("d", 1);
    let apps = [app("a", [(1, asks)]), plain("b", [1]), plain("c", [1])];
    let found = problems_beside(&apps, [1]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("a:V1__x depends on version 9 of the app `c`, "), "{found:#?}");
    assert!(found[1].starts_with("a:V1__x depends on the app `d`, "), "{found:#?}");

    // With a duplicate version, the dependency is ambiguous and is not reported.
    let twice = [app("a", [(1, Migration::new()), (1, Migration::new().depends_on("a", 1))])];
    assert_eq!(Graph::new(&twice, &HashSet::from([0])).err(), None);
    // Cycles are reported for broken apps too.
    let apps = [
        app("a", [(1, Migration::new().depends_on("b", 1))]),
        app("b", [(1, Migration::new().depends_on("a", 1))]),
    ];
    assert_eq!(problems_beside(&apps, [0, 1]), problems(&apps));
}

/// A sequence of consecutive versions of any length is shown as one step.
#[test]
fn a_long_cycle_is_abbreviated() {
    let long = (1..=30_000).map(|v| match v {
        1 => (v, Migration::new().depends_on("b", 1)),
        _ => (v, Migration::new()),
    });
    let apps = [app("a", long), app("b", [(1, Migration::new().depends_on_app("a"))])];
    assert_eq!(
        problems(&apps),
        ["dependency cycle: a V1 → b V1 → a V30000 → a V1\n  \
          --> a/V1__x.sql:1:1\n  help: remove one of these dependencies:\n    \
          a V1 comes after b V1: declared in a/V1__x.sql:1:1\n    \
          b V1 comes after a V30000: declared in b/V1__x.sql:1:1\n    \
          a V30000 comes after a V1: the order of versions"]
    );
    let own = [plain("bustard", [1, 2]), app("a", [(1, Migration::new().required_by("bustard", 1))])];
    let found = problems(&own);
    assert!(found[0].contains("cycle: a V1 → bustard V2 → bustard V1 → a V1\n"), "{found:#?}");
    assert!(
        found[0]
            .contains("a V1 comes after bustard V2: every app depends on Bustard's own tables and functions"),
        "{found:#?}"
    );
}

/// The diagnostics do not depend on the order in which the apps were added.
#[test]
fn diagnostics_are_the_same_for_every_order_of_the_apps() {
    let mut apps = vec![
        app("a", [(1, Migration::new().depends_on("b", 1).depends_on("c", 1).depends_on("nosuch", 1))]),
        app("b", [(1, Migration::new().depends_on("d", 1))]),
        app("c", [(1, Migration::new().depends_on("d", 1))]),
        app("d", [(1, Migration::new().depends_on("a", 1))]),
        app("e", [(1, Migration::new().depends_on("e", 1))]),
        app("f", [(1, Migration::new().depends_on("f", 1))]),
    ];
    let found = problems(&apps);
    for _ in &found {
        apps.rotate_left(1);
        assert_eq!(problems(&apps), found);
    }
    apps.reverse();
    assert_eq!(problems(&apps), found);
}

/// 2,000 migrations are more than projects have. The goal is 50 ms; the limit is ten times
/// as long because tests are built without optimisation.
#[test]
fn two_thousand_migrations_are_ordered_quickly() {
    let apps: Vec<_> = (0..20)
        .map(|n| {
            let depending = |v| {
                if n > 0 { Migration::new().depends_on(format!("app{}", n - 1), v) } else { Migration::new() }
            };
            app(&format!("app{n}"), (1..=100).map(|v| (v, depending(v))))
        })
        .collect();
    let start = Instant::now();
    assert_eq!(Graph::new(&apps, &HashSet::new()).expect("there is an order").order.len(), 2_000);
    assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
}

/// Generates acyclic apps. All migrations are shuffled into one sequence, in which the
/// versions of each app are in order. A migration depends only on migrations that come
/// earlier in the sequence.
fn apps() -> impl Strategy<Value = Vec<LoadedApp>> {
    let row = prop::collection::vec(
        (0..5_usize, prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..3)),
        1..40,
    );
    row.prop_map(|row| {
        let mut apps: Vec<LoadedApp> =
            ["m", "c", "x", "a", "bustard"].iter().map(|label| plain(label, [])).collect();
        let mut before: Vec<(usize, i64)> = Vec::new();
        for (a, wanted) in row {
            let version = apps[a].migrations.last().map_or(1, |m| m.id.version + 3);
            let mut migration = Migration::new();
            for (index, backwards) in wanted {
                // Bustard's own app gets no dependencies, because they would form cycles.
                let Some(&(b, needed)) = (!before.is_empty() && a != 4).then(|| index.get(&before)) else {
                    continue;
                };
                if backwards && b != 4 {
                    let m = apps[b].find(needed).expect("it was put there");
                    let asked = Migration::new().required_by(["m", "c", "x", "a", "bustard"][a], version);
                    apps[b].migrations[m].required_by.extend(asked.required_by);
                } else {
                    migration = migration.depends_on(["m", "c", "x", "a", "bustard"][b], needed);
                }
            }
            before.push((a, version));
            let more = app(["m", "c", "x", "a", "bustard"][a], [(version, migration)]).migrations;
            apps[a].migrations.extend(more);
        }
        apps
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_order_keeps_every_promise(mut apps in apps(), leaf in prop::sample::select(vec!["aa", "b", "z"])) {
        let found = names(&apps);
        let at: HashMap<&str, usize> = found.iter().enumerate().map(|(n, name)| (name.as_str(), n)).collect();
        prop_assert_eq!(at.len(), apps.iter().map(|app| app.migrations.len()).sum::<usize>());
        for app in &apps {
            let name = |label: &str, version: i64| at[format!("{label}{version}").as_str()];
            for pair in app.migrations.windows(2) {
                prop_assert!(name(&app.label, pair[0].id.version) < name(&app.label, pair[1].id.version));
            }
            for migration in &app.migrations {
                let this = name(&app.label, migration.id.version);
                for d in &migration.depends_on {
                    prop_assert!(name(&d.app, d.which.version().expect("given")) < this);
                }
                for d in &migration.required_by {
                    prop_assert!(name(&d.app, d.which.version().expect("given")) > this);
                }
                for own in &apps[4].migrations {
                    prop_assert!(app.label == "bustard" || name("bustard", own.id.version) < this);
                }
            }
        }

        // The order in which apps are added does not matter.
        let mut reversed = apps.clone();
        reversed.reverse();
        prop_assert_eq!(&names(&reversed), &found);

        // An app without dependents does not change the order of the other apps.
        let asks = apps[0].migrations.last().map_or(Migration::new(), |m| Migration::new().depends_on("m", m.id.version));
        apps.push(super::tests::app(leaf, [(1, Migration::new()), (2, asks)]));
        let mut with_leaf = names(&apps);
        with_leaf.retain(|name| !name.starts_with(leaf) || name.starts_with("bustard"));
        prop_assert_eq!(with_leaf, found);
    }
}
