//! Tests that loading a directory and embedding it refuse the same files.
#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::load;
use super::survey::survey;
use crate::diagnostic::{Code, Diagnostic};
use crate::engine::dialects::{POSTGRES, SQLITE};
use crate::model::App;

type Make = fn(&Path);

const ODD: &[(Code, Make)] = &[
    (Code::NotARegularFile, |root| fs::create_dir(root.join("V2__b.sql")).unwrap()),
    (Code::NotARegularFile, |root| symlink("/dev/zero", root.join("V2__b.sql")).unwrap()),
    (Code::NotARegularFile, |root| symlink("/dev/zero", root.join("V2__b.rs")).unwrap()),
    (Code::NotARegularFile, |root| {
        drop(std::os::unix::net::UnixListener::bind(root.join("V2__b.sql")).unwrap());
    }),
    (Code::NotARegularFile, |root| {
        let path = root.join("V2__b.sql");
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }),
    (Code::FileTooLarge, |root| {
        fs::File::create(root.join("V2__b.sql")).unwrap().set_len((1 << 30) + 1).unwrap();
    }),
    (Code::UnreadableSource, |root| symlink("V2__b.sql", root.join("V2__b.sql")).unwrap()),
    (Code::UnreadableSource, |root| symlink("gone", root.join("V2__b.sql")).unwrap()),
    (Code::UnreadableSource, |root| symlink("gone", root.join("more")).unwrap()),
    (Code::UnreadableSource, |root| fs::create_dir_all(root.join("d/".repeat(64))).unwrap()),
    (Code::NotUtf8, |root| fs::write(root.join(OsStr::from_bytes(b"V2__\xff.sql")), "SELECT 1").unwrap()),
    (Code::NotUtf8, |root| {
        let more = root.join(OsStr::from_bytes(b"m\xff"));
        fs::create_dir(&more).unwrap();
        fs::write(more.join("V2__b.sql"), "SELECT 1").unwrap();
    }),
    (Code::NotUtf8, |root| fs::write(root.join("V2__b.sql"), b"SELECT '\xff'").unwrap()),
    (Code::ZeroByte, |root| fs::write(root.join("V2__b.sql"), "SELECT 1; --\0").unwrap()),
    (Code::InvalidDirective, |root| {
        fs::write(root.join("V2__b.sql"), "-- bustard: register cache c on t,\u{a0}1u\n").unwrap();
    }),
];

#[test]
fn a20_loading_and_embedding_refuse_the_same_files() {
    for (code, make) in ODD {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("V1__a.sql"), "SELECT 1").unwrap();
        make(root.path());
        let loaded = load(&[App::directory("main", root.path())], SQLITE);
        let texts = loaded.apps[0].errors_in_texts().cloned();
        let loaded: Vec<Diagnostic> =
            loaded.errors.into_iter().map(|(_, error)| error).chain(texts).collect();
        let embedded = survey(root.path(), &[POSTGRES, SQLITE]).errors;
        assert_eq!(loaded, embedded);
        assert_eq!(loaded.iter().map(Diagnostic::code).collect::<Vec<_>>(), [*code]);
        let place = loaded[0].place().expect("a place");
        assert!(place.path().starts_with(root.path()) && loaded[0].advice().is_some(), "{}", loaded[0]);
    }
}
