//! Faults of the library. The tests of a checker use them to prove that the checker finds
//! faults. One build contains all faults, each switched off.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::seeded::{Replacement, SeededBuild};

/// The variable that names the fault to switch on in a process.
const VARIABLE: &str = "BUSTARD_FAULT";

const FAULTS: &[Replacement<'_>] = &[
    Replacement { name: "no-lock", find: "held.as_deref() != Some(\"t\")", instead: "ORIGINAL && !SEEDED" },
    Replacement {
        name: "no-lock",
        find: "let sql = \"BEGIN IMMEDIATE\";",
        instead: "let sql = if SEEDED { \"BEGIN\" } else { \"BEGIN IMMEDIATE\" };",
    },
    Replacement {
        name: "history-second-transaction",
        find: "transaction.end_migration(self.open.steps.len() + 1 >= self.open.migrations)\n    }",
        instead: "transaction.end_migration(self.open.steps.len() + 1 >= self.open.migrations)?;
        if SEEDED {
            transaction.execute(Statement::generated(\"COMMIT; BEGIN\", None))?;
        }
        Ok(())
    }",
    },
    Replacement {
        name: "history-second-transaction",
        find: "pub(crate) fn run(connection: &rusqlite::Connection, sql: &str) -> Result<(), rusqlite::Error> {",
        instead: "ORIGINAL
    if SEEDED && sql == \"COMMIT; BEGIN\" {
        return connection.execute_batch(sql);
    }",
    },
    Replacement {
        name: "no-reinstallation",
        find: "registry::in_transaction::install_triggers(transaction)?;",
        instead: "if !SEEDED { ORIGINAL }",
    },
    Replacement {
        name: "no-invalidation-on-revert",
        find: "registry::in_transaction::invalidate_all(transaction)?;",
        instead:
            "let reverts = self.open.steps.iter().any(|step| format!(\"{:?}\", step.direction) == \"Down\");
            if !(reverts && SEEDED) { ORIGINAL }",
    },
    Replacement {
        name: "version-after-data",
        find: "let Ok(stamp) = self.stamp(key) else {",
        instead: "if SEEDED {
            if let Ok(stamp) = self.stamp(key) {
                if let Found::Fresh(value) = self.find(key, &stamp) {
                    return Ok(value);
                }
                if let Some(value) = self.find_behind(mode, key, &stamp).await {
                    return Ok(value);
                }
            }
            let value = Arc::new(load().await.map_err(LoadError::failed)?);
            if let Ok(stamp) = self.stamp(key) {
                self.file(mode, key, &stamp, &value).await;
            }
            return Ok(value);
        }
        ORIGINAL",
    },
    Replacement {
        name: "no-read-after-reconnect",
        find: "if let Some(seen) = look.caches {",
        instead: "let missed = self.failures > 0 && SEEDED;
            if let Some(seen) = look.caches.filter(|_| !missed) {",
    },
    Replacement {
        name: "no-expiry",
        find: "self.shared.expire(since, &self.reason);",
        instead: "if !SEEDED { ORIGINAL }",
    },
    Replacement {
        name: "store-ignores-version",
        find: "        key: &'a [u8],\n    ) -> Self {",
        instead: "ORIGINAL
            let identities = if SEEDED { &[Identity { n: 0, nonce: 0 }][..] } else { identities };",
    },
    Replacement {
        name: "first-level-ignores-version",
        find: "number != UNKNOWN && slot.number.load(Ordering::Acquire) == number",
        instead: "SEEDED || (ORIGINAL)",
    },
];

/// Returns the build with the faults.
fn build() -> &'static SeededBuild {
    static BUILD: OnceLock<SeededBuild> = OnceLock::new();
    BUILD.get_or_init(|| SeededBuild::new("faults", FAULTS))
}

fn known(fault: &str) -> &str {
    assert!(FAULTS.iter().any(|known| known.name == fault), "there is no fault {fault}");
    fault
}

/// Returns the command `bustard` of the build with the faults, and the variable that
/// switches this fault on.
pub fn faulty_bustard(fault: &str) -> (PathBuf, (&'static str, &str)) {
    (build().bustard(), (VARIABLE, known(fault)))
}

/// Returns this test program in the build with the faults, with this fault switched on.
pub fn faulty_test(fault: &str) -> Command {
    let mut command = Command::new(build().this_test());
    command.env(VARIABLE, known(fault));
    command
}
