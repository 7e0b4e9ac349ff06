//! Tests Redis with TLS: the server is always verified, and may ask for a client certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bustard::StoreSettings;

use super::peer::{Peer, each_request};
use super::subject::PATIENT;
use crate::support::{Certificates, Server};

/// Starts a server with these certificates.
pub fn tls_server(certificates: &Certificates, arguments: &[&str]) -> Server {
    Server::redis_tls(
        arguments,
        &[
            ("ca.pem", &certificates.authority),
            ("cert.pem", &certificates.certificate),
            ("key.pem", &certificates.key),
        ],
    )
}

fn location(server: &Server) -> String {
    format!("rediss://{}", server.location())
}

fn written(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn error(settings: StoreSettings) -> String {
    settings.timeout(PATIENT).open().unwrap().get("key").unwrap_err().to_string()
}

#[test]
fn servers_are_verified() {
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let server = tls_server(&certificates, &["--tls-auth-clients", "no"]);
    let ca = server.directory().join("ca.pem");
    let store = StoreSettings::redis(location(&server)).tls_ca(&ca).timeout(PATIENT).open().unwrap();
    store.set("key", b"value").unwrap();
    assert_eq!(store.get("key").unwrap().as_deref(), Some(&b"value"[..]));

    // A CA that has not signed the certificate.
    let other = tempfile::tempdir().unwrap();
    let other = written(other.path(), "other.pem", &Certificates::for_names(&["127.0.0.1"]).authority);
    let said = error(StoreSettings::redis(location(&server)).tls_ca(&other));
    assert!(said.contains("TLS failed") && said.contains("tls_ca"), "{said}");

    // A name that is not in the certificate.
    let by_name = format!("rediss://localhost:{}", server.port());
    let said = error(StoreSettings::redis(by_name).tls_ca(&ca));
    assert!(said.contains("TLS failed") && said.contains("localhost"), "{said}");

    // No TLS at the port, and TLS where none is expected.
    let plain = Server::redis();
    let store = StoreSettings::redis(location(&plain)).tls_ca(&ca).timeout(Duration::from_secs(2)).open();
    let said = store.unwrap().get("key").unwrap_err().to_string();
    assert!(said.contains("does the server speak TLS at this port?"), "{said}");
    error(StoreSettings::redis(server.location()));
}

#[test]
fn a_server_may_ask_for_a_client_certificate() {
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let server = tls_server(&certificates, &["--tls-auth-clients", "yes"]);
    let directory = server.directory();
    let certificate = written(directory, "client.pem", &certificates.client_certificate);
    let key = written(directory, "client.key", &certificates.client_key);
    let settings = || StoreSettings::redis(location(&server)).tls_ca(directory.join("ca.pem"));
    let store = settings().tls_identity(&certificate, &key).timeout(PATIENT).open().unwrap();
    store.set("key", b"value").unwrap();

    let said = error(settings());
    assert!(said.contains("tls_certificate and tls_key"), "{said}");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = settings().tls_identity(&certificate, &key).open().unwrap_err();
    assert!(said.message().contains("other users may read it"), "{said}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let said = settings().tls_identity(&certificate, directory.join("key.pem"));
    fs::set_permissions(directory.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let said = said.open().unwrap_err();
    assert!(said.advice().unwrap().to_string().contains("tls_certificate and tls_key"), "{said}");
}

#[test]
fn files_that_cannot_be_used_are_errors_when_the_store_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let empty = written(directory.path(), "empty.pem", "");
    for (ca, expected) in [
        (empty, "there is none"),
        (directory.path().join("missing.pem"), "missing.pem"),
        (directory.path().to_owned(), "a directory"),
    ] {
        let error = StoreSettings::redis("rediss://127.0.0.1").tls_ca(ca).open().unwrap_err();
        assert!(error.message().contains(expected), "{error}");
        assert!(error.advice().is_some_and(|advice| advice.to_string().contains("tls_ca")), "{error}");
    }
}

/// The server sends a record of TLS byte by byte.
#[test]
fn a_slow_handshake_ends_with_the_time_limit() {
    let peer = Peer::start(|stream| {
        each_request(stream, |stream| {
            for byte in [&[22, 3, 3, 0x10, 0][..], &[0; 4096]].concat() {
                if std::io::Write::write_all(stream, &[byte]).is_err() {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            true
        });
    });
    let ca = tempfile::tempdir().unwrap();
    let ca = written(ca.path(), "ca.pem", &Certificates::for_names(&["127.0.0.1"]).authority);
    let settings = StoreSettings::redis(format!("rediss://{}", peer.location())).tls_ca(ca);
    let store = settings.timeout(Duration::from_millis(300)).open().unwrap();
    let said = store.get("key").unwrap_err().to_string();
    assert!(said.contains("no answer in time"), "{said}");
}
