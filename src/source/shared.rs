//! Migrations that belong to two apps.
//!
//! In: the apps. Out: an error for each app whose migrations another app has as well. Both
//! would apply them, each with its own history, and every statement would run twice.
//!
//! Directories are compared by their places in the file system, and linked files by what
//! they are links to. Other sources have no place: an embedded app counts as the same as a
//! directory if the first migrations have the same name and text.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::at_directory;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{App, AppSource, LoadedApp};

/// Returns the errors, each with the index of its app.
pub(super) fn check(apps: &[App], loaded: &[LoadedApp]) -> Vec<(usize, Diagnostic)> {
    let roots: Vec<Option<PathBuf>> =
        apps.iter().map(|app| app.path().and_then(|path| fs::canonicalize(path).ok())).collect();
    let several = roots.iter().flatten().count() > 1;
    let linked: Vec<Vec<PathBuf>> = (roots.iter().zip(loaded))
        .map(|(root, app)| if several && root.is_some() { links(app) } else { Vec::new() })
        .collect();

    let mut errors = Vec::new();
    for (b, app) in apps.iter().enumerate() {
        // Two apps of one label are an error of their own.
        let mut others = (0..b).filter(|a| apps[*a].label != app.label);
        let shared = others.find_map(|a| {
            let (one, other) = (&apps[a].label, &app.label);
            match (&roots[a], &roots[b]) {
                (Some(root), Some(here)) if root == here => {
                    Some(format!("the apps `{one}` and `{other}` read the same directory of migrations"))
                }
                (Some(root), Some(here)) if contains(root, here) => {
                    Some(format!("the directory of the app `{other}` is in that of the app `{one}`, so its migrations belong to both"))
                }
                (Some(root), Some(here)) if contains(here, root) => {
                    Some(format!("the directory of the app `{one}` is in that of the app `{other}`, so its migrations belong to both"))
                }
                (Some(root), Some(here)) => {
                    let theirs = |path: &PathBuf| contains(root, path) || linked[a].contains(path);
                    let ours = |path: &PathBuf| contains(here, path);
                    let by_link = linked[b].iter().any(theirs) || linked[a].iter().any(ours);
                    by_link.then(|| format!("by a link, the apps `{one}` and `{other}` read the same migration"))
                }
                _ => (is_file(app) && is_file(&apps[a]) && same_start(&loaded[a], &loaded[b]))
                    .then(|| format!("the apps `{one}` and `{other}` have the same migrations")),
            }
        });
        let Some(shared) = shared else { continue };
        let error = Diagnostic::new(Code::SharedMigrations, format!("{shared}; they would run twice"));
        let error = error.help("remove one of the two apps, or give each migrations of its own");
        errors.push((b, at_directory(error, app)));
    }
    errors
}

/// Returns whether a path is read with a directory. Hidden directories are not read.
fn contains(directory: &Path, path: &Path) -> bool {
    let hidden = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
    path.strip_prefix(directory).is_ok_and(|inside| !inside.components().any(hidden))
}

/// Returns what the links among an app's files lead to.
fn links(app: &LoadedApp) -> Vec<PathBuf> {
    let files = app.migrations.iter().filter_map(|migration| migration.file.as_ref());
    let links = files.filter(|file| file.path().is_symlink());
    links.filter_map(|file| fs::canonicalize(file.path()).ok()).collect()
}

/// Returns whether the migrations were files when the program was built, or are.
fn is_file(app: &App) -> bool {
    match app.origin {
        AppSource::Directory(_) | AppSource::Embedded(_) => true,
        #[cfg(feature = "_engine")]
        AppSource::Refinery(_) => true,
        AppSource::Code(_) => false,
    }
}

fn same_start(one: &LoadedApp, other: &LoadedApp) -> bool {
    match (one.migrations.first(), other.migrations.first()) {
        (Some(one), Some(other)) => one.id == other.id && one.text == other.text && !one.text.is_empty(),
        _ => false,
    }
}

#[cfg(all(test, unix, feature = "sqlite"))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::embedded::File;
    use crate::engine::dialects::SQLITE;
    use crate::model::embedded_app;
    use crate::source::load;

    const TEXT: &str = "CREATE TABLE t (id INTEGER)";

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, TEXT).unwrap();
    }

    /// Returns the messages for two apps, in either order of the apps.
    fn messages(one: &App, other: &App) -> [Vec<String>; 2] {
        [[one, other], [other, one]].map(|apps| {
            let loaded = load(&apps.map(App::clone), SQLITE);
            let shared = loaded.errors.iter().filter(|(_, error)| error.code() == Code::SharedMigrations);
            assert!(shared.clone().all(|(app, _)| *app == 1), "{:?}", loaded.errors);
            shared.map(|(_, error)| error.message.clone()).collect()
        })
    }

    #[test]
    fn a12_two_apps_of_one_directory() {
        // The paths of two apps under a directory, and whether they share migrations.
        let table = [
            ("m", "m", true),
            ("m", "./m", true),
            ("m", "m/", true),
            ("m", "m/../m", true),
            ("m", "link", true),
            ("link", "link", true),
            ("m", "m/inner", true),
            ("m", "link/inner", true),
            (".", "m/inner", true),
            ("m", "linked", true),
            ("linked", "linked_too", true),
            ("m", "m2", false),
            ("m", "other", false),
            ("m/inner", "m2", false),
            ("m", "m/.hidden", false),
            ("m2", "linked", false),
        ];
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for file in
            ["m/V1__a.sql", "m/inner/V2__b.sql", "m/.hidden/V1__c.sql", "m2/V1__a.sql", "other/V1__a.sql"]
        {
            write(&root.join(file));
        }
        symlink("m", root.join("link")).unwrap();
        for linked in ["linked", "linked_too"] {
            write(&root.join(linked).join("V1__own.sql"));
            symlink("../m/V1__a.sql", root.join(linked).join("V2__a.sql")).unwrap();
        }
        for (one, other, shared) in table {
            let app = |label: &str, path: &str| App::directory(label, root.join(path));
            let found = messages(&app("one", one), &app("other", other));
            assert!(
                found.iter().all(|found| found.len() == usize::from(shared)),
                "{one}, {other}: {found:?}"
            );
        }
    }

    #[test]
    fn a12_one_migration_by_two_ways() {
        static SAME: [(&str, File); 1] = [("V1__a.sql", File::Sql(TEXT))];
        static OTHER: [(&str, File); 1] = [("V1__a.sql", File::Sql("CREATE TABLE u (id INTEGER)"))];
        static RENAMED: [(&str, File); 1] = [("V1__b.sql", File::Sql(TEXT))];
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("V1__a.sql"));
        let directory = App::directory("main", root.path());
        let refinery =
            |text| App::refinery("main", vec![refinery_core::Migration::unapplied("V1__a", text).unwrap()]);
        let code = App::new("main").migration("V1__a", crate::Migration::new().sql(TEXT));
        let table = [
            (directory.clone(), &SAME, true),
            (directory.clone(), &OTHER, false),
            (directory, &RENAMED, false),
            (embedded_app("main", &SAME), &SAME, true),
            (refinery(TEXT), &SAME, true),
            (refinery(TEXT), &OTHER, false),
            (code, &SAME, false),
        ];
        for (one, files, shared) in table {
            let found = messages(&one, &embedded_app("shop", files));
            assert!(
                found.iter().all(|found| found.len() == usize::from(shared)),
                "{one:?}, {files:?}: {found:?}"
            );
        }
    }
}
