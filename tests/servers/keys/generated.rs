//! Random transactions on tables with keys. After each, exactly the keys whose rows have
//! changed must have new versions: those of which the table, compared before and after, says
//! so, and those that share a bucket with one.

use std::collections::{BTreeMap, BTreeSet};

use super::postgres_with;
use crate::support::{Random, Scene};

/// A column that is a key, and the values that it can have.
struct Key {
    column: &'static str,
    cache: &'static str,
    values: &'static [&'static str],
}

const KEYS: [Key; 4] = [
    Key {
        column: "n",
        cache: "by_n",
        values: &["NULL", "0", "1", "-1", "4093", "4094", "7", "1024", "4194304"],
    },
    Key { column: "s", cache: "by_s", values: &["NULL", "''", "'a'", "'A'", "'é'", "'1'", "E'a\\x1f'"] },
    Key {
        column: "u",
        cache: "by_u",
        values: &["NULL", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-00000000000a'"],
    },
    Key { column: "n, s", cache: "by_both", values: &[] },
];

/// Returns the keys of the rows that were written since the last call, according to triggers
/// for each row.
fn written(scene: &Scene) -> Vec<BTreeSet<String>> {
    let client = &mut scene.database().client();
    let arrays: Vec<String> = KEYS.iter().map(|key| array(key.column)).collect();
    let rows = client.query(&format!("SELECT {} FROM written", arrays.join(", ")), &[]).expect("it answers");
    client.batch_execute("TRUNCATE written").expect("it is emptied");
    (0..KEYS.len()).map(|i| rows.iter().map(|row| row.get(i)).collect()).collect()
}

/// Returns the SQL of a key as a text.
fn array(columns: &str) -> String {
    let columns: Vec<String> = columns.split(", ").map(|column| format!("{column}::text")).collect();
    format!("ARRAY[{}]::text", columns.join(", "))
}

/// Returns the versions of keys, written as arrays.
fn versions(scene: &Scene, cache: &str, keys: &BTreeSet<String>) -> BTreeMap<String, (i64, i32)> {
    let client = &mut scene.database().client();
    let keys: Vec<&String> = keys.iter().collect();
    let sql = "SELECT k, bustard.get_version($1, k::text[]), \
               bustard.key_bucket($1, (SELECT rule FROM bustard.cache WHERE name = $1), k::text[]) FROM unnest($2::text[]) AS k";
    let rows = client.query(sql, &[&cache, &keys]).expect("it answers");
    rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
}

fn statement(random: &mut Random) -> String {
    let value = |random: &mut Random, key: usize| KEYS[key].values[random.below(KEYS[key].values.len())];
    let set = |random: &mut Random| {
        let key = random.below(3);
        format!("{} = {}", KEYS[key].column, value(random, key))
    };
    let filter = |random: &mut Random| match random.below(4) {
        0 => format!("id % {} = 0", 1 + random.below(5)),
        1 => "false".to_owned(),
        _ => {
            let key = random.below(3);
            format!("{} IS NOT DISTINCT FROM {}", KEYS[key].column, value(random, key))
        }
    };
    let row = |random: &mut Random| {
        format!("({}, {}, {}, {})", random.below(3), value(random, 0), value(random, 1), value(random, 2))
    };
    let insert = |random: &mut Random| {
        let rows: Vec<String> = (0..=random.below(3)).map(|_| row(random)).collect();
        format!("INSERT INTO t (p, n, s, u) VALUES {}", rows.join(", "))
    };
    match random.below(12) {
        0..=2 => insert(random),
        3 => format!(
            "INSERT INTO t (p, n) SELECT 1, i FROM generate_series(1, {}) AS i",
            [3, 64, 65, 200][random.below(4)]
        ),
        4 => format!("UPDATE t SET {} WHERE {}", set(random), filter(random)),
        5 => format!("UPDATE t SET p = {} WHERE {}", random.below(3), filter(random)),
        6 => format!("DELETE FROM t WHERE {}", filter(random)),
        7 => format!(
            "INSERT INTO t (id, p, n) VALUES ({}, 0, 1) ON CONFLICT (id, p) DO UPDATE SET {}",
            1 + random.below(20),
            set(random)
        ),
        8 => format!(
            "WITH gone AS (DELETE FROM t WHERE {} RETURNING *) INSERT INTO t (p, n, s) SELECT p, n, s FROM gone LIMIT 2",
            filter(random)
        ),
        9 => format!("SAVEPOINT s; {}; ROLLBACK TO s", insert(random)),
        10 => format!("DELETE FROM t_{} WHERE {}", random.below(2), filter(random)),
        _ => format!(
            "UPDATE t SET n = {}, s = {} WHERE {}",
            value(random, 0),
            value(random, 1),
            filter(random)
        ),
    }
}

#[test]
fn exactly_the_keys_of_written_rows() {
    let scene = postgres_with(
        "CREATE TABLE t (id serial, p integer, n bigint, s text, u uuid, PRIMARY KEY (id, p)) PARTITION BY LIST (p);
CREATE TABLE t_0 PARTITION OF t FOR VALUES IN (0);
CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1);
CREATE TABLE t_2 PARTITION OF t DEFAULT;
CREATE TABLE written (n bigint, s text, u uuid);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN INSERT INTO written VALUES (OLD.n, OLD.s, OLD.u); END IF;
    IF TG_OP <> 'DELETE' THEN INSERT INTO written VALUES (NEW.n, NEW.s, NEW.u); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
-- bustard: register cache by_n on t by n
-- bustard: register cache by_s on t by s
-- bustard: register cache by_u on t by u
-- bustard: register cache by_both on t by (n, s)
-- bustard: register cache whole on t
",
    );
    let mut random = Random::seeded();
    let mut client = scene.database().client();
    let (mut kept, mut widened) = (0, 0);
    for round in 0..150 {
        let level = ["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"][random.below(4)];
        let statements: Vec<String> = (0..=random.below(3)).map(|_| statement(&mut random)).collect();
        let end = if random.below(8) == 0 { "ROLLBACK" } else { "COMMIT" };
        let sql = format!("BEGIN ISOLATION LEVEL {level}; {}; {end}", statements.join("; "));
        let keys: Vec<BTreeSet<String>> = KEYS
            .iter()
            .map(|key| {
                let list = "coalesce(string_agg(DISTINCT k, '\u{1}'), '')";
                let in_table = scene
                    .value(&format!("SELECT {list} FROM (SELECT {} FROM t) AS t (k)", array(key.column)));
                let values = key
                    .values
                    .iter()
                    .map(|value| scene.value(&format!("SELECT ARRAY[{value}]::text[]::text")));
                in_table
                    .split('\u{1}')
                    .filter(|key| !key.is_empty())
                    .map(str::to_owned)
                    .chain(values)
                    .collect()
            })
            .collect();
        let old: Vec<_> =
            KEYS.iter().zip(&keys).map(|(key, keys)| versions(&scene, key.cache, keys)).collect();
        let whole = scene.value("SELECT bustard.get_version('whole')");
        // Rows that move between partitions may meet others with their id.
        if let Err(error) = client.batch_execute(&sql) {
            assert_eq!(error.code(), Some(&postgres::error::SqlState::UNIQUE_VIOLATION), "{sql}: {error:?}");
            client.batch_execute("ROLLBACK").expect("the transaction ends");
        }
        let written = written(&scene);
        assert_eq!(
            scene.value("SELECT bustard.get_version('whole')") != whole,
            !written[0].is_empty(),
            "{sql}"
        );
        for (i, key) in KEYS.iter().enumerate() {
            let new = versions(&scene, key.cache, &keys[i]);
            let buckets: BTreeSet<i32> =
                versions(&scene, key.cache, &written[i]).values().map(|key| key.1).collect();
            for k in &keys[i] {
                let changed = old[i][k].0 != new[k].0;
                let expected = buckets.contains(&new[k].1);
                let may_be_wide = buckets.len() > 64;
                let what = || format!("round {round}: the key {k} of {}, after {sql}", key.cache);
                assert!(changed || !expected, "stale: {}", what());
                assert!(!changed || expected || may_be_wide, "not written: {}", what());
                kept += i32::from(!changed);
                widened += i32::from(changed && !expected);
            }
        }
        if random.below(5) == 0 {
            scene.execute("SELECT bustard.fold()");
        }
    }
    assert!(kept > widened, "{kept} keys kept their versions, and {widened} lost them to wide statements");
}
