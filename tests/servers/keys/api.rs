//! The SQL API of keys for roles without rights, for drivers, and beside folds.

use super::{MEMBERSHIP, postgres_with, touches, versions};

const KEYS: [&str; 4] = ["1", "2", "4094", "NULL::text"];

#[test]
fn a_role_without_rights() {
    let scene = postgres_with(MEMBERSHIP);
    let role = format!("reader_of_{}", scene.database().name());
    scene.execute(&format!("CREATE ROLE {role}; GRANT INSERT, SELECT ON membership TO {role}; GRANT USAGE ON SEQUENCE membership_id_seq TO {role}"));
    let set = format!("SET ROLE {role}");
    touches(
        &scene,
        "permissions",
        &KEYS,
        &format!("{set}; INSERT INTO membership (user_id) VALUES (1)"),
        &["1", "4094"],
    );
    touches(
        &scene,
        "permissions",
        &KEYS,
        &format!(
            "{set}; SELECT bustard.invalidate_key('permissions', 2), bustard.invalidate_key('permissions', '2', NULL), bustard.invalidate_key('permissions', ARRAY['2'])"
        ),
        &["2", "NULL::text"],
    );
    scene.execute(&format!("{set}; SELECT bustard.get_version('permissions', 1), bustard.get_version('permissions', '1'), bustard.is_valid('permissions', 1, 5), bustard.is_valid('permissions', ARRAY['1'], 5), bustard.identity('permissions', ARRAY['1'])"));
    for internal in [
        "key_bucket('permissions', 'int', ARRAY['1'])",
        "key_rule(1, '{a}')",
        "key_columns('a', 'b', 'c', 1)",
        "shown_source('a', 'b', '{}')",
    ] {
        assert_eq!(super::refused(&scene, &format!("{set}; SELECT bustard.{internal}")), "42501");
    }
    scene.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

/// A driver sends a key with the type of the function's argument.
#[test]
fn parameters_of_a_driver() {
    let scene = postgres_with(MEMBERSHIP);
    let mut client = scene.database().client();
    let version: i64 = client
        .query_one("SELECT bustard.get_version($1, $2::bigint)", &[&"permissions", &1_i64])
        .expect("it answers")
        .get(0);
    let same: i64 = client
        .query_one("SELECT bustard.get_version($1, $2)", &[&"permissions", &"1"])
        .expect("it answers")
        .get(0);
    assert_eq!(version, same);
    let valid: bool = client
        .query_one("SELECT bustard.is_valid($1, $2, $3)", &[&"permissions", &"1", &version])
        .expect("it answers")
        .get(0);
    assert!(valid);
    client.execute("SELECT bustard.invalidate_key($1, $2)", &[&"permissions", &"1"]).expect("it runs");
    let valid: bool = client
        .query_one("SELECT bustard.is_valid($1, $2::bigint, $3)", &[&"permissions", &1_i64, &version])
        .expect("it answers")
        .get(0);
    assert!(!valid);
}

/// A fold changes no version, and the sum of the buckets of a source is in its slot 1.
#[test]
fn folds() {
    let scene = postgres_with(MEMBERSHIP);
    for round in 0..6 {
        scene.execute(&format!(
            "INSERT INTO membership (user_id) SELECT i % 50 FROM generate_series(1, {}) AS i",
            10 + round * 30
        ));
        scene.execute("SELECT bustard.invalidate_key('permissions', 1, 2), bustard.invalidate('permissions'); INSERT INTO role VALUES (random())");
        let before = versions(&scene, "permissions", &KEYS);
        scene.execute("SELECT bustard.fold()");
        assert_eq!(versions(&scene, "permissions", &KEYS), before);
        let sums = "SELECT count(*) FROM (SELECT cell & -4096 AS source FROM bustard.base WHERE cell <> 0 GROUP BY 1 \
            HAVING (coalesce(sum(n) FILTER (WHERE cell & 4095 >= 2), 0), coalesce(bit_xor(nonce) FILTER (WHERE cell & 4095 >= 2), 0)) \
            <> (coalesce(sum(n) FILTER (WHERE cell & 4095 = 1), 0), coalesce(bit_xor(nonce) FILTER (WHERE cell & 4095 = 1), 0))) AS s";
        assert_eq!(scene.value(sums), "0");
        let alike = "SELECT count(DISTINCT v) || ' ' || count(*) FROM (SELECT bustard.get_version('permissions') UNION ALL \
            SELECT version FROM bustard.caches WHERE name = 'permissions' UNION ALL \
            SELECT s.n << 23 | (s.nonce & 8388607) FROM bustard.snapshot(NULL, NULL, NULL) AS s WHERE s.name = 'permissions' UNION ALL \
            SELECT s.n << 23 | (s.nonce & 8388607) FROM bustard.snapshot(NULL, NULL, '{permissions}') AS s WHERE s.name = 'permissions' UNION ALL \
            SELECT i.n << 23 | (i.nonce & 8388607) FROM bustard.identity('permissions') AS i) AS all_versions (v)";
        assert_eq!(scene.value(alike), "1 5");
        let key = "SELECT bustard.get_version('permissions', '1') = (SELECT i.n << 23 | (i.nonce & 8388607) FROM bustard.identity('permissions', ARRAY['1']) AS i)";
        assert_eq!(scene.value(key), "t");
    }
}
