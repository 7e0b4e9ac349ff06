//! Handles of keys in Rust: they have the versions that SQL says, whatever the key, and a value
//! is computed again only if its key was written.

use std::cell::Cell;

use bustard::{CacheBuster, CacheKey, ErrorKind, KeyVersion, KeyedCache};
use uuid::Uuid;

use super::{MEMBERSHIP, postgres_with};
use crate::support::{Random, Scene};

const TYPES: &str = "CREATE TABLE item (i bigint, u uuid, s text, n integer);
-- bustard: register cache by_i on item by i
-- bustard: register cache by_u on item by u
-- bustard: register cache by_s on item by s
-- bustard: register cache by_all on item by (s, i, u)
-- bustard: register cache whole on item
";

pub(super) fn buster(scene: &Scene) -> CacheBuster {
    let url = if scene.is_postgres() { scene.url() } else { scene.project.sqlite_url("app.db") };
    CacheBuster::connect(&url).expect("it connects")
}

pub(super) fn keyed<K: CacheKey + ?Sized>(buster: &CacheBuster, name: &str) -> KeyedCache<K> {
    buster.cache(name).expect("it is registered").keyed().expect("it has keys of this type")
}

/// Returns random keys, and keys at the edges.
fn integers(random: &mut Random) -> Vec<i64> {
    let edges = [0, 1, -1, 4092, 4093, 4094, -4092, -4093, -4094, i64::MAX, i64::MIN, i64::MIN + 1];
    let steps = (0..100).map(|i| i * 1024).chain((0..100).map(|i| i << 22));
    let randoms: Vec<i64> = (0..400).map(|_| (random.next() as i64) >> random.below(64)).collect();
    edges.into_iter().chain(steps).chain(randoms).collect()
}

/// Returns random texts of characters of all planes, with the byte that joins texts.
fn texts(random: &mut Random) -> Vec<String> {
    let text = |random: &mut Random| {
        let length = random.below(6);
        let any = |random: &mut Random| match random.below(4) {
            0 => Some('\u{1f}'),
            1 => char::from_u32(1 + random.below(0x7f) as u32),
            _ => char::from_u32(1 + random.below(0x10_ffff) as u32),
        };
        (0..length).filter_map(|_| any(random)).collect::<String>()
    };
    (0..400).map(|_| text(random)).collect()
}

/// Gives each key a new version in SQL, and compares the versions of all keys.
#[track_caller]
fn alike<K: CacheKey + ?Sized>(scene: &Scene, buster: &CacheBuster, cache: &str, keys: &[(&K, Vec<String>)]) {
    let handle = keyed::<K>(buster, cache);
    let mut client = scene.database().client();
    for (_, values) in keys {
        client
            .execute("SELECT bustard.invalidate_key($1, $2::text[])", &[&cache, values])
            .expect("it is a key");
    }
    buster.notify().expect("it polls");
    let mut different = std::collections::BTreeSet::new();
    for (key, values) in keys {
        let row = client
            .query_one("SELECT bustard.get_version($1, $2::text[])", &[&cache, values])
            .expect("it is a key");
        let expected: i64 = row.get(0);
        assert_eq!(
            handle.version(key).map(KeyVersion::get).expect("it is known"),
            expected,
            "{cache} {values:?}"
        );
        different.insert(expected);
    }
    // Other buckets have other versions, so a key in another bucket would be seen.
    assert!(different.len() > keys.len() / 2, "{cache}: {} of {}", different.len(), keys.len());
    println!("{cache}: {} keys, {} versions", keys.len(), different.len());
}

#[test]
fn a_key_has_the_version_that_sql_says() {
    let scene = postgres_with(TYPES);
    let (buster, random) = (buster(&scene), &mut Random::seeded());
    let integers: std::collections::BTreeSet<i64> = integers(random).into_iter().collect();
    let keys: Vec<_> = integers.iter().map(|key| (key, vec![key.to_string()])).collect();
    alike(&scene, &buster, "by_i", &keys);

    let texts: std::collections::BTreeSet<String> = texts(random).into_iter().collect();
    let keys: Vec<_> = texts.iter().map(|key| (key.as_str(), vec![key.clone()])).collect();
    alike::<str>(&scene, &buster, "by_s", &keys);

    let uuids: Vec<Uuid> = (0..300).map(|_| Uuid::from_u64_pair(random.next(), random.next())).collect();
    let odd = |uuid: &Uuid, i| match i % 3 {
        0 => uuid.to_string(),
        1 => uuid.simple().to_string().to_uppercase(),
        _ => uuid.braced().to_string(),
    };
    let keys: Vec<_> = uuids.iter().enumerate().map(|(i, key)| (key, vec![odd(key, i)])).collect();
    alike(&scene, &buster, "by_u", &keys);

    let composite: Vec<Vec<String>> = texts
        .iter()
        .zip(integers.iter().cycle())
        .zip(uuids.iter().cycle())
        .enumerate()
        .map(|(i, ((text, integer), uuid))| vec![text.clone(), format!(" {integer} "), odd(uuid, i)])
        .collect();
    let keys: Vec<_> = composite.iter().map(|key| (key.as_slice(), key.clone())).collect();
    alike::<[String]>(&scene, &buster, "by_all", &keys);
}

