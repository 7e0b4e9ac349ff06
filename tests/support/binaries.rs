//! Finds the programs of servers, and the user that they run as.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const MISSING: &str = "\
no PostgreSQL server was found, and these tests need one to start clusters of their own.
Looked in: $BUSTARD_PG_BIN, $PATH, `pg_config --bindir`, /usr/lib/postgresql/*/bin.
Install it (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`;
macOS: `brew install postgresql`), or set BUSTARD_PG_BIN to the directory that holds `initdb`
and `postgres`. `tests/run` does this by itself where it may.";

/// The directory of the server's programs.
#[derive(Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Returns the installation that the tests use.
    ///
    /// # Panics
    ///
    /// Panics if no server is installed. A missing server is a failure, never a skipped test.
    pub fn find() -> &'static Binaries {
        static FOUND: OnceLock<Binaries> = OnceLock::new();
        FOUND.get_or_init(|| match search() {
            Some(directory) => Binaries { directory },
            None => panic!("{MISSING}"),
        })
    }

    /// The directory that they are in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A program that starts, initialises or runs the server. If the tests run as
    /// root, it runs as an unprivileged user, as PostgreSQL demands.
    pub fn server_command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        clean_environment(&mut command);
        if let Some((uid, gid)) = unprivileged() {
            // If the caller is root, `uid` also makes the child drop the supplementary
            // groups.
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Returns a client program. If the server's directory contains the program, it is
    /// taken from there, because `pg_dump` refuses a server that is newer than itself.
    pub fn client_command(&self, program: &str) -> Command {
        let beside = self.directory.join(program);
        let mut command = Command::new(if beside.exists() { beside } else { PathBuf::from(program) });
        clean_environment(&mut command);
        command
    }
}

/// Returns the program of a server other than PostgreSQL. It is the first installed program
/// with one of these names. If the tests run as root, the program runs as an unprivileged
/// user.
///
/// # Panics
///
/// Panics if no such program is installed. A missing server is a failure, never a skipped test.
pub fn server_program(names: &[&str]) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian installs servers in a directory that only root's search path contains.
    let usual = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    let directories: Vec<_> = env::split_paths(&path).chain(usual).collect();
    let found = names.iter().find_map(|name| {
        directories.iter().find(|found| executable(&found.join(name))).map(|directory| directory.join(name))
    });
    let program = found.unwrap_or_else(|| {
        panic!(
            "{} is not installed, and these tests need one to start servers of their own: \
             `tests/run` installs it where it may",
            names.join(" or ")
        )
    });
    let mut command = Command::new(program);
    clean_environment(&mut command);
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command
}

fn executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

/// Returns the user and group for the server, if the tests run as root.
pub fn unprivileged() -> Option<(u32, u32)> {
    static FOUND: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        if id("-u", None) != Some(0) {
            return None;
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|user| Some((id("-u", Some(user))?, id("-g", Some(user))?)))
            .or_else(|| {
                panic!("running as root, and there is no user `postgres` or `nobody` to run a server as")
            })
    })
}

fn id(which: &str, user: Option<&str>) -> Option<u32> {
    let output = Command::new("id").arg(which).args(user).output().ok()?;
    output.status.success().then_some(())?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn search() -> Option<PathBuf> {
    // If a directory is given explicitly, only that directory is searched, because another
    // directory may contain another version.
    if let Some(named) = env::var_os("BUSTARD_PG_BIN") {
        return usable(Path::new(&named));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .find_map(|directory| usable(&directory))
        .or_else(|| {
            let output = Command::new("pg_config").arg("--bindir").output().ok()?;
            usable(Path::new(String::from_utf8(output.stdout).ok()?.trim()))
        })
        .or_else(newest_of_debian)
}

/// Returns `directory` if both programs that a cluster needs are in it. If they are
/// links, returns the directory of their targets, which has the other programs.
fn usable(directory: &Path) -> Option<PathBuf> {
    let real = directory.join("initdb").canonicalize().ok()?.parent()?.to_path_buf();
    let has_both =
        |directory: &PathBuf| ["initdb", "postgres"].iter().all(|name| executable(&directory.join(name)));
    [real, directory.to_path_buf()].into_iter().find(has_both)
}

fn newest_of_debian() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Path::new("/usr/lib/postgresql")
        .read_dir()
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, usable(&entry.path().join("bin"))?))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, directory)| directory)
}

/// Removes the caller's libpq settings and language from the environment.
fn clean_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(&name);
        }
    }
    command.env("LC_ALL", "C").env_remove("LANGUAGE").env("TZ", "UTC");
}
