//! Feeds every setting of libpq in every form, and compares the documented table with
//! the one of the code.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::Target;
use super::keywords::{KNOWN, Known, Rule};
use crate::error::{ErrorKind, Result};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/connection.md");

/// What `PQconndefaults` of libpq 18 lists, and the variables that it reads besides.
const LIBPQ_18: &str = "\
service PGSERVICE, user PGUSER, password PGPASSWORD, passfile PGPASSFILE, channel_binding PGCHANNELBINDING,
connect_timeout PGCONNECT_TIMEOUT, dbname PGDATABASE, host PGHOST, hostaddr PGHOSTADDR, port PGPORT,
client_encoding PGCLIENTENCODING, options PGOPTIONS, application_name PGAPPNAME, fallback_application_name,
keepalives, keepalives_idle, keepalives_interval, keepalives_count, tcp_user_timeout, sslmode PGSSLMODE,
sslnegotiation PGSSLNEGOTIATION, sslcompression PGSSLCOMPRESSION, sslcert PGSSLCERT, sslkey PGSSLKEY,
sslcertmode PGSSLCERTMODE, sslpassword, sslrootcert PGSSLROOTCERT, sslcrl PGSSLCRL, sslcrldir PGSSLCRLDIR,
sslsni PGSSLSNI, requirepeer PGREQUIREPEER, require_auth PGREQUIREAUTH,
min_protocol_version PGMINPROTOCOLVERSION, max_protocol_version PGMAXPROTOCOLVERSION,
ssl_min_protocol_version PGSSLMINPROTOCOLVERSION, ssl_max_protocol_version PGSSLMAXPROTOCOLVERSION,
gssencmode PGGSSENCMODE, krbsrvname PGKRBSRVNAME, gsslib PGGSSLIB, gssdelegation PGGSSDELEGATION, replication,
target_session_attrs PGTARGETSESSIONATTRS, load_balance_hosts PGLOADBALANCEHOSTS, scram_client_key,
scram_server_key, oauth_issuer, oauth_client_id, oauth_client_secret, oauth_scope, sslkeylogfile,
PGSERVICEFILE, PGSYSCONFDIR, PGREQUIRESSL, PGDATESTYLE, PGTZ, PGGEQO, PGOAUTHDEBUG, PGLOCALEDIR";

#[test]
fn a8_the_table_has_what_libpq_has() {
    let mut ours: Vec<String> = (KNOWN.iter())
        .map(|known| [known.keyword, known.variable].into_iter().flatten().collect::<Vec<_>>().join(" "))
        .collect();
    let mut theirs: Vec<String> = LIBPQ_18.split(',').map(|row| row.trim().to_owned()).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

/// The rows of the table in the documentation.
fn documented() -> String {
    let mut rows = "| keyword | variable | |\n|---|---|---|\n".to_owned();
    for Known { keyword, variable, rule } in KNOWN {
        let code = |name: &Option<&str>| name.map_or_else(String::new, |name| format!("`{name}`"));
        let says = match rule {
            Rule::Obeyed(how) => format!("obeyed: {how}"),
            Rule::Only(values, why) => format!("only `{}`: {why}", values.join("`, `")),
            Rule::Refused(why) => format!("refused: {why}"),
        };
        let _ = writeln!(rows, "| {} | {} | {says} |", code(keyword), code(variable));
    }
    rows
}

#[test]
fn a8_the_documented_table_is_that_of_the_code() {
    let text = std::fs::read_to_string(DOCUMENT).unwrap();
    let rows = documented();
    if !text.contains(&rows) {
        panic!("docs/connection.md must contain this table:\n\n{rows}");
    }
}

/// How a setting is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Url,
    Service,
    Variable,
}

