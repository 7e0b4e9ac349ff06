//! Tests the program of the example `forum`, as in the README: one process serves
//! permissions from the store, and others change the data.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Database, Outcome, Project, Running, example, wait_until};

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("forum"))
}

/// A forum for one test.
struct Forum {
    project: Project,
    database: Option<Database<'static>>,
}

impl Forum {
    fn on_sqlite() -> Forum {
        Forum { project: Project::forum(), database: None }
    }

    fn on_postgres() -> Forum {
        Forum { project: Project::forum(), database: Some(Database::new()) }
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = self.project.command_of(program, arguments);
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", database.url());
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(program(), arguments)).success()
    }

    fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(program(), arguments))
    }

    fn bustard(&self, arguments: &[&str]) {
        let arguments = [&["--config", "examples/forum/bustard.toml"], arguments].concat();
        Outcome::of(self.command(Path::new(env!("CARGO_BIN_EXE_bustard")), &arguments)).success();
    }

    fn value(&self, sql: &str) -> String {
        match &self.database {
            Some(database) => database.value(sql),
            None => {
                let connection = self.project.sqlite("examples/forum/forum.sqlite");
                connection.query_row(sql, [], |row| row.get(0)).expect(sql)
            }
        }
    }

    fn execute(&self, sql: &str) {
        match &self.database {
            Some(database) => drop(database.psql(sql)),
            None => self.project.sqlite("examples/forum/forum.sqlite").execute_batch(sql).expect(sql),
        }
    }
}

/// A line that the server prints each second.
struct Second {
    look_ups: u64,
    loads: u64,
    checked: u64,
}

impl Second {
    fn of(line: &str) -> Option<Second> {
        let (_, counts) = line.split_once(" s: ")?;
        let words: Vec<&str> = counts.split(' ').collect();
        let number = |after: &str| {
            let at = words.iter().position(|word| *word == after)?;
            words[at - 1].parse().ok()
        };
        Some(Second { look_ups: number("look-ups,")?, loads: number("loads")?, checked: number("sessions")? })
    }

    fn all(stdout: &str) -> Vec<Second> {
        stdout.lines().filter_map(Second::of).collect()
    }
}

/// Waits until the server has printed two more lines. Between the lines, the server has
/// served all users several times, because a second has passed.
fn a_second_passes(server: &Running) {
    let before = Second::all(&server.stdout_so_far()).len();
    wait_until("the server counts two more seconds", || {
        Second::all(&server.stdout_so_far()).len() >= before + 2
    });
}

fn serves_while_another_process_moderates(forum: &Forum) {
    // The first server creates the database, and ends after the given second.
    let first = forum.run(&["serve", "1"]).says("migrations applied");
    assert!(Second::all(&first.stdout).len() == 1 && !first.stdout.contains("\n0 migrations"), "{first}");
    let server = forum.start(&["serve"]);
    server.wait_for_stdout("0 migrations applied");
    a_second_passes(&server);

    // A change without an invalidation is not noticed, because the answers come from the
    // store.
    forum.execute(
        "INSERT INTO memberships VALUES ((SELECT id FROM users WHERE name = 'user5'), 'moderators')",
    );
    a_second_passes(&server);
    assert!(!server.stdout_so_far().contains("user5"), "{}", server.stdout_so_far());
    forum.bustard(&["caches", "invalidate", "permissions"]);
    server.wait_for_stdout("user5 may close threads now");

    let checked = "(the ban of the session was checked before the invalidation, so it was checked again)";
    let mut expected = vec!["user5 may close threads now".to_owned()];
    for (action, done, answer) in [
        ("promote", "user7 is a moderator\n", "user7 may close threads now".to_owned()),
        ("ban", "user7 is banned\n", format!("user7 is banned {checked}")),
        ("unban", "user7 is not banned any more\n", format!("user7 is not banned any more {checked}")),
        ("demote", "user7 is not a moderator any more\n", "user7 may not close threads any more".to_owned()),
    ] {
        assert!(!server.stdout_so_far().contains(&answer), "{answer}, before the change");
        assert_eq!(forum.run(&["moderate", action, "user7"]).stdout, done);
        server.wait_for_stdout(&answer);
        expected.push(answer);
    }
    a_second_passes(&server);
    let outcome = server.kill9();
    let said: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with("user")).collect();
    assert_eq!(said, expected, "{outcome}");

    let seconds = Second::all(&outcome.stdout);
    let sum = |count: fn(&Second) -> u64| seconds.iter().map(count).sum::<u64>();
    let (look_ups, loads) = (sum(|second| second.look_ups), sum(|second| second.loads));
    // All permissions and all bans were loaded at the start and after the last
    // invalidation, and perhaps in between.
    let users = 40;
    assert!(loads >= 2 * users && look_ups > loads, "{outcome}");
    assert!(sum(|second| second.checked) >= 2 * users, "{outcome}");
    assert!(outcome.stdout.contains(" 100.0 % hits"), "{outcome}");
}

