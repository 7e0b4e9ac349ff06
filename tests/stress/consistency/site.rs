//! The part that readers and writers share: a `CacheBuster` with handles and values
//! of all caches, connections that are replaced when they are lost, and the list of
//! expected errors.

use std::fmt;
use std::thread;
use std::time::Duration;

use bustard::{Cache, CacheBuster, ErrorKind, LoadError, Stores, Values};
use postgres::{Client, GenericClient, NoTls};

use super::record::{Post, Record};
use super::worker::{Orders, Settings};
use super::{CACHES, ITEMS, ITEMS_EACH, MAX_STALENESS, POLL_INTERVAL};
use crate::support::Random;

/// The reason why an operation failed.
#[derive(Debug)]
pub enum Failed {
    /// The database is down, or a concurrent transaction came first.
    Expected,
    /// This must not happen.
    Wrong(String),
}

impl Failed {
    fn because(sqlstate: Option<&str>, shown: String) -> Failed {
        // The server starts or stops, the connection breaks, or a lock is not
        // available.
        match sqlstate {
            None => Failed::Expected,
            Some(code) if code.starts_with("57") || code.starts_with("08") || code == "55P03" => {
                Failed::Expected
            }
            Some(code) => Failed::Wrong(format!("{code}: {shown}")),
        }
    }
}

impl From<postgres::Error> for Failed {
    fn from(error: postgres::Error) -> Failed {
        Failed::because(error.code().map(|state| state.code()), error.to_string())
    }
}

impl From<bustard::Error> for Failed {
    fn from(error: bustard::Error) -> Failed {
        match (error.kind(), error.sqlstate()) {
            (ErrorKind::Connection | ErrorKind::Stale, _) => Failed::Expected,
            (_, None) => Failed::Wrong(error.to_string()),
            (_, sqlstate) => Failed::because(sqlstate, error.to_string()),
        }
    }
}

impl From<LoadError<Failed>> for Failed {
    fn from(error: LoadError<Failed>) -> Failed {
        match error.failure() {
            Some(Failed::Expected) => Failed::Expected,
            Some(Failed::Wrong(shown)) => Failed::Wrong(shown.clone()),
            None => Failed::Wrong(error.to_string()),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The resources of a process.
pub struct Site {
    pub buster: CacheBuster,
    pub handles: Vec<Cache>,
    pub values: Vec<Values<i64>>,
    asked: String,
}

impl Site {
    /// Retries until it succeeds, because the database may be down. Returns `None` if the
    /// process must end first.
    pub fn open(settings: &Settings, post: &Post, orders: &Orders) -> Option<Site> {
        while !orders.ended() {
            match Site::try_open(settings) {
                Ok(site) => {
                    post.send(&Record::Ready {});
                    return Some(site);
                }
                Err(failed) => failed.report(post),
            }
            thread::sleep(Duration::from_millis(50));
        }
        None
    }

    fn try_open(settings: &Settings) -> Result<Site, Failed> {
        let buster = CacheBuster::builder(&settings.observed)
            .max_staleness(MAX_STALENESS)
            .poll_interval(POLL_INTERVAL)
            .stores(&Stores::new().with("default", settings.store()))
            .start()?;
        let handles = CACHES.iter().map(|name| buster.cache(name)).collect::<Result<Vec<_>, _>>()?;
        let values = handles.iter().map(|handle| handle.values("checker", 1).unwrap().shared()).collect();
        Ok(Site { buster, handles, values, asked: settings.asked.clone() })
    }

    /// Returns a connection for this caller alone.
    pub fn line(&self) -> Line {
        Line { url: self.asked.clone(), client: None }
    }

    pub fn handle(&self, item: usize) -> &Cache {
        &self.handles[item / ITEMS_EACH]
    }

    pub fn values(&self, item: usize) -> &Values<i64> {
        &self.values[item / ITEMS_EACH]
    }
}

impl Failed {
    pub fn report(self, post: &Post) {
        match self {
            Failed::Expected => post.send(&Record::Failed {}),
            Failed::Wrong(what) => post.wrong(&what),
        }
    }
}

/// A connection to the database, which is replaced when it is lost.
pub struct Line {
    url: String,
    client: Option<Client>,
}

impl Line {
    /// Runs `work` on the connection. A failure drops the connection.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut Client) -> Result<T, Failed>) -> Result<T, Failed> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => {
                let mut client = Client::connect(&self.url, NoTls)?;
                client.batch_execute("SET lock_timeout = '500ms'")?;
                client
            }
        };
        let done = act(&mut client)?;
        self.client = Some(client);
        Ok(done)
    }
}

/// Reads the counter of an item, now or in the transaction.
pub fn counter(client: &mut impl GenericClient, item: usize) -> Result<i64, Failed> {
    let item = i32::try_from(item).expect("there are few items");
    Ok(client.query_one("SELECT counter FROM item WHERE id = $1", &[&item])?.get(0))
}

/// Reads the counter of an item as a computation that takes additional time.
pub fn compute(client: &mut impl GenericClient, item: usize, pause: Duration) -> Result<i64, Failed> {
    let counter = counter(client, item)?;
    thread::sleep(pause);
    Ok(counter)
}

/// Returns the additional time of a computation.
pub fn effort(random: &mut Random) -> Duration {
    match random.one_in(4) {
        true => random.part_of(Duration::from_millis(20)),
        false => Duration::ZERO,
    }
}

pub fn any_item(random: &mut Random) -> usize {
    random.below(ITEMS)
}