#[test]
fn a_type_that_does_not_fit() {
    let scene = postgres_with(TYPES);
    let buster = buster(&scene);
    let kind = |result: bustard::Result<()>| result.expect_err("it does not fit").kind();
    let as_int = |name| buster.cache(name).unwrap().keyed::<i64>().map(drop);
    let as_text = |name| buster.cache(name).unwrap().keyed::<str>().map(drop);
    let as_uuid = |name| buster.cache(name).unwrap().keyed::<Uuid>().map(drop);
    for name in ["by_u", "by_s", "by_all"] {
        assert_eq!(kind(as_int(name)), ErrorKind::Usage, "{name}");
    }
    for name in ["by_u", "by_i", "by_all"] {
        assert_eq!(kind(as_text(name)), ErrorKind::Usage, "{name}");
    }
    for name in ["by_i", "by_s", "by_all"] {
        assert_eq!(kind(as_uuid(name)), ErrorKind::Usage, "{name}");
    }
    for result in [as_int("whole"), as_text("whole"), as_uuid("whole")] {
        let error = result.expect_err("it has no keys");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Cache, "the cache whole has no keys"));
    }
    let composite = keyed::<[String]>(&buster, "by_all");
    for values in [&["a"][..], &["a", "x", "y"], &["a", "1", "2", "3"]] {
        let key: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(composite.version(&key).expect_err("it is no key").kind(), ErrorKind::Usage, "{values:?}");
        let error = composite.version_in(&mut scene.database().client(), &key).expect_err("it is no key");
        assert_eq!(error.sqlstate(), Some("22P02"), "{values:?}");
    }
    // The cache gets keys of another type while a handle lives.
    let by_i = keyed::<i64>(&buster, "by_i");
    assert!(by_i.version(&1).is_ok());
    scene.execute(
        "SELECT bustard.unregister_cache('by_i'), bustard.register_cache_on('by_i', NULL, 'item by s')",
    );
    buster.notify().unwrap();
    assert_eq!(by_i.version(&1).expect_err("it has other keys").kind(), ErrorKind::Stale);
    assert!(keyed::<str>(&buster, "by_i").version("1").is_ok());
}

/// On both engines. SQLite does not tell keys apart.
#[test]
fn a_value_is_computed_again_if_its_key_is_written() {
    for scene in crate::triggers::both_with(&MEMBERSHIP.replace("serial PRIMARY KEY", "integer")) {
        let buster = buster(&scene);
        let permissions = keyed::<i64>(&buster, "permissions");
        let granted = permissions.values::<i64>("granted", 1).unwrap().shared();
        let computed = Cell::new(0);
        let get = |key: i64| {
            let load = || {
                computed.set(computed.get() + 1);
                key
            };
            assert_eq!(*granted.get_or_insert_with(&key, load), key);
            computed.replace(0)
        };
        let after = |sql: &str| {
            scene.execute(sql);
            buster.notify().unwrap();
            (get(1), get(2))
        };
        let apart = u8::from(!scene.is_postgres());
        let before = permissions.version(&1).unwrap();
        assert_eq!((get(1), get(2), get(1)), (1, 1, 0));
        assert_eq!(after("INSERT INTO membership (user_id) VALUES (1)"), (1, apart));
        assert!(!permissions.is_valid(&1, before));
        assert_eq!(after("UPDATE membership SET user_id = 2"), (1, 1));
        assert_eq!(after("DELETE FROM membership WHERE user_id = 2"), (apart, 1));
        assert_eq!(after("INSERT INTO role VALUES ('admin')"), (1, 1));
        assert_eq!(after("SELECT 1"), (0, 0));
        // The value of another handle is in the store, under the version of its key.
        let other = permissions.values::<i64>("granted", 1).unwrap().shared();
        assert_eq!(*other.get_or_insert_with(&1, || unreachable!("it is shared")), 1);
        // Values of the whole cache with the same name and key are other values.
        let whole =
            buster.cache("permissions").unwrap().values_by::<i64, i64>("granted", 1).unwrap().shared();
        assert_eq!(*whole.get_or_insert_with(&1, || -1), -1);

        // The stamp of one key files no value of another.
        let stamp = granted.stamp_of(&1).unwrap();
        granted.remove(&1);
        granted.remove(&2);
        granted.insert(&stamp, &1, 10);
        granted.insert(&stamp, &2, 20);
        assert_eq!(granted.peek(&1).as_deref(), Some(&10));
        assert_eq!(granted.peek(&2).as_deref(), if scene.is_postgres() { None } else { Some(&20) });
        let many =
            granted.get_many(&[&1, &2, &3], |missing| Ok::<_, ()>(missing.iter().map(|key| **key).collect()));
        let many: Vec<i64> = many.unwrap().iter().map(|value| **value).collect();
        assert_eq!(many, if scene.is_postgres() { [10, 2, 3] } else { [10, 20, 3] });
        assert_eq!((get_is_kept(&granted, 3), get_is_kept(&granted, 4)), (true, false));
    }
}

