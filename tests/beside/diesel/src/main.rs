//! Tests that Bustard and diesel share one SQLite library: Bustard migrates a file,
//! diesel reads it.

use std::error::Error;

use bustard::{App, Migration, Migrator};
use diesel::prelude::*;
use diesel::sql_types::Text;

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = Text)]
    text: String,
    #[diesel(sql_type = Text)]
    version: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("beside.sqlite");
    let create = Migration::new()
        .sql("CREATE TABLE notes (text TEXT NOT NULL); INSERT INTO notes VALUES ('kept');")
        .register_cache("notes");
    let app = App::new("main").migration("V1__create_notes", create);
    Migrator::new().app(app).run(&mut rusqlite::Connection::open(&file)?)?;

    let mut connection = SqliteConnection::establish(&file.display().to_string())?;
    let seen: Seen = diesel::sql_query("SELECT text, sqlite_version() AS version FROM notes")
        .get_result(&mut connection)?;
    assert_eq!((seen.text.as_str(), seen.version.as_str()), ("kept", rusqlite::version()));
    println!("diesel and Bustard share SQLite {}", seen.version);
    Ok(())
}
