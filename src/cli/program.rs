//! What the program is called in which the command runs: `bustard`, or as the
//! host's own binary. Usage and advice name what can be typed.

use std::borrow::Cow;
use std::env::{self, consts::EXE_SUFFIX};
use std::path::Path;

use clap::CommandFactory;

use super::arguments::Arguments;

/// The library's advice speaks of the command of this name.
const BUSTARD: &str = "bustard";

/// The binary's name.
pub fn name() -> String {
    let called = env::args_os().next().unwrap_or_default();
    let file = Path::new(&called).file_name().map(|name| name.to_string_lossy());
    match file.as_deref().map(|name| name.strip_suffix(EXE_SUFFIX).unwrap_or(name)) {
        None | Some("") => BUSTARD.to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// Advice such as "run `bustard migrate`", with this program's name.
pub fn advice(text: &str) -> Cow<'_, str> {
    named(text, &name())
}

fn named<'a>(text: &'a str, name: &str) -> Cow<'a, str> {
    if name == BUSTARD {
        return Cow::Borrowed(text);
    }
    let commands = Arguments::command();
    Cow::Owned(
        commands.get_subcommands().map(clap::Command::get_name).fold(text.to_owned(), |text, command| {
            text.replace(&format!("{BUSTARD} {command}"), &format!("{name} {command}"))
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_what_can_be_typed() {
        let text = "`bustard migrate` makes it, or bustard.toml is wrong: bustard repair main:V1";
        assert_eq!(named(text, "bustard"), text);
        assert_eq!(
            named(text, "forum"),
            "`forum migrate` makes it, or bustard.toml is wrong: forum repair main:V1"
        );
    }
}
