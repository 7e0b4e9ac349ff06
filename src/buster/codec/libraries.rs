//! Tests identifiers and times of the libraries that most applications use: each comes back
//! equal, also in options, as a key of a map, and where serde buffers values.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::tests::kept;

/// A value beside others that are flattened.
#[derive(Debug, Serialize, Deserialize)]
struct Flat<T> {
    id: u32,
    #[serde(flatten)]
    inner: Inner<T>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Inner<T> {
    at: T,
    until: Option<T>,
}

/// A value in an enum without a tag, behind a variant that never fits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged<T> {
    Other { no: u8 },
    Value(T),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged<T> {
    Value { value: T },
}

/// Asserts that a value comes back wherever it stands.
#[track_caller]
fn kept_anywhere<T: Clone + Debug + Serialize + DeserializeOwned>(value: T) {
    kept(value.clone());
    kept((Some(value.clone()), None::<T>, vec![value.clone()]));
    kept(Flat { id: 1, inner: Inner { at: value.clone(), until: None } });
    kept(Flat { id: 1, inner: Inner { at: value.clone(), until: Some(value.clone()) } });
    kept([Untagged::Other { no: 1 }, Untagged::Value(value.clone())]);
    kept(Tagged::Value { value });
}

#[test]
fn c1_uuids() {
    use uuid::Uuid;

    for uuid in [Uuid::nil(), Uuid::max(), Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)] {
        kept_anywhere(uuid);
        kept(BTreeMap::from([(uuid, uuid)]));
        kept_anywhere(uuid.simple());
        kept_anywhere(uuid.urn());
    }
}

#[test]
fn c1_times_of_chrono() {
    use chrono::{DateTime, FixedOffset, Month, NaiveDate, NaiveTime, Utc, Weekday};

    for (seconds, nanoseconds) in [(0, 0), (1_234_567_890, 123_456_789), (-1, 999_999_999), (1, 1_000)] {
        let time = DateTime::<Utc>::from_timestamp(seconds, nanoseconds).unwrap();
        kept_anywhere(time);
        kept(BTreeMap::from([(time, 1)]));
        for offset in [0, 3600, -12_600, 20_700] {
            kept_anywhere(time.with_timezone(&FixedOffset::east_opt(offset).unwrap()));
        }
        kept_anywhere(time.naive_utc());
        kept_anywhere(time.date_naive());
        kept_anywhere(time.time());
    }
    kept_anywhere(NaiveDate::from_ymd_opt(-1, 2, 28).unwrap());
    kept_anywhere(NaiveDate::from_ymd_opt(12_345, 12, 31).unwrap());
    // A leap second.
    kept_anywhere(NaiveTime::from_hms_nano_opt(23, 59, 59, 1_500_000_000).unwrap());
    kept_anywhere((Weekday::Sun, Month::February));
}

#[test]
fn c1_times_of_time() {
    use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, Weekday};

    for nanoseconds in [0, 1_234_567_890_123_456_789, -1, 999] {
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap();
        kept_anywhere(time);
        kept(BTreeMap::from([(time, 1)]));
        kept_anywhere(time.to_offset(UtcOffset::from_hms(-3, -30, -15).unwrap()));
        kept_anywhere(PrimitiveDateTime::new(time.date(), time.time()));
        kept_anywhere((time.date(), time.time(), time.offset()));
    }
    kept_anywhere((Date::MIN, Date::MAX, Time::MIDNIGHT));
    kept_anywhere([Duration::new(-1, -5), Duration::MAX, Duration::MIN]);
    kept_anywhere((Month::December, Weekday::Monday));
}

/// What a type itself rounds when it is serialized cannot be seen: it encodes to the same bytes
/// again.
#[test]
fn c1_what_a_type_rounds_is_rounded() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Seconds(#[serde(with = "chrono::serde::ts_seconds")] chrono::DateTime<chrono::Utc>);

    let time = |nanoseconds| Seconds(chrono::DateTime::from_timestamp(1_234, nanoseconds).unwrap());
    kept(time(0));
    let bytes = super::encode(&time(5)).unwrap();
    assert_eq!(super::decode::<Seconds>(&bytes).unwrap().0, time(0).0);
}
