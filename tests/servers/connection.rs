//! Tests connecting to PostgreSQL: passwords, TLS, unavailable servers, and that no
//! message contains a secret.

use std::net::TcpListener;

use crate::support::{Certificates, Cluster, Outcome, Project};

/// The exit code of `check` after it has connected, because the project's migration is
/// pending.
const CONNECTED: i32 = 3;

/// The rules of a server that demands passwords over TCP from all roles except the
/// superuser.
const PASSWORDS: &str = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// A password with every character that has a meaning in a URL.
const PASSWORD: &str = "p@ss/w:rd?#[%]&=";
const ENCODED: &str = "p%40ss%2Fw%3Ard%3F%23%5B%25%5D%26%3D";

fn project() -> Project {
    let project = Project::new();
    project.file("migrations/V1__one.sql", "CREATE TABLE one (id int);\n");
    project
}

fn check(project: &Project, url: &str) -> Outcome {
    project.bustard(&["check", "--database-url", url])
}

/// Creates the role `app` with [`PASSWORD`].
fn create_app(cluster: &Cluster) {
    cluster
        .client("postgres")
        .batch_execute(&format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"))
        .expect("the role is created");
}

#[test]
fn passwords_come_from_the_url_the_environment_and_the_password_file() {
    let cluster = Cluster::start_with_hba(&[], PASSWORDS);
    create_app(&cluster);
    let project = project();
    let url = |credentials: &str| cluster.url(credentials, "postgres");

    check(&project, &url(&format!("app:{ENCODED}"))).exits(CONNECTED);
    check(&project, &format!("{}?password={ENCODED}", url("app"))).exits(CONNECTED);
    let mut command = project.command(&["check", "--database-url", &url("app")]);
    command.env("PGPASSWORD", PASSWORD);
    Outcome::of(command).exits(CONNECTED);

    check(&project, &url("app"))
        .exits(1)
        .complains("the server asks for a password, and none was given")
        .complains("PGPASSWORD");

    let colons = PASSWORD.replace(':', "\\:");
    project.file(".pgpass", format!("127.0.0.1:{}:*:app:{colons}\n", cluster.port()));
    make_private(&project.path().join(".pgpass"));
    check(&project, &url("app")).exits(CONNECTED);
}

fn make_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
}

#[test]
fn a_wrong_password_is_refused_and_not_printed() {
    let cluster = Cluster::start_with_hba(&[], PASSWORDS);
    create_app(&cluster);
    let project = project();
    let server = format!("at 127.0.0.1:{}", cluster.port());
    let host = format!("127.0.0.1:{}/postgres", cluster.port());
    let urls = [
        format!("postgres://app:hunter%32secret@{host}"),
        format!("postgres://app@{host}?password=hunter2secret"),
        format!("postgres://app:hunter2secret@{host}?connect_timeout=9"),
        // The meaning of these URLs is unclear, and their contents must not be
        // printed.
        format!("postgres://app:hunter2@secret@{host}"),
        format!("postgres://app:hunter2/secret@{host}"),
        format!("postgres://app:hunter2?secret@{host}"),
        format!("postgres://app:hunter2%secret@{host}"),
    ];
    for (i, url) in urls.iter().enumerate() {
        for arguments in [["check", "-vvv"], ["migrate", "-vvv"], ["migrate", "--json"]] {
            let mut command = project.command(&arguments);
            command.env("DATABASE_URL", url).env("RUST_LOG", "trace");
            let outcome = Outcome::of(command).exits(if i < 3 { 1 } else { 2 });
            let said = format!("{}{}", outcome.stdout, outcome.stderr);
            for part in ["hunter", "secret"] {
                assert!(!said.contains(part), "{outcome}");
            }
            if i < 3 {
                for part in [&server, "28P01", "as user", "comes from the database URL"] {
                    assert!(said.contains(part), "{part:?} is not in {outcome}");
                }
            }
        }
    }
}

