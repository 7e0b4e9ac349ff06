//! libpq's settings on real servers: what is obeyed has its effect there.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Binaries, Certificates, Cluster, Database, Outcome, Project};

/// The exit code of `check` once it has connected: the project's migration is pending.
const CONNECTED: i32 = 3;

/// A project whose migration writes down what its session is.
fn project() -> Project {
    let project = Project::new();
    let seen = "CREATE TABLE seen AS SELECT current_setting('TimeZone') AS zone, current_setting('DateStyle') AS style,
        current_setting('geqo') AS geqo, current_setting('work_mem') AS memory, current_setting('application_name') AS name,
        current_user::text AS role, s.ssl::text AS ssl, coalesce(s.version, '') AS version, coalesce(s.client_dn, '') AS dn
        FROM pg_stat_ssl AS s WHERE s.pid = pg_backend_pid();\n";
    project.file("migrations/V1__seen.sql", seen);
    project
}

fn run(project: &Project, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let mut command = project.command(arguments);
    command.envs(environment.iter().copied());
    Outcome::of(command)
}

/// Migrates a database, and returns a column of what its session was.
#[track_caller]
fn migrated(
    project: &Project,
    database: &Database<'_>,
    url: &str,
    environment: &[(&str, &str)],
) -> Vec<String> {
    run(project, &["migrate", "--database-url", url], environment).success();
    let columns = "zone || '|' || style || '|' || geqo || '|' || memory || '|' || name || '|' || role || '|' || ssl || '|' || version || '|' || dn";
    database.value(&format!("SELECT {columns} FROM seen")).split('|').map(str::to_owned).collect()
}

#[test]
fn a8_variables_reach_the_session() {
    let (project, database) = (project(), Database::new());
    let host = format!("{}:{}", "no-such-host.invalid", database.cluster().port());
    let url = format!("postgres://postgres@{host}/{}", database.name());
    let seen = migrated(
        &project,
        &database,
        &url,
        &[
            ("PGHOSTADDR", "127.0.0.1"),
            ("PGTZ", "Asia/Tokyo"),
            ("PGDATESTYLE", "SQL, DMY"),
            ("PGGEQO", "off"),
            ("PGOPTIONS", "-c work_mem=7MB -c timezone=UTC"),
            ("PGAPPNAME", "deploy"),
        ],
    );
    assert_eq!(seen[..5], ["Asia/Tokyo", "SQL, DMY", "off", "7MB", "deploy"]);
    // What the server does not know is its error.
    run(&project, &["check", "--database-url", &database.url()], &[("PGTZ", "No/Where")])
        .exits(1)
        .complains("TimeZone");
}

#[test]
fn a8_a_service_names_the_server() {
    let (project, database) = (project(), Database::new());
    let section = format!(
        "# services\n[other]\nhost=other.invalid\n\n[forum]\nhost=127.0.0.1\nport={}\ndbname={}\nuser=postgres\napplication_name=of service\n",
        database.cluster().port(),
        database.name()
    );
    project.file(".pg_service.conf", &section);
    let seen = migrated(&project, &database, "postgres:///", &[("PGSERVICE", "forum"), ("PGAPPNAME", "x")]);
    assert_eq!(seen[4..6], ["of service", "postgres"]);

    let check = |url: &str, environment: &[(&str, &str)]| {
        run(&project, &["check", "--database-url", url], environment)
    };
    check("postgres:///?service=forum", &[]).exits(0);
    check("postgres:///postgres?service=forum", &[]).exits(CONNECTED);
    check("postgres:///?service=none", &[]).exits(2).complains("the service \"none\" is not defined");
    project.file("etc/pg_service.conf", section.replace("[forum]", "[system]"));
    check("postgres:///?service=system", &[("PGSYSCONFDIR", "etc")]).exits(0);
    project.file("named", section.replace("[forum]", "[named]"));
    check("postgres:///?service=named", &[("PGSERVICEFILE", "named")]).exits(0);
    check("postgres:///?service=forum", &[("PGSERVICEFILE", "missing")]).exits(2).complains("missing");
    project.file("named", "[named]\nhost=h\nsslcrl=x\n");
    check("postgres:///?service=named", &[("PGSERVICEFILE", "named")]).exits(2).complains("named:3");
}

