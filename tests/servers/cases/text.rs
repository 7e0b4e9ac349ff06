//! Tests text that looks like an instruction, and the lexer.

use bustard::{App, Migration, Migrator};
use postgres::SimpleQueryMessage;

use crate::support::{Database, Random, Scene};

/// What an `up` section and a `down` section do, with a line between them.
fn sections(line: &str) -> String {
    format!("CREATE TABLE live (id INTEGER);\nINSERT INTO live VALUES (1);\n{line}\nDROP TABLE live;\n")
}

/// Asserts that each line is an error on line 3, before anything is executed.
#[track_caller]
fn refuses_each(code: &str, lines: &[(&str, u32, &str)]) {
    for scene in Scene::both() {
        for (line, column, expected) in lines {
            scene.file("V1__live.sql", sections(line));
            let outcome = scene.migrate(&["--json"]).exits(2);
            let found = &outcome.json()["error"]["diagnostics"][0];
            assert_eq!(found["code"], code, "{line}: {outcome}");
            let outcome = scene.migrate(&[]).exits(2);
            let place = format!("V1__live.sql:3:{column}");
            assert!(outcome.stderr.contains(&place), "{line}: no {place}: {outcome}");
            assert!(outcome.stderr.contains(expected), "{line}: {outcome}");
            scene.project.bustard(&["plan", "--database-url", &scene.url()]).exits(2);
        }
        // The same sections with our own directive.
        scene.file("V1__live.sql", sections("-- bustard: down"));
        scene.migrate(&[]).success();
        assert_eq!(scene.value("SELECT count(*) FROM live"), "1");
    }
}

#[test]
fn a4_near_misses_of_directives() {
    let down = "write `-- bustard: down`";
    refuses_each(
        "directive-near-miss",
        &[
            ("-- bustard down", 4, down),
            ("-- bustard; down", 4, down),
            ("-- bustrad: down", 4, down),
            ("/* bustard: down */", 4, down),
            ("-- bustard\u{ff1a}down", 4, down),
            ("--- bustard: down", 5, down),
            ("  -- Bustard, down", 6, down),
            ("-- down", 4, down),
            ("/* down */", 4, down),
            ("-- no transaction", 4, "write `-- bustard: no transaction`"),
            ("-- register cache live", 4, "write `-- bustard: register cache live`"),
        ],
    );
}

#[test]
fn a3_markers_of_other_tools() {
    let down = "write `-- bustard: down` before the statements that revert the migration";
    refuses_each(
        "foreign-marker",
        &[
            ("-- +goose Down", 4, down),
            ("-- migrate:down", 4, down),
            ("-- +migrate Down", 4, down),
            ("---- create above / drop below ----", 3, down),
            ("# --- !Downs", 5, down),
            ("-- !Downs", 4, down),
            ("-- Down Migration", 4, down),
            ("-- rambler down", 4, down),
            ("--liquibase formatted sql", 3, "after `-- bustard: down`"),
            ("--> statement-breakpoint", 3, "remove the markers"),
            ("-- no-transaction", 4, "`-- bustard: no transaction`"),
            ("//@UNDO", 1, down),
            ("-- //@UNDO", 4, down),
        ],
    );
}

