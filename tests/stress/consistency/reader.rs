//! A process that reads in every available way. It reads as fast as it can without keeping
//! other processes from the processor.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use bustard::CacheVersion;
use postgres::IsolationLevel::RepeatableRead;

use super::record::{Begun, Kind, Post, Record};
use super::site::{Failed, Line, Site, any_item, compute, counter, effort};
use super::worker::{Orders, Settings};
use super::{CACHES, ITEMS_EACH};
use crate::support::Random;

/// The longest pause between two reads of a thread.
const PAUSE: Duration = Duration::from_millis(6);

pub fn work(settings: &Settings, post: &Post, orders: &Orders) {
    let Some(site) = &Site::open(settings, post, orders) else { return };
    let ways = [by_values, by_values, by_handle, strictly, in_transactions];
    thread::scope(|scope| {
        for (number, way) in ways.into_iter().enumerate() {
            let mut random = Random::new(settings.seed.wrapping_add(number as u64));
            scope.spawn(move || {
                let mut reader = Reader { site, post, line: site.line(), kept: HashMap::new() };
                while !orders.ended() {
                    if let Err(failed) = way(&mut reader, &mut random) {
                        failed.report(post);
                    }
                    thread::sleep(random.part_of(PAUSE));
                }
            });
        }
    });
}

struct Reader<'s> {
    site: &'s Site,
    post: &'s Post,
    line: Line,
    /// Values that the reader itself keeps, with the versions that were read before them.
    kept: HashMap<usize, (CacheVersion, i64)>,
}

type Done = Result<(), Failed>;

/// Reads from the store under the snapshot's version, or computes.
fn by_values(reader: &mut Reader<'_>, random: &mut Random) -> Done {
    let (item, pause) = (any_item(random), effort(random));
    let begun = Begun::now();
    let value = reader.site.values(item).get_or_try_insert_with(&item.to_string(), || {
        begun.loads();
        reader.line.with(|client| compute(client, item, pause))
    })?;
    reader.post.read(Kind::Values, item, *value, 0, &begun);
    Ok(())
}

/// Reads a value that the reader itself keeps, as long as a handle reports it as valid.
fn by_handle(reader: &mut Reader<'_>, random: &mut Random) -> Done {
    let item = any_item(random);
    let handle = reader.site.handle(item);
    let begun = Begun::now();
    if let Some((version, value)) = reader.kept.get(&item)
        && handle.is_valid(*version)
    {
        reader.post.read(Kind::Handle, item, *value, 0, &begun);
        return Ok(());
    }
    reader.kept.remove(&item);
    let version = handle.version()?;
    let value = reader.line.with(|client| compute(client, item, effort(random)))?;
    reader.kept.insert(item, (version, value));
    Ok(())
}

/// Reads under the version that the database returns.
fn strictly(reader: &mut Reader<'_>, random: &mut Random) -> Done {
    let item = any_item(random);
    let (handle, values) = (reader.site.handle(item), reader.site.values(item));
    let begun = Begun::now();
    if random.one_in(2) {
        let value = reader.line.with(|client| {
            values.get_or_try_insert_in(client, &item.to_string(), |client| {
                begun.loads();
                compute(client, item, effort(random))
            })
        })?;
        reader.post.read(Kind::Strict, item, *value, 0, &begun);
        return Ok(());
    }
    if let Some((version, value)) = reader.kept.remove(&item)
        && reader.line.with(|client| Ok(handle.is_valid_in(client, version)?))?
    {
        reader.post.read(Kind::Strict, item, value, 0, &begun);
        reader.kept.insert(item, (version, value));
        return Ok(());
    }
    let kept = reader.line.with(|client| {
        let version = handle.version_in(client)?;
        Ok((version, compute(client, item, effort(random))?))
    })?;
    reader.kept.insert(item, kept);
    Ok(())
}

/// Reads in a transaction's snapshot, which may be older than the store's values, and
/// records the contents under a version.
fn in_transactions(reader: &mut Reader<'_>, random: &mut Random) -> Done {
    let (site, post) = (reader.site, reader.post);
    if random.one_in(2) {
        return reader.line.with(|client| {
            let cache = random.below(CACHES.len());
            let items: Vec<i32> = (cache * ITEMS_EACH..(cache + 1) * ITEMS_EACH).map(|i| i as i32).collect();
            let row = client.query_one(
                "SELECT bustard.get_version($1), array_agg(counter ORDER BY id) FROM item WHERE id = ANY ($2)",
                &[&CACHES[cache], &items],
            )?;
            post.send(&Record::State { cache, version: row.get(0), counters: row.get(1) });
            Ok(())
        });
    }
    reader.line.with(|client| {
        let begun = Begun::now();
        let mut transaction = client.build_transaction().isolation_level(RepeatableRead).start()?;
        for _ in 0..=random.below(3) {
            let item = any_item(random);
            let floor = counter(&mut transaction, item)?;
            thread::sleep(effort(random));
            let key = item.to_string();
            let value = site.values(item).get_or_try_insert_in(&mut transaction, &key, |transaction| {
                begun.loads();
                counter(transaction, item)
            })?;
            post.read(Kind::Snapshot, item, *value, floor, &begun);
        }
        Ok(transaction.commit()?)
    })
}
