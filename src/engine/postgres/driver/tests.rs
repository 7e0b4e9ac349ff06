//! Tests of connections that fail, with a fake server that fails in one way at a time.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::fake::{Fake, Fields, Manner, NO_DATABASE, tls};
use super::{Inbox, Target, connect, connect_sync, failure};
use crate::error::{Error, ErrorKind};

/// Connects with both drivers, which must fail with the same error.
#[track_caller]
fn fails(url: &str) -> Error {
    let target = Target::parse_with(url, &|_| None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(connect(&target)).err().expect("no connection");
    let sync =
        connect_sync(&target, &AtomicBool::new(false), &Inbox::default()).err().expect("no connection");
    assert_eq!(error.report().to_string(), sync.report().to_string());
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(!format!("{error:?}").contains("secret"));
    error
}

#[track_caller]
fn assert_says(error: &Error, parts: &[&str]) {
    let text = error.report().to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// Builds an error of the driver with these fields, as a server sends it.
fn driver_error(fields: Fields) -> tokio_postgres::Error {
    let fake = Fake::start(Manner::Plain, fields);
    let connected =
        postgres::Config::new().host("127.0.0.1").port(fake.port).user("u").connect(tokio_postgres::NoTls);
    connected.err().expect("the server refuses")
}

#[test]
fn errors_of_the_server_have_advice() {
    for (code, help) in [
        ("28P01", "correct the password, which comes from the database URL"),
        ("28000", "pg_hba.conf"),
        ("3D000", "createdb d"),
        ("53300", "max_connections"),
        ("57P03", "try again"),
        ("42501", "GRANT CONNECT ON DATABASE \"d\" TO \"u\""),
        ("XX000", "log"),
    ] {
        let fields = vec![('S', "FATAL"), ('C', code), ('M', "no"), ('D', "really"), ('H', "hint")];
        let port = Fake::start(Manner::Plain, fields.leak()).port;
        let error = fails(&format!("postgres://u:secret@127.0.0.1:{port}/d"));
        let server = format!("as user \"u\" to database \"d\" at 127.0.0.1:{port}");
        assert_says(&error, &[&server, help, "detail: really", "hint: hint"]);
        assert_eq!(error.sqlstate(), Some(code));
        assert_eq!(error.server_message(), Some("no"));
    }
}

#[test]
fn no_server_at_the_address() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = fails(&format!("postgres://u:secret@127.0.0.1:{free}/d"));
    assert_says(&error, &["connection refused", "running and listening"]);

    // An empty label is rejected without a query to a name server.
    let error = fails("postgres://u:secret@no..name/d");
    assert_says(&error, &["no..name:5432: the host name cannot be looked up"]);

    let directory = tempfile::tempdir().unwrap();
    let error = fails(&format!("postgres://u:secret@/d?host={}", directory.path().display()));
    assert_says(&error, &["/.s.PGSQL.5432: there is no such socket"]);

    let port = Fake::start(Manner::Closing, NO_DATABASE).port;
    let error = fails(&format!("postgres://u:secret@127.0.0.1:{port}/d"));
    assert_says(&error, &["the server closed the connection"]);
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let port = Fake::start(Manner::Silent, NO_DATABASE).port;
    let error = fails(&format!("postgres://u:secret@127.0.0.1:{port}/d?connect_timeout=1"));
    assert_says(&error, &["no answer within 1 s", "connect_timeout=SECONDS"]);
}

#[test]
fn the_next_server_is_tried_only_if_one_does_not_serve() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let starting = Fake::start(Manner::Plain, &[('S', "FATAL"), ('C', "57P03"), ('M', "starting up")]).port;
    let refusing = Fake::start(Manner::Plain, &[('S', "FATAL"), ('C', "28P01"), ('M', "wrong")]).port;
    let hosts = [free, starting, refusing, free].map(|port| format!("127.0.0.1:{port}")).join(",");
    let error = fails(&format!("postgres://u:secret@{hosts}/d"));
    assert_eq!(error.sqlstate(), Some("28P01"));
    let refused = format!("; at 127.0.0.1:{free}: connection refused");
    assert_says(&error, &[&refused, &format!("; at 127.0.0.1:{starting}: the server refused")]);
    assert_eq!(error.message().matches("connection refused").count(), 1);
}

/// A CA, and certificates that it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// Builds the TLS of a server with a certificate for a name, after `change`.
    fn server(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> u16 {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut parameters);
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Fake::start(tls(&certificate, &key), NO_DATABASE).port
    }

    /// Writes the file for `sslrootcert`.
    fn write(&self, directory: &Path, name: &str) -> String {
        let path = directory.join(name);
        std::fs::write(&path, self.0.pem()).unwrap();
        path.display().to_string()
    }
}

