//! A process that changes items and invalidates their caches in the same transaction,
//! in every available way, and folds.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bustard::registry;
use postgres::Transaction;

use super::record::{Begun, Kind, Post, Record, now};
use super::site::{Failed, Line, Site, any_item, compute, counter, effort};
use super::worker::{Orders, Settings};
use super::{CACHES, ITEMS_EACH};
use crate::support::Random;

const THREADS: usize = 3;
/// The longest pause between two transactions of a thread. It is long enough for entries to
/// be read.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest time that a transaction may stay open.
const HOLDING: Duration = Duration::from_millis(300);

/// Writes and folds repeatedly, except during pauses.
pub fn work(settings: &Settings, post: &Post, orders: &Orders) {
    let Some(site) = &Site::open(settings, post, orders) else { return };
    thread::scope(|scope| {
        for number in 0..THREADS {
            let mut random = Random::new(settings.seed.wrapping_add(number as u64));
            scope.spawn(move || {
                let mut line = site.line();
                while !orders.ended() {
                    if !orders.lull.load(Ordering::SeqCst)
                        && let Err(failed) = transaction(site, post, &mut line, &mut random)
                    {
                        failed.report(post);
                    }
                    thread::sleep(random.part_of(PAUSE));
                }
            });
        }
    });
}

/// How a transaction invalidates, and how it commits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through the library, with a notification after the commit.
    Library,
    /// Through SQL as another program does, without a notification.
    Sql,
}

fn transaction(site: &Site, post: &Post, line: &mut Line, random: &mut Random) -> Result<(), Failed> {
    if random.one_in(15) {
        return line.with(|client| {
            let events = client.query_one("SELECT bustard.fold()", &[])?.get(0);
            post.send(&Record::Folded { events });
            Ok(())
        });
    }
    let way = if random.one_in(2) { Way::Library } else { Way::Sql };
    let written = line.with(|client| {
        let mut transaction = client.transaction()?;
        if random.one_in(6) {
            take_back(site, &mut transaction, way, random)?;
        }
        let mut items: Vec<usize> = (0..=random.below(3)).map(|_| any_item(random)).collect();
        // Items are changed in the same order by all writers, because otherwise they would
        // deadlock.
        items.sort_unstable();
        items.dedup();
        let all = random.one_in(12);
        let first = random.one_in(2);
        if first {
            invalidate(site, &mut transaction, way, &items, all)?;
            // The invalidation may come before or after the change of the data. A value
            // that is read between the two must not be stored under a version that becomes
            // current.
            for item in &items {
                by_values(site, &mut transaction, *item)?;
            }
        }
        let written: Vec<(usize, i64)> = items
            .iter()
            .map(|item| Ok((*item, raise(&mut transaction, *item)?)))
            .collect::<Result<_, Failed>>()?;
        if !first {
            invalidate(site, &mut transaction, way, &items, all)?;
        }
        if random.one_in(3) {
            bypasses(site, post, &mut transaction, &written)?;
        }
        if random.one_in(8) {
            thread::sleep(random.part_of(HOLDING));
        }
        if random.one_in(8) {
            transaction.rollback()?;
            post.send(&Record::Aborted {});
            return Ok(Vec::new());
        }
        for (item, counter) in &written {
            post.send(&Record::Attempted { item: *item, counter: *counter });
        }
        let committed = match way {
            Way::Library => site.buster.commit(transaction).map_err(Failed::from),
            Way::Sql => transaction.commit().map_err(Failed::from),
        };
        if let Err(failed) = committed {
            post.send(&Record::Lost {});
            return Err(failed);
        }
        let at = now();
        for (item, counter) in &written {
            post.send(&Record::Acknowledged { item: *item, counter: *counter, at });
        }
        post.send(&Record::Committed {});
        Ok(written)
    })?;
    if way == Way::Library {
        for (item, counter) in written {
            sees_itself(site, post, line, item, counter, effort(random))?;
        }
    }
    Ok(())
}

/// Changes an item, and rolls the change back to a savepoint.
fn take_back(
    site: &Site,
    transaction: &mut Transaction<'_>,
    way: Way,
    random: &mut Random,
) -> Result<(), Failed> {
    let item = any_item(random);
    transaction.batch_execute("SAVEPOINT before")?;
    raise(transaction, item)?;
    invalidate(site, transaction, way, &[item], false)?;
    Ok(transaction.batch_execute("ROLLBACK TO SAVEPOINT before")?)
}

fn raise(transaction: &mut Transaction<'_>, item: usize) -> Result<i64, Failed> {
    let raise = "UPDATE item SET counter = counter + 1 WHERE id = $1 RETURNING counter";
    Ok(transaction.query_one(raise, &[&(item as i32)])?.get(0))
}

fn invalidate(
    site: &Site,
    transaction: &mut Transaction<'_>,
    way: Way,
    items: &[usize],
    all: bool,
) -> Result<(), Failed> {
    let mut names: Vec<&str> = items.iter().map(|item| CACHES[item / ITEMS_EACH]).collect();
    names.dedup();
    match (way, all) {
        (Way::Library, false) => Ok(site.buster.invalidate(transaction, &names)?),
        (Way::Library, true) => Ok(registry::invalidate_all(transaction)?),
        (Way::Sql, false) => {
            transaction.execute("SELECT bustard.invalidate(VARIADIC $1)", &[&names])?;
            Ok(())
        }
        (Way::Sql, true) => Ok(transaction.batch_execute("SELECT bustard.invalidate_all()")?),
    }
}

/// Asserts that a value that is read in a transaction after an invalidation does not leave
/// the transaction.
fn bypasses(
    site: &Site,
    post: &Post,
    transaction: &mut Transaction<'_>,
    written: &[(usize, i64)],
) -> Result<(), Failed> {
    for (item, expected) in written {
        let value = by_values(site, transaction, *item)?;
        if value != *expected {
            post.wrong(&format!("after writing {expected} to item {item} its transaction reads {value}"));
        }
    }
    Ok(())
}

/// Reads within the transaction, from the store or not. The value must not get into a
/// store that others read.
fn by_values(site: &Site, transaction: &mut Transaction<'_>, item: usize) -> Result<i64, Failed> {
    let load = |transaction: &mut Transaction<'_>| counter(transaction, item);
    site.values(item).get_or_try_insert_in(transaction, &item.to_string(), load).map(|value| *value)
}

/// Asserts that a commit with `commit` is visible in this process when `commit` returns.
fn sees_itself(
    site: &Site,
    post: &Post,
    line: &mut Line,
    item: usize,
    counter: i64,
    pause: Duration,
) -> Result<(), Failed> {
    let begun = Begun::now();
    let value = site.values(item).get_or_try_insert_with(&item.to_string(), || {
        begun.loads();
        line.with(|client| compute(client, item, pause))
    })?;
    post.read(Kind::Own, item, *value, counter, &begun);
    Ok(())
}
