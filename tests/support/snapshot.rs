//! Snapshots of output, without the parts that differ from run to run.

use super::process::Outcome;
use super::project::Project;

/// Returns settings for `insta` that replace paths, ports, pids, times and durations by
/// placeholders: `snapshot_settings(&project).bind(|| assert_snapshot!(…))`.
pub fn snapshot_settings(project: &Project) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    let path = escape(&project.path().display().to_string());
    settings.add_filter(&path, "[project]");
    settings.add_filter(r"/tmp/bustard-pg-\w+", "[cluster]");
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[port]");
    settings.add_filter(r"\bt\d+(_\w+)?@", "[role]@");
    settings.add_filter(r"(127\.0\.0\.1:\[port\]/)t\d+\b", "$1[database]");
    settings.add_filter(r#"((?i:database) "?)t\d+\b"#, "$1[database]");
    settings.add_filter(r"\bt\d+_[a-z]\w*", "[role]");
    settings.add_filter(r"\bpid \d+", "pid [pid]");
    settings.add_filter(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?UTC|Z|[+-]\d\d(:?\d\d)?)?", "[time]");
    settings.add_filter(r"\b\d+(\.\d+)? ?(ns|µs|ms|s)\b", "[duration]");
    settings
}

/// Returns the output of programs on both streams, one program after the other.
pub fn transcript(outcomes: &[Outcome]) -> String {
    let shown = outcomes.iter().map(|one| format!("{}--- stderr\n{}", one.stdout, one.stderr));
    shown.collect::<Vec<_>>().join("=====\n")
}

/// Returns a regular expression that matches exactly this text.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, letter| {
        if letter.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(letter);
        escaped
    })
}
