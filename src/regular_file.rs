//! Regular files, which are the only files that are read.
//!
//! In: a path, and a limit of bytes. Out: the open file or its bytes, or the reason why it
//! is refused.
//!
//! Opening a named pipe waits for a writer, opening a device can have effects, and both can
//! be read without end. So such a file is refused before it is opened. Another process may
//! replace a file after that check. Therefore opening never waits, and the check is repeated
//! on the open file.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

use crate::diagnostic::Code;
#[cfg(any(feature = "config", feature = "postgres"))]
use crate::diagnostic::Place;
#[cfg(any(feature = "config", feature = "postgres"))]
use crate::error::Error;

/// The size above which a migration file is refused. It is the limit of a statement in
/// PostgreSQL and about that of SQLite.
pub(crate) const MIGRATION: u64 = 1 << 30;

/// The size above which a file of settings, passwords or certificates is refused.
#[cfg(any(feature = "config", feature = "postgres", all(feature = "redis", feature = "_engine")))]
pub(crate) const SETTINGS: u64 = 1 << 20;

/// The reason why a file is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The operating system refuses it.
    Unreadable(io::Error),
    /// It is of this kind.
    NotRegular(&'static str),
    /// It is larger than this number of bytes.
    TooLarge(u64),
}

impl Refusal {
    pub(crate) fn code(&self) -> Code {
        match self {
            Refusal::Unreadable(_) => Code::UnreadableSource,
            Refusal::NotRegular(_) => Code::NotARegularFile,
            Refusal::TooLarge(_) => Code::FileTooLarge,
        }
    }

    /// Returns why a file cannot be read, to follow a colon.
    pub(crate) fn why(&self) -> String {
        match self {
            Refusal::Unreadable(error) => error.to_string(),
            Refusal::NotRegular(kind) => format!("it is {kind}, not a regular file"),
            Refusal::TooLarge(limit) => format!("it is larger than {}", size(*limit)),
        }
    }

    /// Returns the error for a file of settings: `what` cannot be read.
    #[cfg(any(feature = "config", feature = "postgres"))]
    pub(crate) fn into_error(self, what: &str, path: &Path) -> Error {
        let error =
            Error::usage(format!("{what} cannot be read: {}", self.why())).at(Some(Place::file(path)));
        let target = fs::read_link(path);
        match self {
            Refusal::Unreadable(cause) if cause.kind() == io::ErrorKind::NotFound && target.is_ok() => {
                let target = Place::file(target.unwrap_or_default());
                error.caused_by(cause).help(format!("it is a link to {target}, which does not exist"))
            }
            Refusal::Unreadable(cause) => error.caused_by(cause),
            Refusal::NotRegular("a directory") => error.with_code(self.code()).help("name a file in it"),
            Refusal::NotRegular(_) => error
                .with_code(self.code())
                .help("write its content to a regular file: reading anything else could wait without end"),
            Refusal::TooLarge(_) => error.with_code(self.code()).help("is it the right file?"),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::Unreadable(error)
    }
}

/// Opens a file for reading. Links are followed.
pub(crate) fn open(path: &Path, limit: u64) -> Result<File, Refusal> {
    check(&fs::metadata(path)?, limit)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path)?;
    check(&file.metadata()?, limit)?;
    Ok(file)
}

/// Reads a file.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Refusal> {
    let file = open(path, limit)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    // The file may grow while it is read.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(Refusal::TooLarge(limit)),
        false => Ok(bytes),
    }
}

/// Returns whether there is nothing at a path, not even a link that leads nowhere.
#[cfg(any(feature = "config", feature = "postgres"))]
pub(crate) fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Reads a file of settings as text.
#[cfg(any(feature = "config", feature = "postgres"))]
pub(crate) fn settings(path: &Path) -> Result<String, Refusal> {
    let not_utf8 = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    Ok(String::from_utf8(read(path, SETTINGS)?).map_err(not_utf8)?)
}

fn check(found: &fs::Metadata, limit: u64) -> Result<(), Refusal> {
    match () {
        () if !found.is_file() => Err(Refusal::NotRegular(kind(found.file_type()))),
        () if found.len() > limit => Err(Refusal::TooLarge(limit)),
        () => Ok(()),
    }
}

/// Returns the kind of a file in words.
pub(crate) fn kind(kind: FileType) -> &'static str {
    match () {
        () if kind.is_file() => "a file",
        () if kind.is_dir() => "a directory",
        () => special(kind),
    }
}

#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;

    match () {
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_block_device() || kind.is_char_device() => "a device",
        () => "a special file",
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "a special file"
}

/// Returns a limit in words.
fn size(bytes: u64) -> String {
    match bytes >> 30 {
        0 => format!("{} MiB", bytes >> 20),
        whole => format!("{whole} GiB"),
    }
}
