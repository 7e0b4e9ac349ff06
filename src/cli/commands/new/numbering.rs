//! Detects how a directory numbers its migrations, and returns the next version. The
//! versions may be 1, 2, 3, or 001, 002, 003, or dates with times, or seconds since 1970.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use time::OffsetDateTime;

/// Versions in this range are taken as Unix times. The range contains the times with ten
/// digits, from 2001-09-09 to 2286-11-20.
const UNIX: std::ops::Range<i64> = 1_000_000_000..10_000_000_000;

/// The versions in a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    last: Option<i64>,
    /// The largest number of digits of a version that starts with a zero, or 0.
    width: usize,
}

impl Numbering {
    /// Reads the names of all files in `directory` and its subdirectories. A directory that
    /// does not exist has no versions.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut numbering = Numbering::default();
        match numbering.visit(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound && !directory.exists() => {
                Ok(Numbering::default())
            }
            result => result.map(|()| numbering),
        }
    }

    fn visit(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Links to directories are not followed, because they may form a cycle.
            if entry.file_type()?.is_dir() {
                self.visit(&entry.path())?;
            } else if let Some(digits) = entry.file_name().to_str().and_then(digits) {
                self.add(digits);
            }
        }
        Ok(())
    }

    fn add(&mut self, digits: &str) {
        let Ok(version) = digits.parse() else { return };
        self.last = self.last.max(Some(version));
        if digits.starts_with('0') {
            self.width = self.width.max(digits.len());
        }
    }

    /// Returns the next version as text.
    pub fn next(&self, now: OffsetDateTime) -> String {
        let Some(last) = self.last else { return "1".to_owned() };
        let next = last.saturating_add(1);
        let next = if is_date_and_time(last) {
            // The version grows even if the last version has the same second, or if the
            // clock is behind.
            next.max(date_and_time(now))
        } else if UNIX.contains(&last) {
            next.max(now.unix_timestamp())
        } else {
            next
        };
        format!("{next:0width$}", width = self.width)
    }
}

/// Returns the digits of the version in `V12__name.sql`.
fn digits(name: &str) -> Option<&str> {
    let extension = Path::new(name).extension().and_then(OsStr::to_str)?;
    let (version, _) = name.split_once("__")?;
    let digits = version.strip_prefix(['V', 'U'])?;
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (is_number && matches!(extension, "sql" | "rs")).then_some(digits)
}

/// Reports whether a version looks like YYYYMMDDHHMMSS. Seconds may exceed 59, because
/// `next` adds 1 without carrying.
fn is_date_and_time(version: i64) -> bool {
    let part = |divisor: i64, modulus: i64| version / divisor % modulus;
    (1900..3000).contains(&(version / 10_000_000_000))
        && (1..=12).contains(&part(100_000_000, 100))
        && (1..=31).contains(&part(1_000_000, 100))
        && part(10_000, 100) < 24
        && part(100, 100) < 60
}

fn date_and_time(now: OffsetDateTime) -> i64 {
    let parts = [now.month().into(), now.day(), now.hour(), now.minute(), now.second()];
    parts.into_iter().fold(i64::from(now.year()), |number, part: u8| number * 100 + i64::from(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(versions: &[&str]) -> String {
        let mut numbering = Numbering::default();
        for version in versions {
            numbering.add(version);
        }
        // 2026-03-04T05:06:07Z
        numbering.next(OffsetDateTime::from_unix_timestamp(1_772_600_767).unwrap())
    }

    #[test]
    fn the_next_number_looks_like_the_others() {
        for (versions, expected) in [
            (&[][..], "1"),
            (&["1", "2"], "3"),
            (&["2", "10", "9"], "11"),
            (&["001", "002"], "003"),
            (&["0009"], "0010"),
            (&["099"], "100"),
            (&["20240101120000"], "20260304050607"),
            (&["20991231235959"], "20991231235960"),
            (&["20260304050607"], "20260304050608"),
            (&["1700000000"], "1772600767"),
            (&["20240101"], "20240102"),
        ] {
            assert_eq!(next(versions), expected, "{versions:?}");
        }
    }

    #[test]
    fn only_migrations_count() {
        assert_eq!(digits("V12__create_users.sql"), Some("12"));
        assert_eq!(digits("U012__x.postgres.sql"), Some("012"));
        assert_eq!(digits("V3__x.rs"), Some("3"));
        for name in ["V12.sql", "W12__x.sql", "V__x.sql", "V1.5__x.sql", "V12__x.md", "mod.rs"] {
            assert_eq!(digits(name), None, "{name}");
        }
    }
}