#[test]
fn what_each_mode_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let ours = &authority.write(directory.path(), "ours.pem");
    let theirs = &Authority::new("theirs").write(directory.path(), "theirs.pem");
    let renewed = &Authority::new("ours").write(directory.path(), "renewed.pem");
    let good = authority.server("localhost", |_| {});
    let other_name = authority.server("db.example", |_| {});
    let no_name = authority.server("localhost", |parameters| parameters.subject_alt_names.clear());
    let expired = authority.server("localhost", |parameters| {
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let of_authority = Fake::start(tls(authority.0.as_ref(), authority.0.key()), NO_DATABASE).port;
    let plain = Fake::start(Manner::Plain, NO_DATABASE).port;

    let through = "database \"d\" does not exist";
    let untrusted = "signed by a CA that is not trusted here";
    let has_expired = "certificate has expired";
    for (port, parameters, said) in [
        (plain, "sslmode=disable".to_owned(), through),
        (plain, "sslmode=prefer".to_owned(), through),
        (plain, "sslmode=require".to_owned(), "the server has no TLS, and sslmode asks for it"),
        (plain, format!("sslmode=verify-full&sslrootcert={ours}"), "the server has no TLS"),
        (good, "sslmode=prefer".to_owned(), through),
        (good, "sslmode=require".to_owned(), through),
        (good, format!("sslmode=require&sslrootcert={ours}"), through),
        (good, format!("sslmode=require&sslrootcert={theirs}"), untrusted),
        (good, format!("sslmode=verify-ca&sslrootcert={ours}"), through),
        (good, format!("sslmode=verify-ca&sslrootcert={theirs}"), untrusted),
        (good, format!("sslmode=verify-full&sslrootcert={ours}"), through),
        (good, format!("sslmode=verify-full&sslrootcert={theirs}"), untrusted),
        (
            good,
            format!("sslmode=verify-full&sslrootcert={renewed}"),
            "is sslrootcert its present certificate?",
        ),
        // An invalid certificate never leads to plaintext.
        (good, format!("sslmode=prefer&sslrootcert={theirs}"), untrusted),
        (other_name, "sslmode=require".to_owned(), through),
        (other_name, format!("sslmode=verify-ca&sslrootcert={ours}"), through),
        (
            other_name,
            format!("sslmode=verify-full&sslrootcert={ours}"),
            "the server's certificate is not for localhost but for db.example",
        ),
        (no_name, format!("sslmode=verify-full&sslrootcert={ours}"), "it has no subjectAltName"),
        (expired, "sslmode=require".to_owned(), through),
        (expired, format!("sslmode=verify-ca&sslrootcert={ours}"), has_expired),
        (expired, format!("sslmode=verify-full&sslrootcert={ours}"), has_expired),
        (of_authority, format!("sslmode=verify-full&sslrootcert={ours}"), "is that of a CA"),
    ] {
        let url = format!("postgres://u:secret@localhost:{port}/d?hostaddr=127.0.0.1&{parameters}");
        let error = fails(&url);
        assert!(error.report().to_string().contains(said), "{parameters}: {error}");
        assert!(error.advice().is_some());
    }
}

#[test]
fn the_signature_of_the_handshake_is_always_verified() {
    let authority = Authority::new("ours");
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority.0).unwrap();
    // This server has the certificate, which is public, but not its key.
    let port = Fake::start(tls(&certificate, &KeyPair::generate().unwrap()), NO_DATABASE).port;
    for mode in ["prefer", "require"] {
        let error = fails(&format!("postgres://u:secret@127.0.0.1:{port}/d?sslmode={mode}"));
        assert_says(&error, &["a signature of the server's certificate is wrong", "posing"]);
    }
}

#[test]
fn kinds_of_failures() {
    for (fields, kind, offset) in [
        (
            &[('S', "FEHLER"), ('V', "ERROR"), ('C', "42601"), ('M', "m"), ('P', "7")] as Fields,
            ErrorKind::Database,
            Some(6),
        ),
        (
            &[('S', "ERROR"), ('V', "ERROR"), ('C', "42P01"), ('M', "m"), ('p', "7"), ('q', "SELECT x")],
            ErrorKind::Database,
            None,
        ),
        (&[('S', "ERROR"), ('V', "ERROR"), ('C', "57014"), ('M', "m")], ErrorKind::Database, None),
        (&[('S', "ERROR"), ('V', "ERROR"), ('C', "42704"), ('M', "m")], ErrorKind::Database, None),
        (&[('S', "SCHWERWIEGEND"), ('V', "FATAL"), ('C', "57P01"), ('M', "m")], ErrorKind::Connection, None),
        (&[('S', "FATAL"), ('V', "FATAL"), ('C', "25P03"), ('M', "m")], ErrorKind::Connection, None),
        (&[('S', "ERROR"), ('V', "ERROR"), ('C', "08006"), ('M', "m")], ErrorKind::Connection, None),
    ] {
        let failure = failure(&driver_error(fields));
        assert_eq!((failure.kind, failure.offset), (kind, offset), "{fields:?}");
        assert_eq!(failure.server_message.message, "m");
    }
}

#[test]
fn a_connection_that_ends_is_told_from_a_statement_that_cannot_be_sent() {
    let port = Fake::start(Manner::Dying, NO_DATABASE).port;
    let target = Target::parse_with(&format!("postgres://u@127.0.0.1:{port}/d"), &|_| None).unwrap();
    let mut client = connect_sync(&target, &AtomicBool::new(false), &Inbox::default()).unwrap();
    let nul = failure(&client.simple_query("SELECT '\0'").unwrap_err());
    assert_eq!(nul.kind, ErrorKind::Database);
    assert!(nul.server_message.message.contains("null"), "{}", nul.server_message.message);
    let dead = failure(&client.simple_query("SELECT 1").unwrap_err());
    assert_eq!(dead.kind, ErrorKind::Connection);
}
