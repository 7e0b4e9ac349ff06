//! Bans words and phrases that make a sentence hard to read ("frames"), in the sources and
//! in the documentation. CONTRIBUTING.md has the rules that a person must check.
//!
//! A frame matches whole words in any case. A line break with the comment markers
//! around it counts as a blank, so that a frame is found in wrapped text.

use std::fs;
use std::path::Path;

const BANNED: &[&str] = &["whoever", "whom", "nobody", "somebody", "those too", "be it only", "is to be"];

/// Directories and files of the package. The directory `docs` does not exist yet.
const CHECKED: &[&str] =
    &["src", "migrations", "examples", "benches", "docs", "README.md", "CONTRIBUTING.md"];

#[derive(Debug, Default)]
struct Findings {
    files: usize,
    lines: usize,
    /// `file:line: frame`
    violations: Vec<String>,
}

impl Findings {
    fn check_package(package: &Path) -> Self {
        let mut findings = Findings::default();
        for name in CHECKED {
            findings.check(package, Path::new(name));
        }
        findings
    }

    /// Checks a file, or all files in a directory and its subdirectories. Skips files that
    /// are not text, such as a database that an example has made.
    fn check(&mut self, package: &Path, name: &Path) {
        let path = package.join(name);
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the directory is readable");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("the entry is readable").file_name()).collect();
            names.sort();
            names.iter().for_each(|entry| self.check(package, &name.join(entry)));
        } else if let Ok(text) = fs::read_to_string(&path) {
            self.files += 1;
            self.lines += text.lines().count();
            let found = frames(&text).into_iter();
            self.violations.extend(found.map(|(line, frame)| format!("{}:{line}: {frame}", name.display())));
        }
    }
}

/// A word, the line that it is in, and whether only blanks and comment markers separate
/// it from the word before.
struct Word {
    text: String,
    line: usize,
    follows: bool,
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut line, mut inside, mut follows) = (1, false, false);
    for c in text.chars() {
        if c.is_alphanumeric() || c == '_' {
            if !inside {
                words.push(Word { text: String::new(), line, follows });
                (inside, follows) = (true, true);
            }
            if let Some(word) = words.last_mut() {
                word.text.extend(c.to_lowercase());
            }
        } else {
            inside = false;
            follows &= c.is_whitespace() || "/!*#-\\".contains(c);
            line += usize::from(c == '\n');
        }
    }
    words
}

/// Returns the banned frames in a text, with the line in which each begins.
fn frames(text: &str) -> Vec<(usize, &'static str)> {
    let words = words(text);
    let mut found = Vec::new();
    for start in 0..words.len() {
        for frame in BANNED {
            let rest = &words[start..];
            let wanted: Vec<&str> = frame.split(' ').collect();
            let matches = rest.len() >= wanted.len()
                && wanted.iter().zip(rest).all(|(wanted, word)| *wanted == word.text)
                && rest[1..wanted.len()].iter().all(|word| word.follows);
            if matches {
                found.push((rest[0].line, *frame));
            }
        }
    }
    found
}

#[test]
fn banned_frames_do_not_occur() {
    let Findings { files, lines, violations } =
        Findings::check_package(Path::new(env!("CARGO_MANIFEST_DIR")));
    println!("checked {files} files and {lines} lines for {} frames", BANNED.len());
    assert!(files > 200 && lines > 20_000, "only {files} files and {lines} lines were found");
    assert!(violations.is_empty(), "{} frames\n{}", violations.len(), violations.join("\n"));
}

/// Puts each frame into each place, as a comment that is wrapped after every word.
#[test]
fn the_check_finds_every_frame_in_every_place() {
    let mut seeded = 0;
    for place in CHECKED {
        for frame in BANNED {
            let package = tempfile::tempdir().expect("a directory");
            let name =
                if place.contains('.') { (*place).to_owned() } else { format!("{place}/deep/file.rs") };
            let file = package.path().join(&name);
            fs::create_dir_all(file.parent().expect("it has a parent")).expect("it is made");
            let wrapped = frame.to_uppercase().replace(' ', "\n    /// ");
            fs::write(&file, format!("first\n    /// {wrapped}'s last\n")).expect("it is written");
            let findings = Findings::check_package(package.path());
            assert_eq!(findings.violations, [format!("{name}:2: {frame}")]);
            seeded += 1;
        }
    }
    println!("found {seeded} seeded frames");
}

#[test]
fn other_words_are_accepted() {
    for text in
        ["whomever", "is_to_be_read", "those. Too many", "this is: to be", "a nobody_", "that is, to be"]
    {
        assert_eq!(frames(text), [], "{text}");
    }
}