/// The files that samples name.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["c".to_owned()]).unwrap().self_signed(&key).unwrap();
        files.write("client.crt", &certificate.pem());
        files.write("client.key", &key.serialize_pem());
        files.write("pass", "h:*:*:*:from the file\n");
        files.write("service", "[s]\nconnect_timeout=77\n");
        files.write("etc/pg_service.conf", "[s]\nconnect_timeout=78\n");
        files
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;

        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Replaces `<name` by the path of a file.
    fn fill(&self, text: &str) -> String {
        match text.strip_prefix('<') {
            Some(name) => self.path(name),
            None => text.to_owned(),
        }
    }

    /// Reads a URL that leaves the setting open, with the setting in this form.
    fn target(&self, form: Form, name: &str, value: &str, with: &[(&str, &str)]) -> Result<Target> {
        let value = self.fill(value);
        let mut environment: Vec<(String, String)> =
            with.iter().map(|(name, value)| ((*name).to_owned(), self.fill(value))).collect();
        let absent = |variable: &str| environment.iter().all(|(name, _)| name != variable);
        // What every URL needs. They leave the setting open.
        let mut parameters: Vec<(&str, String)> = [("user", "u"), ("dbname", "d"), ("host", "h")]
            .into_iter()
            .filter(|(keyword, _)| {
                *keyword != name && !(form == Form::Variable && variable_of(keyword) == name)
            })
            .map(|(keyword, value)| (keyword, value.to_owned()))
            .collect();
        match form {
            Form::Url => parameters.push((name, value)),
            Form::Variable => environment.push((name.to_owned(), value)),
            Form::Service => {
                assert!(absent("PGSERVICEFILE"));
                self.write("given", &format!("[other]\n{name}=other\n\n# ours\n[given]\n{name}={value}\n"));
                parameters.push(("service", "given".to_owned()));
                environment.push(("PGSERVICEFILE".to_owned(), self.path("given")));
            }
        }
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", super::url::encode(value, "/")))
            .collect();
        Target::parse_with(&format!("postgres://?{}", parameters.join("&")), &|name| {
            let found = environment.iter().rfind(|(known, _)| known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }
}

fn variable_of(keyword: &str) -> &'static str {
    KNOWN.iter().find(|known| known.keyword == Some(keyword)).and_then(|known| known.variable).unwrap_or("")
}

/// Everything that a target says of a connection.
fn fingerprint(target: &Target) -> String {
    let servers: Vec<_> = (target.servers.iter())
        .map(|server| {
            let config = target.config_for(server, None);
            format!("{server} {config:?} {:?}", config.get_password().map(String::from_utf8_lossy))
        })
        .collect();
    let Target { limit, wanted, shuffled, tls, .. } = target;
    format!("{} {servers:?} {:?} {limit:?} {wanted:?} {shuffled}", target.redacted(), tls.settings)
}

/// The key of a setting, values of it, and the variables that must be set besides.
type Sample = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// Values of the settings that are obeyed. Each changes the connection.
const SAMPLES: &[Sample] = &[
    ("host", &["i", "i,j", "/run/x", "10.0.0.1"], &[]),
    ("hostaddr", &["10.0.0.1", "::1"], &[]),
    ("port", &["7"], &[]),
    ("dbname", &["e"], &[]),
    ("user", &["v"], &[]),
    ("password", &["p"], &[]),
    ("passfile", &["<pass"], &[]),
    ("service", &["s"], &[("PGSERVICEFILE", "<service")]),
    ("PGSERVICEFILE", &["<service"], &[("PGSERVICE", "s")]),
    ("PGSYSCONFDIR", &["<etc"], &[("PGSERVICE", "s")]),
    ("channel_binding", &["disable", "require"], &[]),
    ("options", &["-c a=b"], &[]),
    ("application_name", &["a"], &[]),
    ("fallback_application_name", &["a"], &[]),
    ("PGDATESTYLE", &["ISO, DMY"], &[]),
    ("PGTZ", &["Europe/Berlin"], &[]),
    ("PGGEQO", &["off"], &[]),
    ("connect_timeout", &["0", "3", "-1"], &[]),
    ("keepalives", &["0"], &[]),
    ("keepalives_idle", &["0", "5"], &[]),
    ("keepalives_interval", &["0", "5"], &[]),
    ("keepalives_count", &["0", "5"], &[]),
    ("tcp_user_timeout", &["5000"], &[]),
    ("sslmode", &["disable", "require", "verify-ca", "verify-full"], &[("PGSSLROOTCERT", "<client.crt")]),
    ("PGREQUIRESSL", &["1"], &[]),
    ("sslnegotiation", &["direct"], &[("PGSSLMODE", "require")]),
    ("sslcert", &["<client.crt"], &[("PGSSLKEY", "<client.key")]),
    ("sslkey", &["<client.key"], &[("PGSSLCERT", "<client.crt")]),
    ("sslcertmode", &["disable"], &[("PGSSLCERT", "<client.crt"), ("PGSSLKEY", "<client.key")]),
    ("sslrootcert", &["<client.crt"], &[]),
    ("sslsni", &["0"], &[]),
    ("ssl_min_protocol_version", &["TLSv1.3"], &[]),
    ("ssl_max_protocol_version", &["TLSv1.2", "tlsv1.2"], &[]),
    ("target_session_attrs", &["read-write", "read-only", "primary", "standby", "prefer-standby"], &[]),
    ("load_balance_hosts", &["random"], &[]),
];

/// Values that make no sense, or that would be weaker than they look.
const NONSENSE: &[(&str, &[&str])] = &[
    ("host", &["@x"]),
    ("hostaddr", &["localhost", "1,2"]),
    ("port", &["0", "70000", "1,2", "x"]),
    ("service", &["none"]),
    ("channel_binding", &["always"]),
    ("connect_timeout", &["soon", "1.5"]),
    ("keepalives", &["yes"]),
    ("keepalives_idle", &["x"]),
    ("keepalives_interval", &["x"]),
    ("keepalives_count", &["x"]),
    ("tcp_user_timeout", &["5s"]),
    ("sslmode", &["allow", "on", "REQUIRE"]),
    ("PGREQUIRESSL", &["yes"]),
    ("sslnegotiation", &["direct", "x"]),
    ("sslcert", &["no/such/file", "Cargo.toml"]),
    ("sslrootcert", &["no/such/file", "Cargo.toml"]),
    ("sslsni", &["yes"]),
    ("ssl_min_protocol_version", &["TLSv1.4", "SSLv3"]),
    ("ssl_max_protocol_version", &["TLSv1.1", "x"]),
    ("target_session_attrs", &["writable", "prefer-primary"]),
    ("load_balance_hosts", &["round-robin"]),
    ("sslcertmode", &["require"]),
];

/// The forms in which a setting can be given, each with its name there.
fn forms(known: &Known) -> Vec<(Form, &'static str)> {
    let keyword = known.keyword.into_iter().flat_map(|name| [(Form::Url, name), (Form::Service, name)]);
    let forms = keyword.chain(known.variable.map(|name| (Form::Variable, name)));
    // A service file cannot name a service.
    forms.filter(|form| *form != (Form::Service, "service")).collect()
}

#[test]
fn a8_every_setting_is_obeyed_or_refused_by_its_name() {
    let files = Files::new();
    let samples =
        |key: &str| SAMPLES.iter().find(|(name, ..)| *name == key).map(|(_, values, with)| (*values, *with));
    for known in KNOWN {
        let key = known.key();
        let obeyed = samples(key);
        assert!(obeyed.is_some() || !matches!(known.rule, Rule::Obeyed(_)), "{key} has no sample");
        for (form, name) in forms(known) {
            let (values, with) = obeyed.unwrap_or_default();
            for value in values {
                let changed = files.target(form, name, value, with).unwrap_or_else(|error| {
                    panic!("{name}={value} as {form:?}: {error}");
                });
                // The same without it: an empty value counts as unset.
                let unset = files.target(form, name, "", with);
                let unset = unset.map_or_else(|_| String::new(), |unset| fingerprint(&unset));
                assert_ne!(fingerprint(&changed), unset, "{name}={value} as {form:?} changes nothing");
            }
            let (accepted, refused): (&[_], _) = match known.rule {
                Rule::Obeyed(_) => (&[], &[] as &[&str]),
                Rule::Only(values, _) => (values, &["x-unlisted"]),
                Rule::Refused(_) => (&[], &["x", "1", "disable"]),
            };
            for value in accepted {
                files
                    .target(form, name, value, &[])
                    .unwrap_or_else(|error| panic!("{name}={value}: {error}"));
            }
            let nonsense =
                NONSENSE.iter().find(|(name, _)| *name == key).map_or(&[] as &[&str], |(_, values)| values);
            for value in refused.iter().chain(nonsense) {
                let error =
                    files.target(form, name, value, &[]).expect_err(&format!("{name}={value} as {form:?}"));
                let text = error.report().to_string();
                assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
                let named = [name, key, value].into_iter().any(|word| text.contains(word))
                    || text.contains("abstract namespace")
                    || text.contains("certificate") && key.starts_with("ssl");
                assert!(named, "{name}={value} as {form:?}: {text}");
                if form == Form::Service && text.contains(" of the service file") {
                    assert_eq!(error.place().and_then(|place| place.line()), Some(6), "{text}");
                }
            }
        }
    }
}

#[test]
fn a8_the_url_wins_over_a_service_and_a_service_over_the_environment() {
    let files = Files::new();
    files.write("three", "[s]\nuser=of service\nuser=second line\nport=8\n[s]\ndbname=second section\n");
    let environment = [
        ("PGSERVICEFILE", files.path("three")),
        ("PGSERVICE", "s".to_owned()),
        ("PGUSER", "of environment".to_owned()),
        ("PGPORT", "9".to_owned()),
        ("PGDATABASE", "of environment".to_owned()),
        ("PGHOSTADDR", "10.0.0.1".to_owned()),
    ];
    let parse = |url: &str| {
        let target = Target::parse_with(url, &|name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        });
        target.map(|target| target.redacted())
    };
    assert_eq!(
        parse("postgres://h").unwrap(),
        "postgres://of%20service@h:8/of%20environment?hostaddr=10.0.0.1"
    );
    assert_eq!(parse("postgres://u@h:7/d?hostaddr=::1").unwrap(), "postgres://u@h:7/d?hostaddr=::1");
    for (line, said) in [
        ("user", "is not KEYWORD=VALUE"),
        ("service=t", "cannot name another service"),
        ("usr=x", "did you mean user?"),
        ("user =x", "is unknown"),
        ("PGTZ=UTC", "is unknown"),
        ("ldap://server/x", "LDAP"),
        ("sslcrl=x", "remove the line"),
    ] {
        files.write("three", &format!("[s]\n{line}\n"));
        let error = parse("postgres://h").unwrap_err();
        assert!(error.report().to_string().contains(said), "{line}: {}", error.report());
        assert_eq!(error.place().and_then(|place| place.line()), Some(2), "{line}");
    }
    std::fs::remove_file(Path::new(&files.path("three"))).unwrap();
    assert!(parse("postgres://h").unwrap_err().report().to_string().contains("three"));
}

