//! What a server refuses when a client connects.

use bustard::Migrator;

use super::help_of;
use crate::support::{Cluster, Database};

/// Returns the advice of a connection that is refused with this code.
#[track_caller]
fn refused(url: &str, code: &str) -> String {
    let mut database = bustard::Database::new(url).expect("the URL is good");
    let error = Migrator::new().status(&mut database).expect_err("it is refused");
    assert_eq!(error.sqlstate(), Some(code), "{error:#}");
    help_of(&error)
}

#[test]
fn kind10_what_the_server_refuses_at_connecting() {
    let few = [("max_connections", "12"), ("superuser_reserved_connections", "3"), ("max_wal_senders", "0")];
    for cluster in [Cluster::start_with(&few), Cluster::start_in_language("de", &few)] {
        let database = Database::on(&cluster);
        let name = database.name();
        let mut admin = cluster.client("postgres");
        let mut by_hand = |sql: &str| admin.batch_execute(sql).expect("it may");
        let role = database.create_role("limited", "CONNECTION LIMIT 0");
        let url = database.url_as(&role);
        let help = refused(&url, "53300");
        assert!(help.contains(&format!("ALTER ROLE \"{role}\" CONNECTION LIMIT")), "{help}");
        by_hand(&format!(
            "ALTER ROLE \"{role}\" CONNECTION LIMIT -1; ALTER DATABASE {name} CONNECTION LIMIT 0"
        ));
        let help = refused(&url, "53300");
        assert!(help.contains(&format!("ALTER DATABASE \"{name}\" CONNECTION LIMIT")), "{help}");
        by_hand(&format!("ALTER DATABASE {name} CONNECTION LIMIT -1"));
        by_hand(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        let help = refused(&url, "55000");
        assert!(help.contains(&format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS true")), "{help}");
        by_hand(&format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS true; ALTER ROLE {role} NOLOGIN"));
        let help = refused(&url, "28000");
        assert!(help.contains(&format!("ALTER ROLE \"{role}\" LOGIN")), "{help}");
        by_hand(&format!("ALTER ROLE \"{role}\" LOGIN"));
        let help = refused(&database.url_as("no_such_role"), "28000");
        assert!(help.contains("CREATE ROLE \"no_such_role\" LOGIN"), "{help}");
        assert!(refused(&cluster.url("postgres", "gone"), "3D000").contains("createdb gone"));
        let help = refused(&format!("{}?options=-c%20no_such_setting%3D1", database.url()), "42704");
        assert!(help.contains("options"), "{help}");

        // The last three connections are for superusers.
        let mut taken: Vec<_> = Vec::new();
        while let Ok(client) = postgres::Client::connect(&url, postgres::NoTls) {
            taken.push(client);
        }
        let help = refused(&url, "53300");
        assert!(help.contains("reserved"), "{help}");
        while let Ok(client) = postgres::Client::connect(&database.url(), postgres::NoTls) {
            taken.push(client);
        }
        let help = refused(&database.url(), "53300");
        assert!(help.contains("raise max_connections") && !help.contains("reserved"), "{help}");
        drop(taken);
    }
}
