//! Tests that Bustard and sqlx share one SQLite library: Bustard migrates a file,
//! sqlx reads it.

use std::error::Error;

use bustard::{App, Migration, Migrator};
use sqlx::{Connection, SqliteConnection};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("beside.sqlite");
    let create = Migration::new()
        .sql("CREATE TABLE notes (text TEXT NOT NULL); INSERT INTO notes VALUES ('kept');")
        .register_cache("notes");
    let app = App::new("main").migration("V1__create_notes", create);
    Migrator::new().app(app).run(&mut rusqlite::Connection::open(&file)?)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (text, version): (String, String) = runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await?;
        sqlx::query_as("SELECT text, sqlite_version() FROM notes").fetch_one(&mut connection).await
    })?;
    assert_eq!((text.as_str(), version.as_str()), ("kept", rusqlite::version()));
    println!("sqlx and Bustard share SQLite {version}");
    Ok(())
}
