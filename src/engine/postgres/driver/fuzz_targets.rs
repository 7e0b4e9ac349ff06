//! Fuzz targets: database URLs, and service files of libpq.
//!
//! In: mutated texts. Out: nothing; a panic is a fault. The passwords in the corpus are
//! `hunter2`, so that a message that repeats one is seen.

use std::ffi::OsString;
use std::path::Path;

use super::Target;
use super::url::is_postgres;
use crate::engine::percent::decode;
use crate::error::{ErrorKind, Result};
use crate::fuzz::{corpus, drive, finds};

const SECRET: &str = "hunter2";

fn without_environment(_: &str) -> Option<OsString> {
    None
}

/// Whether an error may repeat the secret: errors name parameters.
fn is_in_a_name(url: &str) -> bool {
    url.split(['?', '&']).skip(1).any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        decode(name, "").is_ok_and(|name| name.contains(SECRET)) || name.contains(SECRET)
    })
}

/// Returns the password for the first server.
fn password(target: &Target) -> String {
    let config = target.config_for(&target.servers[0], None);
    String::from_utf8_lossy(config.get_password().unwrap_or_default()).into_owned()
}

/// Whether the secret is only where a password is.
fn is_only_a_password(target: &Target) -> bool {
    let elsewhere = target.servers.iter().any(|server| server.to_string().contains(SECRET));
    password(target).contains(SECRET)
        && !elsewhere
        && !format!("{} {}", target.user, target.database).contains(SECRET)
}

/// Checks that the displayed URL means the same target, and that no message has the secret.
fn check(url: &str, parsed: Result<Target>, shown: impl Fn(&Target) -> String, may_quote: bool) -> bool {
    match parsed {
        Ok(target) => {
            let text = shown(&target);
            assert!(!is_only_a_password(&target) || !text.contains(SECRET), "{text}");
            let again = Target::parse_with(&text, &without_environment);
            let again = again.unwrap_or_else(|error| panic!("{url:?} is shown as {text:?}: {error}"));
            assert_eq!(shown(&again), text, "{url:?}");
            assert_eq!((again.user, again.database), (target.user, target.database), "{url:?}");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Usage);
            let report = error.report().to_string();
            assert!(may_quote || !report.contains(SECRET), "{url:?}: {report}");
            false
        }
    }
}

fn check_url(input: &[u8], shown: impl Fn(&Target) -> String) -> bool {
    let url = String::from_utf8_lossy(input);
    let parsed = Target::parse_with(&url, &without_environment);
    assert!(is_postgres(&url) || parsed.is_err());
    check(&url, parsed, shown, is_in_a_name(&url))
}

#[test]
fn fuzz_urls() {
    drive("url", |input| check_url(input, Target::redacted));
}

#[test]
fn fuzz_urls_finds_a_shown_password() {
    let with_password = |target: &Target| target.redacted() + &password(target);
    finds("url", &corpus("url"), |input| check_url(input, with_password));
}

#[test]
fn fuzz_urls_finds_a_name_that_is_not_encoded() {
    let plain = |target: &Target| target.redacted().replace("%20", "%2520");
    finds("url", &corpus("url"), |input| check_url(input, plain));
}

/// Checks a service file with a URL that names only the service.
fn check_service(input: &[u8], file: &Path, shown: impl Fn(&Target) -> String) -> bool {
    let text = String::from_utf8_lossy(input);
    std::fs::write(file, input).unwrap();
    let environment = |name: &str| (name == "PGSERVICEFILE").then(|| file.as_os_str().to_owned());
    let parsed = Target::parse_with("postgres:///?service=forum", &environment);
    // Errors name keywords.
    let is_in_a_name = |line: &str| line.split('=').next().is_some_and(|name| name.contains(SECRET));
    check(&text, parsed, shown, text.lines().any(is_in_a_name))
}

#[test]
fn fuzz_service_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    drive("service", |input| check_service(input, file.path(), Target::redacted));
}

#[test]
fn fuzz_service_files_finds_a_shown_password() {
    let with_password = |target: &Target| target.redacted() + &password(target);
    let file = tempfile::NamedTempFile::new().unwrap();
    finds("service", &corpus("service"), |input| check_service(input, file.path(), with_password));
}