/// A link that is removed at the end.
struct Link(PathBuf);

impl Drop for Link {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("the link is there");
    }
}

#[test]
fn a8_without_a_host_the_default_socket_is_used() {
    let (project, database) = (project(), Database::new());
    let name = format!(".s.PGSQL.{}", database.cluster().port());
    let link = Link(Path::new("/tmp").join(&name));
    symlink(database.cluster().directory().join(&name), &link.0).expect("no other server has this port");
    let (url, port) =
        (format!("postgres://postgres@/{}", database.name()), database.cluster().port().to_string());
    let outcome = run(&project, &["migrate", "--database-url", &url], &[("PGPORT", &port)]).success();
    assert!(outcome.stdout.contains(&format!("?host=/tmp&port={port}")), "{outcome}");
    assert_eq!(database.value("SELECT ssl FROM seen"), "false");
    drop(link);
    // TCP is no substitute: the server listens there.
    run(&project, &["check", "--database-url", &url], &[("PGPORT", &port)])
        .exits(1)
        .complains("there is no such socket in /var/run/postgresql or /tmp")
        .complains("names no host");
}

#[test]
fn a8_client_certificates_and_versions_of_tls() {
    let certificates = Certificates::for_names(&["localhost"]);
    let cluster = Cluster::start_with_tls(&certificates);
    let data = cluster.directory().join("data");
    std::fs::write(data.join("ca.pem"), &certificates.authority).unwrap();
    std::fs::set_permissions(data.join("ca.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut superuser = cluster.client("postgres");
    superuser.batch_execute("CREATE ROLE client LOGIN SUPERUSER").unwrap();
    superuser.batch_execute("ALTER SYSTEM SET ssl_ca_file = 'ca.pem'").unwrap();
    drop(superuser);
    let hba = "local all postgres trust\nhostssl all client 127.0.0.1/32 cert\nhostssl all postgres 127.0.0.1/32 trust\n";
    std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
    cluster.restart();

    let project = project();
    project.file("client.crt", &certificates.client_certificate);
    project.file("client.key", &certificates.client_key);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(project.path().join("client.key"), private.clone()).unwrap();
    let database = Database::on(&cluster);
    let url =
        |role: &str, parameters: &str| format!("{}?sslmode=require&{parameters}", database.url_as(role));
    let check = |url: &str| project.bustard(&["check", "--database-url", url]);

    check(&url("client", "")).exits(1).complains("28000");
    check(&url("client", "sslcert=client.crt&sslkey=client.key&sslcertmode=disable"))
        .exits(1)
        .complains("28000");
    let seen = migrated(&project, &database, &url("client", "sslcert=client.crt&sslkey=client.key"), &[]);
    assert_eq!(seen[5..], ["client", "true", "TLSv1.3", "/CN=client"]);
    // libpq's default files.
    project.file(".postgresql/postgresql.crt", &certificates.client_certificate);
    project.file(".postgresql/postgresql.key", &certificates.client_key);
    std::fs::set_permissions(project.path().join(".postgresql/postgresql.key"), private).unwrap();
    check(&url("client", "")).exits(0);
    // A certificate of an authority that the server does not know.
    let stranger = Certificates::for_names(&["localhost"]);
    project.file("stranger.crt", &stranger.client_certificate);
    project.file("client.key", &stranger.client_key);
    check(&url("client", "sslcert=stranger.crt&sslkey=client.key")).exits(1).complains("sslcert");

    let another = Database::on(&cluster);
    let older = format!("{}?sslmode=require&ssl_max_protocol_version=TLSv1.2", another.url());
    assert_eq!(migrated(&project, &another, &older, &[])[7], "TLSv1.2");
    cluster.set("ssl_max_protocol_version", "TLSv1.2");
    check(&url("postgres", "ssl_min_protocol_version=TLSv1.2")).exits(0);
    check(&url("postgres", "ssl_min_protocol_version=TLSv1.3")).exits(1).complains("TLS");

    let version: i32 = database.value("SELECT current_setting('server_version_num')").parse().unwrap();
    let direct = check(&url("postgres", "sslnegotiation=direct"));
    if version >= 170_000 {
        direct.exits(0)
    } else {
        direct.exits(1)
    };
}

#[test]
fn a8_target_session_attrs_choose_among_servers() {
    let settings = [("log_statement", "all")];
    let primary = Cluster::start_with(&settings);
    primary.client("postgres").batch_execute("CREATE DATABASE d; ").unwrap();
    primary.client("postgres").batch_execute("CREATE DATABASE r").unwrap();
    primary
        .client("postgres")
        .batch_execute("ALTER DATABASE r SET default_transaction_read_only = on")
        .unwrap();
    let standby = primary.standby(&settings);
    standby.wait_for_replay(&primary);
    let project = project();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (p, s) = (primary.port(), standby.port());

    for (n, (attributes, database, ports, reached)) in [
        ("any", "d", [p, s], Ok(p)),
        ("any", "d", [s, p], Ok(s)),
        ("any", "d", [free, s], Ok(s)),
        ("read-write", "d", [s, p], Ok(p)),
        ("read-write", "d", [p, s], Ok(p)),
        ("read-write", "r", [s, p], Err("its sessions are read-only")),
        ("read-only", "d", [p, s], Ok(s)),
        ("read-only", "r", [p, s], Ok(p)),
        ("read-only", "d", [p, free], Err("its sessions can write")),
        ("primary", "d", [s, p], Ok(p)),
        ("primary", "r", [s, p], Ok(p)),
        ("primary", "d", [s, free], Err("it is a standby")),
        ("standby", "d", [p, s], Ok(s)),
        ("standby", "d", [p, free], Err("it is not a standby")),
        ("prefer-standby", "d", [p, s], Ok(s)),
        ("prefer-standby", "d", [p, free], Ok(p)),
        ("prefer-standby", "d", [free, p], Ok(p)),
        ("prefer-standby", "d", [free, free], Err("connection refused")),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("attributes{n}");
        let url = format!(
            "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{database}?application_name={name}",
            ports[0], ports[1]
        );
        let outcome =
            run(&project, &["check", "--database-url", &url], &[("PGTARGETSESSIONATTRS", attributes)]);
        match reached {
            Ok(port) => {
                outcome.exits(CONNECTED);
                // The other one was asked what it is, and nothing else.
                let used = |cluster: &Cluster| {
                    cluster.log().lines().any(|line| {
                        line.contains(&format!(" {name} "))
                            && line.contains("LOG:  ")
                            && !line.contains("pg_is_in_recovery")
                    })
                };
                assert_eq!(
                    [used(&primary), used(&standby)],
                    [port == p, port == s],
                    "{attributes} of {ports:?}"
                );
            }
            Err(said) => drop(outcome.exits(1).complains(said)),
        }
    }
}

/// Prints what `PQconndefaults` lists.
const LIST: &str = "
import ctypes, sys
class Option(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in 'keyword envvar compiled val label dispchar'.split()]
    _fields_ += [('dispsize', ctypes.c_int)]
libpq = ctypes.CDLL(sys.argv[1])
libpq.PQconndefaults.restype = ctypes.POINTER(Option)
options, i = libpq.PQconndefaults(), 0
while options[i].keyword:
    print(options[i].keyword.decode(), (options[i].envvar or b'').decode())
    i += 1
";

/// The installed libpq, of whatever version, has no setting that is not documented.
#[test]
fn a8_the_table_has_what_the_installed_libpq_has() {
    let document = include_str!("../../../../docs/connection.md");
    let beside = Binaries::find().directory().join("../lib/libpq.so.5");
    let library = if beside.exists() { beside } else { "libpq.so.5".into() };
    let mut python = Command::new("python3");
    python.args(["-c", LIST]).arg(library);
    let listed = Outcome::of(python).success().stdout;
    assert!(listed.lines().count() > 30, "{listed}");
    for line in listed.lines() {
        let (keyword, variable) = line.split_once(' ').expect("two columns");
        let variable = if variable.is_empty() { String::new() } else { format!("`{variable}`") };
        let row = format!("| `{keyword}` | {variable} | ");
        assert!(document.contains(&row), "{row:?} is not in docs/connection.md");
    }
}
