//! Tests a host that still runs refinery and links Bustard as well: both use one
//! SQLite, and refinery's versions keep the width that the host has chosen.

use std::error::Error;

use bustard::{App, Migration, Migrator};
use refinery::{Runner, SchemaVersion};

fn main() -> Result<(), Box<dyn Error>> {
    // This line does not compile if the build of Bustard has enabled `int8-versions`.
    let version: SchemaVersion = 1_i32;

    let directory = tempfile::tempdir()?;
    let mut connection = rusqlite::Connection::open(directory.path().join("beside.sqlite"))?;
    let old = refinery::Migration::unapplied("V1__create_notes", "CREATE TABLE notes (text TEXT NOT NULL);")?;
    Runner::new(&[old]).run(&mut connection)?;
    assert_eq!(Runner::new(&[]).get_applied_migrations(&mut connection)?[0].version(), version);

    let plugin = Migration::new().sql("CREATE TABLE bans (name TEXT NOT NULL);").register_cache("bans");
    let app = App::new("plugin").migration("V1__create_bans", plugin);
    Migrator::new().app(app).run(&mut connection)?;
    connection.execute_batch("SELECT * FROM notes, bans")?;
    println!("refinery and Bustard share SQLite {}", rusqlite::version());
    Ok(())
}
