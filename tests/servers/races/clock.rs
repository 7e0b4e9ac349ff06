//! Tests jumping wall clocks: the age of a snapshot is measured with a monotonic
//! clock, and no other clock decides about versions.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::place::{Client, Place, on_postgres, on_sqlite, quick};
use crate::support::proxy::Proxy;
use crate::support::{Running, wait_until};

/// The variable with the URL for the child process, which prints the state of its snapshot
/// and the time that it reads.
const URL: &str = "BUSTARD_TEST_CLOCK_URL";

fn seconds() -> i64 {
    let now = SystemTime::now();
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap(),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap(),
    }
}

fn tell(url: &str) -> ! {
    let buster = quick(url).start().unwrap();
    let cache = buster.cache("numbers").unwrap();
    let mut told = String::new();
    loop {
        let version = cache.version().map_or(0, |version| version.get());
        let now = format!("known {version}, year {}", 1970 + seconds() / (365 * 24 * 3600));
        if now != told {
            println!("{now}");
            told = now;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the path of the library that fakes the time of a process.
fn library() -> String {
    let told = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let told = told.expect("faketime is installed: `tests/run` does that where it may");
    String::from_utf8(told.stdout).unwrap().trim().to_owned()
}

/// Starts the child process with a clock that the file `clock` controls.
fn child(url: &str, clock: &Path) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "races::clock::the_child_under_a_jumping_clock", "--nocapture"])
        .env(URL, url)
        .env("LD_PRELOAD", library())
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_NO_CACHE", "1")
        // The monotonic clock is not faked, because only wall clocks jump.
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Running::start(child)
}

#[test]
fn the_child_under_a_jumping_clock() {
    if let Ok(url) = std::env::var(URL) {
        tell(&url);
    }
    // Without a URL, the test only checks that the clock is about right.
    assert!(seconds() > 1_700_000_000);
}

/// Moves the clock, changes the data, and waits until the child sees both.
fn jumps(child: &Running, clock: &Path, client: &mut impl Client) {
    let year = 1970 + seconds() / (365 * 24 * 3600);
    for (number, years) in (2..).zip([0, 20, -20, 10, -30, 0]) {
        std::fs::write(clock, format!("{:+}", years * 365 * 24 * 3600)).unwrap();
        client.change(number);
        let told = format!("known {}, year {}", client.version(), year + years);
        wait_until(&told, || child.stdout_so_far().lines().any(|line| line == told));
    }
}

#[test]
fn on_postgres_with_a_network_that_falls_silent() {
    let directory = tempfile::tempdir().unwrap();
    let clock: PathBuf = directory.path().join("clock");
    std::fs::write(&clock, "+0").unwrap();
    let place = on_postgres();
    let proxy = Proxy::start(place.cluster().port());
    let child = child(&proxy.url(&place.url()), &clock);
    let mut client = place.client();
    jumps(&child, &clock, &mut client);
    // After a jump back by an hour, an old snapshot must not count as recent for another
    // hour.
    proxy.set_latency(Duration::from_secs(600));
    std::fs::write(&clock, "-3600").unwrap();
    wait_until("the versions are unknown", || child.stdout_so_far().contains("known 0,"));
    proxy.set_latency(Duration::ZERO);
    jumps(&child, &clock, &mut client);
}

#[test]
fn on_sqlite_with_a_file_that_is_moved_away() {
    let directory = tempfile::tempdir().unwrap();
    let clock: PathBuf = directory.path().join("clock");
    std::fs::write(&clock, "+0").unwrap();
    let place = on_sqlite();
    let child = child(&place.url(), &clock);
    let mut client = place.client();
    jumps(&child, &clock, &mut client);
    let (file, away) = (place.path().join("app.db"), place.path().join("away.db"));
    std::fs::rename(&file, &away).unwrap();
    std::fs::write(&clock, "-3600").unwrap();
    wait_until("the versions are unknown", || child.stdout_so_far().contains("known 0,"));
    std::fs::rename(&away, &file).unwrap();
    jumps(&child, &clock, &mut client);
}

/// The file that reads the wall clock: processes that share a store have no other clock in
/// common. It ends the time to live of a value earlier or later, and never decides whether a
/// version is current.
const ENDS_VALUES: &str = "buster/shared_level.rs";

/// A file of tests, of types of other libraries.
const TESTS_TYPES: &str = "buster/codec/libraries.rs";

/// Returns lines of code below a directory of `src` that read the wall clock, without tests.
fn askers(directory: &str) -> Vec<String> {
    const WALL_CLOCKS: [&str; 4] = ["SystemTime", "OffsetDateTime", "UtcDateTime", "now_utc"];
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(directory)];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            if path.ends_with("tests.rs") || path.ends_with(TESTS_TYPES) || path.ends_with(ENDS_VALUES) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| WALL_CLOCKS.iter().any(|clock| line.contains(clock)));
            found.extend(lines.map(|line| format!("{}: {line}", path.display())));
        }
    }
    found
}

#[test]
fn the_reading_side_reads_no_wall_clock() {
    for directory in ["buster", "store", "registry"] {
        assert_eq!(askers(directory), Vec::<String>::new());
    }
    // Histories have dates, so the search must find lines there.
    assert!(!askers("history").is_empty());
}
