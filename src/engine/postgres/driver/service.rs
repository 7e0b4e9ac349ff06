//! Service files of libpq: named sections of settings, one `keyword=value` a line.

use std::path::{Path, PathBuf};

use super::environment::{Environment, variable};
use super::url::Setting;
use crate::diagnostic::Place;
use crate::error::{Error, Result};
use crate::regular_file;

/// The directories of the system's file without `PGSYSCONFDIR`. libpq has the one that
/// it was built with; the first is Debian's.
const SYSTEM: [&str; 2] = ["/etc/postgresql-common", "/etc"];

/// A line of a section.
pub(super) struct Line {
    pub setting: Setting,
    pub place: Place,
}

/// Reads the settings of a service. As in libpq, the first file that has the section
/// counts, and within it the first line of a keyword.
pub(super) fn read(service: &str, environment: Environment<'_>) -> Result<Vec<Line>> {
    let mut searched = Vec::new();
    for (path, required) in files(environment)? {
        if !required && regular_file::is_absent(&path) {
            continue;
        }
        let text =
            regular_file::settings(&path).map_err(|refusal| refusal.into_error("the service file", &path))?;
        if let Some(lines) = section(&text, service, &path)? {
            return Ok(lines);
        }
        searched.push(path.display().to_string());
    }
    let found = match searched.as_slice() {
        [] => "there is no service file".to_owned(),
        files => format!("it is not in {}", files.join(" or ")),
    };
    Err(Error::usage(format!("the service \"{service}\" is not defined: {found}")).help(
        "write a section [SERVICE] with lines KEYWORD=VALUE into ~/.pg_service.conf, or name the file in PGSERVICEFILE",
    ))
}

/// Returns the files in the order in which they are searched, and whether each must
/// exist.
fn files(environment: Environment<'_>) -> Result<Vec<(PathBuf, bool)>> {
    let own = match variable(environment, "PGSERVICEFILE")? {
        Some(named) => Some((PathBuf::from(named), true)),
        None => environment("HOME").map(|home| (Path::new(&home).join(".pg_service.conf"), false)),
    };
    let system: Vec<PathBuf> = match variable(environment, "PGSYSCONFDIR")? {
        Some(directory) => vec![directory.into()],
        None => SYSTEM.map(PathBuf::from).into(),
    };
    let system = system.into_iter().map(|directory| (directory.join("pg_service.conf"), false));
    Ok(own.into_iter().chain(system).collect())
}

/// Returns the lines of a section, if the file has it.
fn section(text: &str, service: &str, path: &Path) -> Result<Option<Vec<Line>>> {
    let mut found: Option<Vec<Line>> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            // The first section of this name ends where the next one begins.
            if found.is_some() {
                break;
            }
            if header.strip_suffix(']') == Some(service) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(lines) = &mut found else { continue };
        let place = Place::at(path, number, 1);
        if line.starts_with("ldap") && line.contains("://") {
            return Err(Error::usage("a service that is looked up by LDAP is not supported").at(Some(place)));
        }
        // The line is not quoted, because it may hold a password.
        let Some((keyword, value)) = line.split_once('=') else {
            return Err(Error::usage("a line of the service file is not KEYWORD=VALUE").at(Some(place)));
        };
        if keyword == "service" {
            return Err(Error::usage("a service cannot name another service").at(Some(place)));
        }
        if lines.iter().all(|line| line.setting.name != keyword) {
            let setting = Setting { name: keyword.to_owned(), value: value.to_owned() };
            lines.push(Line { setting, place });
        }
    }
    Ok(found)
}