fn moderates_until_it_is_stopped(forum: &Forum) {
    forum.run(&["serve", "1"]);
    let server = forum.start(&["serve"]);
    server.wait_for_stdout("look-ups");
    let moderator = forum.start(&["moderate"]);
    moderator.wait_for_stdout("user2 is a moderator");
    // The server sees at least one of the intermediate states, but not always the same
    // states.
    wait_until("the server sees the change", || {
        server.stdout_so_far().lines().filter(|line| line.starts_with("user")).count() >= 2
    });
    let moderator = moderator.kill9();
    let first: Vec<&str> = moderator.stdout.lines().take(4).collect();
    let round = ["is a moderator", "is banned", "is not banned any more", "is not a moderator any more"];
    assert_eq!(first, round.map(|what| format!("user1 {what}")), "{moderator}");
    server.kill9().says("% hits");
}

#[test]
fn serves_while_another_process_moderates_on_sqlite() {
    serves_while_another_process_moderates(&Forum::on_sqlite());
}

#[test]
fn serves_while_another_process_moderates_on_postgres() {
    serves_while_another_process_moderates(&Forum::on_postgres());
}

#[test]
fn moderates_until_it_is_stopped_on_sqlite() {
    moderates_until_it_is_stopped(&Forum::on_sqlite());
}

#[test]
fn moderates_until_it_is_stopped_on_postgres() {
    moderates_until_it_is_stopped(&Forum::on_postgres());
}

/// With one store for all processes, a process finds values that another process has
/// loaded, and never values from before an invalidation.
#[test]
#[cfg(all(feature = "testing", feature = "memcached", feature = "redis"))]
fn processes_share_a_store() {
    for (backend, server) in
        [("memcached", crate::support::Server::memcached()), ("redis", crate::support::Server::redis())]
    {
        let forum = Forum::on_sqlite();
        let file = "examples/forum/bustard.toml";
        let location = server.location();
        // The time-out is long enough for a slow machine.
        let store = format!("backend = \"{backend}\"\nlocation = \"{location}\"\ntimeout = \"1m\"\n");
        let text = forum.project.read(file).replace("backend = \"memory\"\n", &store);
        assert!(text.contains(&location), "{text}");
        forum.project.file(file, text);
        let loads =
            || Second::all(&forum.run(&["serve", "1"]).stdout).iter().map(|second| second.loads).sum();
        let (first, second): (u64, u64) = (loads(), loads());
        assert!(first > 0 && second == 0, "{backend}: {first} loads, then {second}");
        forum.bustard(&["caches", "invalidate", "permissions"]);
        let third: u64 = loads();
        assert!(third > 0, "{backend}: an invalidated value is found");
        // Without the store, the program still answers.
        server.kill9();
        let outcome = forum.run(&["serve", "1"]).complains("values are computed until it does");
        assert!(Second::all(&outcome.stdout)[0].look_ups > 0, "{outcome}");
    }
}

/// Without a database, the program fails with advice.
#[test]
fn a_missing_database_is_reported() {
    let forum = Forum::on_sqlite();
    Outcome::of(forum.command(program(), &["moderate"])).exits(1).complains("`Migrator::run` makes it");
    Outcome::of(forum.command(program(), &[])).exits(1).complains("usage: forum serve");
    forum.run(&["serve", "1"]);
    let outcome = Outcome::of(forum.command(program(), &["moderate", "ban", "unknown"]));
    outcome.exits(1).complains("no such user");
}

/// The program has the command's verbs besides its own.
#[test]
fn the_program_has_the_verbs_of_the_command() {
    let forum = Forum::on_sqlite();
    let config = ["--config", "examples/forum/bustard.toml"];
    let command = |word| forum.command(program(), &[config[0], config[1], word]);
    Outcome::of(command("status")).success().complains("does not exist yet");
    Outcome::of(command("caches")).exits(1).complains("`forum migrate` makes it");
    Outcome::of(command("migrate")).success().says("V9__no_ranks");
    Outcome::of(command("check")).success().says("up to date");
    forum.run(&["serve", "1"]).says("\n0 migrations applied");
}

/// The program includes the plugin that is a crate. The stand-alone command has only the
/// other plugins, and accepts the database.
fn has_the_plugin_in_rust(forum: &Forum) {
    let config = ["--config", "examples/forum/bustard.toml"];
    let run = |arguments: &[&str]| forum.run(&[&config, arguments].concat());
    forum.bustard(&["migrate"]);
    forum.execute(
        "INSERT INTO users (id, name, email, password_hash) VALUES (1, 'Ann', 'ann@example.org', 'x');
         INSERT INTO threads (id, category, author, title) VALUES (1, 'general', 1, 'Birds');
         INSERT INTO posts (thread, author, body) VALUES (1, 1, 'Bustards'), (1, NULL, 'Larks');",
    );

    run(&["migrate"]).says("V3__points_for_the_past  applied").says("3 migrations applied");
    assert_eq!(forum.value("SELECT CAST(points AS text) FROM reputation WHERE user_id = 1"), "1");
    run(&["caches"]).says("reputation");
    forum.bustard(&["check"]);

    run(&["revert", "--to", "reputation:V2"]);
    assert_eq!(forum.value("SELECT CAST(count(*) AS text) FROM reputation"), "0");
    run(&["revert", "--to", "reputation:0"]).says("V1__likes");
    forum.run(&["serve", "1"]).says("\n3 migrations applied");
}

#[test]
fn has_the_plugin_in_rust_on_sqlite() {
    has_the_plugin_in_rust(&Forum::on_sqlite());
}

#[test]
fn has_the_plugin_in_rust_on_postgres() {
    has_the_plugin_in_rust(&Forum::on_postgres());
}