#[cfg(unix)]
#[test]
fn a8_variables_that_are_not_text_are_refused() {
    use std::os::unix::ffi::OsStringExt as _;

    for known in KNOWN {
        let Some(variable) = known.variable else { continue };
        // Read only if the service is not in the file before it.
        let with = if variable == "PGSYSCONFDIR" || variable == "PGSERVICEFILE" { "?service=s" } else { "" };
        let bytes = OsString::from_vec(vec![0xff]);
        let error = Target::parse_with(&format!("postgres:///{with}"), &|name| {
            (name == variable).then(|| bytes.clone())
        });
        let text = error.unwrap_err().report().to_string();
        assert!(text.contains(&format!("{variable} is not UTF-8")), "{text}");
    }
}

#[test]
fn a8_client_certificates_that_cannot_be_used() {
    let files = Files::new();
    let other = KeyPair::generate().unwrap().serialize_pem();
    files.write("other.key", &other);
    files.write("encrypted.key", &other.replace("PRIVATE", "ENCRYPTED PRIVATE"));
    files.write(
        "legacy.key",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    files.write("shared.key", &other);
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(files.path("shared.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    for (key, said) in [
        ("<other.key", "cannot be used with its key"),
        ("<encrypted.key", "openssl pkcs8 -topk8 -nocrypt"),
        ("<legacy.key", "it is encrypted"),
        ("<shared.key", "chmod 600"),
        ("<client.crt", "cannot be used"),
        ("no/such/key", "no/such/key"),
    ] {
        let error = files.target(Form::Url, "sslkey", key, &[("PGSSLCERT", "<client.crt")]).unwrap_err();
        assert!(error.report().to_string().contains(said), "{key}: {}", error.report());
        // Without TLS they are not read.
        let with = [("PGSSLCERT", "<client.crt"), ("PGSSLMODE", "disable")];
        files.target(Form::Url, "sslkey", key, &with).unwrap();
    }
    // libpq's default files.
    files.write(".postgresql/postgresql.crt", &std::fs::read_to_string(files.path("client.crt")).unwrap());
    let home = [("HOME", "<")];
    let error = files.target(Form::Url, "sslsni", "1", &home).unwrap_err();
    assert!(error.report().to_string().contains(".postgresql/postgresql.key"), "{}", error.report());
    files.write(".postgresql/postgresql.key", &std::fs::read_to_string(files.path("client.key")).unwrap());
    let target = files.target(Form::Url, "sslsni", "1", &home).unwrap();
    assert!(target.tls.settings.identity.is_some());
    let target = files.target(Form::Url, "sslcertmode", "disable", &home).unwrap();
    assert!(target.tls.settings.identity.is_none());
    files.write(".postgresql/root.crl", "");
    files.target(Form::Url, "sslmode", "require", &home).unwrap();
    files.write(".postgresql/root.crt", &std::fs::read_to_string(files.path("client.crt")).unwrap());
    let error = files.target(Form::Url, "sslmode", "require", &home).unwrap_err();
    assert!(error.report().to_string().contains("root.crl is not supported"), "{}", error.report());
}
