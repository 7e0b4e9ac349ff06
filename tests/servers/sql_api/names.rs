//! Tests which names a cache may have.

use super::{code, get, refused, run, with_caches};

#[test]
fn names_that_cannot_be_registered() {
    let (database, mut client, _role) = with_caches(&[]);
    for name in ["''", "repeat('x', 129)", "E'a\\nb'", "E'\\001'", "E'x\\x7f'", "E'\\u0085'", "E'\\u009f'"] {
        refused(&database, "postgres", &format!("SELECT bustard.register_cache({name})"), "22023")
            .complains("HINT:");
        let sql =
            format!("SET standard_conforming_strings = off; SELECT bustard.register_cache({name}, 'app')");
        assert_eq!(code(&mut client, &sql), "22023", "{name}");
    }
    assert_eq!(get::<i64>(&mut client, "SELECT count(*) FROM bustard.caches"), 0);
}

#[test]
fn names_that_can_be_registered() {
    let (_database, mut client, _role) = with_caches(&[]);
    let names: [&str; 11] =
        ["a", "A", " a ", "a'b", "a\"b", "\\", "%", "Größe 1", "鸨", "NULL", "all caches"];
    let longest = "ä".repeat(128);
    for name in names.into_iter().chain([longest.as_str()]) {
        client.query_one("SELECT bustard.register_cache($1)", &[&name]).expect(name);
    }
    // Each name matches only itself. Case and spaces matter, and a name is not a pattern.
    for name in names.into_iter().chain([longest.as_str()]) {
        let before: Vec<(String, i64)> = versions(&mut client);
        client.query_one("SELECT bustard.invalidate($1)", &[&name]).expect(name);
        for ((before, old), (after, new)) in before.into_iter().zip(versions(&mut client)) {
            assert_eq!(before, after);
            assert_eq!(old != new, after == name, "{after} after {name}");
        }
    }
}

fn versions(client: &mut postgres::Client) -> Vec<(String, i64)> {
    let rows = client.query("SELECT name, bustard.get_version(name) FROM bustard.caches ORDER BY name", &[]);
    rows.expect("they are registered").iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Names are compared byte by byte, under any collation of the database.
#[test]
fn no_collation_makes_two_names_one() {
    let (_database, mut client, _role) = with_caches(&[]);
    run(&mut client, "SELECT bustard.register_cache(E'\\u00e9'); SELECT bustard.register_cache(E'e\\u0301')");
    assert_eq!(get::<i64>(&mut client, "SELECT count(*) FROM bustard.caches"), 2);
}