/// Applies a file, changes it, and asserts that the next run says what was changed.
#[test]
fn a22_a_changed_checksum_says_what_differs() {
    let applied = "CREATE TABLE a (\n\tx INTEGER\n);\n";
    let change = |change: fn(&str) -> String| change(applied);
    for scene in Scene::both() {
        scene.file("V1__a.sql", applied);
        scene.migrate(&[]).success();
        let file = scene.project.path().join("migrations/V1__a.sql");
        for (text, expected) in [
            (change(|text| format!("\u{feff}{text}")), "a byte order mark was added"),
            (change(|text| text.trim_end().to_owned()), "the newline at the end was removed"),
            (change(|text| format!("{text}\n\n")), "blank lines were added at the end"),
            (change(|text| text.replace(";", "; ")), "white space was added at the ends of lines"),
            (change(|text| text.replace('\t', "    ")), "tabs were replaced by spaces"),
            (
                change(|text| format!("\u{feff}{}", text.trim_end().replace('\n', "\r\n"))),
                "a byte order mark was added, and the newline at the end was removed",
            ),
            (change(|text| text.replace("INTEGER", "BIGINT")), "its text differs (checksum "),
        ] {
            std::fs::write(&file, text).expect("the file is written");
            for verb in ["migrate", "plan"] {
                let outcome = scene.project.bustard(&[verb, "--database-url", &scene.url()]).exits(4);
                assert!(
                    outcome.stderr.contains("main:V1__a was changed after it was applied on "),
                    "{outcome}"
                );
                assert!(outcome.stderr.contains(&format!(": {expected}")), "{expected}: {outcome}");
                assert!(!outcome.stderr.contains("dependencies"), "{outcome}");
            }
        }
        // Line ends do not matter, and dependencies are another finding.
        std::fs::write(&file, applied.replace('\n', "\r\n")).expect("the file is written");
        assert_eq!(scene.migrate(&[]).success().stderr.matches("changed").count(), 0);

        std::fs::remove_file(&file).expect("the file is removed");
        scene.file("V1__renamed.sql", applied);
        let outcome = scene.migrate(&[]).exits(4);
        assert!(outcome.stderr.contains(": it was applied with the name V1__a\n"), "{outcome}");
        std::fs::remove_file(scene.project.path().join("migrations/V1__renamed.sql")).expect("it is removed");
        scene.file("V2__renamed.sql", applied);
        let outcome = scene.migrate(&[]).exits(4);
        assert!(outcome.stderr.contains("there is no file for it: V2__renamed has its text"), "{outcome}");
    }
}

/// Writes scripts of statements that are hard to split.
struct Scripts(Random);

impl Scripts {
    fn one_of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.0.below(choices.len())]
    }

    fn some_of(&mut self, choices: &[&str]) -> String {
        (0..self.0.below(5)).map(|_| self.one_of(choices)).collect()
    }

    fn gap(&mut self) -> &'static str {
        self.one_of(&[" ", "\n", " /* ; ' */ ", "/* /* ; */ ' */", "/*/**/;*/", " -- ; '\n", "--\r\n"])
    }

    /// A string in parts, which are on lines of their own.
    fn parts(&mut self, prefix: &str, contents: &[&str]) -> String {
        let mut text = format!("{prefix}'{}'", self.some_of(contents));
        while self.0.one_in(3) {
            let between =
                ["\n", " \n ", "-- it's;\n", " -- ;\n\t", "\n-- '\n ", "\r\n", "\n\n", "--\n--'\n", "\n \r"];
            text += self.one_of(&between);
            text += &format!("'{}'", self.some_of(contents));
        }
        text
    }

    fn literal(&mut self) -> String {
        let plain = ["a", ";", "''", "\\", "--", "/*", "*/", "$$", "é", "\n", "\"", "E"];
        match self.0.below(8) {
            0 => self.parts("", &plain),
            1 | 2 => {
                let prefix = self.one_of(&["E", "e"]);
                self.parts(prefix, &["a", ";", "''", "\\'", "\\\\", "--", "/*", "\n", "\\n", "\\'; ", "$$"])
            }
            3 => self.parts("U&", &["a", ";", "''", "\\0061", "--", "/*"]),
            4 => self.parts("N", &plain),
            5 => self.parts("B", &["0", "1"]),
            6 => self.parts("x", &["1F", "0a"]),
            _ => {
                let tag = self.one_of(&["$$", "$a$", "$é$", "$_1$", "$A_b$"]);
                let inside = self.some_of(&["a", ";", "'", "--", "/*", "\n", " $ ", "$b$ ", "$1 "]);
                format!("{tag}{inside}{tag}")
            }
        }
    }

    fn statement(&mut self, n: usize) -> String {
        let (one, gap, other) = (self.gap(), self.gap(), self.gap());
        match self.0.below(10) {
            0 => format!(
                "CREATE FUNCTION f{n}() RETURNS int BEGIN ATOMIC{one} SELECT 1;{gap} SELECT CASE WHEN true THEN CASE 1 WHEN 1 THEN 2 END END AS end;{other} END"
            ),
            1 => format!("CREATE FUNCTION f{n}() RETURNS text LANGUAGE sql AS $f$ SELECT ';';{one} $f$"),
            2 => format!(
                "CREATE TABLE t{n} (x int);{one}CREATE RULE r AS ON INSERT TO t{n} DO ALSO{gap}(SELECT 1;{other} SELECT 2)"
            ),
            3 => format!("DO{one}$do$ BEGIN PERFORM 1; END $do$"),
            4 => format!("SELECT{one} \"a;'\" FROM{gap} (SELECT 1 AS \"a;'\") AS x{other}"),
            5 => format!("SELECT 1{one}+{gap}2 ,{other}$q${gap}$q$"),
            _ => {
                let (first, second) = (self.literal(), self.literal());
                format!("SELECT{one} {first}{gap},{other}{second}")
            }
        }
    }

    fn script(&mut self) -> String {
        (0..1 + self.0.below(5))
            .map(|n| format!("{}{}", self.statement(n), self.one_of(&[";", ";\n", "; ;", " ;--'\n"])))
            .collect()
    }
}

