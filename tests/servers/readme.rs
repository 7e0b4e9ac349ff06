//! Tests the README: the commands of the first steps are run as written, and links must
//! lead to existing files. The Rust code is run by documentation tests.

use std::collections::HashMap;
use std::path::Path;

use crate::support::{Database, Outcome, Project, Running};

const README: &str = include_str!("../../README.md");

/// Returns the fenced blocks of a section in order, each with its language.
fn blocks(section: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    let (_, rest) = README.split_once(&format!("\n## {section}\n")).expect("the section is there");
    let rest = rest.split("\n## ").next().unwrap_or(rest);
    let mut blocks = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in rest.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((language, Vec::new())),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some((language, mut lines))) => {
                lines.push(line);
                open = Some((language, lines));
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Removes the parts of a line that differ from run to run: times, durations, versions, and
/// the spaces that align columns.
fn steady(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let steady = words.iter().enumerate().map(|(n, word)| {
        let number = word.bytes().all(|byte| byte.is_ascii_digit());
        let time = word.starts_with("20") && word.contains('T') && word.ends_with('Z');
        match words.get(n + 1) {
            _ if time => "[time]",
            Some(&"ms" | &"ms;") if number => "[n]",
            _ if number && word.len() > 6 => "[version]",
            _ => word,
        }
    });
    steady.collect::<Vec<_>>().join(" ")
}

/// Runs a block of commands, and returns the output in the form of the README.
fn replay(lines: &[&str], project: &Project, environment: &mut HashMap<String, String>) -> Vec<String> {
    let mut printed = Vec::new();
    for command in lines.iter().filter_map(|line| line.strip_prefix("$ ")) {
        printed.push(format!("$ {command}"));
        let words: Vec<&str> = command.split(' ').collect();
        match words.as_slice() {
            ["export", setting] => {
                let (name, value) = setting.split_once('=').expect("a variable and its value");
                environment.insert(name.to_owned(), value.to_owned());
            }
            ["bustard", arguments @ ..] => {
                let mut command = project.command(arguments);
                command.envs(&*environment);
                let Outcome { stdout, .. } = Outcome::of(command).success();
                printed.extend(stdout.lines().map(str::to_owned));
            }
            // The installed command is the command under test.
            ["cargo", "install", "--path", "."] => {}
            _ => panic!("the README's first steps have a command that this test does not know: {command}"),
        }
    }
    printed
}

#[test]
fn the_first_steps_work_as_written() {
    let project = Project::new();
    let mut environment = HashMap::new();
    let mut commands = 0;
    for (language, lines) in blocks("First steps") {
        match language {
            "console" => {
                let printed = replay(&lines, &project, &mut environment);
                commands += lines.iter().filter(|line| line.starts_with("$ ")).count();
                let [expected, found] = [
                    lines.iter().map(|line| steady(line)).collect::<Vec<_>>(),
                    printed.iter().map(|line| steady(line)).collect(),
                ];
                assert_eq!(expected, found, "the run printed:\n{}", printed.join("\n"));
            }
            "sql" => {
                let file = lines[0].strip_prefix("-- ").expect("the first line names the file");
                assert!(project.path().join(file).exists(), "the README edits {file}, which does not exist");
                project.file(file, lines[1..].join("\n"));
            }
            _ => panic!("unexpected block of {language}"),
        }
    }
    assert_eq!(commands, 7);
}

#[test]
fn the_configuration_is_valid() {
    let project = Project::new();
    for (_, lines) in blocks("Migration files").iter().filter(|(language, _)| *language == "toml") {
        project.config(&lines.join("\n"));
    }
    project.file("migrations/V1__settings.sql", "CREATE TABLE settings (name varchar(60) NOT NULL)");
    project.bustard(&["migrate"]).success().says("sqlite:forum.sqlite (from bustard.toml)");
}

#[test]
#[cfg(feature = "memcached")]
fn the_stores_are_configured_as_written() {
    let project = Project::new();
    project.file("migrations/V1__settings.sql", "CREATE TABLE settings (name varchar(60) NOT NULL)");
    let blocks = blocks("Cached values");
    let mut configurations = blocks.iter().filter(|(language, _)| *language == "toml");
    let (_, lines) = configurations.next().expect("there is one");
    project.config(&lines.join("\n"));
    project.bustard(&["migrate", "--database-url", "sqlite:app.db"]).success();
    let config = bustard::Config::read(&project.path().join("bustard.toml")).expect("it is one");
    let (database, _) = config.database(Some(&project.sqlite_url("app.db"))).expect("it is one");
    config.cache_buster(&database).start().expect("it starts");
    assert!(configurations.next().is_none());

    // The table has all keys, and no other keys.
    let wrong = "[stores.default]\nbackend = \"memory\"\nwrong = 1\n";
    let complaint = project.config(wrong).bustard(&["check"]).exits(2).stderr;
    let (_, known) = complaint.split_once("expected one of").expect("it names those that it knows");
    for key in known.lines().next().unwrap_or_default().split('`').skip(1).step_by(2) {
        assert!(README.contains(&format!("\n| `{key}` | ")), "the key {key} is not in the README");
    }
}

#[test]
fn watching_prints_the_lines_shown() {
    let project = Project::new();
    project
        .file("migrations/V1__users.sql", "-- bustard: register cache users\nCREATE TABLE users (id bigint)");
    let command = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("DATABASE_URL", "sqlite:app.db");
        command
    };
    Outcome::of(command(&["migrate"])).success();
    let blocks = blocks("Cached values");
    let (_, lines) = blocks.iter().find(|(language, _)| *language == "console").expect("there is one");
    assert_eq!(lines[0], "$ bustard caches watch");
    let watch = Running::start(command(&["caches", "watch"]));
    watch.wait_for_stdout("Ctrl-C");
    Outcome::of(command(&["caches", "invalidate", "users"])).success();
    watch.wait_for_stdout("->");
    watch.signal("INT");
    let outcome = watch.wait().exits(130);
    let expected: Vec<_> = lines[1..].iter().map(|line| steady(line)).collect();
    assert_eq!(outcome.stdout.lines().map(steady).collect::<Vec<_>>(), expected, "{outcome}");
}

