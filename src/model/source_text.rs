//! The text of a migration: in memory, or in a file that is read again each time.
//!
//! In: a text, or a file that was read once. Out: its bytes as a stream, and refinery's
//! checksum. Where a file has changed since it was read first, its stream ends with an error.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::blocks::{Blocks, Changed, Checked};
use super::{MigrationId, Width};
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::error::{Error, ErrorKind};

/// The text of a migration.
#[derive(Clone)]
pub(crate) enum SourceText {
    /// In memory.
    Held(Arc<Cow<'static, str>>),
    /// In a file.
    Stored(Arc<Stored>),
}

/// A text that is not kept in memory.
pub(crate) struct Stored {
    open: Open,
    id: MigrationId,
    blocks: Arc<Blocks>,
    /// Refinery's checksum with the width of new tables.
    sum: u64,
    /// The 64-bit checksum of the text with LF line ends.
    lf_sum: u64,
}

/// A function that opens a text at a byte offset.
type Open = Box<dyn Fn(u64) -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// Returns the error for a text that could not be read again.
pub(crate) fn unreadable(error: &io::Error, file: Option<Place>) -> Error {
    Error::from_diagnostics(ErrorKind::Failed, vec![text_failed(error, file)])
}

/// Returns the diagnostic for a text that could not be read again.
pub(crate) fn text_failed(error: &io::Error, file: Option<Place>) -> Diagnostic {
    let (code, message, help) = if Changed::is(error) {
        let help = "let no program write migration files while they are applied, and run again";
        (Code::ChangedSource, error.to_string(), help)
    } else {
        let message = format!("the file cannot be read again: {error}");
        (
            Code::UnreadableSource,
            message,
            "Bustard reads a large file when it needs it: put it back, and run again",
        )
    };
    let mut diagnostic = Diagnostic::new(code, message).help(help);
    diagnostic.place = file;
    diagnostic
}

impl SourceText {
    /// Returns the text in a file that has been read once, with the sums of [`Sums`].
    pub(crate) fn stored(id: MigrationId, sums: Sums, open: Open) -> Self {
        let (sum, lf_sum, blocks) = sums.finish();
        let blocks = Arc::new(blocks);
        SourceText::Stored(Arc::new(Stored { open, id, blocks, sum, lf_sum }))
    }

    /// Returns the text, if it is in memory.
    pub(crate) fn held(&self) -> Option<&str> {
        match self {
            SourceText::Held(text) => Some(text),
            SourceText::Stored(_) => None,
        }
    }

    /// Returns whether this is the same text in memory, or the same file.
    pub(crate) fn is(&self, other: &SourceText) -> bool {
        match (self, other) {
            (SourceText::Held(one), SourceText::Held(other)) => Arc::ptr_eq(one, other),
            (SourceText::Stored(one), SourceText::Stored(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Returns whether two migrations with the same name have the same text, which is not
    /// empty.
    pub(crate) fn is_alike(&self, other: &SourceText, id: &MigrationId) -> bool {
        let sum = |text: &SourceText| match text {
            SourceText::Stored(stored) => Some(stored.sum),
            SourceText::Held(text) if text.is_empty() => None,
            SourceText::Held(text) => {
                let mut hasher = seed(id, Width::NEW);
                hasher.write(text.as_bytes());
                Some(self::sum(hasher))
            }
        };
        let one = sum(self);
        one.is_some() && one == sum(other)
    }

    /// Returns the whole text as a stream.
    pub(crate) fn read(&self) -> io::Result<Box<dyn Read + Send>> {
        self.read_from(0)
    }

    /// Returns the text from a byte offset on as a stream.
    pub(crate) fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        match self {
            SourceText::Held(text) => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(Box::new(Rest { text: text.clone(), at: at.min(text.len()) }))
            }
            SourceText::Stored(stored) => {
                let input = (stored.open)(Blocks::start(offset))?;
                Ok(Box::new(Checked::new(stored.blocks.clone(), input, offset)?))
            }
        }
    }

    /// Returns refinery's checksum of the text under a name, if it is known already.
    pub(crate) fn known_sum(&self, id: &MigrationId, width: Width) -> Option<u64> {
        match self {
            SourceText::Stored(stored) if width == Width::NEW && is_same(&stored.id, id) => Some(stored.sum),
            _ => None,
        }
    }

    /// Returns the 64-bit checksum of the text with LF line ends under a name, if it is
    /// known already.
    pub(crate) fn known_lf_sum(&self, id: &MigrationId) -> Option<u64> {
        match self {
            SourceText::Stored(stored) if is_same(&stored.id, id) => Some(stored.lf_sum),
            _ => None,
        }
    }
}

fn is_same(one: &MigrationId, other: &MigrationId) -> bool {
    (&one.name, one.version) == (&other.name, other.version)
}

impl From<String> for SourceText {
    fn from(text: String) -> Self {
        SourceText::Held(Arc::new(Cow::Owned(text)))
    }
}

impl From<&'static str> for SourceText {
    fn from(text: &'static str) -> Self {
        SourceText::Held(Arc::new(Cow::Borrowed(text)))
    }
}

impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceText::Held(text) => text.fmt(f),
            SourceText::Stored(stored) => write!(f, "a file with the checksum {}", stored.sum),
        }
    }
}

