//! The texts of files.
//!
//! In: the path of a file. Out: its text, and whether directives may be in it. Small texts
//! are kept in memory, up to a limit for all of them; of the others only the checksums are
//! kept, and they are read again when they are needed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::directory::{self, refused, unreadable};
use crate::diagnostic::Diagnostic;
use crate::model::{MigrationId, SourceText, Sums};
use crate::regular_file::{self, Refusal};
use crate::sql::{WINDOW, directive};

/// The most bytes of the texts that are kept in memory together.
const KEPT: usize = 4 << 20;

/// The reader of files. It knows how much is in memory.
#[derive(Default)]
pub(super) struct Texts {
    kept: usize,
}

impl Texts {
    /// Reads the text of a file, and tells whether it may contain directives.
    pub(super) fn read(&mut self, path: &Path, id: &MigrationId) -> Result<(SourceText, bool), Diagnostic> {
        let failed = |error: io::Error| unreadable("a migration", path, &error);
        let mut file = open(path).map_err(|refusal| refused(refusal, path))?;
        let mut bytes = Vec::new();
        file.by_ref().take(WINDOW as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() <= WINDOW && self.kept + bytes.len() <= KEPT {
            let Ok(text) = String::from_utf8(bytes) else { return not_utf8(path) };
            self.kept += text.len();
            let directives = directive::may_be_in(&text);
            return Ok((SourceText::from(text), directives));
        }
        let mut first = FirstReading { sums: Sums::new(id), directives: false, rest: Vec::new() };
        let mut scratch = vec![0; WINDOW];
        let mut length = 0;
        loop {
            // It may grow while it is read.
            length += bytes.len() as u64;
            if length > regular_file::MIGRATION {
                return Err(refused(Refusal::TooLarge(regular_file::MIGRATION), path));
            }
            if !first.add(&bytes) {
                return not_utf8(path);
            }
            let length = file.read(&mut scratch).map_err(failed)?;
            if length == 0 {
                break;
            }
            bytes.clear();
            bytes.extend_from_slice(&scratch[..length]);
        }
        if !first.end() {
            return not_utf8(path);
        }
        let path = path.to_owned();
        let text = SourceText::stored(id.clone(), first.sums, Box::new(move |at| open_at(&path, at)));
        Ok((text, first.directives))
    }
}

fn open(path: &Path) -> Result<File, Refusal> {
    regular_file::open(path, regular_file::MIGRATION)
}

fn open_at(path: &Path, at: u64) -> io::Result<Box<dyn Read + Send>> {
    let mut file = open(path).map_err(|refusal| match refusal {
        Refusal::Unreadable(error) => error,
        other => io::Error::other(other.why()),
    })?;
    file.seek(SeekFrom::Start(at))?;
    Ok(Box::new(file))
}

/// Returns the diagnostic for a text that is not UTF-8, with the line.
fn not_utf8<T>(path: &Path) -> Result<T, Diagnostic> {
    match directory::read(path) {
        Err(diagnostic) => Err(diagnostic),
        Ok(_) => Err(unreadable("a migration", path, &io::Error::other(crate::model::Changed))),
    }
}

/// The first reading of a text that is not kept, in parts.
struct FirstReading {
    sums: Sums,
    directives: bool,
    /// The bytes of the last part that belong to an incomplete character or line.
    rest: Vec<u8>,
}

impl FirstReading {
    /// Reads the next bytes. Returns whether the text is UTF-8 so far.
    fn add(&mut self, bytes: &[u8]) -> bool {
        self.sums.add(bytes);
        self.rest.extend_from_slice(bytes);
        let line_end = self.rest.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        match line_end {
            Some(end) => self.look(end),
            None if self.rest.len() < WINDOW => true,
            // A long line. Its parts are not searched for whole directives, but for the word.
            None => {
                let end = match std::str::from_utf8(&self.rest) {
                    Err(error) if error.error_len().is_some() => return false,
                    Err(error) => error.valid_up_to(),
                    Ok(text) => text.len(),
                };
                let word = b"bustard";
                self.directives |=
                    self.rest.windows(word.len()).any(|bytes| bytes.eq_ignore_ascii_case(word));
                // The word may be at the border.
                let kept = end.saturating_sub(word.len());
                let kept = (kept..=end).find(|at| self.rest.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80));
                self.look(kept.unwrap_or(end))
            }
        }
    }

    fn end(&mut self) -> bool {
        self.look(self.rest.len())
    }

    /// Looks for directives in the first bytes of the rest, and removes them.
    fn look(&mut self, end: usize) -> bool {
        let Ok(text) = std::str::from_utf8(&self.rest[..end]) else { return false };
        self.directives |= directive::may_be_in(text);
        self.rest.drain(..end);
        true
    }
}