/// Runs texts one after another, and returns what they say: each row, and `done` for each
/// statement. Leaves nothing behind.
fn answers(client: &mut postgres::Client, texts: &[String]) -> Result<Vec<String>, postgres::Error> {
    client.batch_execute("BEGIN")?;
    let mut run = || {
        let mut answers = Vec::new();
        for text in texts {
            for message in client.simple_query(text)? {
                match message {
                    SimpleQueryMessage::Row(row) => {
                        answers.extend((0..row.len()).map(|n| row.get(n).unwrap_or_default().to_owned()));
                    }
                    SimpleQueryMessage::CommandComplete(_) => answers.push("done".to_owned()),
                    _ => {}
                }
            }
        }
        Ok(answers)
    };
    let result = run();
    client.batch_execute("ROLLBACK")?;
    result
}

/// Compares what pieces do with what the whole text does.
fn agree(client: &mut postgres::Client, pieces: &[String], whole: &[String]) -> bool {
    let done = whole.iter().filter(|answer| *answer == "done").count();
    pieces.len() == done && answers(client, pieces).is_ok_and(|answers| answers == whole)
}

/// Splits scripts as Bustard does, and compares each with what PostgreSQL makes of the whole.
#[test]
fn a10_pieces_are_those_of_postgresql() {
    let database = Database::new();
    let mut client = database.client();
    let mut scripts = Scripts(Random::seeded());
    let mut accepted = Vec::new();
    let (mut statements, mut naive) = (0, 0);
    for _ in 0..600 {
        let text = scripts.script();
        let Ok(whole) = answers(&mut client, std::slice::from_ref(&text)) else { continue };
        accepted.push((text, whole));
    }
    let app = accepted.iter().enumerate().fold(App::new("main"), |app, (n, (text, _))| {
        app.migration(format!("V{}__a", n + 1), Migration::new().sql(text))
    });
    let plan = Migrator::new().app(app).plan(&mut client).unwrap_or_else(|error| panic!("{error:#}"));
    let steps = plan.steps.iter().filter(|step| step.app == "main");
    for ((text, whole), step) in accepted.iter().zip(steps) {
        assert!(
            agree(&mut client, &step.sql, whole),
            "{text}\nis split into {:#?}, and does {whole:?}",
            step.sql
        );
        statements += step.sql.len();
        // The check sees a splitter that knows no strings.
        let pieces: Vec<String> =
            text.split(';').filter(|piece| !piece.trim().is_empty()).map(str::to_owned).collect();
        naive += usize::from(!agree(&mut client, &pieces, whole));
    }
    println!(
        "{} of 600 scripts with {statements} statements; a naive splitter fails in {naive}",
        accepted.len()
    );
    assert!(accepted.len() > 400 && statements > 1_000 && naive > 200, "the generator is too tame");
}