fn get_is_kept(values: &bustard::Values<i64, i64>, key: i64) -> bool {
    values.peek(&key).is_some()
}

/// In a transaction: it reads the version of its snapshot, and after an event of its own on any
/// source of the cache, of any key, nothing is found or filed.
#[test]
fn in_a_transaction() {
    let scene = postgres_with(MEMBERSHIP);
    let buster = buster(&scene);
    let permissions = keyed::<i64>(&buster, "permissions");
    let granted = permissions.values::<i64>("granted", 1).unwrap();
    let (mut client, mut writer) = (scene.database().client(), scene.database().client());
    let one = |executor: &mut postgres::Transaction<'_>, value| {
        let got = granted.get_or_try_insert_in(executor, &1, |_| Ok::<_, bustard::Error>(value));
        *got.expect("it is loaded")
    };

    let mut old =
        client.build_transaction().isolation_level(postgres::IsolationLevel::RepeatableRead).start().unwrap();
    let before = permissions.version_in(&mut old, &1).unwrap();
    assert_eq!(one(&mut old, 10), 10);
    writer.batch_execute("INSERT INTO membership (user_id) VALUES (1)").unwrap();
    buster.notify().unwrap();
    assert!(permissions.is_valid_in(&mut old, &1, before).unwrap() && !permissions.is_valid(&1, before));
    assert_eq!(
        (one(&mut old, 10), one(&mut old, 99)),
        (10, 10),
        "the snapshot of the transaction is the same"
    );
    assert_eq!(granted.peek(&1), None);
    assert_eq!(*granted.get_or_insert_with(&1, || 11), 11);
    assert_eq!(one(&mut old, 10), 10);
    assert_eq!(granted.peek(&1).as_deref(), Some(&11), "an old transaction does not replace a current value");
    old.commit().unwrap();

    let events = [
        ("INSERT INTO membership (user_id) VALUES (1)", true),
        ("INSERT INTO membership (user_id) VALUES (2)", true),
        ("INSERT INTO role VALUES ('a')", true),
        ("SELECT bustard.invalidate('permissions')", true),
        ("SELECT bustard.invalidate_key('permissions', 3)", true),
        ("SELECT bustard.invalidate_all()", true),
        ("SELECT 1", false),
    ];
    for (at, (sql, bypasses)) in events.into_iter().enumerate() {
        let mut open = writer.transaction().unwrap();
        open.batch_execute(sql).unwrap();
        let value = 100 + at as i64;
        assert_eq!(one(&mut open, value), if bypasses { value } else { 11 }, "{sql}");
        assert_eq!(one(&mut open, -1), if bypasses { -1 } else { 11 }, "{sql}: nothing is filed");
        open.rollback().unwrap();
    }

    // An invalidation of the handle's own.
    let (one, two) = (permissions.version(&1).unwrap(), permissions.version(&2).unwrap());
    permissions.invalidate(&mut writer, &1).unwrap();
    assert!(!permissions.is_valid(&1, one) && permissions.is_valid(&2, two));
    let mut open = writer.transaction().unwrap();
    permissions.invalidate(&mut open, &2).unwrap();
    assert!(permissions.is_valid(&2, two));
    buster.commit(open).unwrap();
    assert!(!permissions.is_valid(&2, two));
}

#[test]
fn on_tokio() {
    let scene = postgres_with(MEMBERSHIP);
    let url = scene.url();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let buster = CacheBuster::builder(&url).start_async().await.unwrap();
        let permissions =
            buster.cache_async("permissions").await.unwrap().keyed_async::<i64>().await.unwrap();
        let granted = permissions.values::<i64>("granted", 1).unwrap();
        let load = async |value: i64| *granted.get_or_insert_with_async(&1, || async move { value }).await;
        assert_eq!((load(1).await, load(2).await), (1, 1));
        let before = permissions.version_in_async(&client, &1).await.unwrap();
        assert!(permissions.is_valid(&1, before));
        permissions.invalidate_async(&client, &1).await.unwrap();
        assert!(!permissions.is_valid(&1, before));
        assert!(!permissions.is_valid_in_async(&client, &1, before).await.unwrap());
        assert_eq!(load(3).await, 3);
        let got =
            granted.get_or_try_insert_in_async(&client, &1, || async { Ok::<_, bustard::Error>(9) }).await;
        assert_eq!(*got.unwrap(), 3);
        let error = buster.cache_async("members").await.unwrap().keyed_async::<i64>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cache);
    });
}
