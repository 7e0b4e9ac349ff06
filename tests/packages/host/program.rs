//! A host's binary with nothing but the command. Its app has a migration in Rust, and
//! its code has settings that a configuration may override.

use std::process::ExitCode;

use bustard::{App, Event, Migration, Migrator, TransactionMode};

fn main() -> ExitCode {
    if std::env::var_os("HOST_LOGS").is_some() {
        env_logger::Builder::new().filter_level(log::LevelFilter::Info).format(own_format).init();
    }
    let migrator = Migrator::new()
        .app(shop())
        .transaction(TransactionMode::All)
        .grant(vec!["web_of_the_code".to_owned()])
        .on_event(|event| {
            if let Event::Finished { index, .. } = event {
                eprintln!("the host saw step {index} end");
            }
        });
    bustard::cli::run(migrator)
}

fn shop() -> App {
    let create = Migration::new().sql("CREATE TABLE price (cents bigint NOT NULL)").register_cache("prices");
    let fill = Migration::new()
        .run("prices", |transaction| {
            transaction.execute("INSERT INTO price VALUES (100), (250)")?;
            assert!(std::env::var_os("HOST_PANICS").is_none(), "no prices today");
            Ok(())
        })
        .down(Migration::new().run("no prices", |transaction| Ok(transaction.execute("DELETE FROM price")?)));
    App::new("shop").migration("V1__create_price", create).migration("V2__prices", fill)
}

fn own_format(to: &mut env_logger::fmt::Formatter, record: &log::Record<'_>) -> std::io::Result<()> {
    std::io::Write::write_all(to, format!("the host's log: {}\n", record.args()).as_bytes())
}
