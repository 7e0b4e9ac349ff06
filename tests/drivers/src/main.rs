//! Tests other drivers: each begins a transaction, invalidates a cache in it, and
//! rolls back or commits. Bustard, on a connection of its own, sees the result.

mod diesel;
mod sea_orm;
mod sqlx;

use bustard::{App, CacheVersion, Database, Migration, Migrator, registry};

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The result of a driver's transaction.
struct Seen {
    /// The version that the driver read before the invalidation.
    before: i64,
    /// The version that the driver read after the invalidation.
    after: i64,
    /// The server's message about the invalidation of an unregistered cache.
    unknown: String,
}

fn main() -> Result {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL must name a database for this test")?;
    let mut database = Database::new(&url)?;
    let create = Migration::new()
        .sql("CREATE TABLE ban (pattern text PRIMARY KEY)")
        .register_cache("bans")
        .register_cache("users");
    Migrator::new().app(App::new("main").migration("V1__bans", create)).run(&mut database)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    check("sqlx", &mut database, |commit| runtime.block_on(sqlx::ban(&url, commit)))?;
    check("sea-orm", &mut database, |commit| runtime.block_on(sea_orm::ban(&url, commit)))?;
    check("diesel", &mut database, |commit| diesel::ban(&url, commit))?;
    Ok(())
}

fn check(driver: &str, database: &mut Database, ban: impl Fn(bool) -> Result<Seen>) -> Result {
    for commit in [false, true] {
        let bans = registry::get_version(database, "bans")?;
        let users = registry::get_version(database, "users")?;
        let seen = ban(commit).map_err(|error| format!("{driver}: {error}"))?;
        assert_eq!(CacheVersion::new(seen.before), Some(bans), "{driver} reads another version");
        assert_ne!(seen.after, seen.before, "{driver} does not see its own invalidation");
        assert!(
            seen.unknown.contains("bnas"),
            "{driver} receives the error about an unknown cache: {}",
            seen.unknown
        );
        let now = registry::get_version(database, "bans")?;
        assert_eq!(now == bans, !commit, "{driver}, commit: {commit}");
        assert_eq!(CacheVersion::new(seen.after) == Some(now), commit, "{driver}, commit: {commit}");
        assert!(registry::is_valid(database, "users", users)?, "{driver} invalidates another cache");
    }
    println!("{driver}: a commit invalidates, a rollback does not");
    Ok(())
}
