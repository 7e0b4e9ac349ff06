//! Text that comes from outside, for a terminal or a log.
//!
//! In: any text, such as a server message or the name of a file. Out: the same text without
//! characters that a terminal obeys, that are invisible, or that change the order of others.

use std::borrow::Cow;
use std::fmt::Write;

/// Replaces the characters of a text that must not reach a terminal by visible escapes such
/// as `\u{1b}`.
///
/// These are control characters, controls of the writing direction, and invisible
/// characters. Line feeds and tabs stay. A line feed after a carriage return replaces both.
///
/// The texts of errors and diagnostics are already cleaned. Use this for the fields of
/// reports, such as labels and names, which are as the database has them.
///
/// ```
/// use bustard::diagnostic::clean;
///
/// assert_eq!(clean("a\x1b[31m\u{202e}b\r\n"), "a\\u{1b}[31m\\u{202e}b\n");
/// assert_eq!(clean("é 名"), "é 名");
/// ```
pub fn clean(text: &str) -> Cow<'_, str> {
    let text = match text.contains("\r\n") {
        true => Cow::Owned(text.replace("\r\n", "\n")),
        false => Cow::Borrowed(text),
    };
    escaped(text, |c| is_unsafe(c) && c != '\n' && c != '\t')
}

/// Does the same as [`clean`], and replaces line feeds and tabs too, so that a name cannot
/// begin a line of its own.
///
/// ```
/// use bustard::diagnostic::clean_line;
///
/// assert_eq!(clean_line("V1__a\nmain V2__b applied"), "V1__a\\nmain V2__b applied");
/// ```
pub fn clean_line(text: &str) -> Cow<'_, str> {
    escaped(Cow::Borrowed(text), is_unsafe)
}

/// Returns whether a character must not reach a terminal.
///
/// ```
/// use bustard::diagnostic::is_unsafe;
///
/// assert!("\x1b\u{9b}\u{200b}\u{2028}\u{2066}".chars().all(is_unsafe));
/// assert!(!"aé名 ß–".chars().any(is_unsafe));
/// ```
pub fn is_unsafe(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // Control characters (C1); separators of lines and paragraphs; controls of the writing
    // direction; and those that Unicode calls ignorable by default, which are invisible.
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Replaces each unsafe character but tabs by one character, so that columns stay.
pub(super) fn in_place(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn escaped(text: Cow<'_, str>, escape: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&escape) {
        return text;
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' if escape(c) => clean.push_str("\\n"),
            '\t' if escape(c) => clean.push_str("\\t"),
            c if escape(c) => {
                // Writing to a string does not fail.
                let _ = write!(clean, "\\u{{{:x}}}", u32::from(c));
            }
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{corpus, drive, finds};

    /// The kinds of characters that a terminal obeys or does not show, with an instance of
    /// each boundary.
    #[test]
    fn every_kind_is_replaced() {
        let kinds = [
            ("C0", "\0\u{7}\u{8}\u{b}\u{1b}\u{1f}\u{7f}\r"),
            ("C1", "\u{80}\u{85}\u{90}\u{9b}\u{9c}\u{9d}\u{9f}"),
            ("separators", "\u{2028}\u{2029}"),
            (
                "bidirectional",
                "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}",
            ),
            ("zero width", "\u{ad}\u{34f}\u{200b}\u{200c}\u{200d}\u{2060}\u{2064}\u{feff}\u{180e}\u{fff9}"),
            ("fillers and selectors", "\u{115f}\u{3164}\u{ffa0}\u{fe0f}\u{e0100}"),
            ("tags", "\u{e0001}\u{e0041}\u{e007f}"),
        ];
        for (kind, text) in kinds {
            for c in text.chars() {
                let hostile = format!("a{c}b");
                for clean in [clean(&hostile), clean_line(&hostile)] {
                    assert_eq!(clean, format!("a\\u{{{:x}}}b", u32::from(c)), "{kind}");
                }
            }
        }
    }

    #[test]
    fn other_text_stays() {
        for text in ["", "plain", "a\tb\n  c\n", "naïve 名前 Ωß – “x” 🙂", "שלום", "क्षि"]
        {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        assert_eq!(clean("a\r\nb\rc"), "a\nb\\u{d}c");
        assert_eq!(clean_line("a\tb\r\n"), "a\\tb\\u{d}\\n");
    }

    type Clean = fn(&str) -> Cow<'_, str>;

    /// Control characters and controls of the writing direction, written again.
    fn is_hostile(c: char) -> bool {
        c.is_control()
            || "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}".contains(c)
            || "\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\u{200b}\u{feff}".contains(c)
    }

    /// Returns whether the text needed no cleaning.
    fn check(input: &[u8], clean: impl Fn(&str) -> Cow<'_, str>) -> bool {
        let text = String::from_utf8_lossy(input);
        let cleaned = clean(&text);
        assert!(!cleaned.contains(|c| is_hostile(c) && c != '\n' && c != '\t'), "{cleaned:?}");
        assert_eq!(clean(&cleaned), cleaned, "cleaning again changes nothing");
        // `\u{7f}` for one byte.
        assert!(cleaned.len() <= 6 * text.len(), "{} bytes of {}", cleaned.len(), text.len());
        // What is harmless stays, in its order.
        let mut rest = cleaned.chars();
        let stays = text.chars().filter(|c| !is_unsafe(*c)).all(|kept| rest.any(|c| c == kept));
        assert!(stays, "{cleaned:?}");
        let is_clean = !text.contains(is_unsafe);
        assert!(!is_clean || cleaned == text, "{cleaned:?}");
        is_clean
    }

    #[test]
    fn fuzz_clean() {
        drive("text", |input| check(input, clean));
    }

    #[test]
    fn fuzz_clean_line() {
        drive("text", |input| {
            assert!(!clean_line(&String::from_utf8_lossy(input)).contains(['\n', '\t']));
            check(input, clean_line)
        });
    }

    #[test]
    fn fuzz_clean_finds_what_is_left_and_what_is_lost() {
        let corpus = corpus("text");
        let faults: [(&str, Clean); 4] = [
            ("left", |text| escaped(Cow::Borrowed(text), |c| c.is_control() && c != '\n' && c != '\t')),
            ("lost", |text| clean(text).replace('"', "").into()),
            ("again", |text| clean(text).replace('\\', "\\\\").into()),
            ("unbounded", |text| clean(text).replace("\\u", "\\u0000").into()),
        ];
        for (what, faulty) in faults {
            finds(what, &corpus, |input| check(input, faulty));
        }
    }

    #[test]
    fn cleaning_again_changes_nothing() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let once = clean_line(c.encode_utf8(&mut [0; 4])).into_owned();
            assert_eq!(clean_line(&once), once);
            assert!(!once.chars().any(is_unsafe), "{c:?}");
        }
    }
}
