//! The checker. It knows the states that a database may be in, one state after each
//! migration. It also checks that cache versions never decrease, and that they are higher
//! after a change.

use std::collections::BTreeMap;

use crate::support::{Project, State, Subject};

/// The number of states (rungs) that Bustard's own migrations create. They are never
/// reverted.
pub const OWN: usize = 1;

/// The contents of a database after each transaction of a plan. These contents are called
/// rungs. Rung 0 is an empty database, rung 1 has all of Bustard's own migrations, and so
/// on.
#[derive(Debug)]
pub struct Ladder {
    rungs: Vec<String>,
}

impl Ladder {
    /// Records the rungs: applies one migration after the other, without interruption, on
    /// an empty subject.
    pub fn climb(subject: &Subject<'_>, targets: &[&str]) -> Ladder {
        let mut rungs = vec![subject.state().content];
        for target in ["bustard:1"].iter().chain(targets) {
            subject.bustard(&["migrate", "--to", target]).success();
            subject.quiet();
            rungs.push(subject.state().content);
        }
        // Reverting everything leaves the result of Bustard's own migrations.
        subject.bustard(&["revert", "--steps", &targets.len().to_string()]).success();
        subject.quiet();
        assert_eq!(rungs[OWN], subject.state().content);
        for (i, rung) in rungs.iter().enumerate() {
            assert!(!rungs[..i].contains(rung), "two steps leave the same state:\n{rung}");
        }
        Ladder { rungs }
    }

    /// Returns the number of the highest rung.
    pub fn top(&self) -> usize {
        self.rungs.len() - 1
    }

    fn find(&self, state: &State) -> Result<usize, String> {
        self.rungs.iter().position(|rung| *rung == state.content).ok_or_else(|| {
            let nearest =
                self.rungs.iter().enumerate().min_by_key(|(_, rung)| differences(rung, state).len());
            let (number, rung) = nearest.expect("a ladder has rungs");
            format!(
                "the database contains a part of a migration. It is most similar to the state after {number} steps, but:\n{}",
                differences(rung, state).join("\n")
            )
        })
    }
}

fn differences(rung: &str, state: &State) -> Vec<String> {
    let only_in = |a: &str, b: &str, sign: &str| {
        let other: Vec<&str> = b.lines().collect();
        a.lines()
            .filter(|line| !other.contains(line))
            .map(|line| format!("{sign} {line}"))
            .collect::<Vec<_>>()
    };
    let mut found = only_in(rung, &state.content, "missing");
    found.extend(only_in(&state.content, rung, "too much"));
    found
}

/// The observations of one database: its last rung, and the highest version of each cache
/// so far.
#[derive(Clone, Debug)]
pub struct Watch<'l> {
    ladder: &'l Ladder,
    pub rung: usize,
    highest: BTreeMap<String, i64>,
}

impl<'l> Watch<'l> {
    /// Begins to observe a subject.
    pub fn new(ladder: &'l Ladder, subject: &Subject<'_>) -> Result<Watch<'l>, String> {
        let state = subject.state();
        Ok(Watch { ladder, rung: ladder.find(&state)?, highest: state.versions })
    }

    /// Reads the database again after a run, interrupted or not.
    pub fn look(&mut self, subject: &Subject<'_>) -> Result<State, String> {
        let state = subject.state();
        let rung = self.ladder.find(&state)?;
        for (cache, &version) in &state.versions {
            let highest = self.highest.entry(cache.clone()).or_default();
            if rung == self.rung && version != *highest {
                return Err(format!("nothing changed, and {cache} went from version {highest} to {version}"));
            }
            if rung != self.rung && version <= *highest {
                return Err(format!(
                    "the database went from {} steps to {rung}, and {cache} went from version {highest} to {version}",
                    self.rung
                ));
            }
            *highest = version;
        }
        self.rung = rung;
        Ok(state)
    }
}

/// Checks that every transaction of a run has invalidated all caches. The counts of
/// invalidations on copies of one database must differ from each rung to the next.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<usize, BTreeMap<String, i64>>);

impl Counts {
    pub fn note(&mut self, rung: usize, state: &State) {
        // The lower 23 bits of a version are not part of the count.
        let counts = state.versions.iter().map(|(cache, version)| (cache.clone(), version >> 23));
        self.0.entry(rung).or_default().extend(counts);
    }

    pub fn check(&self, forward: bool) -> Result<(), String> {
        let mut seen: Vec<_> = self.0.iter().collect();
        if !forward {
            seen.reverse();
        }
        for pair in seen.windows(2) {
            for (cache, later) in pair[1].1 {
                if pair[0].1.get(cache).is_some_and(|earlier| earlier >= later) {
                    return Err(format!(
                        "from {} steps to {} nothing invalidated {cache}",
                        pair[0].0, pair[1].0
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Creates a host and a plugin for either engine, with tables, rows, an index, and caches
/// that are registered and unregistered.
pub fn forum() -> (Project, &'static [&'static str]) {
    let project = Project::new();
    project
        .config(
            "[[apps]]\nlabel = \"main\"\nmigrations = \"main\"\n\
             [[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\n",
        )
        .file(
            "main/V1__users.sql",
            "CREATE TABLE users (id BIGINT PRIMARY KEY, name TEXT NOT NULL);\n\
             INSERT INTO users VALUES (1, 'a'), (2, 'b');\n\
             -- bustard: register cache users\n\
             -- bustard: down\n\
             DROP TABLE users;\n",
        )
        .file(
            "main/V2__posts.sql",
            "-- bustard: register cache posts\n\
             CREATE TABLE posts (id BIGINT PRIMARY KEY, author BIGINT REFERENCES users (id));\n\
             CREATE INDEX posts_author ON posts (author);\n\
             INSERT INTO posts SELECT id * 10, id FROM users;\n\
             -- bustard: down\n\
             DROP TABLE posts;\n",
        )
        .file(
            "main/V3__ages.sql",
            "ALTER TABLE users ADD COLUMN age INTEGER;\n\
             -- bustard: unregister cache posts\n\
             INSERT INTO users VALUES (3, 'c', 33);\n\
             -- bustard: register cache ages on users\n\
             -- bustard: down\n\
             DELETE FROM users WHERE id = 3;\n\
             ALTER TABLE users DROP COLUMN age;\n",
        )
        .file(
            "bans/V1__bans.sql",
            "-- bustard: depends on main V2\n\
             CREATE TABLE bans (id BIGINT PRIMARY KEY);\n\
             -- bustard: register cache bans on bans\n\
             INSERT INTO bans VALUES (1);\n\
             -- bustard: down\n\
             DROP TABLE bans;\n",
        );
    (project, &["main:1", "main:2", "bans:1", "main:3"])
}