/// Returns refinery's hasher before the text: SipHash-1-3 with zero keys over name and
/// version, each hashed as Rust hashes `String`, and `i32` or `i64`. The text follows,
/// hashed as `str`: its bytes and 0xFF.
pub(crate) fn seed(id: &MigrationId, width: Width) -> SipHasher13 {
    let mut hasher = SipHasher13::new();
    id.name.hash(&mut hasher);
    match width {
        // Versions that do not fit are refused before anything is hashed.
        Width::Int4 => (id.version as i32).hash(&mut hasher),
        Width::Int8 => id.version.hash(&mut hasher),
    }
    hasher
}

/// Returns the checksum of a hasher that has got the name, the version and the text.
pub(crate) fn sum(mut hasher: SipHasher13) -> u64 {
    hasher.write_u8(0xff);
    hasher.finish()
}

/// The checksums of a text that is read for the first time.
pub(crate) struct Sums {
    text: SipHasher13,
    /// With LF line ends; `None` as long as they are the same.
    lf: Option<SipHasher13>,
    /// The bytes end with a carriage return.
    carriage_return: bool,
    blocks: Blocks,
}

impl Sums {
    pub(crate) fn new(id: &MigrationId) -> Self {
        let lf = (Width::NEW != Width::Int8).then(|| seed(id, Width::Int8));
        Sums { text: seed(id, Width::NEW), lf, carriage_return: false, blocks: Blocks::default() }
    }

    /// Adds the next bytes of the text.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if self.lf.is_none() && bytes.contains(&b'\r') {
            self.lf = Some(self.text);
        }
        self.text.write(bytes);
        self.blocks.add(bytes);
        if let Some(lf) = &mut self.lf {
            write_lf(lf, bytes, &mut self.carriage_return, b"\n");
        }
    }

    fn finish(mut self) -> (u64, u64, Blocks) {
        if let Some(lf) = self.lf.as_mut().filter(|_| self.carriage_return) {
            lf.write(b"\r");
        }
        let text = sum(self.text);
        (text, self.lf.map_or(text, sum), self.blocks.end())
    }
}

/// Writes bytes with other line ends. `carriage_return` tells whether the bytes before end
/// with a carriage return that has not been written.
pub(crate) fn write_lf(hasher: &mut SipHasher13, bytes: &[u8], carriage_return: &mut bool, end: &[u8]) {
    if end == b"\n" && !*carriage_return && !bytes.contains(&b'\r') {
        return hasher.write(bytes);
    }
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        if std::mem::take(carriage_return) && part != b"\n" {
            hasher.write(b"\r");
        }
        if let Some(line) = part.strip_suffix(b"\n") {
            hasher.write(line.strip_suffix(b"\r").unwrap_or(line));
            hasher.write(end);
        } else if let Some(line) = part.strip_suffix(b"\r") {
            hasher.write(line);
            *carriage_return = true;
        } else {
            hasher.write(part);
        }
    }
}

/// The rest of a text in memory.
struct Rest {
    text: Arc<Cow<'static, str>>,
    at: usize,
}

impl Read for Rest {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = (&self.text.as_bytes()[self.at..]).read(bytes)?;
        self.at += length;
        Ok(length)
    }
}
