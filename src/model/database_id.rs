//! The database that cached values are from.
//!
//! In: the recorded identity of a database, and where the database is. Out: bytes that two
//! databases do not share, even if one is a copy of the other.

/// The identity of a database, and where it is now. A copy has the identity of the original
/// until a run notices it, but it is somewhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct DatabaseId {
    /// The recorded identity, which is random; 0 if there is none.
    identity: u128,
    /// The system identifier of the cluster; `None` if it is unknown, or the engine has none.
    system: Option<i64>,
    /// The OID of the database; `None` if the engine has none.
    oid: Option<u32>,
}

impl DatabaseId {
    /// Parses the columns identity, system identifier and OID. Columns that are absent count
    /// as NULL. Returns `None` for texts that Bustard has not written.
    pub(crate) fn read(columns: &[Option<String>]) -> Option<DatabaseId> {
        let column = |i: usize| columns.get(i).and_then(Option::as_deref);
        let hex = |text: &str| u128::from_str_radix(&text.replace('-', ""), 16).ok();
        let (identity, system, oid) =
            (column(0).map(hex), column(1).map(str::parse), column(2).map(str::parse));
        Some(DatabaseId {
            identity: identity.map_or(Some(0), |identity| identity)?,
            system: system.transpose().ok()?,
            oid: oid.transpose().ok()?,
        })
    }

    /// Returns bytes that differ for different databases.
    pub(crate) fn bytes(self) -> [u8; 30] {
        let mut bytes = [0; 30];
        bytes[..16].copy_from_slice(&self.identity.to_le_bytes());
        if let Some(system) = self.system {
            bytes[16] = 1;
            bytes[17..25].copy_from_slice(&system.to_le_bytes());
        }
        if let Some(oid) = self.oid {
            bytes[25] = 1;
            bytes[26..].copy_from_slice(&oid.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn read(columns: [Option<&str>; 3]) -> Option<DatabaseId> {
        DatabaseId::read(&columns.map(|column| column.map(str::to_owned)))
    }

    const UUID: Option<&str> = Some("00000000-0000-0000-0000-000000000001");
    const HEX: Option<&str> = Some("0000000000000000000000000000000a");

    #[test]
    fn what_differs_gives_other_bytes() {
        let databases = [
            [None, None, None],
            [UUID, None, None],
            [HEX, None, None],
            [UUID, Some("7"), None],
            [UUID, Some("0"), None],
            [UUID, Some("-7"), None],
            [UUID, None, Some("7")],
            [UUID, None, Some("0")],
            [UUID, Some("7"), Some("7")],
            [UUID, Some("9223372036854775807"), Some("4294967295")],
        ];
        let read = databases.map(|columns| read(columns).unwrap().bytes());
        assert_eq!(BTreeSet::from(read).len(), databases.len());
        assert_eq!(DatabaseId::read(&[]), Some(DatabaseId::default()));
    }

    #[test]
    fn other_texts_are_refused() {
        for columns in [
            [Some("x"), None, None],
            [Some(""), None, None],
            [UUID, Some("x"), None],
            [UUID, None, Some("-1")],
            [UUID, None, Some("4294967296")],
        ] {
            assert_eq!(read(columns), None, "{columns:?}");
        }
    }
}
