//! The commands, as clap lists them in the help of the program and of each command.

use crate::support::Project;

/// Returns every command and every command of a command, such as `caches get`.
pub fn commands() -> Vec<String> {
    let found = below(&Project::new(), "");
    assert!(found.len() > 20, "{found:?}");
    found
}

fn below(project: &Project, parent: &str) -> Vec<String> {
    let words: Vec<&str> = parent.split_whitespace().chain(["--help"]).collect();
    let help = project.bustard(&words).success().stdout;
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    // A name has two spaces before it, and the lines of its text have more.
    let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let line = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        line.split_whitespace().next()
    });
    let names = names.filter(|name| *name != "help").map(|name| format!("{parent} {name}").trim().to_owned());
    names.flat_map(|name| std::iter::once(name.clone()).chain(below(project, &name))).collect()
}
