//! The password file of libpq, `~/.pgpass`. Each line is
//! `host:port:database:user:password`. The first line that matches the connection is used.

use std::fs::{self, Metadata};
use std::path::Path;

use crate::regular_file;

/// Reads the password for a connection, if the file exists and contains the password.
///
/// As in libpq, a file that other users may read, and one that is no regular file, is
/// ignored with a warning.
pub(super) fn lookup(file: &Path, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
    let found = fs::metadata(file).ok()?;
    if found.is_file() && readable_by_others(&found) {
        log::warn!("{} is ignored: other users may read it; run chmod 600 on it", file.display());
        return None;
    }
    match regular_file::settings(file) {
        Ok(text) => find(&text, [host, &port.to_string(), database, user]),
        Err(refusal) => {
            log::warn!("{} is ignored: {}", file.display(), refusal.why());
            None
        }
    }
}

#[cfg(unix)]
fn readable_by_others(found: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    found.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn readable_by_others(_: &Metadata) -> bool {
    false
}

fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    (text.lines().filter(|line| !line.starts_with('#'))).find_map(|line| {
        let fields = fields(line);
        let (password, keys) = fields.split_last()?;
        let fits = keys.len() == wanted.len()
            && keys
                .iter()
                .zip(wanted)
                .all(|(key, wanted)| !key.escaped && key.text == "*" || key.text == wanted);
        (fits && !password.text.is_empty()).then(|| password.text.clone())
    })
}

#[derive(Default)]
struct Field {
    text: String,
    /// Whether the field contains an escape. `\*` is a literal star, and not a wildcard.
    escaped: bool,
}

/// Splits a line into at most five fields. The password may contain colons.
fn fields(line: &str) -> Vec<Field> {
    let (mut fields, mut field) = (Vec::new(), Field::default());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            // A password may contain the separator.
            (':', _) if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            ('\\', Some(next)) => {
                chars.next();
                field.escaped = true;
                field.text.push(next);
            }
            _ => field.text.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# host:port:database:user:password
h:5432:d:u:one
h:*:*:u:two:with:colons
\\::5432:d\\:e:u:th\\\\ree
*:*:*:last:four
\\*:*:*:star:five
short:line
";

    #[test]
    fn the_first_matching_line_is_used() {
        for (wanted, password) in [
            (["h", "5432", "d", "u"], Some("one")),
            (["h", "5433", "d", "u"], Some("two:with:colons")),
            ([":", "5432", "d:e", "u"], Some("th\\ree")),
            (["x", "1", "y", "last"], Some("four")),
            (["x", "1", "y", "star"], None),
            (["*", "1", "y", "star"], Some("five")),
            (["x", "1", "y", "u"], None),
        ] {
            assert_eq!(find(FILE, wanted).as_deref(), password, "{wanted:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), FILE).unwrap();
        for (mode, password) in [(0o600, Some("one")), (0o640, None), (0o604, None)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(lookup(file.path(), "h", 5432, "d", "u").as_deref(), password, "{mode:o}");
        }
        assert_eq!(lookup(Path::new("no/such/file"), "h", 5432, "d", "u"), None);
    }
}
