//! A web service on Tokio that returns the permissions of users. It caches them under a
//! version of a tracked cache, and uses them as long as that version is current. Run it
//! from the root of the repository, in one or several terminals:
//!
//! ```sh
//! export DATABASE_URL=postgres://…
//! cargo run --example permissions --features tokio -- 127.0.0.1:8000
//! curl http://127.0.0.1:8000/users/ann/permissions
//! curl -X PUT http://127.0.0.1:8000/users/ann/permissions/close-threads
//! ```
//!
//! The service requires PostgreSQL, because it invalidates the cache in transactions of an
//! asynchronous driver. With SQLite, an asynchronous application would use
//! `spawn_blocking`; see `examples/forum` for an application on threads.
//!
//! In: the environment variable `DATABASE_URL` and an address. Out: an HTTP server.

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
        // Dropping the run cancels it, and its open transaction is rolled back.
        stopped = &mut stop => return Err(format!("{stopped} before there was anything to serve").into()),
    };
    let permissions = Permissions::new(url, buster)?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { println!("{}: finishing requests in progress", stop.await) };
    axum::serve(listener, web::routes(permissions)).with_graceful_shutdown(stop).await?;
    println!("stopped");
    Ok(())
}

/// Migrates the database and starts a `CacheBuster`.
async fn start(url: &str) -> Result<CacheBuster> {
    migrate(url).await?;
    Ok(CacheBuster::builder(url).start_async().await?)
}

/// Applies pending migrations. If several instances start at once, each migration is
/// applied once, and no instance serves requests before all migrations are applied.
async fn migrate(url: &str) -> Result {
    let migrator = Migrator::new().app(migrations::migrations()).on_event(|event| {
        if matches!(event, Event::Waiting) {
            println!("another instance is migrating");
        }
    });
    let database = Database::new(url)?;
    if database.engine() != Engine::Postgres {
        return Err("set DATABASE_URL to postgres://…: the service requires PostgreSQL".into());
    }
    let report = migrator.run_async(database).await?;
    // The first run also creates the tables of the app `bustard`.
    let applied = report.steps.iter().filter(|step| step.app != "bustard").count();
    println!("{applied} migrations applied");
    Ok(())
}

/// Waits for Ctrl-C, or the signal of a supervisor.
fn stop_signal() -> Result<impl Future<Output = &'static str>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "terminated",
        }
    })
}