/// The tests of other drivers execute the statements that the README shows.
#[test]
fn other_drivers_are_used_as_written() {
    let tested = [
        include_str!("../drivers/src/sqlx.rs"),
        include_str!("../drivers/src/diesel.rs"),
        include_str!("../drivers/src/sea_orm.rs"),
    ];
    let blocks = blocks("From other languages");
    let (_, lines) = blocks.iter().find(|(language, _)| *language == "rs").expect("there is one");
    let statements = lines.iter().filter(|line| !line.is_empty() && !line.starts_with("//"));
    let mut count = 0;
    for statement in statements.map(|line| line.trim_start_matches("let call = |sql| ").trim_end_matches(';'))
    {
        assert!(tested.iter().any(|source| source.contains(statement)), "no test executes {statement}");
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn the_sql_api_is_as_described() {
    let (project, database) = (Project::new(), Database::new());
    project.file(
        "migrations/V1__settings.sql",
        "-- bustard: register cache settings
         CREATE TABLE settings (name varchar(60) NOT NULL, value varchar(60) NOT NULL)",
    );
    project.bustard(&["migrate", "--database-url", &database.url()]).success();

    let version = "SELECT bustard.get_version('settings')";
    let before = database.value(version);
    let mut blocks = blocks("From other languages");
    blocks.retain(|(language, _)| *language == "sql");
    let [(_, lines)] = blocks.as_slice() else { panic!("{blocks:?}") };
    database.psql(&lines.join("\n"));
    assert_ne!(database.value(version), before);

    let mut names = 0;
    for rest in README.split("bustard.").skip(1) {
        let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        let (catalog, column) = match rest[name.len()..].chars().next() {
            Some('(') => ("pg_proc", "proname"),
            Some('`') if name == "caches" => ("pg_class", "relname"),
            _ => continue,
        };
        let sql = format!("SELECT count(DISTINCT {column}) FROM {catalog} WHERE {column} = '{name}'");
        assert_eq!(database.value(&sql), "1", "{name}");
        names += 1;
    }
    assert!(names >= 9, "only {names} names were found");
}

/// Checks links, and names of files in code spans, relative to the repository.
#[test]
fn links_lead_to_existing_files() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
    let prose: String = README.split("```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2).filter(|span| {
        let directories = ["src/", "tests/", "examples/", "benches/", ".ci/", "engine/", "Cargo."];
        directories.iter().any(|directory| span.starts_with(directory)) && !span.contains("NAME")
    });
    let mut checked = 0;
    for path in links.chain(spans) {
        let path = path.strip_prefix("engine/").map_or(path.to_owned(), |rest| format!("src/engine/{rest}"));
        assert!(top.join(&path).exists(), "{path} does not exist");
        checked += 1;
    }
    assert!(checked > 15, "only {checked} paths were found");

    let command = README.lines().find(|line| line.starts_with("cargo run ")).expect("the first command");
    assert!(top.join(command.split(' ').find(|word| word.ends_with(".toml")).unwrap_or("?")).exists());
}

/// Compares the tables of the README with the code.
#[test]
fn the_tables_of_the_readme_are_complete() {
    let help = Project::new().bustard(&["--help"]).success().stdout;
    let (_, commands) = help.split_once("Commands:\n").expect("help lists the commands");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    for command in commands.filter_map(|line| line.split_whitespace().next()).filter(|word| *word != "help") {
        assert!(README.contains(&format!("\n| `{command}")), "the command {command} is not in the README");
    }
    for code in ["0", "1", "2", "3", "4", "5", "129, 130, 143"] {
        assert!(
            help.contains(&format!("\n  {code}  ")) && README.contains(&format!("\n| {code} | ")),
            "{code}"
        );
    }
    let manifest = include_str!("../../Cargo.toml");
    let (_, features) = manifest.split_once("\n[features]\n").expect("there are features");
    let features = features.lines().take_while(|line| !line.starts_with("[["));
    for feature in features.filter_map(|line| line.split_once(" = ").map(|(name, _)| name)) {
        // A name with `_` is private.
        let private = feature == "default" || feature.starts_with('_');
        let listed = private || README.contains(&format!("\n| `{feature}` | "));
        assert!(listed, "the feature {feature} is not in the README");
    }
}

/// The plan in the README is the output of a test of the command.
#[test]
fn the_plan_of_an_uninstall_is_real_output() {
    let printed = include_str!("snapshots/servers__cli_uninstall__yes.snap");
    let blocks = blocks("Plugins");
    let (_, lines) = blocks.iter().find(|(language, _)| *language == "console").expect("there is one");
    assert_eq!(lines[0], "$ bustard uninstall bans");
    assert!(lines.len() > 8 && printed.contains(&lines[1..].join("\n")), "{}", lines.join("\n"));
}
