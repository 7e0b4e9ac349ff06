//! A web service on Tokio that says what users may do, and remembers it for as
//! long as the cache version under which it was looked up is the current one.
//! From the top of the repository, in one terminal or in several:
//!
//! ```sh
//! export DATABASE_URL=postgres://…
//! cargo run --example permissions --features tokio -- 127.0.0.1:8000
//! curl http://127.0.0.1:8000/users/ann/permissions
//! curl -X PUT http://127.0.0.1:8000/users/ann/permissions/close-threads
//! ```
//!
//! It is on PostgreSQL, where an asynchronous application has an asynchronous
//! driver: the cache is invalidated in its own transactions. (On SQLite it would
//! do its work in `spawn_blocking`, as `examples/forum` does it on threads.)

mod database;
mod migrations;
mod web;

use std::error::Error;
use std::future::Future;

use bustard::{CacheBuster, Database, Engine, Event, Migrator};
use database::Permissions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    if let Err(error) = run(&address).await {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}

async fn run(address: &str) -> Result {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to postgres://…")?;
    let mut stop = Box::pin(stop_signal()?);
    let buster = tokio::select! {
        started = start(&url) => started?,
        // Dropping the run cancels it; what was open is rolled back.
        stopped = &mut stop => return Err(format!("{stopped} before there was anything to serve").into()),
    };
    let permissions = Permissions::new(url, buster)?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { println!("{}: finishing what is under way", stop.await) };
    axum::serve(listener, web::routes(permissions)).with_graceful_shutdown(stop).await?;
    println!("stopped");
    Ok(())
}

/// An up-to-date database, and from here on the versions of its caches are known
/// in this process.
async fn start(url: &str) -> Result<CacheBuster> {
    migrate(url).await?;
    Ok(CacheBuster::builder(url).start_async().await?)
}

/// Brings the database up to date. However many instances start at once, each
/// migration is applied once, and none of them serves before that.
async fn migrate(url: &str) -> Result {
    let migrator = Migrator::new().app(migrations::migrations()).on_event(|event| {
        if matches!(event, Event::Waiting) {
            println!("another instance migrates");
        }
    });
    let database = Database::new(url)?;
    if database.engine() != Engine::Postgres {
        return Err("set DATABASE_URL to postgres://…: the service is on PostgreSQL".into());
    }
    let report = migrator.run_async(database).await?;
    println!("{} migrations applied", report.steps.len());
    Ok(())
}

/// Ctrl-C, or what a supervisor sends.
fn stop_signal() -> Result<impl Future<Output = &'static str>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "terminated",
        }
    })
}
