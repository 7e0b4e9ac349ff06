//! Files of settings that are no regular files, too large, or no text.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{SPECIAL, remove};
use crate::support::{Outcome, Project};

/// A file of settings, and a command that reads it.
struct Settings {
    name: &'static str,
    what: &'static str,
    variables: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    /// Whether an error of this file must have its place.
    place: bool,
}

const ALL: [Settings; 7] = [
    Settings {
        name: "bustard.toml",
        what: "the configuration",
        variables: &[],
        arguments: &["migrate"],
        place: true,
    },
    Settings {
        name: "other.toml",
        what: "the configuration",
        variables: &[],
        arguments: &["check", "--config", "other.toml"],
        place: true,
    },
    Settings {
        name: ".env",
        what: "the file of variables",
        variables: &[],
        arguments: &["migrate"],
        place: true,
    },
    Settings {
        name: "service",
        what: "the service file",
        variables: &[("PGSERVICEFILE", "service")],
        arguments: &["migrate", "--database-url", "postgres://127.0.0.1:1/?service=s"],
        place: true,
    },
    Settings {
        name: "root.crt",
        what: "the root certificates in root.crt",
        variables: &[],
        arguments: &[
            "migrate",
            "--database-url",
            "postgres://127.0.0.1:1/d?sslmode=verify-full&sslrootcert=root.crt",
        ],
        place: false,
    },
    Settings {
        name: "client.crt",
        what: "the client certificate client.crt",
        variables: &[],
        arguments: &[
            "migrate",
            "--database-url",
            "postgres://127.0.0.1:1/d?sslcert=client.crt&sslkey=client.key",
        ],
        place: false,
    },
    Settings {
        name: "client.key",
        what: "the key of the client certificate, client.key",
        variables: &[],
        arguments: &[
            "migrate",
            "--database-url",
            "postgres://127.0.0.1:1/d?sslcert=good.crt&sslkey=client.key",
        ],
        place: false,
    },
];

fn project() -> Project {
    let project = Project::new();
    project.file("migrations/V1__a.sql", "CREATE TABLE a (x INTEGER);\n");
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    project.file("good.crt", key.cert.pem());
    project
}

impl Settings {
    fn run(&self, project: &Project) -> Outcome {
        let mut command = project.command(self.arguments);
        command.env("USER", "u").envs(self.variables.iter().copied());
        Outcome::of(command)
    }

    /// Asserts that the file is refused for this reason.
    #[track_caller]
    fn refused(&self, project: &Project, why: &str) {
        let outcome = self.run(project).exits(2).complains(self.what).complains(why);
        let place = format!("--> {}\n", self.name);
        assert!(!self.place || format!("{}\n", outcome.stderr.trim_end()).contains(&place), "{outcome}");
        assert!(!project.path().join("app.db").exists(), "{outcome}");
    }
}

#[test]
fn a20_settings_are_read_from_regular_files_only() {
    for settings in ALL {
        let project = project();
        let path = project.path().join(settings.name);
        for (kind, make) in SPECIAL {
            make(&path);
            settings.refused(&project, &format!("it is {kind}, not a regular file"));
            if settings.place {
                settings.run(&project).complains("help: ");
            }
            remove(&path);
        }
    }
}

#[test]
fn a20_settings_that_are_too_large_or_no_text_are_refused() {
    for settings in ALL {
        let project = project();
        let path = project.path().join(settings.name);
        fs::File::create(&path).expect("a file").set_len(1 << 40).expect("a sparse file");
        settings.refused(&project, "it is larger than 1 MiB");
        remove(&path);
        if settings.place {
            fs::write(&path, b"a = '\xff'\n").expect("a file");
            settings.refused(&project, "it is not UTF-8");
            remove(&path);
        }
        for (target, why) in [(settings.name, "Too many levels of symbolic links"), ("gone", "No such file")]
        {
            symlink(target, &path).expect("a link");
            settings.refused(&project, why);
            remove(&path);
        }
    }
}

/// As in libpq, a password file that is not as it should be is ignored with a warning.
#[test]
fn a20_a_password_file_that_cannot_be_read_is_ignored_with_a_warning() {
    let project = project();
    let path = project.path().join("passwords");
    let run = || {
        let url = "postgres://u@127.0.0.1:1/d?passfile=passwords";
        Outcome::of(project.command(&["migrate", "--database-url", url])).exits(1).complains("127.0.0.1:1")
    };
    for (kind, make) in SPECIAL {
        make(&path);
        run().complains(&format!("passwords is ignored: it is {kind}, not a regular file"));
        remove(&path);
    }
    let private = |path: &Path| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(path, mode).expect("it is set");
    };
    fs::File::create(&path).expect("a file").set_len(1 << 40).expect("a sparse file");
    private(&path);
    run().complains("passwords is ignored: it is larger than 1 MiB");
    fs::write(&path, b"*:*:*:*:\xff\n").expect("a file");
    private(&path);
    run().complains("passwords is ignored: it is not UTF-8");
}

/// A database file is a regular file too.
#[test]
fn a20_a_database_is_a_regular_file() {
    for (kind, make) in SPECIAL {
        let project = project();
        make(&project.path().join("app.db"));
        for command in ["migrate", "check"] {
            let outcome = project.bustard(&[command, "--database-url", "sqlite:app.db"]).exits(1);
            outcome.complains(&format!("app.db: it is {kind}")).complains("help: name a regular file");
        }
    }
}
