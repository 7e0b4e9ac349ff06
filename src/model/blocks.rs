//! The digests of the blocks of a text, by which each later reading proves that it is the
//! same text before any of it is used.
//!
//! In: the bytes of the first reading; then a stream of a later one. Out: the same bytes, a
//! block at a time, or the error [`Changed`] before the first block that differs.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};
use std::sync::Arc;

/// The size of a block in bytes.
const BLOCK: usize = 1 << 16;

/// The error of a text that is not the text that was read first.
#[derive(Debug)]
pub(crate) struct Changed;

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file has changed while Bustard was using it")
    }
}

impl std::error::Error for Changed {}

impl Changed {
    /// Returns the error of a stream.
    pub(crate) fn error() -> io::Error {
        io::Error::other(Changed)
    }

    /// Returns whether a stream has ended with this error.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Changed>())
    }
}

/// The digests of the blocks of a text. Their keys are random, so no other text can be made
/// to have the same digests.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    keys: RandomState,
    digests: Vec<u64>,
    /// The bytes of the last block, as long as it is not whole.
    last: Vec<u8>,
    length: u64,
}

impl Blocks {
    /// Adds the next bytes of the first reading.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.last.len()));
            self.last.extend_from_slice(now);
            bytes = later;
            if self.last.len() == BLOCK {
                self.end_block();
            }
        }
    }

    /// Ends the first reading.
    pub(super) fn end(mut self) -> Self {
        if !self.last.is_empty() {
            self.end_block();
        }
        self.last = Vec::new();
        self
    }

    fn end_block(&mut self) {
        self.digests.push(self.digest(&self.last));
        self.last.clear();
    }

    fn digest(&self, block: &[u8]) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write(block);
        hasher.finish()
    }

    /// Returns the start of the block of an offset.
    pub(super) fn start(offset: u64) -> u64 {
        offset - offset % BLOCK as u64
    }

    /// Reads a whole block. Returns nothing behind the last one, where the text must end.
    fn read(&self, input: &mut dyn Read, index: u64) -> io::Result<Vec<u8>> {
        let start = index.saturating_mul(BLOCK as u64);
        let expected = usize::try_from(index).ok().and_then(|index| self.digests.get(index));
        let length = self.length.saturating_sub(start).min(BLOCK as u64);
        // One more byte than the text has, to see its end.
        let wanted = if start + length == self.length { length + 1 } else { length };
        let mut block = Vec::new();
        input.take(wanted).read_to_end(&mut block)?;
        let is_same = block.len() as u64 == length && expected.is_none_or(|one| *one == self.digest(&block));
        if is_same { Ok(block) } else { Err(Changed::error()) }
    }
}

/// A later reading of a text, which gives out nothing else than the text of the first.
pub(super) struct Checked {
    blocks: Arc<Blocks>,
    /// The stream, at the start of the block `next`.
    input: Box<dyn Read + Send>,
    next: u64,
    block: Vec<u8>,
    /// The bytes of the block that have been given out.
    at: usize,
}

impl Checked {
    /// Reads from an offset on. The stream must be at [`Blocks::start`] of it.
    pub(super) fn new(blocks: Arc<Blocks>, input: Box<dyn Read + Send>, offset: u64) -> io::Result<Self> {
        let mut checked = Checked { blocks, input, next: offset / BLOCK as u64, block: Vec::new(), at: 0 };
        let inside = offset - Blocks::start(offset);
        if inside > 0 {
            checked.fill()?;
            checked.at = usize::try_from(inside).unwrap_or(BLOCK).min(checked.block.len());
        }
        Ok(checked)
    }

    fn fill(&mut self) -> io::Result<()> {
        self.block = self.blocks.read(&mut self.input, self.next)?;
        self.at = 0;
        self.next += 1;
        Ok(())
    }
}

impl Read for Checked {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() && !bytes.is_empty() {
            self.fill()?;
        }
        let length = (&self.block[self.at..]).read(bytes)?;
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks_of(text: &[u8], step: usize) -> Arc<Blocks> {
        let mut blocks = Blocks::default();
        text.chunks(step).for_each(|bytes| blocks.add(bytes));
        Arc::new(blocks.end())
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n * 31 % 251) as u8).collect()
    }

    /// Reads another text from an offset on. Returns what was given out, and whether all was.
    fn read(blocks: &Arc<Blocks>, other: &[u8], offset: usize) -> (Vec<u8>, bool) {
        let start = Blocks::start(offset as u64) as usize;
        let input = Box::new(io::Cursor::new(other.get(start..).unwrap_or_default().to_vec()));
        let mut found = Vec::new();
        let end = Checked::new(blocks.clone(), input, offset as u64)
            .and_then(|mut checked| checked.read_to_end(&mut found));
        if let Err(error) = &end {
            assert!(Changed::is(error), "{error}");
        }
        (found, end.is_ok())
    }

    #[test]
    fn a7_the_same_text_is_given_out_from_any_offset() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 77] {
            let text = text(length);
            for step in [1_000, BLOCK, 1 << 20] {
                let blocks = blocks_of(&text, step);
                for offset in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, length.saturating_sub(1), length] {
                    if offset <= length {
                        assert_eq!(read(&blocks, &text, offset), (text[offset..].to_vec(), true));
                    }
                }
            }
        }
    }

    #[test]
    fn a7_nothing_of_a_block_that_differs_is_given_out() {
        for length in [1, BLOCK, BLOCK + 1, 3 * BLOCK + 77] {
            let text = text(length);
            let blocks = blocks_of(&text, 9_999);
            for at in [0, length / 2, length - 1] {
                let mut other = text.clone();
                other[at] ^= 1;
                let whole = Blocks::start(at as u64) as usize;
                assert_eq!(read(&blocks, &other, 0), (text[..whole].to_vec(), false), "{length} {at}");
                let less = read(&blocks, &text[..at], 0);
                assert_eq!(less, (text[..whole].to_vec(), false), "{length} {at}");
            }
            let more = [text.as_slice(), b"x"].concat();
            let whole = Blocks::start(length as u64 - 1) as usize;
            assert_eq!(read(&blocks, &more, 0), (text[..whole].to_vec(), false), "{length}");
        }
    }
}
