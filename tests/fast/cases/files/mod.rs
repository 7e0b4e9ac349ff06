//! Rows about files: what they are, how large they are, what they are called and what is in
//! them.

mod content;
mod settings;
mod special;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// Makes something that is no regular file.
type Make = fn(&Path);

/// What is no regular file, with the words of the message.
const SPECIAL: [(&str, Make); 9] = [
    ("a named pipe", pipe),
    ("a socket", |path| drop(UnixListener::bind(path).expect("a socket"))),
    ("a directory", |path| fs::create_dir(path).expect("a directory")),
    ("a device", |path| symlink("/dev/zero", path).expect("a link")),
    ("a device", |path| symlink("/dev/tty", path).expect("a link")),
    ("a device", |path| symlink("/dev/full", path).expect("a link")),
    ("a directory", |path| symlink(".", path).expect("a link")),
    ("a directory", |path| symlink("/", path).expect("a link")),
    ("a named pipe", |path| {
        let pipe = path.with_file_name(".pipe");
        self::pipe(&pipe);
        symlink(&pipe, path).expect("a link");
    }),
];

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("it is run").success());
}

/// Removes what was made.
fn remove(path: &Path) {
    let is_directory = fs::symlink_metadata(path).expect("it is there").is_dir();
    if is_directory { fs::remove_dir(path) } else { fs::remove_file(path) }.expect("it is removed");
    let _ = fs::remove_file(path.with_file_name(".pipe"));
}
