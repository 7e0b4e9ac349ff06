//! Tests the names of values: two kinds of values of one cache never share keys.

use bustard::ErrorKind;

use crate::races::place::{Shared, on_sqlite, reader};

#[test]
fn c4_values_of_two_names_share_no_key() {
    let place = on_sqlite();
    let (_buster, cache, _) = reader(&place, &Shared::default());
    let names = ["app", "app:1", "app 1", "App", "ä", "#app"];
    let all: Vec<_> = names.iter().map(|name| cache.values::<u64>(name, 77).unwrap()).collect();
    for (at, values) in all.iter().enumerate() {
        assert_eq!(*values.get_or_insert_with("k", || at as u64), at as u64);
    }
    for (at, values) in all.iter().enumerate() {
        assert_eq!(*values.get_or_insert_with("k", || unreachable!("it is kept")), at as u64);
    }
}

#[test]
fn c4_a_name_has_one_type() {
    let place = on_sqlite();
    let (buster, cache, _) = reader(&place, &Shared::default());
    cache.values::<u64>("app", 77).unwrap();
    // The same type again is the same values, also by another handle and with another format.
    buster.cache("numbers").unwrap().values::<u64>("app", 77).unwrap();
    cache.values::<u64>("app", 78).unwrap();
    for format in [77, 79] {
        let error = cache.values::<String>("app", format).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let shown = error.report().to_string();
        for part in ["app", "numbers", "u64", "alloc::string::String", "name of their own"] {
            assert!(shown.contains(part), "{part} is missing: {shown}");
        }
    }
    cache.values::<String>("other", 77).unwrap();
}

#[test]
fn c4_an_empty_name_is_an_error() {
    let place = on_sqlite();
    let (_buster, cache, _) = reader(&place, &Shared::default());
    let error = cache.values::<u64>("", 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.report().to_string().contains("need a name"), "{error}");
}
