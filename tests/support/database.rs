//! A database for one test, in the shared cluster or in a private one.

use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, NoTls};

use super::binaries::Binaries;
use super::catalog;
use super::cluster::Cluster;
use super::process::{Outcome, PATIENCE, wait_until};

/// Rows as `psql` prints them. Each column is text, and NULL is the empty string.
pub type Rows = Vec<Vec<String>>;

/// A new database. Dropping it ends all connections to it.
#[derive(Debug)]
pub struct Database<'cluster> {
    cluster: &'cluster Cluster,
    name: String,
}

impl Database<'static> {
    /// Creates a database in the cluster that the tests share.
    pub fn new() -> Database<'static> {
        Database::on(Cluster::shared())
    }
}

impl<'cluster> Database<'cluster> {
    /// Creates a database in this cluster.
    pub fn on(cluster: &'cluster Cluster) -> Database<'cluster> {
        Database::from_template(cluster, "template1")
    }

    /// Returns a copy of this database. No session may be connected to the original
    /// meanwhile.
    pub fn copy(&self) -> Database<'cluster> {
        Database::from_template(self.cluster, &self.name)
    }

    /// Creates a database in this cluster with these options of `CREATE DATABASE`.
    pub fn with(cluster: &'cluster Cluster, options: &str) -> Database<'cluster> {
        Database::create(cluster, options)
    }

    /// Returns the database of this name in this cluster, which exists.
    pub fn named(cluster: &'cluster Cluster, name: &str) -> Database<'cluster> {
        Database { cluster, name: name.to_owned() }
    }

    /// Renames the database. No session may be connected to it.
    pub fn rename(&self) -> Database<'cluster> {
        let name = format!("{}_renamed", self.name);
        self.cluster
            .client("postgres")
            .batch_execute(&format!("ALTER DATABASE {} RENAME TO {name}", self.name))
            .expect("the database is renamed");
        Database { cluster: self.cluster, name }
    }

    fn from_template(cluster: &'cluster Cluster, template: &str) -> Database<'cluster> {
        Database::create(cluster, &format!("TEMPLATE {template}"))
    }

    fn create(cluster: &'cluster Cluster, options: &str) -> Database<'cluster> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
        cluster
            .client("postgres")
            .batch_execute(&format!("CREATE DATABASE {name} {options}"))
            .expect("the database is created");
        Database { cluster, name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn cluster(&self) -> &'cluster Cluster {
        self.cluster
    }

    /// Returns the URL of the superuser, over TCP.
    pub fn url(&self) -> String {
        self.url_as("postgres")
    }

    /// Returns the URL for this role (or `role:password`), over TCP.
    pub fn url_as(&self, role: &str) -> String {
        self.cluster.url(role, &self.name)
    }

    /// Returns the URL of the superuser, over the Unix socket.
    pub fn socket_url(&self) -> String {
        self.cluster.socket_url("postgres", &self.name)
    }

    /// Connects as the superuser.
    pub fn client(&self) -> Client {
        self.cluster.client(&self.name)
    }

    /// Connects as this role, over TCP.
    pub fn client_as(&self, role: &str) -> Client {
        Client::connect(&self.url_as(role), NoTls).expect("the role connects")
    }

    /// Creates a login role for this database, with these attributes and without rights.
    /// Its name is `{database}_{suffix}`, because roles belong to the cluster and not to a
    /// database.
    pub fn create_role(&self, suffix: &str, attributes: &str) -> String {
        let role = format!("{}_{suffix}", self.name);
        self.client()
            .batch_execute(&format!("CREATE ROLE {role} LOGIN {attributes}"))
            .expect("the role is created");
        role
    }

    /// Sets a parameter for every new connection to this database, as in
    /// `("search_path", "evil, public")`.
    pub fn set(&self, setting: &str, value: &str) {
        self.client()
            .batch_execute(&format!("ALTER DATABASE {} SET {setting} = {value}", self.name))
            .expect("the setting is accepted");
    }

    /// Runs SQL with `psql` as the superuser and expects it to succeed.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> Rows {
        let outcome = self.psql_as("postgres", sql).success();
        outcome.stdout.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// Runs SQL with `psql` as a role. Errors are on stderr with their SQLSTATE, as
    /// in `ERROR:  42704: …`, and end the script with exit code 1.
    pub fn psql_as(&self, role: &str, sql: &str) -> Outcome {
        let mut psql = Binaries::find().client_command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--field-separator=\t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"])
            .arg("--dbname")
            .arg(self.url_as(role))
            .args(["--command", sql]);
        Outcome::of(psql)
    }

    /// Runs a file with `psql`.
    pub fn psql_file(&self, path: &std::path::Path) -> Outcome {
        let mut psql = Binaries::find().client_command("psql");
        psql.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "--dbname"])
            .arg(self.url())
            .arg("--file")
            .arg(path);
        Outcome::of(psql)
    }

    /// Returns the first column of the only row of a query, as text.
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        match <[Vec<String>; 1]>::try_from(self.psql(sql)) {
            Ok([row]) => row.into_iter().next().unwrap_or_default(),
            Err(rows) => panic!("{sql} has {} rows, not one", rows.len()),
        }
    }

    /// Polls until a query returns true.
    #[track_caller]
    pub fn wait_until(&self, sql: &str) {
        let mut client = self.client();
        wait_until(sql, || {
            let row = client.query_one(sql, &[]).expect("the condition is valid SQL");
            row.get(0)
        });
    }

    /// Every object of the database, one a line, without those whose `schema.name`
    /// begins with one of these.
    pub fn schema(&self, without: &[&str]) -> String {
        catalog::schema(&mut self.client(), without)
    }

    /// Every object and every row.
    pub fn contents(&self) -> String {
        catalog::contents(&mut self.client())
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // A failure here does not fail the test, because the test may have killed the
        // server, and the cluster is removed soon anyway.
        let Ok(mut client) = postgres::Config::new()
            .host_path(self.cluster.directory())
            .port(self.cluster.port())
            .user("postgres")
            .dbname("postgres")
            .connect_timeout(PATIENCE)
            .connect(NoTls)
        else {
            return;
        };
        let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let roles = client.query(
            "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname::text, $1)",
            &[&format!("{}_", self.name)],
        );
        for role in roles.unwrap_or_default() {
            let _ = client.batch_execute(&format!("DROP ROLE \"{}\"", role.get::<_, String>(0)));
        }
    }
}
