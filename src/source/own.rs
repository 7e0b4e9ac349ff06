//! Bustard's own app: the tables, functions and views of the registry.
//!
//! In: the files of `migrations/`, embedded. Out: an `App` with an edition.

use crate::model::{App, BUSTARD};

/// The edition of the texts of Bustard's own repeatable migrations (`migrations/R__*`).
///
/// Releases with different editions may use one database at the same time, as in a
/// rolling deploy. The release with the lower edition does not replace the functions.
pub(super) const EDITION: i32 = 1;

/// Returns Bustard's own app.
pub(crate) fn own() -> App {
    crate::app!(BUSTARD)
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use siphasher::sip::SipHasher13;

    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};
    use crate::history::text_checksum;
    use crate::model::LoadedApp;
    use crate::source::load;
    use crate::sql::Dialect;

    fn loaded(dialect: &'static dyn Dialect) -> LoadedApp {
        let mut loaded = load(&[own()], dialect);
        assert_eq!(loaded.errors, []);
        loaded.apps.remove(0)
    }

    /// Returns a digest of all texts, and their number.
    fn digest() -> (u64, usize) {
        let mut hasher = SipHasher13::new();
        let mut count = 0;
        for dialect in [POSTGRES, SQLITE] {
            for migration in loaded(dialect).repeatables() {
                hasher.write(migration.id.name.as_bytes());
                hasher.write(text_checksum(migration).as_bytes());
                count += 1;
            }
        }
        (hasher.finish(), count)
    }

    #[test]
    fn an_edition_has_one_set_of_texts() {
        const PINNED: (i32, u64) = (1, 0xc963_e26b_354a_c990);
        let (digest, count) = digest();
        assert!(count > 20, "{count} texts of functions and views");
        assert_eq!(
            (EDITION, digest),
            PINNED,
            "the {count} texts in migrations/R__* are not those of edition {}: if a release has that edition, raise \
             EDITION by one, because an older release must leave the new functions alone; then write ({EDITION}, \
             {digest:#x}) here",
            PINNED.0
        );
    }

    /// Which row says what the last fold covered. A view or a function of its own would be
    /// read by the others, and replacing it would wait for their callers.
    const MARK: &str = "b.cell OPERATOR(pg_catalog.=) 0 AND b.xmin OPERATOR(pg_catalog.=) b.folder AND b.horizon \
        OPERATOR(pg_catalog.<=) pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) ORDER BY b.horizon DESC LIMIT 1";

    #[test]
    fn all_readers_of_the_last_fold_have_one_condition() {
        let app = loaded(POSTGRES);
        let on_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let having = |part: &str| -> Vec<String> {
            let all = app
                .repeatables()
                .iter()
                .filter(|migration| on_one_line(migration.text.held().unwrap()).contains(part));
            all.map(|migration| migration.id.name.clone()).collect()
        };
        assert_eq!(having(MARK), ["caches", "fold", "get_version", "unfolded"]);
        assert_eq!(having("b.unfinished"), having(MARK));
    }

    #[test]
    fn both_engines_have_their_tables_in_one_version() {
        for dialect in [POSTGRES, SQLITE] {
            let app = loaded(dialect);
            assert_eq!((app.versioned().len(), app.edition), (1, Some(EDITION)));
            let replaced = |text: &str| match dialect.variant() {
                "postgres" => text.contains("CREATE OR REPLACE ") && !text.contains("DROP "),
                _ => text.contains("DROP "),
            };
            for migration in app.repeatables() {
                // These functions drop triggers and functions when they are called.
                let exempt = matches!(migration.id.name.as_str(), "drop_triggers" | "write_function");
                assert!(replaced(migration.text.held().unwrap()) || exempt, "{}", migration.id);
            }
        }
    }
}