#[test]
fn an_absent_server_and_an_absent_database() {
    let project = project();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port();
    check(&project, &format!("postgres://app@127.0.0.1:{free}/forum"))
        .exits(1)
        .complains(&format!("as user \"app\" to database \"forum\" at 127.0.0.1:{free}: connection refused"))
        .complains("is a PostgreSQL server running and listening there?");
    let socket = format!("postgres://app@/forum?host={}", project.path().display());
    check(&project, &socket).exits(1).complains("/.s.PGSQL.5432: there is no such socket");

    let cluster = Cluster::shared();
    check(&project, &cluster.url("postgres", "nowhere"))
        .exits(1)
        .complains("3D000")
        .complains("createdb nowhere");
    check(&project, &cluster.url("unknown_role", "postgres")).exits(1).complains("28000");
    check(&project, &cluster.socket_url("postgres", "postgres")).exits(CONNECTED);
}

#[test]
fn tls_is_required_and_unavailable() {
    let project = project();
    let url = Cluster::shared().url("postgres", "postgres");
    check(&project, &url).exits(CONNECTED);
    for mode in ["require", "verify-ca", "verify-full"] {
        check(&project, &format!("{url}?sslmode={mode}"))
            .exits(1)
            .complains("the server has no TLS, and sslmode asks for it");
        let mut command = project.command(&["check", "--database-url", &url]);
        command.env("PGSSLMODE", mode);
        Outcome::of(command).exits(1).complains("the server has no TLS");
    }
    // Unix sockets have no TLS and need none.
    let socket = Cluster::shared().socket_url("postgres", "postgres");
    check(&project, &format!("{socket}?sslmode=verify-full")).exits(CONNECTED);
    // An unsupported mode must not fall back to plaintext.
    for parameter in
        ["sslmode=allow", "sslmode=require&sslcert=x", "sslcrl=x", "gssencmode=require", "sslmod=require"]
    {
        check(&project, &format!("{url}?{parameter}")).exits(2).complains("help:");
    }
}

#[test]
fn certificates_are_verified_and_channels_bound() {
    let certificates = Certificates::for_names(&["db.example"]);
    let cluster = Cluster::start_with_tls(&certificates);
    create_app(&cluster);
    // All roles except the superuser need TLS and a password.
    let hba = "local all postgres trust\nhostssl all app 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n";
    std::fs::write(cluster.directory().join("data/pg_hba.conf"), hba).unwrap();
    cluster.restart();
    let project = project();
    project.file("ca.pem", &certificates.authority);
    // This certificate belongs to another authority with the same name.
    project.file("other.pem", Certificates::for_names(&["db.example"]).authority);

    let app = cluster.url(&format!("app:{ENCODED}"), "postgres");
    for parameters in [
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=require&channel_binding=require",
        "sslmode=require&sslrootcert=ca.pem",
        "sslmode=verify-ca&sslrootcert=ca.pem",
        "sslmode=verify-full&sslrootcert=ca.pem&host=db.example&hostaddr=127.0.0.1",
    ] {
        check(&project, &format!("{app}?{parameters}")).exits(CONNECTED);
    }
    check(&project, &format!("{app}?sslmode=disable")).exits(1).complains("28000").complains("sslmode");
    check(&project, &format!("{app}?sslmode=verify-full&sslrootcert=ca.pem"))
        .exits(1)
        .complains("the server's certificate is not for 127.0.0.1 but for db.example")
        .complains("hostaddr=ADDRESS");
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        check(&project, &format!("{app}?sslmode={mode}&sslrootcert=other.pem"))
            .exits(1)
            .complains("a signature of the server's certificate is wrong")
            .complains("is sslrootcert its present certificate?");
    }

    // This is libpq's default file for root certificates.
    project.file(".postgresql/root.crt", &certificates.authority);
    check(&project, &format!("{app}?sslmode=verify-ca")).exits(CONNECTED);
    project.file(".postgresql/root.crt", Certificates::for_names(&["db.example"]).authority);
    check(&project, &format!("{app}?sslmode=require")).exits(1).complains("a signature");
    check(&project, &app).exits(CONNECTED);

    let postgres = cluster.url("postgres", "postgres");
    check(&project, &format!("{postgres}?channel_binding=require&sslmode=disable"))
        .exits(1)
        .complains("the server did not use channel binding");
}
